/**
 * A domain's whole life, with something restarted between any two of its steps. One walk sees one kind of restart in
 * each gap; the next walk sees the next kind there. `TEST_RESTARTS=6` takes them all, some 40 s each; otherwise it is one.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { GuestAgent } from '../../../src/lab/guest-agent.js';
import { until } from '../../../src/lab/wait.js';
import { assertClean } from './clean.js';
import { interfaceXml } from './domain-xml.js';
import { LibvirtHost } from './libvirt-host.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11', '2001:db8:1::11'] };
const late = { target: 'ipvt-late', mac: '52:54:00:00:00:99', addresses: ['192.0.2.19'], absent: true };
const nics = [web1, late];

let host: LibvirtHost;
test.before(async () => {
	host = await LibvirtHost.create();
});
test.after.always(() => host?.close());
test.afterEach.always(t => assertClean(t, host));

const restarts: [string, () => Promise<void>][] = [
	['libvirtd, SIGTERM', () => restart('SIGTERM', ['libvirt'])],
	['ipvtapd, SIGKILL', () => restart('SIGKILL', ['ipvtap'])],
	['both, SIGKILL', () => restart('SIGKILL', ['ipvtap', 'libvirt'])],
	['libvirtd, SIGKILL', () => restart('SIGKILL', ['libvirt'])],
	['ipvtapd, SIGTERM', () => restart('SIGTERM', ['ipvtap'])],
	[
		"both, SIGTERM, so that libvirtd's hook finds no ipvtapd",
		() => restart('SIGTERM', ['libvirt', 'ipvtap']),
	],
];

/** How things are to be after a step, in libvirt's view, in ours, and in the kernel. */
interface Expected {
	/** libvirt's word for its state; null where it knows no such domain. */
	domain: string | null;
	/** Slaves and libvirt's aliases of them. */
	slaves?: Record<string, string>;
	/** Does the domain have reservations in place of slaves? */
	saved?: boolean;
}

const off: Expected = { domain: 'shut off' };
const running: Expected = { domain: 'running', slaves: { web1: 'net0' } };
const addressesOf: Record<string, string[]> = {
	web1: web1.addresses,
	late: late.addresses,
	web2: ['192.0.2.12'],
};

let agent: GuestAgent;
const steps: [string, Expected, () => Promise<unknown>][] = [
	['define', off, () => host.define({ name: 'web', nics, agent: host.agentPath })],
	['start', running, start],
	['ping through the master', running, () => host.answers('2001:db8:1::11')],
	['reboot', running, reboot],
	['attach-device', { ...running, slaves: { web1: 'net0', late: 'net1' } }, () => plug('attach-device')],
	[
		'attach --domain',
		{ ...running, slaves: { web1: 'net0', late: 'net1', web2: 'net2' } },
		() => host.ipvtap('attach', 'web2', '--master', 'eth0', '--ip', '192.0.2.12', '--domain', 'web'),
	],
	['save', { ...off, saved: true }, () => host.virsh('save', 'web', saved())],
	['restore', { ...running, slaves: { web1: 'net0', late: 'net1', web2: 'net2' } }, restore],
	['detach-device', { ...running, slaves: { web1: 'net0', web2: 'net2' } }, () => plug('detach-device')],
	['detach --domain', running, () => host.ipvtap('detach', 'web2', '--domain', 'web')],
	['SIGKILL of QEMU', off, async () => process.kill(await host.qemuPid('web'), 'SIGKILL')],
	['start again', running, start],
	['poweroff by the guest', off, async () => agent.post('poweroff -f')],
	['start once more', running, start],
	['destroy', off, () => host.virsh('destroy', 'web')],
	['undefine', { domain: null }, () => host.virsh('undefine', 'web')],
];

for (let walk = 0; walk < Math.min(Number(process.env.TEST_RESTARTS ?? 1), restarts.length); walk++) {
	test.serial(`restarts between any two steps of a domain's life: walk ${walk + 1}`, async t => {
		for (const [index, [step, expected, act]] of steps.entries()) {
			await act();
			await assertAgreement(t, expected, step);
			const [what, go] = restarts[(index + walk) % restarts.length]!;
			await go();
			await assertAgreement(t, expected, `${step}, restart of ${what}`);
		}
	});
}

/** @param daemons in the order in which they come back. */
async function restart(signal: NodeJS.Signals, daemons: ('ipvtap' | 'libvirt')[]): Promise<void> {
	for (const daemon of daemons)
		await (daemon === 'libvirt' ? host.stopLibvirt(signal) : host.stopIpvtapd(signal));
	for (const daemon of daemons) await (daemon === 'libvirt' ? host.startLibvirt() : host.startIpvtapd());
}

async function start(): Promise<void> {
	agent = await host.listen();
	await host.virsh('start', 'web');
	await host.isUp('web', agent);
}

async function reboot(): Promise<void> {
	agent.post('reboot -f');
	await until('the guest to be gone', 20_000, async () => !(await host.pings('192.0.2.11')));
	await host.answers('192.0.2.11');
}

/** libvirt's own TAP, of a name that is declared. */
function plug(command: 'attach-device' | 'detach-device'): Promise<string> {
	const file = join(host.lan.folder, 'nic.xml');
	writeFileSync(file, interfaceXml(late).replace(" managed='no'", ''));
	return host.virsh(command, 'web', file);
}

async function restore(): Promise<void> {
	await host.listen();
	await host.virsh('restore', saved());
}

function saved(): string {
	return join(host.lan.folder, 'web.save');
}

/** Some of it takes a moment: a guest lets go of a device, libvirtd notices that a QEMU is gone. */
async function assertAgreement(t: ExecutionContext, expected: Expected, when: string): Promise<void> {
	const wanted = pictureOf(expected);
	let seen: unknown;
	await until(when, 20_000, async () => {
		seen = await look();
		return JSON.stringify(seen) === JSON.stringify(wanted);
	}).catch(() => undefined);
	t.deepEqual(seen, wanted, when);
	if (expected.domain === 'running') await host.answers('192.0.2.11');
}

function pictureOf({ domain, slaves = {}, saved = false }: Expected) {
	const names = Object.keys(slaves).sort();
	return {
		libvirt: domain,
		// What libvirt says of a domain that doesn't run is its definition.
		devices: domain === 'running' ? names.map(name => `ipvt-${name}`) : [],
		slaves: names.map(name => ({
			name,
			state: 'up',
			domain: 'web running',
			alias: slaves[name],
			addresses: addressesOf[name],
		})),
		declared: domain === 'running' ? ['web running'] : saved ? ['web saved'] : [],
		taps: names.map(name => `ipvt-${name}`),
		routes: names.flatMap(name => addressesOf[name] ?? []).sort(),
	};
}

async function look(): Promise<ReturnType<typeof pictureOf>> {
	const { rc, out } = await host.tryVirsh('domstate', 'web');
	const domain = rc === 0 ? out.trim() : null;
	const devices = domain === 'running' ? await host.virsh('domiflist', 'web') : '';
	const { slaves, domains = [] } = await host.list();
	const traces = await host.traces();
	return {
		libvirt: domain,
		devices: [...devices.matchAll(/^ ?(\S+) +ethernet/gm)].map(([, target = '']) => target).sort(),
		slaves: slaves
			.map(({ name, state, domain: of, addresses }) => ({
				name,
				state,
				domain: `${of?.name} ${of?.state}`,
				alias: of?.alias,
				addresses: addresses.filter(({ origin }) => origin === 'static').map(({ address }) => address),
			}))
			.sort((a, b) => (a.name < b.name ? -1 : 1)),
		declared: domains.map(({ name, state }) => `${name} ${state}`),
		taps: traces.filter(trace => trace.startsWith('ipvt-')).sort(),
		routes: traces
			.filter(trace => !trace.startsWith('ipvt-') && !(slaves.length > 0 && trace.startsWith('a filter')))
			.map(trace => trace.split(' ')[0] ?? '')
			.sort(),
	};
}
