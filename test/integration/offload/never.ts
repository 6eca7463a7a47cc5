/**
 * Outcomes of the programs' conditions that no frame of the differential test brings about: why, or who tests them.
 * By what is asked and not where: the sources move.
 */
import type { Condition } from '../../helpers/covered-programs.js';

/** @returns the reason, or undefined if there is none why it should be so. */
export function whyNever(text: string, met: boolean): string | undefined {
	return reasons.find(reason => reason.met === met && reason.text.test(text))?.why;
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
	why: string;
}

const VERIFIER = 'made sure of before; asked once more for the verifier to see';
const THERE = 'entries of arrays, and of edges that send, are always there';
const MEMORY = 'only where the kernel has no memory';
const OBSERVED = 'the programs are observed here; unobserved in judge.test.ts and survival.test.ts';
const WHOLE = 'from the wire nothing goes to the forwarder alone, and what is delivered has an edge';

const REFUSED =
	'newer kernels take such a header from nobody (virtio_net_hdr_to_skb checks csum_offset); older ones do';

const SEGMENTS =
	'the kernel takes no frame of segments from a TAP without the whole header that they are to have';

const reasons: readonly Reason[] = [
	{ text: /^bpf_skb_load_bytes\(skb, ETH_HEADER \+ header \+ 12, /, met: true, why: SEGMENTS },
	{ text: /> end\((it->)?skb\)$/, met: true, why: VERIFIER },
	{ text: /^bpf_skb_(load|store)_bytes\(skb, (at|option), /, met: true, why: VERIFIER },
	{ text: /^readable\(skb, ND_OPTIONS\)$/, met: false, why: VERIFIER },
	{ text: /^!readable\(skb, length\)$/, met: true, why: VERIFIER },
	{ text: /^!arp$/, met: true, why: VERIFIER },
	{ text: /^owner == 0$/, met: true, why: VERIFIER },
	{ text: /^!(traffic|decision|port|seat|hold)$/, met: true, why: THERE },
	{ text: /^copies$/, met: false, why: THERE },
	{ text: /^frame \+ ETH_HEADER <= end\(it->skb\)$/, met: false, why: VERIFIER },
	{ text: /^hold->until > it->now$/, met: true, why: OBSERVED },
	{ text: /^copy_to\(/, met: true, why: OBSERVED },
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
	{ text: /^verdict == PUNT$/, met: true, why: WHOLE },
	{ text: /^verdict < EDGES_MAX$/, met: false, why: WHOLE },
	{ text: /^protocol (==|!=) (TCP|UDP)$/, met: false, why: REFUSED },
	{ text: /^skb->mark == FRAME_MARK$/, met: true, why: 'host.test.ts: what the forwarder gives to the host' },
];
