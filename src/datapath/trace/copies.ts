/**
 * Who got a copy of a multicast or broadcast frame, and who didn't and why. The receivers are those of the dry run;
 * reasons are given for the others alone.
 */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import { GroupRecords, NOT_A_REPORT } from '../../wire/group-report.js';
import { readIgmpReport } from '../../wire/igmp.js';
import { readMldReport } from '../../wire/mld.js';
import { isDhcpRequest } from '../forward/dhcp.js';
import { FLAG_BRIDGE, FLAG_VEPA } from '../port-state.js';
import { EDGE_HOST, EDGE_SLAVES, EDGE_WIRE } from '../verdict.js';
import { edgeWords } from './owners.js';
import type { Place, Step } from './place.js';

/** @param receivers edges that something was sent to. @param place as it was before the frame. */
export function copySteps(place: Place, frame: DataView, from: number, receivers: readonly number[]): Step[] {
	const { names, state } = place;
	const got = [...new Set(receivers)].sort((a, b) => a - b);
	const steps: Step[] = [];
	if (got.length > 0) {
		const why = got.includes(EDGE_WIRE)
			? "the wire's has the master's MAC; the others are as sent"
			: 'as it came';
		steps.push({ step: 'copies', result: listed(got, names), why });
	} else {
		steps.push({ step: 'copies', result: 'none', why: 'nobody on this port gets one' });
	}
	const others = [EDGE_WIRE, EDGE_HOST, ...state.slaves.subarray(0, state.slaveCount)];
	const byReason = new Map<string, number[]>();
	for (const edge of others) {
		if (got.includes(edge) || (from === EDGE_WIRE && edge === EDGE_WIRE)) continue;
		const reason = whyNot(place, frame, from, edge);
		byReason.set(reason, [...(byReason.get(reason) ?? []), edge]);
	}
	for (const [why, edges] of byReason) steps.push({ step: 'no copy', result: listed(edges, names), why });
	return steps;
}

function whyNot({ state, mode }: Place, frame: DataView, from: number, edge: number): string {
	const type = frame.getUint16(ETH_TYPE);
	const relayed = from >= EDGE_SLAVES || (from === EDGE_HOST && state.hostGroups);
	if (edge === from) return 'never back to the sender';
	if (mode !== 'l2') return 'only unicast crosses, but for the multicast slave';
	if (edge === EDGE_WIRE) return "the host's own goes out by the master, not through ipvtap";
	if (edge === EDGE_HOST && from === EDGE_WIRE) return 'the host has taken its own from the master';
	if (edge === EDGE_HOST && !state.host) return 'the master is up with --no-host';
	if (relayed && state.flag === FLAG_VEPA) return 'vepa: the relay on the wire sends it back for them';
	if (from >= EDGE_SLAVES && isReport(frame, type)) return 'IGMP and MLD reports are for routers alone';
	if (from >= EDGE_SLAVES && state.flag !== FLAG_BRIDGE) return 'private: no slave reaches another';
	if (isDhcpRequest(frame, 0, type)) return 'DHCP requests are for servers alone (--allow dhcp-server)';
	if (type !== ETHERTYPE_IPV6 && state.owned4[edge] === 0) return 'it has no IPv4 address yet';
	return "it hasn't asked for this group, or sent the frame itself";
}

function isReport(frame: DataView, type: number): boolean {
	const records = new GroupRecords();
	if (type === ETHERTYPE_IPV4) return readIgmpReport(frame, ETHERNET_HEADER, records) !== NOT_A_REPORT;
	return type === ETHERTYPE_IPV6 && readMldReport(frame, ETHERNET_HEADER, records) !== NOT_A_REPORT;
}

/** At most so many names: ports may have a thousand. */
const NAMES_MAX = 8;

function listed(edges: readonly number[], names: ReadonlyMap<number, string>): string {
	const shown = edges.slice(0, NAMES_MAX).map(edge => edgeWords(edge, names));
	const more = edges.length - shown.length;
	return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
