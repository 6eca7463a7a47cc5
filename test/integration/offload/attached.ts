/**
 * The programs, told to tell, on real TAPs: for what BPF_PROG_TEST_RUN can't put in front of them, which is virtio
 * headers, VLAN tags, frames that end inside their headers, and frames that don't lie in one piece.
 */
import { forward } from '../../../src/datapath/forward/forward.js';
import type { ModeName } from '../../../src/datapath/port-state.js';
import { dropReasons, EDGE_HOST, EDGE_WIRE, EDGES_MAX } from '../../../src/datapath/verdict.js';
import type { ProgramName } from '../../../src/offload/tc-bpf/kernel-object.js';
import { setLink } from '../../../src/sys/netlink/link.js';
import { deleteClsact, ensureClsact, replaceBpfFilter } from '../../../src/sys/netlink/tc.js';
import { openTap } from '../../../src/sys/tap.js';
import { VNET_HEADER, vnetHeaderIsSane } from '../../../src/wire/vnet-header.js';
import { arpRequest, packet4, packet6 } from '../../cases/traffic.js';
import {
	cut,
	destinationOptions,
	ethernet,
	fragmentHeader,
	icmp,
	other,
	padded,
	patched,
	raw,
	tcp,
	udp,
	withSource,
} from '../../helpers/frames.js';
import { type KernelPort, PUNT } from '../../helpers/kernel-port.js';
import { PurePort } from '../../helpers/pure-port.js';
import { FrameEnd } from '../../helpers/tap-guest.js';
import { BROADCAST, gateway, MASTER, standardTopology, vm1, vm2 } from '../../helpers/world.js';
import { vnet } from '../datapath/frames.js';

/**
 * Sends each frame with each header to each program. @returns where virtio headers were judged otherwise than they are,
 * and where a frame with a good one was decided about otherwise than the forwarder would.
 */
export function complaintsAttached(kernel: KernelPort, mode: ModeName): string[] {
	const topology = standardTopology('bridge', true, mode);
	const pure = new PurePort(topology);
	pure.command({ kind: 'change', change: { kind: 'mtu', mtu: 65535 } });
	kernel.configure(topology, pure.state);
	const wrong: string[] = [];
	for (const [program, edge] of attachments) {
		const ifindex = kernel.device(edge);
		const end = attach(kernel, program, edge);
		for (const [name, frame] of Object.entries(frames)) {
			for (const header of headers) {
				if (end.trySend(frame, header) !== 'sent' || edge !== vm1.edge) continue;
				const verdict = kernel.verdict;
				const sane = isSane(frame, header);
				// Behind extension headers the forwarder looks.
				const misjudged = sane === (verdict === BAD_HEADER) && (sane || verdict !== PUNT);
				const decided = (sane ?? isNone(header)) && verdict < EDGES_MAX;
				if (misjudged || (decided && verdict !== forwarded(pure, frame, header))) {
					wrong.push(`${name} with ${header.toString('hex')}: ${verdict}`);
				}
			}
		}
		end.close();
		deleteClsact(ifindex);
	}
	pure.close();
	return wrong;
}

/**
 * In l3, segments that are as long as their route takes, and longer by a byte. @param datagrams also such as a TAP takes
 * from Linux 6.2 on. @returns which were not told apart.
 */
export function complaintsSegmented(kernel: KernelPort, datagrams = true): string[] {
	const topology = standardTopology('bridge', true, 'l3');
	const pure = new PurePort(topology);
	kernel.configure(topology, pure.state);
	pure.close();
	const end = attach(kernel, 'from_slave', vm1.edge);
	const known = segmented.filter(({ header }) => header.gsoType !== 5 || datagrams);
	const wrong = known.flatMap(({ name, frame, header, mtu, transport }) =>
		[0, 1].flatMap(more => {
			const gsoSize = mtu - (header.csumStart - 14) - transport + more;
			const sent = end.trySend(frame, vnet({ ...header, flags: 1, gsoSize, headerLength: 14 }));
			const wanted = more === 0 ? EDGE_WIRE : PUNT;
			return sent === 'sent' && kernel.verdict === wanted
				? []
				: [`${name}, ${gsoSize} each: ${sent}, ${kernel.verdict}`];
		}),
	);
	end.close();
	deleteClsact(kernel.device(vm1.edge));
	return wrong;
}

function attach(kernel: KernelPort, name: ProgramName, edge: number): FrameEnd {
	const ifindex = kernel.device(edge);
	const end = new FrameEnd(openTap(`edge${edge}`));
	setLink(ifindex, { up: true });
	ensureClsact(ifindex);
	const program = kernel.object.programs[name];
	replaceBpfFilter(ifindex, 'ingress', { priority: 1, handle: 1, program, name });
	return end;
}

function forwarded({ state }: PurePort, frame: Uint8Array, header: Uint8Array): number {
	return forward(state, withHeader(frame, header), VNET_HEADER, frame.length, vm1.edge);
}

function withHeader(frame: Uint8Array, header: Uint8Array): DataView {
	return new DataView(Uint8Array.from([...header, ...frame]).buffer);
}

function isNone(header: Uint8Array): boolean {
	return header.every(byte => byte === 0);
}

/** Of frames with all their headers. */
function isSane(frame: Uint8Array, header: Uint8Array): boolean | undefined {
	const view = withHeader(frame, header);
	const type = view.getUint16(VNET_HEADER + 12);
	if (![0x0800, 0x86dd, 0x0806].includes(type) || frame.length < 54) return undefined;
	const protocol = frame[type === 0x0800 ? 23 : 20] as number;
	return vnetHeaderIsSane(view, VNET_HEADER, frame.length, type, protocol);
}

/** The last one is nobody's. */
const attachments: readonly [ProgramName, number][] = [
	['from_slave', vm1.edge],
	['from_wire', EDGE_WIRE],
	['from_host', EDGE_HOST],
	['from_slave', 99],
];
const BAD_HEADER = -dropReasons.indexOf('bad-vnet-header');

const tag = { tags: [{ tci: 5 }] };
const priority = { source: vm1.mac, tags: [{ tci: 0xa000 }] };
const long = udp(40000, 9, new Uint8Array(6000));
/** The kernel takes nothing for a frame of segments that is no longer than one. */
const some = new Uint8Array(2000);
const frames: Readonly<Record<string, Uint8Array>> = {
	'TCP over IPv4': packet4(vm1, gateway, {}, tcp(40000, 80, some)),
	'TCP over IPv4 with options': packet4(vm1, gateway, {}, tcp(40000, 80, some), {
		options: new Uint8Array(8),
	}),
	'TCP from the LAN': packet4(gateway, vm1, { destination: MASTER }, tcp(40000, 80, some)),
	'UDP over IPv4': packet4(vm1, vm2, {}, udp(40000, 9, some)),
	'ICMP over IPv4': packet4(vm1, gateway, {}, icmp(8, some)),
	'TCP over IPv6': packet6(vm1, gateway, {}, tcp(40000, 80, some)),
	'UDP over IPv6': packet6(vm1, vm2, {}, udp(40000, 9, some)),
	'SCTP over IPv6': packet6(vm1, vm2, {}, raw(132, some)),
	'UDP behind options': packet6(vm1, gateway, {}, udp(40000, 9, some), {
		extensions: [destinationOptions],
	}),
	'a fragment': packet6(vm1, gateway, {}, udp(40000, 9, some), {
		extensions: [fragmentHeader(8, true)],
	}),
	'a long datagram': packet4(vm1, vm2, {}, long),
	'one that is longer than it says': padded(packet4(vm1, vm2, {}, udp(40000, 9, some)), 2100),
	'another, over IPv6': padded(packet6(vm1, vm2, {}, udp(40000, 9, some)), 2100),
	'a long one over IPv6': packet6(vm1, vm2, {}, long),
	ARP: arpRequest(vm1, vm2.ipv4),
	'ARP, padded': padded(arpRequest(vm1, vm2.ipv4), 2000),
	'ARP, cut short': cut(arpRequest(vm1, vm2.ipv4), 30),
	'IPv4, cut short': cut(packet4(vm1, vm2), 30),
	"IPv4 of somebody else's, cut short": cut(withSource(packet4(vm1, vm2), vm2.mac), 30),
	"IPv4 of a stranger's, cut short": cut(packet4(gateway, vm2), 30),
	'IPv6, cut short': cut(packet6(vm1, vm2), 40),
	"IPv6 of a stranger's, cut short": cut(packet6(gateway, vm2), 40),
	'a VLAN': packet4(vm1, vm2, tag),
	'a priority, from the LAN': packet4(gateway, vm1, { destination: MASTER, ...priority }),
	'a priority, from the LAN to all': packet4(
		gateway,
		{ ...gateway, mac: BROADCAST, ipv4: '255.255.255.255' },
		priority,
	),
	'another protocol': ethernet({ source: vm1.mac, destination: vm2.mac }, other(0x88b5)),
};

const narrow = { ...gateway, ipv4: '100.64.1.9', ipv6: '2001:db8:2:1::9' };
const segment = tcp(40000, 80, new Uint8Array(9000));
/** Three words of options in front of the data. */
const OPTIONS = [0x80];
const four = { gsoType: 1, csumStart: 34, csumOffset: 16 };
const six = { gsoType: 4, csumStart: 54, csumOffset: 16 };
const udpHeader = { gsoType: 5, csumOffset: 6 };
/** `mtu` is that of the route, `transport` the length of that header. */
const segmented = [
	{
		name: 'IPv4',
		frame: packet4(vm1, narrow, {}, segment),
		header: four,
		mtu: 600,
		transport: 20,
	},
	{
		name: 'IPv4 with options of TCP',
		frame: patched(packet4(vm1, narrow, {}, segment), 46, OPTIONS),
		header: four,
		mtu: 600,
		transport: 32,
	},
	{
		name: 'IPv6',
		frame: packet6(vm1, narrow, {}, segment),
		header: six,
		mtu: 1280,
		transport: 20,
	},
	{
		name: 'IPv6 with options of TCP',
		frame: patched(packet6(vm1, narrow, {}, segment), 66, OPTIONS),
		header: six,
		mtu: 1280,
		transport: 32,
	},
	{
		name: 'UDP',
		frame: packet4(vm1, narrow, {}, long),
		header: { ...udpHeader, csumStart: 34 },
		mtu: 600,
		transport: 8,
	},
	{
		name: 'UDP over IPv6',
		frame: packet6(vm1, narrow, {}, long),
		header: { ...udpHeader, csumStart: 54 },
		mtu: 1280,
		transport: 8,
	},
] as const;

/** Every mixture of what is right for some frame, with some that is right for none. */
const headers: readonly Buffer[] = [0, 1].flatMap(flags =>
	[0, 1, 3, 4, 5].flatMap(gsoType =>
		(gsoType === 0 ? [0] : [7, 8, 1000]).flatMap(gsoSize =>
			(flags === 0 ? [0] : [14, 34, 42, 54]).flatMap(csumStart =>
				(flags === 0 ? [0] : [6, 16]).flatMap(csumOffset =>
					// With 14 bytes in one piece the rest of a long frame lies in pages.
					[0, 14].map(headerLength => vnet({ flags, gsoType, gsoSize, csumStart, csumOffset, headerLength })),
				),
			),
		),
	),
);
