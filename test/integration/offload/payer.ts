/** A thread that runs a program over one frame, again and again. */
import { workerData } from 'node:worker_threads';
import { testRun } from '../../../src/sys/bpf/test-run.js';

const { program, frame, ifindex, repeat } = workerData as {
	program: number;
	frame: Uint8Array;
	ifindex: number;
	repeat: number;
};
testRun(program, frame, ifindex, repeat);
