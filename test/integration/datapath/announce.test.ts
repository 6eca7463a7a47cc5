/**
 * What the LAN hears of guests' addresses, and when: with a neighbour on the wire that has a Linux stack, so that
 * its neighbour table is what counts, and a raw socket beside it that hears everything.
 */
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { FrameEnd, openGuest, within } from '../../helpers/tap-guest.js';
import { arp, ethernet, macText } from './frames.js';
import { far, type Guest, host, Site } from './site.js';

let site: Site;
/** Hears all, what the port says by itself too. */
let ear: FrameEnd;

test.before(async () => {
	site = await Site.create('announce', { up: ['--ageing', '2'] });
	// A daemon that was started by a command ends with its last slave, and forgets how the master was brought up.
	await site.product.attach('resident', 'eth0', []);
	ear = within(site.wire, () => new FrameEnd(openPacketSocket(requireLink('far').ifindex)));
});

test.after.always(async () => {
	ear?.close();
	await site?.close();
});

test.serial('a slave is announced when somebody opens its TAP, and not before', async t => {
	const slave = await site.product.attach('late', 'eth0', ['192.0.2.50', '2001:db8:1::50']);
	ear.drain();
	// Whoever asks the daemon something gets the answer behind all that it did before.
	await site.product.list();
	t.deepEqual(heard(['192.0.2.50']), []);
	const guest = openGuest(site.host, slave.ifname);
	t.deepEqual(await hear(3, '192.0.2.50'), ['probe', 'probe', 'announcement']);
	t.is((await hear(1, '192.0.2.50'))[0], 'announcement');
	guest.close();
	await site.product.detach('late');
});

test.serial('a neighbour that knew another MAC for it knows the right one', async t => {
	const neighbours = async (): Promise<string> =>
		(await site.wire.exec('ip', ['-j', 'neigh', 'show', '192.0.2.51'])).toLowerCase();
	await site.wire.ip(
		'address add 192.0.2.9/24 dev far',
		'link set far arp on',
		'neigh replace 192.0.2.51 lladdr 02:99:99:99:99:99 nud stale dev far',
	);
	await site.guest('mover', 51);
	await until(
		'the neighbour to know',
		20_000,
		async () => (await neighbours()).includes(host.mac) || undefined,
	);
	await site.wire.ip('link set far arp off', 'address del 192.0.2.9/24 dev far');
	t.pass();
	await site.product.detach('mover');
});

test.serial(
	'the master has another MAC, and its link comes back: each time everybody is announced',
	async t => {
		const guest = await site.guest('here', 52);
		await hear(4, guest.ipv4);
		await site.host.ip('link set eth0 address 02:1a:00:00:00:99');
		t.deepEqual(await hear(1, guest.ipv4, '02:1a:00:00:00:99'), ['announcement']);
		await site.host.ip(`link set eth0 address ${host.mac}`);
		t.deepEqual(await hear(1, guest.ipv4), ['announcement']);
		await hear(1, guest.ipv4);
		await site.wire.ip('link set far down');
		await site.wire.ip('link set far up');
		t.deepEqual(await hear(1, guest.ipv4), ['announcement']);
		await site.product.detach('here');
	},
);

test.serial('another machine answers for a given address: it is said, and the guest keeps it', async t => {
	const guest = await site.guest('given', 53);
	await hear(1, guest.ipv4);
	await until('the duplicate to be known', 20_000, async () => {
		ear.send(answerTo(guest.ipv4));
		const entry = (await slaveOf('given')).addresses.find(({ address }) => address === guest.ipv4);
		return entry?.duplicate === far.mac || undefined;
	});
	const { stdout } = await site.product.ipvtap(['list']);
	t.true(stdout.includes(`duplicate: ${far.mac}`), stdout);
	// The guest itself is told, as by any LAN.
	guest.end.receiveUntil(({ frame }) => frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 2);
	await site.product.detach('given');
});

test.serial('an address that another machine has can not be learned', async t => {
	const guest = await learner('thief');
	guest.end.send(site.marker({ mac: guest.mac, ipv4: '192.0.2.60' }, far));
	t.deepEqual(await hear(1, '192.0.2.60'), ['probe']);
	const refused = async (): Promise<number> => (await site.stats('thief')).drops['duplicate-address'] ?? 0;
	await until('the claim to be refused', 20_000, async () => {
		ear.send(answerTo('192.0.2.60'));
		return (await refused()) === 1;
	});
	guest.end.send(site.marker({ mac: guest.mac, ipv4: '192.0.2.60' }, far));
	await until('it to be refused at once', 20_000, async () => (await refused()) === 2);
	t.deepEqual((await slaveOf('thief')).addresses, []);
	t.false(heard(['192.0.2.60']).includes('announcement'));
	guest.end.close();
	await site.product.detach('thief');
});

test.serial(
	"the gateway of the host's routes can't be learned, from the moment there is such a route",
	async t => {
		await site.host.ip('route add 198.51.100.0/24 via 192.0.2.254');
		// The daemon hears of the route when it does; whoever was quicker than that keeps the address.
		const guest = await until('the gateway to be protected', 20_000, async () => {
			const quick = await learner('router');
			quick.end.send(site.marker({ mac: quick.mac, ipv4: '192.0.2.254' }, far));
			const refused = await until('the frame to be judged', 20_000, async () => {
				const { drops, queued, tx } = await site.stats('router');
				return tx.packets > 0 && queued === 0 ? { times: drops['gateway-address'] ?? 0 } : undefined;
			});
			if (refused.times > 0) return quick;
			quick.end.close();
			await site.product.detach('router');
			return undefined;
		});
		await site.host.ip('route del 198.51.100.0/24');
		await until('the address to be free again', 20_000, async () => {
			guest.end.send(site.marker({ mac: guest.mac, ipv4: '192.0.2.254' }, far));
			return (await slaveOf('router')).addresses[0]?.address === '192.0.2.254' || undefined;
		});
		t.pass();
		guest.end.close();
		await site.product.detach('router');
	},
);

test.serial('a guest that answers keeps what it learned, one that is silent loses it', async t => {
	const guest = await learner('quiet');
	guest.end.send(site.marker({ mac: guest.mac, ipv4: '192.0.2.61' }, far));
	const question = ({ frame }: { frame: Buffer }): boolean =>
		frame.readUInt16BE(12) === 0x0806 && frame.readUInt32BE(28) === 0 && frame.readUInt16BE(20) === 1;
	guest.end.receiveUntil(question);
	guest.end.send(
		ethernet(
			host.mac,
			guest.mac,
			0x0806,
			arp({
				operation: 2,
				senderMac: guest.mac,
				sender: '192.0.2.61',
				targetMac: host.mac,
				target: '0.0.0.0',
			}),
		),
	);
	// The next one comes only when the answer has been believed in for its time: not two seconds later, but after it.
	const asked = performance.now();
	guest.end.receiveUntil(question);
	t.true(performance.now() - asked > 1500);
	t.is((await slaveOf('quiet')).addresses[0]?.address, '192.0.2.61');
	await until('the address to be forgotten', 15_000, async () => {
		return (await slaveOf('quiet')).addresses.length === 0 || undefined;
	});
	guest.end.close();
	await site.product.detach('quiet');
});

test.serial(
	'a daemon that was killed gives back what a guest had learned; a guest that went meanwhile has none',
	async t => {
		const [stays, goes] = [await learner('stays'), await learner('goes')];
		stays.end.send(site.marker({ mac: stays.mac, ipv4: '192.0.2.62' }, far));
		goes.end.send(site.marker({ mac: goes.mac, ipv4: '192.0.2.63' }, far));
		await until('both to be written down', 20_000, async () => {
			const state = site.product.state();
			return (state.includes('192.0.2.62') && state.includes('192.0.2.63')) || undefined;
		});
		await site.product.signalDaemon('SIGKILL');
		goes.end.close();
		const addresses = async (name: string): Promise<string[]> =>
			(await slaveOf(name)).addresses.map(({ address }) => address);
		await site.product.up('eth0');
		t.deepEqual(await addresses('stays'), ['192.0.2.62']);
		t.deepEqual(await addresses('goes'), []);
		stays.end.close();
		await until(
			'the address to go with its guest',
			20_000,
			async () => (await addresses('stays')).length === 0 || undefined,
		);
		for (const name of ['stays', 'goes']) await site.product.detach(name);
	},
);

async function slaveOf(name: string): Promise<Slave> {
	return (await site.product.list()).slaves.find(slave => slave.name === name) as Slave;
}

/** A slave that may learn, with nothing given. */
async function learner(name: string): Promise<Pick<Guest, 'mac' | 'end'>> {
	const { ifname, mac } = await site.product.attach(name, 'eth0', []);
	return { mac, end: openGuest(site.host, ifname) };
}

/** What is said about an address, as the next `count` frames about it. */
async function hear(count: number, address: string, mac: string = host.mac): Promise<string[]> {
	const words: string[] = [];
	while (words.length < count) {
		const [frame] = ear
			.receiveUntil(received => speechAbout(received.frame, [address]) !== undefined)
			.slice(-1);
		if (macText(frame!.frame.subarray(6, 12)) === mac) words.push(speechAbout(frame!.frame, [address])!);
	}
	return words;
}

/** What has been said by now. */
function heard(addresses: readonly string[]): string[] {
	return ear.drain().flatMap(({ frame }) => speechAbout(frame, addresses) ?? []);
}

function speechAbout(frame: Buffer, addresses: readonly string[]): string | undefined {
	if (frame.readUInt16BE(12) !== 0x0806 || frame.readUInt16BE(20) !== 1) return undefined;
	const [sender, target] = [frame.subarray(28, 32), frame.subarray(38, 42)];
	if (!addresses.includes([...target].join('.'))) return undefined;
	if (sender.every(byte => byte === 0)) return 'probe';
	return sender.equals(target) ? 'announcement' : undefined;
}

/** Another machine's answer to the port's probe. */
function answerTo(address: string): Buffer {
	return ethernet(
		host.mac,
		far.mac,
		0x0806,
		arp({ operation: 2, senderMac: far.mac, sender: address, targetMac: host.mac, target: '0.0.0.0' }),
	);
}
