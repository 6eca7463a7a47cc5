/**
 * A LAN with an evil guest on it, and with everybody whom it may harm: a guest, the host, the router and a laptop,
 * each with a Linux stack that believes whatever it is told, and with ears at their doors.
 *
 *     evil (raw TAP) ─┐
 *     victim (stack) ─┴─ [ host: ipvtap, eth0 ] ── switch ─┬─ router
 *                                                          └─ laptop
 */
import type { Slave } from '../../../src/control/model.js';
import { Lan, lanMembers } from '../../../src/lab/lan.js';
import type { Namespace } from '../../../src/lab/namespace.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { Product } from '../../helpers/product.js';
import { FrameEnd, openGuest, type Received, within } from '../../helpers/tap-guest.js';
import { ethernet, ipv4, udp } from '../datapath/frames.js';
import { Pulse, serveEcho } from './pulse.js';
import { Truth } from './truth.js';

export interface Attacker {
	name: string;
	slave: Slave;
	mac: string;
	ipv4: string;
	ipv6: string;
	end: FrameEnd;
}

export type Witness = 'victim' | 'laptop' | 'router' | 'host';
export type EarName = 'wire' | 'victim' | 'host';

/** What each ear has heard. */
export type Heard = Record<EarName, Received[]>;

export class Place {
	readonly lan: Lan;
	readonly product: Product;
	readonly evil: Attacker;
	readonly victim: StackGuest;
	readonly victimMac: string;
	readonly pulse: Pulse;
	/** The wire's is the switch's port to the host, and speaks there too. */
	readonly ears: Record<EarName, FrameEnd>;
	readonly truth: Truth;
	readonly #ends: FrameEnd[] = [];
	#markers = 0;

	private constructor(
		lan: Lan,
		product: Product,
		evil: Attacker,
		victim: StackGuest,
		victimMac: string,
		truth: Truth,
		pulse: Pulse,
	) {
		this.lan = lan;
		this.product = product;
		this.evil = evil;
		this.victim = victim;
		this.victimMac = victimMac;
		this.truth = truth;
		this.pulse = pulse;
		this.ears = {
			wire: ear(lan.switch, 'host'),
			victim: ear(victim.namespace, 'eth0'),
			host: ear(lan.host, 'ipvh-eth0'),
		};
		this.#ends.push(evil.end, ...Object.values(this.ears));
	}

	/** @param options of `ipvtap up`. */
	static async create(prefix: string, ...options: string[]): Promise<Place> {
		const lan = await Lan.create({ prefix });
		await lan.host.sysctl({ 'net.ipv6.conf.eth0.accept_ra': 0 });
		await lan.host.run('ip', ['-6', 'route', 'flush', 'default', 'proto', 'ra']);
		for (const member of [lan.laptop, lan.router, lan.host]) await member.sysctl(credulous);
		const product = await Product.at(lan.host, `${prefix}product`);
		await product.up('eth0', ...options);
		const evil = await attacker(lan, product, 'evil', 11);
		const slave = await product.attach('victim', 'eth0', ['192.0.2.12', '2001:db8:1::12']);
		const victim = await StackGuest.start({
			name: `${prefix}victim`,
			slave: { namespace: lan.host, ifname: slave.ifname },
			mac: slave.mac,
			addresses: ['192.0.2.12/24', '2001:db8:1::12/64'],
			dad: false,
		});
		await victim.namespace.sysctl(credulous);
		await victim.addDefaultRoute(lanMembers.router.ipv4);
		await until('the victim to have heard of the router', 10_000, async () => {
			return (await victim.exec('ip', ['-6', 'route', 'show', 'default'])).includes('proto ra');
		});
		await Promise.all([serveEcho(lan.laptop), serveEcho(lan.host)]);
		for (const namespace of [victim.namespace, lan.laptop, lan.host]) await meetEverybody(namespace);
		const truth = await Truth.of(
			{ router: lan.router, laptop: lan.laptop, host: lan.host, victim: victim.namespace },
			{ master: lanMembers.host.mac, evil },
		);
		const { laptop } = lanMembers;
		const pulse = await Pulse.start(victim.namespace, [laptop.ipv4, laptop.ipv6]);
		return new Place(lan, product, evil, victim, slave.mac, truth, pulse);
	}

	/** For accounting.ts. */
	get host(): Namespace {
		return this.lan.host;
	}

	get witnesses(): Record<Witness, Namespace> {
		const { laptop, router, host } = this.lan;
		return { victim: this.victim.namespace, laptop, router, host };
	}

	/** One more guest whose TAP the test holds. */
	async attacker(name: string, number: number | undefined, ...options: string[]): Promise<Attacker> {
		const made = await attacker(this.lan, this.product, name, number, ...options);
		this.#ends.push(made.end);
		return made;
	}

	/**
	 * Waits until all that `from` has sent is dealt with, on both paths: a broadcast and a unicast frame behind it
	 * have arrived. @returns what was heard before, and meanwhile.
	 */
	settle(from: Attacker = this.evil): Heard {
		const heard: Heard = { wire: [], victim: [], host: this.ears.host.drain() };
		const mark = (to: string, destination: string): ((received: Received) => boolean) => {
			const text = Buffer.from(`marker ${++this.#markers} `);
			const between: [string, string] = [from.ipv4, destination];
			const packet = ipv4({ source: from.ipv4, destination }, udp(9, 9, text, between));
			from.end.send(ethernet(to, from.mac, 0x0800, packet));
			return ({ frame }) => frame.subarray(42, 42 + text.length).equals(text);
		};
		// One by one: after a storm there are more than fit a call's arguments.
		const hear = (ear: EarName, last: ReturnType<typeof mark>): void => {
			for (const received of this.ears[ear].receiveUntil(last)) heard[ear].push(received);
		};
		// Its MAC only the slow path puts right.
		const broadcast = mark(lanMembers.laptop.mac, '255.255.255.255');
		for (const ear of ['wire', 'victim', 'host'] as const) hear(ear, broadcast);
		hear('victim', mark(this.victimMac, '192.0.2.12'));
		hear('wire', mark(lanMembers.laptop.mac, lanMembers.laptop.ipv4));
		from.end.drain();
		return heard;
	}

	/** Gives an attacker's TAP to another process. */
	leave(from: Attacker): void {
		this.#ends.splice(this.#ends.indexOf(from.end), 1);
		from.end.close();
	}

	/** Forgets what the ears have heard so far. */
	listen(): void {
		for (const end of Object.values(this.ears)) end.drain();
	}

	async close(): Promise<void> {
		for (const end of this.#ends) end.close();
		await this.victim.stop();
		await this.product.close();
		await this.lan.close();
	}
}

/** Everybody here takes ARP that nobody asked for, redirects from any gateway, and router advertisements. */
const credulous = {
	'net.ipv4.conf.all.arp_accept': 1,
	'net.ipv4.conf.eth0.arp_accept': 1,
	'net.ipv4.conf.all.accept_redirects': 1,
	'net.ipv4.conf.eth0.accept_redirects': 1,
	'net.ipv4.conf.all.secure_redirects': 0,
	'net.ipv4.conf.eth0.secure_redirects': 0,
	'net.ipv6.conf.eth0.accept_redirects': 1,
} as const;

async function attacker(
	{ host }: Lan,
	product: Product,
	name: string,
	number: number | undefined,
	...options: string[]
): Promise<Attacker> {
	const addresses = number === undefined ? [] : [`192.0.2.${number}`, `2001:db8:1::${number}`];
	const slave = await product.attach(name, 'eth0', addresses, ...options);
	const [ip4 = '0.0.0.0', ip6 = '::'] = addresses;
	return { name, slave, mac: slave.mac, ipv4: ip4, ipv6: ip6, end: openGuest(host, slave.ifname) };
}

/** So that there are neighbour entries to be poisoned: an ARP cache takes no news about whom it doesn't know. */
async function meetEverybody(namespace: Namespace): Promise<void> {
	const { router, laptop, host } = lanMembers;
	const everybody = [router, laptop, host].flatMap(member => [member.ipv4, member.ipv6]);
	for (const address of [...everybody, '192.0.2.12', '2001:db8:1::12']) {
		await until(`${address} to answer ${namespace.name}`, 10_000, async () => {
			return (await namespace.run('ping', ['-c1', '-W1', '-q', address])).rc === 0;
		});
	}
}

function ear(namespace: Namespace, ifname: string): FrameEnd {
	return within(namespace, () => new FrameEnd(openPacketSocket(requireLink(ifname).ifindex)));
}
