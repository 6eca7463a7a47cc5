/** The virtual machine whose kernel is asked: Debian's, with this machine's own files as its root. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { insertScript, OtherKernel, share } from '../../src/lab/other-kernel.js';
import { type Answers, answersFile, type Questions, questionsFile, unlucky } from './plan.js';

/**
 * Boots the machine, has `inside.ts` work through the configurations there, and gives back what it saw. It has one
 * processor: whatever happens in the kernel then happens in one order.
 *
 * @throws IpvtapError `failed` where apt can't give the kernel, or with what the program inside has said.
 */
export async function askKernel(questions: Questions): Promise<Answers> {
	const machine = await OtherKernel.boot({ name: 'oracle', drivers });
	try {
		writeFileSync(join(machine.folder, questionsFile), JSON.stringify(questions));
		await machine.exec(askScript(machine.modules), answerTimeoutMs);
		return JSON.parse(readFileSync(join(machine.folder, answersFile), 'utf8')) as Answers;
	} finally {
		await machine.stop();
	}
}

const program = fileURLToPath(new URL('./inside.js', import.meta.url));
/** Far more than it takes: some 20 s on a quiet machine. */
const answerTimeoutMs = 240_000;
/** nf_tables asks for a checksum by its name, which no symbol tells of. */
const drivers = ['veth', 'ipvlan', 'ipvtap', 'macvlan', 'macvtap', 'crc32c_generic', 'nf_tables'];

/** Asks until the driver has drawn a secret under which no two groups look alike to it: two times of three at once. */
function askScript(modules: readonly string[]): string {
	const driver = modules.filter(path => /\/ipv(lan|tap)\.ko$/.test(path));
	return `
tries=1
until chroot /mnt ${process.execPath} '${program}' ${share}; do
	[ $? = ${unlucky} ] || exit 1
	[ $((tries += 1)) -le ${triesMax} ] || { echo "the groups look alike in each of ${triesMax} tries"; exit 1; }
	rmmod ipvtap
	rmmod ipvlan
	${insertScript(driver)}
done`;
}

const triesMax = 20;
