/**
 * The programs, told to tell, on real TAPs: for what BPF_PROG_TEST_RUN can't put in front of them, which is virtio
 * headers, VLAN tags, frames that end inside their headers, and frames that don't lie in one piece.
 */
import type { ModeName } from '../../../src/datapath/port-state.js';
import { dropReasons, EDGE_HOST, EDGE_WIRE } from '../../../src/datapath/verdict.js';
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
	raw,
	tcp,
	udp,
	withSource,
} from '../../helpers/frames.js';
import { type KernelPort, PUNT } from '../../helpers/kernel-port.js';
import { PurePort } from '../../helpers/pure-port.js';
import { FrameEnd } from '../../helpers/tap-guest.js';
import { gateway, MASTER, standardTopology, vm1, vm2 } from '../../helpers/world.js';
import { vnet } from '../datapath/frames.js';

/** Sends each frame with each header to each program. @returns where virtio headers were judged otherwise than they are. */
export function complaintsAttached(kernel: KernelPort, mode: ModeName): string[] {
	const topology = standardTopology('bridge', true, mode);
	const pure = new PurePort(topology);
	kernel.configure(topology, pure.state);
	pure.close();
	const wrong: string[] = [];
	for (const [program, edge] of attachments) {
		const ifindex = kernel.device(edge);
		const end = attach(kernel, program, edge);
		for (const [name, frame] of Object.entries(frames)) {
			for (const header of headers) {
				if (end.trySend(frame, header) !== 'sent' || edge !== vm1.edge) continue;
				const verdict = kernel.verdict;
				const sane = isSane(frame, header);
				if (sane === undefined) continue;
				// Behind extension headers the forwarder looks.
				if (sane === (verdict === BAD_HEADER) && (sane || verdict !== PUNT)) {
					wrong.push(`${name} with ${header.toString('hex')}: ${verdict}`);
				}
			}
		}
		end.close();
		deleteClsact(ifindex);
	}
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

/** Of frames with all their headers. */
function isSane(frame: Uint8Array, header: Uint8Array): boolean | undefined {
	const bytes = Uint8Array.from([...header, ...frame]);
	const view = new DataView(bytes.buffer);
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
	'another protocol': ethernet({ source: vm1.mac, destination: vm2.mac }, other(0x88b5)),
};

/** Every mixture of what is right for some frame, with some that is right for none. */
const headers: readonly Buffer[] = [0, 1].flatMap(flags =>
	[0, 1, 3, 4, 5].flatMap(gsoType =>
		(gsoType === 0 ? [0] : [5, 1000]).flatMap(gsoSize =>
			(flags === 0 ? [0] : [14, 34, 42, 54]).flatMap(csumStart =>
				(flags === 0 ? [0] : [6, 16]).flatMap(csumOffset =>
					// With 14 bytes in one piece the rest of a long frame lies in pages.
					[0, 14].map(headerLength => vnet({ flags, gsoType, gsoSize, csumStart, csumOffset, headerLength })),
				),
			),
		),
	),
);
