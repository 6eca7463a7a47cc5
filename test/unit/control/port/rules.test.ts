/** Which of the host's rules a user of mode l3 is told of. */
import test from 'ava';
import { rulesWarning } from '../../../../src/control/port/rules.js';
import type { Rule } from '../../../../src/sys/netlink/rule.js';

const plain: Rule = {
	family: 'inet',
	priority: 100,
	table: 254,
	action: 1,
	iif: undefined,
	oif: undefined,
	inverted: false,
	choosy: false,
};

for (const [title, rule, told] of [
	['the local table', { priority: 0, table: 255 }, false],
	['the main table, whatever the priority', {}, false],
	['a table of its own', { table: 100 }, true],
	['the main table for some', { choosy: true }, true],
	['no table', { table: 0, action: 8 }, true],
	["the host's programs", { table: 100, iif: 'lo' }, false],
	['programs bound to a device', { table: 100, oif: 'eth0' }, false],
	['another device', { table: 100, iif: 'eth1' }, false],
	['what comes from guests', { table: 100, iif: 'ipvh-eth0' }, true],
	['what comes from anywhere else', { table: 100, iif: 'eth1', inverted: true }, true],
] as const) {
	test(`a rule about ${title} is ${told ? 'told' : 'nothing to know'}`, t => {
		const warning = rulesWarning([{ ...plain, ...rule }], 'eth0', 'ipvh-eth0');
		t.is(warning !== undefined, told);
	});
}

test('all priorities are told once, and what helps', t => {
	const rules = [5, 5, 7].map(priority => ({ ...plain, priority, table: 100 }));
	t.regex(rulesWarning(rules, 'wlan0', undefined) ?? '', /\(ip rule: 5, 7\).*ipvtap set wlan0 --mode l3s$/);
});
