/** What a port says on the wire by itself, about its guests' addresses, whenever that is due. */

/** An ARP probe or announcement, a solicitation of duplicate address detection, an unsolicited advertisement. */
export function isSpeech(frame: Buffer): boolean {
	if (frame.readUInt16BE(12) === 0x0806) {
		const [sender, target] = [frame.readUInt32BE(28), frame.readUInt32BE(38)];
		return frame.readUInt16BE(20) === 1 && (sender === 0 || sender === target);
	}
	if (frame.readUInt16BE(12) !== 0x86dd || frame[20] !== 58) return false;
	const fromNobody = frame.subarray(22, 38).every(byte => byte === 0);
	return frame[54] === 136 ? frame.readUInt32BE(58) === 0x20000000 : frame[54] === 135 && fromNobody;
}
