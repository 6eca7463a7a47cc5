/** Multicast with real stacks: who hears what, on guests, the host's own programs, and the LAN; and who is not woken. */
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { Lan } from '../../../src/lab/lan.js';
import type { Namespace } from '../../../src/lab/namespace.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { GroupSocket } from '../../helpers/group-socket.js';
import { Product } from '../../helpers/product.js';

let lan: Lan;
let product: Product;
const guests: StackGuest[] = [];
let one: StackGuest;
let two: StackGuest;

test.before(async () => {
	lan = await Lan.create({ prefix: 'groups-' });
	await lan.host.sysctl({ 'net.ipv6.conf.eth0.accept_ra': 0 });
	product = await Product.at(lan.host, 'groups');
	await product.up('eth0');
	one = await attach('one', 21);
	two = await attach('two', 22);
});

test.after.always(async () => {
	await Promise.all(guests.map(guest => guest.stop()));
	await product?.close();
	await lan?.close();
});

async function attach(name: string, number: number): Promise<StackGuest> {
	const addresses = [`192.0.2.${number}`, `2001:db8:1::${number}`];
	const slave = await product.attach(name, 'eth0', addresses);
	const guest = await StackGuest.start({
		name: `groups-${name}`,
		slave: { namespace: lan.host, ifname: slave.ifname },
		mac: slave.mac,
		addresses: [`${addresses[0]}/24`, `${addresses[1]}/64`],
		dad: false,
	});
	guests.push(guest);
	return guest;
}

function show(name: string): Promise<Slave> {
	return product.json<Slave>('show', name);
}

/** Waits until a slave is known to have joined a group. */
function joined(name: string, group: string, family: 'inet' | 'inet6' = 'inet'): Promise<unknown> {
	return until(`${name} to have joined ${group}`, 20_000, async () => {
		const { groups } = await show(name);
		return groups[family] !== 'all' && groups[family].includes(group);
	});
}

/** Waits until a slave's groups of the family are as the function wants them. */
function groupsOf(
	name: string,
	family: 'inet' | 'inet6',
	wanted: (groups: 'all' | string[]) => boolean,
): Promise<unknown> {
	return until(`${name}'s groups`, 20_000, async () => wanted((await show(name)).groups[family]));
}

/** Whether the host's card is made to receive all multicast, and the group MACs that it is asked for. */
async function listening(): Promise<{ all: boolean; macs: string[] }> {
	const [link] = JSON.parse(await lan.host.exec('ip', ['-j', '-d', 'link', 'show', 'dev', 'eth0'])) as {
		allmulti: number;
		promiscuity: number;
	}[];
	const [device] = JSON.parse(await lan.host.exec('ip', ['-j', 'maddr', 'show', 'dev', 'eth0'])) as {
		maddr: { link?: string }[];
	}[];
	const macs = device!.maddr.flatMap(({ link: mac }) => (mac === undefined ? [] : [mac]));
	if (link!.promiscuity !== 0) throw new Error('the master is promiscuous');
	return { all: link!.allmulti > 0, macs };
}

test.serial(
	'what a guest joins is exactly what it gets, and what the card of the master listens to',
	async t => {
		const [first, second] = [
			await GroupSocket.open(one.namespace, '239.1.2.3', 4000),
			await GroupSocket.open(two.namespace, '239.1.2.4', 4000),
		];
		t.teardown(() => Promise.all([first.close(), second.close()]));
		await joined('one', '239.1.2.3');
		await joined('two', '239.1.2.4');
		for (const name of ['one', 'two']) await groupsOf(name, 'inet6', groups => groups !== 'all');
		const { groups } = await show('one');
		t.deepEqual(groups.inet, ['239.1.2.3']);
		t.true((groups.inet6 as string[]).includes('ff02::1:ff00:21'), String(groups.inet6));
		t.regex(
			(await product.ipvtap(['show', 'one'])).stdout,
			/groups: +IPv4 239\.1\.2\.3; IPv6 .*ff02::1:ff00:21/,
		);
		const card = await until('the card to listen to no more', 20_000, async () => {
			const now = await listening();
			return now.all ? undefined : now;
		});
		for (const mac of ['01:00:5e:01:02:03', '01:00:5e:01:02:04', '33:33:ff:00:00:21', '33:33:ff:00:00:22'])
			t.true(card.macs.includes(mac), mac);

		const laptop = await GroupSocket.open(lan.laptop, '239.1.2.3', 4000, { join: false });
		const stranger = await GroupSocket.open(lan.laptop, '239.9.9.9', 4000, { join: false });
		const guest = await GroupSocket.open(two.namespace, '239.9.9.9', 4000, { join: false });
		const host = await GroupSocket.open(lan.host, '239.9.9.9', 4000, { join: false });
		t.teardown(() => Promise.all([laptop, stranger, guest, host].map(socket => socket.close())));
		const before = [await product.stats('one'), await product.stats('two')];
		const storm = 500;
		for (let count = 0; count < storm; count++) {
			for (const socket of [stranger, guest, host]) socket.say(`nobody wants ${count}`);
		}
		// Behind the storm of each of them, something that is wanted.
		await until('the storm to be over', 20_000, async () => {
			const { tx, queued } = await product.stats('two');
			return tx.packets - before[1]!.tx.packets >= storm && queued === 0;
		});
		laptop.say('wanted');
		await first.hears('wanted');
		const after = [await product.stats('one'), await product.stats('two')];
		const got = after.map(({ rx }, index) => rx.packets - before[index]!.rx.packets);
		t.log(`${3 * storm} frames to a group of nobody's; the slaves got ${got.join(' and ')} frames meanwhile`);
		t.true(got[0]! < 20 && got[1]! < 20, got.join());

		first.leave();
		await groupsOf('one', 'inet', list => list !== 'all' && !list.includes('239.1.2.3'));
		await until(
			'the card to have left',
			20_000,
			async () => !(await listening()).macs.includes('01:00:5e:01:02:03'),
		);
	},
);

test.serial('a slave that has said nothing yet gets everything, and so does the card', async t => {
	await product.attach('silent', 'eth0', ['192.0.2.29']);
	t.deepEqual((await show('silent')).groups, { inet: 'all', inet6: 'all' });
	t.true((await listening()).all);
	await product.detach('silent');
	await until('the card to listen to no more', 20_000, async () => !(await listening()).all);
	t.pass();
});

test.serial('after the daemon was killed, its successor asks, and knows again', async t => {
	const socket = await GroupSocket.open(one.namespace, '239.1.2.5', 4000);
	const other = await GroupSocket.open(two.namespace, '239.1.2.6', 4000);
	const laptop = await GroupSocket.open(lan.laptop, '239.1.2.5', 4000, { join: false });
	t.teardown(() => Promise.all([socket, other, laptop].map(it => it.close())));
	await joined('one', '239.1.2.5');
	await product.signalDaemon('SIGKILL');
	await product.list();
	t.true((await listening()).all, 'until they have answered, they may want anything');
	laptop.say('in between');
	await socket.hears('in between');
	await joined('one', '239.1.2.5');
	await joined('two', '239.1.2.6');
	await until('the card to listen to no more', 20_000, async () => !(await listening()).all);
	laptop.say('and after');
	t.is((await socket.hears('and after')).length, 1);
	t.false(((await show('one')).groups.inet as string[]).includes('239.1.2.6'));
});

const services = [
	{ what: 'mDNS', group: '224.0.0.251', port: 5353 },
	{ what: 'SSDP', group: '239.255.255.250', port: 1900 },
	{ what: 'mDNS over IPv6', group: 'ff02::fb', port: 5353 },
	{ what: 'SSDP over IPv6', group: 'ff05::c', port: 1900 },
];

for (const { what, group, port } of services) {
	test.serial(`${what}: guests, the host's programs and the LAN hear each other, once`, async t => {
		const places: [string, Namespace][] = [
			['one', one.namespace],
			['two', two.namespace],
			['host', lan.host],
			['laptop', lan.laptop],
		];
		const sockets = await Promise.all(
			places.map(
				async ([name, namespace]) => [name, await GroupSocket.open(namespace, group, port)] as const,
			),
		);
		t.teardown(() => Promise.all(sockets.map(([, socket]) => socket.close())));
		// A stack takes up to a second to report a group.
		const family = group.includes(':') ? 'inet6' : 'inet';
		for (const name of ['one', 'two']) {
			await groupsOf(name, family, groups => groups === 'all' || groups.includes(group));
		}
		for (const [speaker, socket] of sockets) {
			socket.say(`${what} from ${speaker}`);
			for (const [listener, other] of sockets) {
				if (listener !== speaker)
					t.is((await other.hears(`${what} from ${speaker}`)).length, 1, `${speaker} → ${listener}`);
			}
		}
		// Whatever comes twice comes at once: one more round, and nothing of the first has come again.
		sockets[3]![1].say('last');
		for (const [, other] of sockets.slice(0, 3)) await other.hears('last');
		for (const [speaker] of sockets) {
			for (const [listener, other] of sockets) {
				t.is(
					other.times(`${what} from ${speaker}`),
					speaker === listener ? 0 : 1,
					`${speaker} → ${listener}`,
				);
			}
		}
	});
}
