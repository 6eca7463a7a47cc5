/** AF_PACKET sockets (packet(7)) through which a test plays a whole device. */
import { check, libc } from '../../src/sys/libc.js';

/**
 * A raw socket on one interface that carries virtio headers and doesn't see what it sends.
 * @param protocol ethertype of what it receives. All of them are seen before anybody may take a frame, as QEMU's TAP
 * or a bridge does; one is seen only in what the device's own stack is left with (`__netif_receive_skb_core`).
 */
export function openPacketSocket(ifindex: number, protocol = ETH_P_ALL): number {
	const fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
	for (const option of [PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING]) {
		check(setsockopt(fd, SOL_PACKET, option, Int32Array.of(1), 4), 'setsockopt');
	}
	for (const option of [SO_RCVBUFFORCE, SO_SNDBUFFORCE]) {
		check(setsockopt(fd, SOL_SOCKET, option, Int32Array.of(64 << 20), 4), 'setsockopt');
	}
	const name = Buffer.alloc(20);
	name.writeUInt16LE(AF_PACKET, 0);
	name.writeUInt16BE(protocol, 2);
	name.writeInt32LE(ifindex, 4);
	check(bind(fd, name, name.length), 'bind');
	return fd;
}

/** Raw sockets (raw(7)) for what the stack of this thread's namespace gets of UDP, TCP and ICMP, over IPv4 and IPv6. */
export function openRawSockets(): number[] {
	const protocols = [
		[AF_INET, 1],
		[AF_INET, 6],
		[AF_INET, 17],
		[AF_INET6, 6],
		[AF_INET6, 17],
		[AF_INET6, 58],
	] as const;
	return protocols.map(([family, protocol]) =>
		check(socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), 'socket'),
	);
}

// linux/if_packet.h, asm-generic/socket.h
const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const socket = libc.func('int socket(int domain, int type, int protocol)') as (
	d: number,
	t: number,
	p: number,
) => number;
const bind = libc.func('int bind(int fd, const void *address, unsigned int length)') as (
	fd: number,
	address: Uint8Array,
	length: number,
) => number;
const setsockopt = libc.func(
	'int setsockopt(int fd, int level, int name, const void *value, unsigned int length)',
) as (fd: number, level: number, name: number, value: Int32Array, length: number) => number;
