/**
 * What every peer stands on: a namespace for the host, one for the rest of the world, and the wire between them.
 *
 *   host namespace                                       wire namespace
 *     TAPs of guests 0, 1 …  ── the peer ──  wire0  ════  wire1      10.0.0.99, fd00:1::99, WIRE_MAC
 *     nowhere: a TAP that leads nowhere
 *
 * Guest n is 10.0.1.1 + n, without network and broadcast addresses, fd00:: and n + 1, and 02:00:00:01:hh:ll with hhll = n.
 */
import { Namespace } from '../lab/namespace.js';
import type { Programs } from './programs.js';

export const MASTER = 'wire0';
export const MASTER_MAC = '02:00:00:00:00:f0';
export const MASTER_IP = '10.0.0.98';
export const MASTER_IP6 = 'fd00:1::98';
export const WIRE_MAC = '02:00:00:00:00:f1';
export const WIRE_IP = '10.0.0.99';
export const WIRE_IP6 = 'fd00:1::99';
export const NOWHERE = 'nowhere';

/** Two pairs: one is looked at, the other disturbs it. */
export const FEW_GUESTS = 4;
export const MANY_GUESTS = 1000;

export function guestMac(guest: number): string {
	const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
	return `02:00:00:01:${hex(guest >> 8)}:${hex(guest & 255)}`;
}

export function guestIp(guest: number): string {
	return `10.0.${1 + Math.floor(guest / 250)}.${1 + (guest % 250)}`;
}

/** Decimal digits, read as hex by whoever parses it: as good as any other. */
export function guestIp6(guest: number): string {
	return `fd00::${guest + 1}`;
}

export class Ground {
	readonly host: Namespace;
	readonly wire: Namespace;
	readonly programs: Programs;
	readonly guests: number;

	private constructor(host: Namespace, wire: Namespace, programs: Programs, guests: number) {
		this.host = host;
		this.wire = wire;
		this.programs = programs;
		this.guests = guests;
	}

	/** @param name of the peer: each gets a ground of its own, and all stand side by side. */
	static async make(name: string, guests: number, programs: Programs): Promise<Ground> {
		const host = await Namespace.create(`b-${name}-${guests}`);
		const wire = await Namespace.create(`w-${name}-${guests}`);
		const settings = {
			'net.ipv6.conf.default.accept_dad': 0,
			'net.ipv6.conf.default.router_solicitations': 0,
		};
		await host.sysctl(settings);
		await wire.sysctl(settings);
		await host.ip(
			`link add ${MASTER} address ${MASTER_MAC} type veth peer name wire1 address ${WIRE_MAC} netns ${wire.name}`,
			`link set ${MASTER} up`,
			`tuntap add dev ${NOWHERE} mode tap vnet_hdr`,
			`link set ${NOWHERE} up`,
		);
		await wire.ip('link set wire1 up');
		return new Ground(host, wire, programs, guests);
	}

	/** The wire's edge, as guest.c takes it. */
	get wireEdge(): string {
		return `packet:wire1@${this.wire.name}`;
	}

	/** Makes persistent TAPs as any tool for virtual machines does, and brings them up. @returns their names. */
	async addTaps(): Promise<string[]> {
		const names = Array.from({ length: this.guests }, (_, guest) => `tap${guest}`);
		await this.host.ip(
			...names.flatMap(name => [`tuntap add dev ${name} mode tap vnet_hdr`, `link set ${name} up`]),
		);
		return names;
	}

	async remove(): Promise<void> {
		await this.host.delete();
		await this.wire.delete();
	}
}
