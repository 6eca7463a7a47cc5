import { type Ground, MASTER, MASTER_IP, MASTER_IP6, WIRE_IP, WIRE_IP6, WIRE_MAC } from '../ground.js';
import { IpvtapPeer } from './ipvtap.js';

/** Guests behind the host's routing table, as {@link RoutedPeer} has them, and each frame is checked and counted. */
export class RoutingIpvtapPeer extends IpvtapPeer {
	constructor(name: string) {
		const about = 'ipvtap in mode l3, the same eBPF, routes and neighbours from its own maps';
		super(name, ['--mode', 'l3', '--offload', 'tc-bpf'], about, ['broadcast', 'programs']);
	}

	override async prepare(ground: Ground): Promise<void> {
		await ground.host.ip(
			`address add ${MASTER_IP}/24 dev ${MASTER}`,
			`address add ${MASTER_IP6}/64 dev ${MASTER}`,
			`neighbour replace ${WIRE_IP6} lladdr ${WIRE_MAC} dev ${MASTER} nud permanent`,
			`neighbour replace ${WIRE_IP} lladdr ${WIRE_MAC} dev ${MASTER} nud permanent`,
		);
		await super.prepare(ground);
	}
}
