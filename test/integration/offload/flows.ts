/**
 * Numbered packets between two guests, the wire and the host, each of which has to arrive once, beside a guest that
 * forges all the while, of whom nothing may arrive anywhere. What is sent to the host is an echo request, so that its
 * answer says that both ways are open.
 *
 *     one ⇄ two    one → wire → two    one ⇄ host    one → pupil, if there is one, who has learned its address
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { FrameEnd, within } from '../../helpers/tap-guest.js';
import {
	arp,
	broadcastMac,
	ethernet,
	icmpEcho,
	icmpv6,
	ipv4,
	ipv6,
	neighbour,
	udp,
} from '../datapath/frames.js';
import { far, type Guest, host, type Site } from '../datapath/site.js';

interface Verifier {
	is(actual: unknown, expected: unknown, message: string): void;
	true(value: boolean, message: string): void;
}

export class Flows {
	forgedArrivals = 0;
	twice = 0;
	sent = 0;
	/** What has been forged, by the reason for which it has to be dropped. */
	readonly forged = { 'ip-spoof': 0, 'mac-spoof': 0, 'arp-spoof': 0 };
	readonly #one: Guest;
	readonly #two: Guest;
	readonly #liar: Guest;
	readonly #pupil: Guest | undefined;
	readonly #site: Site;
	/** What the host's own stack is left with of the liar's frames. */
	readonly #leak: FrameEnd;
	readonly #liarsDevice: string;
	readonly #missing = new Set<string>();
	readonly #seen = new Set<string>();

	/** Attaches guests one, two and liar, of which only the first two are honest. */
	static async between(site: Site, pupil?: Guest): Promise<Flows> {
		const [one, two] = [await site.guest('one', 11), await site.guest('two', 12)];
		return new Flows(site, one, two, await site.guest('liar', 13), pupil);
	}

	constructor(site: Site, one: Guest, two: Guest, liar: Guest, pupil?: Guest) {
		this.#site = site;
		this.#one = one;
		this.#two = two;
		this.#liar = liar;
		this.#pupil = pupil;
		const { ifindex, mac } = within(site.host, () => requireLink(liar.slave.ifname));
		this.#leak = within(site.host, () => new FrameEnd(openPacketSocket(ifindex, ETH_P_IP)));
		this.#liarsDevice = mac;
	}

	/** Sends some rounds, and then on until `task` is done. */
	async runWhile(rounds: number, task: Promise<unknown> = Promise.resolve()): Promise<void> {
		let busy = true;
		const done = task.finally(() => {
			busy = false;
		});
		for (let round = 0; round < rounds || busy; round++) {
			this.#round();
			await breathe();
		}
		await done;
	}

	verify(t: Verifier, when: string): void {
		const deadline = performance.now() + PATIENCE_MS;
		while (this.#missing.size > 0 && performance.now() < deadline) this.#collect(5);
		const lost = [...this.#missing].slice(0, 5).join(', ');
		t.is(this.#missing.size, 0, `${when}: frames lost of ${this.sent}: ${lost}`);
		t.is(this.forgedArrivals, 0, `${when}: forged frames that arrived`);
		t.is(this.#leak.drain().length, 0, `${when}: frames in the host's own stack`);
		t.is(this.twice, 0, `${when}: frames that arrived twice`);
	}

	/** Who asks for a known address is answered, by whoever has it. */
	verifyResolution(t: Verifier, when: string): void {
		this.#collect(0);
		t.true(this.#isAsked(), `${when}: a guest is still asked for its MAC`);
		t.true(this.#isSolicited(), `${when}: a guest is still solicited`);
		t.true(this.#hostAnswers(), `${when}: the host is still answered for`);
	}

	/** Only forged frames, for as long as `rounds`: whoever else sends may be unheard at the moment. */
	forge(rounds: number): void {
		for (let round = 0; round < rounds; round++) this.#lie();
	}

	forget(): void {
		this.#collect(200);
		this.#missing.clear();
	}

	close(): void {
		this.#leak.close();
	}

	#round(): void {
		const [one, two, pupil] = [this.#one, this.#two, this.#pupil];
		this.#send(one, two, two.mac, 'one to two');
		this.#send(two, one, one.mac, 'two to one');
		this.#send(one, far, far.mac, 'one to wire');
		this.#send({ ...far, end: this.#site.far }, two, host.mac, 'wire to two');
		if (pupil) this.#send(one, pupil, pupil.mac, 'one to pupil');
		this.#ask(one);
		this.#lie();
		this.#collect(0);
	}

	/** In another's name: by its address, its MAC, in ARP, to all, and past ipvtap to the host's own stack. */
	#lie(): void {
		const [one, two, liar] = [this.#one, this.#two, this.#liar];
		const claims = { ...one, mac: liar.mac };
		const answer = { operation: 2, senderMac: liar.mac, sender: one.ipv4, target: two.ipv4 };
		const frames = [
			['ip-spoof', this.#datagram(claims, two, two.mac, 'forged')],
			['ip-spoof', this.#datagram(claims, far, far.mac, 'forged')],
			['ip-spoof', this.#datagram(claims, host, host.mac, 'forged')],
			['ip-spoof', this.#datagram(claims, host, this.#liarsDevice, 'forged')],
			['mac-spoof', this.#datagram({ ...liar, mac: one.mac }, two, two.mac, 'forged')],
			['mac-spoof', this.#datagram(one, far, broadcastMac, 'forged')],
			['arp-spoof', ethernet(two.mac, liar.mac, 0x0806, arp({ ...answer, targetMac: two.mac }))],
		] as const;
		for (const [reason, frame] of frames) {
			if (liar.end.trySend(frame) === 'sent') this.forged[reason]++;
		}
	}

	/** The answer carries what the question did. */
	#ask(from: Guest): void {
		const label = `${from.name} to host and back ${++this.sent};`;
		this.#missing.add(label);
		const echo = icmpEcho(this.sent & 0xffff, Buffer.from(`flow ${label}`));
		const packet = ipv4({ source: from.ipv4, destination: host.ipv4, protocol: 1 }, echo);
		from.end.send(ethernet(host.mac, from.mac, 0x0800, packet));
	}

	#send(from: Pick<Guest, 'mac' | 'ipv4' | 'end'>, to: { ipv4: string }, mac: string, what: string): void {
		const label = `${what} ${++this.sent};`;
		this.#missing.add(label);
		from.end.send(this.#datagram(from, to, mac, label));
	}

	#datagram(from: { mac: string; ipv4: string }, to: { ipv4: string }, mac: string, text: string): Buffer {
		const payload = udp(7, 7, Buffer.from(`flow ${text}`), [from.ipv4, to.ipv4]);
		return ethernet(mac, from.mac, 0x0800, ipv4({ source: from.ipv4, destination: to.ipv4 }, payload));
	}

	#isAsked(): boolean {
		const [asker, asked] = [this.#one, this.#two];
		asker.end.send(request(asker, asked.ipv4));
		return arrives(asked.end, frame => frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 1);
	}

	#isSolicited(): boolean {
		const [asker, asked] = [this.#one, this.#two];
		const group = `ff02::1:ff00:${asked.ipv6.split('::')[1]}`;
		const body = neighbour(0, asked.ipv6, { type: 1, mac: asker.mac });
		const packet = ipv6(
			{ source: asker.ipv6, destination: group, next: 58, hopLimit: 255 },
			icmpv6([asker.ipv6, group], 135, 0, body),
		);
		const last = Number(asked.ipv6.split('::')[1]);
		asker.end.send(ethernet(`33:33:ff:00:00:${String(last).padStart(2, '0')}`, asker.mac, 0x86dd, packet));
		return arrives(asked.end, frame => frame.readUInt16BE(12) === 0x86dd && frame[54] === 135);
	}

	#hostAnswers(): boolean {
		this.#one.end.send(request(this.#one, host.ipv4));
		return arrives(
			this.#one.end,
			frame =>
				frame.readUInt16BE(12) === 0x0806 &&
				frame.readUInt16BE(20) === 2 &&
				frame.subarray(22, 28).toString('hex') === host.mac.replaceAll(':', ''),
		);
	}

	#collect(wait: number): void {
		const { end: pupil } = this.#pupil ?? {};
		const ends = [this.#one.end, this.#two.end, this.#liar.end, this.#site.far, ...(pupil ? [pupil] : [])];
		for (const end of ends) {
			for (let received = end.receive(wait); received; received = end.receive(0)) this.#take(received.frame);
		}
	}

	#take(frame: Buffer): void {
		if (this.#isForgedArp(frame)) this.forgedArrivals++;
		const text = frame.toString('latin1');
		const label = /flow (.*? \d+;|forged)/.exec(text)?.[1];
		if (label === undefined) return;
		if (label === 'forged') this.forgedArrivals++;
		else if (this.#seen.has(label)) this.twice++;
		this.#seen.add(label);
		this.#missing.delete(label);
	}

	#isForgedArp(frame: Buffer): boolean {
		return (
			frame.readUInt16BE(12) === 0x0806 &&
			frame.subarray(22, 28).toString('hex') === this.#liar.mac.replaceAll(':', '')
		);
	}
}

function arrives(end: FrameEnd, wanted: (frame: Buffer) => boolean): boolean {
	try {
		return end.receiveUntil(({ frame }) => wanted(frame)).length > 0;
	} catch {
		return false;
	}
}

function request(asker: Guest, address: string): Buffer {
	const { mac, ipv4 } = asker;
	return ethernet(
		broadcastMac,
		mac,
		0x0806,
		arp({ operation: 1, senderMac: mac, sender: ipv4, target: address }),
	);
}

/** How long a frame may take that is not lost: it goes by while they all come. */
const PATIENCE_MS = 20_000;
/** linux/if_ether.h */
const ETH_P_IP = 0x0800;
