import {
	type Ground,
	guestIp,
	guestIp6,
	guestMac,
	MASTER,
	MASTER_IP,
	MASTER_IP6,
	MASTER_MAC,
	WIRE_IP,
	WIRE_IP6,
	WIRE_MAC,
} from '../ground.js';
import type { Ability } from './peer.js';
import { TapPeer } from './taps.js';

/** The host as the guests' router, as the ipvlan talk has it: a route to each TAP, neighbours in place. */
export class RoutedPeer extends TapPeer {
	readonly name: string = 'routed';
	readonly about: string = 'the host routes between the TAPs and the wire, no netfilter rules';
	override readonly lacks: readonly Ability[] = ['daemon', 'broadcast'];
	readonly router = routerMac;

	protected async connect({ host }: Ground): Promise<void> {
		await host.sysctl({
			'net.ipv4.ip_forward': 1,
			'net.ipv6.conf.all.forwarding': 1,
			'net.ipv4.conf.all.rp_filter': 0,
			'net.ipv4.conf.default.rp_filter': 0,
			// Between guests on one TAP's subnet the kernel would tell the sender of a better way.
			'net.ipv4.conf.all.send_redirects': 0,
			'net.ipv4.conf.default.send_redirects': 0,
		});
		await host.ip(
			`address add ${MASTER_IP}/24 dev ${MASTER}`,
			`address add ${MASTER_IP6}/64 dev ${MASTER}`,
			`neighbour replace ${WIRE_IP} lladdr ${WIRE_MAC} dev ${MASTER} nud permanent`,
			`neighbour replace ${WIRE_IP6} lladdr ${WIRE_MAC} dev ${MASTER} nud permanent`,
			...this.taps.flatMap((tap, guest) => [
				`link set ${tap} address ${routerMac(guest)}`,
				...[`${guestIp(guest)}/32`, `${guestIp6(guest)}/128`].map(route => `route add ${route} dev ${tap}`),
				...[guestIp(guest), guestIp6(guest)].map(
					address => `neighbour replace ${address} lladdr ${guestMac(guest)} dev ${tap} nud permanent`,
				),
			]),
		);
	}

	override macOnWire(): string {
		return MASTER_MAC;
	}
}

/** The same, and the wire sees the host's address alone: what virtual machines get from most installers. */
export class TranslatedPeer extends RoutedPeer {
	override readonly name = 'routed-nat';
	override readonly about = 'the same with connection tracking, and masquerading towards the wire, by nft';
	readonly needs = { program: 'nft', package: 'nftables' };
	readonly version = ['nft', '--version'] as const;

	protected override async connect(ground: Ground): Promise<void> {
		await super.connect(ground);
		const rules = `table ip nat {
	chain out {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "${MASTER}" masquerade
	}
}
`;
		await ground.host.exec('nft', ['-f', '-'], { input: rules });
	}
}

/** The host's own MAC on a guest's TAP. */
function routerMac(guest: number): string {
	return guestMac(guest).replace('02:00:00:01', '02:00:00:02');
}
