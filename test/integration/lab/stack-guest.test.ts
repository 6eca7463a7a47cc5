import { on } from 'node:events';
import { createInterface } from 'node:readline';
import test from 'ava';
import { Namespace } from '../../../src/lab/namespace.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';

const size = 100 * 1024 * 1024;
let bridge: Namespace;

/** Programs for Node in the guests; both print the SHA-256 of what has passed. */
const receive = `
	const hash = require('crypto').createHash('sha256');
	require('net').createServer(socket => {
		socket.on('data', chunk => hash.update(chunk));
		socket.on('end', () => {
			socket.end();
			process.stdout.write(hash.digest('hex') + '\\n', () => process.exit());
		});
	}).listen(9000, () => console.log('listening'));
`;
const send = `
	const [address, size] = process.argv.slice(1);
	const data = require('crypto').randomBytes(Number(size));
	const socket = require('net').connect(9000, address);
	socket.end(data);
	socket.on('close', () => {
		process.stdout.write(require('crypto').createHash('sha256').update(data).digest('hex'));
	}).resume();
`;

test.before(async () => {
	bridge = await Namespace.create('stack-bridge');
	await bridge.ip('link add br0 type bridge forward_delay 0 mcast_snooping 0', 'link set br0 up');
});

test.after.always(() => bridge?.delete());

async function start(name: string, number: number, offloads: boolean): Promise<StackGuest> {
	await bridge.ip(`tuntap add dev ${name} mode tap vnet_hdr`, `link set ${name} master br0 up`);
	return StackGuest.start({
		name,
		slave: { namespace: bridge, ifname: name },
		mac: `02:1a:00:00:01:0${number}`,
		addresses: [`192.0.2.1${number}/24`, `2001:db8::1${number}/64`],
		offloads,
	});
}

for (const offloads of [true, false]) {
	test.serial(`100 MB arrive intact between two guests with offloads ${offloads ? 'on' : 'off'}`, async t => {
		const tag = offloads ? 'on' : 'off';
		const receiver = await start(`r-${tag}`, 1, offloads);
		const sender = await start(`s-${tag}`, 2, offloads);
		t.teardown(async () => {
			await Promise.all([receiver.stop(), sender.stop()]);
			await bridge.ip(`link delete r-${tag}`, `link delete s-${tag}`);
		});
		await Promise.all([receiver.addressesReady(), sender.addressesReady()]);

		// What the relay is told has to be what the guest's own stack shows.
		const features = await sender.exec('ethtool', ['-k', 'eth0']);
		t.regex(features, new RegExp(`tcp-segmentation-offload: ${tag}`));

		for (const address of ['192.0.2.11', '2001:db8::11']) {
			const server = receiver.namespace.spawn(process.execPath, ['-e', receive], {
				stdio: ['ignore', 'pipe', 'inherit'],
			});
			const lines = on(createInterface(server.stdout!), 'line');
			const line = async (): Promise<string> => (await lines.next()).value[0];
			t.is(await line(), 'listening');
			const started = performance.now();
			const sent = await sender.exec(process.execPath, ['-e', send, address, String(size)]);
			t.is(await line(), sent);
			const seconds = (performance.now() - started) / 1000;
			t.log(`${address}: ${((size * 8) / seconds / 1e9).toFixed(2)} Gbit/s`);
		}
	});
}

test.serial('a guest sees the MTU it was given, and can be given another', async t => {
	await bridge.ip('tuntap add dev sized mode tap vnet_hdr', 'link set sized up');
	t.teardown(() => bridge.ip('link delete sized'));
	const guest = await StackGuest.start({
		name: 'sized',
		slave: { namespace: bridge, ifname: 'sized' },
		mtu: 1400,
	});
	t.teardown(() => guest.stop());
	t.regex(await guest.exec('ip', ['link', 'show', 'eth0']), /mtu 1400/);
	await guest.setMtu(1300);
	t.regex(await guest.exec('ip', ['link', 'show', 'eth0']), /mtu 1300/);
});

test.serial('a guest ends when its TAP is deleted', async t => {
	await bridge.ip('tuntap add dev doomed mode tap vnet_hdr', 'link set doomed up');
	const guest = await StackGuest.start({ name: 'doomed', slave: { namespace: bridge, ifname: 'doomed' } });
	await bridge.ip('link delete doomed');
	t.is(await guest.exited, 0);
	await guest.stop();
});

test.serial('a slave that is not there, and one that is in use, are refused with the reason', async t => {
	const slave = { namespace: bridge, ifname: 'single' };
	await bridge.ip('tuntap add dev single mode tap vnet_hdr');
	t.teardown(() => bridge.ip('link delete single'));
	const guest = await StackGuest.start({ name: 'first', slave });
	t.teardown(() => guest.stop());
	const busy = await t.throwsAsync(StackGuest.start({ name: 'second', slave }));
	t.regex(busy!.message, /start guest second: .*single: Device or resource busy/);
});
