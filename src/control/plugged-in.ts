/**
 * NICs that are plugged into running domains. libvirt calls no hook for that, so a TAP whose name a domain declares is
 * taken for the domain's when it appears; and libvirt's own name for the NIC, which it gives with its hooks only, is
 * asked for when a QEMU has the TAP open.
 */
import { describeDomain } from '../../qemu/libvirt/virsh.js';
import type { Logger } from '../log.js';
import { getLink, type Link } from '../sys/netlink/link.js';
import type { Controller } from './controller.js';

export class PluggedIn {
	readonly #controller: Controller;
	readonly #log: Logger;
	readonly #asking = new Map<string, NodeJS.Timeout>();

	constructor(controller: Controller, log: Logger) {
		this.#controller = controller;
		this.#log = log;
	}

	close(): void {
		for (const timer of this.#asking.values()) clearTimeout(timer);
	}

	/** A TAP has appeared that a running domain may declare: libvirt, or somebody for it, made it; within `serial`. */
	async adopt(link: Link): Promise<void> {
		const { registry, domains } = this.#controller;
		const found = registry.declared(link.name);
		if (!found || link.kind !== 'tun' || registry.slave(found.nic.name)) return;
		const { domain, nic } = found;
		if (domain.state !== 'running') return;
		this.#log.info(
			{ domain: domain.name, slave: nic.name, ifname: link.name },
			'TAP of a declared NIC appeared',
		);
		await domains.attach(domain, nic, { closed: false });
		if (link.carrier) this.opened(nic.name);
	}

	/** What has appeared, or been opened, while nobody watched; within `serial`. */
	async adoptAll(): Promise<void> {
		const { registry } = this.#controller;
		for (const { nics } of registry.domains()) {
			for (const { ifname } of nics) {
				const link = getLink(ifname);
				if (!link) continue;
				await this.adopt(link).catch((error: unknown) =>
					this.#log.error({ ifname, err: error }, 'a declared TAP was not taken over'),
				);
			}
		}
		for (const { name } of registry.slaves()) this.opened(name);
	}

	/** A QEMU has a slave's TAP open. */
	opened(slave: string): void {
		this.#ask(slave, firstAskMs);
	}

	/** The NIC is in libvirt's XML only when all of plugging it in is done, for which there is no event. */
	#ask(slave: string, delayMs: number): void {
		clearTimeout(this.#asking.get(slave));
		this.#asking.delete(slave);
		const wanting = (): { uuid: string; ifname: string } | undefined => {
			const { registry, estate } = this.#controller;
			const record = registry.slave(slave);
			const { name, uuid, alias } = record?.domain ?? {};
			const runs = name !== undefined && registry.domain(name)?.state === 'running';
			if (!record || uuid === undefined || alias !== undefined || !runs) return undefined;
			return estate.isHeld(slave) ? { uuid, ifname: record.ifname } : undefined;
		};
		if (!wanting() || delayMs > lastAskMs) return;
		const ask = async (): Promise<void> => {
			const wanted = wanting();
			if (!wanted) return;
			const { interfaces = [] } = await describeDomain(wanted.uuid).catch(() => ({}) as { interfaces?: [] });
			const alias = interfaces.find(({ target }) => target === wanted.ifname)?.alias;
			if (alias === undefined) return this.#ask(slave, delayMs * 2);
			await this.#controller.change(async () => {
				if (wanting()) this.#controller.domains.nameNic(slave, alias);
			});
		};
		const timer = setTimeout(() => void ask().catch(() => undefined), delayMs);
		this.#asking.set(slave, timer.unref());
	}
}

/** libvirt has been seen to take some 20 ms from opening a TAP until the NIC is in its XML. */
const firstAskMs = 100;
const lastAskMs = 10_000;
