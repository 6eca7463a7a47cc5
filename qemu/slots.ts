/**
 * Where a running machine takes another PCI device. An i440fx's `pci.0` takes one itself; the root bus of a q35
 * doesn't, there it must be a root port with nothing in it. QOM tells: `query-pci` can't before the firmware has
 * numbered the buses.
 *
 *   /machine/peripheral/rp0        child<pcie-root-port>, `hotplug` on or off
 *   /machine/peripheral/rp0/rp0    child<PCIE>, the bus behind it; `child[0]` when something is plugged in
 */
import { z } from 'zod';
import { IpvtapError } from '../src/errors.js';
import type { QmpClient } from './qmp/client.js';
import { QmpCommandError } from './qmp/errors.js';

const peripherals = '/machine/peripheral';

/** @returns the bus behind the first free port, in the order of their ids; undefined: leave it to QEMU. */
export async function freePort(client: QmpClient): Promise<string | undefined> {
	const devices = await list(client, peripherals);
	const ports = devices.filter(({ type }) => portTypes.has(type)).map(({ name }) => name);
	for (const port of ports.sort(byNumber.compare)) {
		if ((await property(client, port, 'hotplug')) === false) continue;
		const parts = await list(client, `${peripherals}/${port}`);
		const bus = parts.find(({ type }) => type === 'child<PCIE>')?.name;
		if (bus === undefined) continue;
		const inside = await list(client, `${peripherals}/${port}/${bus}`);
		if (!inside.some(({ name }) => name.startsWith('child['))) return bus;
	}
	return undefined;
}

/** Whether there is a device of this id, be it on its way out or not. */
export async function hasDevice(client: QmpClient, id: string): Promise<boolean> {
	return (await list(client, peripherals)).some(({ name }) => name === id);
}

/** A property of a device; undefined when it has none of that name, or the device is gone. */
export async function property(client: QmpClient, id: string, name: string): Promise<unknown> {
	try {
		return await client.execute('qom-get', { path: `${peripherals}/${id}`, property: name });
	} catch (error) {
		if (error instanceof QmpCommandError) return undefined;
		throw error;
	}
}

async function list(client: QmpClient, path: string): Promise<{ name: string; type: string }[]> {
	const entries = entriesSchema.safeParse(await client.execute('qom-list', { path }));
	if (entries.success) return entries.data;
	throw new IpvtapError('failed', `QEMU's qom-list of ${path}: it answers with something else than a list`);
}

const entriesSchema = z.array(z.object({ name: z.string(), type: z.string() }));

/** Root ports, and the ports of a switch; an `ioh3420` is Intel's root port. */
const portTypes = new Set(['child<pcie-root-port>', 'child<ioh3420>', 'child<xio3130-downstream>']);
const byNumber = new Intl.Collator('en', { numeric: true });
