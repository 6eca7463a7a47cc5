import test from 'ava';
import { limits, packageVersion, readConfig } from '../../../src/config.js';

test('root has the places of the system', t => {
	t.deepEqual(readConfig({}, 0), {
		socket: '/run/ipvtap/ipvtap.sock',
		stateDir: '/var/lib/ipvtap',
		stateFile: '/var/lib/ipvtap/state.json',
		lockFile: '/var/lib/ipvtap/lock',
		logFile: '/var/lib/ipvtap/ipvtapd.log',
		autostart: true,
	});
});

test('others use the socket of the system, and keep their state at home', t => {
	const { socket, stateDir } = readConfig({ HOME: '/home/x' }, 1000);
	t.is(socket, '/run/ipvtap/ipvtap.sock');
	t.is(stateDir, '/home/x/.local/state/ipvtap');
	t.is(readConfig({ HOME: '/home/x', XDG_STATE_HOME: '/s' }, 1000).stateDir, '/s/ipvtap');
});

test('a socket of its own brings a state folder of its own', t => {
	const a = readConfig({ IPVTAP_SOCKET: '/run/a.sock' }, 0).stateDir;
	t.regex(a, /^\/var\/lib\/ipvtap\/a-[0-9a-f]{8}$/);
	t.is(readConfig({ IPVTAP_SOCKET: '/run/../run/a.sock' }, 0).stateDir, a);
	t.not(readConfig({ IPVTAP_SOCKET: '/tmp/a.sock' }, 0).stateDir, a);
	t.is(readConfig({ IPVTAP_SOCKET: '/run/ipvtap/ipvtap.sock' }, 0).stateDir, '/var/lib/ipvtap');
	t.is(readConfig({ IPVTAP_SOCKET: '/run/a.sock', IPVTAP_STATE_DIR: '/s' }, 0).stateDir, '/s');
});

test('a path that no socket address can hold is refused', t => {
	const path = (length: number) => `/${'x'.repeat(length - 1)}`;
	t.notThrows(() => readConfig({ IPVTAP_SOCKET: path(limits.socketPathBytes) }));
	t.throws(() => readConfig({ IPVTAP_SOCKET: path(limits.socketPathBytes + 1) }), {
		code: 'usage',
		message: /longer than 103 bytes/,
	});
});

test('commands may be told never to start a daemon', t =>
	t.false(readConfig({ IPVTAP_AUTOSTART: 'never' }).autostart));

test('the version is the package’s', t => t.regex(packageVersion(), /^\d+\.\d+\.\d+/));
