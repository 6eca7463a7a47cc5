/** A make-believe LAN with ipvtap on its host, and guests that ask for their addresses. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { ExecutionContext } from 'ava';
import { call } from '../../../src/control/client.js';
import type { AddressEntry, Slave } from '../../../src/control/model.js';
import { dhcpRange, Lan, type LanOptions, lanMembers } from '../../../src/lab/lan.js';
import { StackGuest, type StackGuestOptions } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import type { ClientName, ClientOptions } from '../../helpers/dhcp-clients.js';
import { Product } from '../../helpers/product.js';
import { type Client, startClient } from './clients.js';

/** Clients renew after 3 seconds and rebind after 6, though leases are for two minutes: dnsmasq's shortest. */
export const quickLeases: readonly string[] = [
	`--dhcp-range=${dhcpRange.join(',')},255.255.255.0,2m`,
	'--dhcp-authoritative',
	'--dhcp-option=option:T1,3',
	'--dhcp-option=option:T2,6',
];

export interface DhcpGuest {
	name: string;
	slave: Slave;
	stack: StackGuest;
	folder: string;
}

export class Place {
	readonly lan: Lan;
	readonly product: Product;

	private constructor(lan: Lan, product: Product) {
		this.lan = lan;
		this.product = product;
	}

	/** Everything goes at the end of the test. */
	static async create(t: ExecutionContext, name: string, options: LanOptions = {}): Promise<Place> {
		const lan = await Lan.create({ prefix: name, ...options });
		t.teardown(() => lan.close());
		// What the router advertises is for the guests; the host would add addresses and routes of its own.
		await lan.host.sysctl({ 'net.ipv6.conf.eth0.accept_ra': 0 });
		const product = await Product.at(lan.host, name);
		t.teardown(() => product.close());
		await product.up('eth0');
		return new Place(lan, product);
	}

	async guest(
		t: ExecutionContext,
		name: string,
		attach: readonly string[] = [],
		options: Partial<StackGuestOptions> = {},
	): Promise<DhcpGuest> {
		const slave = await this.product.attach(name, 'eth0', [], ...attach);
		const stack = await StackGuest.start({
			name: `${this.lan.host.name.split('-').at(-1)}-${name}`,
			slave: { namespace: this.lan.host, ifname: slave.ifname },
			mac: slave.mac,
			...options,
		});
		t.teardown(() => stack.stop());
		const folder = join(this.lan.folder, name);
		mkdirSync(folder);
		return { name, slave, stack, folder };
	}

	client(
		t: ExecutionContext,
		name: ClientName,
		guest: DhcpGuest,
		family: 4 | 6,
		more: Partial<ClientOptions> = {},
	): Promise<Client> {
		return startClient(name, guest.stack, { family, folder: guest.folder, ...more }).then(client => {
			t.teardown(() => client.process.kill('SIGKILL'));
			return client;
		});
	}

	/** Lets the router advertise itself, as radvd.conf(5) has it. */
	async radvd(interfaceOptions: string): Promise<void> {
		const file = join(this.lan.folder, 'radvd.conf');
		const often = 'AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;';
		writeFileSync(file, `interface eth0 { ${often} ${interfaceOptions} };\n`);
		const words = ['-n', '-C', file, '-m', 'stderr', '-p', join(this.lan.folder, 'radvd.pid')];
		const { router } = this.lan;
		const server = router.spawn('radvd', words, { stdio: ['ignore', 'ignore', 'pipe'] });
		const [said] = (await once(createInterface(server.stderr as Readable), 'line')) as [string];
		if (!said.includes('started')) throw new Error(said);
	}

	/** The slave's leases of a family. */
	async leases(guest: DhcpGuest, family: 4 | 6): Promise<AddressEntry[]> {
		const { addresses } = await call<Slave>(this.product.socket, 'GET', `/v1/slaves/${guest.name}`);
		const wanted = family === 4 ? 'inet' : 'inet6';
		return addresses.filter(entry => entry.origin === 'dhcp' && entry.family === wanted);
	}

	/** Waits for a lease that the slave's list shows. */
	leased(guest: DhcpGuest, family: 4 | 6, is = (_: AddressEntry) => true): Promise<AddressEntry> {
		return until(`a lease of ${guest.name}`, 20_000, async () =>
			(await this.leases(guest, family)).find(entry => is(entry)),
		);
	}

	/** Waits until the slave has no lease of the family any more. */
	async lost(guest: DhcpGuest, family: 4 | 6): Promise<void> {
		await until(
			`the end of ${guest.name}'s lease`,
			20_000,
			async () => (await this.leases(guest, family)).length === 0,
		);
	}

	/** Pings the router, the host and the laptop, once the guest uses what it was given. */
	async reachesAll(guest: DhcpGuest, family: 4 | 6): Promise<void> {
		const words = [`-${family}`, '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'global'];
		await until(
			`${guest.name} to use its address`,
			20_000,
			async () => (await guest.stack.exec('ip', words)) !== '',
		);
		await guest.stack.addressesReady();
		for (const member of Object.values(lanMembers)) {
			const address = family === 4 ? member.ipv4 : member.ipv6;
			await guest.stack.exec('ping', ['-c', '2', '-i', '0.1', '-W', '2', address]);
		}
	}

	async drops(name: string): Promise<Record<string, number>> {
		return (await this.product.stats(name)).drops;
	}

	/** Only the master's MAC was seen on the switch's port. */
	async onlyTheMaster(t: ExecutionContext): Promise<void> {
		const macs = await this.lan.macsSeen();
		t.deepEqual(
			macs.map(({ mac, dropped }) => [mac, dropped]),
			[[lanMembers.host.mac, 0]],
		);
	}
}
