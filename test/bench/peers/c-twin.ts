import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { IpvtapError } from '../../../src/errors.js';
import { closed } from '../../../src/lab/command.js';
import { type Ground, GUESTS, guestIp, guestMac, MASTER, MASTER_MAC } from '../ground.js';
import type { Peer } from './peer.js';

/**
 * The userspace forwarder's loop in C (c/forwarder.c). `ring` sends through a transmit ring, `messages` with sendmmsg;
 * everything else is the same.
 */
export class TwinPeer implements Peer {
	readonly name: string;
	readonly about: string;
	readonly #send: 'ring' | 'messages';
	#taps: string[] = [];
	#process: ChildProcess | undefined;

	constructor(name: string, send: 'ring' | 'messages') {
		this.name = name;
		this.#send = send;
		this.about = `the forwarder's loop in C, sending ${send === 'ring' ? 'through a transmit ring' : 'with sendmmsg'}`;
	}

	async prepare(ground: Ground): Promise<void> {
		const { host, programs } = ground;
		this.#taps = await ground.addTaps();
		await shield(ground, [...this.#taps, MASTER]);
		// Without a queue of its own a TAP says that it is full, instead of losing the frame in silence.
		for (const tap of this.#taps) {
			await host.exec('tc', ['qdisc', 'replace', 'dev', tap, 'root', 'noqueue']);
		}
		const slaves = this.#taps.flatMap((tap, guest) => [
			'--slave',
			`${tap},${guestMac(guest)}/${guestIp(guest)}`,
		]);
		const args = [...slaves, '--master', `${MASTER},${MASTER_MAC}`, '--send', this.#send];
		// A session of its own, as a daemon has: with autogroup the scheduler shares time out between sessions.
		const child = host.spawn(programs.forwarder, args, {
			stdio: ['ignore', 'pipe', 'inherit'],
			detached: true,
		});
		this.#process = child;
		const ended = closed(child, programs.forwarder).then(code => {
			throw new IpvtapError('failed', `start ${this.name}: exit status ${code}`);
		});
		ended.catch(() => {});
		await Promise.race([once(child.stdout!, 'data'), ended]);
	}

	guestTap(guest: number): string {
		return `tap:${this.#taps[guest % GUESTS]}`;
	}

	macOnWire(): string {
		return MASTER_MAC;
	}

	pids(): readonly number[] {
		return this.#process?.pid === undefined ? [] : [this.#process.pid];
	}

	async close(): Promise<void> {
		this.#process?.kill('SIGTERM');
	}
}

/** Keeps the host's stack off the frames, as the product does: the same drop-all program at TC ingress. */
async function shield({ host }: Ground, devices: readonly string[]): Promise<void> {
	for (const device of devices) {
		const drop = `filter add dev ${device} ingress prio 1 protocol all bpf da bytecode`.split(' ');
		await host.exec('tc', ['qdisc', 'add', 'dev', device, 'clsact']);
		await host.exec('tc', [...drop, '1,6 0 0 2,']);
	}
}
