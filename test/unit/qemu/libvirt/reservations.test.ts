import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type DomainRecord, Registry } from '../../../../src/control/registry.js';
import { StateFile } from '../../../../src/control/state.js';

const nic = {
	name: 'web1',
	ifname: 'ipvt-web1',
	master: 'eth0',
	mac: '52:54:00:00:00:01',
	addresses: ['192.0.2.10', 'fe80::1'],
	learn: false,
	queues: 1,
};
const uuid = '11111111-2222-3333-4444-555555555555';

function registryWith(state: DomainRecord['state']): Registry {
	const registry = new Registry();
	for (const name of ['eth0', 'eth1']) registry.addMaster(registry.planMaster(name, {}, false));
	registry.setDomain({ name: 'web', uuid, state, nics: [nic] });
	return registry;
}

for (const state of ['saved', 'migrated'] as const) {
	test(`a ${state} domain keeps its addresses and its slaves' names`, t => {
		const registry = registryWith(state);
		const plan = (request: object) =>
			registry.planSlave({ name: 'other', master: 'eth0', owner: 0, ...request });
		t.throws(() => plan({ addresses: ['192.0.2.10'] }), {
			message: `the address 192.0.2.10 is in use: it is kept for the ${state} domain 'web'`,
		});
		t.throws(() => plan({ addresses: ['192.0.2.10'], master: 'eth1' }), { message: /is in use/ });
		t.throws(() => plan({ name: 'web1' }), {
			message: `the name 'web1' is in use: it is kept for the ${state} domain 'web'`,
		});
		t.notThrows(() => plan({ addresses: ['192.0.2.11'] }));
		t.notThrows(() => plan({ addresses: ['fe80::1'], master: 'eth1' }), 'another link');
		t.like(plan({ ...nic, domain: { name: 'web', uuid } }), { name: 'web1', ifname: 'ipvt-web1' });
		t.is(registry.declared('ipvt-web1'), undefined, 'a TAP of that name is nobody’s');
	});
}

test('a running domain keeps nothing but its TAPs’ names, by which they are adopted', t => {
	const registry = registryWith('running');
	t.notThrows(() =>
		registry.planSlave({ name: 'other', master: 'eth0', owner: 0, addresses: ['192.0.2.10'] }),
	);
	t.is(registry.declared('ipvt-web1')?.nic, nic);
	t.is(registry.declared('ipvt-web2'), undefined);
	t.not(registry.planSlave({ name: 'web1', master: 'eth0', owner: 0 }).ifname, 'ipvt-web1');
});

test('a master’s new name is the domains’ too', t => {
	const registry = registryWith('saved');
	registry.renameMasters(new Map([['eth0', 'lan0']]));
	t.is(registry.domain('web')?.nics[0]?.master, 'lan0');
});

test('a TAP has one slave', t => {
	const registry = registryWith('running');
	registry.addSlave(registry.planSlave({ ...nic, owner: 0, domain: { name: 'web', uuid } }));
	t.throws(() => registry.planSlave({ name: 'x', master: 'eth0', owner: 0, ifname: 'ipvt-web1' }), {
		message: "the TAP ipvt-web1 is in use: slave 'web1' has it",
	});
});

test('domains are in the state file, and what their slaves are of them', async t => {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-state-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const registry = registryWith('starting');
	const domain = { name: 'web', uuid, alias: 'net0' };
	registry.addSlave(registry.planSlave({ ...nic, owner: 0, ephemeral: true, domain, closed: true }));
	registry.setDomain({ name: 'old', uuid, state: 'saved', nics: [] });
	registry.setDomain({ name: 'back', uuid, state: 'starting', before: 'saved', nics: [] });
	const state = { masters: registry.masters(), slaves: registry.slaves(), domains: registry.domains() };
	const file = new StateFile(join(folder, 'state.json'), ({ message }) => t.fail(message));
	file.save(state);
	t.deepEqual(file.load(), { state });
	await file.settled();
	t.deepEqual(file.load(), { state });
});
