/** Programs and maps by their ids: whether they are gone, when nothing has a name or a descriptor for them any more. */
import koffi from 'koffi';
import { closeFd } from '../../src/sys/fd.js';
import { addressOf } from '../../src/sys/memory.js';

export interface ObjectIds {
	programs: number[];
	maps: number[];
}

/** A program, and the maps that it uses. @param link descriptor of the link that has it. */
export function objectsOfLink(link: number): ObjectIds {
	return objectsOf(info(link, 48).getUint32(LINK_PROGRAM, true));
}

/** @param id of a program, as `tc filter show` has it. */
export function objectsOf(id: number): ObjectIds {
	const fd = programById(id);
	if (fd < 0) throw new Error(`there is no program ${id}`);
	const ids = new Uint32Array(64);
	const question = new DataView(new ArrayBuffer(PROGRAM_INFO));
	question.setUint32(52, ids.length, true);
	question.setBigUint64(56, addressOf(new Uint8Array(ids.buffer)), true);
	const count = info(fd, PROGRAM_INFO, question).getUint32(52, true);
	closeFd(fd);
	return { programs: [id], maps: [...ids.subarray(0, count)] };
}

/** Those that still exist. */
export function survivors({ programs, maps }: ObjectIds): ObjectIds {
	const exists = (fd: number): boolean => {
		if (fd >= 0) closeFd(fd);
		return fd >= 0;
	};
	return {
		programs: programs.filter(id => exists(programById(id))),
		maps: maps.filter(id => exists(mapById(id))),
	};
}

/** A program that lets every frame pass to the host, past all that comes behind it. @returns its descriptor. */
export function passProgram(): number {
	// r0 = 0; exit
	const code = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
	const fd = programLoad(BPF_PROG_TYPE_SCHED_CLS, null, 'GPL', code, code.length / 8, null);
	if (fd < 0) throw new Error(`bpf_prog_load: ${fd}`);
	return fd;
}

/** As `bpftool link detach`: the link stays, and is on no device. @param link its descriptor. */
export function detachLink(link: number): void {
	const result = linkDetach(link);
	if (result < 0) throw new Error(`bpf_link_detach: ${result}`);
}

function info(fd: number, bytes: number, question = new DataView(new ArrayBuffer(bytes))): DataView {
	const result = infoByFd(fd, new Uint8Array(question.buffer), Uint32Array.of(bytes));
	if (result < 0) throw new Error(`bpf_obj_get_info_by_fd: ${result}`);
	return question;
}

// linux/bpf.h: struct bpf_link_info, struct bpf_prog_info
const LINK_PROGRAM = 8;
const PROGRAM_INFO = 224;
const library = koffi.load('libbpf.so.1');
const programById = library.func('int bpf_prog_get_fd_by_id(uint32_t id)') as (id: number) => number;
const mapById = library.func('int bpf_map_get_fd_by_id(uint32_t id)') as (id: number) => number;
const BPF_PROG_TYPE_SCHED_CLS = 3;
const programLoad = library.func(
	'int bpf_prog_load(int type, const char *name, const char *license, const void *code, size_t length, const void *options)',
) as (type: number, name: null, license: string, code: Uint8Array, length: number, options: null) => number;
const linkDetach = library.func('int bpf_link_detach(int fd)') as (fd: number) => number;
const infoByFd = library.func('int bpf_obj_get_info_by_fd(int fd, void *info, void *length)') as (
	fd: number,
	info: Uint8Array,
	length: Uint32Array,
) => number;
