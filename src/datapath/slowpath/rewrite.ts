/** MAC-NAT of a frame that leaves for the wire, whatever it is: the counterpart of what `forward` does for one receiver. */
import {
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV6,
	writeMac,
} from '../../wire/ethernet.js';
import { ARP_SENDER_MAC } from '../../wire/ip.js';
import { ndType } from '../../wire/ndp.js';
import { ndToWire } from '../forward/nd.js';
import type { PortState } from '../port-state.js';

/** The frame has been accepted by `forward`, so its headers are whole. */
export function rewriteForWire(state: PortState, frame: DataView, at: number): void {
	const l3 = at + ETHERNET_HEADER;
	const type = frame.getUint16(at + ETH_TYPE);
	const nd = type === ETHERTYPE_IPV6 ? ndType(frame, l3) : 0;
	if (nd > 0) {
		ndToWire(state, frame, at, nd);
		return;
	}
	writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
	if (type === ETHERTYPE_ARP) writeMac(frame, l3 + ARP_SENDER_MAC, state.masterHigh, state.masterLow);
}
