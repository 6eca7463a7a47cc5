/** What this process may do, asked of the kernel and not guessed from the user id. */
import { readFileSync } from 'node:fs';
import { IpvtapError } from '../errors.js';

/** @throws IpvtapError `permission` that names the capability and the ways to it. */
export function requireCapabilities(what: string): void {
	const missing = Object.entries(needed).filter(([, bit]) => !hasCapability(bit));
	if (missing.length === 0) return;
	const names = missing.map(([name]) => name).join(' and ');
	throw new IpvtapError('permission', `can't ${what}: it needs ${names}`, {
		hint: `run it as root (sudo), or let root run ipvtapd and join its group: sudo usermod -aG ipvtap "$USER"`,
	});
}

function hasCapability(bit: number): boolean {
	const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
	return ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}

/** linux/capability.h: the first for TAPs, routes and TC, the second for AF_PACKET. */
const needed = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 } as const;
