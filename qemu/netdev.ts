/**
 * What to tell a virtual machine monitor so that it uses a slave's TAP: arguments for QEMU and cloud-hypervisor,
 * a document for libvirt and Firecracker. Pure.
 *
 * Arguments are made for an unquoted `$( … )`: the shell splits what comes out at blanks and expands `*`, `?` and
 * `[`, so none of these may be inside. QEMU splits each argument at commas in its turn; a comma that belongs to a
 * value is doubled (docs of `-netdev`, util/qemu-option.c).
 */
import { fileURLToPath } from 'node:url';
import type { Slave } from '../src/control/model.js';
import { IpvtapError } from '../src/errors.js';
import { plainId, qemuIds } from './ids.js';
import { libvirtInterface } from './libvirt-xml.js';

/** What of a slave a virtual machine monitor has to know. */
export type Nic = Pick<Slave, 'name' | 'ifname' | 'mac' | 'mtu' | 'queues'>;

export const formats = ['qemu', 'helper', 'libvirt', 'firecracker', 'cloud-hypervisor'] as const;
export type Format = (typeof formats)[number];

export interface ArgumentOptions {
	/** Let the kernel move the frames; only where /dev/vhost-net opens: QEMU 7.2 aborts where it doesn't. */
	vhost: boolean;
	/** Absolute path of ipvtap-helper; default: the one of this installation. */
	helper?: string;
}

/**
 * What `attach` prints, to be joined by blanks: the arguments, or one document as the only element.
 * @throws IpvtapError `usage` when the format can't express the slave (more than one queue) or a value has
 * characters in it that a shell would take apart.
 */
export function slaveArguments(slave: Nic, format: Format, options: ArgumentOptions): string[] {
	switch (format) {
		case 'qemu':
			return forShell(format, qemuArguments(slave, byName(slave, options.vhost), slave.queues));
		case 'helper':
			single(slave, "QEMU's helper protocol hands over one descriptor", '--format qemu');
			return forShell(format, qemuArguments(slave, byHelper(slave, options), 1));
		case 'libvirt':
			return [libvirtInterface(slave)];
		case 'firecracker':
			single(slave, "Firecracker's network device has one queue", 'a slave with --queues 1');
			return [firecrackerInterface(slave)];
		case 'cloud-hypervisor':
			return forShell(format, cloudHypervisorArguments(slave));
	}
}

/**
 * QEMU's arguments when it inherits the TAP's queues as descriptors `firstFd`, `firstFd` + 1, … Given `fd=`, QEMU
 * refuses `ifname`, `script` and `queues` (net/tap.c), and it asks the descriptor itself for the vnet header.
 */
export function fdArguments(slave: Nic, firstFd: number, options: { vhost: boolean }): string[] {
	const fds = Array.from({ length: slave.queues }, (_, queue) => firstFd + queue);
	const backend = [`${fds.length > 1 ? 'fds' : 'fd'}=${fds.join(':')}`, ...vhostOption(options.vhost)];
	return qemuArguments(slave, backend, slave.queues);
}

/** As `fdArguments`, as QMP's `device_add` wants it; `bus` is left to QEMU when undefined. */
export function deviceProperties(slave: Nic, bus: string | undefined): Record<string, unknown> {
	const { netdev, device } = qemuIds(slave.name);
	return {
		driver: 'virtio-net-pci',
		id: device,
		netdev,
		mac: slave.mac,
		...(bus === undefined ? {} : { bus }),
		...(slave.queues > 1 ? { mq: true, vectors: vectors(slave.queues) } : {}),
		...(slave.mtu === defaultMtu ? {} : { host_mtu: slave.mtu }),
	};
}

/** A value inside one of QEMU's comma-separated arguments. */
export function qemuValue(value: string): string {
	return value.replaceAll(',', ',,');
}

function qemuArguments(slave: Nic, backend: string[], queues: number): string[] {
	const { netdev, device } = qemuIds(slave.name);
	const nic = [
		'virtio-net-pci',
		`id=${device}`,
		`netdev=${netdev}`,
		`mac=${slave.mac}`,
		...(queues > 1 ? ['mq=on', `vectors=${vectors(queues)}`] : []),
		// Tells the guest's driver the MTU (VIRTIO_NET_F_MTU); without it a guest believes in 1500.
		...(slave.mtu === defaultMtu ? [] : [`host_mtu=${slave.mtu}`]),
	];
	return ['-netdev', ['tap', `id=${netdev}`, ...backend].join(','), '-device', nic.join(',')];
}

/** QEMU opens the TAP itself. Without `script=no` it would run /etc/qemu-ifup on it. */
function byName(slave: Nic, vhost: boolean): string[] {
	return [
		`ifname=${qemuValue(slave.ifname)}`,
		'script=no',
		'downscript=no',
		...vhostOption(vhost),
		...(slave.queues > 1 ? [`queues=${slave.queues}`] : []),
	];
}

/** QEMU runs a path without blanks directly, anything else through a shell, which would need quotes of its own. */
function byHelper(slave: Nic, options: ArgumentOptions): string[] {
	const helper = options.helper ?? installedHelper();
	return [`br=${qemuValue(slave.name)}`, `helper=${qemuValue(helper)}`, ...vhostOption(options.vhost)];
}

/** bin/ipvtap-helper beside the `dist` folder that this file runs from. */
function installedHelper(): string {
	return fileURLToPath(new URL('../../bin/ipvtap-helper', import.meta.url));
}

function vhostOption(vhost: boolean): string[] {
	return vhost ? ['vhost=on'] : [];
}

/** One interrupt for each receive and transmit queue, one for the control queue, one for changes of configuration. */
function vectors(queues: number): number {
	return 2 * queues + 2;
}

/** Body of `PUT /network-interfaces/{iface_id}` in Firecracker's API, and an element of its configuration file. */
function firecrackerInterface(slave: Nic): string {
	return JSON.stringify({ iface_id: plainId(slave.name), guest_mac: slave.mac, host_dev_name: slave.ifname });
}

/** `num_queues` counts receive and transmit queues; beyond two, cloud-hypervisor opens the TAP as multi-queue. */
function cloudHypervisorArguments(slave: Nic): string[] {
	if (slave.ifname.includes(',')) {
		throw new IpvtapError(
			'usage',
			`arguments for cloud-hypervisor: it can't be told of a TAP '${slave.ifname}'`,
			{
				hint: 'choose a name without commas',
			},
		);
	}
	return ['--net', `tap=${slave.ifname},mac=${slave.mac},num_queues=${2 * slave.queues}`];
}

function single(slave: Nic, why: string, instead: string): void {
	if (slave.queues === 1) return;
	throw new IpvtapError('usage', `arguments for ${slave.name}: it has ${slave.queues} queues, and ${why}`, {
		hint: `use ${instead}`,
	});
}

function forShell(format: Format, words: string[]): string[] {
	const bad = words.find(word => /[\s*?[\]\\]/.test(word));
	if (bad === undefined) return words;
	throw new IpvtapError('usage', `arguments for ${format}: a shell would take '${bad}' apart`, {
		hint: "choose a path and names without blanks, '*', '?', '[' and '\\'",
	});
}

/** Of Ethernet, and what a virtio driver assumes when it isn't told. */
const defaultMtu = 1500;
