/** The gateways that the host's routes through a master lead to, followed as they change. */
import type { LinkMonitor, LinkMonitorEvents } from '../../sys/netlink/monitor.js';
import { listRoutes, type Route } from '../../sys/netlink/route.js';

/** A routing daemon changes routes by the thousand: they are listed again once it is through, ms. */
const SETTLE_MS = 50;

export class Gateways {
	readonly #ifindex: number;
	readonly #monitor: LinkMonitor;
	readonly #changed: (addresses: string[]) => void;
	#timer: NodeJS.Timeout | undefined;
	#said = '';

	/** @param changed is told of all of them, at once and whenever they are others. */
	constructor(ifindex: number, monitor: LinkMonitor, changed: (addresses: string[]) => void) {
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
		const addresses = [
			...new Set(
				listRoutes()
					.filter(route => this.#isOurs(route))
					.map(({ gateway }) => gateway as string),
			),
		];
		const said = addresses.sort().join();
		if (said === this.#said) return;
		this.#said = said;
		this.#changed(addresses);
	};

	#isOurs({ ifindex, gateway }: Route): boolean {
		return ifindex === this.#ifindex && gateway !== undefined;
	}
}
