/** `ipvtap-helper`: QEMU's bridge-helper protocol (qemu/helper.ts), with the slave looked up at the daemon. */
import { type HelperSlave, helperMain } from '../../../qemu/helper.js';
import { readConfig } from '../../config.js';
import { call } from '../../control/client.js';
import { slavePath } from '../slave-text.js';

/** @returns the exit status: 0 only when QEMU has the TAP. A daemon is never started from here: QEMU stands still meanwhile. */
export function helper(argv: readonly string[]): Promise<number> {
	return helperMain(argv, { lookup: name => call<HelperSlave>(readConfig().socket, 'GET', slavePath(name)) });
}
