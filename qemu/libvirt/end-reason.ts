/** Why a domain ended: libvirt tells its hooks since 10.5, and before that only the domain's log. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const logFolder = '/var/log/libvirt/qemu';
/** QEMU's last words come behind libvirt's: some lines. */
const tailBytes = 16 * 1024;

/** @returns libvirt's word for it (`saved`, `migrated`, `failed`, `destroyed` …); undefined if it can't be known. */
export function endReason(domain: string, extra: string, folder = logFolder): string | undefined {
	return extra === '-' ? loggedReason(`${folder}/${domain}.log`) : extra;
}

/** Has the domain's QEMU ended, but its guest hasn't? */
export function isKept(reason: string | undefined): reason is 'saved' | 'migrated' {
	return reason === 'saved' || reason === 'migrated';
}

/**
 * The domain's log has `…: starting up …` for each start and `…: shutting down, reason=saved` for each end
 * (qemuProcessStop in libvirt's src/qemu/qemu_process.c), which is written before the hook is run.
 */
function loggedReason(path: string): string | undefined {
	const marks = [...tailOf(path).matchAll(/: (?:starting up |shutting down, reason=([a-z ]+)$)/gm)];
	return marks.at(-1)?.[1];
}

function tailOf(path: string): string {
	let fd: number;
	try {
		fd = openSync(path, 'r');
	} catch {
		return '';
	}
	try {
		const bytes = Buffer.alloc(tailBytes);
		const start = Math.max(0, fstatSync(fd).size - tailBytes);
		return bytes.toString('utf8', 0, readSync(fd, bytes, 0, tailBytes, start));
	} finally {
		closeSync(fd);
	}
}
