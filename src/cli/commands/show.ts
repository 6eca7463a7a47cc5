/** `ipvtap show NAME`: everything about one slave or master. */
import { readConfig } from '../../config.js';
import { askIfAny } from '../../control/autostart.js';
import type { Master, Slave, SlaveStats } from '../../control/model.js';
import { IpvtapError } from '../../errors.js';
import { bytes, details, reasons } from '../format.js';
import { print } from '../output.js';
import { addressText, domainText, limitList, slavePath } from '../slave-text.js';

export async function show(name: string, { json = false }: { json?: boolean }): Promise<void> {
	const found = await find(name);
	print(json, found, 'ifname' in found ? slaveText(found) : masterText(found));
}

/** Slaves and masters share their names, so there is at most one. @throws IpvtapError `not-found`. */
export async function find(name: string): Promise<Slave | Master> {
	const config = readConfig();
	for (const path of [slavePath(name), `/v1/masters/${encodeURIComponent(name)}`]) {
		try {
			const found = await askIfAny<Slave | Master>(config, 'GET', path);
			if (found) return found;
		} catch (error) {
			if (!(error instanceof IpvtapError) || error.code !== 'not-found') throw error;
		}
	}
	throw new IpvtapError('not-found', `no slave or master is named '${name}'`, {
		hint: 'see what there is: ipvtap list',
	});
}

function slaveText(slave: Slave): string {
	return details([
		['slave', slave.name],
		['master', `${slave.master} (mode ${slave.mode}, offload ${slave.offload})`],
		['state', stateText(slave)],
		['domain', domainText(slave)],
		[
			'TAP',
			`${slave.ifname} (interface ${slave.ifindex}, ${slave.queues} queue${slave.queues > 1 ? 's' : ''}, owner ${slave.owner})`,
		],
		['MAC', slave.mac],
		['MTU', String(slave.mtu)],
		['addresses', slave.addresses.map(entry => addressText(entry)).join(', ') || 'none yet'],
		['learning', slave.learn ? 'on' : 'off'],
		['limits', limitList(slave)],
		...(slave.allow.length > 0 ? ([['allowed', slave.allow.join(', ')]] as const) : []),
		['groups', groupsText(slave.groups)],
		...statsEntries(slave.stats),
		['QEMU', slave.qemuArgs.join(' ')],
	]);
}

/** `IPv4 all; IPv6 ff02::fb, ff02::1:ff00:11` */
function groupsText({ inet, inet6, refused }: Slave['groups']): string {
	const list = (groups: 'all' | string[]) => (groups === 'all' ? groups : groups.join(', ') || 'none');
	const beyond = refused === undefined ? '' : `; ${refused} joins were beyond the quota`;
	return `IPv4 ${list(inet)}; IPv6 ${list(inet6)}${beyond}`;
}

function masterText(master: Master): string {
	return details([
		['master', `${master.name} (interface ${master.ifindex})`],
		['state', stateText(master)],
		...(master.warnings ?? []).map(text => ['warning', text] as const),
		['mode', master.mode],
		['flag', master.flag],
		['offload', master.offload + (master.offloadDetail ? ` (${master.offloadDetail})` : '')],
		['NIC', nicText(master)],
		['ageing', `${master.ageing} s`],
		['host', master.host ?? (master.problem === undefined ? 'kept apart' : undefined)],
		['multicast', master.multicastSlave],
		['MAC', master.mac],
		['MTU', String(master.mtu)],
		['slaves', String(master.slaves)],
		...statsEntries(master.stats),
	]);
}

/** By ethtool's names, so that they can be looked up. */
function nicText({ nic }: Master): string | undefined {
	return nic && `hw-tc-offload ${nic.hwTcOffload}, l2-fwd-offload ${nic.l2FwdOffload}`;
}

function stateText({ state, problem }: { state: string; problem?: string }): string {
	return problem === undefined ? state : `${state}: ${problem}`;
}

function statsEntries({ rx, tx, drops, queued }: SlaveStats): [string, string][] {
	return [
		['received', `${rx.packets} frames, ${bytes(rx.bytes)}`],
		['sent', `${tx.packets} frames, ${bytes(tx.bytes)}`],
		['dropped', reasons(drops)],
		['queued', String(queued)],
	];
}
