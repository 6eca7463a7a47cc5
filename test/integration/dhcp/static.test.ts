/** Guests that are configured by hand, behind slaves that were told nothing: what they notice of it is a moment's delay. */
import test from 'ava';
import { staticBusybox } from '../../../src/lab/busybox.js';
import { lanMembers } from '../../../src/lab/lan.js';
import { Place } from './place.js';

const { router, laptop } = lanMembers;

for (const offload of ['none', 'tc-bpf'])
	test.serial(`the first packet from a new address arrives, and is answered: offload ${offload}`, async t => {
		const place = await Place.create(t, `static-${offload.slice(0, 2)}`, { dnsmasq: [] });
		await place.product.json('set', 'eth0', '--offload', offload);
		const guest = await place.guest(t, 'vm1', [], { dad: false });
		// The address of one guest is another's to ask for, and is not to be had; those of the LAN neither.
		const first = ['192.0.2.41/24', '2001:db8:1::41/64'] as const;
		for (const [index, address] of first.entries()) {
			await guest.stack.addAddress(address);
			const to = index === 0 ? router : laptop;
			// One packet, and a second's patience: the kernel asks for its neighbour once in that time.
			const ping = ['-c1', '-W1', '-q', '-I', address.split('/')[0]!, index === 0 ? to.ipv4 : to.ipv6];
			const { rc, out } = await guest.stack.run('ping', ping);
			t.log(out.trim().split('\n').at(-1));
			t.is(rc, 0, `${address} to ${ping.at(-1)}`);
		}
		const { drops, queued } = await place.product.stats('vm1');
		const lost = Object.keys(drops).filter(reason => reason === 'tentative' || reason.includes('spoof'));
		t.deepEqual([lost, queued], [[], 0]);
		await place.onlyTheMaster(t);
	});

test('a guest that asks first is answered by whoever has the address, and finds a free one free', async t => {
	const place = await Place.create(t, 'static-dad', { dnsmasq: [] });
	const [guest, other] = [await place.guest(t, 'vm1'), await place.guest(t, 'vm2')];
	await other.stack.addAddress('192.0.2.42/24');
	await other.stack.exec('ping', ['-c1', '-W2', '-q', router.ipv4]);
	const busybox = await staticBusybox();
	const arping = async (address: string, ...options: string[]): Promise<number> =>
		(await guest.stack.run(busybox, ['arping', '-q', '-I', 'eth0', ...options, address])).rc;
	/** 0 if nobody has answered, 1 if somebody has. */
	const detect = (address: string): Promise<number> => arping(address, '-D', '-c2', '-w3');
	t.is(await detect('192.0.2.41'), 0);
	for (const taken of [laptop.ipv4, '192.0.2.42', lanMembers.host.ipv4]) t.is(await detect(taken), 1, taken);
	await guest.stack.addAddress('192.0.2.41/24');
	await arping('192.0.2.41', '-U', '-c1', '-w1');
	t.is((await place.lan.laptop.run('ping', ['-c1', '-W2', '-q', '192.0.2.41'])).rc, 0);
	await place.onlyTheMaster(t);
});
