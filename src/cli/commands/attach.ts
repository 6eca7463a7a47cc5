/**
 * `ipvtap attach NAME`: makes a slave. On stdout are the arguments for its guest and nothing else, so that
 * `$(ipvtap attach …)` works; with --qmp the guest gets it at once, and if that fails there is no slave.
 */
import { resolve } from 'node:path';
import { type Format, formats, slaveArguments } from '../../../qemu/netdev.js';
import { type Config, readConfig } from '../../config.js';
import { ask } from '../../control/autostart.js';
import type { Slave } from '../../control/model.js';
import { IpvtapError } from '../../errors.js';
import { requireSameNamespace } from '../namespace.js';
import { note, print } from '../output.js';
import { type SlaveOptions, slaveBody } from '../slave-request.js';
import { slavePath, summary } from '../slave-text.js';

interface AttachOptions extends SlaveOptions {
	json?: boolean;
	owner?: string;
	format: string;
	qmp?: string;
	rxFilter?: string;
	domain?: string;
}

export async function attach(name: string, options: AttachOptions): Promise<void> {
	const { json = false, owner, qmp, rxFilter, domain } = options;
	const format = checkFormat(options.format);
	const body = {
		...slaveBody(name, options),
		owner,
		...(rxFilter === undefined ? {} : { rxFilter: resolve(rxFilter) }),
	};
	if (domain !== undefined) {
		const { plugIntoDomain } = await import('./libvirt-plug.js');
		return plugIntoDomain(name, domain, body, json);
	}
	const config = readConfig();
	const slave = await ask<Slave>(config, 'PUT', slavePath(name), body);
	const words = await orTakeBack(config, name, async () => {
		if (qmp !== undefined) await plugIn(config, slave, qmp);
		return slaveArguments(slave, format, { vhost: slave.qemuArgs.some(word => word.includes('vhost=on')) });
	});
	note(`attached ${summary(slave)}`);
	if (qmp === undefined) print(json, { ...slave, format, arguments: words }, words.join(' '));
	else print(json, slave, '');
}

async function plugIn(config: Config, slave: Slave, qmpPath: string): Promise<void> {
	await requireSameNamespace(config);
	const { hotPlug } = await import('../../../qemu/hotplug.js');
	const { vhostAvailable } = await import('../../../qemu/vhost.js');
	await hotPlug({ qmpPath, slave, vhost: vhostAvailable() });
}

/** What was made for nothing goes again; the error that matters is the first one. */
async function orTakeBack<T>(config: Config, name: string, use: () => Promise<T>): Promise<T> {
	try {
		return await use();
	} catch (error) {
		await ask(config, 'DELETE', slavePath(name)).catch(() => undefined);
		throw error;
	}
}

function checkFormat(format: string): Format {
	const known = formats.find(one => one === format);
	if (known) return known;
	throw new IpvtapError('usage', `ipvtap attach: there is no format '${format}'`, {
		hint: `choose one of ${formats.join(', ')}`,
	});
}
