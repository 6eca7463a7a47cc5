/**
 * A host with guests in l3, on a LAN with a router, and a network behind that:
 *
 *     guests ── TAPs ── [ host: ipvtap, eth0 ] ── secured switch ─┬─ [ router ] ── [ beyond: 198.51.100.9 ]
 *                                 │ eth1                          └─ [ laptop ]
 *                         [ inner: 203.0.113.9 ]
 */
import type { Master } from '../../../src/control/model.js';
import { Lan } from '../../../src/lab/lan.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';
import { Product } from '../../helpers/product.js';

export const router = { ipv4: '192.0.2.1', ipv6: '2001:db8:1::1' } as const;
export const host = { mac: '02:1a:00:00:00:02', ipv4: '192.0.2.2', ipv6: '2001:db8:1::2' } as const;
export const laptop = { ipv4: '192.0.2.3', ipv6: '2001:db8:1::3' } as const;
export const beyond = { ipv4: '198.51.100.9', ipv6: '2001:db8:2::9' } as const;
export const inner = { ipv4: '203.0.113.9', ipv6: '2001:db8:3::9' } as const;

export class RoutedWorld {
	readonly lan: Lan;
	readonly beyond: Namespace;
	readonly inner: Namespace;
	readonly product: Product;
	readonly #guests: StackGuest[] = [];

	private constructor(lan: Lan, beyond: Namespace, inner: Namespace, product: Product) {
		this.lan = lan;
		this.beyond = beyond;
		this.inner = inner;
		this.product = product;
	}

	static async create(prefix: string): Promise<RoutedWorld> {
		const lan = await Lan.create({ prefix });
		const [far, inside] = [await Namespace.create(`${prefix}far`), await Namespace.create(`${prefix}inner`)];
		const quick = { 'net.ipv6.conf.default.accept_dad': 0, 'net.ipv6.conf.default.dad_transmits': 0 };
		await Promise.all([far.sysctl(quick), inside.sysctl(quick)]);
		await lan.router.ip(
			`link add eth1 type veth peer name eth0 netns ${far.name}`,
			'link set eth1 up',
			'address add 198.51.100.1/24 dev eth1',
			'address add 2001:db8:2::1/64 dev eth1',
		);
		await far.ip(
			'link set eth0 up',
			`address add ${beyond.ipv4}/24 dev eth0`,
			`address add ${beyond.ipv6}/64 dev eth0`,
			'route add default via 198.51.100.1',
			'route add default via 2001:db8:2::1',
		);
		await lan.host.ip(
			`link add eth1 type veth peer name eth0 netns ${inside.name}`,
			'link set eth1 up',
			'address add 203.0.113.1/24 dev eth1',
			'address add 2001:db8:3::1/64 dev eth1',
		);
		await inside.ip(
			'link set eth0 up',
			`address add ${inner.ipv4}/24 dev eth0`,
			`address add ${inner.ipv6}/64 dev eth0`,
			'route add default via 203.0.113.1',
			'route add default via 2001:db8:3::1',
		);
		return new RoutedWorld(lan, far, inside, await Product.at(lan.host, `${prefix}product`));
	}

	/** A guest with one address of each family, of the LAN's subnets, and the router as its default one. */
	async guest(name: string, number: number, ...options: string[]): Promise<StackGuest> {
		const addresses = [`192.0.2.${number}`, `2001:db8:1::${number}`];
		const slave = await this.product.attach(name, 'eth0', addresses, ...options);
		const guest = await StackGuest.start({
			name: `${name}-${number}`,
			slave: { namespace: this.lan.host, ifname: slave.ifname },
			mac: slave.mac,
			addresses: [`${addresses[0]}/24`, `${addresses[1]}/64`],
			dad: false,
		});
		await guest.addDefaultRoute(router.ipv4);
		await guest.addDefaultRoute(router.ipv6);
		this.#guests.push(guest);
		return guest;
	}

	mode(mode: string): Promise<Master> {
		return this.product.json<Master>('set', 'eth0', '--mode', mode);
	}

	async drops(name: string): Promise<Record<string, number>> {
		return (await this.product.stats(name)).drops;
	}

	async close(): Promise<void> {
		await Promise.all(this.#guests.map(guest => guest.stop()));
		await this.product.close();
		await Promise.all([this.beyond.delete(), this.inner.delete()]);
		await this.lan.close();
	}
}

/** Replies to `count` pings, and what else ping said. */
export async function ping(
	from: Pick<Namespace, 'run'>,
	to: string,
	...options: string[]
): Promise<{ received: number; said: string }> {
	const { out, err } = await from.run('ping', ['-n', '-c2', '-i0.2', '-W2', ...options, to]);
	return { received: Number(/(\d+) received/.exec(out)?.[1] ?? -1), said: out + err };
}
