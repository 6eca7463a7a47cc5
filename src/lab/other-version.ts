/**
 * Another version of the offload, as far as a daemon of this one could tell: the same source with other structures, whose
 * maps lie otherwise and number the edges in another order, in the place of what a daemon that was killed had attached.
 */
import { createHash } from 'node:crypto';
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EDGE_HOST } from '../datapath/verdict.js';
import { IpvtapError } from '../errors.js';
import { type ProgramName, programNames } from '../offload/tc-bpf/kernel-object.js';
import {
	addressBytes,
	indexBytes,
	type MapName,
	mapShapes,
	ownerBytes,
	portBytes,
	senderBytes,
} from '../offload/tc-bpf/layout.js';
import { Pins } from '../offload/tc-bpf/pins.js';
import { swapProgram } from '../sys/bpf/link.js';
import { BpfObject } from '../sys/bpf/object.js';
import { closeFd } from '../sys/fd.js';
import { replaceBpfFilter } from '../sys/netlink/tc.js';
import { cached } from './cache.js';
import { exec } from './command.js';

export interface OtherParty {
	/** Of the device that its frames come from; of the host that's the near end of its slave. */
	ifindex: number;
	mac: string;
	addresses: readonly string[];
}

export interface OtherPort {
	master: number;
	host: OtherParty;
	slaves: readonly OtherParty[];
}

/** Where the daemon that was killed has its links; without, it has filters. */
export type OtherPlace = { stateDir: string } | 'clsact';

/**
 * Compiles it: every structure that is looked up begins with eight bytes more.
 * @returns the object, kept in the cache. @throws IpvtapError `not-found` without clang-14.
 */
export async function buildOtherVersion(): Promise<string> {
	const hash = createHash('sha256').update(HEAD);
	for (const name of (await readdir(sources)).sort()) hash.update(await readFile(join(sources, name)));
	return cached(`other-version-${hash.digest('hex').slice(0, 16)}.o`, async path => {
		const folder = `${path}.d`;
		try {
			await cp(sources, folder, { recursive: true });
			const header = join(folder, 'port.h');
			const source = await readFile(header, 'utf8');
			const changed = source.replace(/^struct (owner|sender|port) \{$/gm, `$&${HEAD}`);
			if (changed.length - source.length !== 3 * HEAD.length) {
				throw new IpvtapError('failed', `make another version of ${header}: it isn't what it was`);
			}
			await writeFile(header, changed);
			await exec(join(folder, 'build.sh'), []);
			await rename(join(folder, 'ipvtap.bpf.o'), path);
		} finally {
			await rm(folder, { recursive: true, force: true });
		}
	});
}

/**
 * Loads it, tells it of everybody, and swaps the programs, device by device. Runs in the port's namespace.
 * @throws IpvtapError, SysError, NetlinkError.
 */
export function leaveOtherVersion(path: string, port: OtherPort, place: OtherPlace): void {
	const object = new BpfObject(path);
	try {
		for (const name of programNames) object.leaveOut(`${name}_probing`);
		object.load();
		know(object, port);
		takeThePlace(object, port, place);
	} finally {
		object.close();
	}
}

/** Everybody, by numbers of its own. */
function know(object: BpfObject, { master, host, slaves }: OtherPort): void {
	const values = {
		master,
		host: host.ifindex,
		punt: 0,
		mtu: 1500,
		flag: 'bridge',
		slaves: slaves.length,
		mac: host.mac,
		nominated: false,
		seats: 0,
	} as const;
	set(object, 'port', indexBytes(0), portBytes(values));
	for (const [index, { ifindex, mac, addresses }] of [host, ...slaves.toReversed()].entries()) {
		const edge = EDGE_HOST + index;
		set(object, 'senders', indexBytes(ifindex), senderBytes({ edge, mac, learns: false }));
		for (const address of addresses) {
			const { map, key } = addressBytes(address);
			set(object, map, key, ownerBytes({ edge, ifindex, mac }));
		}
	}
}

function set(object: BpfObject, name: MapName, key: Uint8Array, value: Uint8Array): void {
	const shape = mapShapes[name];
	object.map(name, shape.key, shape.value + MORE).set(key, Buffer.concat([Buffer.alloc(MORE), value]));
}

function takeThePlace(object: BpfObject, { master, host, slaves }: OtherPort, place: OtherPlace): void {
	const devices: [number, ProgramName][] = [
		...slaves.map(({ ifindex }) => [ifindex, 'from_slave'] as [number, ProgramName]),
		[master, 'from_wire'],
		[host.ifindex, 'from_host'],
	];
	const pins = place === 'clsact' ? undefined : Pins.open(place.stateDir, master);
	for (const [ifindex, name] of devices) {
		const program = object.program(name);
		if (place === 'clsact') {
			const filter = { priority: 0x4975, handle: 1, program, name: `ipvtap/${master}/${name}` };
			replaceBpfFilter(ifindex, 'ingress', filter);
			continue;
		}
		const link = pins?.get(`${ifindex}-${name}`);
		if (link === undefined) throw new IpvtapError('not-found', `device ${ifindex} has no link of ${name}`);
		swapProgram(link, program);
		closeFd(link);
	}
}

const HEAD = '\n\t__u64 other_version;';
const MORE = 8;
const sources = fileURLToPath(new URL('../../../bpf/', import.meta.url));
