/** Which settings make the host forward in l3s, on kernels that can do it for single devices and on those that can't. */
import test from 'ava';
import {
	type ForwardingHost,
	planForwarding,
	renameSettings,
} from '../../../../src/control/port/forwarding-plan.js';

const ipv4 = [
	['ipv4/conf/ipvh-eth0/forwarding', '1'],
	['ipv4/conf/eth0/forwarding', '1'],
	['ipv4/conf/ipvh-eth0/send_redirects', '0'],
];

function host(settings: Record<string, string>, advertised: string[] = []): ForwardingHost {
	return { read: path => settings[path], devices: () => ['eth0', 'lo'], advertised: () => advertised };
}

const plan = (settings: Record<string, string>, advertised?: string[]) =>
	planForwarding('eth0', 'ipvh-eth0', host(settings, advertised)).slice(ipv4.length);

test('IPv4 forwards for the two devices, and where there is no IPv6 that is all', t => {
	t.deepEqual(planForwarding('eth0', 'ipvh-eth0', host({})), ipv4 as [string, string][]);
});

test('since Linux 6.17, IPv6 does as well', t => {
	const settings = { 'ipv6/conf/eth0/forwarding': '0', 'ipv6/conf/eth0/force_forwarding': '0' };
	t.deepEqual(plan(settings, ['eth0']), [
		['ipv6/conf/ipvh-eth0/force_forwarding', '1'],
		['ipv6/conf/eth0/force_forwarding', '1'],
	]);
});

test('before that there is one switch, which is left alone where it is on', t => {
	const settings = { 'ipv6/conf/eth0/forwarding': '0', 'ipv6/conf/all/forwarding': '0' };
	t.deepEqual(plan(settings), [['ipv6/conf/all/forwarding', '1']]);
	t.deepEqual(plan({ ...settings, 'ipv6/conf/all/forwarding': '1' }, ['eth0']), []);
});

test("it isn't used where the host would lose its routes, and it is said how it can be", t => {
	const settings = {
		'ipv6/conf/eth0/forwarding': '0',
		'ipv6/conf/all/forwarding': '0',
		'ipv6/conf/eth0/accept_ra': '1',
		'ipv6/conf/wlan0/accept_ra': '2',
	};
	t.throws(() => plan(settings, ['eth0', 'wlan0']), {
		code: 'conflict',
		message: /would lose its routes by eth0, which/,
	});
	t.deepEqual(plan({ ...settings, 'ipv6/conf/eth0/accept_ra': '2' }, ['eth0', 'wlan0']), [
		['ipv6/conf/all/forwarding', '1'],
	]);
});

test('what was saved under a name that the device no longer has', t => {
	const saved = {
		'ipv4/conf/eth0/forwarding': '0',
		'ipv6/conf/all/forwarding': '0',
		'ipv4/conf/eth01/forwarding': '1',
	};
	t.deepEqual(renameSettings(saved, 'eth0', 'lan'), {
		'ipv4/conf/lan/forwarding': '0',
		'ipv6/conf/all/forwarding': '0',
		'ipv4/conf/eth01/forwarding': '1',
	});
});
