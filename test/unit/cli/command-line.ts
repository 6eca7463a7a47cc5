/** The compiled command line, as a shell runs it, in a place of its own where there is no daemon. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

export interface Outcome {
	status: number | null;
	stdout: string;
	stderr: string;
}

export interface Place {
	folder: string;
	run(...args: string[]): Promise<Outcome>;
	/** What is in the folder. */
	files(): string[];
}

const main = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));

export function place(t: ExecutionContext): Place {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-cli-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const env = {
		...process.env,
		IPVTAP_SOCKET: join(folder, 'a.sock'),
		IPVTAP_STATE_DIR: join(folder, 'state'),
	};
	return {
		folder,
		run: (...args) => outcome(process.execPath, [main, ...args], env),
		files: () => readdirSync(folder),
	};
}

function outcome(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
	return new Promise((resolve, reject) => {
		const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
		const said = { stdout: '', stderr: '' };
		for (const stream of ['stdout', 'stderr'] as const) {
			child[stream].setEncoding('utf8').on('data', (text: string) => {
				said[stream] += text;
			});
		}
		child.on('error', reject);
		child.on('close', status => resolve({ status, ...said }));
	});
}
