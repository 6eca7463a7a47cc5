/** What the running kernel lacks, by its version: such tests are skipped, and counted as that. */
import { release } from 'node:os';
import test from 'ava';

export function isOlderThan(major: number, minor: number): boolean {
	const [a = 0, b = 0] = release().split('.').map(Number);
	return a < major || (a === major && b < minor);
}

/** `test.serial` for programs attached like this. TCX links came with Linux 6.6. */
export function serialWith(attach: string): typeof test.serial | typeof test.serial.skip {
	return attach === 'tcx' && isOlderThan(6, 6) ? test.serial.skip : test.serial;
}
