/**
 * Classic BPF programs as position-independent runs of instructions (linux/filter.h, and
 * Documentation/networking/filter.rst): `struct sock_filter` is 8 bytes, native endian:
 *
 *      0      2    3    4          8
 *      | code | jt | jf | k        |
 *
 * Classic, because it needs neither bpf(2) nor a compiler: it works rootless and on locked-down kernels.
 */
export interface Instruction {
	code: number;
	jt: number;
	jf: number;
	k: number;
}

export type Code = readonly Instruction[];

/** BPF_MAXINSNS is 4096, but beyond some 4000 a filter no longer fits the netlink message that would list it. */
export const INSTRUCTIONS_MAX = 4000;

/** Ancillary data, read as loads from negative offsets (linux/filter.h, SKF_AD_OFF). */
export const ANCILLARY_IFINDEX = -0x1000 + 8;
export const ANCILLARY_MARK = -0x1000 + 20;
export const ANCILLARY_VLAN_TCI = -0x1000 + 44;
export const ANCILLARY_VLAN_PRESENT = -0x1000 + 48;

export const loadWord = (offset: number): Instruction => op(LD | W | ABS, offset);
export const loadHalf = (offset: number): Instruction => op(LD | H | ABS, offset);
export const loadByte = (offset: number): Instruction => op(LD | B | ABS, offset);
/** A := length of the frame. */
export const loadLength = (): Instruction => op(LD | W | LEN, 0);
/** X := length of the IPv4 header whose first byte is at `offset`. */
export const loadHeaderLength = (offset: number): Instruction => op(LDX | B | MSH, offset);
/** A := the 16 bits at X + `offset`. */
export const loadHalfBehind = (offset: number): Instruction => op(LD | H | IND, offset);
export const ret = (value: number): Instruction => op(RET, value);

/** Runs `then` if A == k; what follows comes next if not, or if `then` doesn't return. */
export const ifEqual = (k: number, then: Code): Instruction[] => branch(JEQ, k, then);
/** Likewise for A & k != 0. */
export const ifSet = (k: number, then: Code): Instruction[] => branch(JSET, k, then);
/** Likewise for A >= k, unsigned. */
export const ifAtLeast = (k: number, then: Code): Instruction[] => branch(JGE, k, then);

/** @returns the program as the kernel reads it: 8 bytes an instruction. */
export function assemble(code: Code): Uint8Array {
	const bytes = new Uint8Array(code.length * 8);
	const codes = new Uint16Array(bytes.buffer);
	const values = new Int32Array(bytes.buffer);
	code.forEach(({ code, jt, jf, k }, index) => {
		codes[index * 4] = code;
		bytes[index * 8 + 2] = jt;
		bytes[index * 8 + 3] = jf;
		values[index * 2 + 1] = k;
	});
	return bytes;
}

/** linux/bpf_common.h */
const LD = 0x00;
const LDX = 0x01;
const JMP = 0x05;
const RET = 0x06;
const W = 0x00;
const H = 0x08;
const B = 0x10;
const ABS = 0x20;
const IND = 0x40;
const LEN = 0x80;
const MSH = 0xa0;
const JA = JMP | 0x00;
const JEQ = JMP | 0x10;
const JGE = JMP | 0x30;
const JSET = JMP | 0x40;

/** The distances of a conditional jump are bytes; an unconditional one reaches as far as any program is long. */
const JUMP_MAX = 255;

function op(code: number, k: number): Instruction {
	return { code, jt: 0, jf: 0, k: k | 0 };
}

function branch(code: number, k: number, then: Code): Instruction[] {
	if (then.length <= JUMP_MAX) return [{ code, jt: 0, jf: then.length, k: k | 0 }, ...then];
	return [{ code, jt: 1, jf: 0, k: k | 0 }, op(JA, then.length), ...then];
}
