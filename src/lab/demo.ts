import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { toolsEnv } from './command.js';
import { type DemoReport, formatReport } from './demo-report.js';
import { Guest } from './guest.js';
import { guestImage } from './guest-image.js';
import { Lan, lanMembers } from './lan.js';
import { Progress } from './progress.js';
import { type Peer, type Reach, reachAll } from './reach.js';
import type { SeenMac } from './switch-port.js';

export type { DemoReport } from './demo-report.js';

export interface DemoOptions {
	/** The words that start ipvtap's command line; by default those that started this process. */
	cli?: readonly string[];
	/** Where the report goes. */
	output: Writable;
	/** Green and red in the report. */
	color: boolean;
	/** One JSON document instead of progress and tables. */
	json: boolean;
}

/**
 * Two real guests, the host and a LAN behind one master: builds a make-believe LAN in namespaces of its
 * own, starts ipvtap and two QEMU guests there by their ordinary commands, and lets everybody ping
 * everybody. Nothing else on the machine is touched, and nothing is left however it ends.
 *
 * @returns what was found; the caller's exit status should be 1 unless `ok`.
 * @throws IpvtapError `permission` without root, or of whichever part failed.
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
	const cli = options.cli ?? [process.execPath, process.argv[1]!];
	const progress = new Progress(options.json ? nowhere : options.output);
	const started = performance.now();
	const lan = await progress.step('Building a LAN: a router, a laptop, a switch and the host', () =>
		Lan.create(),
	);
	// Independent of any daemon the machine may have.
	const state = join(lan.folder, 'state');
	const env = { ...toolsEnv, IPVTAP_SOCKET: join(lan.folder, 'ipvtap.sock'), IPVTAP_STATE_DIR: state };
	const ipvtap = [...lan.host.prefix, ...cli];
	const guests: Guest[] = [];
	try {
		await progress.step('Preparing the guest image', guestImage);
		await progress.step('On the host: ipvtap run --master eth0 … -- qemu-system-x86_64 …, twice', () =>
			bootAll(guests, ipvtap, env),
		);
		const bootMs = Math.round(performance.now() - started);
		const reach = await progress.step('Everybody pings everybody', () => reachAll(peersOf(lan, guests)));
		const report = judge(reach, await lan.macsSeen(), {
			bootMs,
			totalMs: Math.round(performance.now() - started),
		});
		if (!options.json) options.output.write(`\n${formatReport(report, options.color)}\n`);
		// ipvtap itself was started by its first command, and ends with its last guest.
		await progress.step('Shutting down', () => Promise.all(guests.map(guest => guest.stop())));
		if (options.json) options.output.write(`${JSON.stringify(report)}\n`);
		return report;
	} catch (error) {
		progress.say(await readFile(join(state, 'ipvtapd.log'), 'utf8').catch(() => ''));
		throw error;
	} finally {
		await Promise.all(guests.map(guest => guest.stop()));
		await lan.close();
	}
}

interface Vm {
	name: string;
	ipv4: string;
	ipv6: string;
}

const vms: readonly Vm[] = [
	{ name: 'vm1', ipv4: '192.0.2.11', ipv6: '2001:db8:1::11' },
	{ name: 'vm2', ipv4: '192.0.2.12', ipv6: '2001:db8:1::12' },
];

/** Boots both at once. Both are waited for, so that neither is still starting while the LAN is taken down. */
async function bootAll(guests: Guest[], ipvtap: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
	const boots = await Promise.allSettled(vms.map(vm => bootGuest(vm, ipvtap, env)));
	for (const boot of boots) if (boot.status === 'fulfilled') guests.push(boot.value);
	for (const boot of boots) if (boot.status === 'rejected') throw boot.reason;
	await Promise.all(guests.map(guest => guest.addressesReady()));
}

function bootGuest(
	{ name, ipv4, ipv6 }: Vm,
	ipvtap: readonly string[],
	env: NodeJS.ProcessEnv,
): Promise<Guest> {
	return Guest.boot({
		name,
		env,
		prefix: [...ipvtap, 'run', '--master', 'eth0', '--name', name, '--ip', ipv4, '--ip', ipv6, '--'],
		addresses: { eth0: [`${ipv4}/24`, `${ipv6}/64`] },
		via: [lanMembers.router.ipv4],
	});
}

function peersOf(lan: Lan, guests: readonly Guest[]): Peer[] {
	const members = ['host', 'laptop', 'router'] as const;
	return [...guests.map(guestPeer), ...members.map(name => lanPeer(lan, name))];
}

function guestPeer(guest: Guest): Peer {
	const { ipv4, ipv6 } = vms.find(vm => vm.name === guest.name)!;
	return { name: guest.name, ipv4, ipv6, run: script => guest.run(script) };
}

function lanPeer(lan: Lan, name: 'host' | 'laptop' | 'router'): Peer {
	const { ipv4, ipv6 } = lanMembers[name];
	return { name, ipv4, ipv6, run: script => lan[name].run('sh', ['-c', script]) };
}

function judge(reach: Reach[], macs: SeenMac[], times: Pick<DemoReport, 'bootMs' | 'totalMs'>): DemoReport {
	const masterMac = lanMembers.host.mac;
	const oneMac = macs.length === 1 && macs[0]!.mac === masterMac && macs[0]!.dropped === 0;
	return { ok: oneMac && reach.every(one => one.ok), reach, switch: { masterMac, macs }, ...times };
}

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
