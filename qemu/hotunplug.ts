/**
 * Unplugging a slave from a running QEMU. It is the guest that lets go of a NIC, and nobody can make it:
 *
 *   device_del ─▶ guest asked ─▶ DEVICE_DELETED of the device ─▶ netdev_del ─▶ done
 *                     ├─ DEVICE_UNPLUG_GUEST_ERROR ─▶ failed, NIC stays
 *                     └─ nothing in time ───────────▶ timed out, NIC stays; goes later, or at a reset
 *
 * The backend must not go before the NIC: QEMU allows it, and leaves the guest with a NIC that is deaf.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { IpvtapError } from '../src/errors.js';
import { QmpClient } from './qmp/client.js';
import { QmpCommandError } from './qmp/errors.js';
import type { EventWait } from './qmp/events.js';
import type { QmpEvent } from './qmp/protocol.js';
import { property } from './slots.js';

export interface HotUnplugOptions {
	/** QEMU's `-qmp unix:…` socket. */
	qmpPath: string;
	/** Id of the NIC, `qemuIds(name).device`. */
	id: string;
	/** Milliseconds that the guest has to let go; default 15 000. A Linux guest needs 30 to 300. */
	timeoutMs?: number;
}

/**
 * Afterwards QEMU has closed the TAP. A NIC that is gone already is no error, and what is left of its backend is
 * removed; so it can be called again after a `timed-out`.
 * @throws IpvtapError `timed-out`, `failed` (the guest or QEMU refuses, connection lost), and as `QmpClient.connect`.
 */
export async function hotUnplug({ qmpPath, id, timeoutMs = 15_000 }: HotUnplugOptions): Promise<void> {
	const client = await QmpClient.connect(qmpPath);
	try {
		const netdev = (await property(client, id, 'netdev')) ?? id.replace(/^nic(?=[-_])/, 'net');
		await removeDevice(client, id, timeoutMs);
		await removeBackend(client, netdev);
	} finally {
		await client.close();
	}
}

async function removeDevice(client: QmpClient, id: string, timeoutMs: number): Promise<void> {
	const outcome = client.wait(event => concerns(event, id), timeoutMs);
	try {
		const event = await askUntilAnswered(client, id, outcome, performance.now() + timeoutMs);
		if (event === undefined || event.event === 'DEVICE_DELETED') return;
		throw new IpvtapError('failed', `unplug ${id}: the guest refuses to let go of it`, {
			hint: 'is it in use by something inside the guest? It stays plugged in and works on',
		});
	} finally {
		outcome.cancel();
	}
}

/**
 * Asks again every second. QEMU refuses to ask while it thinks that the guest is about to answer, also when the
 * question came in the middle of a boot and was lost; after a while, depending on its version, it will.
 * @returns the event that ended the wait, or undefined when there was no such device.
 */
async function askUntilAnswered(
	client: QmpClient,
	id: string,
	outcome: EventWait,
	deadline: number,
): Promise<QmpEvent | undefined> {
	let refusal: QmpCommandError | undefined;
	for (;;) {
		try {
			await client.execute('device_del', { id });
		} catch (error) {
			if (!(error instanceof QmpCommandError)) throw error;
			if (error.code === 'not-found') return undefined;
			if ((await property(client, id, 'hotpluggable')) === false) throw error;
			refusal ??= error;
		}
		const left = deadline - performance.now();
		const event = await first(outcome.event, Math.min(left, askAgainMs));
		if (event !== undefined) return event;
		if (left <= askAgainMs) throw notAnswered(id, refusal);
	}
}

/** The event, or undefined after `milliseconds`, without leaving a timer behind. */
async function first(
	event: Promise<QmpEvent | undefined>,
	milliseconds: number,
): Promise<QmpEvent | undefined> {
	const timer = new AbortController();
	const late = pause(Math.max(0, milliseconds), undefined, { signal: timer.signal }).catch(() => undefined);
	try {
		return await Promise.race([event, late]);
	} finally {
		timer.abort();
	}
}

/** A virtio NIC is two devices to QEMU; the inner one is deleted first, and its event has no `device`. */
function concerns({ event, data: { device, path } }: QmpEvent, id: string): boolean {
	if (event === 'DEVICE_DELETED') return device === id;
	if (event !== 'DEVICE_UNPLUG_GUEST_ERROR') return false;
	return device === id || path === `/machine/peripheral/${id}`;
}

function notAnswered(id: string, refusal: QmpCommandError | undefined): IpvtapError {
	const said = refusal === undefined ? '' : ` (${refusal.description})`;
	return new IpvtapError('timed-out', `unplug ${id}: the guest has not let go of it in time${said}`, {
		hint: 'is its system running? The NIC works on, and goes when the guest answers or is reset; detach it again then',
		cause: refusal,
	});
}

async function removeBackend(client: QmpClient, netdev: unknown): Promise<void> {
	try {
		await client.execute('netdev_del', { id: netdev });
	} catch (error) {
		if (!(error instanceof QmpCommandError) || error.code !== 'not-found') throw error;
	}
}

const askAgainMs = 1000;
