/**
 * ICMP errors to guests whose frames can't be routed, in the host's name: the counterpart of `refuse` in verdict.ts.
 * They come from the host's address on the master and go straight back to the slave.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_IPV4,
	writeMac,
} from '../../wire/ethernet.js';
import * as icmp from '../../wire/icmp.js';
import { mtuOf } from '../forward/route.js';
import type { PortState } from '../port-state.js';
import { type Region, regionOf } from '../transmit.js';
import { refuse } from '../verdict.js';
import { ErrorLimit } from './error-limit.js';

/** Type and code of each family. */
interface Kind {
	ipv4: readonly [type: number, code: number];
	ipv6: readonly [type: number, code: number];
}

const TOO_BIG = refuse('too-big');

const kinds = new Map<number, Kind>([
	[
		refuse('no-route'),
		{
			ipv4: [icmp.ICMP_UNREACHABLE, icmp.ICMP_NET_UNREACHABLE],
			ipv6: [icmp.ICMPV6_UNREACHABLE, icmp.ICMPV6_NO_ROUTE],
		},
	],
	[
		refuse('unreachable'),
		{
			ipv4: [icmp.ICMP_UNREACHABLE, icmp.ICMP_HOST_UNREACHABLE],
			ipv6: [icmp.ICMPV6_UNREACHABLE, icmp.ICMPV6_ADDRESS_UNREACHABLE],
		},
	],
	[
		refuse('prohibited'),
		{
			ipv4: [icmp.ICMP_UNREACHABLE, icmp.ICMP_PROHIBITED],
			ipv6: [icmp.ICMPV6_UNREACHABLE, icmp.ICMPV6_PROHIBITED],
		},
	],
	[
		refuse('beyond-scope'),
		{
			ipv4: [icmp.ICMP_UNREACHABLE, icmp.ICMP_NET_UNREACHABLE],
			ipv6: [icmp.ICMPV6_UNREACHABLE, icmp.ICMPV6_BEYOND_SCOPE],
		},
	],
	[refuse('ttl-exceeded'), { ipv4: [icmp.ICMP_TIME_EXCEEDED, 0], ipv6: [icmp.ICMPV6_TIME_EXCEEDED, 0] }],
	[
		TOO_BIG,
		{ ipv4: [icmp.ICMP_UNREACHABLE, icmp.ICMP_FRAGMENTATION_NEEDED], ipv6: [icmp.ICMPV6_TOO_BIG, 0] },
	],
]);

export class Refuser {
	readonly #memory: Mapping = mapShared(4096);
	readonly #limit = new ErrorLimit();
	/** Where the error lies until the next one is made. The virtio header in front of it stays zero for ever. */
	readonly region: Region = regionOf(this.#memory);
	readonly at = 32;

	/**
	 * Makes the error about the frame at `at`. @param verdict of `refuse`. @param now milliseconds.
	 * @returns its length in bytes, or 0 if there is to be none.
	 */
	complain(
		state: PortState,
		about: DataView,
		at: number,
		verdict: number,
		edge: number,
		now: number,
	): number {
		const kind = kinds.get(verdict);
		const ip = at + ETHERNET_HEADER;
		const ipv4 = about.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV4;
		const may = ipv4
			? icmp.mayComplain4(about, ip)
			: icmp.mayComplain6(about, ip) && state.routing.hasSource6;
		if (!kind || !may || !this.#limit.allow(edge, now, verdict === TOO_BIG)) return 0;
		const [type, code] = ipv4 ? kind.ipv4 : kind.ipv6;
		const mtu = verdict === TOO_BIG ? mtuTowards(state, about, ip, ipv4) : 0;
		const { frame } = this.region;
		const to = this.at;
		writeMac(frame, to + ETH_DESTINATION, state.macHigh[edge] as number, state.macLow[edge] as number);
		writeMac(frame, to + ETH_SOURCE, state.masterHigh, state.masterLow);
		frame.setUint16(to + ETH_TYPE, about.getUint16(at + ETH_TYPE));
		const packet = to + ETHERNET_HEADER;
		const error = { type, code, mtu };
		return (
			ETHERNET_HEADER +
			(ipv4
				? icmp.writeError4(about, ip, error, state.routing.source4, frame, packet)
				: icmp.writeError6(about, ip, error, state.routing.source6, frame, packet))
		);
	}

	close(): void {
		unmap(this.#memory);
	}
}

function mtuTowards(state: PortState, frame: DataView, ip: number, ipv4: boolean): number {
	const { routing } = state;
	return mtuOf(state, ipv4 ? routing.find(frame, ip) : routing.find6(frame, ip));
}
