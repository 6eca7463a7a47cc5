/**
 * Instructions per frame, of all that is done for it on the processor that sends it. Few virtual machines have the counters;
 * so a machine that counts is emulated: by QEMU's -icount each instruction takes a nanosecond of the guest's time, and one
 * tick of its processor's clock. The peers are set up in there as they are here (instructions-inside.ts), on Debian's
 * kernel or on the one that IPVTAP_LAB_KERNEL names.
 */
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OtherKernel, share } from '../../lab/other-kernel.js';
import { buildPrograms } from '../programs.js';
import type { Instructions } from './result.js';

/**
 * Takes a minute or two. @param peers names of those that do all their work where it is counted.
 * @throws IpvtapError without QEMU, a compiler, or a kernel from apt.
 */
export async function countInstructions(peers: readonly string[]): Promise<Instructions> {
	const { guest } = await buildPrograms();
	const machine = await OtherKernel.boot({
		name: 'count',
		drivers: [
			'crc32c_generic',
			'tun',
			'veth',
			'bridge',
			'nft_meta_bridge',
			'macvtap',
			'sch_ingress',
			'cls_bpf',
		],
		memory: 1024,
		args: ['-icount', 'shift=0'],
	});
	try {
		// The cache, where it lies otherwise, may be in a folder that is another one in there.
		copyFileSync(guest, join(machine.folder, 'guest'));
		chmodSync(join(machine.folder, 'guest'), 0o755);
		const words = [process.execPath, `'${program}'`, `${share}/guest`, `${share}/result`, ...peers];
		await machine.inside(words.join(' '), PATIENCE);
		return JSON.parse(readFileSync(join(machine.folder, 'result'), 'utf8')) as Instructions;
	} finally {
		await machine.stop();
	}
}

const program = fileURLToPath(new URL('./instructions-inside.js', import.meta.url));
/** Some 70 s for four peers if nobody else is at work. Milliseconds. */
const PATIENCE = 400_000;
