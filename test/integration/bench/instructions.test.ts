/** The emulated machine comes up, the peers do in it, and each of their frames takes some thousand instructions. */
import test from 'ava';
import { countInstructions } from '../../../src/bench/micro/instructions.js';
import { missingKernel } from '../../../src/lab/other-kernel.js';

const missing = await missingKernel();

(missing === undefined ? test : test.skip)(
	`instructions are counted${missing === undefined ? '' : ` (no such kernel: ${missing})`}`,
	async t => {
		const { kernel, counts, failed } = await countInstructions(['bridge-nft', 'ipvtap-tc-bpf']);
		t.regex(kernel, /^\d+\.\d+/);
		t.deepEqual(failed, []);
		t.deepEqual([...new Set(counts.map(({ peer }) => peer))], ['bridge', 'bridge-nft', 'ipvtap-tc-bpf']);
		for (const { peer, path, instructions } of counts) {
			t.log(`${peer}, ${path}: ${instructions}`);
			t.true(instructions > 1000 && instructions < 50_000, `${peer}, ${path}: ${instructions}`);
		}
		const of = (name: string): number =>
			counts.find(({ peer, path }) => peer === name && path === 'guest to guest')!.instructions;
		t.true(of('bridge') < of('bridge-nft'), 'what is done beside costs something');
	},
);
