/**
 * `attach NAME --domain DOM` and `detach NAME --domain DOM`: the slave and libvirt's device in one command, both or
 * neither. libvirt calls no hook for either, so this is for people to do; what virsh does alone shows on the TAP.
 */
import { attachDevice, describeDomain, detachDevice } from '../../../qemu/libvirt/virsh.js';
import { libvirtInterface } from '../../../qemu/libvirt-xml.js';
import { type Config, readConfig } from '../../config.js';
import { ask } from '../../control/autostart.js';
import { call } from '../../control/client.js';
import type { Slave } from '../../control/model.js';
import { IpvtapError } from '../../errors.js';
import { note, print } from '../output.js';
import { slavePath, summary } from '../slave-text.js';

/** @param body of `PUT /v1/slaves/NAME`. @throws IpvtapError; there is no slave then, and no device. */
export async function plugIntoDomain(
	name: string,
	domain: string,
	body: Record<string, unknown>,
	json: boolean,
): Promise<void> {
	const config = readConfig();
	const { name: domainName, uuid } = await describeDomain(domain);
	const wanted = { ...body, ephemeral: true, domain: { name: domainName, uuid } };
	const slave = await ask<Slave>(config, 'PUT', slavePath(name), wanted);
	try {
		await attachDevice(uuid, libvirtInterface(slave));
	} catch (error) {
		await call(config.socket, 'DELETE', slavePath(name)).catch(() => undefined);
		throw error;
	}
	const named = await withAlias(config, slave, uuid);
	note(`attached ${summary(named)}, to the domain ${domainName}`);
	print(json, named, '');
}

/** @throws IpvtapError `timed-out` if the guest doesn't let go: then both are still there. */
export async function unplugFromDomain(name: string, domain: string, json: boolean): Promise<void> {
	const config = readConfig();
	const slave = await call<Slave>(config.socket, 'GET', slavePath(name));
	const { uuid, name: domainName, interfaces } = await describeDomain(domain);
	if (!interfaces.some(({ target }) => target === slave.ifname)) {
		throw new IpvtapError('not-found', `the domain ${domainName} has no interface ${slave.ifname}`, {
			hint: `see: virsh domiflist ${domainName}; without a domain: ipvtap detach ${name}`,
		});
	}
	await detachDevice(uuid, libvirtInterface(slave));
	await released(config, slave);
	try {
		await call(config.socket, 'DELETE', slavePath(name));
	} catch (error) {
		// A slave of a domain goes when its QEMU lets go of it.
		if (!isNotFound(error)) {
			await attachDevice(uuid, libvirtInterface(slave)).catch(() => undefined);
			throw error;
		}
	}
	print(json, { name, removed: true }, `${name} is detached from ${domainName}`);
}

/** libvirt's name for the NIC; a slave works without. */
async function withAlias(config: Config, slave: Slave, uuid: string): Promise<Slave> {
	try {
		const { interfaces } = await describeDomain(uuid);
		const alias = interfaces.find(({ target }) => target === slave.ifname)?.alias;
		if (alias === undefined) return slave;
		return await call<Slave>(config.socket, 'PATCH', slavePath(slave.name), { alias });
	} catch {
		return slave;
	}
}

/** Waits until QEMU has closed the TAP. The API tells no changes by itself, so it is asked. */
async function released(config: Config, { name }: Slave): Promise<void> {
	const deadline = performance.now() + patienceMs;
	for (;;) {
		try {
			const { state } = await call<Slave>(config.socket, 'GET', slavePath(name));
			if (state === 'down') return;
		} catch (error) {
			if (isNotFound(error)) return;
			throw error;
		}
		if (performance.now() > deadline) {
			throw new IpvtapError('timed-out', `the guest did not let go of ${name}`, {
				hint: 'a guest that is still booting, or has no ACPI, may not; try again, or shut it down',
			});
		}
		await new Promise(resolve => setTimeout(resolve, askEveryMs));
	}
}

function isNotFound(error: unknown): boolean {
	return error instanceof IpvtapError && (error.code === 'not-found' || error.code === 'daemon-unreachable');
}

/** libvirt has waited 5 s already. */
const patienceMs = 5000;
const askEveryMs = 50;
