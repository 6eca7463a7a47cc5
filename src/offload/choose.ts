/** From what the user asked for to a hook: `none`, `auto`, one of ours by name, or the path of a module of the user's own. */
import { statSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ModeName } from '../datapath/port-state.js';
import { IpvtapError } from '../errors.js';
import type { XmitOffload } from './offload.js';
import { TcBpf, type TcBpfOptions } from './tc-bpf/tc-bpf.js';
import { TcFlower } from './tc-flower/tc-flower.js';

export interface Choice {
	hook?: XmitOffload;
	/** Why there is none, where one would have been welcome. */
	reason?: string;
}

/** Is this something that `--offload` can be? What it takes is found out later. @throws IpvtapError `usage`. */
export function checkOffload(wanted: string): void {
	if (words.includes(wanted) || isAbsolute(wanted)) return;
	throw new IpvtapError('usage', `offload '${wanted}': there is no such hook`, {
		hint: `use ${words.join(', ')}, or the absolute path of a module (docs/offload.md)`,
	});
}

/**
 * @param mode of the port. @throws IpvtapError for a hook that was asked for by name and can't be had, saying what is
 * missing. `auto` is tc-bpf where it can be had, and otherwise none, with that as the reason.
 */
export async function chooseOffload(
	wanted: string,
	mode: ModeName,
	env: NodeJS.ProcessEnv = process.env,
): Promise<Choice> {
	checkOffload(wanted);
	if (wanted === 'none') return {};
	const hook = isAbsolute(wanted) ? await loadModule(wanted) : ourOwn(wanted, tcBpfOptions(env));
	const reason = await hook.probe(mode);
	if (reason === undefined) return { hook };
	if (wanted === 'auto') return { reason };
	throw new IpvtapError('failed', `offload '${wanted}': ${reason}`, {
		hint: 'without it: --offload none; see what it needs: docs/offload.md',
	});
}

const words = ['auto', 'none', 'tc-bpf', 'tc-flower'];

function ourOwn(wanted: string, options: TcBpfOptions): XmitOffload {
	return wanted === 'tc-flower' ? new TcFlower(options) : new TcBpf(options);
}

/** `IPVTAP_TC_ATTACH` is for tests, and for kernels that have what they should not be asked for. */
function tcBpfOptions({ IPVTAP_TC_ATTACH }: NodeJS.ProcessEnv): TcBpfOptions {
	return IPVTAP_TC_ATTACH === 'tcx' || IPVTAP_TC_ATTACH === 'clsact' ? { attach: IPVTAP_TC_ATTACH } : {};
}

/** What a module's function is called with, so that it need not find ipvtap's own files. */
const kit = { TcBpf, IpvtapError };
export type OffloadKit = typeof kit;

/** A module runs with all the daemon's rights, so nobody else may be able to change it. */
async function loadModule(path: string): Promise<XmitOffload> {
	const what = `offload '${path}'`;
	for (const file of [path, dirname(path)]) {
		const { uid, mode } = stat(file, what);
		if ((uid !== 0 && uid !== process.geteuid?.()) || (mode & 0o022) !== 0) {
			throw new IpvtapError('permission', `${what}: others than root may change ${file}`, {
				hint: `sudo chown root ${file} && sudo chmod go-w ${file}`,
			});
		}
	}
	let module: { default?: unknown };
	try {
		module = (await import(pathToFileURL(path).href)) as { default?: unknown };
	} catch (error) {
		throw new IpvtapError('failed', `${what}: it can't be loaded: ${(error as Error).message}`, {
			cause: error,
		});
	}
	const { default: made } = module;
	const hook: unknown = typeof made === 'function' ? await made(kit) : made;
	if (isHook(hook)) return hook;
	throw new IpvtapError('usage', `${what}: its default export neither is nor makes an XmitOffload`, {
		hint: 'it takes name, probe() and open(); see docs/offload.md',
	});
}

function stat(file: string, what: string): { uid: number; mode: number } {
	try {
		return statSync(file);
	} catch (error) {
		throw new IpvtapError('not-found', `${what}: there is no such file`, { cause: error });
	}
}

function isHook(value: unknown): value is XmitOffload {
	if (typeof value !== 'object' || value === null) return false;
	const { name, probe, open } = value as Partial<XmitOffload>;
	return typeof name === 'string' && typeof probe === 'function' && typeof open === 'function';
}
