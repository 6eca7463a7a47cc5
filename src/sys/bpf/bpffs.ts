/** The file system that keeps maps and links without a process (bpf(2), BPF_OBJ_PIN). */
import { readlinkSync, statfsSync } from 'node:fs';
import { check, libc } from '../libc.js';

/** Whether the folder lies on a bpffs. */
export function isBpffs(folder: string): boolean {
	try {
		return statfsSync(folder).type === BPF_FS_MAGIC;
	} catch {
		return false;
	}
}

/** Mounts a new, empty bpffs on a folder. @throws SysError, EPERM without CAP_SYS_ADMIN. @syscalls mount */
export function mountBpffs(folder: string): void {
	check(
		mount('bpf', folder, 'bpf', MS_NOSUID | MS_NODEV | MS_NOEXEC, 'mode=0700'),
		`mount a bpffs on ${folder}`,
	);
}

/** Unmounts it; pins that only it held are gone with it. @throws SysError. @syscalls umount2 */
export function unmountBpffs(folder: string): void {
	check(umount2(folder, MNT_DETACH), `unmount ${folder}`);
}

/** Whether what is mounted here outlives this process: not in a mount namespace that `ip netns exec` made for it. */
export function mountsOutliveUs(): boolean {
	const ours = readlinkSync('/proc/self/ns/mnt');
	if (ours === FIRST_MOUNT_NAMESPACE) return true;
	try {
		return ours === readlinkSync('/proc/1/ns/mnt');
	} catch {
		return false;
	}
}

/** linux/nsfs.h, MNT_NS_INIT_INO, as a link of /proc shows it: where process 1 doesn't show its own. */
const FIRST_MOUNT_NAMESPACE = `mnt:[${0xeffffff8}]`;
/** linux/magic.h, linux/mount.h */
const BPF_FS_MAGIC = 0xcafe4a11;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;

const mount = libc.func(
	'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
) as (source: string, target: string, type: string, flags: number, data: string) => number;
const umount2 = libc.func('int umount2(const char *target, int flags)') as (
	target: string,
	flags: number,
) => number;
