/** BPF_PROG_TEST_RUN: a program's answer to a frame that never was on a wire (net/bpf/test_run.c). */
import { addressOf } from '../memory.js';
import { checkBpf, libbpf } from './libbpf.js';

export interface TestRun {
	/** What the program returned: a TC_ACT_* of 32 bits. */
	result: number;
	/** What it made of the frame. */
	frame: Uint8Array;
	/** Nanoseconds of one run, averaged over `repeat`. */
	nanoseconds: number;
}

/**
 * Runs a TC program over a frame as if it had come from the device; a redirect is returned and not carried out, but a
 * clone's is.
 * @param frame 14 bytes to about 3.5 KB. @throws SysError. @syscalls bpf
 */
export function testRun(program: number, frame: Uint8Array, ifindex: number, repeat = 1): TestRun {
	const output = new Uint8Array(4096);
	const context = new DataView(new ArrayBuffer(SK_BUFF));
	context.setUint32(SK_BUFF_IFINDEX, ifindex, LITTLE_ENDIAN);
	const contextBytes = new Uint8Array(context.buffer);
	const bytes = new Uint8Array(OPTIONS);
	const options = new DataView(bytes.buffer);
	options.setBigUint64(0, BigInt(OPTIONS), LITTLE_ENDIAN);
	options.setBigUint64(8, addressOf(frame), LITTLE_ENDIAN);
	options.setBigUint64(16, addressOf(output), LITTLE_ENDIAN);
	options.setUint32(24, frame.length, LITTLE_ENDIAN);
	options.setUint32(28, output.length, LITTLE_ENDIAN);
	options.setBigUint64(32, addressOf(contextBytes), LITTLE_ENDIAN);
	options.setUint32(48, SK_BUFF, LITTLE_ENDIAN);
	options.setInt32(60, repeat, LITTLE_ENDIAN);
	checkBpf(libbpf().testRun(program, bytes), 'run a program');
	// Used here, so that the collector has kept what only its address was passed of.
	if (contextBytes.length + frame.length === 0) throw new RangeError('nothing to run over');
	return {
		result: options.getInt32(56, LITTLE_ENDIAN),
		frame: output.slice(0, options.getUint32(28, LITTLE_ENDIAN)),
		nanoseconds: options.getUint32(64, LITTLE_ENDIAN),
	};
}

/**
 * struct bpf_test_run_opts {size_t sz; void *data_in, *data_out; u32 data_size_in, data_size_out; void *ctx_in, *ctx_out;
 * u32 ctx_size_in, ctx_size_out, retval; int repeat; u32 duration, flags, cpu, batch_size}, and struct __sk_buff as of
 * Linux 5.18.
 */
const OPTIONS = 80;
const SK_BUFF = 192;
const SK_BUFF_IFINDEX = 40;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
