/**
 * TAP devices: /dev/net/tun and its ioctls (Documentation/networking/tuntap.rst, drivers/net/tun.c).
 * A *persistent* TAP outlives its descriptors; whoever is its owner may then open it by name without privileges.
 */
import { IpvtapError } from '../errors.js';
import { closeFd } from './fd.js';
import { ioctlPointer, ioctlValue } from './ioctl.js';
import { check, errno, errnoName, libc, SysError } from './libc.js';

export interface OpenTapOptions {
	/** One more queue of a multi-queue device; must be what the device was created with. */
	multiQueue?: boolean;
	/** A virtio_net_hdr in front of each frame; default true. The kernel takes it over on every open. */
	vnetHeader?: boolean;
}

/**
 * Opens the TAP called `ifname`: attaches to it if it exists, creates it (not persistent) if not.
 * @returns a non-blocking, close-on-exec descriptor. The caller owns it: closing it removes a TAP that isn't
 * persistent, and keeping it makes everybody else's open of a single-queue TAP fail.
 * @throws IpvtapError `usage` (name), `permission`, `conflict` (in use, or of another kind), `failed` (no
 * /dev/net/tun). @syscalls openat, ioctl(TUNSETIFF), close
 */
export function openTap(ifname: string, options: OpenTapOptions = {}): number {
	return open(ifname, options, 0);
}

export interface CreateTapOptions {
	/** Uid that may open the TAP without CAP_NET_ADMIN; undefined: nobody but root. */
	owner: number | undefined;
	/** More than 1 makes the device multi-queue: every opener must then ask for that too. */
	queues: number;
	vnetHeader: boolean;
}

/**
 * Creates a persistent TAP that nobody holds open; `deleteLink` removes it, or `setPersist(fd, false)` ties it to
 * the life of its last descriptor.
 * @throws IpvtapError as `openTap` does; `conflict` if any device of that name exists, which is found out and
 * decided by the kernel in one step (IFF_TUN_EXCL). @syscalls openat, ioctl(TUNSETIFF, TUNSETOWNER, TUNSETPERSIST), close
 */
export function createTap(ifname: string, options: CreateTapOptions): void {
	const { owner, queues, vnetHeader } = options;
	const fd = open(ifname, { multiQueue: queues > 1, vnetHeader }, IFF_TUN_EXCL);
	try {
		if (owner !== undefined) check(ioctlValue(fd, TUNSETOWNER, owner), 'TUNSETOWNER');
		// Last, so that a failure before it leaves no device behind.
		setPersist(fd, true);
	} finally {
		closeFd(fd);
	}
}

/** Whether the device stays when its last descriptor is closed. @throws SysError. @syscalls ioctl(TUNSETPERSIST) */
export function setPersist(fd: number, on: boolean): void {
	check(ioctlValue(fd, TUNSETPERSIST, on ? 1 : 0), 'TUNSETPERSIST');
}

/** What the holder of the fd accepts unsegmented or without checksum: TUN_F_* bits. @throws SysError. @syscalls ioctl(TUNSETOFFLOAD) */
export function setOffload(fd: number, flags: number): void {
	check(ioctlValue(fd, TUNSETOFFLOAD, flags), 'TUNSETOFFLOAD');
}

/** Bytes written but not yet taken by the host's stack; 0x7fffffff is "no limit". @throws SysError. @syscalls ioctl(TUNSETSNDBUF) */
export function setSendBuffer(fd: number, bytes: number): void {
	check(ioctlPointer(fd, TUNSETSNDBUF, new Int32Array([bytes])), 'TUNSETSNDBUF');
}

/** 10, 12 or 20 bytes of virtio_net_hdr in front of each frame. @throws SysError. @syscalls ioctl(TUNSETVNETHDRSZ) */
export function setVnetHeaderSize(fd: number, bytes: number): void {
	check(ioctlPointer(fd, TUNSETVNETHDRSZ, new Int32Array([bytes])), 'TUNSETVNETHDRSZ');
}

/** Carrier on or off, as the host sees it; an open of the device switches it on. @throws SysError (EINVAL before Linux 5.0). @syscalls ioctl(TUNSETCARRIER) */
export function setCarrier(fd: number, on: boolean): void {
	check(ioctlPointer(fd, TUNSETCARRIER, new Int32Array([on ? 1 : 0])), 'TUNSETCARRIER');
}

/** The longest packet that a TAP takes, bytes: MAX_TAP_MTU of the kernel's drivers/net/tun.c, without the Ethernet header. */
export const TAP_MTU_MAX = 65_521;

export interface TapInfo {
	ifname: string;
	/** IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE, IFF_PERSIST … (16 bits). */
	flags: number;
}

/** Which TAP a descriptor belongs to. @throws SysError (EBADFD when the device was deleted). @syscalls ioctl(TUNGETIFF) */
export function tapFlags(fd: number): TapInfo {
	const request = new Uint8Array(IFREQ_BYTES);
	check(ioctlPointer(fd, TUNGETIFF, request), 'TUNGETIFF');
	const end = request.indexOf(0);
	return {
		ifname: Buffer.from(request.buffer, 0, Math.min(end, IFNAMSIZ)).toString(),
		flags: new DataView(request.buffer).getUint16(IFNAMSIZ, littleEndian),
	};
}

function open(ifname: string, options: OpenTapOptions, extraFlags: number): number {
	const wanted =
		IFF_TAP |
		IFF_NO_PI |
		(options.vnetHeader === false ? 0 : IFF_VNET_HDR) |
		(options.multiQueue === true ? IFF_MULTI_QUEUE : 0);
	const request = interfaceRequest(ifname, wanted | extraFlags);
	const fd = openFile(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) throw deviceError(errno());
	if (ioctlPointer(fd, TUNSETIFF, request) < 0) {
		const error = attachError(ifname, errno(), extraFlags !== 0);
		closeFd(fd);
		throw error;
	}
	return fd;
}

/**
 * struct ifreq: char name[16], short flags, padding to 40 bytes.
 * The name is checked here because the kernel would cut it, or take `%d` as a pattern, in silence.
 */
function interfaceRequest(ifname: string, flags: number): Uint8Array {
	if (
		!/^[^\s/:%\0]{1,15}$/u.test(ifname) ||
		Buffer.byteLength(ifname) >= IFNAMSIZ ||
		/^\.{1,2}$/.test(ifname)
	) {
		throw new IpvtapError('usage', `open TAP '${ifname}': not a name for a network device`, {
			hint: 'use 1 to 15 bytes without blanks, slash, colon or percent sign',
		});
	}
	const request = new Uint8Array(IFREQ_BYTES);
	request.set(Buffer.from(ifname));
	new DataView(request.buffer).setUint16(IFNAMSIZ, flags, littleEndian);
	return request;
}

function deviceError(number: number): IpvtapError {
	const cause = new SysError(`open ${TUN_PATH}`, number);
	switch (cause.code) {
		case 'ENOENT':
		case 'ENODEV':
		case 'ENXIO':
			return new IpvtapError(
				'failed',
				`open ${TUN_PATH}: this kernel offers no TAP devices (${cause.code})`,
				{
					hint: 'sudo modprobe tun',
					cause,
				},
			);
		case 'EACCES':
		case 'EPERM':
			return new IpvtapError('permission', `open ${TUN_PATH}: permission denied (${cause.code})`, {
				hint: `let your user read and write it: sudo chmod 0666 ${TUN_PATH}`,
				cause,
			});
		default:
			return new IpvtapError('failed', cause.message, { cause });
	}
}

function attachError(ifname: string, number: number, creating: boolean): IpvtapError {
	const cause = new SysError('TUNSETIFF', number);
	const what = `${creating ? 'create' : 'open'} TAP ${ifname}`;
	switch (errnoName(number)) {
		case 'EPERM':
		case 'EACCES':
			return new IpvtapError('permission', `${what}: it needs CAP_NET_ADMIN, or to be the TAP's owner`, {
				hint: creating ? 'run as root' : `make it yours: ipvtap attach NAME --master M --owner "$USER"`,
				cause,
			});
		case 'EBUSY':
		case 'EEXIST':
			return new IpvtapError(
				'conflict',
				creating ? `${what}: a device of that name exists` : `${what}: another process holds it open`,
				{
					hint: creating ? `choose another name, or: ip link delete ${ifname}` : 'end that process first',
					cause,
				},
			);
		case 'EINVAL':
			return new IpvtapError(
				'conflict',
				`${what}: the device of that name is no TAP, or differs in being multi-queue`,
				{ hint: `see: ip -details link show ${ifname}`, cause },
			);
		case 'E2BIG':
			return new IpvtapError('conflict', `${what}: all of its queues are taken`, { cause });
		default:
			return new IpvtapError('failed', `${what}: ${cause.message}`, { cause });
	}
}

const TUN_PATH = '/dev/net/tun';
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

// linux/if_tun.h
export const IFF_TAP = 0x0002;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_MULTI_QUEUE = 0x0100;
export const IFF_PERSIST = 0x0800;
const IFF_TUN_EXCL = 0x8000;
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_TSO_ECN = 0x08;
export const TUN_F_UFO = 0x10;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;
// _IOW('T', n, int) and _IOR('T', n, unsigned int) of asm-generic/ioctl.h
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const TUNSETSNDBUF = 0x400454d4;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETCARRIER = 0x400454e2;
// linux/if.h; asm-generic/fcntl.h
const IFNAMSIZ = 16;
const IFREQ_BYTES = 40;
const O_RDWR = 0o2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

// Not fs.openSync: Node closes what a worker thread opened when that thread ends, and a TAP's fd may go further.
const openFile = libc.func('int open(const char *path, int flags)') as (
	path: string,
	flags: number,
) => number;
