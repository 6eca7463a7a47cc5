/**
 * A port that a test has all ends of: a host with a master, the far end of the master's wire as a raw socket,
 * and slaves whose guests are the test itself or a Linux stack.
 *
 *     guests ── TAPs ── [ host: ipvtap, eth0 ] ── veth ── [ wire: far ]
 */
import type { Slave, SlaveStats } from '../../../src/control/model.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { StackGuest, type StackGuestOptions } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { listAddresses } from '../../../src/sys/netlink/address.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { Product } from '../../helpers/product.js';
import { isSpeech } from '../../helpers/speech.js';
import { FrameEnd, openGuest, type Received, type TapGuestOptions, within } from '../../helpers/tap-guest.js';
import { ethernet, ipv4, udp } from './frames.js';

export const host = { mac: '02:1a:00:00:00:02', ipv4: '192.0.2.2', ipv6: '2001:db8:1::2' } as const;
/** Somebody on the wire, played by the test. */
export const far = { mac: '02:1a:00:00:00:03', ipv4: '192.0.2.3', ipv6: '2001:db8:1::3' } as const;

export interface Guest {
	name: string;
	slave: Slave;
	mac: string;
	ipv4: string;
	ipv6: string;
	end: FrameEnd;
}

export interface SiteOptions {
	/** Options of `ipvtap up`. */
	up?: readonly string[];
	/** Kernel settings of the host, made before its devices are. */
	sysctl?: Readonly<Record<string, string | number>>;
	mtu?: number;
	/** Environment of the daemon, in addition. */
	env?: NodeJS.ProcessEnv;
	/** Whether what the daemon mounts outlives it. */
	sharesMounts?: boolean;
	/** The daemon is there before the first command, as a service, and is asked by its socket. */
	service?: boolean;
}

export class Site {
	readonly host: Namespace;
	readonly wire: Namespace;
	readonly product: Product;
	/** Hears all but what the port says by itself. */
	readonly far: FrameEnd;
	readonly #guests: FrameEnd[] = [];
	readonly #stacks: StackGuest[] = [];
	#markers = 0;

	private constructor(host: Namespace, wire: Namespace, product: Product) {
		this.host = host;
		this.wire = wire;
		this.product = product;
		this.far = within(wire, () => new FrameEnd(openPacketSocket(requireLink('far').ifindex), isSpeech));
	}

	static async create(name: string, options: SiteOptions = {}): Promise<Site> {
		const [inside, wire] = [await Namespace.create(`${name}-h`), await Namespace.create(`${name}-w`)];
		await inside.sysctl({
			'net.ipv6.conf.default.accept_dad': 0,
			'net.ipv6.conf.default.dad_transmits': 0,
			'net.ipv6.conf.default.router_solicitations': 0,
			...options.sysctl,
		});
		await wire.sysctl({ 'net.ipv6.conf.default.disable_ipv6': 1 });
		await wire.ip(
			`link add far mtu ${options.mtu ?? 1500} type veth peer name eth0 address ${host.mac} mtu ${options.mtu ?? 1500} netns ${inside.name}`,
			'link set far arp off up',
		);
		await inside.ip(
			'link set eth0 up',
			`address add ${host.ipv4}/24 dev eth0`,
			`address add ${host.ipv6}/64 dev eth0`,
		);
		// It comes when the kernel has noticed the carrier, and is part of what has to be as before.
		await until('the host to have its link-local address', 10_000, () =>
			within(inside, () => listAddresses().some(({ address }) => address.startsWith('fe80:'))),
		);
		const site = new Site(inside, wire, await Product.at(inside, name));
		Object.assign(site.product.env, options.env);
		if (options.sharesMounts) site.product.prefix = ['nsenter', `--net=${inside.path}`];
		if (options.service) {
			await site.product.daemon();
			site.product.bySocket = true;
		}
		await site.product.up('eth0', ...(options.up ?? []));
		return site;
	}

	/** Attaches a slave with one address of each family, or for a guest that has yet to claim them, and takes its TAP. `number` goes into its addresses. */
	async guest(
		name: string,
		number: number,
		options: TapGuestOptions & { attach?: readonly string[]; learns?: boolean } = {},
	): Promise<Guest> {
		const addresses = [`192.0.2.${number}`, `2001:db8:1::${number}`] as const;
		const given = options.learns ? [] : addresses;
		const slave = await this.product.attach(name, 'eth0', given, ...(options.attach ?? []));
		const end = openGuest(this.host, slave.ifname, options);
		this.#guests.push(end);
		return { name, slave, mac: slave.mac, ipv4: addresses[0], ipv6: addresses[1], end };
	}

	/** The same with a Linux stack as the guest. */
	async stack(
		name: string,
		number: number,
		{ attach = [], ...options }: Partial<StackGuestOptions> & { attach?: readonly string[] } = {},
	): Promise<StackGuest> {
		const addresses = [`192.0.2.${number}`, `2001:db8:1::${number}`];
		const slave = await this.product.attach(name, 'eth0', addresses, ...attach);
		const guest = await StackGuest.start({
			name,
			slave: { namespace: this.host, ifname: slave.ifname },
			mac: slave.mac,
			addresses: [`${addresses[0]}/24`, `${addresses[1]}/64`],
			dad: false,
			...options,
		});
		this.#stacks.push(guest);
		return guest;
	}

	/** Frames that the guest's TAP has taken from it, by the kernel's own counter. */
	async written(guest: Pick<Guest, 'slave'>): Promise<number> {
		const json = await this.host.exec('ip', ['-j', '-s', 'link', 'show', 'dev', guest.slave.ifname]);
		return (JSON.parse(json) as { stats64: { rx: { packets: number } } }[])[0]!.stats64.rx.packets;
	}

	stats(name: string): Promise<SlaveStats> {
		return this.product.stats(name);
	}

	/** A datagram that can be told from all others, from one guest to an address. */
	marker(from: { mac: string; ipv4: string }, to: { mac: string; ipv4: string }): Buffer {
		const text = Buffer.from(`marker ${++this.#markers} `);
		return ethernet(
			to.mac,
			from.mac,
			0x0800,
			ipv4({ source: from.ipv4, destination: to.ipv4 }, udp(9, 9, text, [from.ipv4, to.ipv4])),
		);
	}

	/**
	 * Everything that `at` gets until a frame sent now, from the same sender, has arrived there: what went before
	 * and has not arrived by then doesn't arrive. One to everybody takes the slow path, a unicast one the fast.
	 */
	arrivals(
		sender: Pick<Guest, 'mac' | 'ipv4'> & { end: FrameEnd },
		at: FrameEnd,
		to: { mac: string; ipv4: string },
	): Received[] {
		const frame = this.marker(sender, to);
		const text = frame.subarray(42);
		sender.end.send(frame);
		const frames = at.receiveUntil(({ frame: arrived }) =>
			arrived.subarray(42, 42 + text.length).equals(text),
		);
		return frames.slice(0, -1);
	}

	/** Waits for the slow path too: a broadcast behind all else, whose MAC only the slow path puts right. */
	everybody = { mac: far.mac, ipv4: '255.255.255.255' } as const;

	async close(): Promise<void> {
		for (const end of this.#guests) end.close();
		await Promise.all(this.#stacks.map(stack => stack.stop()));
		this.far.close();
		await this.product.close();
		await Promise.all([this.host.delete(), this.wire.delete()]);
	}
}
