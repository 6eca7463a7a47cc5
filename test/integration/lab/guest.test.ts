import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import test from 'ava';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { run } from '../../../src/lab/command.js';
import { Guest } from '../../../src/lab/guest.js';
import { guestImage } from '../../../src/lab/guest-image.js';
import { packInitramfs } from '../../../src/lab/initramfs.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';

test.serial('the image is an unpacked kernel and an initramfs that cpio reads', async t => {
	const image = await guestImage();
	t.is((await readFile(image.vmlinux)).toString('latin1', 1, 4), 'ELF');
	t.deepEqual(await guestImage(), image, 'it is prepared once');
	const { out } = await run('sh', ['-c', 'busybox cpio -t < "$1"', 'sh', image.initramfs]);
	t.true(out.split('\n').includes('init'));
	t.true(out.includes('virtio_net.ko'));
});

test('a packed initramfs gives back its files byte for byte', async t => {
	const [folder, remove] = makeFolder('cpio');
	t.teardown(remove);
	const files = [0, 1, 2, 3, 4, 5, 1000].map(length => ({
		path: `f${'x'.repeat(length % 7)}${length}`,
		mode: 0o640,
		data: Buffer.from('abcdefg'.repeat(200)).subarray(0, length),
	}));
	const archive = packInitramfs([{ path: 'd', mode: 0o755 }, ...files]);
	await run('sh', ['-c', 'cd "$1" && base64 -d | busybox cpio -i', 'sh', folder], {
		input: archive.toString('base64'),
	});
	for (const { path, data } of files) t.deepEqual(await readFile(`${folder}/${path}`), Buffer.from(data));
	t.true(existsSync(`${folder}/d`));
});

test.serial('two guests on a bridge reach each other and the host, and say what they ran', async t => {
	const bridge = await Namespace.create('guest-bridge');
	t.teardown(() => bridge.delete());
	await bridge.ip(
		'link add br0 type bridge forward_delay 0 mcast_snooping 0',
		'address add 192.0.2.1/24 dev br0',
		'address add 2001:db8::1/64 dev br0',
		'link set br0 up',
	);
	const boot = async (number: number): Promise<Guest> => {
		await bridge.ip(`tuntap add dev tap${number} mode tap vnet_hdr`, `link set tap${number} master br0 up`);
		const netdev = `tap,id=n0,ifname=tap${number},script=no,downscript=no`;
		return Guest.boot({
			name: `vm${number}`,
			prefix: bridge.prefix,
			args: ['-netdev', netdev, '-device', `virtio-net-pci,netdev=n0,mac=02:1a:00:00:02:0${number}`],
			addresses: { eth0: [`192.0.2.1${number}/24`, `2001:db8::1${number}/64`] },
			via: ['192.0.2.1'],
			sysctl: { 'net/ipv4/ip_default_ttl': 63 },
		});
	};
	const started = performance.now();
	const [first, second] = await Promise.all([boot(1), boot(2)]);
	t.log(`two guests up after ${Math.round(performance.now() - started)} ms`);
	t.teardown(() => Promise.all([first.stop(), second.stop()]));

	t.is(await first.exec('cat /proc/sys/net/ipv4/ip_default_ttl'), '63');
	t.is(await first.exec('cat /proc/sys/net/ipv6/conf/eth0/autoconf'), '0', 'as a static address has it');
	t.is(await first.exec('cat /proc/sys/net/ipv6/conf/eth0/accept_dad'), '1', 'an unmodified guest');
	t.is(await first.exec('cat /proc/sys/net/ipv6/conf/eth0/accept_ra'), '1', 'an unmodified guest');
	t.regex(await first.exec('ip route'), /default via 192\.0\.2\.1/);
	await Promise.all([first.addressesReady(), second.addressesReady()]);
	for (const address of ['192.0.2.12', '2001:db8::12', '192.0.2.1', '2001:db8::1']) {
		await t.notThrowsAsync(first.exec(`ping -c1 -W2 ${address}`));
	}

	t.deepEqual(await first.run('echo out; echo err >&2; exit 3'), { rc: 3, out: 'out\nerr' });
	t.is(await first.exec('printf "no newline"'), 'no newline');
	t.is(await first.exec('for i in 1 2; do\n\techo $i\ndone'), '1\n2');
	const long = await first.exec('seq 200000');
	t.is(long.length, 1_288_894, 'nothing is lost of much output');
	const late = await t.throwsAsync(first.run('sleep 30; echo late', { timeout: 1000 }), {
		code: 'timed-out',
	});
	t.regex(late!.message, /sleep 30/);
	t.is(await first.exec('echo still here'), 'still here');
	await t.throwsAsync(first.exec('ls /nowhere'), { message: /guest vm1: exit status 1: .*No such file/ });
	await t.notThrowsAsync(first.exec('modprobe 8021q && ip link add link eth0 name eth0.5 type vlan id 5'));

	const { pid, folder } = { pid: second.qemuPid, folder: second.folder };
	t.true(existsSync(second.qmp));
	await second.kill();
	t.false(existsSync(`/proc/${pid}`));
	t.false(existsSync(folder));
	await t.throwsAsync(second.run('true'), { message: /it has ended/ });
	t.is(await first.stop(), 0);
});

test.serial('a guest that cannot start says why, and leaves nothing', async t => {
	const error = await t.throwsAsync(Guest.boot({ name: 'broken', args: ['-netdev', 'nonsense'] }), {
		code: 'failed',
	});
	t.regex(error!.message, /boot guest broken: it ended with status 1: .*nonsense/s);
	const missing = await t.throwsAsync(Guest.boot({ name: 'missing', prefix: ['no-such-program'] }));
	t.regex(missing!.message, /no-such-program/);
});

test.serial('a guest that does not get up in time is given up', async t => {
	await t.throwsAsync(Guest.boot({ name: 'slow', bootTimeout: 200 }), {
		code: 'timed-out',
		message: /boot guest slow: not up after 200 ms/,
	});
});

test.serial('kill -9 of the process that booted a guest ends the guest', async t => {
	const module = new URL('../../../src/lab/guest.js', import.meta.url).href;
	const script = `
		const { Guest } = await import(${JSON.stringify(module)});
		const guest = await Guest.boot({ name: 'orphan' });
		console.log(guest.qemuPid);
	`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const failed = once(child, 'exit').then(() => []);
	const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), failed]);
	t.true(existsSync(`/proc/${line}`));
	child.kill('SIGKILL');
	await until('the end of QEMU', 8000, () => !existsSync(`/proc/${line}`));
	t.pass();
});
