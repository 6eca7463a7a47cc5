/** Domains of the lab: its guest image with NICs as ipvtap's documentation has them. */

import type { GuestImage } from '../../../src/lab/guest-image.js';
import { agentPort } from '../../../src/lab/guest-init.js';

export interface DomainOptions {
	name: string;
	nics: NicOptions[];
	/** The `<metadata>` element; default: each NIC declared with its addresses. */
	metadata?: string;
	/** Socket of the guest's agent. */
	agent?: string;
	/** A file in qcow2. */
	disk?: string;
}

export interface NicOptions {
	target: string;
	mac: string;
	/** In the guest, and in the declaration. */
	addresses?: string[];
	master?: string;
	/** More attributes of the declaration. */
	attributes?: string;
	/** More elements of the declaration. */
	elements?: string;
	/** More elements of the interface. */
	device?: string;
	/** Declared only, to be plugged in later. */
	absent?: boolean;
}

export const namespace = 'https://ipvtap.dev/xmlns/libvirt/1';

export function domainXml(
	{ vmlinux, initramfs }: GuestImage,
	{ name, nics, metadata = declaration(nics), agent, disk }: DomainOptions,
): string {
	const channel =
		agent === undefined
			? "<channel type='null'>"
			: `<channel type='unix'><source mode='connect' path='${agent}'/>`;
	return `<domain type='qemu'>
  <name>${name}</name>
  ${metadata}
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>${vmlinux}</kernel>
    <initrd>${initramfs}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 mitigations=off ${guestWords(nics)}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <controller type='pci' index='0' model='pcie-root'/>
    ${rootPorts}
    ${disk === undefined ? '' : diskXml(disk)}
    <serial type='file'><source path='/var/log/libvirt/qemu/${name}.console'/></serial>
    ${channel}<target type='virtio' name='${agentPort}'/></channel>
    ${nics
			.filter(({ absent }) => !absent)
			.map(interfaceXml)
			.join('\n    ')}
    <memballoon model='none'/>
  </devices>
</domain>`;
}

export function interfaceXml({
	target,
	mac,
	device = '',
}: Pick<NicOptions, 'target' | 'mac' | 'device'>): string {
	return `<interface type='ethernet'><mac address='${mac}'/><target dev='${target}' managed='no'/><model type='virtio'/>${device}</interface>`;
}

function diskXml(file: string): string {
	return `<disk type='file'><driver name='qemu' type='qcow2'/><source file='${file}'/><target dev='vda' bus='virtio'/></disk>`;
}

function declaration(nics: NicOptions[]): string {
	const declared = nics.map(
		({ target, mac, master = 'eth0', addresses = [], attributes = '', elements = '', absent }) => {
			const ips = addresses.map(address => `<ipvtap:ip>${address}</ipvtap:ip>`).join('');
			const own = absent ? ` mac='${mac}'` : '';
			return `<ipvtap:nic target='${target}' master='${master}'${own} ${attributes}>${ips}${elements}</ipvtap:nic>`;
		},
	);
	return `<metadata><ipvtap:vm xmlns:ipvtap='${namespace}'>${declared.join('')}</ipvtap:vm></metadata>`;
}

/** Each takes one device; some are for devices that are plugged in later. */
const rootPorts = [1, 2, 3, 4, 5, 6]
	.map(index => `<controller type='pci' index='${index}' model='pcie-root-port'/>`)
	.join('\n    ');

/** The lab's guests take their addresses from the kernel's command line (src/lab/guest-init.ts). */
function guestWords(nics: NicOptions[]): string {
	const present = nics.filter(({ absent }) => !absent);
	const addresses = present.flatMap(({ addresses = [] }, index) =>
		addresses.map(address => `eth${index}@${address}/${address.includes(':') ? 64 : 24}`),
	);
	return addresses.length > 0 ? `lab.ip=${addresses.join(',')}` : '';
}
