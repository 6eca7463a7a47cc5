/**
 * An object file of eBPF programs on its way into the kernel. Open, it is a blueprint, in which constants can be set.
 * Loaded, its programs have passed the verifier and have descriptors.
 */
import koffi from 'koffi';
import { IpvtapError } from '../../errors.js';
import { errnoName } from '../libc.js';
import { addressOf } from '../memory.js';
import { checkBpf, checkHandle, type Handle, libbpf } from './libbpf.js';
import { BpfMap } from './map.js';

export class BpfObject {
	readonly #object: Handle;
	readonly #path: string;
	readonly #log = Buffer.alloc(LOG_BYTES);

	/** Opens the file; nothing is in the kernel yet. @throws SysError. @syscalls openat, mmap */
	constructor(path: string) {
		this.#path = path;
		const options = new DataView(new ArrayBuffer(OPEN_OPTIONS));
		options.setBigUint64(0, BigInt(OPEN_OPTIONS), LITTLE_ENDIAN);
		options.setBigUint64(OPEN_LOG, addressOf(this.#log), LITTLE_ENDIAN);
		options.setBigUint64(OPEN_LOG + 8, BigInt(LOG_BYTES), LITTLE_ENDIAN);
		this.#object = checkHandle(
			libbpf().objectOpen(path, new Uint8Array(options.buffer)),
			`open the eBPF object ${path}`,
		);
	}

	/** Sets a 32-bit constant of the section `.rodata`, before `load`. `at`: its offset, bytes. */
	setConstant(at: number, value: number): void {
		const map = checkHandle(libbpf().findMap(this.#object, '.rodata'), 'find .rodata');
		const length = new BigUint64Array(1);
		const memory = checkHandle(libbpf().mapInitialValue(map, length), 'find the constants');
		new DataView(koffi.view(memory, Number(length[0]))).setUint32(at, value, LITTLE_ENDIAN);
	}

	/** Leaves a program of the file out, before `load`. @throws SysError. */
	leaveOut(name: string): void {
		checkBpf(libbpf().programAutoload(this.#program(name), false), `leave out program ${name}`);
	}

	/** Makes the maps and has the programs verified. @throws IpvtapError with the end of the verifier's log. @syscalls bpf */
	load(): void {
		const result = libbpf().objectLoad(this.#object);
		if (result >= 0) return;
		const end = this.#log.indexOf(0);
		const log = this.#log.toString('utf8', 0, end < 0 ? LOG_BYTES : end).trim();
		const why = errnoName(-result);
		throw new IpvtapError(
			why === 'EPERM' || why === 'EACCES' ? 'permission' : 'failed',
			`load ${this.#path}: ${why}${log === '' ? '' : `: ${log.slice(-400)}`}`,
			why === 'EPERM'
				? { hint: 'it takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN outside user namespaces' }
				: {},
		);
	}

	/** A map after `load`; its descriptor goes with the object. */
	map(name: string, keyBytes: number, valueBytes: number): BpfMap {
		return new BpfMap(checkBpf(libbpf().mapFd(this.#map(name)), `map ${name}`), name, keyBytes, valueBytes);
	}

	/** Descriptor of a program after `load`; it goes with the object. */
	program(name: string): number {
		return checkBpf(libbpf().programFd(this.#program(name)), `program ${name}`);
	}

	/** Closes all its descriptors. What is attached or pinned stays in the kernel. */
	close(): void {
		libbpf().objectClose(this.#object);
	}

	#program(name: string): Handle {
		return checkHandle(libbpf().findProgram(this.#object, name), `find program ${name}`);
	}

	#map(name: string): Handle {
		return checkHandle(libbpf().findMap(this.#object, name), `find map ${name}`);
	}
}

/** The kernel cuts a longer log, and reports ENOSPC in place of the reason: room for all of it. */
const LOG_BYTES = 1 << 22;
/** struct bpf_object_open_opts, and where kernel_log_buf and kernel_log_size lie in it. */
const OPEN_OPTIONS = 80;
const OPEN_LOG = 56;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
