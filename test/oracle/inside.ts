/**
 * Runs inside the virtual machine: makes what each configuration asks for, sends each frame in where it comes from,
 * and writes down which frames come out where. It knows nothing of what ought to.
 *
 *     node inside.js FOLDER      reads FOLDER/questions.json, writes FOLDER/answers.json
 */
import { execFileSync } from 'node:child_process';
import { constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { toolsEnv } from '../../src/lab/command.js';
import { PollSet } from '../../src/sys/fd.js';
import { requireLink } from '../../src/sys/netlink/link.js';
import { setOffload } from '../../src/sys/tap.js';
import type { Place } from '../cases/case.js';
import { openPacketSocket, openRawSockets } from '../helpers/packet-socket.js';
import { FrameEnd, guestOffloads, within } from '../helpers/tap-guest.js';
import {
	type Answers,
	answersFile,
	type Configuration,
	type Departure,
	type End,
	type Injection,
	type Marker,
	markerDigits,
	markerText,
	type Observation,
	type Probe,
	type Questions,
	questionsFile,
	unlucky,
} from './plan.js';

interface Listener {
	to: Place;
	end: FrameEnd;
	/** It hears packets, or frames that another has heard already. */
	bare: boolean;
	/** The ethertype that what is sent by it is taken for; without one, the driver reads it off the frame. */
	protocol?: number;
}

class Site {
	readonly #listeners: readonly Listener[];
	readonly #poll: PollSet;
	readonly #markers: ReadonlyMap<Place, { frame: Buffer; reaches: readonly Place[] }>;
	readonly #name: string;
	#count = 0;

	constructor(configuration: Configuration) {
		this.#name = configuration.name;
		for (const [name, value] of Object.entries(configuration.settings)) {
			writeFileSync(`/proc/sys/${name}`, `${value}\n`);
		}
		command('nft', ['-f', '-'], configuration.rules);
		command('ip', ['-batch', '-'], configuration.links.join('\n'));
		for (const [namespace, lines] of Object.entries(configuration.inside)) {
			command('ip', ['-n', namespace, '-batch', '-'], lines.join('\n'));
			command('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], configuration.rulesInside);
		}
		this.#listeners = configuration.ends.flatMap(open);
		this.#poll = new PollSet(...this.#listeners.map(({ end }) => end.fd));
		this.#markers = new Map(
			Object.entries(configuration.markers).map(([place, { frame, reaches }]: [string, Marker]) => [
				place as Place,
				{ frame: Buffer.from(frame, 'hex'), reaches },
			]),
		);
		// What the devices themselves had to say when they came up.
		for (const place of this.#markers.keys()) this.#flush(place);
	}

	observe({ from, frame, header = noHeader }: Injection): Observation {
		const bytes = Buffer.from(frame, 'hex');
		let refusal: string | undefined;
		try {
			this.#sender(from, bytes).send(bytes, Buffer.from(header, 'hex'));
		} catch (error) {
			refusal = (error as NodeJS.ErrnoException).code ?? String(error);
		}
		const out = this.#flush(from);
		// What a raw socket hears of a driver that has dropped the frame (NET_XMIT_DROP).
		return refusal === undefined || refusal === 'ENOBUFS' ? out : refusal;
	}

	close(): void {
		for (const { end } of this.#listeners) end.close();
	}

	/**
	 * Sends a marker from there, and waits until it has come out wherever it has to. With one processor and first-in
	 * first-out queues nothing overtakes it, so all that the frame before it has caused has come out too.
	 */
	#flush(from: Place): Departure[] {
		const { frame, reaches } = this.#markers.get(from)!;
		frame.write(String(++this.#count).padStart(markerDigits, '0'), frame.length - markerDigits, 'latin1');
		const number = frame.subarray(frame.length - markerText.length);
		this.#sender(from, frame).send(frame);
		const heard: Heard[] = [];
		const missing = new Set(reaches);
		const deadline = performance.now() + patienceMs;
		while (missing.size > 0) {
			if (this.#poll.wait(patienceMs) === 0 || performance.now() > deadline) {
				throw new Error(`${this.#name}: the marker from ${from} is lost to ${[...missing]}`);
			}
			const news = this.#drain();
			for (const { to, bytes } of news) if (bytes.includes(number)) missing.delete(to);
			heard.push(...news);
		}
		heard.push(...this.#drain());
		return departures(heard.filter(({ bytes }) => !bytes.includes(markerStart)));
	}

	/** Asks once who has something: a read that fails costs more here than all others together. */
	#drain(): Heard[] {
		if (this.#poll.wait(0) === 0) return [];
		return this.#listeners.flatMap(({ to, end, bare }, index) =>
			this.#poll.ready(index) ? end.drain().map(({ frame }) => ({ to, bare, bytes: frame })) : [],
		);
	}

	#sender(place: Place, frame: Buffer): FrameEnd {
		const here = this.#listeners.filter(({ to }) => to === place);
		const type = frame.length < 14 ? 0 : frame.readUInt16BE(12);
		return (here.find(({ protocol }) => protocol === type) ?? here[0]!).end;
	}
}

interface Heard {
	to: Place;
	bare: boolean;
	bytes: Buffer;
}

/** What came in a frame, the stack gets as well: then the frame says it all. */
function departures(heard: readonly Heard[]): Departure[] {
	const framed = new Set(heard.filter(({ bare }) => !bare).map(({ to }) => to));
	return heard
		.filter(({ to, bare }) => !bare || !framed.has(to))
		.map(({ to, bare, bytes }) => ({ to, frame: bare ? '' : bytes.toString('hex') }));
}

function open({ place, device, namespace, kind }: End): Listener[] {
	const listener = (fd: number, more: Partial<Listener> = {}): Listener => ({
		to: place,
		end: new FrameEnd(fd),
		bare: false,
		...more,
	});
	if (kind === 'tap') {
		const { ifindex } = requireLink(device);
		const fd = openSync(`/dev/tap${ifindex}`, constants.O_RDWR | constants.O_NONBLOCK);
		setOffload(fd, guestOffloads);
		return [listener(fd)];
	}
	const openAll = (): Listener[] => {
		const { ifindex } = requireLink(device);
		if (kind !== 'stack') return kind.map(protocol => listener(openPacketSocket(ifindex, protocol)));
		// ipvlan has no way to read it off a frame (`header_ops.parse_protocol`), and drops what has none.
		const senders = [0x0800, 0x0806, 0x86dd].map(protocol =>
			listener(openPacketSocket(ifindex, protocol), { bare: true, protocol }),
		);
		const raw = openRawSockets().map(fd => listener(fd, { bare: true }));
		return [listener(openPacketSocket(ifindex)), ...senders, ...raw];
	};
	return namespace === undefined ? openAll() : within({ path: `/run/netns/${namespace}` }, openAll);
}

function command(file: string, args: readonly string[], input: string): void {
	execFileSync(file, args, { input, env: toolsEnv, stdio: ['pipe', 'ignore', 'inherit'] });
}

/** The part of every marker that stays the same. */
const markerStart = Buffer.from(markerText.slice(0, -markerDigits));
/** 10 bytes of virtio header that say nothing. */
const noHeader = '00'.repeat(10);
/** Markers take milliseconds. */
const patienceMs = 20_000;

/** Says which group the filter takes for another, if there is one. */
function misfortune(site: Site, probes: readonly Probe[]): string | undefined {
	for (const { reaches, ...probe } of probes) {
		const out = site.observe(probe);
		const guests = typeof out === 'string' ? [] : out.map(({ to }) => to).filter(to => to.startsWith('vm'));
		if (guests.sort().join() !== [...reaches].sort().join()) {
			return `${probe.frame.slice(0, 12)} reaches ${guests.join(', ') || 'nobody'} instead of ${reaches.join(', ') || 'nobody'}`;
		}
	}
	return undefined;
}

const [folder = '.'] = process.argv.slice(2);
const { configurations, probes } = JSON.parse(readFileSync(join(folder, questionsFile), 'utf8')) as Questions;
const observations: Observation[][] = [];
const took: number[] = [];
for (const [index, configuration] of configurations.entries()) {
	const started = performance.now();
	const site = new Site(configuration);
	const bad = index > 0 ? undefined : misfortune(site, probes);
	if (bad === undefined)
		observations.push(configuration.injections.map(injection => site.observe(injection)));
	site.close();
	command('ip', ['-batch', '-'], `link delete ${configuration.root}`);
	if (bad !== undefined) {
		process.stderr.write(`${bad}\n`);
		process.exit(unlucky);
	}
	took.push(Math.round(performance.now() - started));
}
const answers: Answers = { kernel: release(), observations, took };
writeFileSync(join(folder, answersFile), JSON.stringify(answers));
