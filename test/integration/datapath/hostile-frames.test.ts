/** Every kind of frame that an evil guest may send: it goes where it may go, or is counted under its reason. */
import test from 'ava';
import { books, follow, sum } from './accounting.js';
import { address } from './frames.js';
import { brokenFrames } from './hostile-broken.js';
import { lyingFrames } from './hostile-lying.js';
import { evil, evilLinkLocal, type Fate, speakAs, v6, victim, victimLinkLocal } from './hostile-speech.js';
import { jam } from './jam.js';
import { far, host, Site } from './site.js';

const groups = { ...brokenFrames, ...lyingFrames };

let site: Site;

test.before(async () => {
	site = await Site.create('hostile');
	speakAs(await site.guest('evil', 11), await site.guest('victim', 12));
	// Link-local addresses are a guest's own when it has used them, and nobody has answered.
	for (const [guest, source] of [
		[victim, victimLinkLocal],
		[evil, evilLinkLocal],
	] as const) {
		guest.end.send(v6({ source, destination: far.ipv6 }, new Uint8Array(8), guest.mac));
		site.far.receiveUntil(({ frame }) => frame.subarray(22, 38).equals(address(source)));
	}
});

test.after.always(() => site?.close());

for (const jammed of [false, true]) {
	if (jammed) {
		test.serial('hostile frames: the books balance', async t => {
			const { written, stats, ringFull } = await books(site, evil);
			t.log(`${written} frames written, ${sum(stats.drops)} dropped:`, stats.drops);
			t.is(ringFull, 0);
		});
		test.serial('hostile frames: a ring is jammed, and from now on frames come by a socket', t => {
			jam(evil, site.marker(victim, far), victim.end, site.far);
			t.pass();
		});
	}
	for (const [title, cases] of Object.entries(groups))
		test.serial(`hostile frames${jammed ? ', jammed' : ''}: ${title}`, async t => {
			const wrong: string[] = [];
			const list = cases();
			for (const [name, frame, fate] of list) {
				const outcome = await follow(site, evil, victim, frame());
				const seen = fateOf(outcome);
				const wanted = [fate].flat().map(word);
				if (!wanted.includes(seen)) wrong.push(`${name}: ${seen} instead of ${wanted.join(' or ')}`);
				const masters = outcome.wire.filter(
					({ frame: sent }) => sent.subarray(6, 12).toString('hex') !== host.mac.replaceAll(':', ''),
				);
				if (masters.length > 0) wrong.push(`${name}: a source MAC on the wire that is not the master's`);
			}
			t.log(`${list.length} frames`);
			t.deepEqual(wrong, []);
		});
}

function fateOf({
	write,
	wire,
	victim: atVictim,
	unseen,
	drops,
}: Awaited<ReturnType<typeof follow>>): string {
	if (write !== 'sent') return 'refused';
	if (unseen !== 0) return 'unseen';
	const reasons = Object.entries(drops).map(
		([reason, count]) => `drop ${reason}${count === 1 ? '' : ` × ${count}`}`,
	);
	const places = [...(wire.length > 0 ? ['wire'] : []), ...(atVictim.length > 0 ? ['victim'] : [])];
	if (wire.length > 1 || atVictim.length > 1) places.push('more than once');
	return [...places, ...reasons].join(' ') || 'nowhere';
}

function word(fate: Fate): string {
	return typeof fate === 'string' ? fate : `drop ${fate.drop}`;
}
