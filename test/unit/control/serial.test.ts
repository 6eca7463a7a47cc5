import test from 'ava';
import { Serial } from '../../../src/control/serial.js';

test('tasks run one after the other, whatever becomes of them', async t => {
	const serial = new Serial();
	const steps: string[] = [];
	const task = (name: string, fails = false) =>
		serial.run(async () => {
			steps.push(`${name} begins`);
			await new Promise(setImmediate);
			steps.push(`${name} ends`);
			if (fails) throw new Error(name);
			return name;
		});
	const all = [task('a'), task('b', true), task('c')];
	t.is(serial.waiting, 3);
	t.deepEqual(
		(await Promise.allSettled(all)).map(({ status }) => status),
		['fulfilled', 'rejected', 'fulfilled'],
	);
	t.deepEqual(steps, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
	t.is(serial.waiting, 0);
});
