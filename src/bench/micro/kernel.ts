/** The eBPF programs alone: nanoseconds per frame, and how large they are. */
import { fileURLToPath } from 'node:url';
import { exec } from '../../lab/command.js';
import type { KernelMicro } from './result.js';

/** Takes a second or two. @throws IpvtapError without eBPF, or the right to it. */
export async function measureKernel(): Promise<KernelMicro> {
	const child = fileURLToPath(new URL('./kernel-child.js', import.meta.url));
	const words = ['--net', process.execPath, child];
	return JSON.parse(await exec('unshare', words, { timeout: 60_000 })) as KernelMicro;
}
