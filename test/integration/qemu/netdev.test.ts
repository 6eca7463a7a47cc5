/** The printed arguments, as a shell hands them to a real QEMU. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { type Nic, slaveArguments } from '../../../qemu/netdev.js';
import { answering, idleQemu, networkOf, Running, Site, tapsOf } from './support.js';

const table: [what: string, nic: Partial<Nic>, network: RegExp][] = [
	[
		'one queue',
		{},
		/nic-a: .*52:54:00:00:00:07\r\n.*net-a: index=0,type=tap,ifname=ipvt-a,script=no,downscript=no/,
	],
	['three queues', { queues: 3 }, /net-a: index=2,type=tap/],
	['another MTU', { mtu: 9000 }, /type=tap,ifname=ipvt-a/],
	['a name in need of quotes', { name: "1,'$x" }, /nic_1_2c_27_24x/],
	['an interface in need of quotes', { ifname: `i,"'$;&=` }, /type=tap,ifname=i,"'\$;&=/],
];

for (const [what, nic, network] of table) {
	test.serial(`$( … ) with ${what}`, async t => {
		await Site.with('named', async site => {
			const slave: Nic = {
				name: 'a',
				ifname: 'ipvt-a',
				mac: '52:54:00:00:00:07',
				mtu: 1500,
				queues: 1,
				...nic,
			};
			const flags = `mode tap vnet_hdr${slave.queues > 1 ? ' multi_queue' : ''}`;
			await site.namespace.exec('ip', ['tuntap', 'add', 'dev', slave.ifname, ...flags.split(' ')]);
			writeFileSync(`${site.folder}/args`, slaveArguments(slave, 'qemu', { vhost: false }).join(' '));
			const qmp = `${site.folder}/q.qmp`;
			const words = [...idleQemu(), '-qmp', `unix:${qmp},server=on,wait=off`].join(' ');
			const qemu = new Running(site.spawn(['sh', '-c', `exec ${words} $(cat ${site.folder}/args)`]));
			await Promise.race([
				answering(qmp),
				qemu.exited.then(status => {
					throw new Error(`QEMU ended with ${status}: ${qemu.err}`);
				}),
			]);
			t.regex(await networkOf(qmp), network);
			t.is(tapsOf(qemu.child.pid!), slave.queues);
			qemu.child.kill('SIGTERM');
			t.is(await qemu.exited, 0);
			t.true(await site.hasDevice(slave.ifname));
		});
	});
}
