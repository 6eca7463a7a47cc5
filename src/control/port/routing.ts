/**
 * Mode l3 routes as the host does: this follows the host's routes, its neighbours on the master and its addresses
 * there, and tells the frame threads what has changed.
 *
 * Routes are listed anew after any event that could have touched one, and compared. The kernel doesn't say all that
 * happens to its routes (those of a device that goes down vanish silently, one that replaces another isn't paired with
 * it), so a list is the only thing that can't drift away from the truth. Events that come in crowds share a list.
 */
import type { StateChange } from '../../datapath/messages.js';
import type { Way } from '../../datapath/routing/routing.js';
import type { Logger } from '../../log.js';
import { type Address, IFA_F_PERMANENT, listAddresses } from '../../sys/netlink/address.js';
import { getLink } from '../../sys/netlink/link.js';
import { LinkMonitor } from '../../sys/netlink/monitor.js';
import { confirmNeighbour, listNeighbours, type Neighbour } from '../../sys/netlink/neighbour.js';
import { listRoutes, RT_TABLE_MAIN } from '../../sys/netlink/route.js';
import { listRules } from '../../sys/netlink/rule.js';
import { type HostDevices, hopsOf, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, routeChanges } from './host-routes.js';
import { NeighbourSlots } from './neighbour-slots.js';
import { rulesWarning } from './rules.js';
import { preferredSource } from './source-address.js';

export interface RoutingOptions {
	master: number;
	/** What the master is called now. */
	masterName: () => string;
	/** The host slave's device, if there is one. */
	host: number | undefined;
	/** A byte per neighbour, set by the frame threads. */
	used: Uint8Array;
	change: (change: StateChange) => Promise<void>;
	log: Logger;
}

export class HostRouting {
	readonly #options: RoutingOptions;
	readonly #devices: HostDevices;
	readonly #monitor: LinkMonitor;
	readonly #slots = new NeighbourSlots();
	#hops: ReadonlyMap<string, Way> = new Map();
	#sources = '';
	#warning: string | undefined;
	/** Until when no list of the routes is made, milliseconds: one that takes long isn't made often. */
	#restUntil = 0;
	#relist: NodeJS.Timeout | undefined;
	readonly #confirm: NodeJS.Timeout;
	#closed = false;

	/** Follows from now on; `start` tells the frame threads how things are. @throws SysError. */
	constructor(options: RoutingOptions) {
		this.#options = options;
		this.#devices = { master: options.master, host: options.host };
		this.#monitor = new LinkMonitor({ neighbours: true, rules: true });
		this.#monitor.on('neighbour', ({ kind, neighbour }) => this.#onNeighbour(neighbour, kind === 'del'));
		for (const event of ['route', 'link', 'address', 'rule'] as const) {
			this.#monitor.on(event, () => this.#soon());
		}
		this.#monitor.on('overrun', () => void this.start().catch(error => this.#complain(error)));
		this.#monitor.on('error', error => this.#complain(error));
		this.#confirm = setInterval(() => this.#confirmUsed(), CONFIRM_MS);
		this.#confirm.unref();
	}

	/** Lists everything; resolves when the frame threads know. @throws NetlinkError. */
	async start(): Promise<void> {
		const neighbours = listNeighbours(this.#options.master);
		const changes = [
			...this.#slots.retain(new Set(neighbours.map(({ address }) => address))),
			...neighbours.flatMap(neighbour => this.#slots.update(neighbour, false) ?? []),
		];
		await Promise.all([...changes.map(change => this.#options.change(change)), this.#listRoutes()]);
	}

	/** What the user should know of how the host routes, and mode l3 doesn't. */
	get warning(): string | undefined {
		return this.#warning;
	}

	/** Has the kernel find out a neighbour's MAC, or whether it still has it; what comes of it comes as an event. */
	resolve(address: string): void {
		try {
			confirmNeighbour(this.#options.master, address);
		} catch (error) {
			this.#complain(error as Error);
			this.#pass({ kind: 'neighbour', address, slot: 0, failed: true });
		}
	}

	/** Follows no longer. @param tell have the frame threads forget? */
	async close(tell: boolean): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		clearInterval(this.#confirm);
		clearTimeout(this.#relist);
		await this.#monitor.close();
		if (!tell) return;
		const { remove } = routeChanges(this.#hops, new Map());
		const changes: StateChange[] = [{ kind: 'routes', add: [], remove }, ...this.#slots.retain(new Set())];
		await Promise.all(changes.map(change => this.#options.change(change)));
	}

	#soon(): void {
		if (this.#relist !== undefined || this.#closed) return;
		const delay = Math.max(0, this.#restUntil - performance.now());
		this.#relist = setTimeout(() => {
			this.#relist = undefined;
			this.#listRoutes().catch(error => this.#complain(error));
		}, delay);
	}

	async #listRoutes(): Promise<void> {
		const started = performance.now();
		const tables = [RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT];
		const routes = tables.flatMap(table => listRoutes({ table }));
		const hops = hopsOf(routes, this.#devices);
		const changes = routeChanges(this.#hops, hops);
		this.#hops = hops;
		this.#lookAtRules();
		const ended = performance.now();
		this.#restUntil = ended + (ended - started) * REST;
		const told = [this.#followSources()];
		if (changes.add.length + changes.remove.length > 0) {
			told.push(this.#options.change({ kind: 'routes', ...changes }));
		}
		await Promise.all(told);
	}

	#lookAtRules(): void {
		const { masterName, host, log } = this.#options;
		const before = this.#warning;
		this.#warning = rulesWarning(listRules(), masterName(), host === undefined ? host : getLink(host)?.name);
		if (this.#warning !== undefined && this.#warning !== before) log.warn(this.#warning);
	}

	/** What ICMP errors come from: the host's addresses on the master; global and lasting ones are better. */
	async #followSources(): Promise<void> {
		const lasting = ({ flags }: Address) => Number((flags & IFA_F_PERMANENT) !== 0);
		const addresses = listAddresses(this.#options.master).sort((a, b) => lasting(b) - lasting(a));
		const ipv4 = preferredSource('0.0.0.0', addresses);
		const ipv6 =
			preferredSource('::', addresses) ?? addresses.find(({ family }) => family === 'inet6')?.address;
		const sources = `${ipv4} ${ipv6}`;
		if (sources === this.#sources) return;
		this.#sources = sources;
		await this.#options.change({
			kind: 'sources',
			...(ipv4 === undefined ? {} : { ipv4 }),
			...(ipv6 === undefined ? {} : { ipv6 }),
		});
	}

	#onNeighbour(neighbour: Neighbour, gone: boolean): void {
		if (neighbour.ifindex !== this.#options.master || this.#closed) return;
		const change = this.#slots.update(neighbour, gone);
		if (change) this.#pass(change);
	}

	/** As the kernel does on sending to a stale neighbour (neigh_event_send): use it, and have it probed. */
	#confirmUsed(): void {
		for (const address of this.#slots.takeUsed(this.#options.used)) this.resolve(address);
	}

	#pass(change: StateChange): void {
		if (!this.#closed) this.#options.change(change).catch(error => this.#complain(error));
	}

	#complain(error: Error): void {
		if (!this.#closed) this.#options.log.warn({ err: error }, "could not follow the host's routing");
	}
}

const CONFIRM_MS = 1000;
/** After a list of the routes that took some time, this many times as long without another. */
const REST = 10;
