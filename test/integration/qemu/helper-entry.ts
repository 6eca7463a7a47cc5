/**
 * A helper for QEMU to start: the product's `helperMain` with a lookup that finds what the test says, in place of
 * a daemon. The answer is JSON in IPVTAP_TEST_SLAVE: a slave, an error's code, or nothing for a daemon that hangs.
 */
import { type HelperSlave, helperMain } from '../../../qemu/helper.js';
import { type ErrorCode, IpvtapError } from '../../../src/errors.js';

process.exitCode = await helperMain(process.argv.slice(2), { lookup, timeoutMs: 500 });

async function lookup(name: string): Promise<HelperSlave> {
	const answer = JSON.parse(process.env.IPVTAP_TEST_SLAVE ?? 'null') as HelperSlave | ErrorCode | null;
	if (answer === null) return new Promise(() => {});
	if (typeof answer === 'string') throw new IpvtapError(answer, `no slave ${name}`, { hint: 'ipvtap list' });
	return answer;
}
