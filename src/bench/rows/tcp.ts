/** Rows of TCP and UDP between Linux stacks. */
import { FEW_GUESTS } from '../ground.js';
import { type ConnectMode, connectTraffic, type TcpOptions, tcpTraffic, USUAL_MTU } from '../traffic/tcp.js';
import * as metrics from './metrics.js';
import type { Row, Table } from './row.js';

const FEW = [FEW_GUESTS] as const;

export function tcpRow(name: string, about: string, table: Table, options: Partial<TcpOptions> = {}): Row {
	const all = { offloads: true, streams: 1, mtu: USUAL_MTU, ...options };
	return {
		name: `tcp-${name}`,
		title: `TCP between Linux stacks, ${about}`,
		table,
		wants: all.offloads ? ['taps', 'gso'] : ['taps'],
		needs: { program: 'iperf3', package: 'iperf3' },
		guests: FEW,
		traffic: ([place], timing) => tcpTraffic(place!, all, timing),
		metrics: [metrics.tcpThroughput, metrics.retransmitted],
	};
}

export const connectRow: Row = {
	name: 'tcp-connections',
	title: 'TCP connections between Linux stacks, a byte there and a byte back in each',
	table: 'all',
	wants: ['taps', 'gso'],
	guests: FEW,
	traffic: ([place], timing) => connectTraffic(place!, 'connect', timing),
	metrics: [metrics.connections, ...metrics.delays('p50', 'p99')],
};

export const roundTripRow = roundTrips('tcp-rr', 'TCP', 'rr');
/** The kernel takes a UDP datagram to its reader with less ado: more of the delay is the path's. */
export const datagramRow = roundTrips('udp-rr', 'UDP', 'rr-udp');

function roundTrips(name: string, protocol: string, mode: ConnectMode): Row {
	return {
		...connectRow,
		name,
		title: `request/response by ${protocol} between Linux stacks, a byte each way`,
		traffic: ([place], timing) => connectTraffic(place!, mode, timing),
		metrics: [metrics.transactions, ...metrics.delays('p50', 'p99', 'p999', 'p9999')],
	};
}
