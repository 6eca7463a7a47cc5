/**
 * TCX links (Linux 6.6, net/core/…/tcx.c): a program at a device's TC ingress that goes with its link, and a link that
 * goes with its last descriptor or pin. Others' programs on the same hook are asked before and after ours.
 */
import { errnoName, SysError } from '../libc.js';
import { checkBpf, libbpf } from './libbpf.js';

/**
 * Attaches a program to a device's ingress, in front of those that are there. @returns the link's descriptor.
 * @throws SysError; EINVAL before Linux 6.6. @syscalls bpf
 */
export function attachTcx(ifindex: number, program: number): number {
	const options = new DataView(new ArrayBuffer(LINK_OPTIONS));
	options.setBigUint64(0, BigInt(LINK_OPTIONS), LITTLE_ENDIAN);
	options.setUint32(8, BPF_F_BEFORE, LITTLE_ENDIAN);
	return checkBpf(
		libbpf().linkCreate(program, ifindex, BPF_TCX_INGRESS, new Uint8Array(options.buffer)),
		`attach to device ${ifindex}`,
	);
}

/** Swaps a link's program: each frame meets the old one or the new one. @throws SysError; ENOLINK when the device has gone. @syscalls bpf */
export function swapProgram(link: number, program: number): void {
	checkBpf(libbpf().linkUpdate(link, program, null), 'swap the program of a link');
}

/** The device that a link is on, 0 when that has gone. @throws SysError. @syscalls bpf */
export function linkDevice(link: number): number {
	const info = new DataView(new ArrayBuffer(LINK_INFO));
	const length = Uint32Array.of(LINK_INFO);
	checkBpf(libbpf().infoByFd(link, new Uint8Array(info.buffer), length), 'ask about a link');
	return info.getUint32(LINK_INFO_TCX, LITTLE_ENDIAN);
}

/** Keeps a map, program or link for as long as there is this file on a bpffs. @throws SysError. @syscalls bpf */
export function pin(fd: number, path: string): void {
	checkBpf(libbpf().objectPin(fd, path), `pin ${path}`);
}

/** Opens what was pinned. @returns undefined if there is no such pin. @throws SysError. @syscalls bpf */
export function openPin(path: string): number | undefined {
	const fd = libbpf().objectGet(path);
	if (fd < 0 && errnoName(-fd) === 'ENOENT') return undefined;
	return checkBpf(fd, `open the pin ${path}`);
}

/** Whether a failure means that the device is gone. */
export function isGone(error: unknown): boolean {
	return error instanceof SysError && ['ENODEV', 'ENOLINK', 'ENXIO'].includes(error.code);
}

/** linux/bpf.h: enum bpf_attach_type; struct bpf_link_info {u32 type, id, prog_id; union at 16 {u32 ifindex, attach_type}} */
const BPF_TCX_INGRESS = 46;
/** Of none in particular: of all. */
const BPF_F_BEFORE = 8;
/** The beginning of struct bpf_link_create_opts {size_t sz; u32 flags; …}, which every libbpf knows. */
const LINK_OPTIONS = 16;
const LINK_INFO = 48;
const LINK_INFO_TCX = 16;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
