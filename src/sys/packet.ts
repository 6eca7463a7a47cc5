/**
 * AF_PACKET sockets (packet(7), Documentation/networking/packet_mmap.rst): receive rings that bring frames
 * whole, with the virtio header that says what the sender left undone, and sockets that send such frames.
 */
import { closeFd } from './fd.js';
import { check, libc, SysError } from './libc.js';
import { addressOf, type Mapping, mapFd, unmap } from './memory.js';

export interface RingOptions {
	/** Interface to bind to; 0 for all of the namespace, with a filter that chooses. */
	ifindex: number;
	/** Bytes per slot, a power of two; a longer frame is flagged TP_STATUS_COPY and read whole with `receive`. */
	slotSize: number;
	/** Number of slots, a power of two. */
	slots: number;
	/** Slots of SEND_SLOT bytes of a transmit ring on the same socket, behind the others in the same mapping; 0: none. */
	sendSlots: number;
	/** Bytes of long frames that may wait beside the ring. */
	longFrameBytes: number;
	/** Classic BPF, attached before anything is received. */
	filter: Uint8Array;
}

/** TPACKET_V2 rings. The socket is the caller's: `closeRing` gives back both. */
export interface Ring {
	fd: number;
	mapping: Mapping;
	slotSize: number;
	slots: number;
	sendSlots: number;
}

/** linux/if_packet.h: bits of `tp_status`. */
export const TP_STATUS_USER = 1;
export const TP_STATUS_COPY = 2;
export const TP_STATUS_VLAN_VALID = 0x10;
/** The same, of a transmit ring's slots. */
export const TP_STATUS_AVAILABLE = 0;
export const TP_STATUS_SEND_REQUEST = 1;
export const TP_STATUS_WRONG_FORMAT = 4;

/** `struct tpacket2_hdr`, offsets in bytes; the interface index is in the `sockaddr_ll` behind it. */
export const TP_STATUS = 0;
export const TP_LENGTH = 4;
export const TP_SNAPLEN = 8;
export const TP_MAC = 12;
export const TP_VLAN_TCI = 24;
export const TP_IFINDEX = 32 + 4;

/** Bytes of a transmit ring's slot; in it, frames begin where a received one's `sockaddr_ll` would lie. */
export const SEND_SLOT = 2048;
export const SEND_DATA = 32;

/** Opens a ring. @throws SysError. @syscalls socket setsockopt mmap bind */
export function openRing(options: RingOptions): Ring {
	const { slotSize, slots, sendSlots } = options;
	const fd = open();
	try {
		setInt(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
		prepareReceiver(fd, options);
		setInt(fd, SOL_PACKET, PACKET_COPY_THRESH, 1);
		const request = Uint32Array.of(BLOCK_SIZE, (slotSize * slots) / BLOCK_SIZE, slotSize, slots);
		setOption(fd, SOL_PACKET, PACKET_RX_RING, new Uint8Array(request.buffer), 'PACKET_RX_RING');
		if (sendSlots > 0) {
			const sending = Uint32Array.of(SEND_SLOT * sendSlots, 1, SEND_SLOT, sendSlots);
			setOption(fd, SOL_PACKET, PACKET_TX_RING, new Uint8Array(sending.buffer), 'PACKET_TX_RING');
			setSendBuffer(fd, SEND_BUFFER);
		}
		const mapping = mapFd(fd, slotSize * slots + SEND_SLOT * sendSlots);
		bindTo(fd, options.ifindex, ETH_P_ALL);
		return { fd, mapping, slotSize, slots, sendSlots };
	} catch (error) {
		closeFd(fd);
		throw error;
	}
}

/**
 * A socket that brings the same frames as a ring does, one copy at a time: slower, but nothing can jam it.
 * @throws SysError. @syscalls socket setsockopt bind
 */
export function openReceiver(options: Pick<RingOptions, 'ifindex' | 'longFrameBytes' | 'filter'>): number {
	const fd = open();
	try {
		prepareReceiver(fd, options);
		// What a slot's header says of a VLAN tag comes as ancillary data here.
		setInt(fd, SOL_PACKET, PACKET_AUXDATA, 1);
		bindTo(fd, options.ifindex, ETH_P_ALL);
		return fd;
	} catch (error) {
		closeFd(fd);
		throw error;
	}
}

/** Has a socket receive from another interface (0: all), or from it nothing but frames that never come. @throws SysError. @syscalls bind */
export function rebind(fd: number, ifindex: number, silent = false): void {
	bindTo(fd, ifindex, silent ? NO_PROTOCOL : ETH_P_ALL);
}

/** No thread may look at the ring any more. */
export function closeRing(ring: Ring): void {
	unmap(ring.mapping);
	closeFd(ring.fd);
}

/** Replaces the classic BPF filter, between two frames. @throws SysError, ENOMEM if it is longer than allowed. */
export function setFilter(fd: number, program: Uint8Array): void {
	// struct sock_fprog with its instructions behind it: one buffer, which the call itself keeps alive.
	const bytes = new Uint8Array(16 + program.length);
	bytes.set(program, 16);
	const descriptor = new DataView(bytes.buffer);
	descriptor.setUint16(0, program.length / 8, LITTLE_ENDIAN);
	descriptor.setBigUint64(8, addressOf(bytes) + 16n, LITTLE_ENDIAN);
	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, bytes, 16), 'setsockopt SO_ATTACH_FILTER');
}

/** A socket that receives nothing, to join groups with; they are left when it is closed. @syscalls socket */
export function openMembership(): number {
	return open();
}

/**
 * Makes the interface's card receive a group, or with `mac` left out all groups, for as long as the socket is open;
 * never everything. Each membership is counted, so whoever else has joined keeps it. Leaving on a device that is
 * gone is done already. @param mac six pairs with colons. @throws SysError. @syscalls setsockopt
 */
export function changeMembership(fd: number, ifindex: number, change: 'join' | 'leave', mac?: string): void {
	// struct packet_mreq { int ifindex; unsigned short type, alen; unsigned char address[8]; }
	const request = new DataView(new ArrayBuffer(16));
	request.setInt32(0, ifindex, LITTLE_ENDIAN);
	request.setUint16(4, mac === undefined ? PACKET_MR_ALLMULTI : PACKET_MR_MULTICAST, LITTLE_ENDIAN);
	const bytes = mac?.split(':').map(pair => Number.parseInt(pair, 16)) ?? [];
	request.setUint16(6, bytes.length, LITTLE_ENDIAN);
	new Uint8Array(request.buffer).set(bytes, 8);
	const name = change === 'join' ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP;
	setOption(fd, SOL_PACKET, name, new Uint8Array(request.buffer), `PACKET_${change} ${mac ?? 'all groups'}`);
}

/** Frames that the socket had no room for since the last call. Allocates nothing. @syscalls getsockopt */
export function takeDrops(fd: number): number {
	statisticsLength[0] = 8;
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statisticsBytes, statisticsLength);
	return statistics[1] as number;
}

/** struct tpacket_stats: received, dropped. */
const statistics = new Uint32Array(2);
const statisticsBytes = new Uint8Array(statistics.buffer);
const statisticsLength = new Uint32Array(1);

/**
 * Takes the error that a socket reports: ENETDOWN when its interface goes down (packet_notifier in
 * net/packet/af_packet.c). It receives again by itself when the interface comes back. @syscalls getsockopt
 */
export function takeError(fd: number): number {
	const error = new Int32Array(1);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, new Uint8Array(error.buffer), Uint32Array.of(4));
	return error[0] as number;
}

/**
 * A socket that sends frames, each behind its virtio header, to the interface in its `sockaddr_ll`.
 * @param mark what its frames bear (SO_MARK) for filters on their way; 0: nothing.
 */
export function openSender(mark = 0): number {
	const fd = open();
	try {
		if (mark !== 0) setInt(fd, SOL_SOCKET, SO_MARK, mark);
		setInt(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
		setSendBuffer(fd, SEND_BUFFER);
		return fd;
	} catch (error) {
		closeFd(fd);
		throw error;
	}
}

/** A `struct sockaddr_ll` (20 bytes in 32) that names an interface as the one to send on. */
export function writeSocketAddress(into: DataView, at: number, ifindex: number): void {
	into.setUint16(at, AF_PACKET, LITTLE_ENDIAN);
	into.setInt32(at + 4, ifindex, LITTLE_ENDIAN);
}
export const SOCKET_ADDRESS = 20;

/** Reads the next long frame with its virtio header. @returns bytes, or negative. @syscalls recvfrom */
export const receive = libc.func('long recv(int fd, void *buffer, size_t length, int flags)') as (
	fd: number,
	buffer: bigint,
	length: number,
	flags: number,
) => number;

/** @returns how many of `count` messages were filled, or -1. @syscalls recvmmsg */
export const receiveMessages = libc.func(
	'int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)',
) as (fd: number, messages: bigint, count: number, flags: number, timeout: null) => number;

/** @returns how many of `count` messages went out, or -1 if the first could not. @syscalls sendmmsg */
export const sendMessages = libc.func(
	'int sendmmsg(int fd, void *messages, unsigned int count, int flags)',
) as (fd: number, messages: bigint, count: number, flags: number) => number;

/** Sends the filled slots of a transmit ring to the interface of a `sockaddr_ll`. @returns bytes, or -1. @syscalls sendto */
export function sendSlots(fd: number, address: bigint): number {
	return sendTo(fd, null, 0, MSG_DONTWAIT, address, SOCKET_ADDRESS);
}

export const MSG_DONTWAIT = 0x40;

// linux/if_packet.h, asm-generic/socket.h
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL = 3;
/** Reserved (RFC 1701), so that nobody sends it, and the kernel never comes to ask. */
const NO_PROTOCOL = 0xffff;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_MARK = 36;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_DROP_MEMBERSHIP = 2;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_COPY_THRESH = 7;
const PACKET_AUXDATA = 8;
const PACKET_VERSION = 10;
const PACKET_TX_RING = 13;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_MULTICAST = 0;
const PACKET_MR_ALLMULTI = 2;
const TPACKET_V2 = 1;
const BLOCK_SIZE = 1 << 20;
/** Room for a batch of 64 KB frames on their way through a master whose driver holds them until they are sent. */
const SEND_BUFFER = 32 << 20;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function open(): number {
	// Protocol 0: nothing is received before `bind` names one.
	return check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket AF_PACKET');
}

function prepareReceiver(
	fd: number,
	{ filter, longFrameBytes }: Pick<RingOptions, 'filter' | 'longFrameBytes'>,
): void {
	setInt(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	// Without it every frame that we send would come back to us as one that the interface sent.
	setInt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	setReceiveBuffer(fd, longFrameBytes);
	setFilter(fd, filter);
}

function bindTo(fd: number, ifindex: number, protocol: number): void {
	const address = new DataView(new ArrayBuffer(SOCKET_ADDRESS));
	writeSocketAddress(address, 0, ifindex);
	address.setUint16(2, protocol);
	check(bind(fd, new Uint8Array(address.buffer), SOCKET_ADDRESS), 'bind AF_PACKET');
}

/** The FORCE variants pass the system's limit but need CAP_NET_ADMIN over the first namespace. */
function setReceiveBuffer(fd: number, bytes: number): void {
	forceInt(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}

function setSendBuffer(fd: number, bytes: number): void {
	forceInt(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

function forceInt(fd: number, force: number, plain: number, value: number): void {
	try {
		setInt(fd, SOL_SOCKET, force, value);
	} catch (error) {
		if (!(error instanceof SysError) || error.code !== 'EPERM') throw error;
		setInt(fd, SOL_SOCKET, plain, value);
	}
}

function setInt(fd: number, level: number, name: number, value: number): void {
	setOption(fd, level, name, new Uint8Array(Int32Array.of(value).buffer), `option ${name}`);
}

function setOption(fd: number, level: number, name: number, value: Uint8Array, title: string): void {
	check(setsockopt(fd, level, name, value, value.length), `setsockopt ${title}`);
}

const socket = libc.func('int socket(int domain, int type, int protocol)') as (
	domain: number,
	type: number,
	protocol: number,
) => number;
const bind = libc.func('int bind(int fd, const void *address, unsigned int length)') as (
	fd: number,
	address: Uint8Array,
	length: number,
) => number;
const sendTo = libc.func(
	'long sendto(int fd, void *buffer, size_t length, int flags, void *address, unsigned int size)',
) as (fd: number, buffer: null, length: number, flags: number, address: bigint, size: number) => number;
const setsockopt = libc.func(
	'int setsockopt(int fd, int level, int name, const void *value, unsigned int length)',
) as (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;
const getsockopt = libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)') as (
	fd: number,
	level: number,
	name: number,
	value: Uint8Array,
	length: Uint32Array,
) => number;
