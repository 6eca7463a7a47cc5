/**
 * The decision table with the kernel's programs in front of the forwarder, over real TAPs, attached in both ways: the
 * same frames to the byte, each once, and the same reasons, whoever of the two decided.
 */
import { rooms, roomsOf } from '../../cases/index.js';
import { describe } from '../../helpers/describe.js';
import { serialWith } from '../../helpers/kernel-age.js';
import { JudgedPort } from '../datapath/judge.js';
import { complaintOf } from '../datapath/judge-words.js';

for (const attach of ['tcx', 'clsact']) {
	const serial = serialWith(attach);
	let port: JudgedPort;
	let withoutHost: JudgedPort;

	serial(`${attach}: it comes up`, async t => {
		const env = { IPVTAP_TC_ATTACH: attach };
		port = await JudgedPort.create(`${attach}-judge`, true, 'tc-bpf', env);
		withoutHost = await JudgedPort.create(`${attach}-nohost`, false, 'tc-bpf', env);
		t.pass();
	});

	// How frames are handed over doesn't depend on the mode.
	for (const [room, cases] of Object.entries(attach === 'tcx' ? rooms : roomsOf('l2')))
		serial(`${attach}: the decision table over real TAPs: ${room}`, async t => {
			const wrong: string[] = [];
			for (const one of cases.filter(({ frame }) => frame.length < 65_000)) {
				const complaint = complaintOf(one, await (one.noHost ? withoutHost : port).judge(one));
				if (complaint !== undefined)
					wrong.push(`${one.name} (from ${one.from}): ${complaint}\n${describe(one.frame).slice(0, 500)}`);
			}
			t.deepEqual(wrong, []);
		});

	serial(`${attach}: nothing is left`, async t => {
		await port.close();
		await withoutHost.close();
		t.pass();
	});
}
