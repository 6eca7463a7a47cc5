/**
 * Names of slaves and interfaces, and MAC addresses: what is allowed, and what is derived when nothing is
 * given. Pure. Derived values depend on names alone, so a guest that comes back finds the MAC (and with it the
 * DHCP lease) that it had.
 */
import { createHash } from 'node:crypto';
import { IpvtapError } from '../errors.js';

/** IFNAMSIZ of linux/if.h is 16, with the NUL. */
const ifnameBytes = 15;
const slaveName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/** @throws IpvtapError `usage` that quotes the name and the rule. */
export function checkSlaveName(name: string): string {
	if (slaveName.test(name)) return name;
	throw new IpvtapError('usage', `${quote(name)} can't be a slave's name: ${slaveNameFault(name)}`, {
		hint: 'a name is 1 to 63 of A-Z a-z 0-9 _ . - and begins with a letter or a digit',
	});
}

/** As the kernel's dev_valid_name() has it. @throws IpvtapError `usage`. */
export function checkInterfaceName(name: string): string {
	const bytes = Buffer.byteLength(name);
	if (bytes === 0) throw unfitInterface(name, 'it is empty');
	if (bytes > ifnameBytes) throw unfitInterface(name, `it has ${bytes} bytes`);
	if (name === '.' || name === '..') throw unfitInterface(name, 'it is reserved');
	if (/[/:\s]/.test(name)) throw unfitInterface(name, "it has '/', ':' or white space in it");
	return name;
}

/** `ipvt-NAME` where that fits; otherwise `ipvt-` and ten digits of a hash. `taken` makes it try the next one. */
export function deriveIfname(name: string, taken: (ifname: string) => boolean): string {
	const plain = `ipvt-${name}`;
	if (Buffer.byteLength(plain) <= ifnameBytes && !taken(plain)) return plain;
	return firstFree(salt => `ipvt-${digest(`ifname ${name}${salt}`).slice(0, 10)}`, taken);
}

/** A MAC in QEMU's and libvirt's own range, 52:54:00. */
export function deriveMac(name: string, master: string, taken: (mac: string) => boolean): string {
	return firstFree(salt => {
		const hex = digest(`mac ${master} ${name}${salt}`);
		return `52:54:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}`;
	}, taken);
}

/** Lower case with colons. @throws IpvtapError `usage` for what isn't a MAC, or can't be a guest's. */
export function parseMac(text: string): string {
	const mac = text.toLowerCase().replaceAll('-', ':');
	if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) throw unfitMac(text, 'it is not six bytes in hex');
	if (mac === '00:00:00:00:00:00') throw unfitMac(text, 'it is zero');
	if (Number.parseInt(mac.slice(0, 2), 16) & 1) throw unfitMac(text, 'it is a multicast address');
	return mac;
}

/** For messages: single quotes, control characters escaped, and no longer than a line. */
export function quote(value: string): string {
	const inner = JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value).slice(1, -1);
	return `'${inner.replaceAll('\\"', '"')}'`;
}

function slaveNameFault(name: string): string {
	if (name === '') return 'it is empty';
	if (name.length > 63) return `it has ${name.length} characters`;
	const bad = /[^A-Za-z0-9_.-]/u.exec(name);
	return bad ? `it has ${quote(bad[0])} in it` : `it begins with ${quote(name.slice(0, 1))}`;
}

function unfitInterface(name: string, why: string): IpvtapError {
	return new IpvtapError('usage', `${quote(name)} can't be an interface's name: ${why}`, {
		hint: `the kernel allows 1 to ${ifnameBytes} bytes without '/', ':' and white space; see 'ip -br link'`,
	});
}

function unfitMac(text: string, why: string): IpvtapError {
	return new IpvtapError('usage', `${quote(text)} can't be a guest's MAC: ${why}`, {
		hint: "write it as 52:54:00:12:34:56, or leave it out: ipvtap derives one from the guest's name",
	});
}

function firstFree(make: (salt: string) => string, taken: (value: string) => boolean): string {
	for (let round = 0; ; round++) {
		const value = make(round === 0 ? '' : ` ${round}`);
		if (!taken(value)) return value;
	}
}

function digest(text: string): string {
	return createHash('sha256').update(text).digest('hex');
}
