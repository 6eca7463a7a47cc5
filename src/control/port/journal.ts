/**
 * What a port's frame threads have been told, boiled down to what still holds, so that another slow path can be
 * brought to the same state (for `trace`: threads can't be asked what they would do without doing it). Commands
 * say how things are, so of two about the same thing the later one counts. Addresses are taken from the slow
 * path's reports, since guests claim and lose them without control. Pure.
 */
import type { BookOrigin } from '../../datapath/address-book.js';
import type { Report, StateChange } from '../../datapath/messages.js';
import { FOREIGN_MS } from '../../datapath/slowpath/addresses.js';
import type { DryCommand } from '../../datapath/trace/dry-port.js';

type AddressReport = Extract<Report, { kind: 'address' }>;
type ClaimReport = Extract<Report, { kind: 'claim' }>;

export class Journal {
	/** By what they are about, in the order in which they were said. */
	readonly #commands = new Map<string, DryCommand>();
	/** In the order in which they were taken, or claimed. */
	readonly #addresses = new Map<string, AddressReport | ClaimReport>();

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
		if (report.kind === 'foreign') {
			// Nobody may ever ask for a trace, and a LAN where somebody answers for everything has no end of these.
			this.#forgetForeign(report.until - FOREIGN_MS);
			this.#holds(`foreign ${report.address}`, report);
		}
		if (report.kind !== 'address' && report.kind !== 'claim') return;
		// As the book keeps them: an address that is renewed is the newest again, and one as old as its claim.
		if (!this.#confirms(report)) this.#addresses.delete(report.address);
		const has = report.kind === 'claim' ? report.open : report.change !== 'removed';
		if (has) this.#addresses.set(report.address, report);
	}

	/** What makes a new slow path know what this one knows, in order. @param now milliseconds since 1970. */
	commands(now: number): DryCommand[] {
		this.#forgetForeign(now);
		const commands = [...this.#commands.values()];
		const { learned, leased, given } = this.#byRight();
		return [
			...commands.filter(({ kind }) => !forbidding.has(kind)),
			// Learned ones come first: the quota counts all, and the oldest would give way a second time.
			...[...learned, ...leased].map(takes),
			...given.map(({ edge, address }): DryCommand => ({ kind: 'assign', edge, address })),
			...commands.filter(({ kind }) => forbidding.has(kind)),
		];
	}

	#byRight(): Record<'learned' | 'leased' | 'given', (AddressReport | ClaimReport)[]> {
		const by = (origin: BookOrigin) =>
			[...this.#addresses.values()].filter(report => originOf(report) === origin);
		return { learned: by('learned'), leased: by('dhcp'), given: by('static') };
	}

	/** The LAN was asked about the address, and nobody has answered. */
	#confirms(report: AddressReport | ClaimReport): boolean {
		const before = this.#addresses.get(report.address);
		return (
			before?.kind === 'claim' &&
			report.kind === 'address' &&
			report.origin === 'learned' &&
			report.change === 'added'
		);
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

	#forgetForeign(now: number): void {
		for (const [subject, command] of this.#commands) {
			if (command.kind === 'foreign' && command.until <= now) this.#commands.delete(subject);
		}
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

/** What is claimed will be learned, if anything comes of it. */
function originOf(report: AddressReport | ClaimReport): BookOrigin {
	return report.kind === 'claim' ? 'learned' : report.origin;
}

/** How another slow path comes to know of an address that a guest has, or claims, by itself. */
function takes(report: AddressReport | ClaimReport): DryCommand {
	const { kind, edge, address } = report;
	if (kind === 'claim') return { kind, edge, address };
	const { expires } = report;
	return { kind: 'restore', edge, address, ...(expires === undefined ? {} : { expires }) };
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
