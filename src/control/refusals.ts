/** Why what was asked for isn't done, in words. Pure. */
import { IpvtapError } from '../errors.js';
import { quote } from './names.js';
import type { DomainRecord, SlaveRecord } from './registry.js';

/** A master that is to go down, but not with its slaves. */
export function stillHasSlaves(master: string, slaves: readonly { name: string }[]): IpvtapError {
	const names = slaves
		.slice(0, 5)
		.map(({ name }) => name)
		.join(', ');
	return new IpvtapError(
		'conflict',
		`can't take ${master} down: it has ${slaves.length} slave${slaves.length > 1 ? 's' : ''} (${names}${slaves.length > 5 ? ', …' : ''})`,
		{ hint: `detach them first, or take them down with it: ipvtap down ${master} --force` },
	);
}

/** A master that is to come up, but is up with other options. */
export function isUpOtherwise(master: string, key: string, is: unknown, wanted: unknown): IpvtapError {
	const option = settable.get(key);
	return new IpvtapError('conflict', `${master} is up already, with ${key} ${is}, not ${wanted}`, {
		hint: option ? `ipvtap set ${master} ${option} ${wanted}` : `take it down first: ipvtap down ${master}`,
	});
}

/** What can be changed while it is up. */
const settable = new Map([
	['mode', '--mode'],
	['flag', '--flag'],
	['offload', '--offload'],
	['ageing', '--ageing'],
	['multicastSlave', '--multicast-slave'],
]);

/** A slave that is to be made, but there is one of that name. */
export function slaveNameInUse({ name, master, domain }: SlaveRecord): IpvtapError {
	const whose = domain ? `, of the domain ${quote(domain.name)}` : '';
	const away = domain ? `unplug it there first: ipvtap detach ${name} --domain ${domain.name}` : '';
	return new IpvtapError('conflict', `the name '${name}' is in use: it is a slave of ${master}${whose}`, {
		hint: `choose another name, or ${away || `detach it first: ipvtap detach ${name}`}`,
	});
}

/** Why a saved or migrated domain's things can't be had. */
export function holdBy({ name, state }: DomainRecord): string {
	return `it is kept for the ${state} domain ${quote(name)}`;
}

/** The hint for a name that nothing has: those that something has. */
export function known(kind: 'master' | 'slave', names: Map<string, unknown>): string {
	if (names.size === 0) {
		return kind === 'master'
			? 'none is up yet; bring one up: ipvtap up MASTER'
			: 'there is none yet; see: ipvtap attach --help';
	}
	const listed = [...names.keys()].slice(0, 10).join(', ');
	return `known: ${listed}${names.size > 10 ? `, and ${names.size - 10} more` : ''}`;
}
