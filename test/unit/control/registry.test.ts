import test from 'ava';
import { Registry, type SlaveRecord, type SlaveRequest } from '../../../src/control/registry.js';

function withMaster(...names: string[]): Registry {
	const registry = new Registry();
	for (const name of names) registry.addMaster(registry.planMaster(name, {}, false));
	return registry;
}

function add(registry: Registry, request: Partial<SlaveRequest> & { name: string }): SlaveRecord {
	const record = registry.planSlave({ master: 'eth0', owner: 0, ...request });
	registry.addSlave(record);
	return record;
}

test('a master has defaults, and what was said', t => {
	const registry = new Registry();
	t.deepEqual(registry.planMaster('eth0', { flag: 'private', host: false }, true), {
		name: 'eth0',
		mode: 'l2',
		flag: 'private',
		offload: 'auto',
		host: false,
		backlogFrames: 1000,
		ageing: 300,
		implicit: true,
		hostInterface: null,
	});
	t.deepEqual(registry.masters(), []);
});

test('a slave has a TAP, a MAC, one queue, and learns', t => {
	const record = add(withMaster('eth0'), { name: 'web1', owner: 1000 });
	t.like(record, {
		name: 'web1',
		master: 'eth0',
		ifname: 'ipvt-web1',
		addresses: [],
		learn: true,
		queues: 1,
		owner: 1000,
		ephemeral: false,
	});
	t.regex(record.mac, /^52:54:00:/);
});

test('a slave with addresses does not learn, unless told to', t => {
	const registry = withMaster('eth0');
	t.false(add(registry, { name: 'a', addresses: ['192.0.2.1'] }).learn);
	t.true(add(registry, { name: 'b', addresses: ['192.0.2.2'], learn: true }).learn);
	t.false(add(registry, { name: 'c', learn: false }).learn);
});

test('addresses are kept canonical and once', t => {
	const record = add(withMaster('eth0'), {
		name: 'a',
		addresses: ['2001:DB8:0::1', '2001:db8::1/128', '192.0.2.1/32'],
	});
	t.deepEqual(record.addresses, ['2001:db8::1', '192.0.2.1']);
});

test('planning changes nothing', t => {
	const registry = withMaster('eth0');
	registry.planSlave({ name: 'a', master: 'eth0', owner: 0 });
	t.deepEqual(registry.slaves(), []);
});

test('a name is given once, to a slave or to a master', t => {
	const registry = withMaster('eth0');
	add(registry, { name: 'web1' });
	t.throws(() => add(registry, { name: 'web1' }), {
		code: 'conflict',
		message: "the name 'web1' is in use: it is a slave of eth0",
	});
	add(registry, { name: 'web2', domain: { name: 'web', uuid: 'u' } });
	t.throws(() => add(registry, { name: 'web2' }), {
		message: "the name 'web2' is in use: it is a slave of eth0, of the domain 'web'",
	});
	t.throws(() => add(registry, { name: 'eth0' }), {
		code: 'conflict',
		message: "the name 'eth0' is in use: it is a master",
	});
	t.throws(() => registry.planMaster('web1', {}, false), {
		code: 'conflict',
		message: /a slave has that name/,
	});
});

test('an address is given once', t => {
	const registry = withMaster('eth0', 'eth1');
	add(registry, { name: 'a', addresses: ['192.0.2.1', '2001:db8::1', 'fe80::1'] });
	for (const address of ['192.0.2.1', '2001:db8::1', 'fe80::1']) {
		t.throws(() => add(registry, { name: 'b', addresses: [address] }), {
			code: 'conflict',
			message: `the address ${address} is in use: slave 'a' has it`,
		});
	}
	t.throws(() => add(registry, { name: 'b', master: 'eth1', addresses: ['192.0.2.1'] }), {
		code: 'conflict',
	});
	t.notThrows(
		() => add(registry, { name: 'b', master: 'eth1', addresses: ['fe80::1'] }),
		'link-local: unique on a link',
	);
});

test('a MAC is given once, and a derived one gets out of the way', t => {
	const registry = withMaster('eth0');
	const derived = registry.planSlave({ name: 'b', master: 'eth0', owner: 0 }).mac;
	add(registry, { name: 'a', mac: derived.toUpperCase() });
	t.throws(() => add(registry, { name: 'c', mac: derived }), {
		code: 'conflict',
		message: `the MAC ${derived} is in use: slave 'a' has it`,
	});
	t.not(add(registry, { name: 'b' }).mac, derived);
});

test("two long names' TAPs never meet", t => {
	const registry = withMaster('eth0');
	const record = add(registry, { name: 'x'.repeat(20) });
	const other = add(registry, { name: record.ifname.slice('ipvt-'.length) });
	t.not(other.ifname, record.ifname);
});

test('addresses are added and removed', t => {
	const registry = withMaster('eth0');
	add(registry, { name: 'a', addresses: ['192.0.2.1', '192.0.2.2'] });
	const plan = registry.planAddresses('a', { add: ['192.0.2.3/32', '192.0.2.1'], remove: ['192.0.2.2'] });
	t.deepEqual(plan, { add: ['192.0.2.3'], remove: ['192.0.2.2'] });
	t.deepEqual(registry.slave('a')?.addresses, ['192.0.2.1', '192.0.2.2']);
	registry.changeAddresses('a', plan);
	t.deepEqual(registry.slave('a')?.addresses, ['192.0.2.1', '192.0.2.3']);
});

test('a change of addresses that can not be is refused', t => {
	const registry = withMaster('eth0');
	add(registry, { name: 'a', addresses: ['192.0.2.1'] });
	add(registry, { name: 'b', addresses: ['192.0.2.2'] });
	t.throws(() => registry.planAddresses('a', { add: ['192.0.2.2'], remove: [] }), { code: 'conflict' });
	t.throws(() => registry.planAddresses('a', { add: [], remove: ['192.0.2.9'] }), {
		code: 'not-found',
		message: /192\.0\.2\.9/,
	});
	t.throws(() => registry.planAddresses('a', { add: ['192.0.2.1'], remove: ['192.0.2.1'] }), {
		code: 'usage',
	});
	t.throws(() => registry.planAddresses('nobody', { add: [], remove: [] }), { code: 'not-found' });
});

test('there is a limit to addresses', t => {
	const many = Array.from({ length: 65 }, (_, index) => `192.0.2.${index + 1}`);
	t.throws(() => add(withMaster('eth0'), { name: 'a', addresses: many }), {
		code: 'usage',
		message: /65 addresses: too many/,
	});
	t.notThrows(() => add(withMaster('eth0'), { name: 'a', addresses: many.slice(1) }));
});

test('a whole new list of addresses is understood however it is written', t => {
	const registry = withMaster('eth0');
	add(registry, { name: 'a', addresses: ['2001:db8::1', '192.0.2.1', '192.0.2.2'] });
	t.deepEqual(registry.planAddresses('a', { addresses: ['2001:DB8:0::1', '192.0.2.1/32'] }), {
		add: [],
		remove: ['192.0.2.2'],
	});
});

test('masters that change places take their slaves along', t => {
	const registry = withMaster('eth0', 'eth1');
	add(registry, { name: 'a' });
	add(registry, { name: 'b', master: 'eth1' });
	registry.changeMaster('eth0', { mode: 'l3' });
	registry.renameMasters(
		new Map([
			['eth0', 'eth1'],
			['eth1', 'eth0'],
		]),
	);
	t.deepEqual(
		registry.masters().map(({ name, mode }) => [name, mode]),
		[
			['eth1', 'l3'],
			['eth0', 'l2'],
		],
	);
	t.is(registry.slave('a')?.master, 'eth1');
	t.is(registry.slave('b')?.master, 'eth0');
});

test('slaves follow a master that is renamed', t => {
	const registry = withMaster('eth0', 'eth1');
	add(registry, { name: 'a' });
	add(registry, { name: 'b', master: 'eth1' });
	registry.renameMasters(new Map([['eth0', 'lan0']]));
	t.is(registry.slave('a')?.master, 'lan0');
	t.is(registry.slave('b')?.master, 'eth1');
	t.is(registry.master('eth0'), undefined);
	t.is(registry.master('lan0')?.name, 'lan0');
	t.deepEqual(
		registry.slaves('lan0').map(({ name }) => name),
		['a'],
	);
});

test('what is not there is not found, and what is there is named', t => {
	const registry = withMaster('eth0');
	const absent = t.throws(() => registry.requireSlave('x'), {
		code: 'not-found',
		message: "no slave is named 'x'",
	}) as { hint?: string };
	t.regex(absent.hint ?? '', /there is none yet/);
	for (let index = 0; index < 12; index++) add(registry, { name: `vm${index}` });
	const hint = (t.throws(() => registry.requireSlave('x')) as { hint?: string }).hint;
	t.is(hint, 'known: vm0, vm1, vm2, vm3, vm4, vm5, vm6, vm7, vm8, vm9, and 2 more');
	t.throws(() => registry.requireMaster('eth9'), { code: 'not-found' });
});

test('a domain is renamed with all that is its', t => {
	const registry = withMaster('eth0');
	add(registry, { name: 'web1', domain: { name: 'web', uuid: 'u', alias: 'net0' } });
	registry.setDomain({ name: 'web', uuid: 'u', state: 'running', nics: [] });
	registry.renameDomain('web', 'new');
	t.deepEqual(registry.domains(), [{ name: 'new', uuid: 'u', state: 'running', nics: [] }]);
	t.deepEqual(registry.slave('web1')?.domain, { name: 'new', uuid: 'u', alias: 'net0' });
});
