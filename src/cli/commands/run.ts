/**
 * `ipvtap run -- qemu…`: a slave for the life of one QEMU. The TAP goes with QEMU's last descriptor, however
 * QEMU or we end, and the daemon then forgets the slave; taking it back here only makes that certain before the
 * shell has its prompt again.
 */
import { runQemu } from '../../../qemu/run.js';
import { vhostAvailable } from '../../../qemu/vhost.js';
import { type Config, readConfig } from '../../config.js';
import { ask } from '../../control/autostart.js';
import { call } from '../../control/client.js';
import type { Listing, Slave } from '../../control/model.js';
import { IpvtapError } from '../../errors.js';
import { requireSameNamespace } from '../namespace.js';
import { note, print } from '../output.js';
import { type SlaveOptions, slaveBody } from '../slave-request.js';
import { slavePath, summary } from '../slave-text.js';

interface RunOptions extends SlaveOptions {
	json?: boolean;
	name?: string;
}

/** @returns QEMU's exit status. */
export async function run(qemu: string[], options: RunOptions): Promise<number> {
	const config = readConfig();
	const slave = await attach(config, qemu, options);
	try {
		await requireSameNamespace(config);
		note(`attached ${summary(slave)}`);
		const { rxFilter: qmp } = slave;
		const status = await runQemu({
			slave,
			argv: qemu,
			vhost: vhostAvailable(),
			...(qmp === undefined ? {} : { qmp }),
		});
		if (options.json) print(true, { ...slave, exitStatus: status }, '');
		return status;
	} finally {
		// It may be gone, and its daemon with it.
		await call(config.socket, 'DELETE', slavePath(slave.name)).catch(() => undefined);
	}
}

async function attach(config: Config, qemu: string[], options: RunOptions): Promise<Slave> {
	const given = options.name ?? qemuName(qemu);
	const body = { ...slaveBody(given ?? 'vm1', options), ephemeral: true, rxFilter: true };
	const put = (name: string): Promise<Slave> => ask<Slave>(config, 'PUT', slavePath(name), body);
	if (given !== undefined) return put(given);
	for (let attempt = 1; ; attempt++) {
		const name = await freeName(config);
		try {
			return await put(name);
		} catch (error) {
			// Another `run` took the name in between.
			const taken =
				error instanceof IpvtapError && error.code === 'conflict' && error.message.includes(`name '${name}'`);
			if (!taken || attempt === attemptsMax) throw error;
		}
	}
}

/** `-name web1` or `-name guest=web1,…`, if it can be a slave's name as it is. */
function qemuName(qemu: string[]): string | undefined {
	const value = qemu[qemu.findIndex(word => word === '-name' || word === '--name') + 1];
	const first =
		qemu.includes('-name') || qemu.includes('--name')
			? value?.split(',')[0]?.replace(/^guest=/, '')
			: undefined;
	return first !== undefined && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(first) ? first : undefined;
}

async function freeName(config: Config): Promise<string> {
	const { masters, slaves } = await ask<Listing>(config, 'GET', '/v1/list');
	const taken = new Set([...masters, ...slaves].map(({ name }) => name));
	for (let number = 1; ; number++) {
		if (!taken.has(`vm${number}`)) return `vm${number}`;
	}
}

const attemptsMax = 20;
