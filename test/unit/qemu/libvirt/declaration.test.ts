import test from 'ava';
import { readDeclaration } from '../../../../qemu/libvirt/declaration.js';
import { parseDomain } from '../../../../qemu/libvirt/domain.js';
import { libvirtInterface, metadataNamespace } from '../../../../qemu/libvirt-xml.js';

const device = `<interface type='ethernet'>
	<mac address='52:54:00:AA:00:01'/><target dev='ipvt-web1' managed='no'/><model type='virtio'/>
	<driver name='vhost' queues='4'/><mtu size='9000'/><alias name='net0'/>
</interface>`;

function read(nics: string, devices = device, vm = '') {
	const metadata = `<i:vm xmlns:i='${metadataNamespace}'${vm}>${nics}</i:vm>`;
	return readDeclaration(
		parseDomain(
			`<domain><name>web</name><uuid>u</uuid><metadata>${metadata}</metadata><devices>${devices}</devices></domain>`,
		),
	);
}

function faults(nics: string, devices?: string, vm?: string): string[] {
	return read(nics, devices, vm)?.faults ?? [];
}

test('a NIC is declared in the metadata, and is what its interface is', t => {
	t.deepEqual(
		read(`<i:nic target='ipvt-web1' master='eth0' mode='l2' flag='private' learn='on' allow='router, dhcp-server'>
			<i:ip>192.0.2.10</i:ip><i:ip> 2001:DB8:0::0010/128 </i:ip></i:nic>`),
		{
			faults: [],
			nics: [
				{
					at: '/domain/metadata/i:vm/i:nic',
					target: 'ipvt-web1',
					master: 'eth0',
					mode: 'l2',
					flag: 'private',
					learn: true,
					allow: ['dhcp-server', 'router'],
					addresses: ['192.0.2.10', '2001:db8::10'],
					mac: '52:54:00:aa:00:01',
					mtu: 9000,
					queues: 4,
					vhost: true,
					alias: 'net0',
					present: true,
				},
			],
		},
	);
});

test('limits are declared as --limit takes them, and those that are not said are left to the daemon', t => {
	const limit = "<i:limit tx='100mbit/256k' rx=' none ' slow='500'/>";
	const declaration = read(`<i:nic target='ipvt-web1' master='eth0'>${limit}</i:nic>`);
	t.deepEqual(declaration?.faults, []);
	t.deepEqual(declaration?.nics[0]?.limits, {
		tx: { rate: 100_000_000, burst: 262_144 },
		rx: null,
		slow: { rate: 500, burst: 1000 },
	});
});

test('what is left out is left to the daemon', t => {
	const plain = device.replace(/<(driver|mtu|alias)[^>]*>/g, '');
	t.deepEqual(read("<i:nic target='ipvt-web1' master='eth0'/>", plain)?.nics, [
		{
			at: '/domain/metadata/i:vm/i:nic',
			target: 'ipvt-web1',
			master: 'eth0',
			addresses: [],
			mac: '52:54:00:aa:00:01',
			queues: 1,
			present: true,
		},
	]);
});

test('what attach --format libvirt writes is what is read', t => {
	const slave = { ifname: "ipvt-o'web", mac: '52:54:00:00:00:01', mtu: 1500, queues: 2 };
	const declaration = read('<i:nic target="ipvt-o\'web" master="eth0"/>', libvirtInterface(slave));
	t.deepEqual(declaration?.nics[0]?.mac, slave.mac);
	t.like(declaration?.nics[0], { present: true, queues: 2, mtu: 1500 });
});

test('a domain without a declaration is none of ours', t => {
	t.is(
		readDeclaration(parseDomain('<domain><name>a</name><metadata><x xmlns="urn:x"/></metadata></domain>')),
		undefined,
	);
	t.is(readDeclaration(parseDomain(`<domain><name>a</name></domain>`)), undefined);
});

test("what looks like a declaration, and isn't one, is a fault", t => {
	const found = (metadata: string) =>
		readDeclaration(parseDomain(`<domain><name>a</name><metadata>${metadata}</metadata></domain>`))?.faults;
	const allowed = `allowed: one <vm xmlns='${metadataNamespace}'>`;
	const http = metadataNamespace.replace('https', 'http');
	t.deepEqual(found(`<ipvtap:vm xmlns:ipvtap='${http}'/>`), [
		`/domain/metadata/ipvtap:vm: found <vm xmlns='${http}'>, ${allowed}`,
	]);
	t.deepEqual(found(`<i:nic xmlns:i='${metadataNamespace}'/>`), [
		`/domain/metadata/i:nic: found <nic xmlns='${metadataNamespace}'>, ${allowed}`,
	]);
	t.deepEqual(read("<i:nic target='ipvt-web1' master='eth0'>192.0.2.10</i:nic>")?.faults, [
		"/domain/metadata/i:vm/i:nic: found the text '192.0.2.10', allowed: elements and attributes",
	]);
});

test('a second declaration is a fault, whatever its prefix', t => {
	const vm = (prefix: string): string =>
		`<${prefix}:vm xmlns:${prefix}='${metadataNamespace}'><${prefix}:nic target='ipvt-web1' master='eth0'/></${prefix}:vm>`;
	const found = (metadata: string) =>
		readDeclaration(
			parseDomain(`<domain><metadata>${metadata}</metadata><devices>${device}</devices></domain>`),
		)?.faults;
	const inside = '/domain/metadata';
	t.deepEqual(found(vm('i') + vm('i')), [
		`${inside}/i:vm[2]: found a second declaration, allowed: one; all NICs belong in ${inside}/i:vm[1]`,
	]);
	t.deepEqual(found(vm('i') + vm('ipvtap')), [
		`${inside}/ipvtap:vm: found a second declaration, allowed: one; all NICs belong in ${inside}/i:vm`,
	]);
});

test('a NIC for later has its MAC in its declaration', t => {
	const declaration = read("<i:nic target='ipvt-late' master='eth0' mac='52:54:00:00:00:09'/>");
	t.deepEqual(declaration?.faults, []);
	t.like(declaration?.nics[0], { target: 'ipvt-late', mac: '52:54:00:00:00:09', present: false, queues: 1 });
});

test('a NIC that was plugged in later is what it was declared to be, also as a TAP that libvirt made', t => {
	const late = "<i:nic target='ipvt-late' master='eth0' mac='52:54:00:00:00:09'/>";
	const plugged =
		"<interface type='ethernet'><mac address='52:54:00:00:00:09'/><target dev='ipvt-late'/></interface>";
	const declaration = read(late, plugged);
	t.deepEqual(declaration?.faults, []);
	t.like(declaration?.nics[0], {
		target: 'ipvt-late',
		mac: '52:54:00:00:00:09',
		present: true,
		madeByLibvirt: true,
	});
});

const at = '/domain/metadata/i:vm/i:nic';
const nic = (attributes: string, inner = '') => `<i:nic ${attributes}>${inner}</i:nic>`;
const good = "target='ipvt-web1' master='eth0'";
for (const [title, found, expected] of [
	['no NIC', faults(''), ['/domain/metadata/i:vm: found no NIC, allowed: one or more <nic> elements']],
	[
		'unknown words',
		faults(nic(`${good} mtu='1500'`, '<i:route/>'), device, " version='2'"),
		[
			'/domain/metadata/i:vm/@version: found an unknown attribute, allowed: none',
			`${at}/@mtu: found an unknown attribute, allowed: target, master, mode, flag, learn, allow, mac`,
			`${at}/i:route: found an unknown element <i:route>, allowed: ip, limit`,
		],
	],
	[
		'an element of no namespace',
		faults(nic(good, '<ip>192.0.2.1</ip>')),
		[`${at}/ip: found an unknown element <ip>, allowed: ip, limit`],
	],
	[
		'values',
		faults(nic(`${good} mode='l4' flag='none' learn='yes' allow='router,all'`)),
		[
			`${at}/@mode: found 'l4', allowed: 'l2', 'l3', 'l3s'`,
			`${at}/@flag: found 'none', allowed: 'bridge', 'private', 'vepa'`,
			`${at}/@learn: found 'yes', allowed: 'on', 'off'`,
			`${at}/@allow: found 'router,all', allowed: 'dhcp-server', 'router', or both with a comma between`,
		],
	],
	[
		"libvirt's own limits, whose queues do harm",
		faults(
			nic(good),
			device.replace('<mtu', '<bandwidth><inbound average="1"/><outbound average="1"/></bandwidth><mtu'),
		),
		[
			"/domain/devices/interface/bandwidth: found libvirt's own limits, allowed: none; use <limit tx='…' rx='…'/> in the declaration",
		],
	],
	[
		'limits',
		faults(nic(good, "<i:limit tx='100' mtu='1500' learn='often'><i:tx/></i:limit><i:limit/>")),
		[
			`${at}/i:limit[2]: found a second <limit>, allowed: one, with an attribute for each limit`,
			`${at}/i:limit[1]/@mtu: found an unknown attribute, allowed: tx, rx, slow, learn`,
			`${at}/i:limit[1]/i:tx: found an unknown element <i:tx>, allowed: none`,
			`${at}/i:limit[1]/@tx: found '100', allowed: a rate such as '100mbit' or '100mbit/256k' (/burst), 8kbit to 1tbit with a burst of 64k to 1g; 'none' or 'default'`,
			`${at}/i:limit[1]/@learn: found 'often', allowed: addresses a minute such as '60' or '60/24' (/burst), 1 to 60000; 'none' or 'default'`,
		],
	],
	[
		'addresses',
		faults(nic(good, '<i:ip>192.0.2.0/24</i:ip><i:ip>web1</i:ip><i:ip>fe80::1%eth0</i:ip>')),
		['192.0.2.0/24', 'web1', 'fe80::1%eth0'].map(
			(text, index) =>
				`${at}/i:ip[${index + 1}]: found '${text}', allowed: one host's IPv4 or IPv6 address without a prefix length`,
		),
	],
	[
		'a target that libvirt gives out',
		faults(nic("target='vnet0' master='eth0' mac='52:54:00:00:00:09'")),
		[
			`${at}/@target: found 'vnet0', allowed: a name that libvirt doesn't give out itself, such as 'ipvt-web1'`,
		],
	],
	[
		"the master's MAC",
		faults(nic(`${good} mac='52:54:00:00:00:09'`)),
		[`${at}/@mac: found '52:54:00:00:00:09', allowed: none: the MAC is that of /domain/devices/interface`],
	],
	[
		'an interface of another type, managed by libvirt, without a MAC',
		faults(nic(good), "<interface type='bridge'><target dev='ipvt-web1'/></interface>"),
		[
			"/domain/devices/interface/@type: found 'bridge', allowed: 'ethernet'",
			"/domain/devices/interface/target/@managed: found nothing, allowed: 'no'",
			"/domain/devices/interface/mac/@address: found nothing, allowed: a unicast MAC such as '52:54:00:12:34:56'",
		],
	],
] as const) {
	test(`fault: ${title}`, t => t.deepEqual(found, [...expected]));
}

test('fault: names that no device can have, or nothing', t => {
	const said = faults(nic("target='ipvt-much-too-long'"));
	t.is(said.length, 2);
	t.true(
		said[0]?.startsWith(
			`${at}/@target: found 'ipvt-much-too-long', allowed: an interface's name, 1 to 15 bytes`,
		),
	);
	t.true(said[1]?.startsWith(`${at}/@master: found nothing, allowed: `));
});

test('fault: a target that no interface has names those that there are', t => {
	t.deepEqual(faults(nic("target='ipvt-web2' master='eth0'")), [
		`${at}/@target: found 'ipvt-web2', allowed: the <target dev> of an <interface type='ethernet'> of this domain ('ipvt-web1'); or mac='…' beside it, for a NIC that is plugged in later`,
	]);
});

test('fault: one target, one address twice; one master with two flags', t => {
	const twice =
		nic(`${good} flag='private'`, '<i:ip>192.0.2.1</i:ip>') +
		nic(`${good} flag='vepa'`, '<i:ip>192.0.2.1</i:ip>');
	t.deepEqual(faults(twice), [
		`${at}[2]/@target: found 'ipvt-web1', allowed: each target once`,
		`${at}[2]/ip: found '192.0.2.1', allowed: each address once`,
		`${at}[2]/@flag: found 'vepa', allowed: 'private', as ${at}[1] has it for eth0`,
	]);
});

test('fault: two interfaces with the target of one NIC', t => {
	t.deepEqual(faults("<i:nic target='ipvt-web1' master='eth0'/>", device + device.replace('AA', 'AB')), [
		"/domain/devices/interface[2]/target/@dev: found 'ipvt-web1', allowed: a name of its own; /domain/devices/interface[1] has this",
	]);
});
