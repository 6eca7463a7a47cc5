/**
 * TCP and UDP between two Linux stacks, each in a namespace behind a TAP's fd with a relay in QEMU's place (relay.c).
 * What the relays cost is the same for every peer, and much: these rows say what users feel, not what a frame costs.
 */
import { spawn } from 'node:child_process';
import { exec, toolsEnv } from '../../lab/command.js';
import { StackGuest } from '../../lab/stack-guest.js';
import { until } from '../../lab/wait.js';
import { usage } from '../cpu.js';
import { guestIp, guestMac, MASTER } from '../ground.js';
import type { Peer } from '../peers/peer.js';
import type { ConnectResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

export interface TcpOptions {
	/** Of the guests: checksums and segmentation. */
	offloads: boolean;
	streams: number;
	mtu: number;
}

/** @throws IpvtapError `not-found` without iperf3. */
export function tcpTraffic(place: Place, options: TcpOptions, timing: Timing): Promise<Traffic> {
	return withStacks(place, options, ends => transfer(ends, options.streams, timing));
}

/** TCP connections opened and closed one after the other, round trips on one of them, or round trips by UDP (connect.c). */
export type ConnectMode = 'connect' | 'rr' | 'rr-udp';

/** @throws IpvtapError with the program's own words. */
export function connectTraffic(place: Place, mode: ConnectMode, timing: Timing): Promise<Traffic> {
	return withStacks(place, { offloads: true, mtu: USUAL_MTU }, ends => connect(place, ends, mode, timing));
}

export const USUAL_MTU = 1500;
const ENDS = 2;

type Ends = readonly [client: StackGuest, server: StackGuest];

async function withStacks(
	place: Place,
	options: Pick<TcpOptions, 'offloads' | 'mtu'>,
	use: (ends: Ends) => Promise<Traffic>,
): Promise<Traffic> {
	const guests: StackGuest[] = [];
	const jumbo = options.mtu !== USUAL_MTU;
	try {
		if (jumbo) await setMtu(place, options.mtu);
		for (let guest = 0; guest < ENDS; guest++) guests.push(await startGuest(place, guest, options));
		return await use(guests as unknown as Ends);
	} finally {
		for (const guest of guests) await guest.stop();
		if (jumbo) await setMtu(place, USUAL_MTU);
	}
}

/** Of the wire, and of everything on this side of it; ipvtap's TAPs follow their master by themselves. */
async function setMtu({ peer, ground }: Place, mtu: number): Promise<void> {
	const taps = Array.from({ length: ENDS }, (_, guest) => tapOf(peer, guest));
	await ground.wire.ip(`link set wire1 mtu ${mtu}`);
	await ground.host.ip(...[MASTER, ...taps].map(name => `link set ${name} mtu ${mtu}`));
	const follows = async (): Promise<boolean> =>
		(
			await ground.host.exec(
				'cat',
				taps.map(tap => `/sys/class/net/${tap}/mtu`),
			)
		).trim() === taps.map(() => mtu).join('\n');
	await until(`an MTU of ${mtu}`, 5000, follows);
}

function tapOf(peer: Peer, guest: number): string {
	return peer.guestEdge(guest).replace(/^tap:/, '');
}

async function startGuest(
	{ peer, ground }: Place,
	guest: number,
	{ offloads, mtu }: Pick<TcpOptions, 'offloads' | 'mtu'>,
): Promise<StackGuest> {
	const started = await StackGuest.start({
		name: `g${guest}-${peer.name}`,
		slave: { namespace: ground.host, ifname: tapOf(peer, guest) },
		mac: guestMac(guest),
		addresses: [`${guestIp(guest)}/16`],
		offloads,
		mtu,
		dad: false,
	});
	// Neither the C twin nor a router answers ARP for guests, and who has which MAC isn't the question here.
	for (let other = 0; other < ENDS; other++) {
		if (other === guest) continue;
		await started.namespace.ip(
			`neighbour replace ${guestIp(other)} lladdr ${peer.router?.(guest) ?? guestMac(other)} dev eth0`,
		);
	}
	return started;
}

/** Runs a server in its guest, and a client in the other one once it listens. @returns the client's JSON. */
async function ask<T>(
	[client, server]: Ends,
	port: number,
	serve: readonly string[],
	ask: readonly string[],
): Promise<{ answer: T; others: number }> {
	const [enter, ...words] = server.namespace.prefix;
	const service = spawn(enter!, [...words, ...serve], { stdio: 'ignore', env: toolsEnv });
	service.on('error', () => {});
	try {
		const listening = `ss -Hltun 'sport = :${port}' | grep -q .`;
		await until(
			`${serve[0]} to listen`,
			5000,
			async () => (await server.run('sh', ['-c', listening])).rc === 0,
		);
		const pids = [client.pid, server.pid];
		const before = usage(pids);
		const [file, ...args] = [...client.namespace.prefix, ...ask];
		const answer = JSON.parse(await exec(file!, args)) as T;
		return { answer, others: usage(pids).processes - before.processes };
	} finally {
		service.kill();
	}
}

async function transfer(ends: Ends, streams: number, timing: Timing): Promise<Traffic> {
	const seconds = String(Math.max(1, Math.round(timing.seconds)));
	const client = ['iperf3', '-c', guestIp(1), '-J', '-t', seconds, '-P', String(streams)];
	const { answer, others } = await ask<IperfAnswer>(ends, IPERF_PORT, ['iperf3', '-s', '-1'], client);
	const { sum_received: got, sum_sent: sent, cpu_utilization_percent: load } = answer.end;
	const stacks = ((load.host_total + load.remote_total) / 100) * got.seconds;
	return {
		result: { elapsed: got.seconds, bytes: got.bytes, retransmits: sent.retransmits },
		cpu: stacks + others,
	};
}

async function connect(
	{ ground }: Place,
	ends: Ends,
	mode: ConnectMode,
	{ seconds, warmup }: Timing,
): Promise<Traffic> {
	const { connect: program } = ground.programs;
	const port = String(CONNECT_PORT);
	const server = [program, mode === 'rr-udp' ? 'serve-udp' : 'serve', port];
	const client = [program, mode, guestIp(1), port, String(seconds), String(warmup)];
	const { answer, others } = await ask<ConnectResult>(ends, CONNECT_PORT, server, client);
	// The server does what the client does.
	return { result: answer, cpu: (2 * answer.cpuNs) / 1e9 + others };
}

const IPERF_PORT = 5201;
const CONNECT_PORT = 5202;

/** The part of `iperf3 -J` that is used here. */
interface IperfAnswer {
	end: {
		sum_sent: { retransmits: number };
		sum_received: { bytes: number; seconds: number };
		cpu_utilization_percent: { host_total: number; remote_total: number };
	};
}
