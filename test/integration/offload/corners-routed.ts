/** The same of modes l3 and l3s. */
import { announcement, arpRequest, detectDuplicate, packet4, packet6 } from '../../cases/traffic.js';
import { gateway, host, laptop, MASTER, vm1, vm2 } from '../../helpers/world.js';
import type { Corner } from './corners.js';

const l3 = { mode: 'l3' } as const;
const toMaster = { destination: MASTER };
const absent = { ...laptop, ipv4: '192.0.2.99', ipv6: '2001:db8:1::99' };

export const routedCorners: readonly Corner[] = [
	{
		name: "somebody announces the host's address",
		from: 'wire',
		...l3,
		frame: announcement({ ...laptop, ipv4: host.ipv4 }),
	},
	{ name: 'ARP for a group', from: 'vm1', ...l3, frame: arpRequest(vm1, '224.0.0.1') },
	{ name: 'the LAN wants to have an address', from: 'wire', ...l3, frame: detectDuplicate(laptop, vm1.ipv6) },
	{
		name: 'from afar to a link-local address',
		from: 'vm1',
		...l3,
		frame: packet6(vm1, { ...laptop, ipv6: 'fe80::77' }, toMaster),
	},
	{ name: 'nobody has been asked yet', from: 'vm1', ...l3, frame: packet4(vm1, absent, toMaster) },
	{ name: 'nobody has been asked yet, IPv6', from: 'vm1', ...l3, frame: packet6(vm1, absent, toMaster) },
	{
		name: 'by way of a relay that is behind a router',
		from: 'vm1',
		...l3,
		flag: 'vepa',
		routes: [{ prefix: '192.0.2.0/24', hop: { to: 'wire', gateway: gateway.ipv4 } }],
		frame: packet4(vm1, vm2, toMaster),
	},
];
