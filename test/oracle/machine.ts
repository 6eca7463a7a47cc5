/** The virtual machine whose kernel is asked: Debian's, with this machine's own files as its root. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../../src/lab/cleanup.js';
import { Guest } from '../../src/lab/guest.js';
import { guestKernel, moduleClosure } from '../../src/lab/kernel.js';
import { type Answers, answersFile, type Questions, questionsFile, unlucky } from './plan.js';

/**
 * Boots the machine, has `inside.ts` work through the configurations there, and gives back what it saw.
 *
 * The root is this machine's, over 9p and read-only, so that the same Node, the same tools and this very build run
 * under the other kernel; one folder is shared both ways. One processor: whatever happens in the kernel then happens
 * in one order.
 *
 * @throws IpvtapError `failed` where apt can't give the kernel, or with what the program inside has said.
 */
export async function askKernel(questions: Questions): Promise<Answers> {
	const modules = await moduleClosure(await guestKernel(), drivers);
	const [folder, removeFolder] = makeFolder('oracle-share');
	try {
		writeFileSync(join(folder, questionsFile), JSON.stringify(questions));
		const guest = await Guest.boot({
			name: 'oracle',
			args: [
				...['-m', '512'],
				...['-virtfs', 'local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap'],
				...['-virtfs', `local,path=${folder},mount_tag=share,security_model=none,multidevs=remap`],
			],
		});
		try {
			await guest.exec(mountScript + insertScript(modules));
			await guest.exec(askScript(modules), { timeout: answerTimeoutMs });
		} finally {
			await guest.stop();
		}
		return JSON.parse(readFileSync(join(folder, answersFile), 'utf8')) as Answers;
	} finally {
		removeFolder();
	}
}

const program = fileURLToPath(new URL('./inside.js', import.meta.url));
/** Far more than it takes: some 20 s on a quiet machine. */
const answerTimeoutMs = 240_000;
/** Where the folder lies inside; /run has to be writable anyway, for `ip netns`. */
const share = '/run/oracle';
/** nf_tables asks for a checksum by its name, which no symbol tells of. */
const drivers = ['veth', 'ipvlan', 'ipvtap', 'macvlan', 'macvtap', 'crc32c_generic', 'nf_tables'];

const mountScript = `set -e
modprobe 9pnet_virtio
modprobe 9p
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /mnt
for folder in dev proc sys; do mount -o bind /$folder /mnt/$folder; done
mount -t tmpfs run /mnt/run
mkdir /mnt${share}
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /mnt${share}
`;

function insertScript(modules: readonly string[]): string {
	return modules.map(path => `insmod /mnt${path}\n`).join('');
}

/** Asks until the driver has drawn a secret under which no two groups look alike to it: two times of three at once. */
function askScript(modules: readonly string[]): string {
	const driver = modules.filter(path => /\/ipv(lan|tap)\.ko$/.test(path));
	return `
tries=1
until chroot /mnt ${process.execPath} ${program} ${share}; do
	[ $? = ${unlucky} ] || exit 1
	[ $((tries += 1)) -le ${triesMax} ] || { echo "the groups look alike in each of ${triesMax} tries"; exit 1; }
	rmmod ipvtap
	rmmod ipvlan
	${insertScript(driver)}
done`;
}

const triesMax = 20;
