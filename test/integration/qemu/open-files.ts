import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What a process has open, in order: `tap NAME` for a TAP, whose path depends on who looks (namespaces of
 * mounts differ), and for the rest the path, without the numbers of sockets and pipes, which change.
 */
export function openFiles(pid: number): string[] {
	return readdirSync(`/proc/${pid}/fd`)
		.flatMap(fd => {
			try {
				const tap = /^iff:\s*(\S+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
				if (tap !== null) return [`tap ${tap[1]}`];
				return [readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\[\d+\]/, '')];
			} catch {
				// The descriptor with which the folder was read, or one that was closed in between.
				return [];
			}
		})
		.sort();
}
