/**
 * Policy routing, which mode l3 doesn't follow: what the user has to know of the host's rules. Pure.
 *
 * Every host has the rules that ask the tables local, main and default. Others don't matter if they can't be about what
 * guests send: those for the host's own programs (a device they are bound to, `iif lo`) and for other devices.
 */

import { RT_TABLE_MAIN } from '../../sys/netlink/route.js';
import { FR_ACT_TO_TBL, type Rule } from '../../sys/netlink/rule.js';
import { RT_TABLE_DEFAULT, RT_TABLE_LOCAL } from './host-routes.js';

/** @param hostDevice the device by which guests' frames come to the host. @returns undefined if there is nothing to know. */
export function rulesWarning(
	rules: readonly Rule[],
	master: string,
	hostDevice: string | undefined,
): string | undefined {
	const foreign = rules.filter(rule => !isOrdinary(rule) && mayConcern(rule, hostDevice));
	const [first] = foreign;
	if (!first) return undefined;
	const priorities = [...new Set(foreign.map(({ priority }) => priority))].join(', ');
	return (
		`the host routes by rules that mode l3 doesn't follow (ip rule: ${priorities}): guests' frames go by the tables ` +
		`local, main and default alone; in mode l3s the host itself routes them: ipvtap set ${master} --mode l3s`
	);
}

function isOrdinary({ action, table, iif, oif, inverted, choosy }: Rule): boolean {
	const everybody = iif === undefined && oif === undefined && !inverted && !choosy;
	return everybody && action === FR_ACT_TO_TBL && ordinaryTables.includes(table);
}

function mayConcern({ iif, oif, inverted }: Rule, hostDevice: string | undefined): boolean {
	return inverted || (oif === undefined && (iif === undefined || iif === hostDevice));
}

const ordinaryTables: readonly number[] = [RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT];
