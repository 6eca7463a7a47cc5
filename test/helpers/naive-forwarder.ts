/**
 * The slow, obvious twin of the forwarder, written from design.md section 5 with plain objects: read the frame,
 * decide by rule, build new frames. It shares no code with what it judges. Addresses are hexadecimal text here,
 * so that comparing is `===`.
 */

import { hex } from './describe.js';
import {
	bytesOf,
	internetChecksum,
	mac,
	octets,
	patched,
	u16,
	withDestination,
	withSource,
} from './frames.js';
import { NaiveBook, type NaiveEntry } from './naive-book.js';
import { NaiveClaimable } from './naive-claimable.js';
import { naiveDhcp6 } from './naive-dhcp6.js';
import { NaiveGroups, reportOf } from './naive-groups.js';
import {
	type AnyPacket,
	type ArpPacket,
	type Ipv4Packet,
	type Ipv6Packet,
	type Nd,
	parse,
} from './naive-parser.js';
import { NaiveRouter } from './naive-router.js';
import type { Outcome, Output, Topology } from './pure-port.js';

const WIRE = 0;
const HOST = 1;

interface Slave {
	edge: number;
	mac: string;
	learns: boolean;
}

/** A decision; an edge's number stands for "deliver there, rewritten". */
type Decision =
	| { drop: string }
	| { to: number; frame: Uint8Array }
	| { claim: string }
	| 'fan out'
	| 'answer'
	| 'dhcp'
	| 'refresh'
	| 'conflict'
	| 'router'
	| { refuse: string }
	| { fragments: Uint8Array[] | 'wait' }
	| 'resolve'
	| 'ignore';

export class NaiveForwarder {
	readonly book: NaiveBook;
	readonly #groups = new NaiveGroups();
	readonly #topology: Topology;
	readonly #claimable: NaiveClaimable;
	readonly #router: NaiveRouter;
	/** What the frame at hand has waited for. */
	#released: string | undefined;
	/** What a slave has said from what it has claimed. */
	readonly #held = new Map<NaiveEntry, { frame: Uint8Array; partial: boolean }[]>();

	constructor(topology: Topology) {
		this.#topology = topology;
		this.#router = new NaiveRouter(topology);
		this.#claimable = new NaiveClaimable(topology);
		this.book = new NaiveBook(topology.quota);
		for (const { address, edge, origin } of topology.addresses) {
			if (origin === 'host') this.book.take(hex(octets(address)), edge, 'host');
		}
		for (const { address, edge, origin } of topology.addresses) {
			if (origin === 'static') this.book.assign(edge, hex(octets(address)));
			if (origin === 'learned') this.book.claim(edge, hex(octets(address)));
		}
	}

	receive(ingress: number, frame: Uint8Array, partial = false): Outcome {
		const first = this.#decide(ingress, frame, partial);
		let decision = first;
		for (let claims = 0; typeof decision === 'object' && 'claim' in decision; claims++) {
			const { claim } = decision;
			const answer = claims < 2 ? this.#claim(ingress, claim, frame) : 'ip-spoof';
			decision =
				answer === ''
					? this.#decide(ingress, frame, partial)
					: this.#unclaimed(answer, claim, frame, partial);
			if (answer === 'tentative') break;
		}
		if (decision === 'router') decision = this.#routerSpeaks(ingress, frame, partial);
		if (decision === 'dhcp') decision = this.#goOn(ingress, frame);
		// Nobody here has to do with the address: the host itself has asked.
		const answered = decision === 'conflict' ? (parse(frame) as ArpPacket).sender : undefined;
		if (answered !== undefined && (this.book.holderOf(answered)?.edge ?? WIRE) <= HOST) decision = 'ignore';
		const out = this.#carryOut(decision, ingress, frame, partial);
		this.#notice(decision, ingress, frame);
		// A group frame that nobody wants is its sender's own business.
		if (decision === 'fan out' && out.length === 0) decision = 'ignore';
		const final =
			typeof decision === 'object' && 'refuse' in decision
				? `drop: ${decision.refuse}`
				: typeof decision === 'object' && 'fragments' in decision && decision.fragments === 'wait'
					? 'slow: resolve'
					: nameOf(decision);
		return { verdict: nameOf(first), final, out };
	}

	/** Nobody has answered for what is claimed: it is its slave's, and what that has said from there goes out. */
	settle(): Output[] {
		const out: Output[] = [];
		for (;;) {
			const claims = this.book.entries.filter(({ tentative }) => tentative);
			for (const { address } of claims) this.book.confirm(address);
			for (const claim of claims) {
				const frames = this.#held.get(claim) ?? [];
				this.#held.delete(claim);
				this.#released = claim.address;
				const released = frames.flatMap(({ frame, partial }) => this.receive(claim.edge, frame, partial).out);
				this.#released = undefined;
				out.push(...released.sort((a, b) => a.edge - b.edge));
			}
			if (![...this.#held.keys()].some(claim => this.book.entries.includes(claim))) return out;
		}
	}

	#claim(edge: number, address: string, frame: Uint8Array): string {
		const another = this.book.holderOf(address);
		if (another?.tentative && another.edge !== edge && asks(frame)) return 'answer';
		const elsewhere = !this.#l2 && /^fe[89ab]/.test(address);
		return this.#claimable.refusal(edge, address) || this.book.claim(edge, address, !elsewhere);
	}

	/** What becomes of a frame whose slave doesn't have its source, or not yet. */
	#unclaimed(answer: string, address: string, frame: Uint8Array, partial: boolean): Decision {
		if (answer === 'answer') return 'answer';
		if (answer !== 'tentative') return { drop: answer };
		const parsed = parse(frame);
		if (this.#l2 && asks(frame)) {
			const nd = parsed.kind === 'ipv6' && typeof parsed.nd === 'object' ? parsed.nd : undefined;
			return { to: WIRE, frame: nd ? this.#ndOutwards(frame, nd, partial) : this.#arpOutwards(frame) };
		}
		// It has waited for this very address, and lost it again; or waited for its source before its target.
		const inVain = this.#released !== undefined && [this.#released, sourceOf(frame)].includes(address);
		if (inVain) return { drop: 'tentative' };
		const claim = this.book.holderOf(address) as NaiveEntry;
		this.#held.set(claim, [...(this.#held.get(claim) ?? []), { frame, partial }]);
		return { claim: address };
	}

	/** To one slave; such as choose no addresses are not invited to. */
	#routerSpeaks(ingress: number, frame: Uint8Array, partial: boolean): Decision {
		const parsed = parse(frame) as Ipv6Packet;
		const owner = this.book.ownerOf(parsed.destination);
		if (ingress === WIRE) this.#claimable.heard(frame, parsed);
		const decision = this.#towards(owner, ingress, parsed, frame);
		if (typeof decision !== 'object' || !('to' in decision)) return decision;
		const { learns } = this.#topology.slaves.find(({ edge }) => edge === owner) as Slave;
		return learns ? decision : { to: owner, frame: withoutAutonomy(decision.frame, parsed, partial) };
	}

	#decide(ingress: number, frame: Uint8Array, partial: boolean): Decision {
		if (frame.length < 14) return { drop: 'malformed' };
		if (ingress === WIRE) return this.#fromWire(frame);
		if (ingress === HOST) return this.#fromHost(frame);
		const slave = this.#topology.slaves.find(({ edge }) => edge === ingress);
		return this.#fromSlave(slave as Slave, frame, partial);
	}

	// Design 5.1

	#fromSlave(slave: Slave, frame: Uint8Array, partial: boolean): Decision {
		const parsed = parse(frame);
		if (parsed.link.source !== plain(slave.mac)) return { drop: 'mac-spoof' };
		if (parsed.kind === 'vlan') return { drop: 'vlan' };
		if (parsed.kind === 'other') return { drop: 'ethertype' };
		if (parsed.kind === 'broken') return { drop: 'malformed' };
		if (parsed.kind === 'arp') return this.#arpFromSlave(slave, parsed, frame);
		if (parsed.kind === 'ipv4') return this.#ipv4FromSlave(slave, parsed, frame);
		if (parsed.nd === 'hidden') return { drop: 'nd-hidden' };
		if (parsed.nd === 'malformed') return { drop: 'malformed' };
		if (parsed.nd) return this.#ndFromSlave(slave, parsed, parsed.nd, frame, partial);
		return this.#ipv6FromSlave(slave, parsed, frame);
	}

	#ipv4FromSlave(slave: Slave, packet: Ipv4Packet, frame: Uint8Array): Decision {
		const group = packet.link.group || packet.toGroup;
		if (packet.hiddenTo === 67 || packet.hiddenTo === 68) return { drop: 'malformed' };
		if (packet.udpTo === 68) return { drop: 'dhcp-guard' };
		const fromNobody = packet.source === '00000000' && group;
		const owned = this.book.ownerOf(packet.source) === slave.edge;
		if (packet.dhcp === 'request' && (packet.source === '00000000' ? group : owned))
			return this.#l2 ? 'dhcp' : { drop: 'not-routed' };
		if (packet.udpTo === 67 && packet.piece) return { drop: 'malformed' };
		if (packet.udpTo === 67 && packet.dhcp !== 'request') return { drop: 'dhcp-spoof' };
		if (fromNobody && (packet.igmp || !this.#l2)) return this.#toGroup();
		const right = this.#mayUse(slave, packet.source);
		if (right !== 'owned') return right === 'claimable' ? { claim: packet.source } : { drop: 'ip-spoof' };
		return group
			? this.#toGroup()
			: this.#unicastFromSlave(slave, packet.link.destination, packet.destination, frame);
	}

	#ipv6FromSlave(slave: Slave, packet: Ipv6Packet, frame: Uint8Array): Decision {
		const group = packet.link.group || packet.toGroup;
		const right = this.#mayUse(slave, packet.source);
		if (packet.hides === 'ports') return { drop: 'malformed' };
		if (packet.udpTo === 546 || packet.udpTo === 547) {
			if (packet.hides || packet.udpTo === 546 || !packet.asks) return { drop: 'dhcp-guard' };
			if (right === 'owned') return this.#l2 ? 'dhcp' : { drop: 'not-routed' };
		}
		if (right !== 'owned') {
			if (group && packet.fromNobody && packet.firstHeader === 0) return this.#toGroup();
			return right === 'claimable' ? { claim: packet.source } : { drop: 'ip-spoof' };
		}
		return group
			? this.#toGroup()
			: this.#unicastFromSlave(slave, packet.link.destination, packet.destination, frame);
	}

	get #l2(): boolean {
		return (this.#topology.mode ?? 'l2') === 'l2';
	}

	/** Design 5.5: nothing that a slave sends to a group crosses. */
	#toGroup(): Decision {
		return this.#l2 ? 'fan out' : { drop: 'not-routed' };
	}

	#routed(slave: Slave, destination: string, frame: Uint8Array): Decision {
		const owner = this.book.ownerOf(destination);
		const reached = this.#reach(slave, owner);
		if (typeof reached === 'object') return reached;
		// Design 5.6: whoever it is for, the host's stack sees it first.
		if (this.#topology.mode === 'l3s') return this.#deliver(HOST, frame);
		if (reached !== WIRE) return this.#deliver(reached, frame);
		const routed = this.#router.route(frame, owner !== WIRE);
		if (typeof routed === 'string' || !('to' in routed)) return routed;
		return routed.to === 'host' ? this.#deliver(HOST, frame) : { to: WIRE, frame: routed.frame };
	}

	#unicastFromSlave(slave: Slave, mac: string, destination: string, frame: Uint8Array): Decision {
		if (!this.#l2) return this.#routed(slave, destination, frame);
		const reached = this.#reach(slave, this.book.ownerOf(destination));
		if (typeof reached === 'object') return reached;
		if (reached !== WIRE) return this.#deliver(reached, frame);
		// To the master's own MAC, for somebody unknown: the host is asked to route.
		if (this.book.ownerOf(destination) === WIRE && mac === plain(this.#topology.master)) {
			return this.#topology.host ? { to: HOST, frame } : { drop: 'unknown-destination' };
		}
		return { to: WIRE, frame: withSource(frame, this.#topology.master) };
	}

	#arpFromSlave(slave: Slave, packet: ArpPacket, frame: Uint8Array): Decision {
		if (packet.operation !== 1 && packet.operation !== 2) return { drop: 'malformed' };
		if (packet.senderMac !== plain(slave.mac)) return { drop: 'arp-spoof' };
		const probe = packet.operation === 1 && packet.sender === '00000000';
		const right = this.#mayUse(slave, probe ? packet.target : packet.sender);
		if (right === 'claimable') return { claim: probe ? packet.target : packet.sender };
		const asksAnOwner = probe && this.book.ownerOf(packet.target) !== WIRE;
		if (right !== 'owned' && !asksAnOwner) return { drop: 'arp-spoof' };
		// What only ipvtap itself asks: nobody else's question names nobody and comes from the master.
		const toMaster = packet.link.destination === plain(this.#topology.master);
		if (packet.operation === 2 && packet.target === '00000000' && toMaster) return 'refresh';

		const owner = this.book.ownerOf(packet.target);
		if (!this.#l2) {
			const asks = packet.operation === 1 && Number.parseInt(packet.target.slice(0, 2), 16) < 224;
			return asks && owner !== slave.edge ? 'answer' : { drop: 'not-routed' };
		}
		const reached = owner === slave.edge ? WIRE : this.#reach(slave, owner);
		if (typeof reached === 'object') return reached;
		if (reached === WIRE) return { to: WIRE, frame: this.#arpOutwards(frame) };
		if (packet.operation === 1 && (reached === HOST || probe)) return 'answer';
		return this.#deliver(reached, frame);
	}

	#ndFromSlave(slave: Slave, packet: Ipv6Packet, nd: Nd, frame: Uint8Array, partial: boolean): Decision {
		if (packet.hopLimit !== 255) return { drop: 'malformed' };
		if (nd.type === 134 || nd.type === 137) return { drop: 'router-guard' };
		if (nd.linkLayer && nd.linkLayer.mac !== plain(slave.mac)) return { drop: 'nd-spoof' };
		if (!packet.fromNobody) {
			const right = this.#mayUse(slave, packet.source);
			if (right !== 'owned') return right === 'claimable' ? { claim: packet.source } : { drop: 'nd-spoof' };
		}
		if (nd.type === 135) return this.#solicitationFromSlave(slave, packet, nd, frame, partial);
		if (nd.type === 136) {
			const right = this.#mayUse(slave, nd.target);
			if (right !== 'owned') return right === 'claimable' ? { claim: nd.target } : { drop: 'nd-spoof' };
		}
		if (!this.#l2) return nd.type === 136 ? 'refresh' : { drop: 'not-routed' };
		if (packet.link.group || packet.toGroup) return 'fan out';
		return this.#ndTo(slave, this.book.ownerOf(packet.destination), frame, nd, partial);
	}

	#solicitationFromSlave(
		slave: Slave,
		packet: Ipv6Packet,
		nd: Nd,
		frame: Uint8Array,
		partial: boolean,
	): Decision {
		const owner = this.book.ownerOf(nd.target);
		if (packet.fromNobody && owner === WIRE) {
			return this.#mayUse(slave, nd.target) === 'claimable' ? { claim: nd.target } : { drop: 'nd-spoof' };
		}
		if (!this.#l2) return owner === slave.edge ? { drop: 'not-routed' } : 'answer';
		const decision = this.#ndTo(slave, owner, frame, nd, partial);
		return typeof decision === 'object' && 'to' in decision && decision.to === HOST ? 'answer' : decision;
	}

	#ndTo(slave: Slave, owner: number, frame: Uint8Array, nd: Nd, partial: boolean): Decision {
		const reached = owner === slave.edge ? WIRE : this.#reach(slave, owner);
		if (typeof reached === 'object') return reached;
		if (reached === WIRE) return { to: WIRE, frame: this.#ndOutwards(frame, nd, partial) };
		return this.#deliver(reached, frame);
	}

	/** Design 5.4 as far as one frame goes: link-local always, everything else if the slave learns. */
	#mayUse(slave: Slave, address: string): 'owned' | 'claimable' | 'forbidden' {
		const owner = this.book.ownerOf(address);
		if (owner === slave.edge) return 'owned';
		if (owner !== WIRE) return 'forbidden';
		if (address.length === 8) return slave.learns && isUnicast4(address) ? 'claimable' : 'forbidden';
		if (/^fe[89ab]/.test(address)) return 'claimable';
		const unicast = !address.startsWith('ff') && !address.startsWith('0'.repeat(16));
		return slave.learns && unicast ? 'claimable' : 'forbidden';
	}

	/** Where the flag lets a slave's frame go, given who owns its destination. */
	#reach(slave: Slave, owner: number): number | { drop: string } {
		if (owner === WIRE) return WIRE;
		if (owner === HOST) return this.#topology.host ? HOST : { drop: 'unknown-destination' };
		if (owner === slave.edge) return { drop: 'own-address' };
		if (this.#topology.flag === 'private') return { drop: 'private' };
		return this.#topology.flag === 'vepa' ? WIRE : owner;
	}

	// Design 5.2

	#fromWire(frame: Uint8Array): Decision {
		const parsed = parse(frame);
		if (parsed.kind === 'broken') return this.#brokenFromWire(frame, parsed.type);
		if (parsed.kind !== 'ipv4' && parsed.kind !== 'ipv6' && parsed.kind !== 'arp') return 'ignore';
		if (!parsed.link.group && parsed.link.destination !== plain(this.#topology.master)) return 'ignore';
		const ours = parsed.link.source === plain(this.#topology.master);
		if (parsed.kind === 'arp') return this.#arpFromWire(parsed, frame, ours);
		const solicited = parsed.kind === 'ipv6' && typeof parsed.nd === 'object' && parsed.nd.type === 135;
		if (solicited) {
			const { target } = parsed.nd as Nd;
			const owner = this.book.ownerOf(target);
			if (!this.#l2 && owner > HOST) {
				if (/^fe[89ab]/.test(target)) return 'ignore';
				return ours ? { drop: 'reflected' } : 'answer';
			}
			const sender = parsed.fromNobody ? owner : this.book.ownerOf(parsed.source);
			return this.#inwards(owner, sender, frame, ours);
		}
		const nd = parsed.kind === 'ipv6' && typeof parsed.nd === 'object' ? parsed.nd : undefined;
		const mayClaim = nd?.type === 136 && parsed.link.group && this.#topology.slaves.length > 0;
		if (mayClaim && !this.#l2 && !ours) return 'fan out';
		const sender = this.book.ownerOf(parsed.source);
		const back = ours && this.#topology.flag !== 'vepa';
		if (parsed.kind === 'ipv4' && parsed.dhcp === 'reply' && this.#l2 && this.#topology.slaves.length > 0) {
			if (!back || sender <= HOST) return 'dhcp';
		}
		if (parsed.link.group || parsed.toGroup) return this.#groupInwards(sender, ours, this.#topology.host);
		const owner = this.book.ownerOf(parsed.destination);
		if (parsed.kind === 'ipv6' && isReply6(parsed) && this.#l2 && owner > HOST && !back) return 'dhcp';
		if (nd?.type === 134 && this.#l2 && owner > HOST && !back) return 'router';
		return this.#inwards(owner, sender, frame, ours);
	}

	/** The host doesn't see what is for a guest's address, however damaged. */
	#brokenFromWire(frame: Uint8Array, type: number): Decision {
		const [from, to] = type === 0x0800 ? [30, 34] : [38, 54];
		const toMaster = hex(frame.slice(0, 6)) === plain(this.#topology.master);
		if (type === 0x0806 || !toMaster || frame.length < to) return 'ignore';
		if (this.#topology.mode === 'l3s') return 'ignore';
		return this.book.ownerOf(hex(frame.slice(from, to))) > HOST ? { drop: 'malformed' } : 'ignore';
	}

	#arpFromWire(packet: ArpPacket, frame: Uint8Array, ours: boolean): Decision {
		const owner = this.book.ownerOf(packet.target);
		const nobody = packet.sender === '00000000';
		const foreign = packet.senderMac !== plain(this.#topology.master);
		// To a question that named nobody, which may have been about what a slave has claimed.
		const answers = packet.operation === 2 && packet.target === '00000000' && !packet.link.group;
		if (foreign && answers && this.#topology.slaves.length > 0) return 'conflict';
		const concerns = packet.link.group || owner > HOST;
		if (concerns && foreign && this.book.ownerOf(packet.sender) > HOST) return 'conflict';
		if (owner > HOST && !this.#l2) {
			if (packet.operation !== 1) return { drop: 'not-routed' };
			return ours ? { drop: 'reflected' } : 'answer';
		}
		if (owner > HOST) {
			const namesMaster = packet.targetMac === plain(this.#topology.master);
			const restored = namesMaster ? patched(frame, 32, mac(this.#macOf(owner))) : frame;
			return this.#inwards(owner, nobody ? owner : this.book.ownerOf(packet.sender), restored, ours);
		}
		const announces = packet.sender === packet.target || packet.operation === 2;
		const wanted = packet.link.group && announces && !nobody;
		return wanted ? this.#groupInwards(this.book.ownerOf(packet.sender), ours, false) : 'ignore';
	}

	/** From the wire or the host. */
	#towards(owner: number, ingress: number, packet: Ipv6Packet, frame: Uint8Array): Decision {
		if (ingress !== WIRE) return this.#deliver(owner, frame);
		const ours = packet.link.source === plain(this.#topology.master);
		return this.#inwards(owner, this.book.ownerOf(packet.source), frame, ours);
	}

	/** Reflections come back in earnest only with `vepa`, and never to who sent them. */
	#inwards(owner: number, sender: number, frame: Uint8Array, ours: boolean): Decision {
		if (owner <= HOST || this.#topology.mode === 'l3s') return 'ignore';
		if (ours && (this.#topology.flag !== 'vepa' || owner === sender)) return { drop: 'reflected' };
		return this.#deliver(owner, frame);
	}

	/** @param mirrored whether guests have had the host's already, by the host slave. */
	#groupInwards(sender: number, ours: boolean, mirrored: boolean): Decision {
		if (this.#topology.slaves.length === 0 || (!this.#l2 && !this.#topology.multicastSlave)) return 'ignore';
		const wanted = !ours || this.#topology.flag === 'vepa' || (sender === HOST && !mirrored);
		return wanted ? 'fan out' : { drop: 'reflected' };
	}

	#fromHost(frame: Uint8Array): Decision {
		const parsed = parse(frame);
		if (parsed.kind === 'broken' && parsed.type !== 0x0806) return { drop: 'malformed' };
		if (parsed.kind !== 'ipv4' && parsed.kind !== 'ipv6') return { drop: 'ethertype' };
		if (parsed.kind === 'ipv4' && parsed.dhcp === 'reply' && this.#l2) return 'dhcp';
		if (parsed.link.group || parsed.toGroup) {
			return this.#l2 || this.#topology.multicastSlave ? 'fan out' : { drop: 'not-routed' };
		}
		if (this.#topology.mode === 'l3s' && isRedirect(frame)) return { drop: 'not-routed' };
		const owner = this.book.ownerOf(parsed.destination);
		if (parsed.kind === 'ipv6' && isReply6(parsed) && this.#l2 && owner > HOST) return 'dhcp';
		const advertises = parsed.kind === 'ipv6' && typeof parsed.nd === 'object' && parsed.nd.type === 134;
		if (advertises && this.#l2 && owner > HOST) return 'router';
		return owner > HOST ? this.#deliver(owner, frame) : { drop: 'unknown-destination' };
	}

	/** DHCPv6 goes on as its addresses say, if it can be read; what identities and leases refuse isn't told here. */
	#goOn(ingress: number, frame: Uint8Array): Decision {
		const packet = parse(frame);
		if (packet.kind !== 'ipv6') return 'dhcp';
		const slave = this.#topology.slaves.find(({ edge }) => edge === ingress);
		if (slave && packet.udpTo === 547) {
			const length = (frame[58] as number) * 256 + (frame[59] as number);
			const readable = length >= 8 && length <= packet.udpLength;
			if (!readable || !naiveDhcp6(frame.slice(62, 54 + length))) return { drop: 'malformed' };
			if (packet.link.group || packet.toGroup) return 'fan out';
		}
		const owner = this.book.ownerOf(packet.destination);
		if (!slave) return this.#towards(owner, ingress, packet, frame);
		return this.#unicastFromSlave(slave, packet.link.destination, packet.destination, frame);
	}

	// Design 5.3

	#carryOut(decision: Decision, ingress: number, frame: Uint8Array, partial: boolean): Output[] {
		if (decision === 'answer') return [{ edge: ingress, frame: this.#answerFor(frame) }];
		if (decision === 'conflict') return this.#conflict(frame);
		if (decision === 'fan out') return this.#copies(ingress, frame, partial);
		if (typeof decision === 'object' && 'refuse' in decision) {
			const guest = this.#macOf(ingress);
			const complaint = this.#router.complaint(frame, decision.refuse, ingress, guest);
			return complaint ? [{ edge: ingress, frame: complaint }] : [];
		}
		if (typeof decision === 'object' && 'fragments' in decision)
			return (decision.fragments === 'wait' ? [] : decision.fragments).map(fragment => ({
				edge: WIRE,
				frame: fragment,
			}));
		return typeof decision === 'object' && 'to' in decision
			? [{ edge: decision.to, frame: decision.frame }]
			: [];
	}

	#copies(ingress: number, frame: Uint8Array, partial: boolean): Output[] {
		const { flag, host, master, slaves } = this.#topology;
		const parsed = parse(frame);
		const copy = parsed.link.group ? frame : withDestination(frame, groupMacOf(frame));
		const { multicastSlave = 0 } = this.#topology;
		if (!this.#l2) {
			const nominated = slaves.find(({ edge }) => edge === multicastSlave);
			if (!nominated || asksServers(parsed)) return [];
			return [
				{ edge: nominated.edge, frame: nominated.learns ? copy : withoutAutonomy(copy, parsed, partial) },
			];
		}
		const out: Output[] = [];
		if (ingress > HOST) {
			const nd = parsed.kind === 'ipv6' && typeof parsed.nd === 'object' ? parsed.nd : undefined;
			out.push({ edge: WIRE, frame: nd ? this.#ndOutwards(copy, nd, partial) : withSource(copy, master) });
			// With `vepa` everything goes out, multicast included; the relay brings it back.
			if (host && flag !== 'vepa') out.push({ edge: HOST, frame: copy });
		}
		const reflection = parsed.link.source === plain(master) && flag === 'vepa';
		const sender = ingress !== WIRE ? ingress : reflection ? this.book.ownerOf(sourceOf(frame)) : WIRE;
		const report = ingress > HOST ? reportOf(frame) : undefined;
		if (report) this.#groups.hear(ingress, report);
		// With `vepa` the relay brings the host's own back too, if we have a copy of what went there.
		const fromOutside = ingress === WIRE || (ingress === HOST && !(flag === 'vepa' && host));
		const toSlaves = fromOutside || (ingress > HOST && flag === 'bridge' && !report);
		const family = parsed.kind === 'ipv6' ? 6 : 4;
		const uninviting = withoutAutonomy(copy, parsed, partial);
		for (const { edge, learns } of [...slaves].sort((a, b) => a.edge - b.edge)) {
			const reachable = !asksServers(parsed) && (family === 6 || this.book.hasIpv4(edge));
			const wants = reachable && this.#groups.wants(edge, family, copy);
			if (toSlaves && wants && edge !== sender) out.push({ edge, frame: learns ? copy : uninviting });
		}
		return out;
	}

	/** Another machine says that an address is its own; no time passes here, so it was always learned just now. */
	#notice(decision: Decision, ingress: number, frame: Uint8Array): void {
		const parsed = parse(frame);
		if (decision === 'conflict') this.#contest((parsed as ArpPacket).sender);
		if (decision === 'fan out' && ingress === WIRE) {
			this.#claimable.heard(frame, parsed);
			const foreign = parsed.kind === 'arp' && parsed.senderMac !== plain(this.#topology.master);
			if (foreign) this.#contest(parsed.sender);
		}
		const nd = parsed.kind === 'ipv6' && typeof parsed.nd === 'object' ? parsed.nd : undefined;
		if (decision !== 'fan out' || ingress !== WIRE || nd?.type !== 136) return;
		const claimant = nd.linkLayer?.mac ?? parsed.link.source;
		if (claimant !== plain(this.#topology.master)) this.#contest(nd.target);
	}

	#contest(address: string): void {
		if ((this.book.holderOf(address)?.edge ?? WIRE) > HOST)
			this.book.setForeign(address, Number.POSITIVE_INFINITY);
	}

	/** Whom it is for, or else whose address it takes, hears of it. */
	#conflict(frame: Uint8Array): Output[] {
		const packet = parse(frame) as ArpPacket;
		if (!this.#l2) return [];
		const target = this.book.ownerOf(packet.target);
		const owner = target > HOST ? target : (this.book.holderOf(packet.sender)?.edge ?? WIRE);
		const namesMaster = packet.targetMac === plain(this.#topology.master);
		const delivered = this.#deliver(owner, namesMaster ? patched(frame, 32, mac(this.#macOf(owner))) : frame);
		return [{ edge: owner, frame: (delivered as { frame: Uint8Array }).frame }];
	}

	#answerFor(frame: Uint8Array): Uint8Array {
		const parsed = parse(frame);
		const master = mac(this.#topology.master);
		const asker = frame.slice(6, 12);
		if (parsed.kind === 'arp') {
			const sender = bytesOf(master, frame.slice(38, 42));
			return bytesOf(asker, master, [8, 6, 0, 1, 8, 0, 6, 4, 0, 2], sender, asker, frame.slice(28, 32));
		}
		const fromNobody = (parsed as Ipv6Packet).fromNobody;
		const target = frame.slice(62, 78);
		const receiver = fromNobody ? octets('ff02::1') : frame.slice(22, 38);
		const flags = fromNobody ? 0x20 : 0x60;
		const message = bytesOf([136, 0, 0, 0, flags, 0, 0, 0], target, [2, 1], master);
		const pseudo = bytesOf(target, receiver, [0, 0, 0, message.length, 0, 0, 0, 58]);
		message.set(u16(internetChecksum(bytesOf(pseudo, message))), 2);
		const link = bytesOf(fromNobody ? mac('33:33:00:00:00:01') : asker, master, [0x86, 0xdd]);
		return bytesOf(link, [0x60, 0, 0, 0, 0, message.length, 58, 255], target, receiver, message);
	}

	// MAC-NAT

	#deliver(edge: number, frame: Uint8Array): Decision {
		const group = ((frame[0] as number) & 1) === 1;
		return { to: edge, frame: group ? frame : withDestination(frame, this.#macOf(edge)) };
	}

	#macOf(edge: number): string {
		if (edge === HOST) return this.#topology.master;
		return (this.#topology.slaves.find(slave => slave.edge === edge) as Slave).mac;
	}

	#arpOutwards(frame: Uint8Array): Uint8Array {
		return patched(withSource(frame, this.#topology.master), 22, mac(this.#topology.master));
	}

	#ndOutwards(frame: Uint8Array, nd: Nd, partial: boolean): Uint8Array {
		const rewritten = withSource(frame, this.#topology.master);
		if (!nd.linkLayer) return rewritten;
		const after = mac(this.#topology.master);
		const before = rewritten.slice(nd.linkLayer.at, nd.linkLayer.at + 6);
		const restored = patched(rewritten, nd.linkLayer.at, after);
		return partial
			? restored
			: patched(
					restored,
					56,
					u16(corrected((frame[56] as number) * 256 + (frame[57] as number), before, after)),
				);
	}
}

/** An ARP probe, or the solicitation of duplicate address detection. */
function asks(frame: Uint8Array): boolean {
	const parsed = parse(frame);
	if (parsed.kind === 'arp') return parsed.operation === 1 && parsed.sender === '00000000';
	return (
		parsed.kind === 'ipv6' && parsed.fromNobody && typeof parsed.nd === 'object' && parsed.nd.type === 135
	);
}

/** A router advertisement that invites nobody to choose an address; every other frame as it is. */
function withoutAutonomy(frame: Uint8Array, parsed: ReturnType<typeof parse>, partial: boolean): Uint8Array {
	if (parsed.kind !== 'ipv6' || typeof parsed.nd !== 'object' || parsed.nd.type !== 134) return frame;
	const copy = frame.slice();
	const end = 54 + (frame[18] as number) * 256 + (frame[19] as number);
	for (let option = 70; option < end; option += 8 * (frame[option + 1] as number)) {
		if (frame[option] === 3) copy[option + 3] = (copy[option + 3] as number) & ~0x40;
	}
	if (partial) return copy;
	copy.set([0, 0], 56);
	const length = end - 54;
	const pseudo = bytesOf(copy.slice(22, 54), [0, 0, length >> 8, length & 255, 0, 0, 0, 58]);
	copy.set(u16(internetChecksum(bytesOf(pseudo, copy.slice(54, end)))), 56);
	return copy;
}

/** The checksum after `before` was replaced by `after`, as arithmetic modulo 65535: an error that was there stays. */
function corrected(checksum: number, before: Uint8Array, after: Uint8Array): number {
	const sum = 0xffff - checksum + 3 * 0xffff - words(before) + words(after);
	return 0xffff - (sum % 0xffff || 0xffff);
}

function words(bytes: Uint8Array): number {
	let sum = 0;
	for (let index = 0; index < bytes.length; index += 2)
		sum += (bytes[index] as number) * 256 + (bytes[index + 1] as number);
	return sum;
}

/** ICMP type 5 in a first fragment, or type 137 of ICMPv6 that is plain to see. */
function isRedirect(frame: Uint8Array): boolean {
	const parsed = parse(frame);
	if (parsed.kind === 'ipv6') return typeof parsed.nd === 'object' && parsed.nd.type === 137;
	const header = ((frame[14] as number) & 15) * 4;
	const length = (frame[16] as number) * 256 + (frame[17] as number);
	const offset = ((frame[20] as number) & 0x1f) | (frame[21] as number);
	return frame[23] === 1 && offset === 0 && header < length && frame[14 + header] === 5;
}

function isUnicast4(address: string): boolean {
	const first = Number.parseInt(address.slice(0, 2), 16);
	return first !== 0 && first !== 127 && first < 224;
}

/** For a client's port; a header alone is no message. */
function isReply6(packet: Ipv6Packet): boolean {
	return packet.udpTo === 546 && !packet.hides && packet.udpLength > 8;
}

/** No guest in these ports is a DHCP server. */
function asksServers(parsed: AnyPacket): boolean {
	if (parsed.kind === 'ipv4') return parsed.udpTo === 67;
	return parsed.kind === 'ipv6' && parsed.udpTo === 547 && !parsed.hides;
}

function groupMacOf(frame: Uint8Array): string {
	const parsed = parse(frame) as Ipv4Packet | Ipv6Packet;
	const pairs = parsed.destination.match(/../g) as string[];
	if (parsed.kind === 'ipv6') return ['33', '33', ...pairs.slice(-4)].join(':');
	if (parsed.destination === 'ffffffff') return 'ff:ff:ff:ff:ff:ff';
	const second = (Number.parseInt(pairs[1] as string, 16) & 0x7f).toString(16).padStart(2, '0');
	return ['01', '00', '5e', second, pairs[2], pairs[3]].join(':');
}

function sourceOf(frame: Uint8Array): string {
	const parsed = parse(frame);
	if (parsed.kind === 'arp') return parsed.sender;
	return parsed.kind === 'ipv4' || parsed.kind === 'ipv6' ? parsed.source : '';
}

function nameOf(decision: Decision): string {
	if (typeof decision === 'string') return decision === 'ignore' ? decision : `slow: ${decision}`;
	if ('refuse' in decision) return `refuse: ${decision.refuse}`;
	if ('fragments' in decision) return 'slow: fragment';
	if ('drop' in decision) return `drop: ${decision.drop}`;
	if ('claim' in decision) return 'slow: claim';
	return decision.to === WIRE ? 'wire' : decision.to === HOST ? 'host' : `edge ${decision.to}`;
}

function plain(address: string): string {
	return address.replaceAll(':', '');
}
