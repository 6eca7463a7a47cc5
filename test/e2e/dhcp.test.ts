/** Guests to which nothing is said about addresses: DHCP from a real dnsmasq, through a switch that knows one MAC. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Slave } from '../../src/control/model.js';
import { staticBusybox } from '../../src/lab/busybox.js';
import { Lan, lanMembers } from '../../src/lab/lan.js';
import { StackGuest } from '../../src/lab/stack-guest.js';
import { Product } from '../helpers/product.js';

test('two guests get leases of their own and use them', async t => {
	const lan = await Lan.create();
	t.teardown(() => lan.close());
	const product = await Product.at(lan.host, 'dhcp');
	t.teardown(() => product.close());
	const script = join(lan.folder, 'udhcpc.sh');
	writeFileSync(script, udhcpcScript);
	chmodSync(script, 0o755);
	const busybox = await staticBusybox();

	const addresses: string[] = [];
	for (const name of ['vm1', 'vm2']) {
		const slave = await product.json<Slave>('attach', name, '--master', 'eth0');
		const guest = await StackGuest.start({
			name,
			slave: { namespace: lan.host, ifname: slave.ifname },
			mac: slave.mac,
		});
		t.teardown(() => guest.stop());
		const lease = () =>
			guest.exec(busybox, ['udhcpc', '-i', 'eth0', '-s', script, '-n', '-q', '-f', '-t', '5', '-T', '1']);
		await lease();
		const [own] = await leases(product, name);
		t.truthy(own, 'the lease is in the slave’s list');
		t.true(Date.parse(own?.expires ?? '') > Date.now());
		addresses.push(own?.address ?? '');
		await guest.exec('ping', ['-c', '2', '-i', '0.2', '-W', '2', lanMembers.router.ipv4]);
		await guest.exec('ping', ['-c', '2', '-i', '0.2', '-W', '2', lanMembers.host.ipv4]);
	}
	t.not(addresses[0], addresses[1]);
	const macs = await lan.macsSeen();
	t.deepEqual(
		macs.map(({ mac, dropped }) => [mac, dropped]),
		[[lanMembers.host.mac, 0]],
	);
});

async function leases(product: Product, name: string): Promise<Slave['addresses']> {
	const slave = await product.json<Slave>('show', name);
	return slave.addresses.filter(({ origin }) => origin === 'dhcp');
}

/** What every distribution's script does at the least. */
const udhcpcScript = `#!/bin/sh
case $1 in
bound | renew)
	ip -4 addr flush dev $interface
	ip addr add $ip/\${mask:-24} dev $interface
	[ -z "$router" ] || ip route replace default via $router
	;;
esac
`;
