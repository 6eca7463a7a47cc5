/** `ipvtap trace` against what then happens: the frame that was traced is sent, and goes where the trace said. */
import test, { type ExecutionContext } from 'ava';
import type { Trace } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openPacketSocket } from '../../helpers/packet-socket.js';
import { isSpeech } from '../../helpers/speech.js';
import { FrameEnd, within } from '../../helpers/tap-guest.js';
import { arp, broadcastMac, ethernet } from './frames.js';
import { far, type Guest, host, Site } from './site.js';

const noTap = 'receiver-full: nobody has its TAP open';
let site: Site;
let one: Guest;
let two: Guest;
let learner: Guest;
let hostEnd: FrameEnd;

test.before(async () => {
	site = await Site.create('trace');
	one = await site.guest('one', 11);
	two = await site.guest('two', 12);
	learner = await site.guest('learner', 13, { attach: ['--learn', 'on'] });
	await site.product.attach('asleep', 'eth0', ['192.0.2.14']);
	hostEnd = within(
		site.host,
		() => new FrameEnd(openPacketSocket(requireLink('ipvh-eth0').ifindex), isSpeech),
	);
});

test.after.always(async () => {
	hostEnd?.close();
	await site?.close();
});

/** Traces, then sends the same frame, and waits until it is where the trace said, byte for byte. */
async function tracedAndSent(t: ExecutionContext, ...words: string[]): Promise<Trace> {
	const before = await seen();
	const trace = await traced(...words);
	t.deepEqual(await seen(), before, 'a trace changes nothing');
	await sentAsTraced(t, trace);
	return trace;
}

async function sentAsTraced(t: ExecutionContext, trace: Trace): Promise<void> {
	const reason = /^drop: (.*)$/.exec(trace.verdict)?.[1];
	const sender = trace.from.replace('slave ', '');
	const counter = trace.from === 'wire' || trace.from === 'host' ? 'eth0' : sender;
	const drops = async (name: string): Promise<number> => (await site.stats(counter)).drops[name] ?? 0;
	const dropped = reason === undefined ? 0 : await drops(reason);
	endOf(trace.from).send(Buffer.from(trace.frame, 'hex'));
	for (const { to, frame, lost } of trace.out) {
		if (lost !== undefined) continue;
		const wanted = Buffer.from(frame, 'hex');
		t.notThrows(
			() => endOf(to).receiveUntil(received => received.frame.equals(wanted)),
			`${trace.summary} to ${to}`,
		);
	}
	if (reason === undefined) return;
	await until(`a drop for ${reason}`, 20_000, async () => (await drops(reason)) === dropped + 1);
	// Behind the dropped frame comes one that passes: by then the other would have arrived.
	const frames = site.arrivals(one, site.far, site.everybody);
	const hex = Buffer.from(trace.frame, 'hex').subarray(14).toString('hex');
	t.false(
		frames.some(({ frame }) => frame.subarray(14).toString('hex') === hex),
		'it was dropped',
	);
}

function traced(...words: string[]): Promise<Trace> {
	return site.product.json<Trace>('trace', ...words);
}

/** What a trace could have changed. */
async function seen(): Promise<unknown> {
	const { slaves } = await site.product.list();
	return slaves.map(({ name, addresses, stats }) => ({ name, addresses, drops: stats.drops, tx: stats.tx }));
}

function endOf(place: string): FrameEnd {
	const ends: Record<string, FrameEnd> = {
		wire: site.far,
		host: hostEnd,
		'slave one': one.end,
		'slave two': two.end,
		'slave learner': learner.end,
	};
	return ends[place] as FrameEnd;
}

const result = ({ steps }: Trace, step: string): string | undefined =>
	steps.find(one => one.step === step)?.result;
const receivers = ({ out }: Trace): string[] => out.map(({ to }) => to);

test.serial('to the wire, to a slave, to the host: unicast by the fast path', async t => {
	for (const [to, place] of [
		[far.ipv4, 'wire'],
		[far.ipv6, 'wire'],
		['two', 'slave two'],
		[two.ipv6, 'slave two'],
		['host', 'host'],
		[host.ipv6, 'host'],
	] as const) {
		const trace = await tracedAndSent(t, '--from', 'one', '--to', to, '--dport', '4242');
		t.is(trace.verdict, place);
		t.deepEqual(receivers(trace), [place]);
		t.is(result(trace, 'path'), 'fast path');
	}
});

test.serial('ARP and ND: to the owner of the target alone, and answered for the host', async t => {
	for (const [words, verdict, to] of [
		[['--to', 'two', '--type', 'arp'], 'slave two', 'slave two'],
		[['--to', far.ipv4, '--type', 'arp'], 'wire', 'wire'],
		[['--to', 'host', '--type', 'arp'], 'slow: answer', 'slave one'],
		[['--to', two.ipv6, '--type', 'ns'], 'slave two', 'slave two'],
		[['--to', far.ipv6, '--type', 'ns'], 'wire', 'wire'],
		[['--to', host.ipv6, '--type', 'ns'], 'slow: answer', 'slave one'],
	] as const) {
		const trace = await tracedAndSent(t, '--from', 'one', ...words);
		t.is(trace.verdict, verdict, words.join(' '));
		t.deepEqual(receivers(trace), [to], words.join(' '));
	}
});

test.serial('what is forged is dropped and counted for the reason that the trace gives', async t => {
	for (const [words, verdict] of [
		[['--to', 'two', '--source', '192.0.2.99'], 'drop: ip-spoof'],
		[['--to', 'two', '--source', host.ipv4], 'drop: ip-spoof'],
		[['--to', 'two', '--mac', two.mac], 'drop: mac-spoof'],
		[['--to', 'two', '--type', 'arp', '--source', far.ipv4], 'drop: arp-spoof'],
		[['--type', 'na', '--source', two.ipv6], 'drop: nd-spoof'],
		[['--type', 'ra'], 'drop: router-guard'],
		[['--to', 'one'], 'drop: own-address'],
	] as const) {
		const trace = await tracedAndSent(t, '--from', 'one', ...words);
		t.is(trace.verdict, verdict, words.join(' '));
		t.deepEqual(trace.out, []);
		t.truthy(trace.hint);
	}
});

test.serial(
	'a claim is foretold, comes true when the frame is sent, and is known to the next trace',
	async t => {
		const words = ['--from', 'learner', '--to', far.ipv4, '--source', '192.0.2.50'];
		const trace = await tracedAndSent(t, ...words);
		t.is(trace.verdict, 'slow: claim');
		t.is(result(trace, 'path'), 'slow path: claim');
		t.is(result(trace, 'claim'), 'tentative');
		// Nobody answers, and so it goes on.
		const sent = Buffer.from(trace.frame, 'hex');
		site.far.receiveUntil(({ frame }) => frame.subarray(12).equals(sent.subarray(12)));
		const { addresses } = (await site.product.list()).slaves.find(({ name }) => name === 'learner')!;
		t.deepEqual(
			addresses.filter(({ origin }) => origin === 'learned').map(({ address }) => address),
			['192.0.2.50'],
		);
		const again = await tracedAndSent(t, ...words);
		t.is(result(again, 'path'), 'fast path');
		t.is(result(again, 'source'), 'its own');
	},
);

test.serial("gateways and other machines' addresses can't be claimed", async t => {
	await site.host.ip('route add default via 192.0.2.1');
	const words = ['--from', 'learner', '--to', far.ipv4, '--source'];
	await until('the gateway to be known', 20_000, async () => {
		return (await traced(...words, '192.0.2.1')).verdict === 'drop: gateway-address';
	});
	await tracedAndSent(t, ...words, '192.0.2.1');
	await site.host.ip('route del default via 192.0.2.1');

	await sentAsTraced(t, await traced(...words, '192.0.2.60'));
	const fields = { operation: 1, senderMac: far.mac, sender: '192.0.2.60', target: '192.0.2.60' };
	await until('the address to be lost', 20_000, async () => {
		site.far.send(ethernet(broadcastMac, far.mac, 0x0806, arp(fields)));
		return (await traced(...words, '192.0.2.60')).verdict === 'drop: duplicate-address';
	});
	await tracedAndSent(t, ...words, '192.0.2.60');
});

test.serial('broadcast and multicast: a copy for each that the trace names', async t => {
	for (const to of ['broadcast', '224.0.0.251', 'ff02::fb']) {
		const trace = await tracedAndSent(t, '--from', 'one', '--to', to, '--dport', '5353');
		t.is(trace.verdict, 'slow: fan out');
		const all = ['host', 'slave asleep', 'slave learner', 'slave two', 'wire'];
		t.deepEqual(receivers(trace).sort(), all, to);
		t.is(trace.out.find(one => one.to === 'slave asleep')?.lost, noTap);
	}
});

test.serial('from the wire and from the host', async t => {
	const neighbour = ['--from', 'wire', '--source', far.ipv4, '--mac', far.mac];
	for (const [words, verdict] of [
		[[...neighbour, '--to', 'one', '--dport', '4243'], 'slave one'],
		[[...neighbour, '--to', 'one', '--type', 'arp'], 'slave one'],
		[['--from', 'wire', '--to', 'one', '--mac', host.mac, '--source', two.ipv4], 'drop: reflected'],
		[['--from', 'host', '--to', 'two', '--dport', '4244'], 'slave two'],
		[['--from', 'host', '--to', '192.0.2.77'], 'drop: unknown-destination'],
	] as const) {
		t.is((await tracedAndSent(t, ...words)).verdict, verdict, words.join(' '));
	}
	const forHost = await traced(...neighbour, '--to', 'host');
	t.is(forHost.verdict, 'ignore');
});

test.serial('groups: who was heard to join gets a copy, who was heard to join another does not', async t => {
	const [group, another] = ['239.1.2.3', '239.4.5.6'];
	await sentAsTraced(t, await traced('--from', 'two', '--type', 'igmp', '--to', group));
	await sentAsTraced(t, await traced('--from', 'learner', '--type', 'igmp', '--to', another));
	const words = ['--from', 'one', '--to', group, '--dport', '4245'];
	await until(
		'the reports to be known',
		20_000,
		async () => !receivers(await traced(...words)).includes('slave learner'),
	);
	const trace = await tracedAndSent(t, ...words);
	t.true(receivers(trace).includes('slave two'));
	const refusal = trace.steps.find(
		({ step, result: who }) => step === 'no copy' && who.includes('slave learner'),
	);
	t.regex(refusal?.why ?? '', /hasn't asked for this group/);
	// Nothing of it arrives there before a broadcast that was sent later.
	const heard = site.arrivals(one, learner.end, site.everybody);
	t.false(heard.some(({ frame }) => frame.equals(Buffer.from(trace.frame, 'hex'))));
});

test.serial('a receiver whose TAP nobody has open: lost, and counted so', async t => {
	const trace = await traced('--from', 'one', '--to', '192.0.2.14');
	t.is(trace.verdict, 'slave asleep');
	t.deepEqual(
		trace.out.map(({ lost }) => lost),
		[noTap],
	);
	const drops = async (): Promise<number> => (await site.stats('asleep')).drops['receiver-full'] ?? 0;
	const before = await drops();
	one.end.send(Buffer.from(trace.frame, 'hex'));
	await until('the drop', 20_000, async () => (await drops()) === before + 1);
	t.pass();
});

test.serial('a frame longer than its receiver takes: too big, and counted so', async t => {
	const short = Buffer.from((await traced('--from', 'one', '--to', 'two')).frame, 'hex');
	const long = Buffer.concat([short, Buffer.alloc(1515 - short.length)]).toString('hex');
	const trace = await traced('--from', 'one', '--frame', long);
	t.is(trace.out[0]?.lost, 'too-big: its MTU is 1500');
	const drops = async (): Promise<number> => (await site.stats('one')).drops['too-big'] ?? 0;
	one.end.send(Buffer.from(long, 'hex'));
	await until('the drop', 20_000, async () => (await drops()) === 1);
	const fits = await traced('--from', 'one', '--frame', long.slice(0, -2));
	t.is(fits.out[0]?.lost, undefined);
	await sentAsTraced(t, fits);
});

test.serial('the flag that holds now is the one that decides', async t => {
	await site.product.json('set', 'eth0', '--flag', 'private');
	const dropped = await tracedAndSent(t, '--from', 'one', '--to', 'two');
	t.is(dropped.verdict, 'drop: private');
	t.is(result(dropped, 'flag'), 'private');
	t.regex(dropped.hint ?? '', /ipvtap set eth0 --flag bridge/);
	const group = await tracedAndSent(t, '--from', 'one', '--to', 'broadcast', '--dport', '9');
	t.deepEqual(receivers(group).sort(), ['host', 'wire']);
	await site.product.json('set', 'eth0', '--flag', 'vepa');
	t.is((await tracedAndSent(t, '--from', 'one', '--to', 'two')).verdict, 'wire');
	await site.product.json('set', 'eth0', '--flag', 'bridge');
	t.is((await tracedAndSent(t, '--from', 'one', '--to', 'two')).verdict, 'slave two');
});

test.serial('a frame in hex, as an argument and as a dump on stdin; and text for people', async t => {
	const { frame } = await traced('--from', 'one', '--to', 'two');
	t.is((await traced('--from', 'one', '--frame', frame)).verdict, 'slave two');
	const dump = frame.replace(/.{1,32}/g, line => `\t0x0000:  ${line.replace(/.{4}(?!$)/g, '$& ')}\n`);
	const { status, stdout, stderr } = await site.product.ipvtap(['trace', '--from', 'two', '--frame', '-'], {
		input: dump,
	});
	t.deepEqual([status, stderr], [0, '']);
	t.regex(stdout, /^STEP +RESULT +WHY$/m);
	t.regex(stdout, /^verdict +drop: mac-spoof +its source MAC isn't the slave's$/m);
	t.regex(stdout, /^hint: /m);
	t.regex(stdout, /\nNothing leaves\.\n$/);
	t.false(stdout.includes('\x1b'));
});

test.serial("what makes no sense is refused, and what isn't there not found", async t => {
	for (const [words, status, message] of [
		[['--from', 'nobody', '--to', 'two'], 3, /no slave is named 'nobody'/],
		[['--from', 'one', '--to', 'nobody'], 3, /no slave is named 'nobody'/],
		[['--from', 'wire', '--master', 'eth9', '--to', 'two'], 3, /eth9/],
		[['--from', 'one', '--master', 'eth9', '--to', 'two'], 2, /a slave of eth0, not of eth9/],
		[['--from', 'one', '--frame', '52', '--to', 'two'], 2, /can't be said of a frame that is given whole/],
		[['--from', 'one'], 2, /the frame is for nobody/],
	] as const) {
		const answer = await site.product.ipvtap(['trace', ...words]);
		t.is(answer.status, status, words.join(' '));
		t.regex(answer.stderr, message);
		t.regex(answer.stderr, /^hint: /m);
	}
});
