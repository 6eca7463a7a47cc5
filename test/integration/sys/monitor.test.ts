import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { closeFd } from '../../../src/sys/fd.js';
import { addAddress, deleteAddress } from '../../../src/sys/netlink/address.js';
import {
	createVeth,
	deleteLink,
	getLink,
	IFF_UP,
	requireLink,
	setLink,
} from '../../../src/sys/netlink/link.js';
import { LinkMonitor } from '../../../src/sys/netlink/monitor.js';
import { addRoute, deleteRoute } from '../../../src/sys/netlink/route.js';
import {
	deleteClsact,
	deleteFilter,
	ensureClsact,
	replaceClassicFilter,
} from '../../../src/sys/netlink/tc.js';
import { openTap } from '../../../src/sys/tap.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';

test.before(() => {
	enterFreshNamespace();
	setLink('lo', { up: true });
});

/** Everything that a monitor told, as short words; `expect` waits until one has come. */
function listen(monitor: LinkMonitor) {
	const told: string[] = [];
	let wake = () => {};
	const tell = (word: string) => {
		told.push(word);
		wake();
	};
	monitor.on('link', ({ kind, link }) =>
		tell(`link ${kind} ${link.name} ${(link.flags & IFF_UP) !== 0 ? 'up' : 'down'}`),
	);
	monitor.on('address', ({ kind, address }) => tell(`address ${kind} ${address.address}/${address.prefix}`));
	monitor.on('route', ({ kind, route }) => tell(`route ${kind} ${route.dst} ${route.table}`));
	monitor.on('neighbour', ({ kind, neighbour }) =>
		tell(`neighbour ${kind} ${neighbour.address} ${neighbour.mac}`),
	);
	monitor.on('unfiltered', ({ ifindex }) => tell(`unfiltered ${ifindex}`));
	monitor.on('overrun', () => tell('overrun'));
	return {
		told,
		async expect(word: string): Promise<void> {
			while (!told.includes(word)) await new Promise<void>(resolve => (wake = resolve));
		},
	};
}

test.serial('devices, addresses and routes are told as they come and go', async t => {
	const monitor = new LinkMonitor();
	const { told, expect } = listen(monitor);
	createVeth({ name: 'v0', peer: 'v1' });
	await expect('link new v0 down');
	setLink('v0', { up: true, addrGenModeNone: true });
	setLink('v1', { up: true, addrGenModeNone: true });
	await expect('link new v0 up');
	const { ifindex } = requireLink('v0');
	addAddress({ ifindex, address: '10.0.0.1', prefix: 24 });
	addAddress({ ifindex, address: 'fd00::1', prefix: 64, nodad: true });
	await expect('address new 10.0.0.1/24');
	await expect('address new fd00::1/64');
	await expect('route new 10.0.0.0/24 254');
	addRoute({ dst: '10.9.9.9', ifindex });
	await expect('route new 10.9.9.9/32 254');
	deleteRoute({ dst: '10.9.9.9', ifindex });
	await expect('route del 10.9.9.9/32 254');
	deleteAddress({ ifindex, address: '10.0.0.1', prefix: 24 });
	await expect('address del 10.0.0.1/24');
	deleteLink('v0');
	await expect('link del v0 down');
	await expect('link del v1 down');
	t.false(told.includes('overrun'));
	await monitor.close();
});

test.serial('filters are told when they go, alone or with their qdisc', async t => {
	const monitor = new LinkMonitor();
	const { told, expect } = listen(monitor);
	for (const device of ['f0', 'f1']) openTap(device);
	const [one, two] = [requireLink('f0').ifindex, requireLink('f1').ifindex];
	const program = Uint8Array.from([6, 0, 0, 0, 255, 255, 255, 255]);
	for (const ifindex of [one, two]) {
		ensureClsact(ifindex);
		for (const priority of [7, 8]) {
			replaceClassicFilter(ifindex, 'ingress', { priority, handle: 1, program });
		}
	}
	setLink('f0', { up: true });
	await expect('link new f0 up');
	t.false(told.some(word => word.startsWith('unfiltered')));
	deleteFilter(one, 'ingress', { priority: 7, handle: 1 });
	await expect(`unfiltered ${one}`);
	deleteClsact(two);
	await expect(`unfiltered ${two}`);
	t.pass();
	await monitor.close();
});

test.serial('leaving a bridge is no deletion', async t => {
	createVeth({ name: 'v0', peer: 'v1' });
	run('ip', 'link', 'add', 'br0', 'type', 'bridge');
	const monitor = new LinkMonitor();
	const { told, expect } = listen(monitor);
	run('ip', 'link', 'set', 'v0', 'master', 'br0');
	run('ip', 'link', 'set', 'v0', 'nomaster');
	deleteLink('br0');
	await expect('link del br0 down');
	t.false(told.some(word => word.startsWith('link del v0')));
	deleteLink('v0');
	await expect('link del v0 down');
	await monitor.close();
});

test.serial('neighbours only on demand', async t => {
	createVeth({ name: 'v0', peer: 'v1' });
	setLink('v0', { up: true });
	const plain = new LinkMonitor();
	const curious = new LinkMonitor({ neighbours: true });
	const { told } = listen(plain);
	const { expect } = listen(curious);
	run('ip', 'neighbour', 'add', '10.0.0.5', 'lladdr', '02:00:00:00:00:05', 'dev', 'v0');
	await expect('neighbour new 10.0.0.5 02:00:00:00:00:05');
	deleteLink('v0');
	await expect('link del v0 down');
	t.false(told.some(word => word.startsWith('neighbour')));
	await Promise.all([plain.close(), curious.close()]);
});

test.serial('the end of a TAP’s holder is told within milliseconds', async t => {
	const monitor = new LinkMonitor();
	const delays: number[] = [];
	for (let i = 0; i < 30; i++) {
		const fd = openTap('t0');
		const holder = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
		await once(holder, 'spawn');
		closeFd(fd);
		const gone = new Promise<number>(resolve => {
			monitor.on('link', ({ kind, link }) => {
				if (kind === 'del' && link.name === 't0') resolve(performance.now());
			});
		});
		const start = performance.now();
		holder.kill('SIGKILL');
		delays.push((await gone) - start);
		monitor.removeAllListeners('link');
	}
	await monitor.close();
	delays.sort((a, b) => a - b);
	const [median, worst] = [delays[15]!, delays[29]!];
	t.log(`SIGKILL to event: median ${median.toFixed(2)} ms, worst ${worst.toFixed(2)} ms`);
	t.true(median < 10);
});

test.serial('when messages were lost it says so, drops what is stale, and goes on', async t => {
	const monitor = new LinkMonitor({ receiveBuffer: 4096 });
	const { told, expect } = listen(monitor);
	for (let round = 0; round < 3; round++) {
		createVeth({ name: 'stale', peer: 'stale2' });
		for (let i = 0; i < 100; i++) setLink('lo', { alias: `round ${i}` });
		deleteLink('stale');
		await expect('overrun');
		createVeth({ name: 'after', peer: 'after2' });
		await expect('link new after down');
		deleteLink('after');
		await expect('link del after down');
		t.is(told[0], 'overrun');
		t.false(told.some(word => word.includes('stale') || word.includes(' lo ')));
		told.length = 0;
	}
	await monitor.close();
});

test.serial('after close nothing comes, and it may be closed again', async t => {
	const monitor = new LinkMonitor();
	monitor.on('link', () => t.fail());
	setLink('lo', { alias: 'c' });
	await monitor.close();
	await monitor.close();
	await new Promise(resolve => setTimeout(resolve, 20));
	t.is(getLink('lo')?.alias, 'c');
});

const url = (path: string) =>
	JSON.stringify(new URL(`../../../src/sys/netlink/${path}.js`, import.meta.url).href);
const imports = `
	import { LinkMonitor } from ${url('monitor')};
	import { setLink } from ${url('link')};
	import { Worker } from 'node:worker_threads';`;
const thread = (body: string) =>
	`new Worker(new URL('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(imports + body))}))`;
const runScript = (body: string) =>
	spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', imports + body], {
		encoding: 'utf8',
		timeout: 60_000,
	});

const forgotten = `
	new LinkMonitor().on('link', function () { console.log('told'); this.close(); });
	gc();
	setTimeout(() => { gc(); setLink('lo', { alias: 'x' }); }, 50);`;

test.serial('it keeps the process alive until closed, even if nobody holds it', t => {
	const child = runScript(forgotten);
	t.is(child.stdout, 'told\n', child.stderr);
	t.is(child.status, 0);
});

test.serial('it works in a thread, and ends with it', t => {
	const child = runScript(thread(forgotten));
	t.is(child.stdout, 'told\n', child.stderr);
	t.is(child.status, 0);
	const terminated = runScript(`
		const worker = ${thread(`
			import { parentPort } from 'node:worker_threads';
			new LinkMonitor();
			parentPort.on('message', () => {});
			parentPort.postMessage('open');`)};
		worker.once('message', message => {
			console.log(message);
			worker.terminate().then(code => console.log('ended', code));
		});`);
	t.is(terminated.stdout, 'open\nended 1\n', terminated.stderr);
	t.is(terminated.status, 0);
});

test.serial('an exception in a listener is an ordinary uncaught one', t => {
	const child = runScript(`
		const monitor = new LinkMonitor();
		monitor.on('link', () => { throw new RangeError('from a listener'); });
		process.on('uncaughtException', error => { console.log(error.message); monitor.close(); });
		setLink('lo', { alias: 'y' });`);
	t.is(child.stdout, 'from a listener\n', child.stderr);
	t.is(child.status, 0);
});
