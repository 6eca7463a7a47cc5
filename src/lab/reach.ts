import type { CommandResult } from './guest-agent.js';

/** Somebody who can ping and be pinged. */
export interface Peer {
	name: string;
	ipv4: string;
	ipv6: string;
	/** Runs a shell script there. */
	run(script: string): Promise<CommandResult>;
}

/** Whether one peer reached another in one family. */
export interface Reach {
	from: string;
	to: string;
	family: 4 | 6;
	address: string;
	/** Every request was answered. */
	ok: boolean;
	received: number;
	/** Round-trip time in milliseconds, the best of those answered. */
	rttMs?: number;
}

/** Requests sent for each pair of peers and family. */
export const pingCount = 3;

/** Pings everybody from everybody in both families. */
export async function reachAll(peers: readonly Peer[]): Promise<Reach[]> {
	return (await Promise.all(peers.map(from => reachFrom(from, peers)))).flat();
}

/** All pings of one peer run at once in one script, as a guest takes one script at a time. */
async function reachFrom(from: Peer, peers: readonly Peer[]): Promise<Reach[]> {
	const targets = peers
		.filter(to => to !== from)
		.flatMap(to => [
			{ to: to.name, family: 4 as const, address: to.ipv4 },
			{ to: to.name, family: 6 as const, address: to.ipv6 },
		]);
	const pings = targets.map(
		({ address }) => `ping -q -c${pingCount} -i0.2 -W5 ${address} > $d/${address} 2>&1 &`,
	);
	const results = targets.map(({ address }) => `echo "= ${address}"; cat $d/${address}`);
	const script = ['d=$(mktemp -d)', ...pings, 'wait', ...results, 'rm -r $d'].join('\n');
	const { out } = await from.run(script);
	const sections = new Map(
		out.split(/^= /m).map(section => [section.slice(0, section.indexOf('\n')), section] as const),
	);
	return targets.map(target => ({
		from: from.name,
		...target,
		...readPing(sections.get(target.address) ?? ''),
	}));
}

/** Understands the last lines of both iputils' ping and busybox's. */
function readPing(output: string): Pick<Reach, 'ok' | 'received' | 'rttMs'> {
	const received = Number(/(\d+) (?:packets )?received/.exec(output)?.[1] ?? 0);
	const best = /min\/avg\/max(?:\/mdev)? = ([\d.]+)\//.exec(output)?.[1];
	return { ok: received === pingCount, received, ...(best === undefined ? {} : { rttMs: Number(best) }) };
}
