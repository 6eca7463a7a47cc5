/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Copies for everybody on this machine who wants one: the counterpart of src/datapath/slowpath/fanout.ts, for frames
 * that the slow path has nothing to learn from. What else goes to groups (ARP, ND, DHCP, IGMP, MLD) is punted.
 */
#ifndef IPVTAP_FANOUT_H
#define IPVTAP_FANOUT_H

#include "buckets.h"

/* Groups that not every stack asks for: 224.0.0.0/24 and ff02::1. */
INLINE bool is_link_local_group(__u32 address) { return (address & bpf_htonl(0xffffff00)) == bpf_htonl(0xe0000000); }
INLINE bool is_for_all_nodes(struct mac group)
{
	return group.head == bpf_htonl(0x33330000) && group.tail == bpf_htons(1);
}

INLINE bool listens(struct mac group, __u16 edge)
{
	struct listener key = { group.head, group.tail, edge };
	return bpf_map_lookup_elem(&listeners, &key) != 0;
}

/* Returns whether the device had no room for it. */
INLINE bool copy_to(struct __sk_buff *skb, __u32 ifindex, __u32 edge)
{
	if (!observed) return bpf_clone_redirect(skb, ifindex, 0) > 0;
	__u32 *copies = bpf_map_lookup_elem(&copied, &edge);
	if (copies) (*copies)++;
	return false;
}

/*
 * Who has no room is left alone for a while: copies are made faster than they are read, and each that is refused costs
 * as much as one that isn't. A TAP holds 500 frames or more, and what its guest has read makes room 16 at a time. So a
 * pause is long enough when some hundreds fit in after it: with shorter ones the TAP would be full most of the time, also
 * for those who speak to this guest alone; with longer ones it would run empty. What went in since the last pause says
 * which way the next one is wrong. A guest that has read nothing since stands still, and may go on at any moment.
 */
#define PAUSE_MIN_NS 500000ULL
#define PAUSE_MAX_NS (PAUSE_MIN_NS << 7)
#define FEW 192
#define MANY 448

INLINE void pause(struct held *hold, __u64 now)
{
	__u64 length = hold->pause;
	if (length == 0) length = PAUSE_MIN_NS;
	else if (hold->taken > MANY && length > PAUSE_MIN_NS) length /= 2;
	else if (hold->taken < FEW && hold->taken > 0 && length < PAUSE_MAX_NS) length *= 2;
	hold->pause = length;
	hold->taken = 0;
	hold->until = now + length;
}

struct copies {
	struct __sk_buff *skb;
	/* The edge that the frame came from. */
	__u32 from;
	__u32 length;
	struct mac group;
	/* What a seat must have, and what makes up for not having asked for the group. */
	__u8 needs;
	__u8 suffices;
	__u64 now;
	/* Whether anybody wants one. */
	bool wanted;
};

static long copy_to_seat(__u32 number, struct copies *it)
{
	struct seat *seat = bpf_map_lookup_elem(&seats, &number);
	struct held *hold = bpf_map_lookup_elem(&held, &number);
	if (!seat || !hold) return 1;
	__u32 edge = seat->edge & EDGE_MASK;
	if (edge == it->from || !(seat->flags & it->needs)) return 0;
	if (!(seat->flags & it->suffices) && !listens(it->group, edge)) return 0;
	it->wanted = true;
	if (hold->until > it->now) {
		hold->not_tried++;
		return 0;
	}
	if (seat->edge & LIMITED_RX && !pays_rx(edge, it->length)) return 0;
	if (copy_to(it->skb, seat->ifindex, edge)) pause(hold, it->now);
	else hold->taken++;
	return 0;
}

/* Returns whether any slave wants it, the one on `from` aside. */
INLINE bool copy_to_slaves(struct __sk_buff *skb, const struct port *port, __u32 from)
{
	void *frame = begin(skb);
	struct ipv4 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return false;
	bool ipv6 = ((struct ethernet *)frame)->type == ETH_IPV6;
	struct copies it = {
		.skb = skb,
		.from = from,
		.length = length_of(skb),
		.group = mac_at(frame),
		.needs = ipv6 ? PRESENT : HAS_IPV4,
		.suffices = ipv6 ? ALL_IPV6 : ALL_IPV4,
		.now = bpf_ktime_get_ns(),
	};
	bool unreported = ipv6 ? is_for_all_nodes(it.group) : is_link_local_group(ip->destination);
	if ((__u16)it.group.head == 0xffff) it.suffices = PRESENT;
	else if (unreported) it.suffices |= VAGUE;
	bpf_loop(port->seats, copy_to_seat, &it, 0);
	return it.wanted;
}

#endif
