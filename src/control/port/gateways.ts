/**
 * What the host's routes through a master say about the LAN, followed as they change: the gateways on it, and the
 * prefixes that are on it.
 */
import type { LinkMonitor, LinkMonitorEvents } from '../../sys/netlink/monitor.js';
import { listRoutes, type Route, RTN_UNICAST } from '../../sys/netlink/route.js';
import { isLinkLocal } from './source-address.js';

/** A routing daemon changes routes by the thousand: they are listed again once it is through, ms. */
const SETTLE_MS = 50;

export class Gateways {
	readonly #ifindex: number;
	readonly #monitor: LinkMonitor;
	readonly #changed: (addresses: string[], prefixes: string[]) => void;
	#timer: NodeJS.Timeout | undefined;
	#said = '';

	/** @param changed is told of all of them, at once and whenever they are others. */
	constructor(
		ifindex: number,
		monitor: LinkMonitor,
		changed: (addresses: string[], prefixes: string[]) => void,
	) {
		this.#ifindex = ifindex;
		this.#monitor = monitor;
		this.#changed = changed;
		monitor.on('route', this.#onRoute);
		monitor.on('overrun', this.#look);
		this.#look();
	}

	close(): void {
		clearTimeout(this.#timer);
		this.#monitor.off('route', this.#onRoute);
		this.#monitor.off('overrun', this.#look);
	}

	readonly #onRoute = ({ route }: LinkMonitorEvents['route'][0]): void => {
		if (this.#isOurs(route)) this.#timer ??= setTimeout(this.#look, SETTLE_MS);
	};

	readonly #look = (): void => {
		this.#timer = undefined;
		const routes = listRoutes().filter(route => this.#isOurs(route));
		const addresses = new Set(
			routes.flatMap(({ nextHops }) =>
				nextHops.flatMap(({ ifindex, gateway }) => (ifindex === this.#ifindex ? (gateway ?? []) : [])),
			),
		);
		const prefixes = new Set(routes.filter(isOnLink).map(({ dst }) => dst));
		const said = [...[...addresses].sort(), '', ...[...prefixes].sort()].join();
		if (said === this.#said) return;
		this.#said = said;
		this.#changed([...addresses].sort(), [...prefixes].sort());
	};

	#isOurs({ nextHops, type }: Route): boolean {
		return type === RTN_UNICAST && nextHops.some(({ ifindex }) => ifindex === this.#ifindex);
	}
}

/** No single host, nothing that holds for every link (fe80::/64), and not the whole world without a gateway. */
function isOnLink({ family, dst, gateway }: Route): boolean {
	const [address = '', length] = dst.split('/');
	const bits = Number(length);
	return gateway === undefined && bits > 0 && bits < (family === 'inet' ? 32 : 128) && !isLinkLocal(address);
}
