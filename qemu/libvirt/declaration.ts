/**
 * The NICs that a domain declares in its metadata, each put together with libvirt's own `<interface>` of the same
 * target (docs/libvirt.md). All of it is looked at before anything is made, and every fault is told with the XML
 * path, what was found there and what is allowed. Addresses and names that are well-formed may still be refused by
 * the daemon, which knows the others; it is told the path for that. Pure.
 */
import { limits } from '../../src/config.js';
import { parseAddress } from '../../src/control/addresses.js';
import type { NicRequest } from '../../src/control/domain-nics.js';
import { type LimitRequest, limitKeys, limitWords, parseLimit } from '../../src/control/limits.js';
import { flags, modes, type Permission, permissions } from '../../src/control/model.js';
import { parseMac } from '../../src/control/names.js';
import { metadataNamespace } from '../libvirt-xml.js';
import type { Domain, DomainInterface } from './domain.js';
import type { XmlElement } from './xml.js';

export interface NicDeclaration extends NicRequest {
	/** Its TAP is libvirt's to make: it was plugged in without `managed='no'`. */
	madeByLibvirt?: true;
}

export interface Declaration {
	nics: NicDeclaration[];
	/** `PATH: found …, allowed: …`, a line each. */
	faults: string[];
}

/** @returns undefined for a domain that declares nothing: it is none of ipvtap's business. */
export function readDeclaration(domain: Domain): Declaration | undefined {
	const { declaration, misnamed } = domain;
	const faults = new Faults();
	if (misnamed) refuseMisnamed(misnamed, declaration, faults);
	if (declaration === undefined) return misnamed && { nics: [], faults: faults.lines };
	faults.only(declaration, [], ['nic']);
	faults.noText(declaration);
	const elements = declaration.children.filter(({ name }) => name === 'nic');
	if (elements.length > most.nics)
		faults.add(declaration.path, `${elements.length} NICs`, `at most ${most.nics}`);
	if (elements.length === 0) faults.add(declaration.path, 'no NIC', 'one or more <nic> elements');
	const nics = elements.map(element => readNic(element, domain, faults));
	refuseTwice(nics, faults);
	refuseContradictions(nics, faults);
	return { nics, faults: faults.lines };
}

/** As many PCI devices as libvirt's own topologies hold, and as many addresses as any slave. */
const most = { nics: 64, addresses: limits.addressesPerSlave };

class Faults {
	readonly lines: string[] = [];

	add(path: string, found: string | undefined, allowed: string): void {
		this.lines.push(`${path}: found ${found ?? 'nothing'}, allowed: ${allowed}`);
	}

	/** A slip of the pen is never taken for a wish, nor silently for none. */
	only(element: XmlElement, attributes: readonly string[], children: readonly string[]): void {
		for (const name of element.attributes.keys()) {
			if (attributes.includes(name)) continue;
			this.add(`${element.path}/@${name}`, 'an unknown attribute', attributes.join(', ') || 'none');
		}
		for (const child of element.children) {
			if (child.namespace === element.namespace && children.includes(child.name)) continue;
			this.add(child.path, `an unknown element <${child.qualified}>`, children.join(', ') || 'none');
		}
	}

	noText({ path, text }: XmlElement): void {
		if (text.trim() !== '') this.add(path, `the text ${quoted(text.trim())}`, 'elements and attributes');
	}
}

function refuseMisnamed(
	{ path, name, namespace }: XmlElement,
	declaration: XmlElement | undefined,
	faults: Faults,
): void {
	const isSecond = declaration !== undefined && name === 'vm' && namespace === metadataNamespace;
	if (isSecond) faults.add(path, 'a second declaration', `one; all NICs belong in ${declaration.path}`);
	else faults.add(path, `<${name} xmlns='${namespace}'>`, `one <vm xmlns='${metadataNamespace}'>`);
}

function readNic(element: XmlElement, domain: Domain, faults: Faults): NicDeclaration {
	const { path, attributes } = element;
	faults.only(element, ['target', 'master', 'mode', 'flag', 'learn', 'allow', 'mac'], ['ip', 'limit']);
	faults.noText(element);
	const word = <T extends string>(name: string, allowed: readonly T[]): T | undefined => {
		const value = attributes.get(name);
		const known = allowed.find(one => one === value);
		if (value !== undefined && known === undefined)
			faults.add(`${path}/@${name}`, quoted(value), allowed.map(quoted).join(', '));
		return known;
	};
	const target = deviceName(element, 'target', faults);
	const [mode, flag, learn] = [word('mode', modes), word('flag', flags), word('learn', ['on', 'off'])];
	const nic = {
		at: path,
		target,
		master: deviceName(element, 'master', faults),
		...given('mode', mode),
		...given('flag', flag),
		...given('learn', learn === undefined ? undefined : learn === 'on'),
		...given('allow', readAllowed(element, faults)),
		...given('limits', readLimits(element, faults)),
		addresses: element.children
			.filter(({ name }) => name === 'ip')
			.flatMap(ip => readAddress(ip, faults) ?? []),
	};
	if (nic.addresses.length > most.addresses)
		faults.add(`${path}/ip`, `${nic.addresses.length} addresses`, `at most ${most.addresses}`);
	checkTarget(`${path}/@target`, target, faults);
	const [device, ...others] = domain.interfaces.filter(one => one.target === target);
	// libvirt would find the TAP busy, and say no more.
	for (const { path: other } of target === '' ? [] : others)
		faults.add(`${other}/target/@dev`, quoted(target), `a name of its own; ${device?.path} has this`);
	const own = attributes.get('mac');
	if (device) {
		// One that was plugged in later keeps its declaration, and libvirt writes down how: it may be libvirt's own TAP.
		const plugged = own !== undefined && own.toLowerCase() === device.mac?.toLowerCase();
		if (own !== undefined && !plugged)
			faults.add(`${path}/@mac`, quoted(own), `none: the MAC is that of ${device.path}`);
		const made = plugged && device.managed !== 'no' ? { madeByLibvirt: true as const } : {};
		return { ...nic, ...readDevice(device, plugged, faults), ...made, present: true };
	}
	if (own === undefined && target !== '') {
		const targets = domain.interfaces.filter(({ type }) => type === 'ethernet').map(one => one.target);
		faults.add(
			`${path}/@target`,
			quoted(target),
			`the <target dev> of an <interface type='ethernet'> of this domain (${targets.map(one => quoted(one ?? '')).join(', ') || 'it has none'}); or mac='…' beside it, for a NIC that is plugged in later`,
		);
	}
	const mac = own === undefined ? '' : checkMac(`${path}/@mac`, own, faults);
	return { ...nic, mac, queues: 1, present: false };
}

function readDevice(
	device: DomainInterface,
	plugged: boolean,
	faults: Faults,
): Pick<NicDeclaration, 'mac' | 'mtu' | 'queues' | 'vhost' | 'alias'> {
	const { path, type, managed, mac, mtu, queues, driver, bandwidth, alias } = device;
	if (type !== 'ethernet') faults.add(`${path}/@type`, quoted(type), "'ethernet'");
	if (managed !== 'no' && !plugged) faults.add(`${path}/target/@managed`, managed && quoted(managed), "'no'");
	// libvirt's outbound qdisc finds its place taken by our filter (virNetDevBandwidthSet); in its inbound queue frames
	// would wait that still count as the forwarder's, until there is no room for those of other guests.
	if (bandwidth !== undefined)
		faults.add(bandwidth, "libvirt's own limits", "none; use <limit tx='…' rx='…'/> in the declaration");
	return {
		mac: checkMac(`${path}/mac/@address`, mac, faults),
		...given('mtu', mtu === undefined ? undefined : number(`${path}/mtu/@size`, mtu, 68, 65521, faults)),
		queues: queues === undefined ? 1 : number(`${path}/driver/@queues`, queues, 1, 256, faults),
		...given('vhost', driver === undefined ? undefined : driver === 'vhost'),
		...given('alias', alias),
	};
}

/** What the kernel takes (dev_valid_name), less `%`, which it and libvirt take for a pattern. */
function deviceName(element: XmlElement, attribute: string, faults: Faults): string {
	const value = element.attributes.get(attribute);
	if (
		value !== undefined &&
		/^[^\s/:%]+$/.test(value) &&
		Buffer.byteLength(value) <= 15 &&
		!/^\.\.?$/.test(value)
	)
		return value;
	const allowed = "an interface's name, 1 to 15 bytes without '/', ':', '%' and white space";
	faults.add(`${element.path}/@${attribute}`, value === undefined ? undefined : quoted(value), allowed);
	return '';
}

/** The slave's name is the target without `ipvt-` (docs/libvirt.md). */
function checkTarget(path: string, target: string, faults: Faults): void {
	if (target === '') return;
	if (/^(vnet|vif|macvtap|macvlan)\d/.test(target))
		faults.add(path, quoted(target), "a name that libvirt doesn't give out itself, such as 'ipvt-web1'");
	if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(target.replace(/^ipvt-/, '')))
		faults.add(path, quoted(target), "A-Z a-z 0-9 _ . - with a letter or digit first, or behind 'ipvt-'");
}

/** Written as everywhere else in ipvtap, however it is written here. */
function readAddress(element: XmlElement, faults: Faults): string | undefined {
	const { path, text } = element;
	faults.only(element, [], []);
	try {
		return parseAddress(text.trim());
	} catch {
		faults.add(path, quoted(text.trim()), "one host's IPv4 or IPv6 address without a prefix length");
		return undefined;
	}
}

/** As `--allow` takes it. */
function readAllowed({ path, attributes }: XmlElement, faults: Faults): Permission[] | undefined {
	const value = attributes.get('allow');
	const words = value?.split(',').map(word => word.trim());
	if (words?.some(word => !(permissions as readonly string[]).includes(word)))
		faults.add(
			`${path}/@allow`,
			quoted(value as string),
			`${permissions.map(quoted).join(', ')}, or both with a comma between`,
		);
	return words && permissions.filter(one => words.includes(one));
}

/** One `<limit>`, with an attribute for each key. */
function readLimits(nic: XmlElement, faults: Faults): LimitRequest | undefined {
	const [element, second] = nic.children.filter(({ name }) => name === 'limit');
	if (second) faults.add(second.path, 'a second <limit>', 'one, with an attribute for each limit');
	if (!element) return undefined;
	faults.only(element, limitKeys, []);
	const limits: LimitRequest = {};
	for (const key of limitKeys) {
		const value = element.attributes.get(key);
		const limit = value === undefined ? undefined : parseLimit(key, value.trim());
		if (limit !== undefined) limits[key] = limit;
		else if (value !== undefined) faults.add(`${element.path}/@${key}`, quoted(value), limitWords[key]);
	}
	return limits;
}

function checkMac(path: string, mac: string | undefined, faults: Faults): string {
	try {
		if (mac !== undefined) return parseMac(mac);
	} catch {
		// It is told with its place.
	}
	faults.add(path, mac && quoted(mac), "a unicast MAC such as '52:54:00:12:34:56'");
	return '';
}

function number(path: string, text: string, min: number, max: number, faults: Faults): number {
	const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
	if (value >= min && value <= max) return value;
	faults.add(path, quoted(text), `${min} to ${max}`);
	return min;
}

/** Two NICs can't be one TAP, nor have one address. */
function refuseTwice(nics: NicDeclaration[], faults: Faults): void {
	const addresses = new Set<string>();
	for (const [index, { at, target, addresses: own }] of nics.entries()) {
		if (target !== '' && nics.findIndex(other => other.target === target) < index)
			faults.add(`${at}/@target`, quoted(target), 'each target once');
		for (const address of own) {
			if (addresses.has(address)) faults.add(`${at}/ip`, quoted(address), 'each address once');
			addresses.add(address);
		}
	}
}

/** Mode and flag are the master's, so two NICs on one master can't want different ones. */
function refuseContradictions(nics: NicDeclaration[], faults: Faults): void {
	for (const key of ['mode', 'flag'] as const) {
		for (const [index, nic] of nics.entries()) {
			const before = nics
				.slice(0, index)
				.find(other => other.master === nic.master && other[key] !== undefined);
			if (before === undefined || nic[key] === undefined || nic[key] === before[key]) continue;
			faults.add(
				`${nic.at}/@${key}`,
				quoted(nic[key]),
				`'${before[key]}', as ${before.at} has it for ${nic.master}`,
			);
		}
	}
}

function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
	return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

function quoted(text: string): string {
	return `'${text.length > 80 ? `${text.slice(0, 77)}...` : text}'`;
}
