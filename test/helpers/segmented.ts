import { vnet } from '../integration/datapath/frames.js';

/** A frame longer than the MTU passes a TAP only as one that is to be segmented. */
export function longFrameHeader(frame: Uint8Array): Buffer | undefined {
	if (frame.length <= 1514) return undefined;
	const four = frame[12] === 8;
	return vnet({
		flags: 1,
		gsoType: four ? 1 : 4,
		headerLength: four ? 54 : 74,
		gsoSize: 1400,
		csumStart: four ? 34 : 54,
		csumOffset: 16,
	});
}
