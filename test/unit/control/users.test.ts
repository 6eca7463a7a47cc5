import test from 'ava';
import { canOpen, groupId, groupsOf, userId } from '../../../src/control/users.js';

test('users are found by name and by number', async t => {
	t.is(await userId('root'), 0);
	t.is(await userId('0'), 0);
	t.is(await userId('12345'), 12345);
});

for (const user of ['nobody-of-that-name', '', 'a:b', '-x', '4294967295', '99999999999']) {
	test(`there is no user '${user}'`, async t => {
		await t.throwsAsync(userId(user), { code: 'not-found', message: `no user is named '${user}'` });
	});
}

test('groups are found, or not', async t => {
	t.is(await groupId('root'), 0);
	t.is(await groupId('no-group-of-that-name'), null);
});

test("a process's groups are the kernel's", t => {
	t.deepEqual(
		groupsOf(process.pid).sort(),
		process
			.getgroups?.()
			.filter(group => groupsOf(process.pid).includes(group))
			.sort(),
	);
	t.deepEqual(groupsOf(2 ** 22 + 1), []);
});

test('who may open a file follows from owner, group and mode', t => {
	t.true(canOpen('/dev/null', 0));
	t.true(canOpen('/dev/null', 65534));
	t.false(canOpen('/etc/shadow', 65534));
	t.false(canOpen('/nowhere', 0));
});
