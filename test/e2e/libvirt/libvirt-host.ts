/**
 * A host with a libvirt of its own on the lab's LAN: libvirtd, virtlogd and ipvtapd run in the host's network
 * namespace and in a mount namespace where /etc/libvirt, /var/lib/libvirt, /run/libvirt and their like are private,
 * so that a libvirt of the machine's own never notices. /dev has no kvm: where there is one without a processor for
 * it, libvirtd takes a minute to find out, and the lab's guests run without it anyway.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inTime } from '../../../src/control/in-time.js';
import type { Listing, Slave } from '../../../src/control/model.js';
import { cached } from '../../../src/lab/cache.js';
import { exec, type Finished, run, toolsEnv } from '../../../src/lab/command.js';
import { GuestAgent } from '../../../src/lab/guest-agent.js';
import { guestImage } from '../../../src/lab/guest-image.js';
import { Lan, type LanOptions } from '../../../src/lab/lan.js';
import { until } from '../../../src/lab/wait.js';
import { privateUser } from '../../helpers/private-user.js';
import { type DomainOptions, domainXml } from './domain-xml.js';

const bin = fileURLToPath(new URL('../../../../bin', import.meta.url));
export const hooks = '/etc/libvirt/hooks';
export const hook = `${hooks}/qemu.d/50-ipvtap`;

export class LibvirtHost {
	readonly lan: Lan;
	/** ipvtapd's. */
	readonly socket: string;
	readonly #keeper: ChildProcess;
	readonly #env: NodeJS.ProcessEnv;
	readonly #daemons = new Map<string, ChildProcess>();
	#agents = 0;

	private constructor(lan: Lan, keeper: ChildProcess) {
		this.lan = lan;
		this.#keeper = keeper;
		this.socket = join(lan.folder, 'ipvtap.sock');
		this.#env = {
			...toolsEnv,
			IPVTAP_SOCKET: this.socket,
			IPVTAP_STATE_DIR: join(lan.folder, 'state'),
			IPVTAP_AUTOSTART: 'never',
		};
	}

	/** With libvirt and ipvtapd running, `eth0` up and the hook installed. */
	static async create(options: LanOptions = {}): Promise<LibvirtHost> {
		const lan = await Lan.create(options);
		// QEMU runs as a user of its own, and looks for its guest's agent here.
		chmodSync(lan.folder, 0o755);
		const probed = await cached('libvirt-probed', path => mkdir(path).then(() => undefined));
		const keeper = lan.host.spawn(
			'unshare',
			['--mount', '--propagation', 'private', 'sh', '-ec', privateFolders, 'sh', probed],
			{
				stdio: ['pipe', 'pipe', 'inherit'],
			},
		);
		const host = new LibvirtHost(lan, keeper);
		try {
			await inTime(once(keeper.stdout!, 'data'), 30_000, 'make private folders for libvirt');
			// libvirtd looks once whether there are any hooks, when it starts.
			await host.ipvtap('libvirt', 'install');
			await host.startLibvirt();
			await host.startIpvtapd();
			await host.ipvtap('up', 'eth0');
			return host;
		} catch (error) {
			await host.close();
			throw error;
		}
	}

	async startLibvirt(): Promise<void> {
		if (!this.#daemons.has('virtlogd'))
			this.#spawn('virtlogd', ['virtlogd', '--pid-file', '/run/libvirt/v.pid']);
		this.#spawn('libvirtd', ['libvirtd', '--pid-file', '/run/libvirt/l.pid']);
		// The first time it asks QEMU for all that it can do, which takes it seconds.
		await this.#until('libvirtd', 90_000, async () => (await this.tryVirsh('version')).rc === 0);
	}

	async stopLibvirt(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
		await this.#kill('libvirtd', signal);
	}

	/** It reads its settings again, and looks for hooks. */
	reloadLibvirt(): void {
		this.#daemons.get('libvirtd')?.kill('SIGHUP');
	}

	async startIpvtapd(): Promise<void> {
		this.#spawn('ipvtapd', [`${bin}/ipvtapd`]);
		// One that was killed has left its socket behind, and `list` needs no daemon to say that there is nothing.
		await this.#until('ipvtapd', 30_000, async () => (await run(...this.#asking('info'))).rc === 0);
	}

	async stopIpvtapd(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
		await this.#kill('ipvtapd', signal);
	}

	/** The daemon stands still, as if it hung, while something is done. */
	async pauseIpvtapd(task: () => Promise<void>): Promise<void> {
		const daemon = this.#daemons.get('ipvtapd');
		daemon?.kill('SIGSTOP');
		try {
			await task();
		} finally {
			daemon?.kill('SIGCONT');
		}
	}

	/** Must succeed. */
	virsh(...args: string[]): Promise<string> {
		return exec(...this.#inside(['virsh', '-q', '-c', 'qemu:///system', ...args]), { env: this.#env });
	}

	tryVirsh(...args: string[]): Promise<Finished> {
		return run(...this.#inside(['virsh', '-q', '-c', 'qemu:///system', ...args]), { env: this.#env });
	}

	/** Gives virsh a file. */
	async virshWith(xml: string, ...args: string[]): Promise<string> {
		const file = join(this.lan.folder, 'for-virsh.xml');
		writeFileSync(file, xml);
		return this.virsh(...args, file);
	}

	/** Must succeed. */
	ipvtap(...args: string[]): Promise<string> {
		return exec(...this.#inside([`${bin}/ipvtap`, ...args]), { env: this.#env });
	}

	tryIpvtap(...args: string[]): Promise<Finished> {
		return run(...this.#inside([`${bin}/ipvtap`, ...args]), { env: this.#env });
	}

	sh(script: string): Promise<string> {
		return exec(...this.#inside(['sh', '-ec', script]), { env: this.#env });
	}

	/** What `ipvtap list --json` prints, for which that has to start a Node.js first. */
	async list(): Promise<Listing> {
		return JSON.parse(await exec(...this.#asking('list'))) as Listing;
	}

	async slave(name: string): Promise<Slave | undefined> {
		return (await this.list()).slaves.find(one => one.name === name);
	}

	async define(options: DomainOptions): Promise<void> {
		await this.virshWith(domainXml(await guestImage(), options), 'define');
	}

	/** Starts a domain, waits until its guest is up, and gives back the way to run commands in it. */
	async boot(options: DomainOptions): Promise<GuestAgent> {
		this.#agents++;
		const agent = await this.listen();
		await this.define({ ...options, agent: this.agentPath });
		await this.virsh('start', options.name);
		await this.isUp(options.name, agent);
		return agent;
	}

	/** Waits until a domain's guest is up. */
	async isUp(name: string, agent: GuestAgent): Promise<void> {
		await this.#explained(agent.hello(name, 90_000));
	}

	/** The QEMU of the domain that was booted last looks for its agent when it is restored, too. */
	async listen(): Promise<GuestAgent> {
		const agent = new GuestAgent(this.agentPath);
		await agent.ready();
		// QEMU is a user of its own.
		chmodSync(this.agentPath, 0o777);
		return agent;
	}

	/** Of the domain that was booted last. */
	get agentPath(): string {
		return join(this.lan.folder, `agent${this.#agents}.sock`);
	}

	/** Where another host's libvirt finds this one's. */
	get uri(): string {
		return `qemu+unix:///system?socket=/proc/${this.#daemons.get('libvirtd')?.pid}/root/run/libvirt/libvirt-sock`;
	}

	/** Waits until an address answers the laptop, on the other side of the switch. */
	async answers(address: string, timeout = 30_000): Promise<void> {
		await this.#until(`${address} to answer`, timeout, () => this.pings(address));
	}

	async pings(address: string): Promise<boolean> {
		return (await this.lan.laptop.run('ping', ['-c1', '-W1', '-q', address])).rc === 0;
	}

	/** libvirt's process id of a domain's QEMU. */
	async qemuPid(domain: string): Promise<number> {
		return Number(await this.sh(`cat /run/libvirt/qemu/${domain}.pid`));
	}

	/** Everything of ipvtap's that the host's namespace has: devices, and routes to guests. */
	async traces(): Promise<string[]> {
		const links = JSON.parse(await this.lan.host.exec('ip', ['-j', 'link'])) as { ifname: string }[];
		const taps = links.map(({ ifname }) => ifname).filter(name => name.startsWith('ipvt-'));
		const routes = await this.lan.host.exec('sh', ['-c', 'ip -4 route; ip -6 route']);
		const guests = routes.split('\n').filter(line => / dev ipvh-/.test(line) && !/^fe80/.test(line));
		const filters = await this.lan.host.exec('tc', ['filter', 'show', 'dev', 'eth0', 'ingress']);
		// An offload's programs belong to the master, and stay as long as it.
		const shield = filters.includes('bytecode') ? ['a filter on eth0'] : [];
		return [...taps, ...guests.map(line => line.trim()), ...shield];
	}

	async close(): Promise<void> {
		for (const name of ['ipvtapd', 'libvirtd']) await this.#kill(name, 'SIGTERM').catch(() => undefined);
		await this.lan.close();
		this.#keeper.stdin?.end();
	}

	#until(what: string, timeout: number, probe: () => Promise<boolean>): Promise<boolean> {
		return this.#explained(until(what, timeout, probe));
	}

	/** What fails has its reason in one of the logs, as often as not. */
	async #explained<T>(work: Promise<T>): Promise<T> {
		try {
			return await work;
		} catch (cause) {
			const logs = `${this.lan.folder}/*.log /var/log/libvirt/qemu/*`;
			const words = await this.sh(`tail -n 12 ${logs} 2>&1`).catch(() => '');
			throw new Error(`${(cause as Error).message}\n${words}`, { cause });
		}
	}

	#asking(what: string): [string, string[]] {
		return this.#inside(['curl', '-qsSf', '--unix-socket', this.socket, `http://ipvtap/v1/${what}`]);
	}

	#inside(command: string[]): [string, string[]] {
		return ['nsenter', ['--target', String(this.#keeper.pid), '--mount', '--net', '--', ...command]];
	}

	#spawn(name: string, command: string[]): void {
		// `exec` in front, so that signals reach the program itself.
		const script = `exec "$@" </dev/null >>${join(this.lan.folder, `${name}.log`)} 2>&1`;
		const [, args] = this.#inside(['sh', '-c', script, 'sh', ...command]);
		const child = this.lan.host.spawn('nsenter', args, { stdio: 'ignore', env: this.#env });
		this.#daemons.set(name, child);
	}

	async #kill(name: string, signal: NodeJS.Signals): Promise<void> {
		const child = this.#daemons.get(name);
		this.#daemons.delete(name);
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const ended = once(child, 'exit');
		child.kill(signal);
		const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
		await ended.finally(() => clearTimeout(timer));
	}
}

/**
 * Runs until its standard input ends. QEMU may be confined by profiles that know nothing of a private /etc, and without
 * `dynamic_ownership` libvirt leaves the guest image to its owner. What libvirtd finds out about QEMU in seconds is kept
 * in $1 for the next one, which looks itself whether it still holds.
 */
const privateFolders = `
for folder in /etc/libvirt /var/lib/libvirt /run/libvirt /var/log/libvirt /var/cache/libvirt; do
	mkdir -p $folder
	mount -t tmpfs -o mode=755 none $folder
done
mount --bind "$1" /var/cache/libvirt
mkdir -p /etc/libvirt/hooks /var/log/libvirt/qemu
printf 'auth_unix_rw = "none"\\nhost_uuid = "%s"\\n' $(cat /proc/sys/kernel/random/uuid) >/etc/libvirt/libvirtd.conf
printf 'security_driver = "none"\\ndynamic_ownership = 0\\n' >/etc/libvirt/qemu.conf
${privateUser('libvirt-qemu', 64055, '/etc/libvirt')}
[ ! -d /run/dbus ] || mount -t tmpfs none /run/dbus
dev=$(mktemp -d)
mount -t tmpfs -o mode=755 dev $dev
for file in null zero full random urandom tty; do : >$dev/$file; mount --bind /dev/$file $dev/$file; done
for folder in pts shm; do mkdir $dev/$folder; mount --bind /dev/$folder $dev/$folder; done
mkdir $dev/net
mknod -m 666 $dev/net/tun c 10 200
ln -s pts/ptmx $dev/ptmx
ln -s /proc/self/fd $dev/fd
ln -s fd/0 $dev/stdin
ln -s fd/1 $dev/stdout
ln -s fd/2 $dev/stderr
mount --move $dev /dev
rmdir $dev
echo ready
exec cat
`;
