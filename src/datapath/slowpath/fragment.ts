/**
 * Cuts an IPv4 packet into fragments (RFC 791, 3.2) where it is too long for its next hop and its sender allows it.
 * Each fragment is a whole frame, as the sender might have sent it, so that it is forwarded like any other.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { sumOf } from '../../wire/checksum.js';
import { ETHERNET_HEADER } from '../../wire/ethernet.js';
import { IPV4_CHECKSUM, IPV4_FRAGMENT, IPV4_HEADER_MIN, IPV4_TOTAL_LENGTH } from '../../wire/ip.js';
import { checksumIsPartial, partialChecksum, VNET_HEADER } from '../../wire/vnet-header.js';
import { type Region, regionOf } from '../transmit.js';

/** A packet has 64 KB; in pieces of 8 bytes, the least there can be, behind the longest headers it takes this much. */
const ROOM = 1 << 20;
const MORE_FRAGMENTS = 0x2000;
const OFFSET = 0x1fff;

export class Fragmenter {
	readonly #memory: Mapping = mapShared(ROOM);
	/** Where the fragments lie until the next packet is cut. */
	readonly region: Region = regionOf(this.#memory);

	/**
	 * @param mtu bytes of layer 3, 68 at the least. The packet itself stays as it is.
	 * @returns where each fragment's frame begins, and its length.
	 */
	cut(frame: DataView, at: number, mtu: number): { at: number; length: number }[] {
		const ip = at + ETHERNET_HEADER;
		const header = (frame.getUint8(ip) & 15) << 2;
		const payload = frame.getUint16(ip + IPV4_TOTAL_LENGTH) - header;
		const most = Math.max(8, (mtu - header) & ~7);
		const flags = frame.getUint16(ip + IPV4_FRAGMENT);
		const pieces: { at: number; length: number }[] = [];
		// The sum that the sender left to whoever sends at last: over fragments nobody could make it any more.
		const sum = checksumIsPartial(frame, at) ? sumAt(frame, at, payload) : undefined;
		let to = VNET_HEADER;
		for (let offset = 0; offset < payload; offset += most) {
			const size = Math.min(most, payload - offset);
			const last = offset + size === payload;
			const piece = to + ETHERNET_HEADER;
			// An earlier packet's bytes may lie where this piece's virtio header has to say nothing.
			this.#memory.bytes.fill(0, to - VNET_HEADER, to);
			this.#copy(frame, at, to, ETHERNET_HEADER + header);
			this.#copy(frame, ip + header + offset, piece + header, size);
			const out = this.region.frame;
			if (offset > 0) blankOptions(out, piece, header);
			if (sum && sum.field >= offset && sum.field < offset + size)
				out.setUint16(piece + header + sum.field - offset, sum.value);
			out.setUint16(piece + IPV4_TOTAL_LENGTH, header + size);
			const more = last ? flags & MORE_FRAGMENTS : MORE_FRAGMENTS;
			out.setUint16(piece + IPV4_FRAGMENT, more | ((flags & OFFSET) + (offset >> 3)));
			out.setUint16(piece + IPV4_CHECKSUM, 0);
			out.setUint16(piece + IPV4_CHECKSUM, ~sumOf(out, piece, header) & 0xffff);
			pieces.push({ at: to, length: ETHERNET_HEADER + header + size });
			to += (ETHERNET_HEADER + header + size + VNET_HEADER + 7) & ~7;
		}
		return pieces;
	}

	close(): void {
		unmap(this.#memory);
	}

	#copy(from: DataView, at: number, to: number, length: number): void {
		const bytes = new Uint8Array(from.buffer, from.byteOffset + at, length);
		this.#memory.bytes.set(bytes, to);
	}
}

/** What a partial checksum is when it is whole, and where its field lies, from the end of the IP header. */
function sumAt(frame: DataView, at: number, payload: number): { field: number; value: number } {
	const { start, offset } = partialChecksum(frame, at);
	const transport = start - ETHERNET_HEADER - ((frame.getUint8(at + ETHERNET_HEADER) & 15) << 2);
	const sum = ~sumOf(frame, at + start, payload - transport) & 0xffff;
	// RFC 768: zero would say that there is no sum.
	return { field: transport + offset, value: sum === 0 ? 0xffff : sum };
}

/** Options that go with the first fragment alone become "no operation", as in ip_options_fragment of Linux. */
function blankOptions(frame: DataView, ip: number, header: number): void {
	for (let at = ip + IPV4_HEADER_MIN; at < ip + header; ) {
		const type = frame.getUint8(at);
		if (type === 0) return;
		const length = type === 1 ? 1 : frame.getUint8(at + 1);
		if (length === 0 || at + length > ip + header || (type !== 1 && length < 2)) return;
		if ((type & 0x80) === 0) for (let byte = 0; byte < length; byte++) frame.setUint8(at + byte, 1);
		at += length;
	}
}
