/**
 * The state file: what is wanted, so that a daemon that starts after a crash finds its slaves again. It is
 * written whole and put in place by rename(2), so a reader sees the old one or the new one; one that can't be
 * understood is moved aside, never deleted and never half used.
 */
import {
	closeSync,
	fdatasyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	writeSync,
} from 'node:fs';
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

/** No file is an empty state. @throws IpvtapError if the file can't be read, or moved aside. */
export function loadState(path: string): LoadedState {
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

/** @throws IpvtapError if it can't be written; the file that was there is then still there. */
export function saveState(path: string, state: State): void {
	const fresh = `${path}.new`;
	try {
		mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
		const fd = openSync(fresh, 'w', 0o644);
		try {
			writeSync(fd, `${JSON.stringify({ version, ...state }, null, '\t')}\n`);
			fdatasyncSync(fd);
			renameSync(fresh, path);
		} catch (error) {
			rmSync(fresh, { force: true });
			throw error;
		} finally {
			closeSync(fd);
		}
	} catch (error) {
		throw fileError('write', path, error);
	}
}

/** Nothing is wanted any more. */
export function removeState(path: string): void {
	rmSync(path, { force: true });
}

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
		slave.pick({
			name: true,
			ifname: true,
			master: true,
			mac: true,
			addresses: true,
			learn: true,
			allow: true,
			queues: true,
			limits: true,
		}),
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
	const names = [...masters, ...slaves].map(one => one.name);
	const twice = names.find((name, index) => names.indexOf(name) !== index);
	if (twice !== undefined) throw new IpvtapError('failed', `'${twice}' is there twice`);
	return { masters, slaves, ...(domains === undefined ? {} : { domains }) };
}

function fileError(what: string, path: string, error: unknown): IpvtapError {
	const { code, message } = error as NodeJS.ErrnoException;
	const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
	return new IpvtapError(denied ? 'permission' : 'failed', `can't ${what} ${path}: ${code ?? message}`, {
		hint: denied
			? `run as root, or set IPVTAP_STATE_DIR to a folder of your own`
			: `look at ${dirname(path)}: is it writable, is the disk full?`,
		cause: error,
	});
}
