import test from 'ava';
import { deviceFeatures, type FeatureState } from '../../../src/sys/ethtool.js';
import { createTap } from '../../../src/sys/tap.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';

test.before(enterFreshNamespace);

test.serial('features are those that ethtool lists', t => {
	createTap('t0', { owner: undefined, queues: 1, vnetHeader: true });
	run('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'v1');
	for (const device of ['lo', 't0', 'v0']) {
		const features = deviceFeatures(device);
		// Some go by names of ethtool's own, groups among them.
		const listed = [...listOf(device)].filter(([name]) => features.has(name));
		t.true(listed.length > 30);
		for (const [name, state] of listed) t.is(features.get(name), state, `${device} ${name}`);
	}
});

test.serial('one that is switched is seen so', t => {
	run('ethtool', '-K', 'v0', 'hw-tc-offload', 'off', 'tx-nocache-copy', 'on');
	t.is(deviceFeatures('v0').get('tx-nocache-copy'), 'on');
	run('ethtool', '-K', 'v0', 'tx-nocache-copy', 'off');
	t.is(deviceFeatures('v0').get('tx-nocache-copy'), 'off');
});

test.serial('there is no such device', t => {
	t.throws(() => deviceFeatures('nobody'), { code: 'ENODEV' });
});

function listOf(device: string): Map<string, FeatureState> {
	const lines = run('ethtool', '-k', device).matchAll(/^\t?([\w-]+): (on|off)( \[fixed\])?/gm);
	return new Map(
		[...lines].map(([, name = '', state, fixed]) => [
			name,
			state === 'on' ? 'on' : fixed ? 'unavailable' : 'off',
		]),
	);
}
