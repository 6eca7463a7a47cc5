/**
 * What the offload is for when things go wrong: the daemon is killed and started again under traffic, beside a guest
 * that forges. Nothing of the established is lost, nothing forged passes, and `down` leaves nothing but what others
 * had put there.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import test from 'ava';
import { KernelObject } from '../../../src/offload/tc-bpf/kernel-object.js';
import { isBpffs } from '../../../src/sys/bpf/bpffs.js';
import { attachTcx, linkDevice } from '../../../src/sys/bpf/link.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { within } from '../../helpers/tap-guest.js';
import { arp, ethernet, ipv4, udp } from '../datapath/frames.js';
import { far, type Guest, host, Site } from '../datapath/site.js';

for (const attach of ['tcx', 'clsact'] as const) {
	test.serial(`${attach}: kill -9 and a restart under traffic`, async t => {
		const site = await Site.create(`kill-${attach}`, {
			up: ['--offload', 'tc-bpf'],
			env: { IPVTAP_TC_ATTACH: attach },
			sharesMounts: true,
		});
		t.teardown(() => site.close());
		const flows = new Flows(
			site,
			await site.guest('one', 11),
			await site.guest('two', 12),
			await site.guest('liar', 13),
		);
		await flows.runWhile(30);
		flows.verify(t, 'before');

		await site.product.signalDaemon('SIGKILL');
		await flows.runWhile(200);
		flows.verify(t, 'without a daemon');
		t.true(flows.answers('one', 'two'), 'a guest is still asked for its MAC');
		t.true(flows.hostAnswers('one'), 'the host is still answered for');

		const starting = site.product.daemon();
		await flows.runWhile(50, starting);
		flows.verify(t, 'with the next daemon');
		const { masters, slaves } = await site.product.list();
		t.deepEqual(
			masters.map(({ offload, offloadDetail, problem }) => ({ offload, offloadDetail, problem })),
			[{ offload: 'tc-bpf', offloadDetail: attach, problem: undefined }],
		);
		t.deepEqual(slaves.map(({ name, problem }) => [name, problem]).sort(), [
			['liar', undefined],
			['one', undefined],
			['two', undefined],
		]);

		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
		t.false(isBpffs(join(site.product.folder, 'state', 'bpf')));
		t.false(existsSync(join(site.product.folder, 'state', 'bpf')));
	});

	test.serial(`${attach}: other people's programs stay`, async t => {
		const site = await Site.create(`others-${attach}`, {
			up: ['--offload', 'none'],
			env: { IPVTAP_TC_ATTACH: attach },
			sharesMounts: true,
		});
		t.teardown(() => site.close());
		const passAll = [
			'ingress',
			'prio',
			'7',
			'protocol',
			'all',
			'bpf',
			'da',
			'bytecode',
			'1,6 0 0 4294967295,',
		];
		await site.host.exec('tc', ['qdisc', 'replace', 'dev', 'eth0', 'clsact']);
		await site.host.exec('tc', ['filter', 'add', 'dev', 'eth0', ...passAll]);
		const theirs = new KernelObject();
		const [ifindex, link] = within(site.host, () => {
			const { ifindex } = requireLink('eth0');
			return [ifindex, attachTcx(ifindex, theirs.programs.from_wire)] as const;
		});
		const show = () => site.host.exec('tc', ['filter', 'show', 'dev', 'eth0', 'ingress']);
		const before = await show();

		await site.product.json('set', 'eth0', '--offload', 'tc-bpf');
		const flows = new Flows(
			site,
			await site.guest('one', 11),
			await site.guest('two', 12),
			await site.guest('liar', 13),
		);
		await flows.runWhile(20);
		flows.verify(t, 'beside others');
		t.not(await show(), before);
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();

		t.is(await show(), before);
		t.is(
			within(site.host, () => linkDevice(link)),
			ifindex,
		);
		theirs.close();
	});
}

test.serial('the offload can be switched on and off under traffic, and the other way stays shut', async t => {
	const site = await Site.create('switch', { up: ['--offload', 'none'], sharesMounts: true });
	t.teardown(() => site.close());
	const flows = new Flows(
		site,
		await site.guest('one', 11),
		await site.guest('two', 12),
		await site.guest('liar', 13),
	);
	for (const offload of ['tc-bpf', 'none', 'tc-bpf']) {
		const done = site.product.json<{ offload: string }>('set', 'eth0', '--offload', offload);
		await flows.runWhile(10, done);
		t.is((await done).offload, offload);
		t.is(flows.forgedArrivals, 0);
		t.is(flows.twice, 0, 'no frame arrives twice');
		flows.forget();
		await flows.runWhile(50);
		flows.verify(t, offload);
	}
});

/** Numbered datagrams between two guests and the wire, with forged ones among them, and what came of each. */
class Flows {
	forgedArrivals = 0;
	twice = 0;
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
		const claims = { ...one, mac: liar.mac };
		for (const [from, to] of [
			[claims, two],
			[claims, far],
			[{ ...liar, mac: one.mac }, two],
		] as const) {
			liar.end.trySend(this.#datagram(from, to, to === far ? far.mac : two.mac, 'forged'));
		}
		this.#collect(0);
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
