/**
 * Programs on devices' TC ingress, in one of two ways:
 *
 *     tcx      Linux 6.6: a link, pinned. It comes before all filters, and before all programs that are there.
 *     clsact   a filter of kind bpf, just before the shield's own; it stays without any process or pin
 *
 * What a daemon before this has attached stays, with the maps that it was loaded with, until `settle`: by then the new
 * programs' maps are complete, and programs are swapped device by device. A frame meets the old one or the new one, and
 * each knows everybody. So it doesn't matter of which version the old one is, nor whether it is the half of an exchange
 * that was killed.
 */
import { release } from 'node:os';
import { IpvtapError } from '../../errors.js';
import { attachTcx, isGone, linkDevice, swapProgram } from '../../sys/bpf/link.js';
import { closeFd } from '../../sys/fd.js';
import { SysError } from '../../sys/libc.js';
import { NetlinkError } from '../../sys/netlink/error.js';
import { getLink, listLinks } from '../../sys/netlink/link.js';
import { deleteFilter, type Filter, listFilters, replaceBpfFilter } from '../../sys/netlink/tc.js';
import type { ProgramName } from './kernel-object.js';
import type { Pins } from './pins.js';

export type AttachKind = 'tcx' | 'clsact';

export interface AttachmentsOptions {
	/** ifindex: which port it is. */
	master: number;
	/** Absent: a link would go with this process. */
	pins: Pins | undefined;
	/** Absent: the better one that works. */
	kind: AttachKind | undefined;
	/** Makes sure that a device has the qdisc; whoever gave this takes it away again. */
	ensureClsact: (ifindex: number) => void;
}

interface Place {
	ifindex: number;
	name: ProgramName;
	/** Descriptor. */
	program: number;
}

export class Attachments {
	readonly #options: AttachmentsOptions;
	/** What is to be attached, by pin name. */
	readonly #places = new Map<string, Place>();
	/** Descriptors of links by pin name; undefined for a filter. */
	readonly #attached = new Map<string, number | undefined>();
	#kind: AttachKind;
	/** Whether the programs of a daemon before this have to do until `settle`. */
	#waits: boolean;

	constructor(options: AttachmentsOptions) {
		this.#options = options;
		this.#kind = options.kind ?? (options.pins ? 'tcx' : 'clsact');
		this.#waits = (options.pins?.names() ?? []).length > 0 || filtersOn(options.master).some(isOurs);
	}

	/** How the next program will be attached. */
	get kind(): AttachKind {
		return this.#kind;
	}

	/** @throws SysError, NetlinkError. */
	attach(ifindex: number, name: ProgramName, program: number): void {
		const place = { ifindex, name, program };
		this.#places.set(pinName(place), place);
		if (!this.#waits) this.#put(place);
	}

	/** @param exists whether the device is still there; if not, it took what was on it along. */
	detach(ifindex: number, name: ProgramName, exists = true): void {
		const pin = pinName({ ifindex, name });
		this.#places.delete(pin);
		this.#dropLink(pin);
		if (exists) dropFilter(ifindex);
	}

	/** What a daemon before this had, and nobody has named again, goes with its pins. */
	detachAll(): void {
		for (const { ifindex, name } of this.#places.values()) this.detach(ifindex, name);
		if (this.#waits) detachFilters(this.#options.master);
	}

	/** Everything that is to be attached has been named: take the place of a daemon before this, and take off the rest of it. */
	settle(): void {
		if (!this.#waits) return;
		for (const place of this.#places.values()) this.#put(place);
		const { pins, master } = this.#options;
		for (const pin of pins?.names() ?? []) if (!this.#attached.has(pin)) pins?.remove(pin);
		const kept = new Set([...this.#places.values()].map(({ ifindex }) => ifindex));
		detachFilters(master, ifindex => kept.has(ifindex));
		this.#waits = false;
	}

	/**
	 * What somebody has taken off comes back. @param ifindex of a device whose filters have changed; absent: look at all
	 * links, of which nobody is told. @returns whether any was missing.
	 */
	mend(ifindex?: number): boolean {
		const missing = [...this.#places].filter(([pin, place]) => {
			const link = this.#attached.get(pin);
			if (ifindex === undefined) return link !== undefined && isDetached(link, place);
			const isFilter = this.#attached.has(pin) && link === undefined;
			return place.ifindex === ifindex && isFilter && !filtersOn(ifindex).some(isOurs);
		});
		for (const [pin, place] of missing) {
			this.#dropLink(pin);
			this.#put(place);
		}
		return missing.length > 0;
	}

	/** A device that goes while we are at it takes everything along, and its removal is on the way. */
	#put(place: Place): void {
		try {
			if (this.#kind === 'tcx') this.#putLink(place);
			else this.#putFilter(place);
		} catch (error) {
			const gone = isGone(error) || error instanceof NetlinkError;
			if (!gone || getLink(place.ifindex)) throw error;
		}
	}

	#putLink(place: Place): void {
		const pin = pinName(place);
		const { pins, kind } = this.#options;
		let link = this.#adopt(pin, place);
		if (link === undefined) {
			try {
				link = attachTcx(place.ifindex, place.program);
			} catch (error) {
				if (!(error instanceof SysError) || error.code !== 'EINVAL') throw error;
				if (kind === 'tcx') throw tooOld(error);
				this.#kind = 'clsact';
				this.#putFilter(place);
				return;
			}
			pins?.set(pin, link);
		}
		this.#attached.set(pin, link);
		dropFilter(place.ifindex);
	}

	#putFilter(place: Place): void {
		const { ifindex, name, program } = place;
		const { master, ensureClsact } = this.#options;
		const pin = pinName(place);
		ensureClsact(ifindex);
		replaceBpfFilter(ifindex, 'ingress', { ...filterKey, program, name: filterName(master, name) });
		this.#dropLink(pin);
		this.#attached.set(pin, undefined);
	}

	/** The link of a daemon before this, with our program in it. What else is pinned in its place is no link of ours. */
	#adopt(pin: string, { ifindex, program }: Place): number | undefined {
		const link = this.#options.pins?.get(pin);
		if (link === undefined) return undefined;
		try {
			if (linkDevice(link) === ifindex) {
				swapProgram(link, program);
				return link;
			}
		} catch (error) {
			if (!isGone(error) && !(error instanceof SysError && error.code === 'EINVAL')) throw error;
		}
		closeFd(link);
		return undefined;
	}

	#dropLink(pin: string): void {
		const fd = this.#attached.get(pin);
		this.#attached.delete(pin);
		this.#options.pins?.remove(pin);
		if (fd !== undefined) closeFd(fd);
	}
}

/** Takes the filters of a port off all devices but those kept. @param master its ifindex. */
export function detachFilters(master: number, isKept: (ifindex: number) => boolean = () => false): void {
	for (const { ifindex } of listLinks()) {
		if (!isKept(ifindex) && filtersOn(ifindex).some(filter => isOurs(filter) && isOf(filter, master))) {
			deleteFilter(ifindex, 'ingress', filterKey);
		}
	}
}

/** And not because its device has gone, whose removal is on the way. */
function isDetached(link: number, { ifindex }: Place): boolean {
	return linkDevice(link) === 0 && getLink(ifindex) !== undefined;
}

function tooOld(cause: SysError): IpvtapError {
	return new IpvtapError('failed', `tc-bpf: TCX needs kernel ≥ 6.6, this is ${release()}`, {
		hint: 'leave the choice to ipvtap, or set IPVTAP_TC_ATTACH=clsact',
		cause,
	});
}

/** Just before the shield's, which is what a frame meets if this one is not there. */
const filterKey = { priority: 0x4975, handle: 1 } as const;

function filtersOn(ifindex: number): Filter[] {
	return listFilters(ifindex, 'ingress');
}

function isOurs({ priority, handle, kind }: Filter): boolean {
	return kind === 'bpf' && priority === filterKey.priority && handle === filterKey.handle;
}

function isOf({ name = '' }: Filter, master: number): boolean {
	return name.startsWith(filterName(master, ''));
}

function dropFilter(ifindex: number): void {
	if (filtersOn(ifindex).some(isOurs)) deleteFilter(ifindex, 'ingress', filterKey);
}

/** As `tc filter show` has it. */
function filterName(master: number, name: string): string {
	return `ipvtap/${master}/${name}`;
}

function pinName({ ifindex, name }: Pick<Place, 'ifindex' | 'name'>): string {
	return `${ifindex}-${name}`;
}
