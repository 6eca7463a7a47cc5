/**
 * libbpf.so.1 (libbpf 1.0 and later; iproute2 depends on it, so a host has it) as far as ipvtap needs it: opening an
 * object file, which resolves its relocations against the running kernel's types, and the plain wrappers of bpf(2).
 * Since 1.0 its functions return -errno, or NULL with errno set.
 */
import koffi from 'koffi';
import { IpvtapError } from '../../errors.js';
import { errno, SysError } from '../libc.js';

/** An opaque pointer of libbpf's. */
export type Handle = bigint;

export interface Libbpf {
	objectOpen(path: string, options: Uint8Array): Handle | null;
	objectLoad(object: Handle): number;
	objectClose(object: Handle): void;
	findMap(object: Handle, name: string): Handle | null;
	findProgram(object: Handle, name: string): Handle | null;
	mapFd(map: Handle): number;
	mapInitialValue(map: Handle, length: BigUint64Array): Handle | null;
	programFd(program: Handle): number;
	programAutoload(program: Handle, load: boolean): number;
	mapUpdate(fd: number, key: Uint8Array, value: Uint8Array, flags: bigint): number;
	mapLookup(fd: number, key: Uint8Array, value: Uint8Array): number;
	mapDelete(fd: number, key: Uint8Array): number;
	mapNextKey(fd: number, key: Uint8Array | null, next: Uint8Array): number;
	objectPin(fd: number, path: string): number;
	objectGet(path: string): number;
	linkCreate(program: number, ifindex: number, hook: number, options: Uint8Array): number;
	linkUpdate(link: number, program: number, options: null): number;
	infoByFd(fd: number, info: Uint8Array, length: Uint32Array): number;
	testRun(program: number, options: Uint8Array): number;
	possibleCpus(): number;
}

/** @throws IpvtapError `failed` where the library is missing. */
export function libbpf(): Libbpf {
	loaded ??= load();
	return loaded;
}

/** Returns `result` unless it is a negative errno. @throws SysError. */
export function checkBpf(result: number, what: string): number {
	if (result < 0) throw new SysError(what, -result);
	return result;
}

/** @throws SysError made from errno for a null pointer. */
export function checkHandle(handle: Handle | null, what: string): Handle {
	if (!handle) throw new SysError(what, errno());
	return handle;
}

let loaded: Libbpf | undefined;

function load(): Libbpf {
	let library: ReturnType<typeof koffi.load>;
	try {
		library = koffi.load('libbpf.so.1');
	} catch (error) {
		throw new IpvtapError('failed', 'use eBPF: libbpf.so.1 is not there', {
			hint: 'apt-get install libbpf1',
			cause: error,
		});
	}
	// Its own words would go to stderr; what matters is in the results and in the verifier's log.
	library.func('void *libbpf_set_print(void *print)')(null);
	const functions = Object.fromEntries(
		Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]),
	);
	return functions as unknown as Libbpf;
}

const prototypes: Record<keyof Libbpf, string> = {
	objectOpen: 'void *bpf_object__open_file(const char *path, const void *options)',
	objectLoad: 'int bpf_object__load(void *object)',
	objectClose: 'void bpf_object__close(void *object)',
	findMap: 'void *bpf_object__find_map_by_name(void *object, const char *name)',
	findProgram: 'void *bpf_object__find_program_by_name(void *object, const char *name)',
	mapFd: 'int bpf_map__fd(void *map)',
	mapInitialValue: 'void *bpf_map__initial_value(void *map, void *length)',
	programAutoload: 'int bpf_program__set_autoload(void *program, bool load)',
	programFd: 'int bpf_program__fd(void *program)',
	mapUpdate: 'int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)',
	mapLookup: 'int bpf_map_lookup_elem(int fd, const void *key, void *value)',
	mapDelete: 'int bpf_map_delete_elem(int fd, const void *key)',
	mapNextKey: 'int bpf_map_get_next_key(int fd, const void *key, void *next)',
	objectPin: 'int bpf_obj_pin(int fd, const char *path)',
	objectGet: 'int bpf_obj_get(const char *path)',
	linkCreate: 'int bpf_link_create(int program, int target, int type, const void *options)',
	linkUpdate: 'int bpf_link_update(int link, int program, const void *options)',
	infoByFd: 'int bpf_obj_get_info_by_fd(int fd, void *info, void *length)',
	testRun: 'int bpf_prog_test_run_opts(int program, void *options)',
	possibleCpus: 'int libbpf_num_possible_cpus()',
};
