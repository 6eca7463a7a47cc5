/** The decision table once more, with the whole userspace path as the second judge: the same frames, to the byte. */
import test from 'ava';
import type { Case } from '../../cases/case.js';
import { rooms } from '../../cases/index.js';
import { describe, readable } from '../../helpers/describe.js';
import { type Judged, JudgedPort } from './judge.js';

let port: JudgedPort;
let withoutHost: JudgedPort;

test.before(async () => {
	port = await JudgedPort.create('judge', true);
	withoutHost = await JudgedPort.create('nohost', false);
});

test.after.always(async () => {
	await port?.close();
	await withoutHost?.close();
});

for (const jammed of [false, true]) {
	if (jammed) {
		test.serial('the decision table: a ring is jammed, and from now on frames come by a socket', async t => {
			await port.jam();
			await withoutHost.jam();
			t.pass();
		});
	}
	for (const [room, cases] of Object.entries(rooms))
		test.serial(`the decision table over real TAPs${jammed ? ', jammed' : ''}: ${room}`, async t => {
			const wrong: string[] = [];
			let refused = 0;
			const started = performance.now();
			// The kernel itself cuts frames that are longer than a device's gso_max_size, 64 KB with all headers.
			for (const one of cases.filter(({ frame }) => frame.length < 65_000)) {
				const judged = await (one.noHost ? withoutHost : port).judge(one);
				if (!judged.taken) refused++;
				const complaint = complaintOf(one, judged);
				if (complaint !== undefined)
					wrong.push(`${one.name} (from ${one.from}): ${complaint}\n${describe(one.frame).slice(0, 500)}`);
			}
			t.log(
				`${cases.length} cases in ${((performance.now() - started) / 1000).toFixed(1)} s, of which the kernel refuses ${refused} at the sender`,
			);
			t.deepEqual(wrong, []);
		});
}

function complaintOf(
	{ verdict, frame, out = [] }: Case,
	{ taken, out: seen, drops }: Judged,
): string | undefined {
	const wanted = out.map(one => `${one.to}: ${readable(one.frame)}`).sort();
	const got = seen.map(one => `${one.to}: ${readable(one.frame)}`).sort();
	if (wanted.join('\n') !== got.join('\n')) return `\n got ${shown(got)}\nnot  ${shown(wanted)}`;
	if (!/^(drop|refuse): /.test(verdict) || !taken) return undefined;
	const counted = JSON.stringify(drops);
	// The kernel takes tags out of frames before anybody sees them, and drops what is too short for one itself.
	if (isTagged(frame))
		return counted === '{"vlan":1}' || (counted === '{}' && frame.length < 18)
			? undefined
			: `counted as ${counted}`;
	const reason = verdict.replace(/^(drop|refuse): /, '');
	return counted === JSON.stringify({ [reason]: 1 }) ? undefined : `counted as ${counted}, not ${reason}`;
}

function isTagged(frame: Uint8Array): boolean {
	const type = (frame[12]! << 8) | frame[13]!;
	return type === 0x8100 || type === 0x88a8;
}

/** The beginnings of frames, which is where they differ. */
function shown(frames: readonly string[]): string {
	return frames.map(text => text.slice(0, 500)).join('\n     ') || 'nothing';
}
