/**
 * DHCP clients as distributions ship them: how each is started on `eth0` of a guest, be that a namespace or a whole
 * machine. All run in the foreground and in a mount namespace of their own, so that nothing of the /etc, /run and
 * /var/lib around them is read or written.
 */
import { join } from 'node:path';

export type ClientName = 'udhcpc' | 'dhclient' | 'dhcpcd' | 'networkd';

/** `both` is for dhcpcd and networkd; udhcpc knows 4 alone, and a dhclient one of them. */
export type Family = 4 | 6 | 'both';

export interface ClientOptions {
	family: Family;
	/** A folder for its files, the guest's own. */
	folder: string;
	/** More words on its command line. */
	more?: readonly string[];
}

export interface Recipe {
	/** What has to be in the folder; scripts end in `.sh`. */
	files: Readonly<Record<string, string>>;
	/** The command line, for root. */
	words: readonly string[];
}

/**
 * @param guest its name, of which the identity of its machine is made.
 * @param busybox one that has udhcpc.
 */
export function clientRecipe(
	name: ClientName,
	guest: string,
	busybox: string,
	options: ClientOptions,
): Recipe {
	const { files, place = 'exec "$@"', words } = recipes[name]({ ...options, guest, busybox });
	const script = `mount --make-rprivate /; ${place}`;
	return { files, words: ['unshare', '-m', 'sh', '-ec', script, 'sh', ...words] };
}

interface Ingredients extends ClientOptions {
	guest: string;
	busybox: string;
}

const recipes: Record<ClientName, (given: Ingredients) => Recipe & { place?: string }> = {
	udhcpc({ folder, busybox, more = [] }) {
		const words = ['udhcpc', '-i', 'eth0', '-f', '-s', join(folder, 'udhcpc.sh'), '-t', '20', '-T', '1'];
		return { files: { 'udhcpc.sh': udhcpcScript }, words: [busybox, ...words, '-A', '1', ...more] };
	},
	dhclient({ family, folder, more = [] }) {
		const file = (suffix: string) => join(folder, `dhclient${suffix}`);
		const files = ['-cf', file('.conf'), '-lf', file(`${family}.leases`), '-pf', file(`${family}.pid`)];
		const words = ['dhclient', `-${family}`, '-d', '-v', '-sf', file('.sh'), ...files, ...more, 'eth0'];
		return { files: { 'dhclient.sh': dhclientScript, 'dhclient.conf': dhclientConf }, words };
	},
	dhcpcd({ family, folder, more = [] }) {
		const conf = join(folder, 'dhcpcd.conf');
		const families = family === 'both' ? [] : [`-${family}`];
		const words = ['dhcpcd', ...families, '-B', '-d', '-c', '/bin/true', ...more, 'eth0'];
		return { files: { 'dhcpcd.conf': dhcpcdConf }, place: dhcpcdPlace, words: [conf, ...words] };
	},
	networkd({ family, folder, guest }) {
		// Who is cloned from one image has one machine id, and so one DUID: these guests are not.
		const id = `${Buffer.from(guest.padEnd(16, '.')).toString('hex').slice(0, 32)}\n`;
		const files = { '10-eth0.network': networkdConf(family), 'machine-id': id };
		return { files, place: networkdPlace, words: [folder, networkdPath] };
	},
};

export const networkdPath = '/lib/systemd/systemd-networkd';

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

/** As in Debian's, DHCPv6 waits for the address that it asks from: dhclient ends at once where that isn't ready. */
const dhclientScript = `#!/bin/sh
echo "dhclient: $reason $new_ip_address $new_ip6_address"
case $reason in
PREINIT6)
	until ip -6 -o address show dev $interface scope link | grep -v tentative | grep -q fe80; do sleep 0.1; done
	;;
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

function networkdConf(family: Family): string {
	return `[Match]
Name=eth0
[Network]
DHCP=${{ 4: 'ipv4', 6: 'ipv6', both: 'yes' }[family]}
IPv6AcceptRA=${family === 4 ? 'no' : 'yes'}
[DHCPv4]
UseDNS=no
UseHostname=no
[DHCPv6]
UseDNS=no
WithoutRA=solicit
`;
}
