/**
 * Outcomes of the programs' conditions that no frame of the differential test brings about: why, or who tests them.
 * By what is asked, and in which programs, and not where: the sources move.
 */
import type { Condition } from '../../helpers/covered-programs.js';

/** @returns the reason, or undefined if there is none why it should be so in this program. */
export function whyNever(text: string, met: boolean, program: string): string | undefined {
	return reasons.find(
		reason => reason.met === met && reason.text.test(text) && (!reason.in || reason.in.test(program)),
	)?.why;
}

/** The reasons that there is no condition for any more. */
export function goneReasons(conditions: readonly Condition[]): string[] {
	return reasons
		.filter(reason => !conditions.some(({ text }) => reason.text.test(text)))
		.map(({ text, why }) => `${text.source}: ${why}`);
}

interface Reason {
	text: RegExp;
	/** The outcome that there is none of. */
	met: boolean;
	/** The programs that there is none in; all if it isn't said. */
	in?: RegExp;
	why: string;
}

const VERIFIER = 'made sure of before; asked once more for the verifier to see';
const THERE = 'entries of arrays, and of edges that send, are always there';
const MEMORY = 'only where the kernel has no memory';
const OBSERVED = 'the programs are observed here; unobserved in judge.test.ts and survival.test.ts';
const FULL = 'nothing is full while the programs are observed; full-receiver.test.ts fills a TAP';
const WHOLE = 'from the wire nothing goes to the forwarder alone, and what is delivered has an edge';

const REFUSED =
	'newer kernels take such a header from nobody (virtio_net_hdr_to_skb checks csum_offset); older ones do';

const SEGMENTS =
	'the kernel takes no frame of segments from a TAP without the whole header that they are to have';

const PROBING = /_probing$/;
const CASTING = /^from_[^_]*$/;
const WIRE = /^from_wire/;
const NOT_SLAVE = /^from_(host|wire)/;
const FORM = 'which form it is of is a constant of the program';
const NO_COPIES = 'the form for older kernels makes no copies';
const PROGRAM = 'whose frames it gets is a constant of the program';
const ONWARD = 'a frame of a guest goes to the wire at last';
const ONE_WAY = 'frames of the host are for slaves';
const FITS = 'a packet that is as long as it says, which only a guest is asked later';
const FLAGGED = 'only who has a limit is looked up for one';

const reasons: readonly Reason[] = [
	{ text: /^bpf_skb_load_bytes\(skb, ETH_HEADER \+ header \+ 12, /, met: true, why: SEGMENTS },
	{ text: /^bpf_skb_load_bytes\(it->skb, ETH_HEADER \+ \(is_ipv4/, met: true, why: VERIFIER },
	{ text: /> end\((it->)?skb\)$/, met: true, why: VERIFIER },
	{ text: /^bpf_skb_(load|store)_bytes\(skb, (at|option), /, met: true, why: VERIFIER },
	{ text: /^readable\(skb, ND_OPTIONS\)$/, met: false, why: VERIFIER },
	{ text: /^!readable\(skb, length\)$/, met: true, why: VERIFIER },
	{ text: /^!arp$/, met: true, why: VERIFIER },
	{ text: /^owner == 0$/, met: true, in: WIRE, why: VERIFIER },
	{ text: /^!(traffic|decision|port|seat|hold)$/, met: true, why: THERE },
	{ text: /^copies$/, met: false, why: THERE },
	{ text: /^frame \+ ETH_HEADER <= end\(it->skb\)$/, met: false, why: VERIFIER },
	{ text: /^hold->until > it->now$/, met: true, why: OBSERVED },
	{ text: /^copy_to\(/, met: true, why: OBSERVED },
	{ text: /^(hold->taken|length) [<>=]+ /, met: true, why: FULL },
	{ text: /^(hold->taken|length) [<>=]+ /, met: false, why: FULL },
	{ text: /^drops$/, met: false, why: THERE },
	{ text: /^!its$/, met: true, why: THERE },
	{ text: /^bpf_skb_(change_tail|pull_data)\(/, met: true, why: MEMORY },
	{ text: /^observed$/, met: false, why: OBSERVED },
	{ text: /^observed$/, met: true, why: OBSERVED },
	{ text: /^!observed$/, met: false, why: OBSERVED },
	{ text: /^!observed$/, met: true, why: OBSERVED },
	{ text: /^!it->port->punt$/, met: false, why: OBSERVED },
	{ text: /^port->punt$/, met: false, why: OBSERVED },
	{ text: /^port->punt$/, met: true, why: OBSERVED },
	{ text: /^bpf_skb_vlan_push\(/, met: false, why: OBSERVED },
	{ text: /^bpf_skb_vlan_push\(/, met: true, why: OBSERVED },
	{ text: /^verdict == PUNT$/, met: true, in: WIRE, why: WHOLE },
	{ text: /^verdict < EDGES_MAX$/, met: false, in: WIRE, why: WHOLE },
	{ text: /^protocol (==|!=) (TCP|UDP)$/, met: false, why: REFUSED },
	{ text: /^!(it->)?probes$/, met: false, in: CASTING, why: FORM },
	{ text: /^!(it->)?probes$/, met: true, in: PROBING, why: FORM },
	{ text: /^it->probes$/, met: true, in: CASTING, why: FORM },
	{ text: /^it->probes$/, met: false, in: PROBING, why: FORM },
	{ text: /^verdict == FANOUT$/, met: true, in: PROBING, why: NO_COPIES },
	{ text: /^can_copy\(/, met: true, in: PROBING, why: NO_COPIES },
	{ text: /^verdict == IGNORE$/, met: true, in: /^from_(slave|host_probing)/, why: ONWARD },
	{ text: /^edge == EDGE_HOST$/, met: true, in: /^from_slave/, why: PROGRAM },
	{ text: /^edge == EDGE_HOST$/, met: false, in: /^from_host/, why: PROGRAM },
	{ text: /^edge == 0$/, met: true, in: /^from_host/, why: PROGRAM },
	{ text: /^edge == it->from$/, met: true, in: /^from_(host|wire)$/, why: 'only slaves have seats' },
	{ text: /^verdict == EDGE_WIRE$/, met: true, in: /^from_host/, why: ONE_WAY },
	{ text: /^it->next.nh_family$/, met: true, in: /^from_host/, why: ONE_WAY },
	{
		text: /^!to_group\(frame\)$/,
		met: false,
		in: /^from_host/,
		why: 'ARP and ND of the host go past ipvtap',
	},
	{
		text: /^bpf_skb_load_bytes\(skb, ETH_HEADER \+ sizeof\(\*ip\), bytes/,
		met: true,
		in: NOT_SLAVE,
		why: FITS,
	},
	{ text: /^rate == 0$/, met: true, in: NOT_SLAVE, why: FLAGGED },
	{ text: /^earns > most$/, met: true, in: NOT_SLAVE, why: 'only for `slow`, which slaves have' },
	{ text: /^skb->mark == FRAME_MARK$/, met: true, why: 'host.test.ts: what the forwarder gives to the host' },
];
