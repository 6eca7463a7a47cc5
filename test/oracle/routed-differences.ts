/** The same for `l3` and `l3s`, where guests are on a link of their own. What is said of their senders holds here too. */
import type { Circumstances } from './circumstances.js';
import type { Difference } from './differences.js';

const questions: Difference[] = [
	{
		why: 'Guests are on Ethernet, so they ask, and are answered: for everybody, with the MAC that leads everywhere. The kernel has no ARP in these modes, or lets a guest answer for itself.',
		explains: ({ role, by }, { from, verdict }) =>
			from === 'guest' && verdict === 'answer' && by === (role === 'sender' ? 'ours' : 'kernel'),
	},
	{
		why: "The LAN's question about a guest is answered, and no machine there needs a route; the kernel's guest, or nobody, hears it.",
		explains: ({ role, by }, { from, verdict }) =>
			from === 'wire' && verdict === 'answer' && by === (role === 'guest' ? 'kernel' : 'ours'),
	},
	{
		why: "Since ipvtap answers for everybody, replies and announcements are nobody's to hear. The kernel hands a guest's own announcement back to it, which looks like a duplicate address.",
		explains: ({ by }, { from, verdict, protocol }) =>
			from === 'guest' &&
			(protocol === 'arp' || protocol === 'nd') &&
			(verdict === 'refresh' || verdict === 'drop: not-routed') &&
			by === 'kernel',
	},
	{
		why: 'No guest has asked anything of the wire, so a reply from there can only mislead it.',
		explains: ({ role, by }, { mode, from, verdict, protocol }) =>
			mode === 'l3' &&
			from === 'wire' &&
			protocol === 'arp' &&
			verdict === 'drop: not-routed' &&
			role === 'guest' &&
			by === 'kernel',
	},
	{
		why: "A guest's link-local address is that of another link, and no router lets it be reached from the LAN (RFC 4291, 2.5.6).",
		explains: ({ role, by }, { mode, from, verdict, protocol, toMaster }) =>
			mode === 'l3' &&
			from === 'wire' &&
			protocol === 'nd' &&
			toMaster &&
			verdict === 'ignore' &&
			role === 'guest' &&
			by === 'kernel',
	},
];

const router: Difference[] = [
	{
		why: 'Who routes takes one off the hop limit, or loops never end. The kernel sends on as if the host had spoken.',
		explains: ({ role, by }, { mode }) => mode === 'l3' && role === 'wire' && by === 'hop',
	},
	{
		why: 'A packet at the end of its hops goes no further, and its sender is told: so does traceroute see the host.',
		explains: ({ role, by }, { mode, verdict }) =>
			mode === 'l3' && verdict === 'refuse: ttl-exceeded' && by === (role === 'sender' ? 'ours' : 'kernel'),
	},
	{
		why: 'A router discards a packet with a damaged header (RFC 1812, 5.2.2); the kernel gives it a right checksum.',
		explains: ({ role, by }, { verdict }) =>
			verdict === 'drop: bad-checksum' && role === 'wire' && by === 'kernel',
	},
	{
		why: "A short frame's padding is no part of its packet; the kernel makes the packet longer by it.",
		explains: ({ role, by }, where) => isBytesOnWire(role, by, where) && where.padded,
	},
	{
		why: 'A guest gets frames for its own MAC, whichever next hop was meant; the kernel leaves what the sender wrote.',
		explains: ({ role, by }, { mode, verdict }) =>
			mode === 'l3' && verdict.startsWith('vm') && role === 'guest' && by === 'both',
	},
	{
		why: '`vepa` means that the relay decides, whichever the family: to it the frame goes, by the MAC that the guest has on the LAN. The kernel uses whatever neighbour the host has, or takes a packet for its own.',
		explains: ({ role, by }, { mode, flag, from, verdict }) =>
			mode === 'l3' &&
			flag === 'vepa' &&
			from === 'guest' &&
			verdict === 'wire' &&
			role !== 'guest' &&
			by !== 'hop',
	},
];

const groups: Difference[] = [
	{
		why: 'Unicast in a broadcast frame is refused by whoever gets it (RFC 1122, 3.3.6). Ours leaves it to the host, which does, or drops it.',
		explains: (_, { mode, verdict, groupMac, groupAddress, protocol }) =>
			groupMac &&
			!groupAddress &&
			(protocol === 'ipv4' || protocol === 'ipv6') &&
			(verdict === 'drop: not-routed' || (mode === 'l3' && verdict === 'ignore')),
	},
	{
		why: 'Multicast leaves in no disguise; the kernel routes it if its MAC is unicast, for IPv6 alone.',
		explains: ({ role, by }, { from, verdict, groupMac, groupAddress }) =>
			from === 'guest' &&
			!groupMac &&
			groupAddress &&
			verdict === 'drop: not-routed' &&
			role === 'wire' &&
			by === 'kernel',
	},
];

const byHost: Difference[] = [
	{
		why: "All that guests send passes the host's forward chain, to each other too, and its routing sends it on. The kernel's goes past that chain: as output, or from guest to guest past everything.",
		explains: ({ role, by }, { mode, from, verdict }) =>
			mode === 'l3s' &&
			from === 'guest' &&
			verdict === 'host' &&
			by === (role === 'host' ? 'ours' : 'kernel'),
	},
	{
		why: "What is for a guest is for the host to forward, whose forward chain sees both directions; the kernel delivers it behind the input chain, as if it were the host's own.",
		explains: ({ role, by }, { mode, from, verdict }) =>
			mode === 'l3s' && from === 'wire' && verdict === 'ignore' && role === 'guest' && by === 'kernel',
	},
];

export const routedDifferences: readonly Difference[] = [...questions, ...router, ...groups, ...byHost].map(
	({ why, explains }) => ({ why, explains: (place, where) => where.mode !== 'l2' && explains(place, where) }),
);

function isBytesOnWire(role: string, by: string, { mode }: Circumstances): boolean {
	return mode === 'l3' && role === 'wire' && by === 'both';
}
