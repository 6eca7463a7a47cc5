import { type Ground, guestIp, guestIp6, guestMac, MASTER, WIRE_MAC } from '../ground.js';
import { TapPeer } from './taps.js';

/**
 * The kernel's bridge, at its best: br_netfilter off (on by default it costs 25 % more instructions), no
 * snooping, and the MACs that it would have learned in place from the beginning.
 */
export class BridgePeer extends TapPeer {
	readonly name: string = 'bridge';
	readonly about: string = 'Linux bridge, br_netfilter off, no snooping';

	protected async connect({ host }: Ground): Promise<void> {
		await host.ip(
			'link add br0 type bridge forward_delay 0 mcast_snooping 0',
			'link set br0 up',
			...[...this.taps, MASTER].map(port => `link set ${port} master br0`),
		);
		// The files are there only where the kernel has br_netfilter.
		await host.exec('sh', [
			'-ec',
			'for file in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$file" ] || echo 0 > "$file"; done',
		]);
		const places = this.taps.map((tap, guest) => `fdb replace ${guestMac(guest)} dev ${tap} master static`);
		places.push(`fdb replace ${WIRE_MAC} dev ${MASTER} master static`);
		await host.exec('bridge', ['-batch', '-'], { input: places.join('\n') });
	}
}

/** The bridge that looks into IGMP, as ipvtap does anyway, and asks guests for their groups. */
export class SnoopingBridgePeer extends BridgePeer {
	override readonly name = 'bridge-snoop';
	override readonly about = 'the same with IGMP and MLD snooping, and a querier';

	protected override async connect(ground: Ground): Promise<void> {
		await super.connect(ground);
		// It floods until its first query has had its time to be answered: 10 s, if nobody says otherwise.
		await ground.host.ip(
			'link set br0 type bridge mcast_snooping 1 mcast_query_response_interval 100',
			'link set br0 type bridge mcast_querier 1',
		);
	}
}

/** The bridge with what ipvtap does anyway: a guest speaks from its own MAC and addresses, and from no others. */
export class GuardedBridgePeer extends BridgePeer {
	override readonly name = 'bridge-nft';
	override readonly about =
		"the same with an anti-spoof by nft, each port's MAC, IPv4, IPv6 and ARP, as libvirt's clean-traffic";
	readonly needs = { program: 'nft', package: 'nftables' };
	readonly version = ['nft', '--version'] as const;

	protected override async connect(ground: Ground): Promise<void> {
		await super.connect(ground);
		await ground.host.exec('nft', ['-f', '-'], { input: this.#rules() });
	}

	/** One look-up finds a port's chain, however many there are: a list of rules would cost more with each guest. */
	#rules(): string {
		const chains = this.taps.map(
			(tap, guest) => `
	chain ${tap} {
		ether saddr != ${guestMac(guest)} drop
		ether type ip ip saddr ${guestIp(guest)} accept
		ether type ip6 ip6 saddr { ${linkLocal(guestMac(guest))}, ${guestIp6(guest)} } accept
		ether type arp arp saddr ether ${guestMac(guest)} arp saddr ip ${guestIp(guest)} accept
		drop
	}`,
		);
		const ports = this.taps.map(tap => `${tap} : jump ${tap}`);
		return `table bridge guard {${chains.join('')}
	chain guard {
		type filter hook prerouting priority dstnat; policy accept;
		iifname vmap { ${ports.join(', ')} }
	}
}
`;
	}
}

/** RFC 4291, appendix A. */
function linkLocal(mac: string): string {
	const bytes = mac.split(':').map(pair => Number.parseInt(pair, 16)) as [number, ...number[]];
	const id = [bytes[0] ^ 2, ...bytes.slice(1, 3), 0xff, 0xfe, ...bytes.slice(3)];
	const hex = id.map(byte => byte.toString(16).padStart(2, '0')).join('');
	return `fe80::${hex.match(/.{4}/g)!.join(':')}`;
}
