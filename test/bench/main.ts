/**
 * `npm run bench`: how ipvtap compares with what else puts guests on a wire. Nothing here decides whether a number is
 * good enough; it says what was measured, on what, and how sure it is.
 *
 *   per peer a ground of its own (ground.ts) → interleaved blocks of runs (blocks.ts, run.ts)
 *   → ratios within a block, medians with intervals (statistics.ts) → tables and raw results
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asIpvtapError, exitStatus, IpvtapError } from '../../src/errors.js';
import { makeFolder } from '../../src/lab/cleanup.js';
import { runBlocks } from './blocks.js';
import { Ground } from './ground.js';
import { describeMachine } from './machine.js';
import { measureForward } from './micro/forward.js';
import { type Options, parseOptions, usage } from './options.js';
import { choosePeers, peerNames } from './peers/index.js';
import type { Peer } from './peers/peer.js';
import { buildPrograms } from './programs.js';
import { markdownReport, type Results, textReport } from './report.js';
import { type Row, rows } from './rows.js';
import type { Run, Site } from './run.js';
import { spoiled } from './statistics.js';

/** Goal of design 8: the frame path leaves the garbage collector alone for this many frames. */
const MICRO_FRAMES = 10_000_000;
const MICRO_FRAMES_QUICK = 2_000_000;

async function bench(options: Options): Promise<void> {
	const chosen = chooseRows(options);
	const peers = choosePeers(options.peers);
	const results: Results = {
		machine: await describeMachine(),
		peers: peers.map(({ name, about }) => ({ name, about })),
		rows: chosen,
		runs: chosen.length > 0 ? await network(chosen, peers, options) : [],
		micro: options.micro ? await measureForward(options.quick ? MICRO_FRAMES_QUICK : MICRO_FRAMES) : [],
	};
	const path = await keep(results, options);
	if (options.markdown !== undefined) await writeFile(options.markdown, markdownReport(results));
	process.stdout.write(`${textReport(results)}\nraw results: ${path}\n`);
}

function chooseRows({ network, quick, filters }: Options): Row[] {
	if (!network) return [];
	const chosen = filters.length
		? rows.filter(({ name }) => filters.some(filter => name.includes(filter)))
		: rows.filter(row => row.quick || !quick);
	if (chosen.length > 0) return chosen;
	throw new IpvtapError('usage', `--filter ${filters.join(' --filter ')}: no row has such a name`, {
		hint: 'npm run bench -- --list',
	});
}

async function network(chosen: readonly Row[], peers: readonly Peer[], options: Options): Promise<Run[]> {
	const programs = await buildPrograms();
	const [folder, removeFolder] = makeFolder('bench');
	const sites: Site[] = [];
	try {
		for (const peer of peers) {
			const ground = await Ground.make(peer.name, programs);
			sites.push({ peer, ground, folder });
			await peer.prepare(ground);
		}
		return await runBlocks(chosen, sites, options, progress);
	} finally {
		for (const { peer, ground } of sites) {
			await peer.close();
			await ground.remove();
		}
		removeFolder();
	}
}

/** One line per row and block on stderr: what stdout has can be kept. */
const progress = {
	row: ({ name }: Row, block: number): void => {
		process.stderr.write(`\nblock ${block + 1}  ${name} `);
	},
	run: (run: Run): void => {
		process.stderr.write(spoiled(run) ? 'x' : '.');
	},
};

async function keep(results: Results, { out }: Options): Promise<string> {
	process.stderr.write('\n');
	await mkdir(out, { recursive: true });
	// Results are of one machine and one day: they don't belong into the project's history.
	await writeFile(join(out, '.gitignore'), '*\n');
	const path = join(out, `${results.machine.date.replaceAll(/[:.]/g, '-')}.json`);
	await writeFile(path, `${JSON.stringify(results, undefined, '\t')}\n`);
	return path;
}

function listing(): string {
	const lines = rows.map(
		({ name, title, quick }) => `  ${name.padEnd(16)} ${title}${quick ? '  (quick)' : ''}`,
	);
	return `rows\n${lines.join('\n')}\npeers\n  ${peerNames.join('\n  ')}\n`;
}

try {
	const options = parseOptions(process.argv.slice(2));
	if (options === 'help') process.stdout.write(usage);
	else if (options === 'list') process.stdout.write(listing());
	else await bench(options);
} catch (thrown) {
	const error = asIpvtapError(thrown);
	process.stderr.write(`error: ${error.message}\n${error.hint ? `hint: ${error.hint}\n` : ''}`);
	process.exitCode = exitStatus[error.code];
}
