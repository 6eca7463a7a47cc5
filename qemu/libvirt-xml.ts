/**
 * A slave in the words of libvirt's domain XML (formatdomain.html). Pure.
 */
import type { Slave } from '../src/control/model.js';

/** Namespace of what ipvtap keeps in a domain's `<metadata>`; libvirt drops elements without one. */
export const metadataNamespace = 'https://ipvtap.dev/xmlns/libvirt/1';

/**
 * What `virsh attach-device` takes as it is. `managed='no'` (libvirt 5.7) keeps libvirt from creating, changing and
 * deleting the TAP; whether it opens it as multi-queue follows from `queues`, which must agree with the device.
 * `<driver name=…>` is left out: libvirt then uses vhost-net where it can, and goes without where it can't.
 */
export function libvirtInterface(slave: Pick<Slave, 'ifname' | 'mac' | 'mtu' | 'queues'>): string {
	return [
		"<interface type='ethernet'>",
		`  <mac address='${slave.mac}'/>`,
		`  <target dev='${escapeXml(slave.ifname)}' managed='no'/>`,
		"  <model type='virtio'/>",
		...(slave.queues > 1 ? [`  <driver queues='${slave.queues}'/>`] : []),
		`  <mtu size='${slave.mtu}'/>`,
		'</interface>',
	].join('\n');
}

/** For text and for attributes in either kind of quotes. Names of interfaces may hold any of these. */
function escapeXml(text: string): string {
	return text.replace(/[&<>'"]/g, character => `&#${character.charCodeAt(0)};`);
}
