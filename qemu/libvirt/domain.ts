/** What ipvtap wants to know of a domain, read from libvirt's XML for it (formatdomain.html). Pure. */
import { metadataNamespace } from '../libvirt-xml.js';
import { childOf, childrenOf, parseXml, type XmlElement } from './xml.js';

export interface Domain {
	name: string;
	uuid: string;
	interfaces: DomainInterface[];
	/** Our element in its metadata; undefined in a domain that is none of ours. */
	declaration: XmlElement | undefined;
	/** An element in its metadata that was meant to be ours, by the looks of it. */
	misnamed: XmlElement | undefined;
}

/** A NIC as libvirt sees it; what isn't said is undefined. */
export interface DomainInterface {
	/** The element's XML path. */
	path: string;
	/** `ethernet`, `bridge`, `direct` … */
	type: string;
	/** Name of the host's device. */
	target: string | undefined;
	/** `no`: libvirt leaves that device as it is. */
	managed: string | undefined;
	mac: string | undefined;
	mtu: string | undefined;
	queues: string | undefined;
	/** `vhost` or `qemu`. */
	driver: string | undefined;
	/** XML path of limits of libvirt's own. */
	bandwidth: string | undefined;
	/** libvirt's name for the NIC: `net0`. Only running domains have them. */
	alias: string | undefined;
}

/** @throws IpvtapError `failed` for text that isn't XML. */
export function parseDomain(xml: string): Domain {
	const root = parseXml(xml);
	const metadata = childOf(root, 'metadata');
	const [declaration] = childrenOf(metadata, 'vm', metadataNamespace);
	return {
		name: childOf(root, 'name')?.text.trim() ?? '',
		uuid: childOf(root, 'uuid')?.text.trim() ?? '',
		interfaces: childrenOf(childOf(root, 'devices'), 'interface').map(readInterface),
		declaration,
		misnamed: metadata?.children.find(
			one =>
				one !== declaration && (one.qualified.startsWith('ipvtap:') || one.namespace.includes('ipvtap.dev')),
		),
	};
}

function readInterface(element: XmlElement): DomainInterface {
	const of = (child: string, attribute: string) => childOf(element, child)?.attributes.get(attribute);
	return {
		path: element.path,
		type: element.attributes.get('type') ?? '',
		target: of('target', 'dev'),
		managed: of('target', 'managed'),
		mac: of('mac', 'address'),
		mtu: of('mtu', 'size'),
		queues: of('driver', 'queues'),
		driver: of('driver', 'name'),
		bandwidth: childOf(element, 'bandwidth')?.path,
		alias: of('alias', 'name'),
	};
}
