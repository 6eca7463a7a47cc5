/** How much memory a port's rings take, and how it is cut up. Pure. */

/** Bytes of each ring: 4096 frames of the ordinary size. */
const RING_BYTES = 8 << 20;
/** Bytes of long frames that may wait: some 200 of 64 KB. */
export const LONG_FRAME_BYTES = 16 << 20;
/** What stands before a frame in its slot: tpacket2_hdr, sockaddr_ll and the virtio header, rounded up. */
const SLOT_OVERHEAD = 128;
/** Frames of one batch, and as many again that a slow driver may still hold. */
const SEND_SLOTS = 256;
/** Beyond this, frames are read from the socket one by one, as GSO frames are. */
const SLOT_MAX = 16384;

/** Slots are the smallest power of two that holds a frame of this MTU. */
export function ringSize(mtu: number) {
	const slotSize = Math.min(SLOT_MAX, Math.max(2048, 2 ** Math.ceil(Math.log2(mtu + SLOT_OVERHEAD))));
	return {
		slotSize,
		slots: RING_BYTES / slotSize,
		sendSlots: SEND_SLOTS,
		longFrameBytes: LONG_FRAME_BYTES,
	};
}
