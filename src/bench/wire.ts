/**
 * Round trips to a machine on the user's own LAN, through the user's own NIC: the host's, and those of a guest behind
 * ipvtap. The rest of the benchmark has a make-believe wire; this says what is left of the differences on a real one.
 *
 * It brings the NIC up as a master for as long as it takes, which changes nothing of the NIC's own settings, with a
 * daemon of its own, and takes everything down again. At most 200 pings a second leave the machine.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { IpvtapError } from '../errors.js';
import { makeFolder, track } from '../lab/cleanup.js';
import { type CommandOptions, exec, type Finished, run, toolsEnv } from '../lab/command.js';
import { StackGuest } from '../lab/stack-guest.js';
import { projectFolder } from './project.js';
import { type Estimate, estimate, median } from './statistics.js';

export interface WireOptions {
	nic: string;
	/** Whom to ping, and the address that the guest may have meanwhile: one that nobody on the LAN has. IPv4. */
	to: string;
	ip: string;
	blocks: number;
}

export interface WireLine {
	who: Who;
	/** Round trips, ms, the medians over blocks. */
	p50: Estimate;
	p99: Estimate;
	/** To the host's of the same block; the host has none. */
	ratio50: Estimate | undefined;
	ratio99: Estimate | undefined;
	sent: number;
	lost: number;
}

const order = ['host', 'ipvtap', 'ipvtap-tc-bpf', 'ipvtap-tc-bpf', 'ipvtap', 'host'] as const;
type Who = (typeof order)[number];

const PINGS = 200;
const INTERVAL_S = 0.005;
/** Neighbours are found, and caches warm, before anybody looks at the clock. */
const WARMUP = 10;

interface Trips {
	who: Who;
	block: number;
	p50: number;
	p99: number;
	lost: number;
}

/** @throws IpvtapError `not-found` (no such NIC, no way to the machine), `conflict` (it is somebody's master), … */
export async function benchWire(options: WireOptions, progress: (word: string) => void): Promise<WireLine[]> {
	const { nic, to, ip, blocks } = options;
	const { prefix, gateway } = await surroundings(nic, to);
	const [folder, removeFolder] = makeFolder('bench-wire');
	const env = {
		...toolsEnv,
		IPVTAP_SOCKET: join(folder, 'ipvtap.sock'),
		IPVTAP_STATE_DIR: join(folder, 'state'),
	};
	const ipvtap = async (...args: string[]): Promise<Record<string, unknown>> => {
		const { rc, out, err } = await run(bin, [...args, '--json'], { env });
		if (rc === 0) return JSON.parse(out) as Record<string, unknown>;
		throw new IpvtapError('failed', `ipvtap ${args.join(' ')}: ${err.trim()}`);
	};
	const forget = track(() => spawnSync(bin, ['down', nic, '--force'], { env, stdio: 'ignore' }));
	let guest: StackGuest | undefined;
	try {
		await ipvtap('up', nic, '--offload', 'none');
		const slave = await ipvtap('attach', 'bench', '--master', nic, '--ip', ip);
		guest = await StackGuest.start({
			name: 'wire',
			slave: { namespace: { path: '/proc/self/ns/net' }, ifname: String(slave.ifname) },
			mac: String(slave.mac),
			addresses: [`${ip}/${prefix}`],
		});
		if (gateway !== undefined) await guest.addDefaultRoute(gateway);
		const trips: Trips[] = [];
		for (let block = 0; block < blocks; block++) {
			for (const who of order) {
				if (who !== 'host') await ipvtap('set', nic, '--offload', who === 'ipvtap' ? 'none' : 'tc-bpf');
				trips.push({ who, block, ...(await ping(who === 'host' ? run : guest.run.bind(guest), to)) });
				progress('.');
			}
		}
		return [...new Set(order)].map(who => lineOf(trips, who));
	} finally {
		await guest?.stop();
		await ipvtap('down', nic, '--force').catch(() => undefined);
		forget();
		removeFolder();
	}
}

const bin = join(projectFolder, 'bin', 'ipvtap');

/** The NIC's prefix length, and the gateway to the machine if it isn't on the LAN itself. */
async function surroundings(
	nic: string,
	to: string,
): Promise<{ prefix: number; gateway: string | undefined }> {
	const links = JSON.parse(await exec('ip', ['-j', '-4', 'address', 'show', 'dev', nic])) as {
		addr_info?: { prefixlen: number }[];
	}[];
	const prefix = links[0]?.addr_info?.[0]?.prefixlen;
	if (prefix === undefined) throw new IpvtapError('not-found', `bench ${nic}: it has no IPv4 address`);
	const routes = JSON.parse(await exec('ip', ['-j', 'route', 'get', to])) as {
		dev?: string;
		gateway?: string;
	}[];
	if (routes[0]?.dev === nic) return { prefix, gateway: routes[0].gateway };
	throw new IpvtapError(
		'not-found',
		`bench ${nic}: the way to ${to} is through ${routes[0]?.dev ?? 'nothing'}`,
	);
}

type Runner = (file: string, args: readonly string[], options?: CommandOptions) => Promise<Finished>;

async function ping(runner: Runner, to: string): Promise<Omit<Trips, 'who' | 'block'>> {
	const count = PINGS + WARMUP;
	const words = ['-n', '-i', String(INTERVAL_S), '-c', String(count), '-W', '1', to];
	const { out, err } = await runner('ping', words, { timeout: 30_000 });
	const times = [...out.matchAll(/ time=([\d.]+) ms/g)].map(([, ms]) => Number(ms));
	if (times.length <= WARMUP) {
		throw new IpvtapError(
			'failed',
			`ping ${to}: ${times.length} of ${count} came back: ${err.trim() || 'no message'}`,
		);
	}
	const sorted = times.slice(WARMUP).sort((a, b) => a - b);
	return {
		p50: median(sorted),
		p99: sorted[Math.ceil(sorted.length * 0.99) - 1]!,
		lost: count - times.length,
	};
}

function lineOf(trips: readonly Trips[], who: Who): WireLine {
	const own = trips.filter(one => one.who === who);
	const ratio = (key: 'p50' | 'p99'): Estimate | undefined =>
		who === 'host' ? undefined : estimate(own.map(one => one[key] / hostOf(trips, one.block, key)));
	return {
		who,
		p50: estimate(own.map(({ p50 }) => p50))!,
		p99: estimate(own.map(({ p99 }) => p99))!,
		ratio50: ratio('p50'),
		ratio99: ratio('p99'),
		sent: own.length * (PINGS + WARMUP),
		lost: own.reduce((sum, { lost }) => sum + lost, 0),
	};
}

function hostOf(trips: readonly Trips[], block: number, key: 'p50' | 'p99'): number {
	const host = trips.filter(one => one.who === 'host' && one.block === block);
	return host.reduce((sum, one) => sum + one[key], 0) / host.length;
}
