/**
 * Plugging a slave into a running QEMU, over its QMP socket. Unplugging is in hotunplug.ts.
 *
 *   step         takes it back when a later one fails
 *   getfd        closefd          QEMU holds the descriptor under a name
 *   netdev_add   netdev_del       the descriptor is the backend's; even a failure may have used it up
 *   device_add   device_del       the guest sees a NIC
 */
import { IpvtapError } from '../src/errors.js';
import { fdName, qemuIds } from './ids.js';
import { deviceProperties, type Nic } from './netdev.js';
import { QmpClient } from './qmp/client.js';
import { QmpCommandError } from './qmp/errors.js';
import { freePort, hasDevice } from './slots.js';
import { closeAll, openQueues, type TapState } from './taps.js';
import { openVhost } from './vhost.js';

export { type HotUnplugOptions, hotUnplug } from './hotunplug.js';

export interface HotPlugOptions {
	/** QEMU's `-qmp unix:…` socket. */
	qmpPath: string;
	slave: Nic & TapState;
	/** Let the kernel move the frames. This process opens /dev/vhost-net; QEMU need not be allowed to. */
	vhost: boolean;
	/** PCI bus; default: the first free root port, or QEMU's choice where the machine has no root ports. */
	bus?: string;
	/** Milliseconds for everything together, a roll-back not counted; default 10 000. */
	timeoutMs?: number;
}

export interface HotPlugged {
	/** Id of the NIC: what `hotUnplug` takes. */
	device: string;
	netdev: string;
	/** The PCI bus that was asked for; undefined when QEMU chose. */
	bus: string | undefined;
}

/**
 * Afterwards QEMU alone holds the TAP, which stays persistent. On failure nothing is left in QEMU, as far as it
 * still answers, and nothing here.
 * @throws IpvtapError `conflict` (already plugged in, TAP in use), `not-found` (socket, TAP, bus), `permission`,
 * `timed-out`, `failed` (refused by QEMU, connection lost).
 */
export async function hotPlug(options: HotPlugOptions): Promise<HotPlugged> {
	const { qmpPath, slave, timeoutMs = 10_000 } = options;
	const deadline = performance.now() + timeoutMs;
	const client = await QmpClient.connect(qmpPath, {
		greetingMs: Math.min(timeoutMs, 3000),
		commandMs: timeoutMs,
	});
	try {
		return await plug({ ...options, client, ids: qemuIds(slave.name), deadline });
	} finally {
		await client.close();
	}
}

interface Plugging extends HotPlugOptions {
	client: QmpClient;
	ids: { netdev: string; device: string };
	/** performance.now() milliseconds. */
	deadline: number;
}

async function plug(plugging: Plugging): Promise<HotPlugged> {
	const { client, slave, ids } = plugging;
	if (await hasDevice(client, ids.device)) {
		throw new IpvtapError('conflict', `plug in ${slave.name}: this QEMU has a ${ids.device} already`, {
			hint: `unplug it first: ipvtap detach ${slave.name} --qmp ${plugging.qmpPath}`,
		});
	}
	const bus = plugging.bus ?? (await freePort(client));
	const names = await passDescriptors(plugging);
	try {
		await step(plugging, 'netdev_add', backend(ids.netdev, names));
	} catch (error) {
		// It may have failed before or after it took the descriptors, or not answered in time and still go on.
		if (!(error instanceof QmpCommandError)) await undo(client, 'netdev_del', { id: ids.netdev });
		for (const fdname of [...names.taps, ...names.vhosts]) await undo(client, 'closefd', { fdname });
		throw error;
	}
	try {
		await step(plugging, 'device_add', deviceProperties(slave, bus));
	} catch (error) {
		await withdraw(plugging, error);
		throw bus === undefined ? withPortHint(error) : error;
	}
	return { ...ids, bus };
}

interface Descriptors {
	taps: string[];
	vhosts: string[];
}

/** Opens the TAP's queues and gives them to QEMU; the copies here are closed, whatever happens. */
async function passDescriptors(plugging: Plugging): Promise<Descriptors> {
	const { client, slave } = plugging;
	const names: Descriptors = { taps: [], vhosts: [] };
	const taps = openQueues(slave);
	const vhosts: number[] = [];
	try {
		while (plugging.vhost && vhosts.length < taps.length) vhosts.push(openVhost());
		for (const [queue, fd] of taps.entries()) {
			names.taps.push(await passDescriptor(plugging, fdName(slave.name, 'tap', queue), fd));
		}
		for (const [queue, fd] of vhosts.entries()) {
			names.vhosts.push(await passDescriptor(plugging, fdName(slave.name, 'vhost', queue), fd));
		}
		return names;
	} catch (error) {
		for (const fdname of [...names.taps, ...names.vhosts]) await undo(client, 'closefd', { fdname });
		throw error;
	} finally {
		closeAll([...taps, ...vhosts]);
	}
}

async function passDescriptor(plugging: Plugging, fdname: string, fd: number): Promise<string> {
	try {
		await step(plugging, 'getfd', { fdname }, [fd]);
	} catch (error) {
		if (!(error instanceof QmpCommandError)) await undo(plugging.client, 'closefd', { fdname });
		throw error;
	}
	return fdname;
}

/**
 * `vhostforce` turns what QEMU 7.2 dies of (an assertion, when vhost-net doesn't start) into an error: an
 * attempt at a NIC must not end a running guest.
 */
function backend(id: string, { taps, vhosts }: Descriptors): Record<string, unknown> {
	return {
		type: 'tap',
		id,
		...(taps.length > 1 ? { fds: taps.join(':') } : { fd: taps[0] }),
		...(vhosts.length === 0 ? {} : { vhost: true, vhostforce: true }),
		...(vhosts.length === 1 ? { vhostfd: vhosts[0] } : {}),
		...(vhosts.length > 1 ? { vhostfds: vhosts.join(':') } : {}),
	};
}

/**
 * Takes the backend back, but never from under a NIC: QEMU would let us, and leave the guest with one that is
 * deaf. When `device_add` didn't answer there may be one, and only its guest can let go of it.
 */
async function withdraw({ client, ids }: Plugging, error: unknown): Promise<void> {
	const certain = error instanceof QmpCommandError;
	const gone = certain || (await undo(client, 'device_del', { id: ids.device })) === 'not-found';
	if (gone) await undo(client, 'netdev_del', { id: ids.netdev });
}

function withPortHint(error: unknown): unknown {
	if (!(error instanceof QmpCommandError)) return error;
	return new IpvtapError(error.code, error.message, {
		hint: 'a q35 machine takes a NIC while it runs only at a free root port: start QEMU with -device pcie-root-port,id=rp0',
		cause: error,
	});
}

function step(
	{ client, deadline }: Plugging,
	command: string,
	args: Record<string, unknown>,
	fds: number[] = [],
): Promise<unknown> {
	return client.execute(command, args, { fds, timeoutMs: Math.max(1, deadline - performance.now()) });
}

/** Part of a roll-back: its own failure must not hide what led to it. */
async function undo(
	client: QmpClient,
	command: string,
	args: Record<string, unknown>,
): Promise<'done' | 'not-found' | 'failed'> {
	try {
		await client.execute(command, args, { timeoutMs: undoMs });
		return 'done';
	} catch (error) {
		return error instanceof QmpCommandError && error.code === 'not-found' ? 'not-found' : 'failed';
	}
}

/** Each of these commands takes QEMU less than 20 ms; one that was late already is not waited for much longer. */
const undoMs = 1000;
