/** Frames that show what the driver's filter for groups lets through to whom. */
import { groupMac4, groupMac6, solicitedNode } from '../cases/traffic.js';
import { ethernet, mac, other } from '../helpers/frames.js';
import { addressesOf, BROADCAST, gateway, slaves } from '../helpers/world.js';
import type { Probe } from './plan.js';

/** One probe for each group, by MAC, that any of the frames goes to. */
export function probes(frames: readonly Uint8Array[]): Probe[] {
	const whole = frames.filter(frame => frame.length >= 14 && ((frame[0] ?? 0) & 1) === 1);
	const groups = new Set(whole.map(frame => hex(frame.subarray(0, 6))));
	return [...groups].map(group => ({
		from: 'wire',
		frame: hex(
			ethernet({ source: gateway.mac, destination: group.replace(/..(?!$)/g, '$&:') }, other(0x88b5)),
		),
		reaches: slaves.filter(slave => joined(slave).has(group)).map(({ name }) => name),
	}));
}

/** The groups that the host's end of a guest's device is in (ip-maddress(8)), and broadcast, always let through. */
function joined({ owns, ...slave }: (typeof slaves)[number]): Set<string> {
	const everybody = [BROADCAST, groupMac6('ff02::1')];
	const own = addressesOf(slave)
		.filter(address => address.includes(':'))
		.map(solicitedNode)
		.map(groupMac6);
	const groups = owns ? [...everybody, groupMac4('224.0.0.1'), ...own] : everybody;
	return new Set(groups.map(group => hex(mac(group))));
}

function hex(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}
