import test from 'ava';
import { metrics } from '../../../src/control/api/metrics.js';
import { effectiveLimits } from '../../../src/control/limits.js';
import type { Listing } from '../../../src/control/model.js';

const stats = {
	rx: { packets: 3, bytes: 300 },
	tx: { packets: 2, bytes: 200 },
	drops: { 'mac-spoof': 7 },
	queued: 1,
};
const listing: Listing = {
	masters: [
		{
			name: 'eth0',
			ifindex: 2,
			mac: '02:00:00:00:00:01',
			mtu: 1500,
			state: 'up',
			mode: 'l2',
			flag: 'bridge',
			offload: 'none',
			ageing: 300,
			host: null,
			slaves: 1,
			stats,
		},
	],
	slaves: [
		{
			name: 'web1',
			master: 'eth0',
			mode: 'l2',
			ifname: 'ipvt-web1',
			ifindex: 5,
			mac: '52:54:00:00:00:01',
			mtu: 1500,
			state: 'down',
			learn: false,
			limits: effectiveLimits(),
			allow: [],
			queues: 1,
			addresses: [{ address: '192.0.2.1', family: 'inet', origin: 'static' }],
			offload: 'none',
			qemuArgs: [],
			stats,
			owner: 0,
			ephemeral: false,
		},
	],
};

test('every sample belongs to a family that was announced, once', t => {
	const lines = metrics(listing).trimEnd().split('\n');
	const types = lines.filter(line => line.startsWith('# TYPE ')).map(line => line.split(' ')[2]);
	t.deepEqual(types, [...new Set(types)]);
	for (const line of lines.filter(one => !one.startsWith('#'))) {
		t.regex(line, /^[a-z_]+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} \d+$/);
		t.true(types.includes(line.slice(0, line.indexOf('{'))), line);
	}
	t.true(lines.includes('ipvtap_slave_receive_packets_total{slave="web1",master="eth0"} 3'));
	t.true(lines.includes('ipvtap_slave_drops_total{slave="web1",master="eth0",reason="mac-spoof"} 7'));
	t.true(lines.includes('ipvtap_slave_up{slave="web1",master="eth0"} 0'));
	t.true(lines.includes('ipvtap_slave_addresses{slave="web1",master="eth0",origin="static"} 1'));
});

test('nothing is no text, and names are escaped', t => {
	t.is(metrics({ masters: [], slaves: [] }), '');
	const odd = { ...listing.masters[0]!, name: 'a"b\\c' };
	t.true(metrics({ masters: [odd], slaves: [] }).includes('{master="a\\"b\\\\c"}'));
});
