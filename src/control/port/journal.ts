/**
 * What a port's frame threads have been told, boiled down to what still holds, so that another slow path can be
 * brought to the same state (for `trace`: threads can't be asked what they would do without doing it). Commands
 * say how things are, so of two about the same thing the later one counts. Addresses are taken from the slow
 * path's reports, since guests claim and lose them without control. Pure.
 */
import type { Report, StateChange } from '../../datapath/messages.js';
import type { DryCommand } from '../../datapath/trace/dry-port.js';

type AddressReport = Extract<Report, { kind: 'address' }>;

export class Journal {
	/** By what they are about, in the order in which they were said. */
	readonly #commands = new Map<string, DryCommand>();
	/** In the order in which they were taken. */
	readonly #addresses = new Map<string, AddressReport>();

	/** Control has told the threads something. */
	told(command: { kind: string }): void {
		if (momentary.has(command.kind)) return;
		const lasting = command as DryCommand;
		if (lasting.kind === 'change' && lasting.change.kind === 'slave-removed') {
			this.#forget(lasting.change.edge);
			return;
		}
		if (lasting.kind === 'change' && lasting.change.kind === 'routes') this.#routed(lasting.change);
		else if (isUnknownNeighbour(lasting)) this.#commands.delete(subjectOf(lasting));
		else this.#holds(subjectOf(lasting), lasting);
	}

	/** The slow path has told control something. */
	heard(report: Report): void {
		// What guests say of their groups, they say to the slow path alone.
		if (report.kind === 'groups') this.#holds(`groups ${report.edge}`, report);
		if (report.kind === 'routers-heard') this.#holds('routers-heard', report);
		if (report.kind === 'foreign') this.#holds(`foreign ${report.address}`, report);
		if (report.kind !== 'address') return;
		// As the book keeps them: an address that is renewed is the newest again.
		this.#addresses.delete(report.address);
		if (report.change !== 'removed') this.#addresses.set(report.address, report);
	}

	/** What makes a new slow path know what this one knows, in order. @param now milliseconds since 1970. */
	commands(now: number): DryCommand[] {
		for (const [subject, command] of this.#commands) {
			if (command.kind === 'foreign' && command.until <= now) this.#commands.delete(subject);
		}
		const commands = [...this.#commands.values()];
		const { learned, leased, given } = this.#byRight();
		return [
			...commands.filter(({ kind }) => !forbidding.has(kind)),
			// Learned ones come first: the quota counts all, and the oldest would give way a second time.
			...[...learned, ...leased].map(
				({ edge, address, expires }): DryCommand => ({
					kind: 'restore',
					edge,
					address,
					...(expires === undefined ? {} : { expires }),
				}),
			),
			...given.map(({ edge, address }): DryCommand => ({ kind: 'assign', edge, address })),
			...commands.filter(({ kind }) => forbidding.has(kind)),
		];
	}

	#byRight(): Record<'learned' | 'leased' | 'given', AddressReport[]> {
		const all = [...this.#addresses.values()];
		return {
			learned: all.filter(({ origin }) => origin === 'learned'),
			leased: all.filter(({ origin }) => origin === 'dhcp'),
			given: all.filter(({ origin }) => origin === 'static'),
		};
	}

	/** Routes come and go by the prefix, so each is a subject of its own. */
	#routed({ add, remove }: Extract<StateChange, { kind: 'routes' }>): void {
		for (const prefix of remove) this.#commands.delete(`route ${prefix}`);
		for (const route of add)
			this.#holds(`route ${route.prefix}`, {
				kind: 'change',
				change: { kind: 'routes', add: [route], remove: [] },
			});
	}

	#holds(subject: string, command: DryCommand): void {
		this.#commands.delete(subject);
		this.#commands.set(subject, command);
	}

	#forget(edge: number): void {
		for (const [subject, command] of this.#commands) {
			if (edgeOf(command) === edge) this.#commands.delete(subject);
		}
	}
}

/** What these name can't be claimed; who had it before keeps it. */
const forbidding: ReadonlySet<string> = new Set(['gateways', 'prefixes', 'routers-heard', 'foreign']);

/** These do something once; those about addresses come back as reports. */
const momentary: ReadonlySet<string> = new Set([
	'stop',
	'replace-ring',
	'announce',
	'assign',
	'release',
	'restore',
	'ready',
]);

function isUnknownNeighbour(command: DryCommand): boolean {
	return command.kind === 'change' && command.change.kind === 'neighbour' && command.change.mac === undefined;
}

function subjectOf(command: DryCommand): string {
	const what = command.kind === 'change' ? command.change : command;
	const address = 'address' in what ? what.address : '';
	return `${command.kind} ${what.kind} ${edgeOf(command) ?? ''} ${address}`;
}

function edgeOf(command: DryCommand): number | undefined {
	const what = command.kind === 'change' ? command.change : command;
	return 'edge' in what ? what.edge : undefined;
}
