/** What a journal keeps of what has happened, and what it lets go. */
import test from 'ava';
import { Journal } from '../../../../src/control/port/journal.js';

test('addresses of other machines are kept for as long as they can’t be claimed, also if nobody ever asks', t => {
	const journal = new Journal();
	for (let second = 60; second < 6000; second++)
		journal.heard({ kind: 'foreign', address: `192.0.2.${second}`, until: second * 1000 });
	// The last one was heard 60 seconds before its end.
	t.is(journal.commands(0).length, 60);
	t.is(journal.commands(5_999_000).length, 0);
});
