/** ISC's DHCPv6 server, because its timers can be shorter than dnsmasq's. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Lan } from '../../../src/lab/lan.js';
import type { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';
import { unpacked } from '../../helpers/unpacked.js';

export interface Dhcpd {
	log: string[];
	stop: () => Promise<void>;
}

/**
 * Starts it on a member of the LAN.
 * @param name goes into its identity.
 * @param heirOf a server whose leases it has too.
 */
export async function dhcpd(lan: Lan, member: Namespace, name: string, heirOf?: string): Promise<Dhcpd> {
	const file = (suffix: string, of = name) => join(lan.folder, `dhcpd-${of}.${suffix}`);
	const leases = heirOf === undefined ? '' : await readFile(file('leases', heirOf), 'latin1');
	// It keeps its identity there too, and would go by that.
	await writeFile(file('leases'), leases.replace(/^server-duid.*$/gm, ''), 'latin1');
	await writeFile(file('conf'), configuration(name));
	const words = ['-6', '-d', '-cf', file('conf'), '-lf', file('leases'), '-pf', file('pid'), 'eth0'];
	const server = member.spawn((await unpacked('isc-dhcp-server', 'usr/sbin/dhcpd')).path, words, {
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	const log: string[] = [];
	createInterface(server.stderr as Readable).on('line', line => log.push(line));
	await until('dhcpd to serve', 10_000, () => log.some(line => line.includes('Server starting service')));
	return {
		log,
		stop: async () => {
			server.kill('SIGKILL');
			await until('the end of dhcpd', 20_000, () => (server.exitCode ?? server.signalCode) !== null);
		},
	};
}

function configuration(name: string): string {
	return `
authoritative;
server-duid EN 9 "${name}";
default-lease-time 60;
dhcp-cache-threshold 0;
preferred-lifetime 40;
option dhcp-renewal-time 2;
option dhcp-rebinding-time 4;
subnet6 2001:db8:1::/64 { range6 2001:db8:1::200 2001:db8:1::2ff; }
`;
}
