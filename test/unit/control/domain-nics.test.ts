import test from 'ava';
import { checkKnown, type DomainRequest, nicOf, pluggedNics } from '../../../src/control/domain-nics.js';
import type { SlaveRecord } from '../../../src/control/registry.js';

const slave: SlaveRecord = {
	...{ name: 'web2', master: 'eth0', ifname: 'ipvt-web2', mac: '52:54:00:00:00:12' },
	...{ addresses: ['192.0.2.12'], learn: false, queues: 2, owner: 0, ephemeral: true },
	...{ domain: { name: 'web', uuid: 'u' }, limits: { rx: { rate: 1000, burst: 10 } } },
};

function request(...undeclared: DomainRequest['undeclared']): DomainRequest {
	return { uuid: 'u', state: 'starting', nics: [], undeclared };
}

const device = { at: '/domain/devices/interface[2]', target: 'ipvt-web2', mac: '52:54:00:00:00:12' };

test('what is in the XML and is known comes back as it was', t => {
	const [nic, ...others] = pluggedNics(request({ ...device, alias: 'net1' }), [nicOf(slave)]);
	t.deepEqual(others, []);
	t.like(nic, { target: 'ipvt-web2', addresses: ['192.0.2.12'], alias: 'net1', present: true });
	t.like(nic?.plugged, {
		name: 'web2',
		queues: 2,
		learn: false,
		limits: { rx: { rate: 1000, burst: 10 } },
		plugged: true,
	});
	t.false('owner' in (nic?.plugged ?? {}) || 'domain' in (nic?.plugged ?? {}));
});

test('of two that are known by one name the first counts', t => {
	const older = { ...nicOf(slave), addresses: [] };
	t.deepEqual(pluggedNics(request(device), [nicOf(slave), older])[0]?.addresses, ['192.0.2.12']);
});

test('others’ devices, those with another MAC, and what was unplugged are none', t => {
	const known = [nicOf(slave)];
	t.deepEqual(pluggedNics(request({ ...device, target: 'vnet7' }), known), []);
	t.deepEqual(pluggedNics(request({ ...device, mac: '52:54:00:00:00:99' }), known), []);
	t.deepEqual(pluggedNics(request(), known), []);
});

test('a TAP of ours that nobody knows and nobody will make is told; others’ are their own affair', t => {
	const strange = { ...device, target: 'ipvt-nowhere' };
	const error = t.throws(() => checkKnown(request({ ...device, target: 'tap7' }, strange)));
	t.regex(error?.message ?? '', /^\/domain\/devices\/interface\[2\]: there is no TAP ipvt-nowhere/);
	const known = pluggedNics(request(strange), [{ ...nicOf(slave), ifname: 'ipvt-nowhere' }]);
	t.notThrows(() => checkKnown({ ...request(strange), nics: known }));
});
