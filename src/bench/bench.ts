/**
 * How ipvtap compares with what else puts guests on a wire. Nothing here decides whether a number is good enough; it
 * says what was measured, on what, and how sure it is.
 *
 *   per peer a ground of its own (ground.ts, site.ts) → interleaved blocks of runs (blocks.ts, run.ts)
 *   → ratios to the runs next to them, medians with intervals (statistics.ts) → report/
 *
 * Everything happens in throwaway network namespaces; nothing of the machine's own network is touched.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asIpvtapError, IpvtapError } from '../errors.js';
import { makeFolder } from '../lab/cleanup.js';
import { run as runCommand } from '../lab/command.js';
import { type Progress, runBlocks } from './blocks.js';
import { describeMachine } from './machine.js';
import { measureForward } from './micro/forward.js';
import { countInstructions } from './micro/instructions.js';
import { measureKernel } from './micro/kernel.js';
import type { Options } from './options.js';
import { choosePeers, isCounted, lackOf, type MakePeer, peerNames } from './peers/index.js';
import type { Need, Peer } from './peers/peer.js';
import { buildPrograms } from './programs.js';
import { writePage } from './report/page.js';
import { type Absentee, merge, type PeerInfo, type Results } from './report/summary.js';
import { rows } from './rows/index.js';
import type { Row } from './rows/row.js';
import type { Run } from './run.js';
import { type Setup, Site } from './site.js';

/** Goal of the frame path: it leaves the garbage collector alone for this many frames. */
const MICRO_FRAMES = 10_000_000;
const MICRO_FRAMES_QUICK = 2_000_000;

export interface Outcome {
	results: Results;
	/** Where the raw results are. */
	raw: string;
}

/** @throws IpvtapError `permission` without root, `not-found` without a compiler, `usage`. */
export async function bench(options: Options, progress: Progress): Promise<Outcome> {
	const { results, raw } =
		options.from.length > 0
			? await earlier(options)
			: await keep(await measureAll(options, progress), options);
	if (options.report !== undefined) await writePage(options.report, results);
	return { results, raw };
}

/** What there is to choose from. */
export function listing(): { rows: { name: string; title: string; table: string }[]; peers: string[] } {
	return { rows: rows.map(({ name, title, table }) => ({ name, title, table })), peers: peerNames };
}

async function measureAll(options: Options, progress: Progress): Promise<Results> {
	const here = <T extends { name: string; needs?: Need }>(what: string, all: readonly T[]): T[] =>
		all.filter(one => {
			const lack = lackOf(one);
			if (lack !== undefined) progress.note(`warning: ${what} ${one.name} is left out: ${lack}`);
			return lack === undefined;
		});
	const chosen = here('row', chooseRows(options));
	const makers = choosePeers(options.peers, options.quick);
	const all = makers.map(make => make());
	const present = here('peer', all);
	const network =
		chosen.length > 0
			? await measureNetwork(
					chosen,
					makers.filter((_, index) => present.includes(all[index]!)),
					options,
					progress,
				)
			: nothing;
	const missing = all.flatMap(peer => {
		const why = lackOf(peer);
		return why === undefined ? [] : [{ name: peer.name, why }];
	});
	const instructions = options.instructions
		? await ifAny('instructions', () => countInstructions(namesOf(present).filter(isCounted)), progress)
		: undefined;
	const uncounted = (instructions?.failed ?? []).map(one => ({ ...one, row: 'instructions' }));
	return {
		machine: await describeMachine(),
		peers: await Promise.all(present.map(introduce)),
		absent: [...missing, ...network.failed, ...uncounted],
		rows: chosen.map(({ name }) => name),
		runs: network.runs,
		setups: network.setups,
		micro: options.micro ? await measureForward(options.quick ? MICRO_FRAMES_QUICK : MICRO_FRAMES) : [],
		kernel: options.micro ? await ifAny('the eBPF programs alone', measureKernel, progress) : undefined,
		instructions,
	};
}

async function ifAny<T>(what: string, measure: () => Promise<T>, progress: Progress): Promise<T | undefined> {
	try {
		return await measure();
	} catch (error) {
		progress.note(`\nwarning: ${what}: left out: ${asIpvtapError(error).message}`);
		return undefined;
	}
}

function namesOf(peers: readonly Peer[]): string[] {
	return peers.map(({ name }) => name);
}

interface Measured {
	runs: Run[];
	setups: Setup[];
	/** What could not be set up, or broke down on the way. */
	failed: Absentee[];
}

const nothing: Measured = { runs: [], setups: [], failed: [] };

function chooseRows({ network, quick, filters }: Options): Row[] {
	if (!network) return [];
	const chosen = filters.length
		? rows.filter(({ name }) => filters.some(filter => name.includes(filter)))
		: rows.filter(({ table }) => table === 'quick' || (table === 'usual' && !quick));
	if (chosen.length > 0) return chosen;
	throw new IpvtapError('usage', `--filter ${filters.join(' --filter ')}: no row has such a name`, {
		hint: 'ipvtap bench --list',
	});
}

async function measureNetwork(
	chosen: readonly Row[],
	makers: readonly MakePeer[],
	options: Options,
	progress: Progress,
): Promise<Measured> {
	const programs = await buildPrograms();
	const [folder, removeFolder] = makeFolder('bench');
	const sites = makers.map(make => new Site(make, programs, folder));
	try {
		const runs = await runBlocks(chosen, sites, options, progress);
		await closeAll(sites, progress);
		return {
			runs,
			setups: sites.flatMap(({ setups }) => setups),
			failed: sites.flatMap(({ name, problems }) => [...problems].map(([row, why]) => ({ name, row, why }))),
		};
	} finally {
		await closeAll(sites, progress);
		removeFolder();
	}
}

/** Nobody's results are lost because something didn't go away as it should; its namespace ends it in any case. */
async function closeAll(sites: readonly Site[], progress: Progress): Promise<void> {
	for (const site of sites) {
		await site.close().catch(error => progress.note(`\nwarning: take ${site.name} down: ${String(error)}`));
	}
}

async function introduce({ name, about, version }: Peer): Promise<PeerInfo> {
	if (version === undefined) return { name, about };
	const [file, ...args] = version;
	const { out, err } = await runCommand(file, args).catch(() => ({ out: '', err: '' }));
	return { name, about, version: (out || err).trim().split('\n', 1)[0] };
}

async function keep(results: Results, { out }: Options): Promise<Outcome> {
	await mkdir(out, { recursive: true });
	// Results are of one machine and one day: they don't belong into the project's history.
	await writeFile(join(out, '.gitignore'), '*\n');
	const raw = join(out, `${results.machine.date.replaceAll(/[:.]/g, '-')}.json`);
	await writeFile(raw, `${JSON.stringify(results)}\n`);
	return { results, raw };
}

async function earlier({ from }: Options): Promise<Outcome> {
	const sittings: Results[] = [];
	for (const file of from) sittings.push(await readResults(file));
	return { results: merge(sittings), raw: from.join(', ') };
}

async function readResults(file: string): Promise<Results> {
	try {
		return JSON.parse(await readFile(file, 'utf8')) as Results;
	} catch (cause) {
		throw new IpvtapError('not-found', `read results from ${file}: ${String(cause)}`, { cause });
	}
}
