/** What the kernel says about a loaded program. */
import { checkBpf, libbpf } from './libbpf.js';

export interface ProgramInfo {
	/** Instructions of the bytecode, as the kernel has rewritten it. */
	instructions: number;
	/** Machine code, bytes; 0 without a JIT. */
	jitedBytes: number;
	/** Instructions that the verifier has looked at, over all paths; the limit is a million. 0 before Linux 5.16. */
	verified: number;
}

/** @throws SysError. @syscalls bpf */
export function programInfo(program: number): ProgramInfo {
	const info = new DataView(new ArrayBuffer(PROGRAM_INFO));
	checkBpf(
		libbpf().infoByFd(program, new Uint8Array(info.buffer), Uint32Array.of(PROGRAM_INFO)),
		'ask about a program',
	);
	return {
		instructions: info.getUint32(XLATED_LENGTH, LITTLE_ENDIAN) / 8,
		jitedBytes: info.getUint32(JITED_LENGTH, LITTLE_ENDIAN),
		verified: info.getUint32(VERIFIED, LITTLE_ENDIAN),
	};
}

/** linux/bpf.h: struct bpf_prog_info as of Linux 5.16. */
const PROGRAM_INFO = 232;
const JITED_LENGTH = 16;
const XLATED_LENGTH = 20;
const VERIFIED = 216;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
