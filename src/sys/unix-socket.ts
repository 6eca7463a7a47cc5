/**
 * Unix sockets that carry file descriptors (SCM_RIGHTS), which Node has no way to send: a TAP's fd to QEMU's
 * `getfd`, or to the process that started a `helper=`. Use them on descriptors that libuv doesn't read or
 * write at the same time; afterwards the connected socket may be given to `new net.Socket({ fd })`.
 */
import koffi from 'koffi';
import { IpvtapError } from '../errors.js';
import { closeFd } from './fd.js';
import { check, errno, libc, SysError } from './libc.js';

export { closeFd };

/**
 * Connects to a listening stream socket, without waiting: a full backlog is an error, not a delay.
 * @returns a non-blocking, close-on-exec descriptor; the caller owns it until a `net.Socket` takes it.
 * @throws IpvtapError `usage` (path longer than the 107 bytes of sockaddr_un, unix(7)), `not-found` (no such
 * path, or nobody listens on it), `permission`, `conflict` (backlog full), `failed`.
 * @syscalls socket, connect, close
 */
export function connectUnix(path: string): number {
	const address = socketAddress(path);
	const fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
	while (connect(fd, address, address.length) < 0) {
		if (errno() === EINTR) continue;
		const cause = new SysError('connect', errno());
		closeFd(fd);
		const [code, why] = connectFailures[cause.errno] ?? (['failed', cause.message] as const);
		throw new IpvtapError(code, `connect to ${path}: ${why}`, { cause });
	}
	return fd;
}

/**
 * Sends all of `payload`; `fds` travel with its first byte, and stay open here.
 * @param payload at least one byte: on a stream socket, descriptors need a byte to ride on (unix(7)).
 * @param fds at most 253 (SCM_MAX_FD, include/net/scm.h).
 * @param timeoutMs how long a full socket buffer may hold us up, in milliseconds, for the whole message.
 * @throws IpvtapError `timed-out`, `usage` (no payload), SysError (EPIPE when the other side is gone). @syscalls sendmsg, poll
 */
export function sendWithFd(socketFd: number, payload: Uint8Array, fds: number[], timeoutMs = 2000): void {
	const deadline = performance.now() + timeoutMs;
	if (payload.length === 0)
		throw new IpvtapError('usage', 'send of a file descriptor: it needs a byte to ride on');
	let sent = 0;
	while (sent < payload.length) {
		const message = messageHeader(payload.subarray(sent), sent === 0 ? rightsMessage(fds) : null);
		const result = sendmsg(socketFd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (result >= 0) {
			sent += result;
		} else if (errno() === EAGAIN) {
			waitFor(socketFd, POLLOUT, deadline, 'send of a file descriptor');
		} else if (errno() !== EINTR) {
			check(result, 'sendmsg');
		}
	}
}

/** What one `recvmsg` brought: `payload` is empty when the other side has closed. */
export interface Received {
	payload: Uint8Array;
	/** Close-on-exec descriptors that now belong to the caller. */
	fds: number[];
}

/**
 * Waits for one message and takes the descriptors that came with it.
 * @param timeoutMs milliseconds to wait for the first byte.
 * @throws IpvtapError `timed-out`, or `failed` when more than `fdsMax` came (all are closed then). SysError.
 * @syscalls recvmsg, poll, close
 */
export function receiveWithFd(socketFd: number, bytesMax = 4096, fdsMax = 16, timeoutMs = 2000): Received {
	const deadline = performance.now() + timeoutMs;
	const payload = new Uint8Array(bytesMax);
	const control = new Uint8Array(align(CMSG_HEADER) + align(fdsMax * 4));
	for (;;) {
		const message = messageHeader(payload, control);
		const result = recvmsg(socketFd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (result < 0 && errno() === EAGAIN) {
			waitFor(socketFd, POLLIN, deadline, 'receipt of a file descriptor');
			continue;
		}
		if (result < 0 && errno() === EINTR) continue;
		check(result, 'recvmsg');
		const header = koffi.decode(message, msghdr) as { msg_controllen: number | bigint; msg_flags: number };
		const fds = rightsIn(control.subarray(0, Number(header.msg_controllen)));
		if ((header.msg_flags & MSG_CTRUNC) !== 0) {
			for (const fd of fds) closeFd(fd);
			throw new IpvtapError('failed', `receipt of a file descriptor: more than ${fdsMax} were sent`);
		}
		return { payload: payload.subarray(0, result), fds };
	}
}

/** Another descriptor, close-on-exec and not 0, 1 or 2, of the same open file. @throws SysError. @syscalls fcntl */
export function duplicateFd(fd: number): number {
	return check(fcntl(fd, F_DUPFD_CLOEXEC, 3), 'fcntl(F_DUPFD_CLOEXEC)');
}

/** struct sockaddr_un: u16 family, path, NUL. */
function socketAddress(path: string): Uint8Array {
	const bytes = Buffer.from(path);
	if (bytes.length === 0 || bytes.length > 107 || bytes.includes(0)) {
		throw new IpvtapError('usage', `connect to '${path}': a socket's path has 1 to 107 bytes`, {
			hint: 'use a shorter path, or one relative to the working directory',
		});
	}
	const address = new Uint8Array(2 + bytes.length + 1);
	new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
	address.set(bytes, 2);
	return address;
}

function messageHeader(payload: Uint8Array, control: Uint8Array | null): Uint8Array {
	const vector = new Uint8Array(koffi.sizeof(iovec));
	koffi.encode(vector, iovec, { iov_base: koffi.address(payload), iov_len: payload.length });
	const header = new Uint8Array(koffi.sizeof(msghdr));
	koffi.encode(header, msghdr, {
		msg_name: null,
		msg_namelen: 0,
		msg_iov: koffi.address(vector),
		msg_iovlen: 1,
		msg_control: control === null ? null : koffi.address(control),
		msg_controllen: control === null ? 0 : control.length,
		msg_flags: 0,
	});
	// The header holds bare addresses: tie what they point at to its life, or the collector may take it.
	pointees.set(header, [vector, payload, control]);
	return header;
}

const pointees = new WeakMap<Uint8Array, unknown[]>();

/** One cmsghdr {size_t len; int level; int type} and its ints; the buffer is padded, the length isn't (cmsg(3)). */
function rightsMessage(fds: number[]): Uint8Array | null {
	if (fds.length === 0) return null;
	const control = new Uint8Array(align(CMSG_HEADER) + align(fds.length * 4));
	koffi.encode(control, 'size_t', align(CMSG_HEADER) + fds.length * 4);
	const words = new Int32Array(control.buffer);
	words.set([SOL_SOCKET, SCM_RIGHTS], SIZE_T / 4);
	words.set(fds, align(CMSG_HEADER) / 4);
	return control;
}

/** Every descriptor in a received control buffer: the kernel may split them over several messages. */
function rightsIn(control: Uint8Array): number[] {
	const fds: number[] = [];
	const view = new DataView(control.buffer, control.byteOffset, control.length);
	const words = new Int32Array(control.buffer, control.byteOffset, control.length >> 2);
	for (let at = 0; at + CMSG_HEADER <= control.length; ) {
		const length = Number(koffi.decode(control, at, 'size_t'));
		if (length < CMSG_HEADER || at + length > view.byteLength) break;
		const word = (at + SIZE_T) / 4;
		if (words[word] === SOL_SOCKET && words[word + 1] === SCM_RIGHTS) {
			fds.push(...words.subarray((at + align(CMSG_HEADER)) / 4, (at + length) / 4));
		}
		at += align(length);
	}
	return fds;
}

/** Waits until `deadline` (performance.now() milliseconds) for `events` on one descriptor. */
function waitFor(fd: number, events: number, deadline: number, what: string): void {
	for (;;) {
		const left = Math.ceil(deadline - performance.now());
		if (left <= 0) throw new IpvtapError('timed-out', `${what}: the other side did not answer in time`);
		// struct pollfd {int fd; short events; short revents}
		const pollfd = new Int32Array([fd, 0]);
		new Int16Array(pollfd.buffer)[2] = events;
		const ready = poll(pollfd, 1, left);
		if (ready > 0) return;
		if (ready < 0 && errno() !== EINTR) check(ready, 'poll');
	}
}

function align(length: number): number {
	return (length + SIZE_T - 1) & ~(SIZE_T - 1);
}

const { EACCES, EAGAIN, ECONNREFUSED, EINTR, ENOENT, ENOTDIR, EPERM } = koffi.os.errno as Record<
	string,
	number
>;

const connectFailures: Record<number, ['not-found' | 'permission' | 'conflict', string] | undefined> = {
	[ENOENT as number]: ['not-found', 'there is no such socket'],
	[ENOTDIR as number]: ['not-found', 'there is no such socket'],
	[ECONNREFUSED as number]: ['not-found', 'nobody listens on it'],
	[EACCES as number]: ['permission', 'permission denied'],
	[EPERM as number]: ['permission', 'permission denied'],
	[EAGAIN as number]: ['conflict', 'its queue is full: somebody else is connected to it'],
};

// asm-generic/socket.h, linux/socket.h, asm-generic/poll.h, asm-generic/fcntl.h
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x08;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const POLLIN = 1;
const POLLOUT = 4;
const F_DUPFD_CLOEXEC = 1030;

const SIZE_T = koffi.sizeof('size_t');
/** sizeof(struct cmsghdr). */
const CMSG_HEADER = SIZE_T + 8;

const iovec = koffi.struct({ iov_base: 'void *', iov_len: 'size_t' });
const msghdr = koffi.struct({
	msg_name: 'void *',
	msg_namelen: 'uint32_t',
	msg_iov: 'void *',
	msg_iovlen: 'size_t',
	msg_control: 'void *',
	msg_controllen: 'size_t',
	msg_flags: 'int',
});

const socket = libc.func('int socket(int domain, int type, int protocol)') as (
	domain: number,
	type: number,
	protocol: number,
) => number;
const connect = libc.func('int connect(int fd, const void *address, uint32_t length)') as (
	fd: number,
	address: Uint8Array,
	length: number,
) => number;
const sendmsg = libc.func('intptr_t sendmsg(int fd, const void *message, int flags)') as MessageCall;
const recvmsg = libc.func('intptr_t recvmsg(int fd, void *message, int flags)') as MessageCall;
const poll = libc.func('int poll(void *fds, unsigned long count, int timeout)') as (
	fds: Int32Array,
	count: number,
	timeout: number,
) => number;
const fcntl = libc.func('int fcntl(int fd, int command, int argument)') as MessageCall3;
type MessageCall = (fd: number, message: Uint8Array, flags: number) => number;
type MessageCall3 = (fd: number, command: number, argument: number) => number;
