/** A network device as RTM_NEWLINK and RTM_DELLINK describe it (linux/if_link.h, rtnetlink(7)). Pure. */
import { attributes, type Message, readI32, readText, readU16, readU32, readU64 } from './message.js';
import { macText } from './text.js';

export interface LinkCounter {
	packets: number;
	bytes: number;
	dropped: number;
}

export interface Link {
	ifindex: number;
	name: string;
	/** IFLA_INFO_KIND: `tun` (a TAP too), `veth`, `bridge`, `ipvlan` …; undefined for hardware and lo. */
	kind: string | undefined;
	/** Lower case, with colons; empty for devices that have none. */
	mac: string;
	/** Bytes of layer 3. */
	mtu: number;
	/** IFF_* bits. */
	flags: number;
	operstate: Operstate;
	carrier: boolean;
	/** How often the carrier came, ever: what goes and comes back between two looks shows here. */
	carrierUps: number;
	/** The bridge, bond or VRF that it is a port of. */
	masterIfindex: number | undefined;
	/** The lower device or veth peer, if it lives in this namespace: elsewhere the number would mean another device. */
	linkIfindex: number | undefined;
	/** Of the switch in hardware that it is a port of, in hex: a NIC's in switchdev mode, for one. */
	switchId: string | undefined;
	/** ARPHRD_*: 1 is Ethernet, 772 loopback. */
	arpType: number;
	alias: string | undefined;
	/** Counted by the host, so a TAP's `rx` is what its guest sent. */
	stats: { rx: LinkCounter; tx: LinkCounter };
}

/**
 * Body: ifinfomsg {u8 family, u8 pad, u16 type, i32 index, u32 flags, u32 change}, then IFLA_*.
 * @returns undefined for messages that only look like a device's: of a bridge about its ports (there even
 * RTM_DELLINK doesn't mean that the device is gone), and the attribute-less wireless events of old Wi-Fi drivers.
 */
export function parseLink({ body }: Message): Link | undefined {
	const fields = attributes(body, IFINFOMSG_BYTES);
	const name = fields.get(IFLA_IFNAME);
	if (body[0] !== AF_UNSPEC || name === undefined || fields.has(IFLA_WIRELESS)) return undefined;
	const info = fields.get(IFLA_LINKINFO);
	const kind = info && attributes(info).get(IFLA_INFO_KIND);
	const mac = fields.get(IFLA_ADDRESS);
	const alias = fields.get(IFLA_IFALIAS);
	return {
		ifindex: readI32(body, 4),
		name: readText(name),
		kind: kind && readText(kind),
		mac: mac === undefined ? '' : macText(mac),
		mtu: number(fields, IFLA_MTU) ?? 0,
		flags: readU32(body, 8),
		operstate: operstates[fields.get(IFLA_OPERSTATE)?.[0] ?? 0] ?? 'unknown',
		carrier: fields.get(IFLA_CARRIER)?.[0] === 1,
		carrierUps: number(fields, IFLA_CARRIER_UP_COUNT) ?? 0,
		masterIfindex: number(fields, IFLA_MASTER),
		linkIfindex: fields.has(IFLA_LINK_NETNSID) ? undefined : number(fields, IFLA_LINK),
		switchId: fields.get(IFLA_PHYS_SWITCH_ID)?.toString('hex'),
		arpType: readU16(body, 2),
		alias: alias && readText(alias),
		stats: counters(fields.get(IFLA_STATS64)),
	};
}

/** struct rtnl_link_stats64: u64 rx, tx packets; rx, tx bytes; rx, tx errors; rx, tx dropped; … */
function counters(stats: Buffer | undefined): Link['stats'] {
	const at = (index: number) => (stats === undefined ? 0 : readU64(stats, index * 8));
	return {
		rx: { packets: at(0), bytes: at(2), dropped: at(6) },
		tx: { packets: at(1), bytes: at(3), dropped: at(7) },
	};
}

function number(fields: Map<number, Buffer>, type: number): number | undefined {
	const field = fields.get(type);
	return field && readU32(field, 0);
}

/** RFC 2863, in the order of linux/if.h. */
const operstates = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const;
export type Operstate = (typeof operstates)[number];

// linux/if.h
export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;
export const IFF_MULTICAST = 0x1000;
export const IFF_LOWER_UP = 0x10000;
/** linux/if_arp.h: what a master must be. */
export const ARPHRD_ETHER = 1;

// linux/if_link.h
export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINKINFO = 18;
export const IFLA_IFALIAS = 20;
export const IFLA_AF_SPEC = 26;
export const IFLA_ALT_IFNAME = 53;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_WIRELESS = 11;
const IFLA_OPERSTATE = 16;
const IFLA_STATS64 = 23;
const IFLA_CARRIER = 33;
const IFLA_PHYS_SWITCH_ID = 36;
const IFLA_LINK_NETNSID = 37;
const IFLA_CARRIER_UP_COUNT = 47;
const AF_UNSPEC = 0;
const IFINFOMSG_BYTES = 16;
