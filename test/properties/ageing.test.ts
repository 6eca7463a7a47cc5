/**
 * Learning, leases and ageing in time, against a slow model that knows nothing of what is due when: it looks at
 * every address at every step.
 */
import test from 'ava';
import fc from 'fast-check';
import { arpReply, packet4 } from '../cases/traffic.js';
import { PurePort } from '../helpers/pure-port.js';
import { check } from '../helpers/seed.js';
import { type Slave, slaves, standardTopology, vm3, vm4 } from '../helpers/world.js';

/** Milliseconds of a step, of an address's age, and between questions. */
const STEP = 500;
/** In parts, so that a claim is asked about and decided within one. */
const PARTS = [0, 50, 200, 250];
const CLAIM = 250;
const AGE = 10_000;
const ANSWER = 2000;
const QUESTIONS = 3;
const QUOTA = 2;

const learners = [vm3, vm4];
const pool = ['192.0.2.71', '192.0.2.72', '192.0.2.73', '192.0.2.74'];

const events = fc.array(
	fc.oneof(
		{
			weight: 4,
			arbitrary: fc.record({ kind: fc.constant('wait' as const), steps: fc.integer({ min: 1, max: 12 }) }),
		},
		{
			weight: 3,
			arbitrary: fc.record({
				kind: fc.constantFrom('use' as const, 'answer' as const),
				slave: fc.nat(1),
				address: fc.constantFrom(...pool),
			}),
		},
		fc.record({
			kind: fc.constant('lease' as const),
			slave: fc.nat(1),
			address: fc.constantFrom(...pool),
			steps: fc.integer({ min: 1, max: 20 }),
		}),
		fc.record({
			kind: fc.constantFrom('gone' as const, 'release' as const),
			slave: fc.nat(1),
			address: fc.constantFrom(...pool),
		}),
	),
	{ minLength: 1, maxLength: 60 },
);

test('who owns what at each moment is what the slow model says', t => {
	check(
		t,
		fc.property(events, list => {
			const port = new PurePort({ ...standardTopology(), addresses: [], quota: { 4: QUOTA, 6: 8 } });
			const model = new Model();
			port.command({ kind: 'age', milliseconds: AGE });
			try {
				for (const event of list) {
					if (event.kind === 'wait') {
						for (let step = 0; step < event.steps; step++) {
							for (const part of PARTS) {
								port.now += part;
								port.tick();
								for (const address of pool) port.command({ kind: 'ready', address });
							}
							model.step();
							compare(port, model);
						}
						continue;
					}
					const slave = learners[event.slave] as Slave;
					const { address } = event;
					const station = { ...slave, ipv4: address };
					if (event.kind === 'use') {
						port.receive(slave.edge, packet4(station, slaves[0] as Slave));
						model.use(slave.edge, address);
					} else if (event.kind === 'answer') {
						port.receive(
							slave.edge,
							arpReply(station, { ...slave, mac: standardTopology().master, ipv4: '0.0.0.0' }),
						);
						model.answer(slave.edge, address);
					} else if (event.kind === 'lease') {
						const expires = port.now + event.steps * STEP;
						port.command({ kind: 'restore', edge: slave.edge, address, expires });
						model.lease(slave.edge, address, event.steps);
					} else if (event.kind === 'gone') {
						port.command({ kind: 'live', edge: slave.edge, live: false });
						port.command({ kind: 'live', edge: slave.edge, live: true });
						model.entries = model.entries.filter(({ edge }) => edge !== slave.edge);
					} else {
						port.command({ kind: 'release', edge: slave.edge, address });
						model.entries = model.entries.filter(
							entry => entry.edge !== slave.edge || entry.address !== address,
						);
					}
					compare(port, model);
				}
			} finally {
				port.close();
			}
		}),
		400,
	);
});

interface Entry {
	edge: number;
	address: string;
	/** Of a learned one: milliseconds since it was proven, and how often its guest has been asked since. */
	silent: number;
	/** Of a leased one: milliseconds that are left. */
	left: number | undefined;
	/** Claimed, and not yet its slave's. */
	tentative: boolean;
}

class Model {
	entries: Entry[] = [];

	ownerOf(address: string): number {
		return this.entries.find(entry => entry.address === address && !entry.tentative)?.edge ?? 0;
	}

	step(): void {
		for (const entry of this.entries) {
			entry.silent += entry.tentative ? STEP - CLAIM : STEP;
			entry.tentative = false;
			if (entry.left !== undefined) entry.left -= STEP;
		}
		const lives = ({ silent, left }: Entry): boolean =>
			left === undefined ? silent < AGE + QUESTIONS * ANSWER : left > 0;
		this.entries = this.entries.filter(lives);
	}

	use(edge: number, address: string): void {
		if (this.entries.some(entry => entry.address === address)) return;
		const own = this.entries.filter(entry => entry.edge === edge);
		if (own.length >= QUOTA) {
			const oldest = own.find(({ left }) => left === undefined);
			if (!oldest) return;
			this.entries = this.entries.filter(entry => entry !== oldest);
		}
		this.entries.push({ edge, address, silent: 0, left: undefined, tentative: true });
	}

	/** A reply from an address that isn't owned claims it; from one that is, it proves it. */
	answer(edge: number, address: string): void {
		const entry = this.entries.find(one => one.address === address);
		if (!entry) this.use(edge, address);
		else if (entry.edge === edge) entry.silent = 0;
	}

	lease(edge: number, address: string, steps: number): void {
		const holder = this.entries.find(entry => entry.address === address);
		if (holder && holder.edge !== edge && holder.left !== undefined) return;
		this.entries = this.entries.filter(entry => entry !== holder);
		this.entries.push({ edge, address, silent: 0, left: steps * STEP, tentative: false });
	}
}

function compare(port: PurePort, model: Model): void {
	for (const address of pool) {
		const [is, should] = [port.state.ownerOf(address), model.ownerOf(address)];
		if (is !== should) throw new Error(`${address} belongs to ${is}, should to ${should}`);
	}
}
