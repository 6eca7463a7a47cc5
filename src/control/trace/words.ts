/**
 * A frame in words, made into bytes. What isn't said is as the guest would do it: its own MAC and first address, the
 * next hop's MAC as the guest would have resolved it. All of it can be said otherwise, so that spoofing can be
 * tried. What had to be made up is noted. Pure.
 */
import ipaddr from 'ipaddr.js';
import { familyOf } from '../../datapath/address-key.js';
import { EDGE_HOST, EDGE_SLAVES, EDGE_WIRE } from '../../datapath/verdict.js';
import { IpvtapError } from '../../errors.js';
import {
	advertisement,
	arp,
	BROADCAST_MAC,
	dhcpRequest,
	ethernet,
	groupMac,
	igmpReport,
	ip,
	isGroupAddress,
	mldReport,
	other,
	type Packet,
	type Payload,
	ping,
	routerAdvertisement,
	routerSolicitation,
	solicitation,
	solicitedNode,
	tcp,
	udp,
} from '../../wire/compose.js';
import { quote } from '../names.js';
import type { Surroundings } from './surroundings.js';

export const frameTypes = [
	'arp',
	'arp-reply',
	'arp-probe',
	'arp-announce',
	'ns',
	'dad',
	'na',
	'rs',
	'ra',
	'dhcp',
	'igmp',
	'mld',
] as const;
export type FrameType = (typeof frameTypes)[number];

export interface FrameWords {
	/** Address, slave, `host` or `broadcast`. */
	to?: string;
	source?: string;
	/** Ethernet source, and what ARP and ND name as the sender's. */
	mac?: string;
	/** Ethernet destination. */
	nextHop?: string;
	/** `udp`, `tcp`, `icmp` or a number. */
	proto?: string;
	type?: FrameType;
	sport?: number;
	dport?: number;
	ttl?: number;
}

export interface MadeFrame {
	frame: Uint8Array;
	/** What the reader should know about it. */
	notes: string[];
}

/** @param from EDGE_WIRE, EDGE_HOST, or a slave's edge. @throws IpvtapError `usage` or `not-found`. */
export function frameOf(words: FrameWords, from: number, around: Surroundings): MadeFrame {
	checkTogether(words);
	return new Maker(words, from, around).make();
}

function checkTogether({ type, proto, sport, dport, ttl }: FrameWords): void {
	if (type !== undefined && proto !== undefined)
		throw contradiction(
			'--type and --proto are both given',
			'--proto is for IP packets, --type for everything else',
		);
	const ports = sport !== undefined || dport !== undefined;
	if (ports && (type !== undefined || (proto !== undefined && !/^(udp|tcp)$/.test(proto))))
		throw contradiction(`${type ?? proto} has no ports`, 'ports are for --proto udp and tcp');
	if (type !== undefined && ttl !== undefined)
		throw contradiction(`the TTL of ${type} is fixed`, '--ttl is for --proto');
}

class Maker {
	readonly #words: FrameWords;
	readonly #from: number;
	readonly #around: Surroundings;
	readonly #family: 4 | 6;
	readonly #notes: string[] = [];

	constructor(words: FrameWords, from: number, around: Surroundings) {
		this.#words = words;
		this.#from = from;
		this.#around = around;
		this.#family = this.#chooseFamily();
	}

	make(): MadeFrame {
		const { type } = this.#words;
		const frame = type === undefined ? this.#packet() : this.#byType(type);
		return { frame, notes: this.#notes };
	}

	#packet(): Uint8Array {
		const destination = this.#to();
		const source = this.#source();
		const { ttl } = this.#words;
		return this.#framed(ip({ source, destination, ttl }, this.#payload()), this.#nextHop(destination));
	}

	#payload(): Payload {
		const { proto, sport = 40000, dport, sport: given } = this.#words;
		const what = proto ?? (given !== undefined || dport !== undefined ? 'udp' : 'icmp');
		if (what === 'udp') return udp(sport, dport ?? 9);
		if (what === 'tcp') return tcp(sport, dport ?? 80);
		if (what === 'icmp' || what === 'icmpv6' || what === 'ping') return ping(this.#family);
		const number = /^\d{1,3}$/.test(what) ? Number(what) : 256;
		if (number <= 255) return other(number);
		const isType = (frameTypes as readonly string[]).includes(what);
		throw new IpvtapError('usage', `trace: ${quote(what)} is no protocol of IP`, {
			hint: isType ? `say: --type ${what}` : 'udp, tcp, icmp or a number from 0 to 255',
		});
	}

	#byType(type: FrameType): Uint8Array {
		const mac = this.#mac();
		switch (type) {
			case 'arp':
				return this.#arp(1, this.#source(), this.#to(), BROADCAST_MAC);
			case 'arp-probe':
				return this.#arp(
					1,
					'0.0.0.0',
					this.#words.to === undefined ? this.#source() : this.#to(),
					BROADCAST_MAC,
				);
			case 'arp-announce':
				return this.#arp(1, this.#source(), this.#source(), BROADCAST_MAC);
			case 'arp-reply':
				return this.#arp(2, this.#source(), this.#to(), this.#nextHop(this.#to()));
			case 'ns':
				return this.#nd(this.#linkSource(), solicitedNode(this.#to()), solicitation(this.#to(), mac));
			case 'dad': {
				const target = this.#words.to === undefined ? this.#source() : this.#to();
				return this.#nd('::', solicitedNode(target), solicitation(target));
			}
			case 'na': {
				const solicited = this.#words.to !== undefined;
				const to = solicited ? this.#to() : 'ff02::1';
				return this.#nd(this.#source(), to, advertisement(this.#source(), mac, solicited));
			}
			case 'rs':
				return this.#nd(this.#linkSource(), 'ff02::2', routerSolicitation(mac));
			case 'ra':
				return this.#nd(this.#linkSource(), 'ff02::1', routerAdvertisement(mac));
			case 'dhcp': {
				const renewed = this.#words.source;
				const to = this.#words.to === undefined ? '255.255.255.255' : this.#to();
				const source = renewed === undefined ? '0.0.0.0' : this.#source();
				return this.#framed(ip({ source, destination: to }, dhcpRequest(mac, renewed)), this.#nextHop(to));
			}
			case 'igmp':
				return this.#framed(
					ip({ source: this.#source(), destination: this.#to(), ttl: 1 }, igmpReport(this.#to())),
					this.#nextHop(this.#to()),
				);
			case 'mld':
				return this.#framed(
					ip({ source: this.#linkSource(), destination: 'ff02::16', ttl: 1 }, mldReport(this.#to())),
					this.#nextHop('ff02::16'),
				);
		}
	}

	#arp(operation: number, sender: string, target: string, destination: string): Uint8Array {
		const targetMac = operation === 2 ? destination : undefined;
		const packet = arp({ operation, senderMac: this.#mac(), sender, targetMac, target });
		return this.#framed(packet, this.#words.nextHop === undefined ? destination : this.#nextHop(target));
	}

	/** RFC 4861: with a hop limit of 255, so that nobody behind a router can say it. */
	#nd(source: string, destination: string, payload: Payload): Uint8Array {
		return this.#framed(ip({ source, destination, ttl: 255 }, payload), this.#nextHop(destination));
	}

	#framed(packet: Packet, destination: string): Uint8Array {
		return ethernet({ source: this.#mac(), destination }, packet);
	}

	#mac(): string {
		const { mac } = this.#words;
		if (mac !== undefined) return parseAnyMac(mac);
		if (this.#from === EDGE_WIRE)
			return this.#madeUp(NEIGHBOUR_MAC, 'the source MAC', 'that of some neighbour on the wire');
		return this.#around.macOf(this.#from) ?? this.#around.masterMac;
	}

	/** What the sender would have resolved the address to. */
	#nextHop(address: string): string {
		const { nextHop } = this.#words;
		if (nextHop !== undefined) return parseAnyMac(nextHop);
		if (isGroupAddress(address)) return groupMac(address);
		if (this.#from === EDGE_WIRE || (this.#around.routes && this.#from >= EDGE_SLAVES))
			return this.#around.masterMac;
		const owner = this.#around.ownerOf(address);
		const mac = owner === undefined ? undefined : this.#around.macOf(owner);
		return mac ?? this.#madeUp(ROUTER_MAC, "the next hop's MAC", `nobody here has ${address}`);
	}

	/** Said by the user, or the sender's own. */
	#source(): string {
		const { source } = this.#words;
		if (source !== undefined) return parseAnyAddress(source, '--source');
		const own = this.#from === EDGE_WIRE ? undefined : this.#around.addressOf(this.#from, this.#family);
		if (own !== undefined) return own;
		if (this.#from === EDGE_WIRE) {
			const gateway = this.#around.gateways.find(address => familyOf(address) === this.#family);
			if (gateway !== undefined) return this.#madeUp(gateway, 'the source address', "a gateway's");
			const made = this.#family === 4 ? '198.51.100.1' : '2001:db8:ffff::1';
			return this.#madeUp(made, 'the source address', 'that of somebody far away');
		}
		throw new IpvtapError('usage', `trace: the sender has no IPv${this.#family} address yet`, {
			hint: 'say from which address: --source ADDRESS',
		});
	}

	/** IPv6 hosts speak of their link from their link-local address, if they have one. */
	#linkSource(): string {
		if (this.#words.source !== undefined) return this.#source();
		return this.#around.linkLocalOf(this.#from) ?? this.#source();
	}

	#to(): string {
		const { to } = this.#words;
		if (to === undefined) {
			throw new IpvtapError('usage', 'trace: the frame is for nobody', {
				hint: '--to takes an address, the name of a slave, host or broadcast; or give the frame itself: --frame HEX',
			});
		}
		if (to === 'broadcast') return '255.255.255.255';
		const edge = this.#edgeNamed(to);
		if (edge === undefined) return this.#ofFamily(parseAnyAddress(to, '--to'), to);
		const address = this.#around.addressOf(edge, this.#family);
		if (address !== undefined) return address;
		throw new IpvtapError('usage', `trace: ${to} has no IPv${this.#family} address`, {
			hint: 'give the address itself: --to ADDRESS; see: ipvtap list',
		});
	}

	#ofFamily(address: string, said: string): string {
		if (familyOf(address) === this.#family) return address;
		const { type } = this.#words;
		const why =
			type === undefined ? '--source and --to are of two families' : `${type} is not for ${quote(said)}`;
		const others: Partial<Record<FrameType, string>> = { arp: 'ns', ns: 'arp', igmp: 'mld', mld: 'igmp' };
		const instead = type === undefined ? undefined : others[type];
		throw contradiction(
			why,
			instead === undefined ? 'give both as IPv4, or both as IPv6' : `for that family: --type ${instead}`,
		);
	}

	#edgeNamed(name: string): number | undefined {
		return name === 'host' ? EDGE_HOST : this.#around.edgeOf(name.replace(/^slave /, ''));
	}

	/** By what is said; otherwise one in which both have an address. */
	#chooseFamily(): 4 | 6 {
		const { to, source, type, proto } = this.#words;
		if (type !== undefined) return types6.has(type) ? 6 : 4;
		if (source !== undefined) return familyOf(parseAnyAddress(source, '--source'));
		const edge = to === undefined ? undefined : this.#edgeNamed(to);
		if (to !== undefined && to !== 'broadcast' && edge === undefined)
			return familyOf(parseAnyAddress(to, '--to', this.#around.slaves()));
		if (edge === undefined || proto === 'icmpv6') return proto === 'icmpv6' ? 6 : 4;
		const has = (family: 4 | 6): boolean =>
			this.#around.addressOf(edge, family) !== undefined &&
			(this.#from < EDGE_SLAVES || this.#around.addressOf(this.#from, family) !== undefined);
		return has(4) || !has(6) ? 4 : 6;
	}

	#madeUp(value: string, what: string, why: string): string {
		const note = `${what} is assumed to be ${value}: ${why}`;
		if (!this.#notes.includes(note)) this.#notes.push(note);
		return value;
	}
}

const types6: ReadonlySet<FrameType> = new Set(['ns', 'dad', 'na', 'rs', 'ra', 'mld']);
/** RFC 7042, 2.1.2: MACs for documentation. */
const ROUTER_MAC = '00:00:5e:00:53:01';
const NEIGHBOUR_MAC = '00:00:5e:00:53:02';

/** Any address at all, groups included. @throws IpvtapError `not-found` for what looks like a slave's name. */
function parseAnyAddress(text: string, option: string, slaves: readonly string[] = []): string {
	if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toString();
	if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text))
		return ipaddr.IPv6.parse(text).toRFC5952String();
	if (option === '--to' && /^[A-Za-z][\w.-]*$/.test(text)) {
		throw new IpvtapError('not-found', `trace: no slave is named ${quote(text)} on this master`, {
			hint:
				slaves.length > 0
					? `there are ${slaves.slice(0, 5).join(', ')}; or give an address`
					: 'give an address',
		});
	}
	throw new IpvtapError('usage', `trace: ${option} ${quote(text)} is no address`, {
		hint: 'for example 192.0.2.10 or 2001:db8::10, without a prefix',
	});
}

/** Any MAC, groups' included, so that everything can be tried. */
function parseAnyMac(text: string): string {
	const mac = text.toLowerCase().replaceAll('-', ':');
	if (/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) return mac;
	throw new IpvtapError('usage', `trace: ${quote(text)} is no MAC`, {
		hint: 'write it as 52:54:00:12:34:56',
	});
}

function contradiction(why: string, hint: string): IpvtapError {
	return new IpvtapError('usage', `trace: ${why}`, { hint });
}
