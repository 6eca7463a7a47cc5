/**
 * The standard port of the decision table (helpers/world.ts), made of real things: TAPs for the guests, a veth
 * pair as the wire, a raw socket on the host slave's device as the host, whose own stack is kept silent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { call } from '../../../src/control/client.js';
import type { Slave as Attached, Listing, SlaveStats, Statistics } from '../../../src/control/model.js';
import type { FlagName, ModeName } from '../../../src/datapath/port-state.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import type { Case, Place } from '../../cases/case.js';
import { arp } from '../../helpers/frames.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { Product } from '../../helpers/product.js';
import { longFrameHeader } from '../../helpers/segmented.js';
import { isSpeech } from '../../helpers/speech.js';
import { FrameEnd, openGuest, type Received, within } from '../../helpers/tap-guest.js';
import {
	addressesOf,
	BROADCAST,
	gateway,
	host,
	MASTER,
	type Slave,
	type SlaveName,
	slaves,
	standardNeighbours,
	standardRoutes,
	vm1,
} from '../../helpers/world.js';
import { difference } from './accounting.js';
import { ethernet, extension, ipv4, ipv6, udp } from './frames.js';
import { jam } from './jam.js';

/** Behind a route that is too narrow for 700 bytes. */
const narrow = '100.64.1.9';

/** What a case wants the port to be. */
interface Setting {
	mode: ModeName;
	flag: FlagName;
	multicastSlave: SlaveName | null;
}

export interface Judged {
	/** `refused` where the kernel doesn't take the frame from its sender at all. */
	taken: boolean;
	out: { to: Place; frame: Buffer }[];
	/** What was counted under a reason meanwhile, anywhere on the port. */
	drops: Record<string, number>;
}

export class JudgedPort {
	readonly #host: Namespace;
	readonly #wire: Namespace;
	readonly #product: Product;
	readonly #ends = new Map<Place, FrameEnd>();
	readonly #withHost: boolean;
	#set: Setting = { mode: 'l2', flag: 'bridge', multicastSlave: null };
	/** When a slave was last sent ICMP errors, of which there are six at once and then one a second. */
	readonly #complaints = new Map<Place, number[]>();
	#markers = 0;

	private constructor(inside: Namespace, wire: Namespace, product: Product, withHost: boolean) {
		this.#host = inside;
		this.#wire = wire;
		this.#product = product;
		this.#withHost = withHost;
	}

	/** @param offload as `--offload` takes it. @param env of the daemon's, in addition. */
	static async create(
		name: string,
		withHost: boolean,
		offload = 'none',
		env: NodeJS.ProcessEnv = {},
	): Promise<JudgedPort> {
		const [inside, wire] = [await Namespace.create(`${name}-h`), await Namespace.create(`${name}-w`)];
		await wire.sysctl({ 'net.ipv6.conf.default.disable_ipv6': 1 });
		await inside.sysctl({ 'net.ipv6.conf.default.accept_dad': 0, 'net.ipv4.conf.all.arp_ignore': 8 });
		// Frames are exact here: whatever a stack adds of its own would be somebody's mistake.
		await inside.exec('nft', ['-f', '-'], {
			input:
				'table inet silence {\nchain in { type filter hook input priority 0; policy drop; }\nchain out { type filter hook output priority 0; policy drop; }\nchain on { type filter hook forward priority 0; policy drop; }\n}\n',
		});
		await wire.ip(
			`link add far type veth peer name eth0 address ${MASTER} netns ${inside.name}`,
			'link set far arp off up',
		);
		await inside.ip(
			'link set eth0 addrgenmode none up',
			`address add ${host.ipv4}/24 dev eth0`,
			`address add ${host.ipv6}/64 dev eth0`,
			`address add ${host.linkLocal}/64 dev eth0`,
			'link add other type veth peer name other1',
			'link set other1 addrgenmode none up',
			'link set other addrgenmode none up',
			...standardNeighbours.map(({ address, mac }) => `neighbour add ${address} lladdr ${mac} dev eth0`),
			// The kernel has made those to its own subnets.
			...standardRoutes.flatMap(({ prefix, words }) => {
				if (words === '') return [];
				const [type, rest] = /^(dev|via)/.test(words) ? ['', words] : [words, ''];
				return [`route add ${type} ${prefix} ${rest}`];
			}),
		);
		const port = new JudgedPort(inside, wire, await Product.at(inside, name), withHost);
		Object.assign(port.#product.env, env);
		await port.#product.daemon();
		await port.#product.up('eth0', '--offload', offload, ...(withHost ? [] : ['--no-host']));
		port.#listen('wire', wire, 'far');
		if (withHost) port.#listen('host', inside, 'ipvh-eth0');
		for (const slave of slaves) await port.#attach(slave);
		return port;
	}

	/** Sends the case's frame from where it comes from, and collects all that leaves because of it. */
	async judge(one: Case): Promise<Judged> {
		const { mode = 'l2', flag = 'bridge', multicastSlave = null } = one;
		await this.#change({ mode, flag, multicastSlave });
		if (one.verdict.startsWith('refuse: ')) await this.#patience(one.from);
		const before = await this.#counters();
		for (const end of this.#ends.values()) end.drain();
		const taken = this.#end(one.from).trySend(one.frame, longFrameHeader(one.frame)) === 'sent';
		const markers = this.#flush(one.from);
		if (one.verdict === 'claim') {
			// It waits for whoever may have the address, and leaves when nobody has answered.
			await this.#counters();
			markers.push(...this.#flush(one.from));
		}
		const out = [...this.#ends].flatMap(([to, end]) =>
			end
				.drain()
				.flatMap(({ frame }) => (markers.some(marker => isMarker(frame, marker)) ? [] : [{ to, frame }])),
		);
		const heard = withoutSpeech(out, one);
		const drops = difference(await this.#counters(), before);
		if (one.verdict === 'claim' || one.from.startsWith('vm')) await this.#restore();
		return { taken, out: heard, drops };
	}

	/** Makes the port read its slaves' frames without a ring. */
	async jam(): Promise<void> {
		await this.#change({ mode: 'l2', flag: 'bridge', multicastSlave: null });
		const probe = ethernet(
			gateway.mac,
			vm1.mac,
			0x0800,
			ipv4({ source: vm1.ipv4, destination: gateway.ipv4 }, udp(9, 9, Buffer.from('probe'))),
		);
		const evil = { mac: vm1.mac, ipv4: vm1.ipv4, end: this.#end('vm1') };
		jam(evil, probe, evil.end, this.#end('wire'));
		// Probes that were sent meanwhile may still be on their way.
		this.#flush('vm1');
	}

	async close(): Promise<void> {
		for (const end of this.#ends.values()) end.close();
		await this.#product.close();
		await Promise.all([this.#host.delete(), this.#wire.delete()]);
	}

	/**
	 * Sends markers behind the frame, on the path of the batch and on the slow one, and waits for them. What is IGMP goes
	 * the slow way also with an offload. Delivery to a TAP ends within the sender's system call, so whatever they follow has
	 * arrived then.
	 * @returns their payloads.
	 */
	#flush(from: Place): Buffer[] {
		if (this.#set.mode !== 'l2') return this.#flushRouted(from);
		const text = (path: string): Buffer => Buffer.from(`${path} marker ${++this.#markers} `);
		const [slow, fast] = [text('slow'), text('fast')];
		const end = this.#end(from);
		if (from === 'wire') {
			end.send(
				ethernet(
					'01:00:5e:00:00:01',
					gateway.mac,
					0x0800,
					ipv4({ source: gateway.ipv4, destination: '224.0.0.1', protocol: 2 }, slow),
				),
			);
			end.send(
				ethernet(
					MASTER,
					gateway.mac,
					0x0800,
					ipv4({ source: gateway.ipv4, destination: vm1.ipv4 }, udp(9, 9, fast)),
				),
			);
			this.#await('vm1', slow, fast);
			return [slow, fast];
		}
		if (from === 'host') {
			end.send(
				ethernet(
					'01:00:5e:00:00:01',
					MASTER,
					0x0800,
					ipv4({ source: host.ipv4, destination: '224.0.0.1', protocol: 2 }, slow),
				),
			);
			end.send(
				ethernet(
					vm1.mac,
					MASTER,
					0x0800,
					ipv4({ source: host.ipv4, destination: vm1.ipv4 }, udp(9, 9, fast)),
				),
			);
			// With `vepa` the host's groups come back by the wire, which has no relay here.
			if (this.#set.flag === 'vepa') this.#await('vm1', fast);
			else this.#await('vm1', slow, fast);
			return [slow, fast];
		}
		// From nobody, as who has no address may: an IGMP report goes to the wire whatever the flag.
		const { mac } = slaves.find(({ name }) => name === from)!;
		end.send(
			ethernet(
				'01:00:5e:00:00:16',
				mac,
				0x0800,
				ipv4({ source: '0.0.0.0', destination: '224.0.0.22', protocol: 2 }, slow),
			),
		);
		this.#await('wire', slow);
		// With `vepa` the host gets what the relay sends back, by its own NIC.
		if (this.#withHost && this.#set.flag !== 'vepa') this.#await('host', slow);
		// All slaves' frames come by one ring, so one of another slave's ends the batch as well.
		this.#end('vm1').send(
			ethernet(
				gateway.mac,
				vm1.mac,
				0x0800,
				ipv4({ source: vm1.ipv4, destination: gateway.ipv4 }, udp(9, 9, fast)),
			),
		);
		this.#await('wire', fast);
		return [slow, fast];
	}

	/** In l3 and l3s no multicast passes, so the slow path's markers are questions that it answers. */
	#flushRouted(from: Place): Buffer[] {
		const { mode, multicastSlave } = this.#set;
		const fast = Buffer.from(`fast marker ${++this.#markers} `);
		const slow = Buffer.from(`slow marker ${this.#markers} `);
		if (from === 'wire') {
			const answer = this.#ask('wire', gateway.mac, vm1.ipv4);
			// An offload answers by itself.
			if (multicastSlave !== null) {
				const packet = ipv6({ source: gateway.ipv6, destination: 'ff02::1' }, udp(9, 9, slow));
				this.#end('wire').send(ethernet('33:33:00:00:00:01', gateway.mac, 0x86dd, packet));
				this.#await(multicastSlave, slow);
			}
			if (mode === 'l3s') return [answer, slow];
			const packet = ipv4({ source: gateway.ipv4, destination: vm1.ipv4 }, udp(9, 9, fast));
			this.#end('wire').send(ethernet(MASTER, gateway.mac, 0x0800, packet));
			this.#await('vm1', fast);
			return [answer, slow, fast];
		}
		if (from === 'host') {
			if (multicastSlave !== null) {
				const packet = ipv6({ source: host.ipv6, destination: 'ff02::1' }, udp(9, 9, slow));
				this.#end('host').send(ethernet('33:33:00:00:00:01', MASTER, 0x86dd, packet));
				this.#await(multicastSlave, slow);
			}
			// An advertisement is the forwarder's to look at in l3s, also with an offload.
			const advertisement = Buffer.concat([Buffer.of(136, 0, 0, 0), fast]);
			const packet = ipv6({ source: host.ipv6, destination: vm1.ipv6, next: 58 }, advertisement);
			this.#end('host').send(ethernet(vm1.mac, MASTER, 0x86dd, packet));
			this.#await('vm1', fast);
			return [slow, fast];
		}
		const { mac } = slaves.find(({ name }) => name === from)!;
		const answer = this.#ask(from, mac, host.ipv4);
		if (mode === 'l3s') {
			// What has an extension header is the forwarder's, also with an offload.
			const behind = Buffer.concat([extension(17), udp(9, 9, fast)]);
			const packet = ipv6({ source: vm1.ipv6, destination: gateway.ipv6, next: 60 }, behind);
			this.#end('vm1').send(ethernet(MASTER, vm1.mac, 0x86dd, packet));
			this.#await('host', fast);
			return [answer, fast];
		}
		const packet = ipv4({ source: vm1.ipv4, destination: gateway.ipv4 }, udp(9, 9, fast));
		this.#end('vm1').send(ethernet(MASTER, vm1.mac, 0x0800, packet));
		this.#await('wire', fast);
		// What is cut has been the slow path's; each piece shows whose it is.
		const whole = ipv4({ source: vm1.ipv4, destination: narrow }, udp(9, 9, Buffer.alloc(700, slow)));
		this.#end('vm1').send(ethernet(MASTER, vm1.mac, 0x0800, whole));
		this.#await('wire', slow);
		return [answer, slow, fast];
	}

	/** Probes for an address that is taken, and waits for the answer. @returns what tells it from other frames. */
	#ask(from: Place, mac: string, target: string): Buffer {
		const question = { operation: 1, senderMac: mac, sender: '0.0.0.0', target };
		this.#end(from).send(ethernet(BROADCAST, mac, 0x0806, arp(question).bytes));
		const answer = { operation: 2, senderMac: MASTER, sender: target, targetMac: mac, target: '0.0.0.0' };
		const marker = Buffer.from(arp(answer).bytes);
		this.#await(from, marker);
		return marker;
	}

	/** Waits for payloads at a place; what comes before them is put back for `drain`. */
	#await(place: Place, ...payloads: Buffer[]): void {
		const end = this.#end(place);
		const missing = new Set(payloads);
		const frames: Received[] = [];
		while (missing.size > 0) {
			frames.push(
				...end.receiveUntil(({ frame }) => {
					const found = [...missing].find(payload => isMarker(frame, payload));
					if (found) missing.delete(found);
					return found !== undefined;
				}),
			);
		}
		end.putBack(frames);
	}

	async #counters(): Promise<Record<string, number>> {
		const read = async (): Promise<{ stats: SlaveStats }[]> => {
			const { masters, slaves: all } = await call<Statistics>(this.#product.socket, 'GET', '/v1/stats');
			return [...masters, ...all];
		};
		// A master's drops are those of all its edges.
		const [master] = await until('the backlog to be empty', 20_000, async () => {
			const all = await read();
			return all.every(({ stats }) => stats.queued === 0) ? all : undefined;
		});
		return master!.stats.drops;
	}

	async #change(wanted: Setting): Promise<void> {
		if (JSON.stringify(wanted) === JSON.stringify(this.#set)) return;
		await call(this.#product.socket, 'PATCH', '/v1/masters/eth0', wanted);
		this.#set = wanted;
	}

	async #patience(from: Place): Promise<void> {
		const recent = (this.#complaints.get(from) ?? []).slice(-5);
		const [oldest] = recent;
		const wait = recent.length < 5 || oldest === undefined ? 0 : oldest + 6000 - performance.now();
		if (wait > 0) await sleep(wait);
		this.#complaints.set(from, [...recent, performance.now()]);
	}

	/** Slaves that have learned something are made anew. */
	async #restore(): Promise<void> {
		const { slaves: all } = await call<Listing>(this.#product.socket, 'GET', '/v1/list');
		for (const slave of slaves) {
			const owned = all.find(({ name }) => name === slave.name)!.addresses.map(({ address }) => address);
			const wanted = slave.owns ? addressesOf(slave) : [];
			if (owned.sort().join() === [...wanted].sort().join()) continue;
			this.#end(slave.name).close();
			await call(this.#product.socket, 'DELETE', `/v1/slaves/${slave.name}`);
			await this.#attach(slave);
		}
	}

	async #attach(slave: Slave): Promise<void> {
		const body = {
			master: 'eth0',
			mac: slave.mac,
			learn: slave.learns,
			addresses: slave.owns ? addressesOf(slave) : [],
		};
		const { ifname } = await call<Attached>(this.#product.socket, 'PUT', `/v1/slaves/${slave.name}`, body);
		this.#ends.set(slave.name as SlaveName, openGuest(this.#host, ifname));
	}

	#listen(place: Place, namespace: Namespace, device: string): void {
		this.#ends.set(
			place,
			within(namespace, () => new FrameEnd(openPacketSocket(requireLink(device).ifindex))),
		);
	}

	#end(place: Place): FrameEnd {
		return this.#ends.get(place)!;
	}
}

/**
 * A port says things of its own: it probes for and announces what guests come to own, whenever that is due. What
 * this frame alone makes leave is everything else, and such a frame once if the case expects it.
 */
function withoutSpeech(out: Judged['out'], { out: expected = [] }: Case): Judged['out'] {
	const left = expected.map(({ to, frame }) => `${to} ${Buffer.from(frame).toString('hex')}`);
	return out.filter(({ to, frame }) => {
		if (to !== 'wire' || !isSpeech(frame)) return true;
		const index = left.indexOf(`${to} ${frame.toString('hex')}`);
		if (index >= 0) left.splice(index, 1);
		return index >= 0;
	});
}

function isMarker(frame: Buffer, payload: Buffer): boolean {
	return frame.includes(payload);
}
