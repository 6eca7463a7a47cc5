/** ISC's DHCPv6 server, because its timers can be shorter than dnsmasq's. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { cached } from '../../../src/lab/cache.js';
import { fetchPackage } from '../../../src/lab/debian-package.js';
import type { Lan } from '../../../src/lab/lan.js';
import { until } from '../../../src/lab/wait.js';

export interface Dhcpd {
	log: string[];
	stop: () => Promise<void>;
}

/** Starts it on the LAN's router. @param name goes into its identity; another server has the same leases. */
export async function dhcpd(lan: Lan, name = 'one'): Promise<Dhcpd> {
	const file = (suffix: string) => join(lan.folder, `dhcpd-${name}.${suffix}`);
	const leases = join(lan.folder, 'dhcpd.leases');
	// It keeps its identity there too, and would go by that.
	const known = await readFile(leases, 'latin1').catch(() => '');
	await writeFile(leases, known.replace(/^server-duid.*$/m, ''), 'latin1');
	await writeFile(file('conf'), configuration(name));
	const words = ['-6', '-d', '-cf', file('conf'), '-lf', leases, '-pf', file('pid'), 'eth0'];
	const server = lan.router.spawn(await program(), words, { stdio: ['ignore', 'ignore', 'pipe'] });
	const log: string[] = [];
	createInterface(server.stderr as Readable).on('line', line => log.push(line));
	await until('dhcpd to serve', 10_000, () => log.some(line => line.includes('Server starting service')));
	return {
		log,
		stop: async () => {
			server.kill('SIGKILL');
			await until('the end of dhcpd', 5000, () => (server.exitCode ?? server.signalCode) !== null);
		},
	};
}

/** Only unpacked: to install the package would make it a service of this machine. */
async function program(): Promise<string> {
	const folder = await cached('isc-dhcp-server', async path => {
		await mkdir(path, { recursive: true });
		await fetchPackage('isc-dhcp-server', path, ['./usr/sbin/dhcpd']);
	});
	return join(folder, 'usr', 'sbin', 'dhcpd');
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
