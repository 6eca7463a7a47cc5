/** DHCP through one MAC: what goes out, what comes back, and what a server that ignores client identifiers causes. */
import test from 'ava';
import { PortState } from '../../../src/datapath/port-state.js';
import { leaseOf, releasedAddress } from '../../../src/datapath/slowpath/dhcp-lease.js';
import { DhcpNat } from '../../../src/datapath/slowpath/dhcp-nat.js';
import { IGNORE, verdictName } from '../../../src/datapath/verdict.js';
import { findOption, OPTION_CLIENT_ID } from '../../../src/wire/dhcp.js';
import { ethernet, internetChecksum, ipv4, mac, octets, udp } from '../../helpers/frames.js';
import { BROADCAST, MASTER } from '../../helpers/world.js';

const guest = '52:54:00:00:00:11';
const other = '52:54:00:00:00:12';
const server = '02:00:00:00:00:01';
const HEADROOM = 10;
const BOOTP = HEADROOM + 14 + 20 + 8;

test('a request leaves with the master inside and out, and an identifier of its own', t => {
	const { nat, state } = port(t);
	const sent = room(request(guest, 7, [53, 1, 1]));
	const length = nat.request(state, sent.view, HEADROOM, sent.length, 2, 0);
	const frame = new Uint8Array(nat.region.frame.buffer, nat.at, length);
	t.deepEqual(frame.slice(6, 12), mac(MASTER));
	t.deepEqual(frame.slice(14 + 20 + 8 + 28, 14 + 20 + 8 + 34), mac(MASTER));
	const option = findOption(nat.region.frame, nat.at + 42, nat.at + length, OPTION_CLIENT_ID);
	const value = new Uint8Array(nat.region.frame.buffer, option + 1, 8);
	t.deepEqual(value, Uint8Array.of(7, 1, ...mac(guest)));
	t.true(checksumsRight(frame));
});

test('behind a padded request nothing is left of the one before, of another guest', t => {
	const { nat, state } = port(t);
	const longer = room(Uint8Array.of(...request(other, 8, [53, 1, 1]), ...new Uint8Array(600).fill(0xaa)));
	t.true(nat.request(state, longer.view, HEADROOM, longer.length, 3, 0) > 0);
	const plain = request(guest, 7, [53, 1, 1, 12, 54, ...new Uint8Array(54).fill(0x61)]);
	const padded = room(Uint8Array.of(...plain, ...new Uint8Array(40)));
	const length = nat.request(state, padded.view, HEADROOM, padded.length, 2, 0);
	const frame = new Uint8Array(nat.region.frame.buffer, nat.at, length);
	t.is(length, plain.length + 40);
	t.false(frame.slice(plain.length).includes(0xaa));
	t.true(checksumsRight(frame));
});

test('an identifier of the client’s own stays as it is', t => {
	const { nat, state } = port(t);
	const sent = room(request(guest, 7, [53, 1, 1, 61, 3, 0, 1, 2]));
	const length = nat.request(state, sent.view, HEADROOM, sent.length, 2, 0);
	t.is(length, sent.length);
	const option = findOption(nat.region.frame, nat.at + 42, nat.at + length, OPTION_CLIENT_ID);
	t.deepEqual(new Uint8Array(nat.region.frame.buffer, option, 5), Uint8Array.of(61, 3, 0, 1, 2));
});

test('a reply goes to whose transaction it is, with its own MAC and without our identifier', t => {
	const { nat, state } = port(t);
	ask(nat, state, guest, 7, 2);
	ask(nat, state, other, 8, 3);
	const answered = room(
		answer(MASTER, 8, '192.0.2.50', [53, 1, 5, 51, 4, 0, 0, 0, 60, 61, 7, 1, ...mac(other)]),
	);
	t.is(replied(nat, state, answered), 3);
	t.deepEqual(answered.bytes.slice(HEADROOM, HEADROOM + 6), mac(other));
	t.deepEqual(answered.bytes.slice(BOOTP + 28, BOOTP + 34), mac(other));
	t.is(findOption(answered.view, BOOTP, HEADROOM + answered.length, OPTION_CLIENT_ID), 0);
	t.true(checksumsRight(answered.bytes.slice(HEADROOM)));
	t.deepEqual(leaseOf(answered.view, HEADROOM), { address: '192.0.2.50', seconds: 60 });
});

test('replies to nobody here are the host’s business', t => {
	const { nat, state } = port(t);
	ask(nat, state, guest, 7, 2);
	for (const [chaddr, id] of [
		[MASTER, 9],
		[server, 7],
	] as const) {
		const answered = room(answer(chaddr, id, '192.0.2.50', [53, 1, 2]));
		t.is(replied(nat, state, answered), IGNORE);
	}
});

test('a guest can neither use another’s MAC nor its transaction', t => {
	const { nat, state } = port(t);
	ask(nat, state, guest, 7, 2);
	t.is(verdictName(ask(nat, state, other, 7, 3)), 'drop: dhcp-spoof');
	t.is(verdictName(ask(nat, state, guest, 9, 3)), 'drop: dhcp-spoof');
});

test('an offer of somebody else’s address makes the guest’s next request ask for broadcast, with its own MAC', t => {
	const { nat, state } = port(t);
	state.assign('192.0.2.2', 1);
	ask(nat, state, guest, 7, 2);
	const offer = room(answer(MASTER, 7, '192.0.2.2', [53, 1, 2]));
	t.is(verdictName(replied(nat, state, offer)), 'drop: dhcp-conflict');
	t.true(ask(nat, state, guest, 8, 2) > 0);
	const bootp = nat.at + 42;
	t.is(nat.region.frame.getUint16(bootp + 10), 0x8000);
	t.deepEqual(new Uint8Array(nat.region.frame.buffer, bootp + 28, 6), mac(guest));
	const answered = room(answer(guest, 8, '192.0.2.51', [53, 1, 2]));
	t.is(replied(nat, state, answered), 2);
});

test('a released and a declined address are named', t => {
	const release = room(request(guest, 7, [53, 1, 7], '192.0.2.50'));
	t.is(releasedAddress(release.view, HEADROOM), '192.0.2.50');
	const decline = room(request(guest, 7, [53, 1, 4, 50, 4, 192, 0, 2, 51]));
	t.is(releasedAddress(decline.view, HEADROOM), '192.0.2.51');
	t.is(releasedAddress(room(request(guest, 7, [53, 1, 3])).view, HEADROOM), undefined);
});

function port(t: { teardown: (undo: () => void) => void }): { nat: DhcpNat; state: PortState } {
	const nat = new DhcpNat();
	t.teardown(() => nat.close());
	const state = new PortState(1);
	state.setMaster(MASTER);
	state.addSlave(2, guest, true);
	state.addSlave(3, other, true);
	return { nat, state };
}

function ask(nat: DhcpNat, state: PortState, from: string, id: number, edge: number): number {
	const sent = room(request(from, id, [53, 1, 1]));
	return nat.request(state, sent.view, HEADROOM, sent.length, edge, 0);
}

function replied(nat: DhcpNat, state: PortState, { view, length }: ReturnType<typeof room>): number {
	const transaction = nat.transactionOf(state, view, HEADROOM, length);
	return transaction ? nat.reply(state, view, HEADROOM, transaction) : IGNORE;
}

function request(from: string, id: number, options: number[], address = '0.0.0.0'): Uint8Array {
	const packet = ipv4(
		{ source: address, destination: '255.255.255.255' },
		udp(68, 67, message(1, from, id, options, address)),
	);
	return ethernet({ source: from, destination: BROADCAST }, packet);
}

function answer(chaddr: string, id: number, address: string, options: number[]): Uint8Array {
	const body = message(2, chaddr, id, options, '0.0.0.0', address);
	const packet = ipv4({ source: '192.0.2.1', destination: address }, udp(67, 68, body));
	return ethernet({ source: server, destination: MASTER }, packet);
}

function message(
	op: number,
	chaddr: string,
	id: number,
	options: number[],
	ciaddr: string,
	yiaddr = '0.0.0.0',
): Uint8Array {
	const body = new Uint8Array(300);
	body.set([op, 1, 6, 0, 0, 0, 0, id]);
	body.set(octets(ciaddr), 12);
	body.set(octets(yiaddr), 16);
	body.set(mac(chaddr), 28);
	body.set([0x63, 0x82, 0x53, 0x63, ...options, 255], 236);
	return body;
}

function room(frame: Uint8Array): { bytes: Uint8Array; view: DataView; length: number } {
	const bytes = new Uint8Array(HEADROOM + frame.length);
	bytes.set(frame, HEADROOM);
	return { bytes, view: new DataView(bytes.buffer), length: frame.length };
}

/** Over a packet with its checksum in it, the Internet checksum is zero (RFC 1071). */
function checksumsRight(frame: Uint8Array): boolean {
	const length = ((frame[38] as number) << 8) | (frame[39] as number);
	const pseudo = Uint8Array.of(...frame.slice(26, 34), 0, 17, length >> 8, length & 255);
	const whole = Uint8Array.of(...pseudo, ...frame.slice(34, 34 + length));
	return internetChecksum(frame.slice(14, 34)) === 0 && internetChecksum(whole) === 0;
}
