/**
 * Programs on devices' TC ingress, in one of two ways. A device that had a program keeps having one: programs are
 * swapped, and only what was attached in the other way, by a daemon before this, is taken off behind it.
 *
 *     tcx      Linux 6.6: a link, pinned. It comes before all filters, and among others' programs where they put it.
 *     clsact   a filter of kind bpf, just before the shield's own; it stays without any process or pin
 */
import { release } from 'node:os';
import { IpvtapError } from '../../errors.js';
import { attachTcx, isGone, linkDevice, swapProgram } from '../../sys/bpf/link.js';
import { closeFd } from '../../sys/fd.js';
import { SysError } from '../../sys/libc.js';
import { deleteFilter, listFilters, replaceBpfFilter } from '../../sys/netlink/tc.js';
import type { ProgramName } from './kernel-object.js';
import type { Pins } from './pins.js';

export type AttachKind = 'tcx' | 'clsact';

export interface AttachmentsOptions {
	/** Absent: nothing outlives us. */
	pins: Pins | undefined;
	/** Absent: the better one that works. */
	kind: AttachKind | undefined;
	/** Makes sure that a device has the qdisc; whoever gave this takes it away again. */
	ensureClsact: (ifindex: number) => void;
}

export class Attachments {
	readonly #options: AttachmentsOptions;
	/** Links' descriptors by pin name; a filter has none. */
	readonly #links = new Map<string, number | undefined>();
	#kind: AttachKind;

	constructor(options: AttachmentsOptions) {
		this.#options = options;
		// A link without a lasting pin would go with this process; a filter stays.
		this.#kind = options.kind ?? (options.pins?.durable ? 'tcx' : 'clsact');
	}

	/** How the next program will be attached. */
	get kind(): AttachKind {
		return this.#kind;
	}

	/** @throws SysError, NetlinkError. */
	attach(ifindex: number, name: ProgramName, program: number): void {
		if (this.#kind === 'tcx') {
			try {
				this.#attachLink(ifindex, name, program);
				return;
			} catch (error) {
				if (!(error instanceof SysError) || error.code !== 'EINVAL') throw error;
				if (this.#options.kind === 'tcx') throw tooOld(error);
				this.#kind = 'clsact';
			}
		}
		this.#options.ensureClsact(ifindex);
		replaceBpfFilter(ifindex, 'ingress', { ...filterKey, program, name: `ipvtap/${name}` });
		this.#dropLink(pinName(ifindex, name));
		this.#links.set(pinName(ifindex, name), undefined);
	}

	/** @param exists whether the device is still there; if not, it took what was on it along. */
	detach(ifindex: number, name: ProgramName, exists = true): void {
		const pin = pinName(ifindex, name);
		const isFilter = this.#links.has(pin) && this.#links.get(pin) === undefined;
		this.#dropLink(pin);
		if (isFilter && exists) deleteFilter(ifindex, 'ingress', filterKey);
	}

	detachAll(): void {
		for (const pin of [...this.#links.keys()]) {
			const [ifindex = '', name = ''] = pin.split('-');
			this.detach(Number(ifindex), name as ProgramName);
		}
	}

	/** Takes off whatever is on devices that nobody has attached anything to by now: of a daemon before this. */
	dropOthers(): void {
		for (const name of this.#options.pins?.names() ?? []) {
			if (/^\d+-/.test(name) && !this.#links.has(name)) this.#options.pins?.remove(name);
		}
	}

	#attachLink(ifindex: number, name: ProgramName, program: number): void {
		const pin = pinName(ifindex, name);
		const { pins } = this.#options;
		const link = this.#adopt(pin, ifindex, program) ?? attachTcx(ifindex, program);
		pins?.set(pin, link);
		this.#dropLink(pin, link);
		this.#links.set(pin, link);
		if (listFilters(ifindex, 'ingress').some(isOurs)) deleteFilter(ifindex, 'ingress', filterKey);
	}

	/** The link of a daemon before this, with our program in it. */
	#adopt(pin: string, ifindex: number, program: number): number | undefined {
		const link = this.#options.pins?.get(pin);
		if (link === undefined) return undefined;
		try {
			if (linkDevice(link) === ifindex) {
				swapProgram(link, program);
				return link;
			}
		} catch (error) {
			if (!isGone(error)) throw error;
		}
		closeFd(link);
		return undefined;
	}

	#dropLink(pin: string, except?: number): void {
		const fd = this.#links.get(pin);
		this.#links.delete(pin);
		if (except === undefined) this.#options.pins?.remove(pin);
		if (fd !== undefined && fd !== except) closeFd(fd);
	}
}

function tooOld(cause: SysError): IpvtapError {
	return new IpvtapError('failed', `tc-bpf: TCX needs kernel ≥ 6.6, this is ${release()}`, {
		hint: 'leave the choice to ipvtap, or set IPVTAP_TC_ATTACH=clsact',
		cause,
	});
}

/** Just before the shield's, which is what a frame meets if this one is not there. */
const filterKey = { priority: 0x4975, handle: 1 } as const;

function isOurs({ priority, handle, kind }: { priority: number; handle: number; kind: string }): boolean {
	return kind === 'bpf' && priority === filterKey.priority && handle === filterKey.handle;
}

function pinName(ifindex: number, name: ProgramName): string {
	return `${ifindex}-${name}`;
}
