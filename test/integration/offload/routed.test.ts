/**
 * The offload in l3 and l3s when things go wrong: guests that are routed go on without their daemon, the kernel's own
 * neighbours are followed meanwhile, and a change of the mode under traffic lets nothing forged through.
 */
import { serialWith } from '../../helpers/kernel-age.js';
import { arp, broadcastMac, ethernet } from '../datapath/frames.js';
import { far, type Guest, host, Site } from '../datapath/site.js';
import { Flows } from './flows.js';

const linkLocal = 'fe80::3';
const afar = '203.0.113.9';

async function place(
	name: string,
	mode: string,
	attach: string,
): Promise<{ site: Site; flows: Flows; one: Guest }> {
	const site = await Site.create(name, {
		up: ['--offload', 'tc-bpf', '--mode', mode],
		env: { IPVTAP_TC_ATTACH: attach },
		sharesMounts: true,
	});
	// Whom the test plays answers no questions.
	await site.host.ip(`neighbour replace ${far.ipv4} lladdr ${far.mac} nud permanent dev eth0`);
	// RFC 5549: an IPv4 route by a router's IPv6 address.
	await site.host.ip(
		`neighbour replace ${linkLocal} lladdr ${far.mac} nud permanent dev eth0`,
		`route add ${afar} via inet6 ${linkLocal} dev eth0`,
	);
	const one = await site.guest('one', 11);
	const flows = new Flows(site, one, await site.guest('two', 12), await site.guest('liar', 13));
	return { site, flows, one };
}

for (const [mode, attach] of [
	['l3', 'tcx'],
	['l3', 'clsact'],
	['l3s', 'tcx'],
] as const) {
	serialWith(attach)(`${mode}, ${attach}: kill -9 and a restart under traffic`, async t => {
		const { site, flows, one } = await place(`${mode}-${attach}`, mode, attach);
		t.teardown(() => site.close());
		t.teardown(() => flows.close());
		await flows.runWhile(30);
		flows.verify(t, 'before');
		if (mode === 'l3') t.true(getsAfar(site, one));

		await site.product.signalDaemon('SIGKILL');
		await flows.runWhile(200);
		flows.verify(t, 'without a daemon');
		t.true(isAnswered(one, '192.0.2.12'), 'a guest is told the way to another');
		t.true(isAnswered(one, far.ipv4), 'and to the LAN');
		t.true(isAnswered({ ...far, end: site.far }, one.ipv4), 'the LAN is told the way to a guest');
		if (mode === 'l3') {
			t.true(getsAfar(site, one), 'IPv4 by a neighbour of IPv6');
			await neighbourIsKept(site, one, t);
		}

		await flows.runWhile(50, site.product.daemon());
		flows.verify(t, 'with the next daemon');
		const { masters } = await site.product.list();
		t.deepEqual(
			masters.map(({ offload, offloadDetail, mode: now }) => ({ offload, offloadDetail, now })),
			[{ offload: 'tc-bpf', offloadDetail: attach, now: mode }],
		);
		await site.host.ip(`route del ${afar}`);
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	});
}

serialWith('tcx')('the mode can be changed under traffic, and the other way stays shut', async t => {
	const { site, flows } = await place('modes', 'l2', 'tcx');
	t.teardown(() => site.close());
	t.teardown(() => flows.close());
	for (const mode of ['l3', 'l3s', 'l2']) {
		const done = site.product.json<{ mode: string; offload: string }>('set', 'eth0', '--mode', mode);
		await flows.runWhile(10, done);
		const { mode: now, offload } = await done;
		t.deepEqual({ now, offload }, { now: mode, offload: 'tc-bpf' });
		t.is(flows.forgedArrivals, 0);
		flows.forget();
		await flows.runWhile(50);
		flows.verify(t, mode);
	}
});

/** Whether a question for an address is answered with the master's MAC. */
function isAnswered({ mac, ipv4, end }: Pick<Guest, 'mac' | 'ipv4' | 'end'>, target: string): boolean {
	const question = { operation: 1, senderMac: mac, sender: ipv4, targetMac: '00:00:00:00:00:00', target };
	const answer = arp({ operation: 2, senderMac: host.mac, sender: target, targetMac: mac, target: ipv4 });
	end.send(ethernet(broadcastMac, mac, 0x0806, arp(question)));
	return end.receiveUntil(({ frame }) => frame.includes(answer)).length > 0;
}

function getsAfar(site: Site, one: Guest): boolean {
	const frame = site.marker(one, { mac: host.mac, ipv4: afar });
	one.end.send(frame);
	const isIt = ({ frame: seen }: { frame: Buffer }) => seen.includes(frame.subarray(42));
	const [arrived] = site.far.receiveUntil(isIt).slice(-1);
	return arrived!.frame.subarray(0, 6).toString('hex') === far.mac.replaceAll(':', '');
}

/** What goes to a stale neighbour has the kernel ask whether it still lives; and its MAC is the kernel's, not the daemon's. */
async function neighbourIsKept(
	site: Site,
	one: Guest,
	t: { is: (a: unknown, b: unknown, message: string) => void; true: (a: boolean, message: string) => void },
): Promise<void> {
	const moved = '02:1a:00:00:00:33';
	const state = async (): Promise<string> => {
		const json = await site.host.exec('ip', ['-j', 'neighbour', 'show', far.ipv4, 'dev', 'eth0']);
		return (JSON.parse(json) as { state: string[] }[])[0]?.state[0] ?? 'none';
	};
	await site.host.ip(`neighbour replace ${far.ipv4} lladdr ${moved} nud stale dev eth0`);
	t.is(await state(), 'STALE', 'nobody asks by himself');
	const frame = site.marker(one, { mac: host.mac, ipv4: far.ipv4 });
	one.end.send(frame);
	const arrived = site.far.receiveUntil(({ frame: seen }) => seen.includes(frame.subarray(42))).at(-1);
	t.is(arrived?.frame.subarray(0, 6).toString('hex'), moved.replaceAll(':', ''), 'its new MAC');
	t.true(['DELAY', 'PROBE'].includes(await state()), 'it is confirmed');
	await site.host.ip(`neighbour replace ${far.ipv4} lladdr ${far.mac} nud permanent dev eth0`);
}
