/**
 * Runs inside the virtual machine: takes the steps, up to the first that fails, and writes down what came of each.
 *
 *     node other-kernel-inside.js FOLDER      leaves its report in FOLDER
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { flowerSteps } from './flower-steps.js';
import { lastSteps, type Outcome, outcomesFile, type Step, siteSteps } from './other-kernel-steps.js';

async function take(step: Step): Promise<Outcome> {
	const started = performance.now();
	const outcome = (said: string, failed: boolean): Outcome => ({
		said,
		failed,
		seconds: (performance.now() - started) / 1000,
	});
	try {
		return outcome(await step(), false);
	} catch (error) {
		return outcome(inspect(error), true);
	}
}

const outcomes: Record<string, Outcome> = {};
for (const [name, step] of Object.entries({ ...siteSteps, ...flowerSteps, ...lastSteps })) {
	outcomes[name] = await take(step);
	if (outcomes[name].failed) break;
}
writeFileSync(join(process.argv[2]!, outcomesFile), JSON.stringify(outcomes));
// What a failed step has left open would keep it here.
process.exit();
