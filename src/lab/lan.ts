import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { IpvtapError } from '../errors.js';
import { staticBusybox } from './busybox.js';
import { makeFolder } from './cleanup.js';
import { Namespace } from './namespace.js';
import { SecuredPort, type SeenMac } from './switch-port.js';
import { until } from './wait.js';

/** Who is on the LAN. The addresses are those that RFC 5737 and RFC 3849 set aside for documentation. */
export const lanMembers = {
	router: { mac: '02:1a:00:00:00:01', ipv4: '192.0.2.1', ipv6: '2001:db8:1::1' },
	host: { mac: '02:1a:00:00:00:02', ipv4: '192.0.2.2', ipv6: '2001:db8:1::2' },
	laptop: { mac: '02:1a:00:00:00:03', ipv4: '192.0.2.3', ipv6: '2001:db8:1::3' },
} as const;

/** First and last address that the router's DHCP server gives out. */
export const dhcpRange = ['192.0.2.100', '192.0.2.150'] as const;

export interface LanOptions {
	/** Goes before the names of the namespaces, for more than one LAN in a process. */
	prefix?: string;
	/** What the router's dnsmasq is told in place of {@link dnsmasqServices}; empty: there is none. */
	dnsmasq?: readonly string[];
}

/**
 * A make-believe LAN in four namespaces:
 *
 *     host ─── switch ─┬─ router   DHCP, router advertisements, forwarding
 *     eth0      br0    └─ laptop
 *
 * The switch's port to the host is secured: it passes only the MAC of the host's `eth0`. `eth0` is the
 * master that ipvtap works on; no device of the machine itself is touched.
 */
export class Lan {
	readonly host: Namespace;
	readonly switch: Namespace;
	readonly router: Namespace;
	readonly laptop: Namespace;
	/** For sockets, logs and files of whoever uses the LAN; removed with it. */
	readonly folder: string;
	#port: SecuredPort | undefined;
	#servers = 0;
	readonly #removeFolder: () => void;

	private constructor([host, bridge, router, laptop]: readonly Namespace[], folder: [string, () => void]) {
		this.host = host!;
		this.switch = bridge!;
		this.router = router!;
		this.laptop = laptop!;
		[this.folder, this.#removeFolder] = folder;
	}

	/**
	 * Builds the LAN and waits until everybody on it reaches everybody else in both families.
	 *
	 * @throws IpvtapError `permission` without root, `failed` with the words of the tool that refused.
	 */
	static async create({ prefix = '', dnsmasq = dnsmasqServices }: LanOptions = {}): Promise<Lan> {
		const folder = makeFolder(`${prefix}lan`);
		const namespaces: Namespace[] = [];
		try {
			for (const name of ['host', 'switch', 'router', 'laptop']) {
				namespaces.push(await Namespace.create(prefix + name));
			}
			const lan = new Lan(namespaces, folder);
			await lan.#build(dnsmasq);
			return lan;
		} catch (error) {
			await Promise.all(namespaces.map(namespace => namespace.delete()));
			folder[1]();
			throw error;
		}
	}

	/** What the switch's secured port has seen of each source MAC. */
	macsSeen(): Promise<SeenMac[]> {
		return this.port.macsSeen();
	}

	/** The switch's port to the host. */
	get port(): SecuredPort {
		if (this.#port === undefined) throw new IpvtapError('failed', 'use the LAN: it is not built yet');
		return this.#port;
	}

	/** Serves a folder over HTTP from a member; `http://192.0.2.3/name`. It goes with its namespace. */
	async serve(member: Namespace, folder: string, port = 80): Promise<ChildProcess> {
		// Of the two families busybox listens in one; an IPv6 socket takes IPv4 too.
		const args = ['httpd', '-f', '-p', `[::]:${port}`, '-h', folder];
		const server = member.spawn(await staticBusybox(), args, { stdio: 'ignore' });
		const listening = `ss -Hltn 'sport = :${port}' | grep -q .`;
		await until(`the web server on port ${port}`, readyTimeoutMs, async () => {
			if (server.exitCode !== null) {
				throw new IpvtapError('failed', `serve ${folder}: busybox httpd ended with ${server.exitCode}`);
			}
			return (await member.run('sh', ['-c', listening])).rc === 0;
		});
		return server;
	}

	/** Makes the switch send back to the host what it has sent to all, as access points do. */
	async reflect(): Promise<void> {
		await this.switch.exec('bridge', ['link', 'set', 'dev', 'host', 'hairpin', 'on']);
	}

	/** Starts a dnsmasq that serves `eth0` of a member with these options and no others, and waits until it does. */
	dnsmasq(member: Namespace, options: readonly string[]): Promise<Dnsmasq> {
		return startDnsmasq(member, [
			`--dhcp-leasefile=${join(this.folder, `${member.name}-${this.#servers++}.leases`)}`,
			...options,
		]);
	}

	/** Ends every process on the LAN and removes it. */
	async close(): Promise<void> {
		await Promise.all([this.host, this.switch, this.router, this.laptop].map(member => member.delete()));
		this.#removeFolder();
	}

	async #build(dnsmasq: readonly string[]): Promise<void> {
		const members = [this.router, this.host, this.laptop];
		// Static addresses here are unique by construction, and a wait of a second for each is not needed.
		const settings = { 'net.ipv6.conf.default.accept_dad': 0, 'net.ipv6.conf.default.dad_transmits': 0 };
		await Promise.all(members.map(member => member.sysctl(settings)));
		await this.#buildSwitch();
		await Promise.all(
			(['router', 'host', 'laptop'] as const).map(async name => {
				const { mac, ipv4, ipv6 } = lanMembers[name];
				await this.switch.ip(
					`link add ${name} type veth peer name eth0 address ${mac} netns ${this[name].name}`,
					`link set ${name} master br0 up`,
				);
				await this[name].ip(
					'link set eth0 up',
					`address add ${ipv4}/24 dev eth0`,
					`address add ${ipv6}/64 dev eth0`,
					...(name === 'router'
						? []
						: [
								`route add default via ${lanMembers.router.ipv4}`,
								`route add default via ${lanMembers.router.ipv6}`,
							]),
				);
			}),
		);
		this.#port = await SecuredPort.on(this.switch, 'host', lanMembers.host.mac);
		await this.router.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
		if (dnsmasq.length > 0) await this.dnsmasq(this.router, dnsmasq);
		await Promise.all(members.map(member => reachesAll(member)));
	}

	async #buildSwitch(): Promise<void> {
		// A switch says nothing itself; Linux would solicit routers from each port, with its own MAC.
		await this.switch.sysctl({
			'net.ipv6.conf.all.disable_ipv6': 1,
			'net.ipv6.conf.default.disable_ipv6': 1,
		});
		// Without forward_delay 0 the bridge is deaf for 30 s, and with snooping it drops IPv6's groups until
		// it has heard of them.
		await this.switch.ip('link add br0 type bridge forward_delay 0 mcast_snooping 0', 'link set br0 up');
		// Where br_netfilter is there, frames would pass the host's iptables rules; a switch has none.
		const names = ['iptables', 'ip6tables', 'arptables'];
		const off = names.map(
			name => `f=/proc/sys/net/bridge/bridge-nf-call-${name}; [ ! -e $f ] || echo 0 > $f`,
		);
		await this.switch.exec('sh', ['-e'], { input: off.join('\n') });
	}
}

const readyTimeoutMs = 10_000;

/** DHCPv4, and router advertisements with a prefix that hosts may make addresses from (RFC 4862). */
export const dnsmasqServices: readonly string[] = [
	`--dhcp-range=${dhcpRange.join(',')},255.255.255.0,2m`,
	'--dhcp-authoritative',
	'--enable-ra',
	'--dhcp-range=2001:db8:1::,ra-only,64,10m',
];

export interface Dnsmasq {
	process: ChildProcess;
	/** What it has logged, each exchange included. */
	log: string[];
}

async function startDnsmasq(namespace: Namespace, options: readonly string[]): Promise<Dnsmasq> {
	const args = ['--no-daemon', '--conf-file=/dev/null', '--user=root', '--port=0', '--interface=eth0'];
	args.push('--bind-interfaces', '--except-interface=lo', '--log-facility=-', '--no-ping', ...options);
	const server = namespace.spawn('dnsmasq', args, { stdio: ['ignore', 'ignore', 'pipe'] });
	const log: string[] = [];
	// A full pipe would stop it, so it is read for as long as it runs.
	const lines = createInterface(server.stderr as Readable);
	const started = new Promise<void>(resolve => {
		lines.on('line', line => {
			if (log.push(line) > logLines) log.shift();
			if (line.includes('started, ')) resolve();
		});
	});
	const ended = once(server, 'exit').then(() => {
		throw new IpvtapError('failed', `start the LAN's DHCP server: ${log.join('; ')}`);
	});
	ended.catch(() => {});
	await Promise.race([started, ended]);
	return { process: server, log };
}

/** Lines of dnsmasq's log that are kept. */
const logLines = 10_000;

async function reachesAll(member: Namespace): Promise<void> {
	const addresses = Object.values(lanMembers).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
	await Promise.all(
		addresses.map(address =>
			until(`${address} to answer ${member.name}`, readyTimeoutMs, async () => {
				const { rc } = await member.run('ping', ['-c1', '-W1', '-q', address]);
				return rc === 0;
			}),
		),
	);
}
