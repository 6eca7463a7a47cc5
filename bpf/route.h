/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Modes l3 and l3s, from a slave: the counterpart of src/datapath/forward/route.ts, over the same routes. What is to be
 * refused, cut, or has to wait for a neighbour is the forwarder's.
 *
 * A routed frame isn't given to the master but to the kernel's own neighbour, which so is kept fresh, and whose MAC is
 * the right one, also while nobody follows it. Neighbours that the forwarder doesn't know yet stay its business: it has
 * bounds on what one guest may have the host look for.
 */
#ifndef IPVTAP_ROUTE_H
#define IPVTAP_ROUTE_H

#include "owner.h"

#define AF_INET 2
#define AF_INET6 10

INLINE int to_host(struct context *it)
{
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	if (!it->port->host) return PUNT;
	put_mac(frame, master_mac(it->port));
	it->ifindex = it->port->host;
	return EDGE_HOST;
}

/* toNeighbour: EDGE_WIRE if it has to be routed. */
INLINE int to_neighbour(struct context *it, const struct owner *owner)
{
	int verdict = owner ? reach(it, owner) : EDGE_WIRE;
	if (verdict < 0) return verdict;
	if (mode == MODE_L3S) return to_host(it);
	return verdict == EDGE_WIRE ? EDGE_WIRE : deliver(it, owner);
}

/* Bytes of layer 3 in what leaves at last: the frame's, or those of each of its segments. */
INLINE __u32 packet_length(struct __sk_buff *skb, __u32 whole, __u32 header, __u8 protocol)
{
	__u32 segment = segment_of(skb);
	if (segment == 0) return whole;
	/* UDP's header is two words long. */
	__u8 offset = 2 << 4;
	if (protocol == TCP && bpf_skb_load_bytes(skb, ETH_HEADER + header + 12, &offset, 1)) return ~0u;
	return header + ((offset >> 4) << 2) + segment;
}

/* Of an IPv4 header without options. */
INLINE bool checksum_is_right(const struct ipv4 *ip)
{
	__u64 sum = 0;
#pragma unroll
	for (int word = 0; word < 5; word++) sum += load32((void *)ip + word * 4);
	return fold(sum) == 0xffff;
}

/* EDGE_WIRE if the frame may leave by this hop. */
INLINE int by_hop(struct context *it, const struct hop *hop, __u8 hop_limit, __u32 length)
{
	if (!hop) return PUNT;
	if (hop->verdict == EDGE_HOST) return to_host(it);
	if (hop->verdict != EDGE_WIRE) return hop->verdict;
	__u32 mtu = hop->mtu && hop->mtu < it->port->mtu ? hop->mtu : it->port->mtu;
	return hop_limit <= 1 || length > mtu ? PUNT : EDGE_WIRE;
}

/*
 * Out by the master, to the router or to the destination itself. With `vepa` that may be a slave, whose address on the
 * master's own link has the master's MAC (toRelay).
 */
INLINE int leave(struct context *it, const struct hop *hop, const struct owner *owner, struct address6 next, __u32 family)
{
	struct mac mac = master_mac(it->port);
	if (hop->family) {
		next = hop->router;
		family = hop->family;
	}
	if (!owner || hop->family) {
		struct neighbour *neighbour = bpf_map_lookup_elem(&neighbours, &next);
		if (!neighbour) return PUNT;
		mac = (struct mac){ neighbour->mac_head, neighbour->mac_tail };
		it->next.nh_family = family;
		if (family == AF_INET) it->next.ipv4_nh = next.words[3];
		else __builtin_memcpy(it->next.ipv6_nh, &next, sizeof(next));
	}
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	put_mac(frame, mac);
	return to_wire(it);
}

/* routeIpv4; the frame is the sender's own, and for one receiver. */
INLINE int route4(struct context *it, struct ipv4 *ip, __u32 header, const struct owner *owner)
{
	int verdict = to_neighbour(it, owner);
	if (mode == MODE_L3S || verdict != EDGE_WIRE) return verdict;
	if (header != sizeof(*ip)) return PUNT;
	if (!checksum_is_right(ip)) return -BAD_CHECKSUM;
	struct prefix4 key = { 32, ip->destination };
	struct hop *hop = bpf_map_lookup_elem(&routes4, &key);
	verdict = by_hop(it, hop, ip->ttl, packet_length(it->skb, bpf_ntohs(ip->total_length), header, ip->protocol));
	if (!hop || verdict != EDGE_WIRE) return verdict;
	struct address6 mapped = { { 0, 0, bpf_htonl(0xffff), ip->destination } };
	verdict = leave(it, hop, owner, mapped, AF_INET);
	if (verdict != EDGE_WIRE) return verdict;
	/* RFC 1624, for a byte that becomes one less: as ip_decrease_ttl in include/net/ip.h. */
	__u32 sum = (__u32)ip->checksum + bpf_htons(0x0100);
	ip->checksum = sum + (sum >= 0xffff);
	ip->ttl--;
	return EDGE_WIRE;
}

INLINE int route6(struct context *it, struct ipv6 *ip, const struct owner *owner)
{
	int verdict = to_neighbour(it, owner);
	if (mode == MODE_L3S || verdict != EDGE_WIRE) return verdict;
	if (is_link_local6(&ip->source) || is_link_local6(&ip->destination)) return PUNT;
	struct prefix6 key = { 128, ip->destination };
	struct hop *hop = bpf_map_lookup_elem(&routes6, &key);
	__u32 whole = bpf_ntohs(ip->payload_length) + sizeof(*ip);
	verdict = by_hop(it, hop, ip->hop_limit, packet_length(it->skb, whole, sizeof(*ip), ip->next));
	if (!hop || verdict != EDGE_WIRE) return verdict;
	verdict = leave(it, hop, owner, ip->destination, AF_INET6);
	if (verdict != EDGE_WIRE) return verdict;
	ip->hop_limit--;
	return EDGE_WIRE;
}

#endif
