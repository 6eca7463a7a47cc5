/** MAC-NAT both ways: the reply to what went out, sent back to the master, is the reply that the guest expects. */
import test from 'ava';
import fc from 'fast-check';
import { advertise, arpRequest, packet4, packet6, solicit } from '../cases/traffic.js';
import { hex } from '../helpers/describe.js';
import {
	bytesOf,
	internetChecksum,
	type NdOption,
	nonce,
	sourceLinkLayer,
	targetLinkLayer,
	udp,
} from '../helpers/frames.js';
import { PurePort } from '../helpers/pure-port.js';
import { check } from '../helpers/seed.js';
import { gateway, MASTER, standardTopology, vm1 } from '../helpers/world.js';

const masters = fc
	.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
	.map(rest => `02:00:${rest.map(byte => byte.toString(16).padStart(2, '0')).join(':')}`);

test('IP: out and back', t => {
	const frames = fc
		.tuple(fc.boolean(), fc.uint8Array({ maxLength: 100 }))
		.map(([six, data]) => (six ? packet6 : packet4)(vm1, gateway, {}, udp(1, 2, data)));
	check(
		t,
		fc.property(frames, masters, (frame, master) =>
			same(roundTrip(frame, master, mirroredIp), mirroredIp(frame)),
		),
	);
});

test('ARP: out and back', t => {
	check(
		t,
		fc.property(masters, master => {
			const frame = arpRequest(vm1, gateway.ipv4, { destination: gateway.mac });
			return same(roundTrip(frame, master, mirroredArp), mirroredArp(frame));
		}),
	);
});

test('ND: out, with any options around the one that counts, the checksum is right, and back by hand it is the same', t => {
	const others = fc.array(
		fc.constantFrom(nonce(), { type: 200, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) }),
		{ maxLength: 3 },
	);
	check(
		t,
		fc.property(others, others, fc.boolean(), masters, (before, after, solicits, master) => {
			const link: NdOption = solicits ? sourceLinkLayer(vm1.mac) : targetLinkLayer(vm1.mac);
			const options = [...before, link, ...after];
			const frame = solicits
				? solicit(vm1, gateway.linkLocal, {}, {}, options)
				: advertise(vm1, gateway, vm1.linkLocal, {}, {}, options);
			const out = sent(frame, master);
			const told = options.map(option => (option === link ? { ...link, data: macBytes(master) } : option));
			const natted = { source: master };
			const expected = solicits
				? solicit(vm1, gateway.linkLocal, natted, {}, told)
				: advertise(vm1, gateway, vm1.linkLocal, natted, {}, told);
			return same(out, expected) && icmpv6IsRight(out);
		}),
	);
});

/** Sends the frame out, mirrors it as the other side would, and takes that in. */
function roundTrip(
	frame: Uint8Array,
	master: string,
	mirrored: (frame: Uint8Array) => Uint8Array,
): Uint8Array {
	return taken(mirrored(sent(frame, master)), master);
}

function sent(frame: Uint8Array, master: string): Uint8Array {
	return throughPort(master, vm1.edge, frame, 'wire');
}

function taken(frame: Uint8Array, master: string): Uint8Array {
	return throughPort(master, 0, frame, `edge ${vm1.edge}`);
}

function throughPort(master: string, ingress: number, frame: Uint8Array, verdict: string): Uint8Array {
	const port = new PurePort({ ...standardTopology(), master });
	try {
		const outcome = port.receive(ingress, frame);
		if (outcome.verdict !== verdict) throw new Error(`${outcome.verdict}, not ${verdict}`);
		return (outcome.out[0] as { frame: Uint8Array }).frame;
	} finally {
		port.close();
	}
}

function mirroredIp(frame: Uint8Array): Uint8Array {
	const length = frame[12] === 0x86 ? 16 : 4;
	const at = frame[12] === 0x86 ? 22 : 26;
	const [source, destination] = [frame.slice(at, at + length), frame.slice(at + length, at + 2 * length)];
	return bytesOf(
		frame.slice(6, 12),
		frame.slice(0, 6),
		frame.slice(12, at),
		destination,
		source,
		frame.slice(at + 2 * length),
	);
}

function mirroredArp(frame: Uint8Array): Uint8Array {
	const sender = frame.slice(22, 32);
	return bytesOf(
		frame.slice(6, 12),
		frame.slice(0, 6),
		frame.slice(12, 20),
		[0, 2],
		frame.slice(0, 6),
		frame.slice(38, 42),
		sender,
	);
}

function icmpv6IsRight(frame: Uint8Array): boolean {
	const message = frame.slice(54);
	return (
		internetChecksum(
			bytesOf(frame.slice(22, 54), [0, 0, message.length >> 8, message.length & 255, 0, 0, 0, 58], message),
		) === 0
	);
}

function macBytes(mac: string): Uint8Array {
	return sourceLinkLayer(mac).data;
}

function same(frame: Uint8Array, expected: Uint8Array): boolean {
	if (hex(frame) !== hex(expected)) throw new Error(`${hex(frame)}\n${hex(expected)}`);
	return true;
}

test('the master of the standard world is one of many', t => {
	t.is(hex(sent(packet4(vm1, gateway), MASTER).slice(6, 12)), MASTER.replaceAll(':', ''));
});
