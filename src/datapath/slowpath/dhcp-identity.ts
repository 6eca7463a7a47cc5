/** What a DHCPv4 client calls itself, and whether it may. Pure. */
import { DHCP_GIADDR, findOption, OPTION_CLIENT_ID, OPTION_OVERLOAD } from '../../wire/dhcp.js';
import { macEquals } from '../../wire/ethernet.js';
import type { PortState } from '../port-state.js';

/**
 * The client identifier in hexadecimal; of a client that sends none, the one that it is given (type 1, and its
 * MAC). Undefined where it names another's MAC, where options are hidden in fields that a server reads and we
 * don't (RFC 2132, 9.3), where there are two of them, and for a relay agent's request.
 */
export function clientIdentity(
	state: PortState,
	frame: DataView,
	bootp: number,
	end: number,
	edge: number,
): string | undefined {
	if (frame.getUint32(bootp + DHCP_GIADDR) !== 0) return undefined;
	if (findOption(frame, bootp, end, OPTION_OVERLOAD) !== 0) return undefined;
	const option = findOption(frame, bootp, end, OPTION_CLIENT_ID);
	if (option === 0) return `01${macText(state, edge)}`;
	const length = frame.getUint8(option + 1);
	const next = option + 2 + length;
	if (findOption(frame, bootp, end, OPTION_CLIENT_ID, next) !== 0) return undefined;
	if (length === 7 && frame.getUint8(option + 2) === 1 && isAnothersMac(state, frame, option + 3, edge))
		return undefined;
	let text = '';
	for (let at = option + 2; at < next; at++) text += hex(frame.getUint8(at));
	return text;
}

function isAnothersMac(state: PortState, frame: DataView, at: number, edge: number): boolean {
	if (macEquals(frame, at, state.masterHigh, state.masterLow)) return true;
	for (let index = 0; index < state.slaveCount; index++) {
		const other = state.slaves[index] as number;
		if (other === edge) continue;
		if (macEquals(frame, at, state.macHigh[other] as number, state.macLow[other] as number)) return true;
	}
	return false;
}

function macText(state: PortState, edge: number): string {
	const high = (state.macHigh[edge] as number).toString(16).padStart(4, '0');
	return high + ((state.macLow[edge] as number) >>> 0).toString(16).padStart(8, '0');
}

function hex(byte: number): string {
	return byte.toString(16).padStart(2, '0');
}
