/**
 * TCP between two Linux stacks, each in a namespace behind a TAP's fd with a relay in QEMU's place (relay.c). What the
 * relays cost is the same for every peer, and much: this row says what users of TCP feel, not what a frame costs.
 */
import { spawn } from 'node:child_process';
import { exec, toolsEnv } from '../../lab/command.js';
import { StackGuest } from '../../lab/stack-guest.js';
import { until } from '../../lab/wait.js';
import { usage } from '../cpu.js';
import { guestIp, guestMac } from '../ground.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

const ENDS = 2;

/** @throws IpvtapError `not-found` without iperf3. */
export async function tcpTraffic(place: Place, offloads: boolean, timing: Timing): Promise<Traffic> {
	const guests: StackGuest[] = [];
	try {
		for (let guest = 0; guest < ENDS; guest++) {
			guests.push(await startGuest(place, guest, offloads));
		}
		return await transfer(guests as [StackGuest, StackGuest], timing);
	} finally {
		for (const guest of guests) await guest.stop();
	}
}

async function startGuest({ peer, ground }: Place, guest: number, offloads: boolean): Promise<StackGuest> {
	const started = await StackGuest.start({
		name: `g${guest}-${peer.name}`,
		slave: { namespace: ground.host, ifname: peer.guestEdge(guest).replace(/^tap:/, '') },
		mac: guestMac(guest),
		addresses: [`${guestIp(guest)}/16`],
		offloads,
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

async function transfer([client, server]: [StackGuest, StackGuest], timing: Timing): Promise<Traffic> {
	const [enter, ...words] = server.namespace.prefix;
	const service = spawn(enter!, [...words, 'iperf3', '-s', '-1'], { stdio: 'ignore', env: toolsEnv });
	service.on('error', () => {});
	try {
		const listening = `ss -Hltn 'sport = :${PORT}' | grep -q .`;
		await until('iperf3 to listen', 5000, async () => (await server.run('sh', ['-c', listening])).rc === 0);
		const before = usage([client.pid, server.pid]);
		const seconds = String(Math.max(1, Math.round(timing.seconds)));
		const args = [...client.namespace.prefix.slice(1), 'iperf3', '-c', guestIp(1), '-J', '-t', seconds];
		const answer = JSON.parse(await exec(client.namespace.prefix[0]!, args)) as IperfAnswer;
		const after = usage([client.pid, server.pid]);
		const { sum_received: got, sum_sent: sent, cpu_utilization_percent: load } = answer.end;
		const stacks = ((load.host_total + load.remote_total) / 100) * got.seconds;
		return {
			result: { elapsed: got.seconds, bytes: got.bytes, retransmits: sent.retransmits },
			cpu: stacks + after.processes - before.processes,
		};
	} finally {
		service.kill();
	}
}

const PORT = 5201;

/** The part of `iperf3 -J` that is used here. */
interface IperfAnswer {
	end: {
		sum_sent: { retransmits: number };
		sum_received: { bytes: number; seconds: number };
		cpu_utilization_percent: { host_total: number; remote_total: number };
	};
}
