/** The make-believe LAN with ipvtap on its host, and QEMU guests started as users start them. */
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { staticBusybox } from '../../src/lab/busybox.js';
import { Guest, type GuestOptions } from '../../src/lab/guest.js';
import { guestImage } from '../../src/lab/guest-image.js';
import { Lan, lanMembers } from '../../src/lab/lan.js';
import type { Peer } from '../../src/lab/reach.js';
import { Product } from '../helpers/product.js';

export interface Vm {
	name: string;
	ipv4: string;
	ipv6: string;
}

export const vm1: Vm = { name: 'vm1', ipv4: '192.0.2.11', ipv6: '2001:db8:1::11' };
export const vm2: Vm = { name: 'vm2', ipv4: '192.0.2.12', ipv6: '2001:db8:1::12' };

/** A guest that uses the addresses it was given and makes none of its own. */
export const staticOnly = { 'net/ipv6/conf/eth0/autoconf': 0 } as const;

export class World {
	readonly lan: Lan;
	readonly product: Product;
	readonly #guests: Guest[] = [];

	private constructor(lan: Lan, product: Product) {
		this.lan = lan;
		this.product = product;
	}

	static async create(): Promise<World> {
		await guestImage();
		const lan = await Lan.create();
		// What the router advertises would come and go beside what ipvtap leaves.
		await lan.host.sysctl({ 'net.ipv6.conf.eth0.accept_ra': 0 });
		return new World(lan, await Product.at(lan.host, 'e2e'));
	}

	/** Boots a guest by `ipvtap run`, with its two addresses. */
	run({ name, ipv4, ipv6 }: Vm, options: Partial<GuestOptions> = {}): Promise<Guest> {
		const words = ['run', '--master', 'eth0', '--name', name, '--ip', ipv4, '--ip', ipv6, '--'];
		return this.boot({
			name,
			prefix: [...this.product.words, ...words],
			env: this.product.env,
			addresses: { eth0: [`${ipv4}/24`, `${ipv6}/64`] },
			via: [lanMembers.router.ipv4],
			sysctl: staticOnly,
			...options,
		});
	}

	async boot(options: GuestOptions): Promise<Guest> {
		const guest = await Guest.boot(options);
		this.#guests.push(guest);
		await guest.addressesReady();
		return guest;
	}

	/** Everybody on the LAN: these guests, the host, the laptop and the router. */
	peers(...guests: readonly [Vm, Guest][]): Peer[] {
		return [
			...guests.map(([{ name, ipv4, ipv6 }, guest]) => ({
				name,
				ipv4,
				ipv6,
				run: (script: string) => guest.run(script, { timeout: 120_000 }),
			})),
			...(['host', 'laptop', 'router'] as const).map(name => this.member(name)),
		];
	}

	member(name: 'host' | 'laptop' | 'router'): Peer {
		const { ipv4, ipv6 } = lanMembers[name];
		return {
			name,
			ipv4,
			ipv6,
			run: script => this.lan[name].run('sh', ['-c', script], { timeout: 120_000 }),
		};
	}

	async close(): Promise<void> {
		try {
			await Promise.all(this.#guests.map(guest => guest.stop()));
			await this.product.close();
		} finally {
			// What it started would keep the test's process alive.
			await this.lan.close();
		}
	}
}

/** A file of 100 MB that everybody can serve to everybody. */
export class BigFile {
	static readonly megabytes = 100;
	/** Its MD5, which busybox can tell too. */
	readonly md5: string;
	readonly folder: string;

	constructor(folder: string) {
		this.folder = folder;
		const hash = createHash('md5');
		const path = join(folder, 'big');
		for (let count = 0; count < BigFile.megabytes; count++) {
			const block = randomBytes(1 << 20);
			hash.update(block);
			appendFileSync(path, block);
		}
		this.md5 = hash.digest('hex');
	}
}

export interface Download {
	/** Of what arrived. */
	md5: string;
	seconds: number;
}

/** Fetches the file by TCP and gives its MD5; `keep` is where it is to stay. */
export async function download(to: Peer, from: Peer, family: 4 | 6, keep?: string): Promise<Download> {
	const url = `http://${family === 4 ? from.ipv4 : `[${from.ipv6}]`}:${filePort}/big`;
	const wget = to.name === 'laptop' ? `${await staticBusybox()} wget` : 'wget';
	const started = performance.now();
	const script =
		keep === undefined
			? `${wget} -q -O - '${url}' | md5sum`
			: `${wget} -q -O ${keep} '${url}' && md5sum ${keep}`;
	const { out } = await to.run(script);
	return { md5: out.split(' ')[0]!, seconds: (performance.now() - started) / 1000 };
}

export const filePort = 8080;
