/**
 * Unplugging, against a server that plays the turns a guest can take; the usual ones are also tested with real
 * guests in test/integration/qemu.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { hotUnplug } from '../../../qemu/hotplug.js';
import { IpvtapError } from '../../../src/errors.js';
import { type Answer, after, done, greeting, refusal, serve, value } from './qmp-server.js';

const folder = mkdtempSync(join(tmpdir(), 'ipvtap-unplug-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
let sockets = 0;

const deleted =
	'{"event": "DEVICE_DELETED", "data": {"device": "nic-a", "path": "/machine/peripheral/nic-a"}}\n';
const innerDeleted =
	'{"event": "DEVICE_DELETED", "data": {"path": "/machine/peripheral/nic-a/virtio-backend"}}\n';
const otherDeleted =
	'{"event": "DEVICE_DELETED", "data": {"device": "nic-b", "path": "/machine/peripheral/nic-b"}}\n';
const guestError =
	'{"event": "DEVICE_UNPLUG_GUEST_ERROR", "data": {"device": "nic-a", "path": "/machine/peripheral/nic-a"}}\n';
const guestErrorByPath =
	'{"event": "DEVICE_UNPLUG_GUEST_ERROR", "data": {"path": "/machine/peripheral/nic-a"}}\n';
const pending = refusal('GenericError', 'Device nic-a is already in the process of unplug');
const noDevice = refusal('DeviceNotFound', "Device 'nic-a' not found");

/** How each command is answered; what isn't named succeeds. */
interface Turns {
	device_del?: Answer | Answer[];
	netdev_del?: Answer;
	/** The value of the device's `hotpluggable`. */
	hotpluggable?: boolean;
	netdev?: Answer;
}

/** Unplugs nic-a, and gives back what was asked of QEMU and what came of it. */
async function unplug(
	turns: Turns,
	timeoutMs = 300,
): Promise<{ asked: string[]; error: IpvtapError | undefined }> {
	const asked: string[] = [];
	let round = 0;
	const answer = after((command, socket) => {
		const { execute, arguments: args } = command;
		if (execute === 'qom-get') {
			if (args?.property === 'netdev') return (turns.netdev ?? value('net-a'))(command, socket);
			return value(turns.hotpluggable ?? true)(command);
		}
		asked.push(`${execute} ${String(args?.id)}`);
		if (execute === 'netdev_del') return (turns.netdev_del ?? done)(command, socket);
		const answers = [turns.device_del ?? done].flat();
		return answers[Math.min(round++, answers.length - 1)]!(command, socket);
	});
	let error: IpvtapError | undefined;
	await serve(join(folder, `${sockets++}.sock`), greeting, answer, async qmpPath => {
		try {
			await hotUnplug({ qmpPath, id: 'nic-a', timeoutMs });
		} catch (thrown) {
			if (!(thrown instanceof IpvtapError)) throw thrown;
			error = thrown;
		}
	});
	return { asked, error };
}

const saying =
	(...events: string[]): Answer =>
	command =>
		events.join('') + done(command);
const sayingLater =
	(...events: string[]): Answer =>
	(command, socket) => {
		setImmediate(() => socket.write(events.join('')));
		return done(command);
	};

/** Ways in which it is done in the end, and what was asked. */
const good: [what: string, turns: Turns, asked: string[]][] = [
	[
		'the guest lets go after the reply',
		{ device_del: sayingLater(innerDeleted, deleted) },
		['device_del nic-a', 'netdev_del net-a'],
	],
	[
		'the event comes before the reply',
		{ device_del: saying(innerDeleted, deleted) },
		['device_del nic-a', 'netdev_del net-a'],
	],
	[
		'the NIC is gone already',
		{ device_del: noDevice, netdev: noDevice },
		['device_del nic-a', 'netdev_del net-a'],
	],
	[
		'NIC and backend are gone already',
		{ device_del: noDevice, netdev: noDevice, netdev_del: refusal('DeviceNotFound', 'no net-a') },
		['device_del nic-a', 'netdev_del net-a'],
	],
	[
		'the backend has another id',
		{ netdev: value('hostnet0'), device_del: saying(deleted) },
		['device_del nic-a', 'netdev_del hostnet0'],
	],
	[
		'an earlier request is pending, and now answered',
		{
			device_del: (command, socket) => {
				setImmediate(() => socket.write(deleted));
				return pending(command);
			},
		},
		['device_del nic-a', 'netdev_del net-a'],
	],
];

for (const [what, turns, asked] of good) {
	test(`unplug: ${what}`, async t => {
		const outcome = await unplug(turns, 20_000);
		t.is(outcome.error, undefined);
		t.deepEqual(outcome.asked, asked);
	});
}

/** Ways in which it isn't; the backend must then be left alone. */
const bad: [what: string, turns: Turns, code: string, message: RegExp][] = [
	['the guest refuses', { device_del: saying(guestError) }, 'failed', /guest refuses/],
	[
		'the guest refuses, known by path',
		{ device_del: sayingLater(guestErrorByPath) },
		'failed',
		/guest refuses/,
	],
	['the guest does not answer', {}, 'timed-out', /not let go of it in time$/],
	['only the inner device is deleted', { device_del: saying(innerDeleted) }, 'timed-out', /in time/],
	['another NIC is deleted', { device_del: saying(otherDeleted) }, 'timed-out', /in time/],
	[
		'an earlier request is still pending',
		{ device_del: pending },
		'timed-out',
		/already in the process of unplug/,
	],
	[
		'its bus takes nothing out',
		{ device_del: refusal('GenericError', "Bus 'pcie.0' does not support hotplugging"), hotpluggable: false },
		'failed',
		/does not support hotplugging/,
	],
	[
		'QEMU ends',
		{
			device_del: (_, socket) => {
				socket.end();
				return '';
			},
		},
		'failed',
		/closed/,
	],
];

for (const [what, turns, code, message] of bad) {
	test(`unplug fails: ${what}`, async t => {
		const { asked, error } = await unplug(turns, code === 'timed-out' ? 300 : 20_000);
		t.is(error?.code, code as IpvtapError['code']);
		t.regex(error?.message ?? '', message);
		t.deepEqual(asked, ['device_del nic-a']);
	});
}

test('unplug: a request that was refused is made again after a second', async t => {
	const busy = refusal('GenericError', 'guest is busy (power indicator blinking)');
	const { asked, error } = await unplug({ device_del: [busy, saying(deleted)] }, 20_000);
	t.is(error, undefined);
	t.deepEqual(asked, ['device_del nic-a', 'device_del nic-a', 'netdev_del net-a']);
});
