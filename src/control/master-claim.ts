/**
 * One daemon per master, whatever sockets the daemons have: two would take each other's filters and host slaves
 * away. The claim is an abstract unix socket (unix(7)): it is valid in one network namespace, as interface numbers
 * are, and the kernel frees it when its holder dies.
 */
import { once } from 'node:events';
import { createConnection, createServer, type Server } from 'node:net';
import { IpvtapError } from '../errors.js';
import type { Link } from '../sys/netlink/link.js';
import { descriptorOf, type PeerCredentials, peerCredentials } from '../sys/peer-credentials.js';

export class MasterClaim {
	readonly #server: Server | null;

	private constructor(server: Server | null) {
		this.#server = server;
	}

	/** @throws IpvtapError `conflict` if another daemon has the master. */
	static async take({ name, ifindex }: Link): Promise<MasterClaim> {
		const address = `\0ipvtap/master/${ifindex}`;
		const server = createServer(connection => connection.destroy());
		server.unref();
		for (let attempt = 0; ; attempt++) {
			server.listen(address);
			const failure = await outcome(server);
			if (failure === null) return new MasterClaim(server);
			if (failure.code !== 'EADDRINUSE') throw failure;
			const holder = await holderOf(address);
			// It ended in between.
			if (holder === null && attempt < attemptsMax) continue;
			// Any user may listen on any abstract address. Only who could run a daemon is believed to be one.
			if (holder && holder.uid !== 0 && holder.uid !== process.geteuid?.()) return new MasterClaim(null);
			const who = holder ? ` (process ${holder.pid})` : '';
			throw new IpvtapError('conflict', `can't use ${name} as a master: another ipvtapd has it${who}`, {
				hint: 'use that daemon (IPVTAP_SOCKET), or end it first',
			});
		}
	}

	release(): void {
		this.#server?.close();
	}
}

async function outcome(server: Server): Promise<NodeJS.ErrnoException | null> {
	try {
		await once(server, 'listening');
		return null;
	} catch (error) {
		return error as NodeJS.ErrnoException;
	}
}

async function holderOf(address: string): Promise<PeerCredentials | null> {
	const connection = createConnection(address);
	try {
		await once(connection, 'connect');
		return peerCredentials(descriptorOf(connection));
	} catch {
		return null;
	} finally {
		connection.destroy();
	}
}

const attemptsMax = 10;
