/** What IGMP and MLD reports have in common once they are read: a list of groups, each joined or left. */

/** Longer reports than fit a jumbo frame of 9000 bytes, 1121 records of IGMPv3, nobody honest sends. */
export const RECORDS_MAX = 1200;

/** Not a report: another message, or another protocol. */
export const NOT_A_REPORT = -1;
/** Would be a report, but breaks a rule of its RFC; who heeds it anyway knows more than we can see. */
export const MALFORMED_REPORT = -2;

/** The records of one report, by where they lie. Filled anew by each `read…Report`; allocated once. */
export class GroupRecords {
	count = 0;
	/** Offsets of the groups' addresses. */
	readonly at = new Int32Array(RECORDS_MAX);
	/** 1 where the sender is a member, 0 where it no longer is. */
	readonly joined = new Uint8Array(RECORDS_MAX);

	add(at: number, joined: boolean): void {
		this.at[this.count] = at;
		this.joined[this.count++] = joined ? 1 : 0;
	}
}

/**
 * Reads the records of an IGMPv3 or MLDv2 report, which differ only in the length of an address (RFC 3376, 4.2.4;
 * RFC 3810, 5.2.4):
 *
 *      0      1         2           4        4 + address        …
 *      | type | aux len | sources n | group  | n × source       | aux len × 4 bytes |
 *
 * Membership is of groups here, whatever the sources: a frame from one that the guest doesn't want is the guest's
 * to refuse, as it does on any LAN.
 *
 * @param addressLength bytes: 4 or 16.
 * @returns how many records there are, or MALFORMED_REPORT if they don't fit.
 */
export function readRecords(
	frame: DataView,
	at: number,
	end: number,
	records: number,
	addressLength: 4 | 16,
	into: GroupRecords,
): number {
	into.count = 0;
	if (records > RECORDS_MAX) return MALFORMED_REPORT;
	let record = at;
	for (let index = 0; index < records; index++) {
		const group = record + 4;
		if (group + addressLength > end) return MALFORMED_REPORT;
		const type = frame.getUint8(record);
		const sources = frame.getUint16(record + 2);
		const change = meaningOf(type, sources);
		if (change === MALFORMED) return MALFORMED_REPORT;
		if (change !== NO_CHANGE) into.add(group, change === JOINED);
		record = group + addressLength * (1 + sources) + (frame.getUint8(record + 1) << 2);
		if (record > end) return MALFORMED_REPORT;
	}
	// Bytes behind the last record are of a later version's, and are not to be looked at (RFC 3376, 4.2.11).
	return into.count;
}

const JOINED = 1;
const LEFT = 0;
const NO_CHANGE = -1;
const MALFORMED = -2;

function meaningOf(type: number, sources: number): number {
	switch (type) {
		case MODE_IS_EXCLUDE:
		case CHANGE_TO_EXCLUDE:
			return JOINED;
		case CHANGE_TO_INCLUDE:
			return sources === 0 ? LEFT : JOINED;
		case MODE_IS_INCLUDE:
		case ALLOW_NEW_SOURCES:
			return sources === 0 ? NO_CHANGE : JOINED;
		case BLOCK_OLD_SOURCES:
			// Whether any source is left, only who knows them all can say; if none is, the membership ages.
			return NO_CHANGE;
		default:
			// RFC 3376, 4.2.12: unrecognized types are ignored; 0 can't come from anybody who counts from 1.
			return type === 0 ? MALFORMED : NO_CHANGE;
	}
}

// RFC 3376, 4.2.12; RFC 3810, 5.2.12
const MODE_IS_INCLUDE = 1;
const MODE_IS_EXCLUDE = 2;
const CHANGE_TO_INCLUDE = 3;
const CHANGE_TO_EXCLUDE = 4;
const ALLOW_NEW_SOURCES = 5;
const BLOCK_OLD_SOURCES = 6;
