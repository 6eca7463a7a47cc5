/** Maps of the kernel's (bpf(2)), seen as bytes: key and value lie as the program's C structures lie. */
import { errnoName } from '../libc.js';
import { checkBpf, libbpf } from './libbpf.js';

export class BpfMap {
	readonly fd: number;
	readonly #name: string;
	/** Of one value; for a per-CPU map of all CPUs together. */
	readonly valueBytes: number;
	readonly #keyBytes: number;

	/** @param valueBytes of one value; for a per-CPU map all CPUs' together, each rounded up to 8. */
	constructor(fd: number, name: string, keyBytes: number, valueBytes: number) {
		this.fd = fd;
		this.#name = name;
		this.#keyBytes = keyBytes;
		this.valueBytes = valueBytes;
	}

	/** Adds or replaces: programs see the old value or the new one, whole (arrays excepted). @throws SysError, E2BIG when full. @syscalls bpf */
	set(key: Uint8Array, value: Uint8Array): void {
		checkBpf(libbpf().mapUpdate(this.fd, key, value, BPF_ANY), `update map ${this.#name}`);
	}

	/** @returns undefined if there is no such key. @throws SysError. @syscalls bpf */
	get(key: Uint8Array): Uint8Array | undefined {
		const value = new Uint8Array(this.valueBytes);
		const result = libbpf().mapLookup(this.fd, key, value);
		if (result < 0 && errnoName(-result) === 'ENOENT') return undefined;
		checkBpf(result, `look up in map ${this.#name}`);
		return value;
	}

	/** @returns whether it was there. @throws SysError. @syscalls bpf */
	delete(key: Uint8Array): boolean {
		const result = libbpf().mapDelete(this.fd, key);
		if (result < 0 && errnoName(-result) === 'ENOENT') return false;
		checkBpf(result, `delete from map ${this.#name}`);
		return true;
	}

	/** All keys; what is added or removed meanwhile may or may not be among them. @throws SysError. @syscalls bpf */
	keys(): Uint8Array[] {
		const keys: Uint8Array[] = [];
		let last: Uint8Array | null = null;
		for (;;) {
			const next = new Uint8Array(this.#keyBytes);
			const result = libbpf().mapNextKey(this.fd, last, next);
			if (result < 0 && errnoName(-result) === 'ENOENT') return keys;
			checkBpf(result, `walk map ${this.#name}`);
			keys.push(next);
			last = next;
		}
	}
}

/** Bytes of a per-CPU map's value as user space reads it. */
export function perCpuBytes(valueBytes: number): number {
	return possibleCpus() * ((valueBytes + 7) & ~7);
}

/** CPUs that a per-CPU map has values for, those that could be plugged in among them. */
export function possibleCpus(): number {
	return checkBpf(libbpf().possibleCpus(), 'count CPUs');
}

const BPF_ANY = 0n;
