/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Neighbour discovery: the counterpart of src/datapath/forward/nd.ts, and the answer in the host's name. */
#ifndef IPVTAP_ND_H
#define IPVTAP_ND_H

#include "ipv4.h"

INLINE bool is_extension(__u8 next) { return next == 0 || next == 43 || next == FRAGMENT || next == 60; }

/*
 * What a packet carries, from whose header it can be seen at once: NS, NA, RA, 0 for what is no neighbour discovery,
 * DHCP6, or UNSURE for everything that takes a longer look.
 */
#define UNSURE -1
#define DHCP6 -2

/* Whether UDP that begins `behind` the IPv6 header speaks to DHCPv6's ports. */
INLINE bool is_dhcp6(struct __sk_buff *skb, __u32 behind)
{
	__u16 port = 0;
	if (bpf_skb_load_bytes(skb, ETH_HEADER + sizeof(struct ipv6) + behind + 2, &port, 2)) return false;
	return port == bpf_htons(546) || port == bpf_htons(547);
}

INLINE int nd_type(struct __sk_buff *skb, const struct ipv6 *ip)
{
	__u8 bytes[4];
	__u8 next = ip->next;
	if (next == ICMPV6) {
		if (ip->payload_length == 0 || bpf_skb_load_bytes(skb, ETH_HEADER + sizeof(*ip), bytes, 1)) return UNSURE;
		if (bytes[0] < RS || bytes[0] > ND_LAST) return 0;
		return bytes[0] == NS || bytes[0] == NA || bytes[0] == RA ? bytes[0] : UNSURE;
	}
	if (next == UDP && is_dhcp6(skb, 0)) return DHCP6;
	if (!is_extension(next)) return 0;
	/* Fragments are everyday: a later one is harmless alone. A first one shows what it begins. */
	if (next != FRAGMENT || bpf_ntohs(ip->payload_length) < 8) return UNSURE;
	if (bpf_skb_load_bytes(skb, ETH_HEADER + sizeof(*ip), bytes, 4)) return UNSURE;
	if (bytes[2] != 0 || bytes[3] & 0xf8) return 0;
	if (bytes[0] == UDP) return bpf_ntohs(ip->payload_length) < 16 || is_dhcp6(skb, 8) ? UNSURE : 0;
	return bytes[0] == ICMPV6 || is_extension(bytes[0]) ? UNSURE : 0;
}

/* More in one message is the forwarder's to walk. */
#define OPTIONS_MAX 4
#define ND_OPTIONS (ETH_HEADER + sizeof(struct ipv6) + sizeof(struct nd))

/*
 * Where the link-layer address of the option of `type` lies in the frame, 0 if there is none; UNSURE if options are
 * many, run past the end, or contradict each other.
 */
INLINE int link_layer_option(struct __sk_buff *skb, const struct ipv6 *ip, __u8 type)
{
	__u32 last = ETH_HEADER + sizeof(*ip) + bpf_ntohs(ip->payload_length);
	__u32 at = ND_OPTIONS;
	__u32 seen = 0;
	int found = 0;
#pragma unroll
	for (int count = 0; count < OPTIONS_MAX; count++) {
		__u8 option[2];
		if (at + 8 > last) break;
		if (bpf_skb_load_bytes(skb, at, option, 2)) return UNSURE;
		if (option[0] == SOURCE_LINK_LAYER || option[0] == TARGET_LINK_LAYER) {
			if (seen & option[0]) return UNSURE;
			seen |= option[0];
			if (option[0] == type) found = at + 2;
		}
		/* One of no length never gets to the end. */
		at += option[1] << 3;
	}
	return at == last ? found : UNSURE;
}

INLINE __u64 sum_of(struct mac mac)
{
	return (__u64)(mac.head & 0xffff) + (mac.head >> 16) + mac.tail;
}

/* ndToWire: RFC 1624, equation 3, for the three words of the MAC. The order of the bytes doesn't matter to it. */
INLINE int nd_to_wire(struct context *it, int option)
{
	struct __sk_buff *skb = it->skb;
	if (option > 0) {
		struct mac master = master_mac(it->port);
		__u8 bytes[6];
		__u16 checksum;
		__u32 at = ETH_HEADER + sizeof(struct ipv6) + 2;
		if (bpf_skb_load_bytes(skb, option, bytes, 6) || bpf_skb_load_bytes(skb, at, &checksum, 2)) return PUNT;
		__u16 old = fold(sum_of(mac_at(bytes)));
		checksum = ~fold((__u64)(__u16)~checksum + (__u16)~old + fold(sum_of(master)));
		put_mac(bytes, master);
		if (bpf_skb_store_bytes(skb, option, bytes, 6, 0) || bpf_skb_store_bytes(skb, at, &checksum, 2, 0)) return PUNT;
	}
	return to_wire(it);
}

struct advertisement {
	struct nd nd;
	__u8 option[2];
	__u8 mac[6];
};

/* RFC 4861, 7.2.4: solicited and overriding. Who asks from nowhere is the forwarder's to answer. */
INLINE int answer_nd(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	__u32 length = ETH_HEADER + sizeof(struct ipv6) + sizeof(struct advertisement);
	if (length_of(skb) != length && bpf_skb_change_tail(skb, length, 0)) return PUNT;
	if (!readable(skb, length)) return PUNT;
	void *frame = begin(skb);
	struct ipv6 *ip = frame + ETH_HEADER;
	struct advertisement *answer = (void *)(ip + 1);
	if ((void *)(answer + 1) > end(skb)) return PUNT;
	struct mac asker = mac_at(frame + 6);
	struct mac master = master_mac(it->port);
	struct {
		struct address6 source;
		struct address6 destination;
		__u32 length;
		__u32 next;
		struct advertisement answer;
	} sum = {};
	sum.source = answer->nd.target;
	sum.destination = ip->source;
	sum.length = bpf_htonl(sizeof(struct advertisement));
	sum.next = bpf_htonl(ICMPV6);
	sum.answer.nd.type = NA;
	sum.answer.nd.flags = bpf_htonl(0x60000000);
	sum.answer.nd.target = sum.source;
	sum.answer.option[0] = TARGET_LINK_LAYER;
	sum.answer.option[1] = 1;
	__builtin_memcpy(sum.answer.mac, &master, 6);
	__s64 total = bpf_csum_diff(0, 0, (void *)&sum, sizeof(sum), 0);
	sum.answer.nd.checksum = ~fold((__u32)total);
	put_mac(frame, asker);
	put_mac(frame + 6, master);
	*(__u32 *)ip = bpf_htonl(0x60000000);
	ip->payload_length = bpf_htons(sizeof(struct advertisement));
	ip->next = ICMPV6;
	ip->hop_limit = 255;
	ip->source = sum.source;
	ip->destination = sum.destination;
	*answer = sum.answer;
	it->ifindex = ifindex_of(skb);
	return ANSWERED;
}

/* toOwner of forward/nd.ts. */
INLINE int nd_to_owner(struct context *it, const struct owner *owner, int option, bool solicits)
{
	if (!owner || owner->ifindex == ifindex_of(it->skb)) return nd_to_wire(it, option);
	int verdict = reach(it, owner);
	if (verdict == EDGE_HOST && solicits) return answer_nd(it);
	if (verdict == EDGE_WIRE) return nd_to_wire(it, option);
	return verdict >= EDGE_HOST ? deliver(it, owner) : verdict;
}

INLINE int slave_nd(struct context *it, const struct sender *sender, int type)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ND_OPTIONS)) return PUNT;
	void *frame = begin(skb);
	struct ipv6 *ip = frame + ETH_HEADER;
	struct nd *nd = (void *)(ip + 1);
	if ((void *)(nd + 1) > end(skb)) return PUNT;
	it->heard = to_group(frame);
	int option = link_layer_option(skb, ip, type == NA ? TARGET_LINK_LAYER : SOURCE_LINK_LAYER);
	if (option == UNSURE || ip->hop_limit != 255 || is_unspecified6(&ip->source)) return PUNT;
	if (option > 0) {
		__u8 bytes[6];
		if (bpf_skb_load_bytes(skb, option, bytes, 6)) return PUNT;
		if (!same(mac_at(bytes), sender_mac(sender))) return -ND_SPOOF;
	}
	struct owner *source = owner6(&ip->source);
	/* Link-local addresses may be claimed in every setting. */
	if (!source) return is_link_local6(&ip->source) ? PUNT : claims(sender, ND_SPOOF);
	if (source->ifindex != ifindex_of(skb)) return -ND_SPOOF;
	struct owner *target = owner6(&nd->target);
	bool own = target && target->ifindex == ifindex_of(skb);
	if (type == NS && mode != MODE_L2) return own ? -NOT_ROUTED : answer_nd(it);
	if (type == NS) return nd_to_owner(it, target, option, true);
	if (!target) return is_link_local6(&nd->target) ? PUNT : claims(sender, ND_SPOOF);
	if (!own) return -ND_SPOOF;
	/* What it advertises is noted, and goes no further. */
	if (mode != MODE_L2) return PUNT;
	if (to_group(frame) || is_group6(&ip->destination)) return PUNT;
	return nd_to_owner(it, owner6(&ip->destination), option, false);
}

#endif
