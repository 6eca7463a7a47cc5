/** A UDP socket of an ordinary program in a namespace: it joins a group on one device, speaks to it, and hears it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Namespace } from '../../src/lab/namespace.js';
import { until } from '../../src/lab/wait.js';

export interface Heard {
	text: string;
	from: string;
}

export class GroupSocket {
	readonly heard: Heard[] = [];
	readonly #process: ChildProcess;
	readonly #name: string;

	private constructor(name: string, process: ChildProcess) {
		this.#name = name;
		this.#process = process;
	}

	/** Joins the group on `device`; with `join: false` it only speaks. */
	static async open(
		namespace: Namespace,
		group: string,
		port: number,
		{ device = 'eth0', join = true }: { device?: string; join?: boolean } = {},
	): Promise<GroupSocket> {
		const args = ['--input-type=module', '-e', program, group, String(port), device, String(join)];
		const child = namespace.spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
		const socket = new GroupSocket(`${namespace.name} in ${group}`, child);
		const lines = createInterface(child.stdout!);
		await once(lines, 'line');
		lines.on('line', line => socket.heard.push(JSON.parse(line) as Heard));
		return socket;
	}

	/** Sends a datagram to the group, by the device. */
	say(text: string): void {
		this.#process.stdin!.write(`${JSON.stringify({ text })}\n`);
	}

	/** Leaves the group, and hears no more of it. */
	leave(): void {
		this.#process.stdin!.write(`${JSON.stringify({ leave: true })}\n`);
	}

	/** Waits for a datagram. @returns what was heard of this text by then. */
	async hears(text: string, timeout = 5000): Promise<Heard[]> {
		const matching = (): Heard[] => this.heard.filter(one => one.text === text);
		await until(`${this.#name} to hear '${text}'`, timeout, () => matching().length > 0);
		return matching();
	}

	times(text: string): number {
		return this.heard.filter(one => one.text === text).length;
	}

	async close(): Promise<void> {
		if (this.#process.exitCode !== null) return;
		const ended = once(this.#process, 'exit');
		this.#process.kill('SIGKILL');
		await ended;
	}
}

const program = `
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { networkInterfaces } from 'node:os';
const [group, port, device, join] = process.argv.slice(1);
const v6 = group.includes(':');
const own = networkInterfaces()[device].filter(({ family }) => family === (v6 ? 'IPv6' : 'IPv4'))[0].address;
const by = v6 ? '::%' + device : own;
const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', reuseAddr: true });
socket.on('message', (data, { address }) => console.log(JSON.stringify({ text: data.toString(), from: address })));
socket.bind(Number(port), () => {
	socket.setMulticastInterface(by);
	socket.setMulticastTTL(4);
	socket.setMulticastLoopback(false);
	if (join === 'true') socket.addMembership(group, by);
	console.log('{}');
});
createInterface(process.stdin).on('line', line => {
	const { text, leave } = JSON.parse(line);
	if (leave) socket.dropMembership(group, by);
	else socket.send(text, Number(port), group);
});
`;
