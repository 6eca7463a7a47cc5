/** The report as Markdown, for docs/modes.md: by class of frame, like with like, so that it can be read. */
import { slaves } from '../helpers/world.js';
import type { Judgement } from './judgement.js';
import type { Asked } from './l3-cases.js';
import type { Departure } from './plan.js';
import { notAsked, questions } from './questions.js';
import type { Explained } from './report.js';

/** @param kernel as `uname -r` gives it. */
export function table(kernel: string, all: readonly Explained[]): string {
	const compared = all.filter(({ judgement }) => judgement.ours !== undefined);
	const alone = all.filter(({ judgement }) => judgement.ours === undefined);
	const asides = new Map(
		alone
			.filter(({ judgement }) => judgement.question.kind.driver === 'macvtap')
			.map(({ judgement }) => [judgement.question.one, judgement]),
	);
	const classes = [...new Set(compared.map(one => one.judgement.question.class))];
	return [
		`Asked: \`ipvtap\`, \`ipvlan\` and \`macvtap\` of Linux ${kernel.split('.').slice(0, 2).join('.')}, ${all.length} frames.`,
		summary(
			classes.map(name => [name, compared.filter(({ judgement }) => judgement.question.class === name)]),
		),
		...classes.flatMap(name => section(name, compared, asides)),
		...unknownSection(compared),
		...aloneSection(alone.filter(({ judgement }) => judgement.question.kind.driver !== 'macvtap')),
	].join('\n\n');
}

const heads = ['from', 'case', 'kernel', 'ours', 'why ours is better'];

const titles: Readonly<Record<string, string>> = {
	ipv4: 'Unicast IPv4',
	ipv6: 'Unicast IPv6',
	arp: 'ARP',
	nd: 'Neighbour discovery',
	multicast: 'Multicast and broadcast',
	dhcp: 'DHCP',
	spoof: 'Forged senders',
	'nd-spoof': 'Forged neighbour discovery',
	malformed: "Frames that aren't what they say, and other protocols",
	private: 'Flag `private`',
	vepa: 'Flag `vepa`',
	reflected: 'Frames that come back',
	host: 'From the host',
	l3: 'Mode `l3`',
	l3s: 'Mode `l3s`',
};

function summary(classes: readonly [name: string, members: readonly Explained[]][]): string {
	const rows = classes.map(([name, members]) => {
		const unknown = members.filter(isUnknown).length;
		const different = members.filter(({ differences }) => differences.length > 0).length;
		return [titles[name] ?? name, members.length, members.length - unknown - different, different, unknown];
	});
	return markdown(['class', 'cases', 'alike', 'different', 'unknown to the kernel'], rows);
}

/** A row for each way of differing; what is alike is only counted, and so is what differs as it does without a flag. */
function section(
	name: string,
	compared: readonly Explained[],
	asides: ReadonlyMap<Asked, Judgement>,
): string[] {
	const different = compared.filter(({ differences }) => differences.length > 0);
	const members = different.filter(({ judgement }) => judgement.question.class === name);
	if (members.length === 0) return [];
	const unflagged = new Set(different.filter(isUnflagged).map(one => waysOf(one).join('\n')));
	const isTold = (one: Explained): boolean => !isUnflagged(one) && unflagged.has(waysOf(one).join('\n'));
	const hasMacvtap = members.some(({ judgement }) => asides.has(judgement.question.one));
	const rows = grouped(
		members.filter(one => !isTold(one)),
		waysOf,
	).map(([[from = '', kernel = '', ours = '', why = ''], group]) => [
		from,
		names(group),
		kernel,
		ours,
		why,
		...(hasMacvtap ? [macvtapWords(group, asides)] : []),
	]);
	const told = members.filter(isTold);
	return [
		`### ${titles[name] ?? name}`,
		...(routedWords[name] === undefined ? [] : [routedWords[name]]),
		markdown([...heads, ...(hasMacvtap ? ['`macvtap`'] : [])], rows),
		...(told.length === 0 ? [] : [`As with \`bridge\` above, and for the same reasons: ${names(told)}.`]),
	];
}

/** What macvtap with the same flag does about the cases of a row. */
function macvtapWords(group: readonly Explained[], asides: ReadonlyMap<Asked, Judgement>): string {
	const words = group.flatMap(({ judgement }) => {
		const aside = asides.get(judgement.question.one);
		return aside === undefined ? [] : [receivers(aside, aside.kernel)];
	});
	return [...new Set(words)].join('; or ');
}

function isUnflagged({ judgement }: Explained): boolean {
	return judgement.question.kind.flag === 'bridge';
}

function waysOf({ judgement, differences }: Explained): string[] {
	return [
		side(judgement),
		receivers(judgement, judgement.kernel),
		ownWords(judgement),
		differences.map(({ why }) => why).join(' '),
	];
}

function unknownSection(compared: readonly Explained[]): string[] {
	const rows = grouped(compared.filter(isUnknown), ({ judgement }) => [
		receivers(judgement, judgement.kernel),
	]).map(([[kernel = ''], group]) => [names(group), kernel]);
	const claims = compared.filter(
		({ judgement, differences }) => judgement.verdict === 'claim' && differences.length === 0,
	);
	const left = questions.filter(question => !question.aside && notAsked(question) !== undefined);
	return [
		'### What the kernel knows nothing about',
		'A DHCP request is to it a frame as any other. What ours makes of it depends on the conversation (see above).',
		markdown(['case', 'kernel'], rows),
		`Nor does it learn. ${claims.length} cases in which a guest uses an address for the first time count as alike, since that frame goes its way with both; but with the kernel, whatever answers it goes to the host.`,
		`Not asked, as ${left[0] === undefined ? '' : notAsked(left[0])}: ${left.map(({ class: room, one }) => `${one.name} (${titles[room] ?? room})`).join('; ')}.`,
	];
}

/** Where there is nothing to compare, the kernel's verdicts stand alone. */
function aloneSection(all: readonly Explained[]): string[] {
	const rows = grouped(all, ({ judgement }) => {
		const { driver, mode, flag } = judgement.question.kind;
		return [
			`\`${driver}\``,
			`\`${mode}\``,
			`\`${flag}\``,
			side(judgement),
			receivers(judgement, judgement.kernel),
		];
	}).map(([[driver = '', mode = '', flag = '', from = '', kernel = ''], group]) => [
		driver,
		mode,
		flag,
		from,
		names(group),
		kernel,
	]);
	return [
		'### The kernel alone',
		aloneWords,
		markdown(['driver', 'mode', 'flag', 'from', 'case', 'kernel'], rows),
	];
}

const routedWords: Readonly<Record<string, string>> = {
	l3: `A case counts as alike if the bytes are. Where ours is only a hop older, the reason is the hop limit. What the kernel routes
to its host comes there without MACs, and is compared behind them.`,
	l3s: `Compared with \`ipvlan\`, whose guests are namespaces, since a TAP of the kernel's gets nothing from the wire in this mode
(below). Ours ends at the host slave or on the master: what the host's own stack makes of it there is the kernel's
forwarding as ever, for the integration tests to see.`,
};

const aloneWords = `\`ipvtap\` in \`l3s\` is of no use: what the wire sends to a guest is to be delivered inside of the host's stack, and never comes
to a TAP. \`l3s\` with \`vepa\` doesn't exist with ours. \`macvtap\` has no routed mode. The decision table's own cases of
\`l3\` and \`l3s\` are not put to the kernel: where its driver knows what they are about, the cases here ask the same. The
others are about ICMP errors, learning and the multicast slave, which it doesn't have, and about routes and a device
that this host lacks.`;

/** Ours has a conversation where the kernel has frames. */
function isUnknown({ judgement }: Explained): boolean {
	return judgement.verdict === 'dhcp';
}

function side({ question }: Judgement): string {
	const { from } = question.one;
	return from === 'wire' || from === 'host' ? from : 'guest';
}

function ownWords(judgement: Judgement): string {
	const { verdict, ours = [] } = judgement;
	const words = receivers(judgement, ours);
	if (verdict.startsWith('drop: ')) {
		const reason = `\`${verdict.slice('drop: '.length)}\``;
		return words === 'nobody' ? `dropped: ${reason}` : `${words}; dropped: ${reason}`;
	}
	if (verdict.startsWith('refuse: ')) return `${words}: an ICMP error`;
	return verdict === 'answer' ? `${words}: an answer` : words;
}

/** Who gets it, the guests by what they have in common. */
function receivers({ question }: Judgement, departures: readonly Departure[]): string {
	const { from } = question.one;
	const places = new Set(departures.map(({ to }) => to));
	const others = slaves.filter(({ name }) => name !== from);
	const reached = others.filter(({ name }) => places.has(name));
	const all = others.length === slaves.length ? 'all guests' : 'all other guests';
	const configured = others.filter(({ owns }) => owns);
	const words = [
		...(places.has('wire') ? ['wire'] : []),
		...(places.has('host') ? ['host'] : []),
		...(places.has(from) && from !== 'wire' && from !== 'host' ? ['sender'] : []),
		...(reached.length === 0
			? []
			: reached.length === others.length
				? [all]
				: reached.length === 1
					? ['one guest']
					: reached.length === configured.length && reached.every(({ owns }) => owns)
						? [`${all} with IPv4`]
						: [reached.map(({ name }) => name).join(' and ')]),
	];
	return words.join(', ') || 'nobody';
}

/** Groups of the same words, in the order in which each is met first. */
function grouped(
	members: readonly Explained[],
	words: (one: Explained) => string[],
): [words: string[], group: Explained[]][] {
	const groups = new Map<string, [string[], Explained[]]>();
	for (const one of members) {
		const key = words(one);
		const group = groups.get(key.join('\n')) ?? [key, []];
		group[1].push(one);
		groups.set(key.join('\n'), group);
	}
	return [...groups.values()];
}

/** Names of the cases; those that differ only in their numbers are told together. */
function names(group: readonly Explained[]): string {
	const families = new Map<string, string[]>();
	for (const { judgement } of group) {
		const name = judgement.question.one.name.replace(`${judgement.question.class}: `, '');
		const family = name.replace(numbersIn, '#');
		families.set(family, [...(families.get(family) ?? []), name]);
	}
	return [...families.values()]
		.flatMap(family => (family.length < 4 ? family : [familyName(family)]))
		.join('; ');
}

/** The 4 of IPv4 is no number. */
const numbersIn = /(?<!v)\d+/g;

function familyName(family: readonly string[]): string {
	const numbers = family.map(name => name.match(numbersIn) ?? []);
	let index = 0;
	const name = family[0]?.replace(numbersIn, number => {
		const place = index++;
		return numbers.every(one => one[place] === number) ? number : '…';
	});
	return `${name} (${family.length} cases)`;
}

function markdown(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
	const line = (cells: readonly (string | number)[]): string =>
		`| ${cells.map(cell => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
	return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
