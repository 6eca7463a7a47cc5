import { readFileSync } from 'node:fs';

/**
 * Has libvirt a QEMU for a domain? To be known without asking libvirt, who may not be there. Where it keeps its QEMUs'
 * process ids is its own affair (virPidFileBuildPath in src/util/virpidfile.c), so a no is no proof.
 */
export function runsInLibvirt({ name, uuid }: { name: string; uuid: string }): boolean {
	try {
		const pid = Number(readFileSync(`/run/libvirt/qemu/${name}.pid`, 'utf8'));
		return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(uuid);
	} catch {
		return false;
	}
}
