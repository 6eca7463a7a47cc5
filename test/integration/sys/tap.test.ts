import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { IpvtapError } from '../../../src/errors.js';
import { closeFd } from '../../../src/sys/fd.js';
import { deleteLink, getLink } from '../../../src/sys/netlink/link.js';
import * as tap from '../../../src/sys/tap.js';
import { duplicateFd } from '../../../src/sys/unix-socket.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';

test.before(enterFreshNamespace);

const single = { owner: undefined, queues: 1, vnetHeader: true };

test.serial('a created TAP is persistent, belongs to its owner and is held by nobody', t => {
	tap.createTap('t0', { ...single, owner: 1234 });
	t.regex(run('ip', '-d', 'link', 'show', 't0'), /tun type tap pi off vnet_hdr on persist on user 1234/);
	const fd = tap.openTap('t0');
	t.deepEqual(tap.tapFlags(fd), {
		ifname: 't0',
		flags: tap.IFF_TAP | tap.IFF_NO_PI | tap.IFF_VNET_HDR | tap.IFF_PERSIST,
	});
	closeFd(fd);
	t.is(getLink('t0')?.kind, 'tun');
	deleteLink('t0');
});

test.serial('without persistence it goes with its last descriptor', t => {
	tap.createTap('t1', single);
	const fd = tap.openTap('t1');
	tap.setPersist(fd, false);
	const other = duplicateFd(fd);
	closeFd(fd);
	t.truthy(getLink('t1'));
	closeFd(other);
	t.is(getLink('t1'), undefined);
});

test.serial('what QEMU sets on a descriptor can be set', t => {
	const fd = tap.openTap('t2');
	tap.setOffload(fd, tap.TUN_F_CSUM | tap.TUN_F_TSO4 | tap.TUN_F_TSO6 | tap.TUN_F_TSO_ECN);
	t.regex(run('ethtool', '-k', 't2'), /tx-tcp-segmentation: on/);
	tap.setOffload(fd, 0);
	t.regex(run('ethtool', '-k', 't2'), /tx-tcp-segmentation: off/);
	tap.setSendBuffer(fd, 0x7fffffff);
	for (const bytes of [10, 12, 20]) tap.setVnetHeaderSize(fd, bytes);
	t.throws(() => tap.setVnetHeaderSize(fd, 9), { code: 'EINVAL' });
	run('ip', 'link', 'set', 't2', 'up');
	t.true(getLink('t2')?.carrier);
	tap.setCarrier(fd, false);
	t.false(getLink('t2')?.carrier);
	deleteLink('t2');
	t.throws(() => tap.tapFlags(fd), { code: 'EBADFD' });
	closeFd(fd);
});

test.serial('the descriptor is non-blocking and closed on exec', t => {
	const fd = tap.openTap('t3');
	const flags = Number.parseInt(
		/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '',
		8,
	);
	t.is(flags & 0o2004002, 0o2004002);
	closeFd(fd);
});

test.serial('a multi-queue TAP has as many openers as it has queues', t => {
	tap.createTap('t4', { ...single, queues: 2 });
	const fds = [tap.openTap('t4', { multiQueue: true }), tap.openTap('t4', { multiQueue: true })];
	t.is(tap.tapFlags(fds[0]!).flags & tap.IFF_MULTI_QUEUE, tap.IFF_MULTI_QUEUE);
	t.throws(() => tap.openTap('t4'), { instanceOf: IpvtapError, code: 'conflict', message: /multi-queue/ });
	fds.forEach(closeFd);
	deleteLink('t4');
});

test.serial('each cause of failure has its code and sentence', t => {
	tap.createTap('t5', single);
	const conflict = { instanceOf: IpvtapError, code: 'conflict' };
	t.throws(() => tap.createTap('t5', single), { ...conflict, message: /a device of that name exists/ });
	t.throws(() => tap.createTap('lo', single), { ...conflict, message: /a device of that name exists/ });
	t.throws(() => tap.openTap('lo'), { ...conflict, message: /is no TAP/ });
	const fd = tap.openTap('t5');
	t.throws(() => tap.openTap('t5'), { ...conflict, message: /another process holds it open/ });
	closeFd(fd);
	deleteLink('t5');
	for (const name of ['', '.', '..', 'a b', 'a/b', 'a:b', 'a%d', '0123456789abcdef', 'ééééééééé']) {
		t.throws(() => tap.openTap(name), { instanceOf: IpvtapError, code: 'usage' }, name);
	}
});

test.serial('no failure leaves a descriptor or a device behind', t => {
	const descriptors = () => run('find', `/proc/${process.pid}/fd`, '-lname', '/dev/net/tun');
	const links = run('ip', '-o', 'link');
	t.throws(() => tap.openTap('lo'));
	t.throws(() => tap.createTap('t7', { ...single, owner: -1 }), { code: 'EINVAL' });
	t.is(descriptors(), '');
	t.is(run('ip', '-o', 'link'), links);
});

test.serial('its owner opens it without privileges, others do not, and nobody without the device node', t => {
	tap.createTap('t6', { ...single, owner: 1234 });
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-tap-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const node = join(folder, 'tun');
	t.is(openAs(1234, `mknod -m 0666 ${node} c 10 200 && mount --bind ${node} /dev/net/tun`, 't6'), 'opened');
	t.is(
		openAs(1235, `mknod -m 0666 ${node}2 c 10 200 && mount --bind ${node}2 /dev/net/tun`, 't6'),
		'permission EPERM',
	);
	t.is(openAs(1234, `mount --bind ${node} /dev/net/tun && chmod 0600 ${node}`, 't6'), 'permission EACCES');
	t.is(openAs(0, 'mount -t tmpfs none /dev/net', 't6'), 'failed ENOENT');
	deleteLink('t6');
});

/** Opens `ifname` as `uid` in a mount namespace prepared by `prepare`. */
function openAs(uid: number, prepare: string, ifname: string): string {
	const source = `
		import { openTap } from ${JSON.stringify(new URL('../../../src/sys/tap.js', import.meta.url).href)};
		try { openTap('${ifname}'); console.log('opened'); }
		catch (error) { console.log(error.code, error.cause.code); }`;
	const shell = `${prepare} && exec setpriv --reuid ${uid} --clear-groups "$0" --input-type=module -e "$1"`;
	const command = ['--mount', '--propagation', 'private', 'sh', '-c', shell, process.execPath, source];
	const { stdout, stderr } = spawnSync('unshare', command, { encoding: 'utf8' });
	return stdout.trim() || stderr;
}
