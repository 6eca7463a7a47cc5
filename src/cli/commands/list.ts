/** `ipvtap list`: what there is. Without a daemon that is nothing, which is no error. */
import { readConfig } from '../../config.js';
import { askIfAny } from '../../control/autostart.js';
import type { Domain, Listing, Master, Slave } from '../../control/model.js';
import { bytes, sum, table } from '../format.js';
import { hasColour, print } from '../output.js';
import { addressList, domainText } from '../slave-text.js';

export async function list({ json = false }: { json?: boolean }): Promise<void> {
	const listing = (await askIfAny<Listing>(readConfig(), 'GET', '/v1/list')) ?? { masters: [], slaves: [] };
	print(json, listing, listText(listing, hasColour(process.stdout)));
}

export function listText({ masters, slaves, domains = [] }: Listing, colour: boolean): string {
	const away = domains.filter(({ name }) => !slaves.some(({ domain }) => domain?.name === name));
	const text = [
		table(masterColumns, masters.map(masterRow), colour),
		slaveTable(slaves, colour),
		...(away.length > 0 ? [table(domainColumns, away.map(domainRow), colour)] : []),
	].join('\n');
	const problems = [...masters, ...slaves].filter(({ problem }) => problem !== undefined);
	return text + problems.map(({ name, problem }) => `\n${name}: ${problem}\n`).join('');
}

const masterColumns = [
	{ title: 'MASTER' },
	{ title: 'STATE' },
	{ title: 'MODE' },
	{ title: 'FLAG' },
	{ title: 'OFFLOAD' },
	{ title: 'HOST' },
	{ title: 'MAC' },
	{ title: 'SLAVES', right: true },
];

const slaveColumns = [
	{ title: 'SLAVE' },
	{ title: 'MASTER' },
	{ title: 'STATE' },
	{ title: 'TAP' },
	{ title: 'MAC' },
	{ title: 'RX', right: true },
	{ title: 'TX', right: true },
	{ title: 'DROPS', right: true },
	{ title: 'ADDRESSES' },
];

/** Domains of which nothing is plugged in; what is kept for the saved ones can be given up by these names. */
const domainColumns = [{ title: 'DOMAIN' }, { title: 'STATE' }, { title: 'NICS' }];

function domainRow({ name, state, nics }: Domain): string[] {
	return [name, state, nics.map(nic => [nic.name, ...nic.addresses].join(' ')).join(', ')];
}

/** With libvirt's domains in a column of their own, where there are any. */
function slaveTable(slaves: Slave[], colour: boolean): string {
	if (!slaves.some(({ domain }) => domain)) return table(slaveColumns, slaves.map(slaveRow), colour);
	const rows = slaves.map(slave => [...slaveRow(slave), domainText(slave) ?? '-']);
	return table([...slaveColumns, { title: 'DOMAIN' }], rows, colour);
}

function masterRow(master: Master): string[] {
	const { name, state, problem, mode, flag, offload, host, mac, slaves } = master;
	return [
		name,
		problem === undefined ? state : 'failed',
		mode,
		flag,
		offload,
		host ?? '-',
		mac || '-',
		String(slaves),
	];
}

function slaveRow(slave: Slave): string[] {
	const { name, master, state, problem, ifname, mac, stats } = slave;
	const shown = problem === undefined ? state : 'failed';
	return [
		name,
		master,
		shown,
		ifname,
		mac,
		bytes(stats.rx.bytes),
		bytes(stats.tx.bytes),
		String(sum(stats.drops)),
		addressList(slave),
	];
}
