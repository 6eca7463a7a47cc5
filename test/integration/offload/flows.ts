import { setImmediate as breathe } from 'node:timers/promises';
import { arp, ethernet, icmpEcho, ipv4, udp } from '../datapath/frames.js';
import { far, type Guest, host, type Site } from '../datapath/site.js';

/**
 * Numbered packets between two guests, the wire and the host, with forged ones among them, and what came of each. What
 * is sent to the host is an echo request, so that its answer says that both ways are open.
 */
export class Flows {
	forgedArrivals = 0;
	twice = 0;
	/** What has been forged, by the reason for which it has to be dropped. */
	readonly forged = { 'ip-spoof': 0, 'mac-spoof': 0 };
	/** Whether the host is spoken to as well. */
	asksHost = true;
	readonly #site: Site;
	readonly #one: Guest;
	readonly #two: Guest;
	readonly #liar: Guest;
	readonly #missing = new Set<string>();
	readonly #seen = new Set<string>();
	#number = 0;

	constructor(site: Site, one: Guest, two: Guest, liar: Guest) {
		this.#site = site;
		this.#one = one;
		this.#two = two;
		this.#liar = liar;
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

	verify(t: { is: (a: unknown, b: unknown, message: string) => void }, when: string): void {
		const deadline = performance.now() + 3000;
		while (this.#missing.size > 0 && performance.now() < deadline) this.#collect(5);
		t.is(
			this.#missing.size,
			0,
			`${when}: frames lost of ${this.#number}: ${[...this.#missing].slice(0, 5).join(', ')}`,
		);
		t.is(this.forgedArrivals, 0, `${when}: forged frames that arrived`);
		t.is(this.twice, 0, `${when}: frames that arrived twice`);
	}

	forget(): void {
		this.#collect(200);
		this.#missing.clear();
	}

	/** An ARP request of one guest's for another's address reaches that one. */
	answers(from: 'one', to: 'two'): boolean {
		const [asker, asked] = [this.#guest(from), this.#guest(to)];
		asker.end.send(this.#request(asker, asked.ipv4));
		const is = (frame: Buffer): boolean => frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 1;
		return asked.end.receiveUntil(({ frame }) => is(frame)).length > 0;
	}

	/** One for the host's address is answered with the master's MAC. */
	hostAnswers(from: 'one'): boolean {
		const asker = this.#guest(from);
		asker.end.send(this.#request(asker, host.ipv4));
		const is = (frame: Buffer): boolean =>
			frame.readUInt16BE(12) === 0x0806 &&
			frame.readUInt16BE(20) === 2 &&
			frame.subarray(22, 28).toString('hex') === host.mac.replaceAll(':', '');
		return asker.end.receiveUntil(({ frame }) => is(frame)).length > 0;
	}

	#round(): void {
		const [one, two, liar] = [this.#one, this.#two, this.#liar];
		this.#send(one, two, two.mac, 'one to two');
		this.#send(two, one, one.mac, 'two to one');
		this.#send(one, far, far.mac, 'one to wire');
		this.#send({ ...far, end: this.#site.far }, two, host.mac, 'wire to two');
		if (this.asksHost) this.#ask(one);
		const claims = { ...one, mac: liar.mac };
		for (const [from, to, reason] of [
			[claims, two, 'ip-spoof'],
			[claims, far, 'ip-spoof'],
			[{ ...liar, mac: one.mac }, two, 'mac-spoof'],
		] as const) {
			const sent = liar.end.trySend(this.#datagram(from, to, to.mac, 'forged'));
			if (sent === 'sent') this.forged[reason]++;
		}
		this.#collect(0);
	}

	/** The answer carries what the question did. */
	#ask(from: Guest): void {
		const label = `${from.name} to host and back ${++this.#number};`;
		this.#missing.add(label);
		const echo = icmpEcho(this.#number & 0xffff, Buffer.from(`flow ${label}`));
		const packet = ipv4({ source: from.ipv4, destination: host.ipv4, protocol: 1 }, echo);
		from.end.send(ethernet(host.mac, from.mac, 0x0800, packet));
	}

	#send(from: Pick<Guest, 'mac' | 'ipv4' | 'end'>, to: { ipv4: string }, mac: string, what: string): void {
		const label = `${what} ${++this.#number};`;
		this.#missing.add(label);
		from.end.send(this.#datagram(from, to, mac, label));
	}

	#datagram(from: { mac: string; ipv4: string }, to: { ipv4: string }, mac: string, text: string): Buffer {
		const payload = udp(7, 7, Buffer.from(`flow ${text}`), [from.ipv4, to.ipv4]);
		return ethernet(mac, from.mac, 0x0800, ipv4({ source: from.ipv4, destination: to.ipv4 }, payload));
	}

	#request(asker: Guest, address: string): Buffer {
		return ethernet(
			'ff:ff:ff:ff:ff:ff',
			asker.mac,
			0x0806,
			arp({
				operation: 1,
				senderMac: asker.mac,
				sender: asker.ipv4,
				targetMac: '00:00:00:00:00:00',
				target: address,
			}),
		);
	}

	#collect(wait: number): void {
		for (const end of [this.#one.end, this.#two.end, this.#liar.end, this.#site.far]) {
			for (let received = end.receive(wait); received; received = end.receive(0)) this.#take(received.frame);
		}
	}

	#take(frame: Buffer): void {
		const text = frame.toString('latin1');
		const label = /flow (.*? \d+;|forged)/.exec(text)?.[1];
		if (label === undefined) return;
		if (label === 'forged') this.forgedArrivals++;
		else if (this.#seen.has(label)) this.twice++;
		this.#seen.add(label);
		this.#missing.delete(label);
	}

	#guest(name: 'one' | 'two'): Guest {
		return name === 'one' ? this.#one : this.#two;
	}
}
