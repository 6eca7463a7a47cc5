/** Who is on the other end of a unix socket: the kernel's word, taken at the time of connect(2). */
import type { Socket } from 'node:net';
import { IpvtapError } from '../errors.js';
import { check, libc } from './libc.js';

export interface PeerCredentials {
	/** 0 if the process lives in a pid namespace that can't be seen from here. */
	pid: number;
	uid: number;
	gid: number;
}

/** @throws SysError (ENOTSOCK and the like). @syscalls getsockopt(SO_PEERCRED) */
export function peerCredentials(fd: number): PeerCredentials {
	// struct ucred {pid_t pid; uid_t uid; gid_t gid}, 32 bits each; a uid is unsigned.
	const ucred = new Uint32Array(3);
	check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ucred, new Uint32Array([ucred.byteLength])), 'SO_PEERCRED');
	const [pid = 0, uid = 0, gid = 0] = ucred;
	return { pid, uid, gid };
}

/**
 * The descriptor of a connected `net.Socket`, for `peerCredentials`. Node keeps it on the undocumented `_handle`;
 * this is the one place that relies on it.
 * @throws IpvtapError `failed` if the socket is closed.
 */
export function descriptorOf(socket: Socket): number {
	const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
	const fd = handle?.fd;
	if (fd === undefined || fd < 0)
		throw new IpvtapError('failed', 'look at the peer of a socket: it is closed');
	return fd;
}

// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const getsockopt = libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)') as (
	fd: number,
	level: number,
	name: number,
	value: Uint32Array,
	length: Uint32Array,
) => number;
