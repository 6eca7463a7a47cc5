/** What the numbers were measured on: without it they mean nothing. */
import { cpus, release, totalmem } from 'node:os';
import { run } from '../../src/lab/command.js';
import { instructionsAvailable } from './perf.js';
import { projectFolder } from './project.js';

export interface Machine {
	date: string;
	kernel: string;
	cpu: string;
	cpus: number;
	memoryMb: number;
	node: string;
	compiler: string;
	iproute: string;
	/** Commit of the project, `-dirty` when files differ from it. */
	commit: string;
	/** Whether instructions could be counted. */
	pmu: boolean;
}

export async function describeMachine(): Promise<Machine> {
	return {
		date: new Date().toISOString(),
		kernel: release(),
		cpu: cpus()[0]?.model ?? 'unknown',
		cpus: cpus().length,
		memoryMb: Math.round(totalmem() / 2 ** 20),
		node: process.version,
		compiler: await firstLine('cc', ['--version']),
		iproute: await firstLine('ip', ['-V']),
		commit: await firstLine('git', ['-C', projectFolder, 'describe', '--always', '--dirty']),
		pmu: await instructionsAvailable(),
	};
}

async function firstLine(file: string, args: readonly string[]): Promise<string> {
	const { rc, out } = await run(file, args).catch(() => ({ rc: 1, out: '' }));
	return rc === 0 ? (out.split('\n', 1)[0] ?? '') : 'unknown';
}
