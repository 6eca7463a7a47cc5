/** What the numbers were measured on: without it they mean nothing. */
import { cpus, release, totalmem } from 'node:os';
import { packageVersion } from '../config.js';
import { run } from '../lab/command.js';
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
	qemu: string;
	/** What the machine runs in, as systemd-detect-virt says it; empty for hardware, or where nobody can tell. */
	hypervisor: string;
	/** Commit of the project, `-dirty` when files differ from it; of an installed package, its version. */
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
		qemu: (await firstLine('qemu-system-x86_64', ['--version'])).replace(/ \(.*/, ''),
		hypervisor: await hypervisor(),
		commit: await commit(),
		pmu: await instructionsAvailable(),
	};
}

async function firstLine(file: string, args: readonly string[]): Promise<string> {
	const { rc, out } = await run(file, args).catch(() => ({ rc: 1, out: '' }));
	return rc === 0 ? (out.split('\n', 1)[0] ?? '') : 'unknown';
}

async function commit(): Promise<string> {
	const described = await firstLine('git', ['-C', projectFolder, 'describe', '--always', '--dirty']);
	return described === 'unknown' ? packageVersion() : described;
}

async function hypervisor(): Promise<string> {
	const { rc, out } = await run('systemd-detect-virt', ['--vm']).catch(() => ({ rc: 1, out: '' }));
	return rc === 0 ? out.trim() : '';
}
