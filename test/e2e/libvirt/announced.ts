import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import { inTime } from '../../../src/control/in-time.js';
import { type Lan, lanMembers } from '../../../src/lab/lan.js';
import { until } from '../../../src/lab/wait.js';

/**
 * Captures on the laptop's wire from now on.
 * @returns waits until an address has been announced there as the host's: for IPv4 by an ARP announcement (RFC 5227,
 * 2.3), for IPv6 by an unsolicited advertisement to all (RFC 4861, 7.2.6).
 */
export async function capture(
	t: ExecutionContext,
	{ laptop }: Lan,
): Promise<(address: string) => Promise<void>> {
	const flags = ['-i', 'eth0', '-l', '-n', '-e', '-v', '--immediate-mode'];
	const tcpdump = laptop.spawn('tcpdump', [...flags, 'ether', 'broadcast', 'or', 'icmp6'], { stdio: 'pipe' });
	t.teardown(() => void tcpdump.kill());
	let seen = '';
	tcpdump.stdout!.setEncoding('utf8').on('data', (text: string) => {
		seen += text;
	});
	await inTime(once(tcpdump.stderr!, 'data'), 30_000, 'start tcpdump');
	return async address => {
		const to = address.includes(':')
			? `33:33:00:00:00:01,.*> ff02::1: .*neighbor advertisement.*tgt is ${address}, Flags \\[.*override`
			: `ff:ff:ff:ff:ff:ff,.*who-has ${address} (\\(\\S+\\) )?tell ${address},`;
		const announcement = new RegExp(`${lanMembers.host.mac} > ${to}`);
		await until(`${address} to be announced`, 10_000, () => announcement.test(seen)).catch(error => {
			t.log(seen);
			throw error;
		});
	};
}
