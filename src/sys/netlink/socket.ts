/**
 * The rtnetlink socket: one request, its answer, in step. Requests are rare and the kernel handles them inside
 * `send`, so waiting costs microseconds; a timeout guards against a kernel that never answers.
 */
import { IpvtapError } from '../../errors.js';
import { closeFd } from '../fd.js';
import { check, errno, libc } from '../libc.js';
import { NetlinkError } from './error.js';
import {
	decodeMessages,
	encodeMessage,
	type Message,
	NLM_F_ACK,
	NLM_F_DUMP,
	NLM_F_DUMP_INTR,
	NLM_F_REQUEST,
	NLMSG_DONE,
	NLMSG_ERROR,
	NLMSG_NOOP,
	readAcknowledgement,
	u16,
	u32,
} from './message.js';

/**
 * Sends one request over a socket of its own and returns what the kernel answered besides the acknowledgement.
 * A socket per request costs some 50 µs beside the 20 µs of the request itself. For that it keeps no descriptor open,
 * speaks to the network namespace of its caller, and can't be out of step after an earlier failure.
 * @param what the operation for error messages, e.g. `create veth ipvh0`. @param flags NLM_F_CREATE and the like.
 * @throws NetlinkError, IpvtapError `timed-out`, SysError. @syscalls socket, setsockopt, sendto, recvfrom, close
 */
export function request(what: string, type: number, flags: number, body: Uint8Array): Message[] {
	return withNetlink(netlink => netlink.request(what, type, flags, body));
}

/** All objects that match, as `request`. @throws the same. @syscalls the same */
export function dump(what: string, type: number, body: Uint8Array): Message[] {
	return withNetlink(netlink => netlink.dump(what, type, body));
}

/** Runs `use` with an open socket, for several requests in a row. */
export function withNetlink<T>(use: (netlink: Netlink) => T): T {
	const netlink = new Netlink();
	try {
		return use(netlink);
	} finally {
		netlink.close();
	}
}

export class Netlink {
	readonly #fd = openNetlink();
	#sequence = 0;

	request(what: string, type: number, flags: number, body: Uint8Array): Message[] {
		const sequence = this.#send(type, NLM_F_REQUEST | NLM_F_ACK | flags, body);
		const answers: Message[] = [];
		for (const message of this.#answers(what, sequence)) {
			if (message.type !== NLMSG_ERROR) {
				answers.push(message);
				continue;
			}
			throwIfRefused(what, message);
			return answers;
		}
		return answers;
	}

	dump(what: string, type: number, body: Uint8Array): Message[] {
		// The kernel makes a dump's datagrams as long as the longest buffer it was offered for an earlier answer, and
		// refuses an object that is longer (EMSGSIZE). So have an answer first.
		this.request(what, NLMSG_NOOP, 0, nothing);
		for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
			const objects = this.#dumpOnce(what, type, body);
			if (objects !== undefined) return objects;
		}
		throw new IpvtapError('failed', `${what}: the table changed during each of ${DUMP_ATTEMPTS} readings`);
	}

	/** To be called once; nothing may follow. */
	close(): void {
		closeFd(this.#fd);
	}

	/** undefined when the kernel says that the dump is inconsistent: objects may be missing or doubled. */
	#dumpOnce(what: string, type: number, body: Uint8Array): Message[] | undefined {
		const sequence = this.#send(type, NLM_F_REQUEST | NLM_F_DUMP, body);
		const objects: Message[] = [];
		let interrupted = false;
		for (const message of this.#answers(what, sequence)) {
			if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
			if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
				throwIfRefused(what, message);
				break;
			}
			objects.push(message);
		}
		return interrupted ? undefined : objects;
	}

	#send(type: number, flags: number, body: Uint8Array): number {
		this.#sequence = (this.#sequence + 1) >>> 0;
		const bytes = encodeMessage(type, flags, this.#sequence, body);
		let result: number;
		do result = send(this.#fd, bytes, bytes.length, 0);
		while (result < 0 && errno() === EINTR);
		check(result, 'send to netlink');
		return this.#sequence;
	}

	/** Messages that answer `sequence`, for as long as the caller takes them. */
	*#answers(what: string, sequence: number): Generator<Message> {
		for (;;) {
			const datagram = receiveDatagram(this.#fd);
			if (datagram === undefined) {
				throw new IpvtapError('timed-out', `${what}: no answer from the kernel in ${RECEIVE_SECONDS} s`);
			}
			for (const message of decodeMessages(datagram)) {
				if (message.sequence === sequence) yield message;
			}
		}
	}
}

/**
 * Opens a socket that hears notifications. It must be bound: an unbound one has the kernel's own port id, 0, and a
 * sender is spared its own messages.
 * @throws SysError. @syscalls socket, setsockopt, bind, close
 */
export function openSubscriber(groups: readonly number[], receiveBuffer: number): number {
	const fd = openNetlink(SOCK_NONBLOCK);
	try {
		const size = new Int32Array([receiveBuffer]);
		// Beyond everybody's limit (net.core.rmem_max) if we may, up to it otherwise.
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4) < 0) {
			check(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, size, 4), 'SO_RCVBUF');
		}
		// struct sockaddr_nl {u16 family, u16 pad, u32 port, u32 groups}; port 0: the kernel chooses.
		const address = Buffer.concat([u16(AF_NETLINK), u16(0), u32(0), u32(0)]);
		check(bind(fd, address, address.length), 'bind netlink socket');
		for (const group of groups) {
			check(
				setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, new Int32Array([group]), 4),
				'NETLINK_ADD_MEMBERSHIP',
			);
		}
		return fd;
	} catch (error) {
		closeFd(fd);
		throw error;
	}
}

/** Opens a close-on-exec NETLINK_ROUTE socket with extended acks. @throws SysError. @syscalls socket, setsockopt */
function openNetlink(socketFlags = 0): number {
	const fd = check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | socketFlags, NETLINK_ROUTE), 'socket');
	// struct timeval, two longs.
	check(
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([BigInt(RECEIVE_SECONDS), 0n]), 16),
		'SO_RCVTIMEO',
	);
	// Each of these makes answers better or shorter and is younger than our oldest kernel; none is a must.
	for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
		setsockopt(fd, SOL_NETLINK, option, new Int32Array([1]), 4);
	}
	return fd;
}

/**
 * One whole datagram, however long: its length is asked for first.
 * Only the kernel, or a process with CAP_NET_ADMIN in this namespace, can send to a NETLINK_ROUTE socket.
 * @returns undefined when none came within the socket's timeout, or at once on a non-blocking socket.
 * @throws SysError; ENOBUFS means that the kernel dropped messages. @syscalls recvfrom
 */
export function receiveDatagram(fd: number): Buffer | undefined {
	for (;;) {
		const length = recv(fd, nothing, 0, MSG_PEEK | MSG_TRUNC);
		if (length >= 0) {
			const room = length > scratch.length ? Buffer.allocUnsafe(length) : scratch;
			return Buffer.from(room.subarray(0, check(recv(fd, room, room.length, 0), 'recv from netlink')));
		}
		if (errno() === EAGAIN) return undefined;
		if (errno() !== EINTR) check(length, 'recv from netlink');
	}
}

function throwIfRefused(what: string, message: Message): void {
	const { errno: code, text } = readAcknowledgement(message);
	if (code !== 0) throw new NetlinkError(what, code, text);
}

/** How often a dump that others' changes disturb is begun again; each takes milliseconds at worst. */
const DUMP_ATTEMPTS = 20;
const RECEIVE_SECONDS = 5;
const nothing = new Uint8Array(0);
/** More than the 32 KB that the kernel makes of a dump's datagrams at most, given room (netlink_recvmsg). */
const scratch = Buffer.allocUnsafeSlow(65_536);

// asm-generic/errno-base.h, asm-generic/socket.h, linux/netlink.h, linux/socket.h
const EINTR = 4;
const EAGAIN = 11;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_PEEK = 0x02;
const MSG_TRUNC = 0x20;

const socket = libc.func('int socket(int domain, int type, int protocol)') as (
	domain: number,
	type: number,
	protocol: number,
) => number;
const setsockopt = libc.func(
	'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
) as (fd: number, level: number, name: number, value: Int32Array | BigInt64Array, length: number) => number;
const bind = libc.func('int bind(int fd, const void *address, uint32_t length)') as (
	fd: number,
	address: Uint8Array,
	length: number,
) => number;
const send = libc.func('intptr_t send(int fd, const void *bytes, size_t length, int flags)') as Transfer;
const recv = libc.func('intptr_t recv(int fd, void *bytes, size_t length, int flags)') as Transfer;
type Transfer = (fd: number, bytes: Uint8Array, length: number, flags: number) => number;
