/** Floods of MACs, loops that feed themselves, services that are not meant for guests, and frames of absurd size. */
import test from 'ava';
import { lanMembers } from '../../../src/lab/lan.js';
import { books, difference } from '../datapath/accounting.js';
import { broadcastMac, ethernet, ipv4, mac, tcp, udp, vnet } from '../datapath/frames.js';
import { type Attacker, Place } from './place.js';

const { host, laptop } = lanMembers;
const MACS = 100_000;

let place: Place;
let accomplice: Attacker;

test.before(async () => {
	place = await Place.create('flood-');
	accomplice = await place.attacker('friend', 18);
});

test.after.always(() => place?.close());

test.serial('a flood of source MACs: the switch learns none, each frame is counted', async t => {
	const { evil, pulse } = place;
	place.settle();
	const before = await books(place, evil);
	pulse.pace();
	const frame = packet(evil, laptop);
	const started = performance.now();
	for (let count = 0; count < MACS; count++) {
		frame.writeUInt16BE(0x0266, 6);
		frame.writeUInt32BE(count, 8);
		evil.end.send(frame);
	}
	const seconds = (performance.now() - started) / 1000;
	place.settle();
	const after = await books(place, evil);
	const { asked, answered } = await pulse.rest();
	const drops = difference(after.stats.drops, before.stats.drops);
	const ringFull = after.ringFull - before.ringFull;
	t.log(
		`${MACS} MACs in ${seconds.toFixed(1)} s; ${ringFull} found no room in the ring; ${answered} of ${asked} answers`,
	);
	t.deepEqual(Object.keys(drops), ['mac-spoof']);
	// The ring is everybody's: of what found no room, some was the victim's.
	const others = drops['mac-spoof']! + ringFull - MACS;
	t.true(others >= 0 && others <= asked - answered + 1, `${others}`);
	t.deepEqual(
		(await place.lan.macsSeen()).map(seen => seen.mac),
		[host.mac],
	);
	t.true(answered > 0);
});

test.serial('what the LAN throws back goes round no further', t => {
	const { evil, ears } = place;
	const everybody = { mac: broadcastMac, ipv4: '255.255.255.255' };
	for (const to of [everybody, { mac: laptop.mac, ipv4: '192.0.2.77' }]) {
		for (const disguise of [undefined, '02:77:77:77:77:77']) {
			place.settle();
			place.listen();
			const text = Buffer.from(`round ${to.ipv4} ${disguise}`);
			evil.end.send(packet(evil, to, text));
			let rounds = 0;
			// A reflector that lets the TTL be, and gives its own MAC as the source, or not.
			for (; rounds < 100; rounds++) {
				const [mine] = [...ears.wire.drain(), ...place.settle().wire].filter(({ frame }) =>
					frame.includes(text),
				);
				if (mine === undefined) break;
				if (disguise !== undefined) mine.frame.set(mac(disguise), 6);
				if (to !== everybody) mine.frame.set(mac(host.mac), 0);
				ears.wire.send(mine.frame);
			}
			t.is(rounds, 1, `${to.ipv4} from ${disguise ?? 'the same MAC'}`);
		}
	}
});

test.serial('two guests that repeat whatever they hear get no further than their budgets', async t => {
	const { evil, pulse, ears } = place;
	const before = [await books(place, evil), await books(place, accomplice)];
	place.listen();
	pulse.pace();
	const text = Buffer.from('again and again');
	const pair = [evil, accomplice];
	for (let count = 0; count < 20; count++)
		evil.end.send(packet(evil, { mac: broadcastMac, ipv4: '255.255.255.255' }, text));
	const started = performance.now();
	let onWire = 0;
	let repeated = 20;
	while (performance.now() - started < 1500) {
		for (const one of pair) {
			for (const { frame } of one.end.drain()) {
				if (!frame.includes(text)) continue;
				// Twice for each time that it was heard.
				const again = packet(one, { mac: broadcastMac, ipv4: '255.255.255.255' }, text);
				for (let twice = 0; twice < 2; twice++) one.end.send(again);
				repeated += 2;
			}
		}
		onWire += ears.wire.drain().filter(({ frame }) => frame.includes(text)).length;
		await new Promise(resolve => setImmediate(resolve));
	}
	onWire += place.settle().wire.filter(({ frame }) => frame.includes(text)).length;
	const seconds = (performance.now() - started) / 1000;
	const { asked, answered } = await pulse.rest();
	const after = [await books(place, evil), await books(place, accomplice)];
	t.log(
		`${repeated} sent, ${onWire} on the wire in ${seconds.toFixed(1)} s; ${answered} of ${asked} answers`,
	);
	t.true(onWire <= 2 * (2000 + 1000 * seconds) + 2);
	const refused = pair.map((_, index) => difference(after[index]!.stats.drops, before[index]!.stats.drops));
	t.log(refused);
	t.true(refused.every(drops => (drops['slow-budget'] ?? 0) > 0));
	t.is(answered, asked);
});

test.serial(
	"what a guest reaches of the host: its addresses, by way of the master's MAC, and nothing on its loopback",
	async t => {
		const { evil } = place;
		// Somebody's metadata service, and an address that the host has elsewhere.
		await place.host.ip('address add 169.254.169.254/32 dev lo', 'address add 198.51.100.77/32 dev lo');
		evil.end.drain();
		const ask = (destination: string): void =>
			evil.end.send(
				ethernet(
					host.mac,
					evil.mac,
					0x0800,
					ipv4(
						{ source: evil.ipv4, destination },
						udp(4000, 7, Buffer.from(destination), [evil.ipv4, destination]),
					),
				),
			);
		for (const destination of ['127.0.0.1', '127.0.0.53', '169.254.169.254', '198.51.100.77', host.ipv4])
			ask(destination);
		const answers = evil.end.receiveUntil(({ frame }) => answerIn(frame) === host.ipv4);
		t.deepEqual(
			answers.flatMap(({ frame }) => answerIn(frame) ?? []),
			['169.254.169.254', '198.51.100.77', host.ipv4],
		);
		// Sent to anybody else's MAC it is the LAN's, and the host never sees it.
		place.settle();
		place.listen();
		evil.end.send(packet(evil, { mac: laptop.mac, ipv4: '169.254.169.254' }));
		const heard = place.settle();
		t.is(heard.wire.filter(({ frame }) => frame.readUInt32BE(30) === 0xa9fea9fe).length, 1);
		t.is(heard.host.filter(({ frame }) => frame.readUInt32BE(30) === 0xa9fea9fe).length, 0);
	},
);

test.serial('jumbo frames and absurd offload requests: refused and counted, the victim goes on', async t => {
	const { evil, pulse, victimMac } = place;
	const victim = { mac: victimMac, ipv4: '192.0.2.12' };
	place.settle();
	const before = await books(place, evil);
	pulse.pace();
	const big = Buffer.alloc(9000);
	for (const to of [victim, laptop, host]) evil.end.send(packet(evil, to, big));
	const segments = (): Buffer => {
		const payload = tcp(1, 2, Buffer.alloc(30_000), [evil.ipv4, victim.ipv4]);
		return ethernet(
			victimMac,
			evil.mac,
			0x0800,
			ipv4({ source: evil.ipv4, destination: victim.ipv4, protocol: 6 }, payload),
		);
	};
	const header = { flags: 1, gsoType: 1, headerLength: 54, csumStart: 34, csumOffset: 16 };
	for (const gsoSize of [1, 7]) evil.end.send(segments(), vnet({ ...header, gsoSize }));
	place.settle();
	const after = await books(place, evil);
	const { asked, answered } = await pulse.rest();
	t.deepEqual(difference(after.stats.drops, before.stats.drops), { 'too-big': 3, 'bad-vnet-header': 2 });
	t.is(answered, asked);
});

function packet(
	from: Attacker,
	to: { mac: string; ipv4: string },
	payload: Uint8Array = Buffer.alloc(8),
): Buffer {
	const datagram = udp(9, 9, payload, [from.ipv4, to.ipv4]);
	return ethernet(to.mac, from.mac, 0x0800, ipv4({ source: from.ipv4, destination: to.ipv4 }, datagram));
}

/** What an echo server sends back. */
function answerIn(frame: Buffer): string | undefined {
	const isAnswer = frame.readUInt16BE(12) === 0x0800 && frame[23] === 17 && frame.readUInt16BE(34) === 7;
	return isAnswer ? frame.subarray(42, 14 + frame.readUInt16BE(16)).toString() : undefined;
}
