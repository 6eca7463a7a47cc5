/**
 * A machine for classic BPF programs, as Documentation/networking/filter.rst describes it: accumulator A, index
 * X, sixteen words of scratch memory, jumps that only go forward, and loads that end the program with 0 when
 * they reach past the packet. It refuses what `bpf_check_classic` in the kernel refuses.
 */
export interface Packet {
	bytes: Uint8Array;
	/** What the kernel knows besides: read at negative offsets (linux/filter.h, SKF_AD_*). */
	ifindex?: number;
	/** The tag's two bytes, or those of one that there was. */
	tci?: number;
	vlanTagged?: boolean;
	mark?: number;
}

interface Instruction {
	code: number;
	jt: number;
	jf: number;
	k: number;
}

/** @param program 8 bytes an instruction, in the machine's byte order. @throws Error if the kernel would refuse it. */
export function load(program: Uint8Array): (packet: Packet) => number {
	const code = decode(program);
	verify(code);
	return packet => run(code, packet);
}

/** BPF_MAXINSNS */
const LONGEST = 4096;
const MEMORY = 16;
const CLASSES = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, RET: 6, MISC: 7 } as const;
/** SKF_AD_OFF, and what lies behind it. */
const ANCILLARY = 0xfffff000;
const IFINDEX = ANCILLARY + 8;
const MARK = ANCILLARY + 20;
const VLAN_TCI = ANCILLARY + 44;
const VLAN_PRESENT = ANCILLARY + 48;

function decode(program: Uint8Array): Instruction[] {
	if (program.length % 8 !== 0) throw new Error(`${program.length} bytes are no whole instructions`);
	const view = new DataView(program.buffer, program.byteOffset, program.length);
	return Array.from({ length: program.length / 8 }, (_, index) => ({
		code: view.getUint16(index * 8, true),
		jt: view.getUint8(index * 8 + 2),
		jf: view.getUint8(index * 8 + 3),
		k: view.getUint32(index * 8 + 4, true),
	}));
}

function verify(code: readonly Instruction[]): void {
	if (code.length === 0 || code.length > LONGEST) throw new Error(`${code.length} instructions`);
	code.forEach(({ code: operation, jt, jf, k }, index) => {
		const { JMP, LD, LDX, ST, STX, ALU } = CLASSES;
		const kind = operation & 7;
		if (kind === JMP) {
			const distances = (operation & 0xf0) === 0 ? [k] : [jt, jf];
			if (distances.some(distance => index + 1 + distance >= code.length))
				throw new Error(`jump out of the program at ${index}`);
		}
		const scratch =
			kind === ST || kind === STX || ((kind === LD || kind === LDX) && (operation & 0xe0) === 0x60);
		if (scratch && k >= MEMORY) throw new Error(`no such scratch word at ${index}`);
		if (kind === ALU && ((operation & 0xf8) === 0x30 || (operation & 0xf8) === 0x90) && k === 0)
			throw new Error(`division by zero at ${index}`);
	});
	if (((code.at(-1) as Instruction).code & 7) !== CLASSES.RET)
		throw new Error('the last instruction does not return');
}

function run(code: readonly Instruction[], packet: Packet): number {
	const memory = new Uint32Array(MEMORY);
	let a = 0;
	let x = 0;
	for (let pc = 0; ; pc++) {
		const { code: operation, jt, jf, k } = code[pc] as Instruction;
		switch (operation & 7) {
			case CLASSES.LD: {
				const value = fetch(operation, k, x, packet, memory);
				if (value === undefined) return 0;
				a = value;
				break;
			}
			case CLASSES.LDX: {
				const value = fetchIndex(operation, k, packet, memory);
				if (value === undefined) return 0;
				x = value;
				break;
			}
			case CLASSES.ST:
				memory[k] = a;
				break;
			case CLASSES.STX:
				memory[k] = x;
				break;
			case CLASSES.ALU:
				a = calculate(operation & 0xf0, a, operation & 8 ? x : k);
				break;
			case CLASSES.JMP:
				if ((operation & 0xf0) === 0) pc += k;
				else pc += holds(operation & 0xf0, a, operation & 8 ? x : k) ? jt : jf;
				break;
			case CLASSES.RET:
				return (operation & 0x18) === 0x10 ? a : k;
			default:
				if (operation & 0x80) a = x;
				else x = a;
		}
	}
}

/** LD: immediate, packet (absolute, or behind X), scratch memory, length; undefined past the packet's end. */
function fetch(
	operation: number,
	k: number,
	x: number,
	packet: Packet,
	memory: Uint32Array,
): number | undefined {
	const size = { 0: 4, 8: 2, 16: 1 }[operation & 0x18] as 1 | 2 | 4;
	switch (operation & 0xe0) {
		case 0x00:
			return k;
		case 0x20:
			if (k >= ANCILLARY) return ancillary(k, packet);
			return read(packet.bytes, k, size);
		case 0x40:
			return read(packet.bytes, k + x, size);
		case 0x60:
			return memory[k];
		case 0x80:
			return packet.bytes.length;
		default:
			throw new Error(`no such load: ${operation}`);
	}
}

/** LDX: immediate, scratch memory, length, and the header length of IPv4 at `k`. */
function fetchIndex(operation: number, k: number, packet: Packet, memory: Uint32Array): number | undefined {
	if ((operation & 0xe0) !== 0xa0) return fetch(operation, k, 0, packet, memory);
	const first = read(packet.bytes, k, 1);
	return first === undefined ? undefined : (first & 15) * 4;
}

function ancillary(offset: number, packet: Packet): number {
	if (offset === IFINDEX) return packet.ifindex ?? 0;
	if (offset === MARK) return packet.mark ?? 0;
	if (offset === VLAN_TCI) return packet.tci ?? 0;
	if (offset === VLAN_PRESENT) return packet.vlanTagged ? 1 : 0;
	throw new Error(`ancillary data at ${offset - ANCILLARY} isn't known here`);
}

function read(bytes: Uint8Array, at: number, size: number): number | undefined {
	if (at + size > bytes.length) return undefined;
	let value = 0;
	for (let index = 0; index < size; index++) value = value * 256 + (bytes[at + index] as number);
	return value;
}

function holds(condition: number, a: number, value: number): boolean {
	switch (condition) {
		case 0x10:
			return a === value;
		case 0x20:
			return a > value;
		case 0x30:
			return a >= value;
		case 0x40:
			return (a & value) !== 0;
		default:
			throw new Error(`no such jump: ${condition}`);
	}
}

function calculate(operation: number, a: number, value: number): number {
	const results: Record<number, () => number> = {
		0: () => a + value,
		16: () => a - value,
		32: () => Math.imul(a, value),
		48: () => Math.floor(a / value),
		64: () => a | value,
		80: () => a & value,
		96: () => a << value,
		112: () => a >>> value,
		128: () => -a,
		144: () => a % value,
		160: () => a ^ value,
	};
	const result = results[operation];
	if (!result) throw new Error(`no such operation: ${operation}`);
	return result() >>> 0;
}
