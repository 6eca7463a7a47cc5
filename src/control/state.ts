/**
 * The state file: what is wanted, so that a daemon that starts after a crash finds its slaves again. It is
 * written whole and put in place by rename(2), so a reader sees the old one or the new one; one that can't be
 * understood is moved aside, never deleted and never half used.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { limits } from '../config.js';
import { asIpvtapError, IpvtapError } from '../errors.js';
import { parseAddress } from './addresses.js';
import { limitsFile } from './limits-schema.js';
import { domainStates, flags, modes, origins, permissions } from './model.js';
import { checkInterfaceName, checkSlaveName, parseMac } from './names.js';
import { type DomainRecord, defaultAgeing, type MasterRecord, type SlaveRecord } from './registry.js';

export interface State {
	masters: MasterRecord[];
	slaves: SlaveRecord[];
	/** Absent: there are none. */
	domains?: DomainRecord[];
}

/** What was found: the state, or where the unreadable file is now, and why it couldn't be read. */
export interface LoadedState {
	state: State;
	broken?: { movedTo: string; why: string };
}

/**
 * One daemon's state file. A change is written down before it is made, where a daemon after this finds it should this one
 * be killed; it is brought to the disk meanwhile, and takes the file's place when it is there:
 *
 *     state.json.new → state.json.sync → state.json
 *
 * So a machine that loses its power may come back with the state of a moment before, but not with half of one.
 */
export class StateFile {
	readonly #path: string;
	readonly #fresh: string;
	readonly #onItsWay: string;
	readonly #failed: (error: IpvtapError) => void;
	#settled: Promise<void> = Promise.resolve();
	#waits = false;

	/** @param failed is told when what was saved can't be brought to the disk. */
	constructor(path: string, failed: (error: IpvtapError) => void) {
		this.#path = path;
		this.#fresh = `${path}.new`;
		this.#onItsWay = `${path}.sync`;
		this.#failed = failed;
	}

	/** No file is an empty state. @throws IpvtapError if the file can't be read, or moved aside. */
	load(): LoadedState {
		for (const newer of [this.#fresh, this.#onItsWay]) {
			try {
				return { state: parseState(readFileSync(newer, 'utf8')) };
			} catch {
				// Not there, as nearly always; or the machine, and not the daemon, went down while it was on its way.
			}
		}
		return loadWhole(this.#path);
	}

	/** @throws IpvtapError if it can't be written; what was saved before is still there. */
	save(state: State): void {
		try {
			mkdirSync(dirname(this.#path), { recursive: true, mode: 0o755 });
			writeWhole(this.#fresh, `${this.#path}.tmp`, textOf(state));
		} catch (error) {
			throw fileError('write', this.#path, error);
		}
		if (this.#waits) return;
		this.#waits = true;
		this.#settled = this.#settled.then(() => this.#settle());
	}

	/** Resolves when all that was saved until now is on the disk, or `failed` has been told. */
	settled(): Promise<void> {
		return this.#settled;
	}

	/** Nothing is wanted any more. */
	async remove(): Promise<void> {
		await this.#settled;
		for (const path of [this.#fresh, this.#onItsWay, this.#path]) rmSync(path, { force: true });
	}

	async #settle(): Promise<void> {
		// What is saved from here on has its own turn.
		this.#waits = false;
		try {
			renameSync(this.#fresh, this.#onItsWay);
			const file = await open(this.#onItsWay);
			await file.datasync().finally(() => file.close());
			renameSync(this.#onItsWay, this.#path);
		} catch (error) {
			this.#failed(fileError('bring to the disk', this.#path, error));
		}
	}
}

function loadWhole(path: string): LoadedState {
	let text: string;
	try {
		text = readFileSync(path, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { state: { masters: [], slaves: [] } };
		throw fileError('read', path, error);
	}
	try {
		return { state: parseState(text) };
	} catch (error) {
		const movedTo = `${path}.broken-${new Date().toISOString().replaceAll(':', '')}`;
		renameSync(path, movedTo);
		return { state: { masters: [], slaves: [] }, broken: { movedTo, why: asIpvtapError(error).message } };
	}
}

function writeWhole(path: string, half: string, text: string): void {
	try {
		writeFileSync(half, text, { mode: 0o644 });
		renameSync(half, path);
	} catch (error) {
		rmSync(half, { force: true });
		throw error;
	}
}

/** A line for each record, made once: records are never changed, but others put in their place. */
function textOf({ masters, slaves, domains }: State): string {
	const parts = Object.entries({ masters, slaves, ...(domains === undefined ? {} : { domains }) });
	const lists = parts.map(
		([name, records]) => `"${name}": [\n\t\t${records.map(lineOf).join(',\n\t\t')}\n\t]`,
	);
	return `{\n\t"version": ${version},\n\t${lists.join(',\n\t')}\n}\n`;
}

function lineOf(record: object): string {
	const line = lines.get(record) ?? JSON.stringify(record);
	lines.set(record, line);
	return line;
}

const lines = new WeakMap<object, string>();

/** @throws IpvtapError `permission` or `failed`. */
export function makeStateDir(dir: string): void {
	try {
		mkdirSync(dir, { recursive: true, mode: 0o755 });
	} catch (error) {
		throw fileError('make the folder', dir, error);
	}
}

const version = 1;

/** The rule of the registry, so that a file edited by hand can't bring in what a command couldn't. */
const checkedBy = (check: (text: string) => string) =>
	z.string().refine(
		text => {
			try {
				return check(text) === text;
			} catch {
				return false;
			}
		},
		{ error: 'not a valid value' },
	);

const master = z.strictObject({
	name: checkedBy(checkInterfaceName),
	mode: z.enum(modes),
	flag: z.enum(flags),
	offload: z.string(),
	host: z.boolean(),
	backlogFrames: z.int().min(1),
	ageing: z.int().min(1).default(defaultAgeing),
	implicit: z.boolean(),
	hostInterface: checkedBy(checkInterfaceName).nullable(),
	multicastSlave: checkedBy(checkSlaveName).exactOptional(),
	/** Nothing but forwarding, whatever somebody wrote into the file. */
	settings: z
		.record(z.string().regex(/^ipv[46]\/conf\/[^/]+\/(force_)?forwarding$/), z.string().regex(/^[01]$/))
		.exactOptional(),
});

/** libvirt refuses only '/', a leading '.' and control characters. */
const domainName = z.string().min(1).max(255);

const slave = z.strictObject({
	name: checkedBy(checkSlaveName),
	master: checkedBy(checkInterfaceName),
	ifname: checkedBy(checkInterfaceName),
	mac: checkedBy(parseMac),
	addresses: z.array(checkedBy(parseAddress)).max(limits.addressesPerSlave),
	remembered: z
		.array(
			z.strictObject({
				address: checkedBy(parseAddress),
				family: z.enum(['inet', 'inet6']),
				origin: z.enum(origins),
				since: z.iso.datetime().exactOptional(),
				expires: z.iso.datetime().exactOptional(),
				duplicate: checkedBy(parseMac).exactOptional(),
			}),
		)
		.exactOptional(),
	learn: z.boolean(),
	allow: z.array(z.enum(permissions)).exactOptional(),
	queues: z.int().min(1).max(limits.queues),
	owner: z.int().min(0),
	ephemeral: z.boolean(),
	rxFilter: z.union([z.string().min(1).max(107), z.literal(true)]).exactOptional(),
	domain: z
		.strictObject({ name: domainName, uuid: z.string().max(36), alias: z.string().max(255).exactOptional() })
		.exactOptional(),
	closed: z.literal(true).exactOptional(),
	limits: limitsFile.exactOptional(),
});

const domain = z.strictObject({
	name: domainName,
	uuid: z.string().max(36),
	state: z.enum(domainStates),
	before: z.enum(['saved', 'migrated']).exactOptional(),
	nics: z.array(
		slave
			.pick({
				name: true,
				ifname: true,
				master: true,
				mac: true,
				addresses: true,
				learn: true,
				allow: true,
				queues: true,
				limits: true,
			})
			.extend({ plugged: z.literal(true).exactOptional() }),
	),
});

const file = z.strictObject({
	version: z.literal(version),
	masters: z.array(master),
	slaves: z.array(slave),
	domains: z.array(domain).exactOptional(),
});

function parseState(text: string): State {
	const parsed = file.safeParse(JSON.parse(text));
	if (!parsed.success) {
		const issue = parsed.error.issues[0];
		throw new IpvtapError('failed', `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`);
	}
	const { masters, slaves, domains } = parsed.data;
	const orphan = slaves.find(one => !masters.some(other => other.name === one.master));
	if (orphan)
		throw new IpvtapError('failed', `slave '${orphan.name}' has a master that isn't there: ${orphan.master}`);
	// A slave and a master of one name are no commands' doing, but whoever renames an interface asks nobody.
	for (const records of [masters, slaves]) {
		const names = records.map(one => one.name);
		const twice = names.find((name, index) => names.indexOf(name) !== index);
		if (twice !== undefined) throw new IpvtapError('failed', `'${twice}' is there twice`);
	}
	return { masters, slaves, ...(domains === undefined ? {} : { domains }) };
}

/** @param what failed, as in `can't write PATH: EIO`. */
export function fileError(what: string, path: string, error: unknown): IpvtapError {
	const { code, message } = error as NodeJS.ErrnoException;
	const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
	return new IpvtapError(denied ? 'permission' : 'failed', `can't ${what} ${path}: ${code ?? message}`, {
		hint: denied
			? `run as root, or set IPVTAP_STATE_DIR to a folder of your own`
			: `look at ${dirname(path)}: is it writable, is the disk full?`,
		cause: error,
	});
}
