/** Traces against what then happens: in every case of the decision table, and at any moment of random ports' lives. */
import test from 'ava';
import fc from 'fast-check';
import { Journal } from '../../src/control/port/journal.js';
import { dropTexts } from '../../src/datapath/trace/drop-text.js';
import { type FrameTrace, type TracedPort, traceFrame } from '../../src/datapath/trace/trace.js';
import { verdictWords } from '../../src/datapath/trace/verdict-text.js';
import { type DropReason, dropReasons, EDGES_MAX, IGNORE, SLOW_DHCP } from '../../src/datapath/verdict.js';
import { rooms } from '../cases/index.js';
import { readable } from '../helpers/describe.js';
import { commandsOf, PurePort, type Topology } from '../helpers/pure-port.js';
import { check } from '../helpers/seed.js';
import { slaves, standardTopology } from '../helpers/world.js';
import { scenes } from './random-port.js';

test('in every case of the decision table the trace says what happens, and contradicts itself nowhere', t => {
	for (const one of Object.values(rooms).flat()) {
		const topology = standardTopology(one.flag, !one.noHost, one.mode, one.multicastSlave);
		const from =
			one.from === 'wire' ? 0 : one.from === 'host' ? 1 : slaves.findIndex(s => s.name === one.from) + 2;
		const port = new PurePort(topology);
		try {
			const traced = describePort(topology, commandsOf(topology));
			foretells(port, traced, from, one.frame);
		} catch (error) {
			t.fail(`${one.name}: ${error}`);
		} finally {
			port.close();
		}
	}
	t.pass();
});

test('at any moment of a port’s life, a trace from its journal says what then happens', t => {
	check(
		t,
		fc.property(scenes(), ({ topology, events }) => {
			const port = new PurePort(topology);
			const journal = new Journal();
			let heard = 0;
			const listen = (): void => {
				// Guests' groups are told now and then, also those in a report that has waited for its sender's claim.
				port.now += 60;
				port.tick();
				for (const report of port.reports.slice(heard)) journal.heard(report);
				heard = port.reports.length;
			};
			try {
				for (const command of commandsOf(topology)) journal.told(command);
				listen();
				for (const [index, { ingress, frame }] of events.entries()) {
					// Now and then all that was asked about is decided before the next frame, and otherwise is still open.
					if (index % 3 === 2) port.settle();
					listen();
					foretells(port, describePort(topology, journal.commands(port.now)), ingress, frame);
					listen();
				}
			} finally {
				port.close();
			}
		}),
		600,
	);
});

test('every reason to drop has words that say what to do', t => {
	for (const reason of dropReasons) {
		t.regex(dropTexts[reason].means, /^[^A-Z].*[^.]$/, reason);
		t.regex(dropTexts[reason].remedy, /^[A-Z].*\.$/, reason);
	}
});

function describePort(topology: Topology, commands: TracedPort['commands']): TracedPort {
	const names = new Map(topology.slaves.map(({ edge }) => [edge, `vm${edge}`]));
	const { flag, mode = 'l2', quota } = topology;
	return { master: 'eth0', mode, flag, names, commands, ...(quota === undefined ? {} : { quota }) };
}

/** @throws Error if the trace of the frame is other than what becomes of it on the port, or says what isn't so. */
function foretells(port: PurePort, traced: TracedPort, from: number, frame: Uint8Array): void {
	const trace = traceFrame(traced, from, frame, port.now);
	const owner = (address: string): number => port.state.ownerOf(address);
	const claims = ownerClaims(trace, from, owner, traced.names);
	const { verdict: first } = port.dry.decide(from, frame);
	const known = new Set([0, 1, ...traced.names.keys()]);
	const { final, out } = port.dry.receive(from, frame);
	const problems = [...claims];
	const expect = (isSo: boolean, what: string): void => {
		if (!isSo) problems.push(what);
	};
	const has = (step: string, result?: string): boolean =>
		trace.steps.some(one => one.step === step && (result === undefined || one.result === result));

	const unknowable = first === SLOW_DHCP && from < 2;
	const words = verdictWords(unknowable ? SLOW_DHCP : final, traced.names);
	expect(trace.verdict === words, `verdict ${trace.verdict}, but it is ${words}`);
	const last = trace.steps.at(-1);
	expect(last?.step === 'verdict' && last.result === trace.verdict, 'the last step is not the verdict');
	expect(trace.steps[0]?.step === 'from', 'the first step is not where it came from');
	expect(
		trace.steps.every(({ step, result, why }) => step !== '' && result !== '' && why !== ''),
		'empty words',
	);
	const inWords = (list: readonly { edge: number; frame: Uint8Array }[]): string =>
		list.map(one => `${one.edge}: ${readable(one.frame)}`).join('');
	if (!unknowable)
		expect(inWords(trace.out) === inWords(out), `sends ${inWords(trace.out)}, but ${inWords(out)}`);

	const reason = final < 0 ? (dropReasons[-final] as DropReason) : undefined;
	if (reason) expect(last?.why.startsWith(dropTexts[reason].means) === true, 'the drop is not explained');
	expect(has('path') === (first >= 0 && first !== IGNORE), 'a path for what takes none');
	expect(has('path', 'fast path') === (first >= 0 && first < EDGES_MAX), 'the wrong path');
	const isL2 = traced.mode === 'l2';
	if (isL2 && from >= 2 && frame.length >= 14) {
		expect(has('source MAC', 'not its own') === (reason === 'mac-spoof'), 'source MAC');
		const spoof = reason === 'ip-spoof' || reason === 'arp-spoof' || reason === 'nd-spoof';
		const stolen = trace.steps.some(({ step, result }) => step !== 'source MAC' && result === 'not its own');
		// With a full quota, an advertisement's source and target can take each other's place in turn.
		const chases = has('claim', 'gives way');
		// And the book may refuse the source before anybody looks at what is advertised.
		const refused = has('claim', 'refused') || has('claim', 'tentative');
		expect(
			stolen === spoof || (spoof ? chases || refused : refused),
			stolen ? 'what is not its own passed' : 'a spoof without a reason',
		);
	}
	const destination = trace.steps.find(({ step }) => step === 'destination' || step === 'target')?.result;
	if (
		isL2 &&
		has('path', 'fast path') &&
		!has('flag', 'vepa') &&
		destination !== undefined &&
		!has('next hop')
	) {
		const place = destination === 'nobody here' || destination === 'its own' ? 'wire' : destination;
		expect(place === trace.verdict, `for ${destination}, but it goes to ${trace.verdict}`);
	}
	if (reason === 'private' || reason === 'own-address') expect(destination !== undefined, 'no destination');
	if (has('copies')) {
		const listed = (step: string): string[] =>
			trace.steps
				.filter(one => one.step === step)
				.flatMap(({ result }) => (result === 'none' ? [] : result.split(', ')));
		const got = [...new Set(out.map(({ edge }) => verdictWords(edge, traced.names)))];
		expect(listed('copies').sort().join() === got.sort().join(), `copies for ${listed('copies')}`);
		const all = [...listed('copies'), ...listed('no copy'), ...(from === 0 ? ['wire'] : [])];
		expect(
			all.length === known.size && new Set(all).size === known.size,
			`not everybody is accounted for: ${all}`,
		);
	}
	if (problems.length > 0) {
		const steps = trace.steps.map(({ step, result, why }) => `  ${step}: ${result} (${why})`).join('\n');
		throw new Error(`${readable(frame)}from ${from}: ${problems.join('; ')}\n${steps}`);
	}
}

/** What the steps say about who has which address, held against the port's own table. */
function ownerClaims(
	{ steps }: FrameTrace,
	from: number,
	owner: (address: string) => number,
	names: ReadonlyMap<number, string>,
): string[] {
	const place = (edge: number): string => (edge === 0 ? 'nobody here' : verdictWords(edge, names));
	return steps.flatMap(({ step, result, why }) => {
		const spoken = /^(\S+) is (static|learned|dhcp|known)$/.exec(why)?.[1];
		if (spoken !== undefined && owner(spoken) !== from) return [`${spoken} is not the sender's`];
		const [, others, whose] = /^(\S+) belongs to (.+)$/.exec(why) ?? [];
		if (others !== undefined && place(owner(others)) !== whose) return [`${others} is not ${whose}'s`];
		const free = /^nobody has (\S+),/.exec(why)?.[1];
		if (free !== undefined && owner(free) !== 0) return [`somebody has ${free}`];
		if (step !== 'destination' && step !== 'target') return [];
		const [, address] = /(?:^| has )(\S+?)(?:,| is its| is her|$)/.exec(why) ?? [];
		if (address === undefined || !/[.:]/.test(address)) return [];
		const is = owner(address) === from && from !== 0 ? 'its own' : place(owner(address));
		return is === result ? [] : [`${address} is for ${is}, not ${result}`];
	});
}
