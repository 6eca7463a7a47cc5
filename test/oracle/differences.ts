/**
 * Where we decide otherwise than the kernel's driver, and why that is better. Each entry explains some of the places
 * in which the two differ. Each such place has to be explained by exactly one entry, and an entry that explains
 * nothing any more has to go.
 */
import type { Circumstances } from './circumstances.js';
import type { Disagreement } from './judgement.js';
import { routedDifferences } from './routed-differences.js';

export interface Difference {
	/** Why ours is better, for the table. */
	why: string;
	explains(place: Disagreement, where: Circumstances): boolean;
}

const senders: Difference[] = [
	{
		why: 'The kernel checks no source: a guest may speak as its neighbour, the host or the gateway. Ours may speak for itself alone.',
		explains: (_, { verdict }) => dropped(verdict, 'mac-spoof', 'ip-spoof', 'arp-spoof'),
	},
	{
		why: "Neither neighbour tables nor routes of others are a guest's to change, nor may it hide the attempt behind other headers.",
		explains: (_, { verdict }) => dropped(verdict, 'nd-spoof', 'nd-hidden', 'router-guard'),
	},
	{
		why: 'Who may hand out addresses is for the LAN to say, not for a guest.',
		explains: (_, { verdict }) => dropped(verdict, 'dhcp-guard'),
	},
	{
		why: "A guest asks for addresses as the client that it is: in another's name it could take his, or end his lease.",
		explains: (_, { verdict }) => dropped(verdict, 'dhcp-spoof'),
	},
	{
		why: "A client's request is for servers. What it calls itself there is no guest's to know, who could take its place.",
		explains: ({ place, role, by }, { from, class: room, verdict }) =>
			from === 'wire' &&
			room === 'dhcp' &&
			verdict === 'fan out' &&
			role === 'guest' &&
			// For it that it has no IPv4 address is reason enough.
			place !== 'vm3' &&
			by === 'kernel',
	},
	{
		why: 'A frame that is not what it says is stopped where it is made, and counted; the kernel leaves its receivers to find out.',
		explains: (_, { from, verdict }) => from === 'guest' && dropped(verdict, 'malformed'),
	},
	{
		why: 'What has no IP address in it can be neither checked nor answered through one MAC, and would show the wire a second one.',
		explains: (_, { from, verdict }) => from === 'guest' && dropped(verdict, 'ethertype', 'vlan'),
	},
	{
		why: 'Nobody sends to itself over a wire; what comes back like this looks like a duplicate address.',
		explains: (_, { verdict }) => dropped(verdict, 'own-address'),
	},
];

const unicast: Difference[] = [
	{
		why: 'The address counts, not the MAC that an old neighbour entry or a proxy gave: on the wire nobody else has it, and no switch sends it back.',
		explains: ({ role, by }, { from, flag, verdict, groupMac, groupAddress, kernel, ours }) =>
			from === 'guest' &&
			kernel.has('wire') &&
			flag === 'bridge' &&
			!groupMac &&
			!groupAddress &&
			goesTo(verdict, 'host', 'guest') &&
			((role === 'wire' && by === 'kernel') || (by === 'ours' && ours.size === 1)),
	},
	{
		why: "A guest that the port doesn't know has a MAC of its own, so the frame is none of the host's; the kernel's guests and the host can't be told apart.",
		explains: ({ role }, { from, verdict, groupMac, kernel }) =>
			from === 'guest' && !groupMac && verdict === 'wire' && kernel.has('host') && role !== 'guest',
	},
	{
		why: '`--no-host` means that guests and host are strangers.',
		explains: (_, { from, noHost, verdict }) =>
			from === 'guest' && noHost && dropped(verdict, 'unknown-destination'),
	},
];

const resolution: Difference[] = [
	{
		why: "Host and guest find each other: the kernel asks the wire, where nobody answers for the host's address.",
		explains: (_, { verdict }) => verdict === 'answer',
	},
	{
		why: 'A question goes to who can answer it, and to nobody else: no guest is woken by, or learns from, what another asks.',
		explains: ({ by }, { from, flag, verdict, groupMac, protocol }) =>
			from === 'guest' &&
			flag === 'bridge' &&
			groupMac &&
			(protocol === 'arp' || protocol === 'nd') &&
			(verdict === 'claim' || goesTo(verdict, 'wire', 'host', 'guest')) &&
			by === 'kernel',
	},
	{
		why: "The wire's question for a guest's address reaches that guest alone: not the others, and not the host, which could answer in its place.",
		explains: ({ by }, { from, verdict, groupMac, protocol, class: room }) =>
			from === 'wire' &&
			protocol === 'arp' &&
			groupMac &&
			room === 'arp' &&
			(verdict === 'ignore' || verdict === 'conflict' || goesTo(verdict, 'guest')) &&
			by === 'kernel',
	},
	{
		why: 'A guest hears of whoever else has its address, not only of whoever asks for it.',
		explains: ({ role, by }, { from, verdict }) =>
			from === 'wire' && verdict === 'conflict' && role === 'guest' && by === 'ours',
	},
	{
		why: 'A guest that may not choose its addresses is not invited to, neither by what a router says to all nor by what it says to that guest.',
		explains: ({ role }, { from, verdict }) => from === 'wire' && verdict === 'router' && role === 'guest',
	},
	{
		why: 'What ipvtap asks to see whether a guest still has its address, the guest answers to ipvtap.',
		explains: ({ role, by }, { verdict }) => verdict === 'refresh' && role === 'host' && by === 'kernel',
	},
];

const groups: Difference[] = [
	{
		why: 'The host hears its guests as the LAN does: mDNS, DHCP servers and routers on the host work for them.',
		explains: ({ role, by }, { from, verdict, groupMac }) =>
			from === 'guest' && copied(verdict) && groupMac && role === 'host' && by === 'ours',
	},
	{
		why: 'A guest without an IPv4 address has no use for IPv4 broadcast (the design of 2014, which the kernel has given up).',
		explains: ({ place, by }, { flag, from, verdict, protocol }) =>
			(from === 'wire' || flag === 'bridge') &&
			verdict === 'fan out' &&
			place === 'vm3' &&
			by === 'kernel' &&
			(protocol === 'ipv4' || protocol === 'arp'),
	},
	{
		why: "The kernel looks at the groups of the host's end of the device; those that the guest has joined never get there.",
		explains: ({ role, by }, where) =>
			where.from !== 'host' &&
			copied(where.verdict) &&
			where.groupMac &&
			role === 'guest' &&
			by === 'ours' &&
			!comesBack(where),
	},
	{
		why: 'Access points turn multicast into unicast, and some guests send it so: its IP address says what it is.',
		explains: (_, where) =>
			where.from !== 'host' &&
			(copied(where.verdict) || goesTo(where.verdict, 'guest')) &&
			!where.groupMac &&
			where.groupAddress &&
			!comesBack(where),
	},
];

const flags: Difference[] = [
	{
		why: '`private` keeps guests apart in all that they send; the kernel lets multicast, ARP and ND pass, and sends the rest out to where a router brings it back.',
		explains: ({ role, by }, { from, flag, verdict }) =>
			from === 'guest' &&
			flag === 'private' &&
			by === 'kernel' &&
			(dropped(verdict, 'private') ||
				(role === 'guest' && !verdict.startsWith('drop') && verdict !== 'answer')),
	},
	{
		why: '`vepa` means that the relay decides and that each frame arrives once; the kernel also copies multicast by itself, so that it arrives twice.',
		explains: ({ role, by }, { from, flag, verdict }) =>
			from === 'guest' &&
			flag === 'vepa' &&
			role === 'guest' &&
			by === 'kernel' &&
			!verdict.startsWith('drop') &&
			verdict !== 'answer',
	},
	{
		why: "The host isn't behind the relay: guests reach it directly, or not at all.",
		explains: ({ role }, { from, flag, verdict }) =>
			from === 'guest' && flag === 'vepa' && verdict === 'host' && role !== 'guest',
	},
	{
		why: 'What the relay sends back is for the other guests; the kernel takes it for an echo of its own and drops it.',
		explains: (_, where) => where.from === 'wire' && comesBack(where) && !where.verdict.startsWith('drop'),
	},
];

const wire: Difference[] = [
	{
		why: "A frame for somebody else's MAC, seen because the master is promiscuous for another reason, is not for us.",
		explains: ({ role, by }, { from, verdict, groupMac, toMaster, class: room }) =>
			from === 'wire' &&
			verdict === 'ignore' &&
			room !== 'malformed' &&
			!groupMac &&
			!toMaster &&
			role === 'guest' &&
			by === 'kernel',
	},
	{
		why: 'Our own frame, sent back by a switch or an access point: delivered again it would be a duplicate, or an address that seems taken.',
		explains: (_, { verdict }) => dropped(verdict, 'reflected'),
	},
	{
		why: 'A guest gets whole frames; what is wrong with others is counted, and for nobody to guess.',
		explains: ({ role, by }, { from, class: room, verdict, protocol }) =>
			from === 'wire' &&
			room === 'malformed' &&
			isDamaged(verdict) &&
			protocol !== 'other' &&
			role === 'guest' &&
			by === 'kernel',
	},
	{
		why: "What is addressed to a guest is none of the host's, not even if it is damaged.",
		explains: ({ role, by }, { from, class: room, verdict }) =>
			from === 'wire' && room === 'malformed' && isDamaged(verdict) && role === 'host' && by === 'kernel',
	},
	{
		why: 'Other protocols and other VLANs are for whoever has joined them; guests are on the LAN of the master, with IP.',
		explains: ({ by, role }, { from, class: room, verdict, protocol }) =>
			from === 'wire' &&
			room === 'malformed' &&
			verdict === 'ignore' &&
			protocol === 'other' &&
			(by === 'ours' || role === 'guest'),
	},
];

const host: Difference[] = [
	{
		why: "The host reaches its guests by a device of its own. The kernel's host can't: what it sends by the master goes to the wire and never comes back.",
		explains: (_, { from, verdict }) => from === 'host' && !verdict.startsWith('drop'),
	},
	{
		why: 'That device leads to guests only. The host has its master for the rest, so whatever else it sends there is a mistake, and counted.',
		explains: (_, { from, verdict }) => from === 'host' && verdict.startsWith('drop'),
	},
];

export const differences: readonly Difference[] = [
	...senders,
	...[...unicast, ...resolution, ...groups, ...flags].map(onLink),
	...wire,
	...host,
	...routedDifferences,
];

/** As it is where guests are on the master's link. */
function onLink({ why, explains }: Difference): Difference {
	return { why, explains: (place, where) => where.mode === 'l2' && explains(place, where) };
}

function dropped(verdict: string, ...reasons: readonly string[]): boolean {
	return reasons.some(reason => verdict === `drop: ${reason}`);
}

/** From the wire, damaged: the host's, or, if it is for a guest's address, nobody's. */
function isDamaged(verdict: string): boolean {
	return verdict === 'ignore' || dropped(verdict, 'malformed');
}

/** Whether a case is about one receiver, of one of these kinds. */
function goesTo(verdict: string, ...receivers: readonly ('wire' | 'host' | 'guest')[]): boolean {
	return receivers.some(receiver => (receiver === 'guest' ? verdict.startsWith('vm') : verdict === receiver));
}

/** A claim of a group frame ends in copies too. */
function copied(verdict: string): boolean {
	return verdict === 'fan out' || verdict === 'claim';
}

function comesBack({ flag, fromMaster, from }: Circumstances): boolean {
	return from === 'wire' && flag === 'vepa' && fromMaster;
}
