/**
 * What the kernel does to our devices, and what follows from it:
 *
 *     slave's TAP  deleted              the slave is removed; `run` made it: silently
 *                  carrier on, off      QEMU has opened it, has gone
 *     master       deleted              its port closes, its slaves wait
 *                  appears (again)      its port opens, its slaves are plugged in
 *                  renamed, MTU, MAC    the port is told
 *     port         failed               it is opened again, after a while that doubles
 */
import { limits } from '../config.js';
import { asIpvtapError, type IpvtapError } from '../errors.js';
import type { Logger } from '../log.js';
import { getLink, type Link, listLinks } from '../sys/netlink/link.js';
import type { LinkMonitor } from '../sys/netlink/monitor.js';
import type { Controller } from './controller.js';
import type { Port } from './port.js';
import type { SlaveRecord } from './registry.js';

export class LinkWatch {
	readonly #controller: Controller;
	readonly #monitor: LinkMonitor;
	readonly #log: Logger;
	readonly #claims = new Map<string, NodeJS.Timeout>();
	readonly #retries = new Map<string, { timer?: NodeJS.Timeout; delayMs: number }>();

	constructor(controller: Controller, monitor: LinkMonitor, log: Logger) {
		this.#controller = controller;
		this.#monitor = monitor;
		this.#log = log;
		monitor.on('link', this.#onLink);
		monitor.on('overrun', this.#onOverrun);
		controller.estate.on('failed', (port, error) => this.#queue(() => this.#portFailed(port, error)));
	}

	close(): void {
		this.#monitor.off('link', this.#onLink);
		this.#monitor.off('overrun', this.#onOverrun);
		for (const timer of this.#claims.values()) clearTimeout(timer);
		for (const { timer } of this.#retries.values()) clearTimeout(timer);
	}

	/** A slave of `run` that nobody opens is removed: that `run` was killed in between. */
	expectClaim({ name, ephemeral, domain }: SlaveRecord): void {
		if (!ephemeral) return;
		const patience = domain ? limits.domainClaimMs : limits.claimMs;
		const timer = setTimeout(() => this.#queue(() => this.#dropUnclaimed(name)), patience);
		this.#claims.set(name, timer);
	}

	forget(slave: string): void {
		clearTimeout(this.#claims.get(slave));
		this.#claims.delete(slave);
	}

	/** Opens a master's port and plugs its slaves in; within the controller's queue. @param strict throw if it can't be opened. */
	async reopen(master: string, strict = false): Promise<void> {
		const { registry, estate } = this.#controller;
		try {
			await this.#controller.openPort(master);
		} catch (error) {
			if (strict) throw error;
			const { code, message } = asIpvtapError(error);
			this.#log.error({ master, code }, `the port did not open: ${message}`);
			// Whatever else stands in the way goes with a link event.
			if (code === 'failed' || code === 'timed-out') this.#retryLater(master);
			return;
		}
		await this.#plugAll(registry.slaves(master));
		await estate.port(master)?.port.settle();
		this.#log.info({ master, slaves: registry.slaves(master).length }, 'port open');
	}

	readonly #onLink = ({ kind, link }: { kind: 'new' | 'del'; link: Link }): void => {
		if (this.#isOurs(link)) this.#queue(() => this.#look(link, kind === 'del'));
	};

	readonly #onOverrun = (): void => {
		this.#log.warn('the kernel dropped link events: looking at every device again');
		this.#queue(() => this.#lookAtAll());
	};

	#isOurs(link: Link): boolean {
		const { registry, estate } = this.#controller;
		return (
			estate.slaveOf(link.ifindex) !== undefined ||
			estate.masterOf(link.ifindex) !== undefined ||
			registry.master(link.name) !== undefined ||
			registry.declared(link.name) !== undefined
		);
	}

	#queue(task: () => void | Promise<void>): void {
		this.#controller.serial
			.run(task)
			.catch((error: unknown) => this.#log.error({ err: error }, 'a link event was not handled'))
			.finally(() => this.#controller.emit('changed'));
	}

	/** An event may be older than what we did meanwhile: what counts is how the device is now. */
	async #look(link: Link, gone: boolean): Promise<void> {
		const now = gone ? link : getLink(link.ifindex);
		// Gone by now: its `del` is on its way.
		if (now) await this.#handle(now, gone);
	}

	async #handle(link: Link, gone: boolean): Promise<void> {
		const { registry, estate } = this.#controller;
		const slave = estate.slaveOf(link.ifindex);
		if (slave !== undefined) return gone ? this.#tapGone(slave) : this.#tapChanged(slave, link);
		const master = estate.masterOf(link.ifindex);
		if (master !== undefined) return gone ? this.#masterGone(master) : this.#masterChanged(master, link);
		if (gone) return;
		if (registry.master(link.name) && !estate.port(link.name)) await this.reopen(link.name);
		await this.#controller.pluggedIn.adopt(link);
	}

	async #tapGone(name: string): Promise<void> {
		const { registry, estate } = this.#controller;
		const slave = registry.requireSlave(name);
		estate.forgetTap(name);
		if (!slave.ephemeral)
			this.#log.warn({ slave: name, ifname: slave.ifname }, 'TAP was deleted by somebody else');
		await this.#drop(slave);
	}

	async #tapChanged(name: string, link: Link): Promise<void> {
		const { registry, estate } = this.#controller;
		const slave = registry.requireSlave(name);
		const before = estate.tap(name);
		estate.updateTap(name, link);
		if (link.name !== slave.ifname) {
			registry.changeSlave(name, { ifname: link.name });
			this.#controller.save();
			this.#log.warn({ slave: name, from: slave.ifname, to: link.name }, 'TAP was renamed by somebody else');
		}
		const wasReopened = link.carrier && before?.link.carrier && before.link.carrierUps !== link.carrierUps;
		// What the one before had learned is not the new one's.
		if (wasReopened) await estate.setLive(slave, false);
		else if (before?.link.carrier === link.carrier) return;
		this.#log.info({ slave: name }, link.carrier ? 'QEMU has opened the TAP' : 'QEMU has gone');
		if (link.carrier) {
			this.forget(name);
			this.#controller.pluggedIn.opened(name);
		}
		if (slave.ephemeral && !link.carrier) await this.#drop(slave);
		else await estate.setLive(slave, link.carrier);
	}

	/** It goes by itself; perhaps its domain went with it. */
	async #drop(slave: SlaveRecord): Promise<void> {
		await this.#controller.drop(slave);
		if (slave.domain) this.#controller.domains.lost(slave.domain.name);
	}

	async #masterGone(name: string): Promise<void> {
		const { registry, estate } = this.#controller;
		const slaves = registry.slaves(name).map(slave => slave.name);
		this.#log.error(
			{ master: name, slaves },
			'master is gone; its slaves wait until there is one of that name again',
		);
		await estate.closePort(name, `${name} is gone`);
	}

	async #masterChanged(name: string, link: Link): Promise<void> {
		const { estate } = this.#controller;
		const before = estate.port(name)?.link;
		if (link.name !== name) await this.#followNames();
		estate.updateMaster(link);
		for (const key of ['mac', 'mtu', 'carrier'] as const) {
			if (before && before[key] !== link[key])
				this.#log.info({ master: link.name, [key]: link[key] }, `master's ${key} changed`);
		}
		if (link.masterIfindex !== undefined && before?.masterIfindex === undefined) {
			this.#log.warn(
				{ master: link.name },
				'master was put into a bridge or bond; take it out again, it serves only one',
			);
		}
	}

	/** All at once: two may have changed places, and the kernel tells of one after the other. */
	async #followNames(): Promise<void> {
		const { registry, estate } = this.#controller;
		const names = estate.renamed();
		const found = [...names.values()].filter(to => !names.has(to)).flatMap(to => registry.slaves(to));
		registry.renameMasters(names);
		estate.renameMasters(names);
		this.#controller.save();
		for (const [from, to] of names) {
			this.#log.warn({ from, to }, 'master was renamed');
			if (registry.slave(to))
				this.#log.warn({ name: to }, "a master has a slave's name now: 'show' shows the slave");
		}
		await this.#plugAll(found);
	}

	/** What can't be plugged in has its problem shown. */
	async #plugAll(slaves: readonly SlaveRecord[]): Promise<void> {
		for (const slave of slaves) {
			await this.#controller.estate
				.plug(slave)
				.catch((error: unknown) =>
					this.#log.error({ slave: slave.name, err: error }, 'slave was not plugged in'),
				);
		}
	}

	async #portFailed(port: Port, error: IpvtapError): Promise<void> {
		const { estate } = this.#controller;
		const master = estate.masterOfPort(port);
		if (master === undefined) return;
		this.#log.error({ master, err: error }, 'port failed');
		await estate.closePort(master, error.message);
		this.#retryLater(master);
	}

	/** A port that opened well and stayed open begins with a short delay again. */
	#retryLater(master: string): void {
		const before = this.#retries.get(master);
		clearTimeout(before?.timer);
		const delayMs = Math.min(before?.delayMs ?? limits.reopenMs, limits.reopenMaxMs);
		const timer = setTimeout(() => {
			this.#retries.set(master, {
				delayMs: delayMs * 2,
				timer: setTimeout(() => this.#retries.delete(master), 2 * limits.reopenMaxMs),
			});
			this.#queue(async () => {
				const { registry, estate } = this.#controller;
				if (registry.master(master) && !estate.port(master)) await this.reopen(master);
			});
		}, delayMs);
		this.#retries.set(master, { timer, delayMs });
	}

	async #dropUnclaimed(name: string): Promise<void> {
		const { registry, estate } = this.#controller;
		const slave = registry.slave(name);
		if (!slave || estate.tap(name)?.claimed) return;
		this.#log.warn({ slave: name }, "nobody opened the TAP: its 'run' seems to have died");
		await this.#drop(slave);
	}

	async #lookAtAll(): Promise<void> {
		const { registry, estate } = this.#controller;
		const links = listLinks();
		const byIndex = new Map(links.map(link => [link.ifindex, link]));
		for (const { name } of registry.slaves()) {
			const tap = estate.tap(name);
			if (tap) await this.#handle(byIndex.get(tap.link.ifindex) ?? tap.link, !byIndex.has(tap.link.ifindex));
		}
		for (const { name } of registry.masters()) {
			const known = estate.port(name)?.link;
			const link = known ? byIndex.get(known.ifindex) : links.find(other => other.name === name);
			if (link ?? known) await this.#handle((link ?? known) as Link, link === undefined);
		}
		await this.#controller.pluggedIn.adoptAll();
	}
}
