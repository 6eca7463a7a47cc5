/** Two real guests, the host and the LAN: who reaches whom, what the switch sees, and what arrives of 100 MB. */
import test, { type ExecutionContext } from 'ava';
import { lanMembers } from '../../src/lab/lan.js';
import { type Peer, type Reach, reachAll } from '../../src/lab/reach.js';
import { BigFile, download, filePort, vm1, vm2, World } from './world.js';

let world: World;
let file: BigFile;

test.before(async () => {
	world = await World.create();
	file = new BigFile(world.lan.folder);
	await world.lan.serve(world.lan.laptop, world.lan.folder, filePort);
});

test.after.always(() => world?.close());

/** What virtio-net of QEMU 7 offers of offloads, switched off. */
const offloadsOff = [
	'csum',
	'gso',
	'host_tso4',
	'host_tso6',
	'host_ecn',
	'host_ufo',
	'guest_csum',
	'guest_tso4',
	'guest_tso6',
	'guest_ecn',
	'guest_ufo',
	'mrg_rxbuf',
].flatMap(name => ['-global', `virtio-net-device.${name}=off`]);

for (const offloads of ['on', 'off'] as const) {
	test.serial(
		`two guests with offloads ${offloads}: pings in all directions, one MAC, 100 MB each way`,
		async t => {
			// A hundred megabytes are kept in the guest's memory.
			const args = ['-m', '320', ...(offloads === 'on' ? [] : offloadsOff)];
			const started = performance.now();
			const boots = await Promise.allSettled([vm1, vm2].map(vm => world.run(vm, { args })));
			const [one, two] = boots.map(boot => {
				if (boot.status === 'rejected') throw boot.reason;
				return boot.value;
			});
			t.log(`both guests up after ${ms(started)}`);
			// VIRTIO_NET_F_CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4: bits 0, 1, 7 and 11 as the driver has negotiated them.
			const features = (await one!.exec('cat /sys/class/net/eth0/device/features')).trim();
			t.deepEqual(
				[0, 1, 7, 11].map(bit => features[bit]),
				Array(4).fill(offloads === 'on' ? '1' : '0'),
				features,
			);

			const reach = await reachAll(world.peers([vm1, one!], [vm2, two!]));
			t.is(reach.length, 5 * 4 * 2);
			t.deepEqual(
				reach.filter(({ ok }) => !ok),
				[],
			);
			t.log(`round trips: ${roundTrips(reach)}`);

			const peers = world.peers([vm1, one!], [vm2, two!]);
			const [first, second, laptop] = ['vm1', 'vm2', 'laptop'].map(
				name => peers.find(peer => peer.name === name)!,
			);
			const fetch = async (to: Peer, from: Peer, family: 4 | 6, keep?: string): Promise<void> => {
				const { md5, seconds } = await download(to, from, family, keep);
				t.is(md5, file.md5, `${from.name} → ${to.name} IPv${family}`);
				t.log(
					`${from.name} → ${to.name} IPv${family}: ${seconds.toFixed(1)} s, ${((BigFile.megabytes * 8.389) / seconds).toFixed(0)} Mbit/s`,
				);
			};
			await fetch(first!, laptop!, 4, '/tmp/big');
			await fetch(first!, laptop!, 6);
			await one!.exec(`httpd -p ${filePort} -h /tmp`);
			for (const to of [laptop!, second!])
				for (const family of [4, 6] as const) await fetch(to, first!, family);
			await onlyTheMaster(t);

			t.deepEqual(await Promise.all([one!.stop(), two!.stop()]), [0, 0]);
			await world.product.assertNothingLeft();
		},
	);
}

async function onlyTheMaster(t: ExecutionContext): Promise<void> {
	const macs = await world.lan.macsSeen();
	t.deepEqual(
		macs.map(({ mac, dropped }) => ({ mac, dropped })),
		[{ mac: lanMembers.host.mac, dropped: 0 }],
	);
	t.log(`the switch saw ${macs[0]!.packets} frames, all from the master's MAC`);
}

function roundTrips(reach: readonly Reach[]): string {
	const between = (from: RegExp, to: RegExp): string => {
		const times = reach.filter(one => from.test(one.from) && to.test(one.to)).map(({ rttMs }) => rttMs!);
		return `${Math.min(...times)} to ${Math.max(...times)} ms`;
	};
	return `guest ↔ guest ${between(/vm/, /vm/)}, guest → laptop ${between(/vm/, /laptop/)}, guest → host ${between(/vm/, /host/)}`;
}

function ms(started: number): string {
	return `${Math.round(performance.now() - started)} ms`;
}
