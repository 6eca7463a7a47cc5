/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The last step for every frame with one receiver: the counterpart of src/datapath/forward/owner.ts. */
#ifndef IPVTAP_OWNER_H
#define IPVTAP_OWNER_H

#include "virtio.h"

INLINE int deliver(struct context *it, const struct owner *owner)
{
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	if (!to_group(frame)) put_mac(frame, mac_of(owner));
	it->ifindex = owner->ifindex;
	it->receiver = owner->edge;
	return owner->edge & EDGE_MASK;
}

INLINE int to_wire(struct context *it)
{
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	put_mac(frame + 6, master_mac(it->port));
	it->ifindex = it->port->master;
	return EDGE_WIRE;
}

/* slaveReach of forward/owner.ts. */
INLINE int reach(struct context *it, const struct owner *owner)
{
	if (owner->edge == EDGE_HOST) return it->port->host ? EDGE_HOST : -UNKNOWN_DESTINATION;
	if (owner->ifindex == ifindex_of(it->skb)) return -OWN_ADDRESS;
	if (it->port->flag == FLAG_BRIDGE) return owner->edge;
	return it->port->flag == FLAG_PRIVATE ? -PRIVATE : EDGE_WIRE;
}

/* slaveToOwner. */
INLINE int slave_to_owner(struct context *it, const struct owner *owner)
{
	if (owner == 0) {
		void *frame = begin(it->skb);
		if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
		if (!same(mac_at(frame), master_mac(it->port))) return to_wire(it);
		it->ifindex = it->port->host;
		return it->port->host ? EDGE_HOST : -UNKNOWN_DESTINATION;
	}
	int verdict = reach(it, owner);
	if (verdict >= EDGE_HOST) return deliver(it, owner);
	return verdict == EDGE_WIRE ? to_wire(it) : verdict;
}

/* wireToOwner; `sender` owns the source, or is unknown. */
INLINE int wire_to_owner(struct context *it, const struct owner *owner, const struct owner *sender)
{
	/* In l3s the host's stack takes what is for slaves, and routes it to them. */
	if (owner == 0 || owner->edge < EDGE_SLAVES || mode == MODE_L3S) return IGNORE;
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return IGNORE;
	if (same(mac_at(frame + 6), master_mac(it->port))) {
		if (it->port->flag != FLAG_VEPA || (sender && sender->edge == owner->edge)) return -REFLECTED;
	}
	return deliver(it, owner);
}

/* answerToWire: whether the question is our own, and has come back. */
INLINE bool is_reflected(struct context *it)
{
	void *frame = begin(it->skb);
	return frame + ETH_HEADER > end(it->skb) || same(mac_at(frame + 6), master_mac(it->port));
}

/*
 * Whether copies can be made here of what is for a group: the forwarder has nothing to learn from it, and need not
 * restore its MAC. To go through a port's seats takes a kernel that is newer than those that have to be probed.
 */
INLINE bool can_copy(struct context *it, bool data)
{
	void *frame = begin(it->skb);
	return !it->probes && data && frame + ETH_HEADER <= end(it->skb) && to_group(frame) && it->port->seats;
}

/* wireToGroup, as far as it can be seen here: in l3 and l3s groups are for who is nominated. */
INLINE int wire_to_group(struct context *it, bool data)
{
	if (mode != MODE_L2) return it->port->nominated ? PUNT_COPY : IGNORE;
	return can_copy(it, data) && !is_reflected(it) ? FANOUT : PUNT_COPY;
}

/* slaveToGroup. */
INLINE int slave_to_group(struct context *it, bool data)
{
	if (mode != MODE_L2) return -NOT_ROUTED;
	return can_copy(it, data) ? FANOUT : PUNT;
}

/* With `vepa` only the forwarder knows whether the relay brings it back. */
INLINE int host_to_group(struct context *it, bool data)
{
	if (mode != MODE_L2) return it->port->nominated ? PUNT : -NOT_ROUTED;
	return can_copy(it, data) && it->port->flag != FLAG_VEPA ? FANOUT : PUNT;
}

INLINE int host_to_owner(struct context *it, const struct owner *owner)
{
	return owner == 0 || owner->edge < EDGE_SLAVES ? -UNKNOWN_DESTINATION : deliver(it, owner);
}

/* The edge of a frame that ends before anybody asked whose it is. */
INLINE void find_edge(struct context *it)
{
	__u32 ifindex = ifindex_of(it->skb);
	struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
	if (sender) it->edge = sender->edge;
}

/* A slave's frame that ends inside its header: even so, first of all its MAC has to be its own. */
INLINE int too_short(struct context *it)
{
	__u32 ifindex = ifindex_of(it->skb);
	struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
	void *frame = begin(it->skb);
	if (!sender || frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	it->edge = sender->edge;
	return same(mac_at(frame + 6), sender_mac(sender)) ? -MALFORMED : -MAC_SPOOF;
}

#endif
