/** A guest that speaks in guest 0's name to guest 1: with its address, and with its address and MAC, in turns. */
import { guestIp, guestMac } from '../ground.js';
import type { Place } from '../site.js';
import { fan } from './fan.js';

const FORGER = 2;
/** Frames/s: what gets through within a millisecond is seen. */
const RATE = 5000;

/** @returns how many frames it sent. @throws IpvtapError with the emulator's own words. */
export async function forge(place: Place, seconds: number): Promise<number> {
	const { peer } = place;
	const target = `${peer.router?.(FORGER) ?? guestMac(1)}/${guestIp(1)}`;
	const names = ['--source', `${guestMac(FORGER)}/${guestIp(0)}`, '--forge', `${guestMac(0)}/${guestIp(0)}`];
	const words = [...names, '--target', target, '--rate', String(RATE)];
	return (await fan(place, FORGER, words, { seconds, warmup: 0.1 })).sent;
}
