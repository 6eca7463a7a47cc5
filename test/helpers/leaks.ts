import { AssertionError } from 'node:assert';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { ownPrefix, watchdogName } from '../../src/lab/cleanup.js';
import { exec, run } from '../../src/lab/command.js';
import { until } from '../../src/lab/wait.js';

export interface Scope {
	/** Name of the network namespace to look into; this process's own by default. */
	namespace?: string;
	/** Processes of the machine are looked at if their command line matches; others may come and go. */
	commands?: RegExp;
	/** Network namespaces are looked at if their name matches, by default those of this process's labs. */
	namespaces?: RegExp;
	/** Processes whose open file descriptors are looked at. */
	pids?: readonly number[];
	/** Folders whose files are looked at, with all below. */
	folders?: readonly string[];
}

/** What there is of each kind, a line each; equal lines may occur more than once. */
export type Snapshot = Readonly<Record<Kind, readonly string[]>>;

/**
 * Looks at all that a program working on the network could leave behind. Only what lasts is in it:
 * counters, carrier states and remaining lifetimes aren't.
 */
export async function snapshot(scope: Scope = {}): Promise<Snapshot> {
	const inside = (command: string): Promise<string> => inNamespace(scope.namespace, command);
	const [links, groups, addresses, routes, rules, qdiscs, nft, namespaces] = await Promise.all([
		inside('ip -j -d link'),
		inside('ip -j maddress'),
		inside('ip -j address'),
		inside('ip -j -N -4 route show table all; ip -j -N -6 route show table all'),
		inside('ip -N -4 rule; ip -N -6 rule'),
		inside('tc qdisc show'),
		inside('nft list tables'),
		run('ip', ['netns', 'list']).then(({ out }) => out),
	]);
	const names = objects(links).map(link => String(link.ifname));
	return {
		links: objects(links).map(link => pick(link, linkFields)),
		groups: objects(groups).flatMap(groupLines),
		addresses: objects(addresses).flatMap(addressLines),
		routes: objects(routes).map(route => pick(route, routeFields)),
		rules: lines(rules),
		qdiscs: lines(qdiscs),
		filters: await filterLines(names, inside),
		nftTables: lines(nft),
		namespaces: lines(namespaces)
			.map(line => line.split(' ')[0]!)
			.filter(name => scope.namespaces?.test(name) ?? name.startsWith(ownPrefix)),
		processes: await processLines(scope),
		fds: (await Promise.all((scope.pids ?? []).map(fdLines))).flat(),
		files: (await Promise.all((scope.folders ?? []).map(fileLines))).flat(),
	};
}

/** @throws AssertionError naming what is new and what is missing, by kind. */
export function assertNoLeaks(before: Snapshot, after: Snapshot): void {
	const differences = kinds.flatMap(kind => [
		...without(after[kind], before[kind]).map(line => `left behind of ${kind}: ${line}`),
		...without(before[kind], after[kind]).map(line => `missing of ${kind}: ${line}`),
	]);
	if (differences.length === 0) return;
	throw new AssertionError({ message: differences.join('\n'), stackStartFn: assertNoLeaks });
}

/**
 * As {@link assertNoLeaks} with a new look at the same scope, giving what ends by itself some time: the
 * kernel removes namespaces and their devices after the call that asked for it.
 */
export async function assertNothingLeft(
	before: Snapshot,
	scope: Scope = {},
	timeout = 10_000,
): Promise<void> {
	let difference: unknown;
	const same = async (): Promise<boolean> => {
		try {
			assertNoLeaks(before, await snapshot(scope));
			return true;
		} catch (error) {
			difference = error;
			return false;
		}
	};
	await until('everything to be as before', timeout, same).catch(error => {
		throw difference ?? error;
	});
}

const kinds = [
	'links',
	'groups',
	'addresses',
	'routes',
	'rules',
	'qdiscs',
	'filters',
	'nftTables',
	'namespaces',
	'processes',
	'fds',
	'files',
] as const;
type Kind = (typeof kinds)[number];

type Fields = Record<string, unknown>;

const linkFields = ['ifname', 'address', 'mtu', 'master', 'promiscuity', 'allmulti', 'linkinfo.info_kind'];
const routeFields = ['type', 'dst', 'gateway', 'dev', 'table', 'protocol', 'scope', 'prefsrc', 'metric'];

function inNamespace(namespace: string | undefined, command: string): Promise<string> {
	const shell = ['sh', '-c', command];
	return namespace === undefined
		? exec('sh', shell.slice(1))
		: exec('ip', ['netns', 'exec', namespace, ...shell]);
}

function lines(text: string): string[] {
	return text
		.split('\n')
		.map(line => line.trim())
		.filter(Boolean);
}

/** Several JSON arrays, a line each, as one; `ip -j` writes nothing at all where there is nothing. */
function objects(text: string): Fields[] {
	return lines(text).flatMap(line => JSON.parse(line) as Fields[]);
}

function pick(object: Fields, names: readonly string[]): string {
	return names
		.map(name => {
			const value = name
				.split('.')
				.reduce<unknown>((part, key) => (part as Fields | undefined)?.[key], object);
			return value === undefined ? '' : `${name} ${String(value)}`;
		})
		.filter(Boolean)
		.join(' ');
}

function groupLines(link: Fields): string[] {
	return (link.maddr as Fields[]).map(group => `${link.ifname} ${pick(group, ['link', 'address', 'users'])}`);
}

function addressLines(link: Fields): string[] {
	return (link.addr_info as Fields[]).map(
		info => `${link.ifname} ${pick(info, ['local', 'prefixlen', 'scope'])}`,
	);
}

async function filterLines(
	names: readonly string[],
	inside: (command: string) => Promise<string>,
): Promise<string[]> {
	const commands = names.flatMap(name =>
		// A device may go away in between, and one without a qdisc of that kind has no filters.
		['ingress', 'egress'].map(
			side => `tc filter show dev ${name} ${side} 2>/dev/null | sed 's/^/${name} ${side} /'`,
		),
	);
	return lines(await inside(commands.join('\n')));
}

async function processLines({ commands, namespace }: Scope): Promise<string[]> {
	const inside = namespace === undefined ? '' : (await run('ip', ['netns', 'pids', namespace])).out;
	const members = new Set(lines(inside));
	const found = await Promise.all(
		(await readdir('/proc')).filter(isNumber).map(async pid => {
			const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
			const command = words.replaceAll('\0', ' ').trim();
			const wanted = members.has(pid) || commands?.test(command);
			return wanted && command !== '' && !command.includes(watchdogName) ? command : '';
		}),
	);
	return found.filter(Boolean);
}

/** Sockets and pipes without their numbers, which are new at each opening. */
async function fdLines(pid: number): Promise<string[]> {
	const folder = `/proc/${pid}/fd`;
	const targets = await Promise.all(
		(await readdir(folder)).map(fd => readlink(`${folder}/${fd}`).catch(() => '')),
	);
	return targets.filter(Boolean).map(target => `${pid} ${target.replace(/:\[\d+\]$/, '')}`);
}

async function fileLines(folder: string): Promise<string[]> {
	const names = await readdir(folder, { recursive: true }).catch(() => []);
	return names.map(name => `${folder}/${name}`);
}

function isNumber(name: string): boolean {
	return /^\d+$/.test(name);
}

/** The lines of `all` that are not in `others`, each line as often as it is there too many. */
function without(all: readonly string[], others: readonly string[]): string[] {
	const left = new Map<string, number>();
	for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
	return all.filter(line => {
		const count = left.get(line) ?? 0;
		left.set(line, count - 1);
		return count <= 0;
	});
}
