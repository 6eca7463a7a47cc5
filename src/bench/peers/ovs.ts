import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { exec, toolsEnv } from '../../lab/command.js';
import { until } from '../../lab/wait.js';
import { type Ground, guestMac, MASTER, WIRE_MAC } from '../ground.js';
import type { Ability } from './peer.js';
import { ProcessPeer } from './process-peer.js';

/**
 * Open vSwitch without its kernel module: the netdev datapath on the TAPs' and the master's netdev side, with TSO in
 * user space (without it, frames with a partial checksum arrive broken), and flows by MAC instead of learning.
 */
export class OvsPeer extends ProcessPeer {
	readonly name = 'ovs';
	readonly about = 'Open vSwitch, userspace datapath (netdev), userspace TSO on, a static flow to each guest';
	readonly lacks: readonly Ability[] = ['many', 'daemon'];
	readonly needs = { program: 'ovs-vswitchd', package: 'openvswitch-switch' };
	readonly version = ['ovs-vswitchd', '--version'] as const;
	#taps: string[] = [];

	async prepare(ground: Ground): Promise<void> {
		const { host } = ground;
		const folder = this.makeFolder();
		this.#taps = await ground.addTaps();
		const env = {
			...toolsEnv,
			OVS_RUNDIR: folder,
			OVS_LOGDIR: folder,
			OVS_DBDIR: folder,
			OVS_SYSCONFDIR: folder,
		};
		const socket = join(folder, 'db.sock');
		const database = join(folder, 'conf.db');
		await exec('ovsdb-tool', ['create', database], { env });
		await this.processes.start(
			host,
			'ovsdb-server',
			[database, `--remote=punix:${socket}`, `--unixctl=${join(folder, 'db.ctl')}`],
			{ env, ready: () => until('ovsdb-server to listen', 5000, () => existsSync(socket)) },
		);
		const configure = (...args: string[]): Promise<string> =>
			host.exec('ovs-vsctl', [`--db=unix:${socket}`, '--timeout=20', ...args], { env });
		await configure('--no-wait', 'set', 'Open_vSwitch', '.', 'other_config:userspace-tso-enable=true');
		const control = join(folder, 'switch.ctl');
		await this.processes.start(host, 'ovs-vswitchd', [`unix:${socket}`, `--unixctl=${control}`], {
			env,
			ready: () => until('ovs-vswitchd to listen', 10_000, () => existsSync(control)),
		});
		const ports = [...this.#taps, MASTER];
		await configure(
			...['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail_mode=secure'],
			...ports.flatMap((port, index) => [
				...['--', 'add-port', 'br0', port],
				...['--', 'set', 'interface', port, `ofport_request=${index + 1}`],
			]),
		);
		const flows = [
			...[...this.#taps.map((_, guest) => guestMac(guest)), WIRE_MAC].map(
				(mac, index) => `priority=2,dl_dst=${mac},actions=output:${index + 1}`,
			),
			'priority=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=flood',
		];
		await host.exec('ovs-ofctl', ['add-flows', join(folder, 'br0.mgmt'), '-'], {
			env,
			input: `${flows.join('\n')}\n`,
		});
	}

	guestEdge(guest: number): string {
		return `tap:${this.#taps[guest]}`;
	}
}
