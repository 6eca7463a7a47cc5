/**
 * The same on a second kernel: Debian 12's own, which has neither TCX nor what the faster form of the programs takes,
 * in an emulated machine. The steps are taken there by one process.
 */
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { insertScript, missingKernel, OtherKernel, share } from '../../../src/lab/other-kernel.js';
import { flowerModules, flowerSteps } from './flower-steps.js';
import { lastSteps, type Outcome, outcomesFile, siteSteps } from './other-kernel-steps.js';

const missing = await missingKernel();
const because = missing === undefined ? '' : ` (no such kernel: ${missing})`;
/** Where test/netdevsim.sh has left what it has built. */
const nic = process.env.TEST_NETDEVSIM;
const nicModules = ['psample.ko', 'netdevsim.ko'];
let outcomes: Partial<Record<string, Outcome>> = {};

(missing === undefined ? test.serial.before : test.serial.before.skip)(
	`Debian's kernel is put to work${because}`,
	async t => {
		const machine = await OtherKernel.boot({
			name: 'other',
			drivers: ['crc32c_generic', 'nft_ct', 'tun', 'veth', 'sch_ingress', 'cls_bpf', ...flowerModules],
			memory: 1024,
			processors: 2,
		});
		try {
			t.log(`Linux ${machine.version}`);
			if (nic !== undefined) {
				for (const file of nicModules) copyFileSync(join(nic, file), join(machine.folder, file));
				await machine.exec(insertScript(nicModules.map(file => `${share}/${file}`)));
			}
			const env = nic === undefined ? '' : 'TEST_NETDEVSIM=here';
			await machine.inside(`${env} ${process.execPath} --enable-source-maps '${program}' ${share}`, PATIENCE);
			outcomes = JSON.parse(readFileSync(join(machine.folder, outcomesFile), 'utf8'));
		} finally {
			await machine.stop();
		}
	},
);

for (const name of Object.keys({ ...siteSteps, ...flowerSteps, ...lastSteps })) {
	(missing === undefined ? test.serial : test.serial.skip)(`${name}${because}`, t => {
		const { failed, said, seconds } = outcomes[name] ?? notReached;
		t.log(`${seconds.toFixed(1)} s: ${said}`);
		t.false(failed, said);
	});
}

const notReached: Outcome = { failed: true, said: 'a step before this has failed', seconds: 0 };
const program = fileURLToPath(new URL('./other-kernel-inside.js', import.meta.url));
/** Some 60 s if nobody else is at work. Milliseconds. */
const PATIENCE = 400_000;
