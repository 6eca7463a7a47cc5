/**
 * The ids under which QEMU knows a slave. QEMU allows a letter, then letters, digits, `-`, `.` and `_`
 * (util/id.c), which is less than may be in a name; `getfd` wants no digit in front either. Pure.
 */
export interface QemuIds {
	/** Of the network backend: `-netdev …,id=`. */
	netdev: string;
	/** Of the NIC that the guest sees: `-device …,id=`, `device_del`, `query-rx-filter`. */
	device: string;
}

/** Different names have different ids, and a name that is an id already stays readable: `net-web1`, `nic-web1`. */
export function qemuIds(name: string): QemuIds {
	return { netdev: `net${suffixOf(name)}`, device: `nic${suffixOf(name)}` };
}

/** The name of the n-th descriptor that is handed over for a slave with QMP's `getfd`. */
export function fdName(name: string, kind: 'tap' | 'vhost', queue: number): string {
	return `${kind}${queue}${suffixOf(name)}`;
}

/** An id of letters, digits and `_`, at most 64 of them, as Firecracker wants it (its `checked_id`). */
export function plainId(name: string): string {
	return /^[A-Za-z0-9]{1,64}$/.test(name) ? name : escaped(name, /[A-Za-z0-9]/).slice(0, 64);
}

/** `-` in front of a name taken as it is, `_` in front of an escaped one: so the two can never meet. */
function suffixOf(name: string): string {
	return /^[A-Za-z0-9._-]+$/.test(name) ? `-${name}` : `_${escaped(name, /[A-Za-z0-9.-]/)}`;
}

/** What isn't `plain` becomes `_` and two hex digits for each byte of its UTF-8. */
function escaped(name: string, plain: RegExp): string {
	return Array.from(Buffer.from(name), byte => {
		const character = String.fromCharCode(byte);
		return byte < 0x80 && plain.test(character) ? character : `_${byte.toString(16).padStart(2, '0')}`;
	}).join('');
}
