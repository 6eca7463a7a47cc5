/** What a trace says of claims that are still open; that it comes true is in test/properties/trace.test.ts. */
import test from 'ava';
import { Journal } from '../../../../src/control/port/journal.js';
import { type FrameTrace, traceFrame } from '../../../../src/datapath/trace/trace.js';
import { arpRequest, packet4 } from '../../../cases/traffic.js';
import { commandsOf, PurePort } from '../../../helpers/pure-port.js';
import { gateway, slaves, standardTopology, vm1, vm3, vm4 } from '../../../helpers/world.js';

const topology = standardTopology();
const names = new Map(slaves.map(({ edge, name }) => [edge, name]));

/** A trace of what `from` sends, at the port's present moment. */
type Ask = (from: { edge: number }, frame: Uint8Array) => FrameTrace;

function portWithClaim(): { port: PurePort; ask: Ask } {
	const port = new PurePort(topology);
	port.receive(vm3.edge, packet4(vm3, gateway));
	const ask: Ask = ({ edge }, frame) => {
		const journal = new Journal();
		for (const command of commandsOf(topology)) journal.told(command);
		for (const report of port.reports) journal.heard(report);
		const commands = journal.commands(port.now);
		return traceFrame({ master: 'eth0', mode: 'l2', flag: 'bridge', names, commands }, edge, frame, port.now);
	};
	return { port, ask };
}

const asked = `slave ${vm3.name} claims ${vm3.ipv4}, and the LAN is being asked whether somebody has it`;

test('a frame that waits for a claim that is open says so', t => {
	const { port, ask } = portWithClaim();
	t.teardown(() => port.close());
	const { steps, verdict, out } = ask(vm3, packet4(vm3, gateway));
	t.is(verdict, 'slow: claim');
	t.deepEqual(out, []);
	t.true(steps[0]?.why.includes(`the LAN is being asked about ${vm3.ipv4}; learning is on`));
	t.like(
		steps.find(({ step }) => step === 'source'),
		{ result: 'claimed', why: asked },
	);
	const claim = steps.find(({ step }) => step === 'claim');
	t.is(claim?.result, 'tentative');
	t.regex(claim?.why ?? '', /^the LAN is being asked already/);
	port.settle();
	t.is(ask(vm3, packet4(vm3, gateway)).verdict, 'wire');
});

test('what one slave has claimed is not for another, and who asks for it hears so', t => {
	const { port, ask } = portWithClaim();
	t.teardown(() => port.close());
	const forged = ask(vm4, packet4({ ...vm4, ipv4: vm3.ipv4 }, gateway));
	t.is(forged.verdict, 'drop: ip-spoof');
	t.like(
		forged.steps.find(({ step }) => step === 'source'),
		{ result: 'not its own', why: asked },
	);
	const target = ask(vm1, arpRequest(vm1, vm3.ipv4)).steps.find(({ step }) => step === 'target');
	t.is(target?.why, `no slave has ${vm3.ipv4}, nor has the host; ${asked}`);
});
