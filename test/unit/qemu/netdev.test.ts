import test from 'ava';
import fc from 'fast-check';
import {
	type ArgumentOptions,
	deviceProperties,
	type Format,
	fdArguments,
	type Nic,
	slaveArguments,
} from '../../../qemu/netdev.js';
import { IpvtapError } from '../../../src/errors.js';

const web1: Nic = { name: 'web1', ifname: 'ipvt-web1', mac: '52:54:00:00:00:01', mtu: 1500, queues: 1 };
const helper = '/usr/libexec/ipvtap-helper';

/** Expected arguments, joined by blanks as `attach` prints them. */
const table: [
	what: string,
	nic: Partial<Nic>,
	format: Format,
	options: Partial<ArgumentOptions>,
	expected: string,
][] = [
	[
		'named TAP',
		{},
		'qemu',
		{},
		'-netdev tap,id=net-web1,ifname=ipvt-web1,script=no,downscript=no -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01',
	],
	[
		'named TAP with vhost-net',
		{},
		'qemu',
		{ vhost: true },
		'-netdev tap,id=net-web1,ifname=ipvt-web1,script=no,downscript=no,vhost=on -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01',
	],
	[
		'named TAP with 4 queues and vhost-net',
		{ queues: 4 },
		'qemu',
		{ vhost: true },
		'-netdev tap,id=net-web1,ifname=ipvt-web1,script=no,downscript=no,vhost=on,queues=4 -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01,mq=on,vectors=10',
	],
	[
		'named TAP with jumbo frames',
		{ mtu: 9000 },
		'qemu',
		{},
		'-netdev tap,id=net-web1,ifname=ipvt-web1,script=no,downscript=no -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01,host_mtu=9000',
	],
	[
		"a comma in the TAP's name",
		{ ifname: 'a,b' },
		'qemu',
		{},
		'-netdev tap,id=net-web1,ifname=a,,b,script=no,downscript=no -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01',
	],
	[
		'helper',
		{},
		'helper',
		{ helper },
		`-netdev tap,id=net-web1,br=web1,helper=${helper} -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01`,
	],
	[
		'helper with vhost-net, a smaller MTU and a comma in its path',
		{ mtu: 1280 },
		'helper',
		{ helper: '/opt/a,b/ipvtap-helper', vhost: true },
		'-netdev tap,id=net-web1,br=web1,helper=/opt/a,,b/ipvtap-helper,vhost=on -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01,host_mtu=1280',
	],
	[
		'Firecracker',
		{ name: 'web-1' },
		'firecracker',
		{},
		'{"iface_id":"web_2d1","guest_mac":"52:54:00:00:00:01","host_dev_name":"ipvt-web1"}',
	],
	['cloud-hypervisor', {}, 'cloud-hypervisor', {}, '--net tap=ipvt-web1,mac=52:54:00:00:00:01,num_queues=2'],
	[
		'cloud-hypervisor with 2 queues',
		{ queues: 2 },
		'cloud-hypervisor',
		{},
		'--net tap=ipvt-web1,mac=52:54:00:00:00:01,num_queues=4',
	],
	[
		'libvirt',
		{},
		'libvirt',
		{},
		`<interface type='ethernet'>
  <mac address='52:54:00:00:00:01'/>
  <target dev='ipvt-web1' managed='no'/>
  <model type='virtio'/>
  <mtu size='1500'/>
</interface>`,
	],
	[
		'libvirt with 2 queues and a name out of a nightmare',
		{ ifname: `a'"<&>`, queues: 2, mtu: 9000 },
		'libvirt',
		{},
		`<interface type='ethernet'>
  <mac address='52:54:00:00:00:01'/>
  <target dev='a&#39;&#34;&#60;&#38;&#62;' managed='no'/>
  <model type='virtio'/>
  <driver queues='2'/>
  <mtu size='9000'/>
</interface>`,
	],
];

for (const [what, nic, format, options, expected] of table) {
	test(`arguments: ${what}`, t => {
		t.is(slaveArguments({ ...web1, ...nic }, format, { vhost: false, ...options }).join(' '), expected);
	});
}

test('arguments: the installed helper has an absolute path', t => {
	t.regex(slaveArguments(web1, 'helper', { vhost: false }).join(' '), /,helper=\/[^,]*\/bin\/ipvtap-helper /);
});

test('arguments: one inherited descriptor', t => {
	t.deepEqual(fdArguments(web1, 3, { vhost: true }), [
		'-netdev',
		'tap,id=net-web1,fd=3,vhost=on',
		'-device',
		'virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01',
	]);
});

test('arguments: three inherited descriptors', t => {
	t.deepEqual(fdArguments({ ...web1, queues: 3 }, 3, { vhost: false }), [
		'-netdev',
		'tap,id=net-web1,fds=3:4:5',
		'-device',
		'virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01,mq=on,vectors=8',
	]);
});

test('properties for device_add', t => {
	const small = { driver: 'virtio-net-pci', id: 'nic-web1', netdev: 'net-web1', mac: '52:54:00:00:00:01' };
	t.deepEqual(deviceProperties(web1, undefined), small);
	t.deepEqual(deviceProperties({ ...web1, queues: 2, mtu: 1400 }, 'rp0'), {
		...small,
		bus: 'rp0',
		mq: true,
		vectors: 6,
		host_mtu: 1400,
	});
});

/** What can't be said, and the reason that must be in the message. */
const refusals: [
	what: string,
	nic: Partial<Nic>,
	format: Format,
	options: Partial<ArgumentOptions>,
	why: RegExp,
][] = [
	['two queues through a helper', { queues: 2 }, 'helper', { helper }, /2 queues/],
	['two queues in Firecracker', { queues: 2 }, 'firecracker', {}, /2 queues/],
	["a blank in the helper's path", {}, 'helper', { helper: '/my programs/ipvtap-helper' }, /take .* apart/],
	["a wildcard in the TAP's name", { ifname: 'eth*' }, 'qemu', {}, /take .* apart/],
	['a comma for cloud-hypervisor', { ifname: 'a,b' }, 'cloud-hypervisor', {}, /'a,b'/],
];

for (const [what, nic, format, options, why] of refusals) {
	test(`arguments: refused is ${what}`, t => {
		const error = t.throws(() => slaveArguments({ ...web1, ...nic }, format, { vhost: false, ...options }), {
			instanceOf: IpvtapError,
			message: why,
		});
		t.is(error.code, 'usage');
		t.truthy(error.hint);
	});
}

test('arguments survive an unquoted $( … ), and QEMU reads back what went in', t => {
	const nic = fc.record({
		name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/),
		ifname: fc.string({
			unit: fc.constantFrom('a', ',', '=', '-', "'", '"', '$', '~'),
			minLength: 1,
			maxLength: 15,
		}),
		mac: fc.constant('52:54:00:00:00:01'),
		mtu: fc.integer({ min: 68, max: 65_535 }),
		queues: fc.integer({ min: 1, max: 8 }),
	});
	fc.assert(
		fc.property(nic, fc.boolean(), (slave, vhost) => {
			const words = slaveArguments(slave, 'qemu', { vhost });
			t.deepEqual(words.join(' ').split(/\s+/), words);
			const backend = qemuOptions(words[1]!);
			const device = qemuOptions(words[3]!);
			t.is(backend.get('ifname'), slave.ifname);
			t.is(backend.get('queues'), slave.queues > 1 ? String(slave.queues) : undefined);
			t.is(device.get('netdev'), backend.get('id'));
			t.false(backend.has('fd'));
		}),
	);
});

/** As QEMU takes `a=1,b=x,,y` apart (get_opt_value in util/qemu-option.c). */
function qemuOptions(argument: string): Map<string, string> {
	const parts = argument.replaceAll(',,', '\0').split(',');
	return new Map(
		parts.map(part => {
			const [key, ...value] = part.replaceAll('\0', ',').split('=');
			return [key!, value.join('=')];
		}),
	);
}
