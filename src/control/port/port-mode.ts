/**
 * A port's mode: what each needs beside the frame threads' knowing of it, made before they are told and unmade after.
 *
 *     l2    nothing
 *     l3    the host's routing, followed (routing.ts)
 *     l3s   forwarding in the host (forwarding.ts), whose stack gets the guests' frames from the wire (shield.ts)
 */
import type { StateChange } from '../../datapath/messages.js';
import { IpvtapError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Mode } from '../model.js';
import { enableForwarding, restoreForwarding } from './forwarding.js';
import { renameSettings, type SavedSettings } from './forwarding-plan.js';
import type { HostSlave } from './host-slave.js';
import { HostRouting } from './routing.js';
import type { Shield } from './shield.js';

export interface PortModeOptions {
	/** As it is called now. */
	master: () => { name: string; ifindex: number };
	host: HostSlave | undefined;
	shield: Shield;
	/** A byte per neighbour, set by the frame threads. */
	neighboursUsed: Uint8Array;
	change: (change: StateChange) => Promise<void>;
	/** The host's settings as a port before this one found and changed them. */
	settings: SavedSettings;
	saveSettings: (master: string, settings: SavedSettings) => void;
	log: Logger;
}

export class PortMode {
	readonly #options: PortModeOptions;
	#settings: SavedSettings;
	/** What the master was called when they were saved. */
	#named: string;
	#routing: HostRouting | undefined;

	constructor(options: PortModeOptions) {
		this.#options = options;
		this.#settings = options.settings;
		this.#named = options.master().name;
	}

	/** Changes the mode while frames flow. @throws IpvtapError; then it is still the one before. */
	async enter(mode: Mode): Promise<void> {
		if (mode === 'l3') await this.#follow();
		if (mode === 'l3s') this.#forward();
		if (mode === 'l3s') this.#options.shield.leaveAddresses(true);
		await this.#options.change({ kind: 'mode', mode });
		if (mode !== 'l3s') this.#options.shield.leaveAddresses(false);
		if (mode !== 'l3') await this.#unfollow();
		if (mode !== 'l3s') this.#restore();
	}

	/** What the user should know. */
	get warnings(): string[] {
		return this.#routing?.warning === undefined ? [] : [this.#routing.warning];
	}

	/** Frames wait for this next hop. */
	resolve(address: string): void {
		this.#routing?.resolve(address);
	}

	/** The frame threads are about to end, and needn't be told. */
	async close(): Promise<void> {
		await this.#unfollow(false);
		this.#restore();
	}

	async #follow(): Promise<void> {
		if (this.#routing) return;
		const { master, host, neighboursUsed, change, log } = this.#options;
		const routing = new HostRouting({
			master: master().ifindex,
			masterName: () => master().name,
			host: host?.ifindex,
			used: neighboursUsed,
			change,
			log,
		});
		this.#routing = routing;
		try {
			await routing.start();
		} catch (error) {
			await this.#unfollow();
			throw error;
		}
	}

	async #unfollow(tell = true): Promise<void> {
		const routing = this.#routing;
		this.#routing = undefined;
		await routing?.close(tell);
	}

	#forward(): void {
		const { master, host, saveSettings } = this.#options;
		if (!host) throw new IpvtapError('usage', `${master().name}: mode l3s needs a host slave`);
		const { name } = master();
		this.#settings = enableForwarding(name, host.name, this.#settings, saved => saveSettings(name, saved));
		this.#named = name;
	}

	#restore(): void {
		if (Object.keys(this.#settings).length === 0) return;
		const { name } = this.#options.master();
		restoreForwarding(renameSettings(this.#settings, this.#named, name));
		this.#settings = {};
		this.#options.saveSettings(name, {});
	}
}
