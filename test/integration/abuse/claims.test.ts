/**
 * Guests that use addresses which nobody here owns: whoever may learn them gets none that would bring it the traffic
 * of others, and whoever takes them by the thousand gets a handful.
 */

import test from 'ava';
import { linkLocalText } from '../../../src/datapath/address-key.js';
import { lanMembers } from '../../../src/lab/lan.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { books, difference, sum } from '../datapath/accounting.js';
import {
	arp,
	broadcastMac,
	ethernet,
	icmpv6,
	ipv4,
	ipv6,
	neighbour,
	routerAdvertisement,
	udp,
} from '../datapath/frames.js';
import { type Attacker, Place } from './place.js';
import { changes, hear } from './testimony.js';
import { FORGED } from './truth.js';

const { router, laptop } = lanMembers;
/** Somewhere beyond the router: as anybody's name server is. */
const server = '198.51.100.53';
const server6 = '2001:db8:53::53';

let place: Place;
/** May learn. */
let thief: Attacker;

test.before(async () => {
	place = await Place.create('claim-');
	const { lan } = place;
	await lan.router.ip(`address add ${server}/32 dev lo`, `address add ${server6}/128 dev lo`);
	for (const namespace of [lan.host, place.victim.namespace])
		await namespace.ip(`route replace ${server6} via ${router.ipv6}`);
	thief = await place.attacker('thief', undefined);
	thief.ipv4 = '192.0.2.14';
	thief.ipv6 = '2001:db8:1::14';
	// Its own address; the first time it is heard of.
	thief.end.send(fromAddress(thief.ipv4));
	await until('it to have learned its address', 20_000, async () =>
		(await addressesOf('thief')).includes(thief.ipv4),
	);
});

test.after.always(() => place?.close());

test.serial('nobody takes the traffic of victim and host to a server far away', async t => {
	const { lan, victim } = place;
	const before = await books(place, thief);
	place.listen();
	for (const frame of [fromAddress(server), fromAddress6(server6), claim(server), claim(server)])
		thief.end.send(frame);
	place.settle(thief);
	const after = await books(place, thief);
	t.deepEqual(difference(after.stats.drops, before.stats.drops), { 'off-link': 4 });
	for (const namespace of [lan.host, victim.namespace]) {
		for (const address of [server, server6])
			t.is(
				(await namespace.run('ping', ['-c1', '-W5', '-q', address])).rc,
				0,
				`${namespace.name} to ${address}`,
			);
	}
	t.true((await lan.host.exec('ip', ['route', 'get', server])).includes(`via ${router.ipv4} dev eth0`));
	t.is(thief.end.drain().filter(({ frame }) => frame.includes('198.51.100')).length, 0);
});

test.serial(
	"nobody takes the router's link-local address, which hosts know from its advertisements",
	async t => {
		const { evil, lan, victim } = place;
		const text = await lan.router.exec('ip', ['-6', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'link']);
		const linkLocal = /fe80::[0-9a-f:]+/.exec(text)![0];
		t.true((await victim.exec('ip', ['-6', 'route'])).includes(`default via ${linkLocal}`));
		// What routers say to all every few minutes; a single guest's question may be answered to it alone.
		const body = routerAdvertisement(router.mac);
		place.listen();
		place.ears.wire.send(
			ethernet(
				'33:33:00:00:00:01',
				router.mac,
				0x86dd,
				ipv6(
					{ source: linkLocal, destination: 'ff02::1', next: 58, hopLimit: 255 },
					icmpv6([linkLocal, 'ff02::1'], 134, 0, body),
				),
			),
		);
		place.ears.victim.receiveUntil(({ frame }) => frame[20] === 58 && frame[54] === 134);
		const before = await books(place, evil);
		for (const source of [linkLocal, evil.ipv6]) evil.end.send(advertise(evil, source, linkLocal));
		place.settle();
		const after = await books(place, evil);
		t.deepEqual(difference(after.stats.drops, before.stats.drops), { 'gateway-address': 2 });
		t.is((await victim.run('ping', ['-c1', '-W5', '-q', `${linkLocal}%eth0`])).rc, 0);
		t.false((await victim.exec('ip', ['-6', 'neigh'])).includes(evil.mac));
	},
);

test.serial('a guest that comes later gets the link-local address that it makes of its MAC', async t => {
	const { evil, lan, product } = place;
	const mac = '52:54:00:66:00:01';
	const linkLocal = 'fe80::5054:ff:fe66:1';
	evil.end.send(fromAddress6(linkLocal, evil));
	await until('evil to have taken it', 20_000, async () => (await addressesOf('evil')).includes(linkLocal));
	const slave = await product.attach('newcomer', 'eth0', ['192.0.2.15'], '--mac', mac);
	t.false((await addressesOf('evil')).includes(linkLocal));
	const guest = await StackGuest.start({
		name: 'claim-newcomer',
		slave: { namespace: lan.host, ifname: slave.ifname },
		mac,
		addresses: ['192.0.2.15/24'],
	});
	t.teardown(() => guest.stop());
	const before = await books(place, evil);
	// Meanwhile evil says that it has the address, and that it looks for it too.
	const denials = [advertise(evil, evil.ipv6, linkLocal), advertise(evil, linkLocal, linkLocal)];
	for (let count = 0; count < 10; count++) for (const frame of denials) evil.end.send(frame);
	await guest.addressesReady();
	for (const frame of denials) evil.end.send(frame);
	place.settle();
	const after = await books(place, evil);
	const drops = difference(after.stats.drops, before.stats.drops);
	t.is(sum(drops), 22);
	t.deepEqual(
		Object.keys(drops).filter(reason => reason !== 'ip-spoof' && reason !== 'nd-spoof'),
		[],
	);
	t.true((await addressesOf('newcomer')).includes(linkLocal));
});

test.serial('a guest that sets itself up with the addresses of others has a network of its own', async t => {
	const { lan, product, truth } = place;
	const slave = await product.attach('liar', 'eth0', ['192.0.2.16', '2001:db8:1::16']);
	const [ofVictim] = /fe80::[0-9a-f:]+/.exec(
		await place.victim.exec('ip', ['-6', 'address', 'show', 'dev', 'eth0']),
	)!;
	const stolen = ['192.0.2.12/24', `${lanMembers.host.ipv4}/24`, `${router.ipv4}/24`, '2001:db8:1::12/64'];
	const guest = await StackGuest.start({
		name: 'claim-liar',
		slave: { namespace: lan.host, ifname: slave.ifname },
		mac: slave.mac,
		addresses: [...stolen, `${ofVictim}/64`],
		dad: false,
	});
	t.teardown(() => guest.stop());
	truth.know(slave.mac, ['192.0.2.16', '2001:db8:1::16', linkLocalText(slave.mac)]);
	place.listen();
	const attempts = ['192.0.2.12', lanMembers.host.ipv4, router.ipv4].flatMap(address => [
		['arping', '-c2', '-w1', '-i', '0.1', '-U', '-I', 'eth0', address],
		['ping', '-c2', '-i0.1', '-W1', '-q', '-I', address, laptop.ipv4],
	]);
	attempts.push(['ping', '-c2', '-i0.1', '-W1', '-q', '-I', '2001:db8:1::12', laptop.ipv6]);
	attempts.push(['ping', '-c2', '-i0.1', '-W1', '-q', '-I', `${ofVictim}%eth0`, 'ff02::1%eth0']);
	await Promise.all(attempts.map(([file, ...args]) => guest.run(file!, args)));
	const heard = place.settle();
	const lies = (['wire', 'victim', 'host'] as const).flatMap(where =>
		heard[where].flatMap(({ frame }) => truth.lie(frame, where) ?? []),
	);
	t.deepEqual(lies, []);
	const { drops } = await product.stats('liar');
	t.log(drops);
	t.true(drops['arp-spoof']! > 0 && drops['nd-spoof']! > 0);
	t.is((await place.victim.run('ping', ['-c1', '-W5', '-q', laptop.ipv4])).rc, 0);
});

test.serial(
	'thousands of addresses: a handful is learned, the rest is counted, nobody else notices',
	async t => {
		const { pulse, ears } = place;
		const before = await books(place, thief);
		place.listen();
		pulse.pace();
		const total = 4000;
		let sent = 0;
		for (let count = 0; count < total; count++) {
			thief.end.send(
				count % 2 === 0
					? fromAddress6(`2001:db8:1::a:${count.toString(16)}`)
					: fromAddress(`192.0.2.${160 + (count % 64)}`),
			);
			sent++;
			if (count % 100 === 99) {
				ears.wire.drain();
				await books(place, thief);
			}
		}
		place.settle();
		const after = await books(place, thief);
		const { asked, answered } = await pulse.rest();
		const addresses = await addressesOf('thief');
		const drops = difference(after.stats.drops, before.stats.drops);
		t.log(`${addresses.length} of ${sent} addresses`, drops);
		t.true(addresses.length <= 12, 'the quota: 4 and 8');
		t.true((drops['learn-budget'] ?? 0) > 1000);
		t.deepEqual(
			Object.keys(drops).filter(
				reason =>
					!['learn-budget', 'slow-budget', 'backlog-budget', 'duplicate-address', 'tentative'].includes(
						reason,
					),
			),
			[],
		);
		t.is(answered, asked);
		t.true((await addressesOf('victim')).includes('192.0.2.12'));
	},
);

test.serial('whoever speaks from the address of a neighbour on the LAN is not heard at all', async t => {
	const { lan, truth } = place;
	// It has used up its budget, and had better have an address of its own to be asked by.
	await place.product.json('set', 'thief', '--limit', 'learn=none');
	thief.end.send(fromAddress(thief.ipv4));
	await until('it to have its own address', 20_000, async () =>
		(await addressesOf('thief')).includes(thief.ipv4),
	);
	// Of what it has learned before, some may still be announced.
	truth.know(thief.mac, [thief.ipv4, thief.ipv6, ...(await addressesOf('thief'))]);
	const [linkLocal] = /fe80::[0-9a-f:]+/.exec(
		await lan.laptop.exec('ip', ['-6', 'address', 'show', 'dev', 'eth0']),
	)!;
	const before = [await hear(place), await books(place, thief)] as const;
	const drops = async (): Promise<Record<string, number>> =>
		difference((await books(place, thief)).stats.drops, before[1].stats.drops);
	place.listen();
	const lies = [
		claim(laptop.ipv4),
		...[router, { mac: place.victimMac, ipv4: '192.0.2.12' }, lanMembers.host].map(replyTo),
		fromAddress(laptop.ipv4),
		...[laptop.ipv6, linkLocal].flatMap(address => [
			advertise(thief, address, address),
			advertise(thief, thief.ipv6, address),
			fromAddress6(address),
		]),
	];
	for (const frame of lies) thief.end.send(frame);
	// The laptop answers the port's questions: who claims is told that it may not, and all that it said is forgotten.
	await until('every frame to be refused', 10_000, async () => sum(await drops()) >= lies.length);
	// And again, now that it is known.
	for (const frame of lies) thief.end.send(frame);
	const heard = place.settle(thief);
	const told = (['wire', 'victim', 'host'] as const).flatMap(where =>
		heard[where].flatMap(({ frame }) => truth.lie(frame, where) ?? []),
	);
	t.deepEqual(told, []);
	// Its own addresses may come and go; what others believe of their neighbours may not.
	const beliefs = changes(place, before[0], await hear(place)).filter(change => change.includes('believes'));
	t.deepEqual(beliefs, []);
	const counted = await drops();
	t.log(counted);
	t.is(sum(counted), 2 * lies.length);
	t.true((counted['duplicate-address'] ?? 0) > lies.length, 'not for the budget alone');
	const own = await addressesOf('thief');
	t.deepEqual(
		own.filter(address => [laptop.ipv4, laptop.ipv6, linkLocal].includes(address)),
		[],
	);
	for (const namespace of [lan.router, lan.host, place.victim.namespace])
		t.is((await namespace.run('ping', ['-c1', '-W1', '-q', laptop.ipv4])).rc, 0, namespace.name);
});

async function addressesOf(name: string): Promise<string[]> {
	const { slaves } = await place.product.list();
	return slaves.find(slave => slave.name === name)!.addresses.map(({ address }) => address);
}

function fromAddress(source: string): Buffer {
	const payload = udp(9, 9, FORGED, [source, laptop.ipv4]);
	return ethernet(laptop.mac, thief.mac, 0x0800, ipv4({ source, destination: laptop.ipv4 }, payload));
}

function fromAddress6(source: string, from: Attacker = thief): Buffer {
	const payload = udp(9, 9, FORGED, [source, laptop.ipv6]);
	return ethernet(laptop.mac, from.mac, 0x86dd, ipv6({ source, destination: laptop.ipv6 }, payload));
}

function claim(sender: string): Buffer {
	return ethernet(
		broadcastMac,
		thief.mac,
		0x0806,
		arp({ operation: 1, senderMac: thief.mac, sender, target: sender }),
	);
}

/** The laptop's address is at the thief's, somebody is told who may or may not have asked. */
function replyTo({ mac, ipv4: target }: { mac: string; ipv4: string }): Buffer {
	const fields = { operation: 2, senderMac: thief.mac, sender: laptop.ipv4, targetMac: mac, target };
	return ethernet(mac, thief.mac, 0x0806, arp(fields));
}

function advertise(from: Attacker, source: string, target: string): Buffer {
	const body = neighbour(0x20000000, target, { type: 2, mac: from.mac });
	return ethernet(
		'33:33:00:00:00:01',
		from.mac,
		0x86dd,
		ipv6(
			{ source, destination: 'ff02::1', next: 58, hopLimit: 255 },
			icmpv6([source, 'ff02::1'], 136, 0, body),
		),
	);
}
