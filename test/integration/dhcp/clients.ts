/**
 * DHCP clients as distributions ship them, each in a guest that is a Linux stack behind a slave's TAP. All run in
 * the foreground and in a mount namespace of their own, so that nothing of the machine's /etc, /run and /var/lib
 * is read or written.
 */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { staticBusybox } from '../../../src/lab/busybox.js';
import type { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';

export interface Client {
	readonly process: ChildProcess;
	/** What it has printed. */
	readonly log: string[];
	/** Ends the client, which gives its leases back first if it is one that does. */
	stop(signal?: NodeJS.Signals): Promise<void>;
}

export type ClientName = 'udhcpc' | 'dhclient' | 'dhcpcd' | 'networkd';

export interface ClientOptions {
	family: 4 | 6;
	/** A folder for its files, the guest's own. */
	folder: string;
	/** More words on its command line. */
	more?: readonly string[];
}

/** Starts a client on the guest's `eth0`. */
export function startClient(name: ClientName, guest: StackGuest, options: ClientOptions): Promise<Client> {
	return clients[name](guest, options);
}

const clients: Record<ClientName, (guest: StackGuest, options: ClientOptions) => Promise<Client>> = {
	async udhcpc(guest, { folder, more = [] }) {
		const script = writeScript(folder, 'udhcpc.sh', udhcpcScript);
		const words = ['udhcpc', '-i', 'eth0', '-f', '-s', script, '-t', '20', '-T', '1', '-A', '1'];
		return start(guest, 'exec "$@"', [await staticBusybox(), ...words, ...more]);
	},
	async dhclient(guest, { family, folder, more = [] }) {
		const script = writeScript(folder, 'dhclient.sh', dhclientScript);
		writeFileSync(join(folder, 'dhclient.conf'), dhclientConf);
		const leases = join(folder, 'dhclient.leases');
		writeFileSync(leases, '', { flag: 'a' });
		if (family === 6) await guest.addressesReady();
		const files = ['-cf', join(folder, 'dhclient.conf'), '-lf', leases, '-pf', join(folder, 'pid')];
		const words = ['dhclient', `-${family}`, '-d', '-v', '-sf', script, ...files, ...more];
		return start(guest, 'exec "$@"', [...words, 'eth0']);
	},
	async dhcpcd(guest, { family, folder, more = [] }) {
		writeFileSync(join(folder, 'dhcpcd.conf'), dhcpcdConf);
		const words = ['dhcpcd', `-${family}`, '-B', '-d', '-c', '/bin/true', ...more, 'eth0'];
		return start(guest, dhcpcdPlace, [join(folder, 'dhcpcd.conf'), ...words]);
	},
	async networkd(guest, { family, folder }) {
		writeFileSync(join(folder, '10-eth0.network'), networkdConf(family));
		// Who is cloned from one image has one machine id, and so one DUID: these guests are not.
		writeFileSync(join(folder, 'machine-id'), `${Buffer.from(guest.name.padEnd(16, '.')).toString('hex')}\n`);
		return start(guest, networkdPlace, [folder, '/lib/systemd/systemd-networkd']);
	},
};

function start(guest: StackGuest, place: string, words: readonly string[]): Promise<Client> {
	const script = `mount --make-rprivate /; ${place}`;
	const child = guest.namespace.spawn('unshare', ['-m', 'sh', '-ec', script, 'sh', ...words], {
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const log: string[] = [];
	for (const stream of [child.stdout, child.stderr]) {
		createInterface(stream as Readable).on('line', line => log.push(line));
	}
	const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
		child.kill(signal);
		await until(`the end of ${words.join(' ')}`, 5000, () => (child.exitCode ?? child.signalCode) !== null);
	};
	return Promise.resolve({ process: child, log, stop });
}

function writeScript(folder: string, name: string, text: string): string {
	const path = join(folder, name);
	writeFileSync(path, text);
	chmodSync(path, 0o755);
	return path;
}

/** What every distribution's script does at the least. */
const udhcpcScript = `#!/bin/sh
echo "udhcpc: $1 $ip"
case $1 in
deconfig) ip -4 address flush dev $interface ;;
bound | renew)
	ip -4 address replace $ip/\${mask:-24} dev $interface
	[ -z "$router" ] || ip route replace default via $router
	;;
esac
`;

const dhclientScript = `#!/bin/sh
echo "dhclient: $reason $new_ip_address $new_ip6_address"
case $reason in
BOUND | RENEW | REBIND | REBOOT)
	[ "\${old_ip_address:-$new_ip_address}" = "$new_ip_address" ] || ip address del $old_ip_address/$old_subnet_mask dev $interface
	ip address replace $new_ip_address/$new_subnet_mask dev $interface
	[ -z "$new_routers" ] || ip route replace default via $new_routers
	;;
BOUND6 | RENEW6 | REBIND6)
	ip address replace $new_ip6_address/$new_ip6_prefixlen dev $interface
	;;
EXPIRE | FAIL | RELEASE | STOP) ip -4 address flush dev $interface ;;
EXPIRE6 | DEPREF6 | RELEASE6 | STOP6) ip address del $old_ip6_address/$old_ip6_prefixlen dev $interface ;;
esac
exit 0
`;

const dhclientConf = `
initial-delay 0;
initial-interval 1;
timeout 15;
retry 1;
reboot 3;
request subnet-mask, routers, dhcp-renewal-time, dhcp-rebinding-time;
`;

const dhcpcdConf = `
noarp
nodelay
noipv4ll
option rapid_commit
option interface_mtu
timeout 20
`;

/** It keeps its files where it always does. With a /sys that can be written it would wait for udev. */
const dhcpcdPlace = `
conf=$1
shift
mkdir -p /run/dhcpcd /var/lib/dhcpcd
mount -t tmpfs tmpfs /run/dhcpcd
mount -t tmpfs tmpfs /var/lib/dhcpcd
mount -o remount,ro,bind /sys
exec "$@" -f "$conf"`;

/** Without the bus, and without udev, for which it waits wherever /sys can be written. */
const networkdPlace = `
mount -o remount,ro,bind /sys
mount --bind "$1/machine-id" /etc/machine-id
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/netif/lldp
chown -R systemd-network /run/systemd/netif
cat < "$1/10-eth0.network" > /run/systemd/network/10-eth0.network
export SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_COLOR=0
exec "$2"`;

function networkdConf(family: 4 | 6): string {
	return `[Match]
Name=eth0
[Network]
DHCP=${family === 4 ? 'ipv4' : 'ipv6'}
IPv6AcceptRA=${family === 6 ? 'yes' : 'no'}
[DHCPv4]
UseDNS=no
UseHostname=no
[DHCPv6]
UseDNS=no
WithoutRA=solicit
`;
}
