/** What a hook is told of routes, and what one is told that comes later. */
import test from 'ava';
import { RoutePicture } from '../../../../src/control/port/route-picture.js';
import type { OffloadedPort } from '../../../../src/offload/offload.js';

function hook(): { port: OffloadedPort; told: unknown[] } {
	const told: unknown[] = [];
	const port = {
		setRoutes: (add: unknown, remove: unknown) => void told.push([add, remove]),
		setNeighbour: (address: string, mac: string | undefined) => void told.push([address, mac]),
	};
	return { port: port as unknown as OffloadedPort, told };
}

const lan = { prefix: '192.0.2.0/24', hop: { to: 'wire' } } as const;
const out = { prefix: '0.0.0.0/0', hop: { to: 'wire', gateway: '192.0.2.1' } } as const;

test('a change is passed on, and who comes later hears what is true by then', async t => {
	const picture = new RoutePicture();
	const { port, told } = hook();
	for (const change of [
		{ kind: 'routes', add: [lan, out], remove: [] },
		{ kind: 'neighbour', address: '192.0.2.1', slot: 1, mac: '02:00:00:00:00:01' },
		{ kind: 'neighbour', address: '192.0.2.9', slot: 2, mac: '02:00:00:00:00:09' },
		{ kind: 'routes', add: [], remove: [lan.prefix] },
		{ kind: 'neighbour', address: '192.0.2.9', slot: 2, failed: true },
	] as const) {
		await picture.follow({ ...change } as Parameters<RoutePicture['follow']>[0])?.(port);
	}
	t.deepEqual(told, [
		[[lan, out], []],
		['192.0.2.1', '02:00:00:00:00:01'],
		['192.0.2.9', '02:00:00:00:00:09'],
		[[], [lan.prefix]],
		['192.0.2.9', undefined],
	]);

	const later = hook();
	await picture.tell(later.port);
	t.deepEqual(later.told, [
		[[out], []],
		['192.0.2.1', '02:00:00:00:00:01'],
	]);
});

test('other changes are nothing to it, and a hook need not want to know', async t => {
	const picture = new RoutePicture();
	t.is(picture.follow({ kind: 'mtu', mtu: 1500 }), undefined);
	await picture.follow({ kind: 'routes', add: [lan], remove: [] })?.({} as OffloadedPort);
	await t.notThrowsAsync(picture.tell({} as OffloadedPort));
});
