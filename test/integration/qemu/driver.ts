/**
 * Carries out one call of the product inside a test's namespace, where a test can't go itself: a thread's network
 * namespace is its process's too. The call comes as JSON in the file that the first argument names; what came of it goes to
 * descriptor 2 for `run`, whose standard output is QEMU's, and to standard output for the others.
 */
import { readFileSync } from 'node:fs';
import { type HotPlugOptions, type HotUnplugOptions, hotPlug, hotUnplug } from '../../../qemu/hotplug.js';
import { type RunOptions, runQemu } from '../../../qemu/run.js';
import { asIpvtapError, exitStatus } from '../../../src/errors.js';
import { openFiles } from './open-files.js';

export type Call =
	| { call: 'run'; options: RunOptions }
	| { call: 'plug'; options: HotPlugOptions }
	| { call: 'unplug'; options: HotUnplugOptions };

export interface Outcome {
	value?: unknown;
	error?: { code: string; message: string; hint: string | undefined };
	/** Sockets and devices that the driver has open before and after the call. */
	fds: [before: number, after: number];
	milliseconds: number;
}

export const outcomeMark = 'outcome: ';

if (process.argv[2] !== undefined) {
	const call = JSON.parse(readFileSync(process.argv[2], 'utf8')) as Call;
	const outcome: Outcome = { fds: [fdCount(), 0], milliseconds: 0 };
	const begin = performance.now();
	try {
		outcome.value = await carryOut(call);
	} catch (error) {
		const { code, message, hint } = asIpvtapError(error);
		outcome.error = { code, message, hint };
		process.exitCode = exitStatus[code];
	}
	outcome.milliseconds = Math.round(performance.now() - begin);
	outcome.fds[1] = fdCount();
	const out = call.call === 'run' ? process.stderr : process.stdout;
	out.write(`${outcomeMark}${JSON.stringify(outcome)}\n`);
	if (call.call === 'run' && typeof outcome.value === 'number') process.exitCode = outcome.value;
}

function carryOut(call: Call): Promise<unknown> {
	switch (call.call) {
		case 'run':
			// What follows the file's name belongs to the command, as with `ipvtap run … --`.
			return runQemu({ ...call.options, argv: [...call.options.argv, ...process.argv.slice(3)] });
		case 'plug':
			return hotPlug(call.options);
		case 'unplug':
			return hotUnplug(call.options);
	}
}

/** Sockets and devices: Node keeps pipes and a /dev/null for itself, some from their first use on. */
function fdCount(): number {
	return openFiles(process.pid).filter(path => /^(socket:|tap |\/dev\/vhost-net$)/.test(path)).length;
}
