/**
 * What is asked of the real kernel, and what it answered: plain data, written as JSON on the one side of a virtual
 * machine's wall and read on the other. Bytes are hexadecimal.
 */
import type { Place } from '../cases/case.js';

export interface Questions {
	configurations: readonly Configuration[];
	/** Put to the first configuration before all others. */
	probes: readonly Probe[];
}

/**
 * A frame that comes to exactly these guests if the driver's filter for groups, a hash of 256 bits, lets through what
 * it should and nothing else. The hash has a secret that each start of the driver draws anew.
 */
export interface Probe {
	from: Place;
	frame: string;
	reaches: readonly Place[];
}

/** Devices on one kernel, and frames that are sent into them one after another. */
export interface Configuration {
	name: string;
	/** Kernel settings by their names under /proc/sys, written first. */
	settings: Readonly<Record<string, string | number>>;
	/** Lines of ip(8). */
	links: readonly string[];
	/** The same inside network namespaces, which the lines above make. */
	inside: Readonly<Record<string, readonly string[]>>;
	/** A file for nft(8). */
	rules: string;
	/** The same for each of the namespaces. */
	rulesInside: string;
	/** Name of the device whose removal takes all others with it. */
	root: string;
	ends: readonly End[];
	/** By where a frame comes from: what is sent behind it, and who has to get that before the frame is through. */
	markers: Readonly<Partial<Record<Place, Marker>>>;
	injections: readonly Injection[];
}

/** Where frames go in and come out. */
export interface End {
	place: Place;
	device: string;
	/** The network namespace of the device, where it isn't the first one. */
	namespace?: string;
	/**
	 * `tap`: the device's `/dev/tapN`, as QEMU holds it. `stack`: frames by a raw socket on the device, and what its
	 * stack gets without a frame ever being there. Otherwise raw sockets for these ethertypes.
	 */
	kind: 'tap' | 'stack' | readonly number[];
}

export interface Marker {
	/** Ends in {@link markerText}, whose last bytes are replaced by a number. */
	frame: string;
	reaches: readonly Place[];
}

export interface Injection {
	from: Place;
	frame: string;
	/** The virtio header in front of a frame that is to be segmented. */
	header?: string;
}

/** The name of the error with which the kernel refused a frame, or all that left because of it. */
export type Observation = string | readonly Departure[];

export interface Departure {
	to: Place;
	/** Empty where a packet came without a frame around it. */
	frame: string;
}

export interface Answers {
	/** As `uname -r` gives it. */
	kernel: string;
	/** Of each configuration, the observation of each injection. */
	observations: readonly (readonly Observation[])[];
	/** Milliseconds that each configuration took. */
	took: readonly number[];
}

/** What no case has in its payload. */
export const markerText = 'the oracle has spoken #00000000';
/** Digits at its end that count. */
export const markerDigits = 8;

/** Exit status of the program inside when the hash is an unlucky one. */
export const unlucky = 3;

/** The files of the folder that both sides see. */
export const questionsFile = 'questions.json';
export const answersFile = 'answers.json';
