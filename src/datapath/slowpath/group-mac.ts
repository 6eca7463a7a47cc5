/** The group MAC that belongs to a packet's destination address. */
import { ETH_DESTINATION, ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_IPV4, writeMac } from '../../wire/ethernet.js';
import { IPV4_DESTINATION, IPV6_DESTINATION } from '../../wire/ip.js';

/**
 * Access points turn multicast into unicast to the station's MAC; a guest would refuse that, as it is not its
 * own. Restores 01:00:5e plus 23 bits (RFC 1112, 6.4), ff:ff:ff:ff:ff:ff, or 33:33 plus 32 bits (RFC 2464, 7).
 */
export function writeGroupMac(frame: DataView, at: number): void {
	const l3 = at + ETHERNET_HEADER;
	if (frame.getUint16(at + ETH_TYPE) !== ETHERTYPE_IPV4) {
		writeMac(frame, at + ETH_DESTINATION, 0x3333, frame.getInt32(l3 + IPV6_DESTINATION + 12));
		return;
	}
	const group = frame.getInt32(l3 + IPV4_DESTINATION);
	if (group === -1) writeMac(frame, at + ETH_DESTINATION, 0xffff, -1);
	else writeMac(frame, at + ETH_DESTINATION, 0x0100, 0x5e000000 | (group & 0x7fffff));
}
