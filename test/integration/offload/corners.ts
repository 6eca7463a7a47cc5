/** Frames for conditions of the eBPF programs that the decision table has no use for: the forwarder doesn't ask there. */
import type { FlagName, ModeName } from '../../../src/datapath/port-state.js';
import type { Place } from '../../cases/case.js';
import {
	advertise,
	announcement,
	arpProbe,
	arpReply,
	multicast4,
	multicast6,
	packet4,
	packet6,
} from '../../cases/traffic.js';
import { ethernet, other, routerAdvertisement, udp } from '../../helpers/frames.js';
import type { Topology } from '../../helpers/pure-port.js';
import { gateway, host, laptop, MASTER, vm1, vm2 } from '../../helpers/world.js';

export interface Corner {
	name: string;
	from: Place;
	frame: Uint8Array;
	flag?: FlagName;
	mode?: ModeName;
	/** In place of the table's. */
	routes?: Topology['routes'];
	/** There are no slaves. */
	empty?: true;
}

const toMaster = { destination: MASTER };
const nobody = { ...gateway, ipv4: '0.0.0.0' };

export const corners: readonly Corner[] = [
	{ name: 'to a group of nobody', from: 'host', empty: true, frame: multicast4(host, '239.1.2.3') },
	{ name: 'DHCPv6 to all servers', from: 'host', frame: multicast6(host, 'ff02::1:2', {}, udp(546, 547)) },
	{
		name: 'an answer to nobody, where nobody is',
		from: 'wire',
		frame: arpReply(laptop, nobody, toMaster),
		empty: true,
	},
	{ name: 'a probe that may not reach', from: 'vm2', frame: arpProbe(vm2, vm1.ipv4), flag: 'private' },
	{
		name: 'a router speaks to the host',
		from: 'wire',
		frame: packet6(gateway, host, toMaster, routerAdvertisement(), { hopLimit: 255 }),
	},
	{
		name: 'another protocol from another MAC',
		from: 'vm1',
		frame: ethernet({ source: vm2.mac, destination: gateway.mac }, other(0x88b5)),
	},
	{ name: 'an announcement, and nobody to hear it', from: 'wire', empty: true, frame: announcement(gateway) },
	{ name: 'IPv4, and nobody to get it', from: 'wire', empty: true, frame: packet4(gateway, vm1, toMaster) },
	{ name: 'IPv6, and nobody to get it', from: 'wire', empty: true, frame: packet6(gateway, vm1, toMaster) },
	{ name: 'an advertisement of a new address', from: 'vm1', frame: advertise(vm1, gateway, 'fe80::77') },
];
