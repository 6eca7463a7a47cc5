/** `ipvtap set NAME …`: addresses, limits and permissions of a slave; mode, flag, offload and ageing of a master. */
import { readConfig } from '../../config.js';
import { parseAddress } from '../../control/addresses.js';
import { askIfAny } from '../../control/autostart.js';
import { parseLimits } from '../../control/limits.js';
import type { Flag, Master, Mode, Permission, Slave } from '../../control/model.js';
import { checkInterfaceName, checkSlaveName } from '../../control/names.js';
import { IpvtapError } from '../../errors.js';
import { print, warn } from '../output.js';
import { addressList, limitList, slavePath } from '../slave-text.js';

interface SetOptions {
	json?: boolean;
	ip?: string[];
	limit?: string[];
	allow?: Permission[];
	mode?: Mode;
	flag?: Flag;
	offload?: string;
	ageing?: number;
	/** false: `--no-multicast-slave`. */
	multicastSlave?: string | false;
}

export async function set(
	name: string,
	{ json = false, ip, limit, allow, mode, flag, offload, ageing, multicastSlave }: SetOptions,
): Promise<void> {
	const nominated = multicastSlave === false ? null : multicastSlave;
	const forMaster = { mode, flag, offload, ageing, multicastSlave: nominated };
	const master = Object.values(forMaster).some(value => value !== undefined);
	const slave = [ip, limit, allow].some(value => value !== undefined);
	if (master === slave) {
		throw new IpvtapError(
			'usage',
			`ipvtap set: ${master ? '--ip, --limit and --allow are for slaves, the other options are for masters' : 'nothing to change is given'}`,
			{
				hint: 'a slave: --ip +A, --ip -A, --limit KEY=VALUE, --allow WHAT; a master: --mode, --flag, --offload, --ageing, --multicast-slave; see: ipvtap set --help',
			},
		);
	}
	if (master) {
		checkInterfaceName(name);
		const changed = await change<Master>(name, `/v1/masters/${encodeURIComponent(name)}`, forMaster);
		for (const text of changed.warnings ?? []) warn(text);
		const { mode: inMode, flag: withFlag, offload: by, ageing: after } = changed;
		print(json, changed, `${name}: mode ${inMode}, flag ${withFlag}, offload ${by}, ageing ${after} s`);
		return;
	}
	checkSlaveName(name);
	const wanted = { ...(ip && addressChange(ip)), limits: limit && parseLimits(limit), allow };
	const changed = await change<Slave>(name, slavePath(name), wanted);
	const text = limit === undefined ? '' : `, limits ${limitList(changed)}`;
	const may = allow === undefined ? '' : `, allowed ${changed.allow.join(', ') || 'nothing special'}`;
	print(json, changed, `${name}: ${addressList(changed)}${text}${may}`);
}

/** `+A` adds, `-A` removes, and `A` without a sign makes a whole new list. */
export function addressChange(
	words: string[],
): { addresses: string[] } | { add: string[]; remove: string[] } {
	const of = (sign: string) =>
		words.filter(word => word.startsWith(sign)).map(word => parseAddress(word.slice(1)));
	const change = { add: of('+'), remove: of('-') };
	const plain = words.filter(word => !/^[+-]/.test(word)).map(parseAddress);
	if (plain.length === 0) return change;
	if (plain.length === words.length) return { addresses: plain };
	throw new IpvtapError('usage', 'ipvtap set: addresses with and without a sign are mixed', {
		hint: '+A adds and -A removes; without signs, the addresses given replace those that are there',
	});
}

async function change<T>(name: string, path: string, body: unknown): Promise<T> {
	const changed = await askIfAny<T>(readConfig(), 'PATCH', path, body);
	if (changed) return changed;
	throw new IpvtapError('not-found', `no slave or master is named '${name}'`, {
		hint: 'no daemon runs, so there is none; see: ipvtap list',
	});
}
