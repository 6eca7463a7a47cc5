// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The fast path of a port in the kernel: three programs for TC ingress, which decide about a frame as
 * src/datapath/forward does, and hand over whatever they are not sure of.
 *
 *      from_slave   the guest's TAP     the source must be its own; what is not sent on is punted or dropped
 *      from_wire    the master          for a slave's address: delivered; all else is the host's, untouched
 *      from_host    the host slave      by destination address
 *
 * The levers, in the order of what they save:
 *   - one look-up of the source gives owner, device and MAC at once, and so proves all three; one of the
 *     destination gives where to and with which MAC. Nothing else is looked up for a frame that goes on.
 *   - what a device or the other end counts is not counted again
 *   - frames for the forwarder are redirected to one device that it alone reads, so that the kernel makes no copy
 *     of the others, nor asks any socket's filter about them
 *
 * Which edge a punted frame came from is told by a VLAN tag in the frame's metadata (tagged frames themselves never
 * get that far); without one it came from the wire.
 *
 * GSO frames and partial checksums pass untouched, but not unseen: where the guest says that its checksum belongs is
 * where somebody will write after the frame was judged, so it must be the checksum of TCP or UDP.
 */
#include "arp.h"
#include "fanout.h"
#include "ipv6.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

INLINE void count(struct traffic *traffic, __u32 length)
{
	if (!traffic) return;
	traffic->packets++;
	traffic->bytes += length;
}

INLINE void count_drop(__u32 edge, int reason)
{
	struct drops *drops = bpf_map_lookup_elem(&dropped, &edge);
	__u64 index = reason;
	/* The compiler sees that no reason is larger, and would leave the mask out; older verifiers don't. */
	asm volatile("%0 &= %1" : "+r"(index) : "i"(REASONS - 1));
	if (drops) drops->frames[index]++;
}

INLINE void tell(int verdict, __u32 ifindex)
{
	__u32 zero = 0;
	struct decision *decision = bpf_map_lookup_elem(&decided, &zero);
	if (!decision) return;
	decision->verdict = verdict;
	decision->ifindex = ifindex;
}

/* The redirect helpers check no MTU; segments are as long as their sender was told to make them. */
INLINE bool too_big(struct context *it)
{
	return segment_of(it->skb) == 0 && length_of(it->skb) > it->port->mtu + ETH_HEADER;
}

/* What the forwarder doesn't see it can't count. */
INLINE void count_in(struct context *it)
{
	__u32 edge = it->edge & EDGE_MASK;
	count(bpf_map_lookup_elem(&entered, &edge), length_of(it->skb));
}

INLINE void count_out(struct __sk_buff *skb)
{
	__u32 zero = 0;
	count(bpf_map_lookup_elem(&sent, &zero), length_of(skb));
}

/* fanOut of src/datapath/slowpath/slowpath.ts, for a frame of a slave's, or of the host's: IGNORE, if all have it then. */
INLINE int fan_out(struct context *it, __u32 edge)
{
	struct __sk_buff *skb = it->skb;
	const struct port *port = it->port;
	if (edge == EDGE_HOST) {
		copy_to_slaves(skb, port, edge);
		return IGNORE;
	}
	/* By it filters on its way know our own copies: of the host's groups, and of what is for groups from the wire. */
	skb->mark = FRAME_MARK;
	/* With `vepa` the relay brings it back for everybody else, the host included. */
	if (port->host && port->flag != FLAG_VEPA) copy_to(skb, port->host, EDGE_HOST);
	if (port->flag == FLAG_BRIDGE) copy_to_slaves(skb, port, edge);
	return to_wire(it);
}

/* A frame of a slave's, or of the host's: it goes somewhere or it ends. */
INLINE int conclude(struct context *it, int verdict)
{
	struct __sk_buff *skb = it->skb;
	if (verdict >= 0 && verdict < EDGES_MAX && too_big(it)) verdict = -TOO_BIG;
	if (verdict == FANOUT && too_big(it)) verdict = PUNT;
	verdict = limit(it, verdict);
	if (observed) tell(verdict, it->ifindex);
	__u32 edge = it->edge & EDGE_MASK;
	if (edge == 0) return SHOT;
	if (verdict == PUNT) {
		if (!it->port->punt || observed) return SHOT;
		if (bpf_skb_vlan_push(skb, ETH_VLAN, edge)) return SHOT;
		return bpf_redirect(it->port->punt, BPF_F_INGRESS);
	}
	count_in(it);
	if (!it->probes && verdict == FANOUT) verdict = fan_out(it, edge);
	if (verdict == IGNORE) return SHOT;
	if (verdict < 0) {
		count_drop(edge, -verdict);
		return SHOT;
	}
	if (verdict == EDGE_WIRE) count_out(skb);
	if (mode == MODE_L3 && it->next.nh_family) {
		struct bpf_redir_neigh next = it->next;
		return bpf_redirect_neigh(it->ifindex, &next, sizeof(next), 0);
	}
	return bpf_redirect(it->ifindex, 0);
}

/* One that isn't worth a look at what it carries. */
INLINE int refuse(struct context *it, int reason)
{
	find_edge(it);
	return -reason;
}

INLINE int slave_other(struct context *it, __u16 type)
{
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return refuse(it, MALFORMED);
	__u32 ifindex = ifindex_of(it->skb);
	struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
	if (!sender) return -MAC_SPOOF;
	it->edge = sender->edge;
	if (!same(mac_at(frame + 6), sender_mac(sender))) return -MAC_SPOOF;
	return type == ETH_VLAN || type == ETH_QINQ ? -VLAN : -ETHERTYPE;
}

INLINE int slave_verdict(struct context *it)
{
	if (tag_of(it->skb)) return refuse(it, VLAN);
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return refuse(it, MALFORMED);
	__u16 type = ((struct ethernet *)frame)->type;
	if (type == ETH_IPV4) return slave_ipv4(it);
	if (type == ETH_IPV6) return slave_ipv6(it);
	return type == ETH_ARP ? slave_arp(it) : slave_other(it, type);
}

INLINE int slave(struct __sk_buff *skb, bool probes)
{
	const struct port *port = this_port();
	if (!port) return SHOT;
	struct context it = { .skb = skb, .port = port, .probes = probes };
	/* In one place, or it would be compiled and verified for each kind of frame. */
	return conclude(&it, slave_verdict(&it));
}

SEC("tc") int from_slave(struct __sk_buff *skb) { return slave(skb, false); }

/* This one, and the others of its kind, for kernels before 6.2: what those can't load must not be in any of them. */
SEC("tc") int from_slave_probing(struct __sk_buff *skb) { return slave(skb, true); }

INLINE int host_verdict(struct context *it)
{
	it->edge = EDGE_HOST;
	if (tag_of(it->skb)) return -VLAN;
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	__u16 type = ((struct ethernet *)frame)->type;
	if (type == ETH_IPV4) return host_ipv4(it);
	return type == ETH_IPV6 ? host_ipv6(it) : -ETHERTYPE;
}

INLINE int host(struct __sk_buff *skb, bool probes)
{
	const struct port *port = this_port();
	if (!port) return SHOT;
	struct context it = { .skb = skb, .port = port, .probes = probes };
	return conclude(&it, host_verdict(&it));
}

SEC("tc") int from_host(struct __sk_buff *skb) { return host(skb, false); }

SEC("tc") int from_host_probing(struct __sk_buff *skb) { return host(skb, true); }

/* A tag without a VLAN; tpid 0: there is none. */
struct priority {
	__u16 tpid;
	__u16 tci;
};

INLINE struct priority take_priority(struct __sk_buff *skb)
{
	struct priority priority = {};
	if (!tag_of(skb)) return priority;
	priority.tpid = tpid_of(skb);
	priority.tci = tci_of(skb);
	bpf_skb_vlan_pop(skb);
	return priority;
}

INLINE int next_with(struct __sk_buff *skb, struct priority priority)
{
	if (priority.tpid) bpf_skb_vlan_push(skb, priority.tpid, priority.tci);
	return NEXT;
}

INLINE int wire(struct __sk_buff *skb, bool probes)
{
	const struct port *port = this_port();
	/* What the forwarder itself gives to the host's stack as if it came from here has been everywhere already. */
	if (!port || skb->mark == FRAME_MARK) return NEXT;
	/* What was a tag's, on its way to here, may be there still. */
	if (tag_of(skb) && tci_of(skb) & VLAN_ID) return NEXT;
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return NEXT;
	struct context it = { .skb = skb, .port = port, .probes = probes };
	__u16 type = ((struct ethernet *)frame)->type;
	int verdict = IGNORE;
	if (type == ETH_IPV4) verdict = wire_ipv4(&it);
	else if (type == ETH_IPV6) verdict = wire_ipv6(&it);
	else if (type == ETH_ARP) verdict = wire_arp(&it);
	if (verdict >= 0 && verdict < EDGES_MAX && too_big(&it)) verdict = -TOO_BIG;
	if (verdict == FANOUT && too_big(&it)) verdict = PUNT_COPY;
	verdict = limit_receipt(&it, verdict);
	if (observed) tell(verdict, it.ifindex);
	if (verdict == IGNORE) return NEXT;
	/* A priority is nothing to guests, and to the forwarder a tag says more. What the host gets keeps it. */
	struct priority priority = take_priority(skb);
	if (!probes && verdict == FANOUT) {
		if (copy_to_slaves(skb, port, EDGE_WIRE)) count_in(&it);
		return next_with(skb, priority);
	}
	if (verdict == PUNT_COPY) {
		if (port->punt && !observed) bpf_clone_redirect(skb, port->punt, BPF_F_INGRESS);
		return next_with(skb, priority);
	}
	if (verdict == PUNT) return port->punt && !observed ? bpf_redirect(port->punt, BPF_F_INGRESS) : SHOT;
	count_in(&it);
	if (verdict < 0) {
		count_drop(EDGE_WIRE, -verdict);
		return SHOT;
	}
	if (verdict == ANSWERED) count_out(skb);
	return bpf_redirect(it.ifindex, 0);
}

SEC("tc") int from_wire(struct __sk_buff *skb) { return wire(skb, false); }

SEC("tc") int from_wire_probing(struct __sk_buff *skb) { return wire(skb, true); }
