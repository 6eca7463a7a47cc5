/**
 * Numbered datagrams between two guests, the wire and the host, each of which has to arrive once, beside a guest that
 * forges all the while, of whom nothing may arrive anywhere.
 *
 *     one ⇄ two    one → wire → two    one ⇄ host    one → pupil, who has learned his address
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { FrameEnd, within } from '../../helpers/tap-guest.js';
import { arp, broadcastMac, ethernet, icmpv6, ipv4, ipv6, neighbour, udp } from '../datapath/frames.js';
import { far, type Guest, host, type Site } from '../datapath/site.js';

interface Verifier {
	is(actual: unknown, expected: unknown, message: string): void;
	true(value: boolean, message: string): void;
}

export interface FlowOptions {
	/** A guest without a static address. */
	pupil?: Guest;
	/** Whether the host's end keeps its device: then host and guests talk too. */
	host?: boolean;
}

export class Flows {
	forgedArrivals = 0;
	twice = 0;
	sent = 0;
	forged = 0;
	readonly #site: Site;
	readonly #one: Guest;
	readonly #two: Guest;
	readonly #liar: Guest;
	readonly #pupil: Guest | undefined;
	readonly #host: FrameEnd | undefined;
	/** What the host's own stack is left with of the liar's frames. */
	readonly #leak: FrameEnd;
	readonly #ends: FrameEnd[];
	readonly #liarsDevice: string;
	readonly #missing = new Set<string>();
	readonly #seen = new Set<string>();

	/** Guests one, two and liar, of which only the first two are honest. */
	static async between(site: Site, options: FlowOptions = {}): Promise<Flows> {
		const guests = [
			await site.guest('one', 11),
			await site.guest('two', 12),
			await site.guest('liar', 13),
		] as const;
		return new Flows(site, guests, options);
	}

	private constructor(
		site: Site,
		[one, two, liar]: readonly [Guest, Guest, Guest],
		{ pupil, host }: FlowOptions,
	) {
		this.#site = site;
		this.#one = one;
		this.#two = two;
		this.#liar = liar;
		this.#pupil = pupil;
		const listen = (device: string, protocol?: number) =>
			within(site.host, () => new FrameEnd(openPacketSocket(requireLink(device).ifindex, protocol)));
		this.#host = host ? listen('ipvh-eth0') : undefined;
		this.#leak = listen(liar.slave.ifname, 0x0800);
		this.#liarsDevice = within(site.host, () => requireLink(liar.slave.ifname).mac);
		const honest = [one, two, ...(pupil ? [pupil] : [])].map(({ end }) => end);
		this.#ends = [...honest, site.far, ...(this.#host ? [this.#host] : [])];
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
		const deadline = performance.now() + 3000;
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
		this.#host?.close();
	}

	#round(): void {
		const [one, two, pupil] = [this.#one, this.#two, this.#pupil];
		this.#send(one, two, two.mac, 'one to two');
		this.#send(two, one, one.mac, 'two to one');
		this.#send(one, far, far.mac, 'one to wire');
		this.#send({ ...far, end: this.#site.far }, two, host.mac, 'wire to two');
		if (pupil) this.#send(one, pupil, pupil.mac, 'one to pupil');
		if (this.#host) {
			this.#send(one, host, host.mac, 'one to host');
			this.#send({ ...host, end: this.#host }, one, host.mac, 'host to one');
		}
		this.#lie();
		this.#collect(0);
	}

	/** In another's name: by its address, its MAC, in ARP, to all, and past ipvtap to the host's own stack. */
	#lie(): void {
		const [one, two, liar] = [this.#one, this.#two, this.#liar];
		const claims = { ...one, mac: liar.mac };
		const frames = [
			this.#datagram(claims, two, two.mac, 'forged'),
			this.#datagram(claims, far, far.mac, 'forged'),
			this.#datagram(claims, host, host.mac, 'forged'),
			this.#datagram(claims, host, this.#liarsDevice, 'forged'),
			this.#datagram({ ...liar, mac: one.mac }, two, two.mac, 'forged'),
			this.#datagram(one, far, broadcastMac, 'forged'),
			ethernet(
				two.mac,
				liar.mac,
				0x0806,
				arp({ operation: 2, senderMac: liar.mac, sender: one.ipv4, targetMac: two.mac, target: two.ipv4 }),
			),
		];
		for (const frame of frames) liar.end.trySend(frame);
		this.forged += frames.length;
		liar.end.drain();
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
		for (const end of this.#ends) {
			for (let received = end.receive(wait); received; received = end.receive(0)) this.#take(received.frame);
		}
	}

	#take(frame: Buffer): void {
		if (this.#isForgedArp(frame)) this.forgedArrivals++;
		const text = frame.toString('latin1');
		const label = /flow (.*? \d+;|forged)/.exec(text)?.[1];
		// The host's stack answers what it has no socket for, and quotes it.
		if (label === undefined || isIcmp(frame)) return;
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

function isIcmp(frame: Buffer): boolean {
	return frame.readUInt16BE(12) === 0x0800 && frame[23] === 1;
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
