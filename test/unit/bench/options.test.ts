import test from 'ava';
import { chooseOptions } from '../../../src/bench/options.js';
import { choosePeers } from '../../../src/bench/peers/index.js';

test('what is said counts, and the rest follows from --quick', t => {
	const usual = chooseOptions({});
	t.true(usual.network && usual.micro && usual.instructions);
	const quick = chooseOptions({ quick: true, peers: 'ipvtap,ovs', filter: ['gso'], blocks: '7' });
	t.true(quick.budget < usual.budget);
	t.deepEqual([quick.peers, quick.filters, quick.blocks], [['ipvtap', 'ovs'], ['gso'], 7]);
	t.false(quick.instructions, 'that takes longer than all the rest');
	t.like(chooseOptions({ only: 'micro' }), { network: false, micro: true, instructions: false });
	t.like(chooseOptions({ only: 'instructions' }), { network: false, micro: false, instructions: true });
});

test('numbers are numbers', t => {
	for (const given of [{ blocks: '0' }, { blocks: '1.5' }, { seconds: 'x' }, { minutes: '-1' }]) {
		t.throws(() => chooseOptions(given), { message: /want a/, code: 'usage' });
	}
});

test('the bridge is always among the peers, and comes first', t => {
	const names = (list: string[], quick = false): string[] =>
		choosePeers(list, quick).map(make => make().name);
	t.deepEqual(names(['ipvtap']), ['bridge', 'ipvtap']);
	t.is(names([])[0], 'bridge');
	t.true(names([]).includes('ovs') && !names([], true).includes('ovs'));
	t.throws(() => names(['brdge']), { message: /no such peer/, code: 'usage' });
});
