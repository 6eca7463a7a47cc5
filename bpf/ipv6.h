/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* IPv6: the counterpart of src/datapath/forward/ipv6.ts. */
#ifndef IPVTAP_IPV6_H
#define IPVTAP_IPV6_H

#include "nd.h"

INLINE bool fits6(const struct ipv6 *ip, __u32 length)
{
	__u32 payload = bpf_ntohs(ip->payload_length);
	if (ip->version >> 4 != 6 || (payload == 0 && ip->next == 0)) return false;
	return payload + sizeof(*ip) <= length;
}

/* A datagram for a group from which nobody but its receivers learns anything: neither ICMPv6 nor DHCPv6. */
INLINE bool is_data6(struct __sk_buff *skb, const struct ipv6 *ip) { return ip->next == UDP && !is_dhcp6(skb, 0); }

INLINE int slave_ipv6(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	__u32 ifindex = ifindex_of(skb);
	if (!readable(skb, ETH_HEADER + sizeof(struct ipv6))) return too_short(it);
	void *frame = begin(skb);
	struct ipv6 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return -MALFORMED;
	bool fits = fits6(ip, length_of(skb) - ETH_HEADER);
	int nd = nd_type(skb, ip);
	/* Behind extension headers the forwarder looks for the checksum, and for what else may hide there. */
	bool sane = is_sane(it, false, is_extension(ip->next) ? SOMEWHERE : ETH_HEADER + sizeof(*ip), ip->next);
	struct owner *source = owner6(&ip->source);
	if (!fits || !sane || nd != 0 || !source || source->ifindex != ifindex || !same(mac_at(frame + 6), mac_of(source))) {
		struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
		if (!sender) return -MAC_SPOOF;
		it->edge = sender->edge;
		if (fits && !sane) return -BAD_VNET_HEADER;
		if (!same(mac_at(frame + 6), sender_mac(sender))) return -MAC_SPOOF;
		if (!fits) return -MALFORMED;
		if (nd == DHCP6) return punt_dhcp(it);
		if (nd == UNSURE || nd == RA) return PUNT;
		if (nd > 0) return slave_nd(it, sender, nd);
		if (source) return -IP_SPOOF;
		return is_link_local6(&ip->source) || is_unspecified6(&ip->source) ? PUNT : claims(sender, IP_SPOOF);
	}
	it->edge = source->edge;
	if (it->unsure) return PUNT;
	if (to_group(frame) || is_group6(&ip->destination)) return slave_to_group(it, ip->next == UDP);
	struct owner *owner = owner6(&ip->destination);
	return mode == MODE_L2 ? slave_to_owner(it, owner) : route6(it, ip, owner);
}

/* solicitationFromWire, in l3 and l3s. Slaves' link-local addresses are those of another link than the wire. */
INLINE int answer_to_wire(struct context *it, const struct owner *owner, const struct address6 *target, const struct address6 *source)
{
	if (owner->edge < EDGE_SLAVES || is_link_local6(target)) return IGNORE;
	if (is_reflected(it)) return -REFLECTED;
	return is_unspecified6(source) ? PUNT_COPY : answer_nd(it);
}

INLINE int wire_ipv6(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + sizeof(struct ipv6))) return IGNORE;
	void *frame = begin(skb);
	struct ipv6 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return IGNORE;
	bool group = to_group(frame);
	if (!group && !same(mac_at(frame), master_mac(it->port))) return IGNORE;
	if (it->port->slaves == 0) return IGNORE;
	if (!fits6(ip, length_of(skb) - ETH_HEADER)) return group ? IGNORE : PUNT_COPY;
	if (mode == MODE_L2 && ip->next == UDP && is_dhcp6(skb, 0)) return PUNT_COPY;
	struct address6 destination = ip->destination;
	struct address6 source = ip->source;
	int nd = nd_type(skb, ip);
	if (nd == NS) {
		int option = link_layer_option(skb, ip, SOURCE_LINK_LAYER);
		if (option != UNSURE && readable(skb, ND_OPTIONS)) {
			struct nd *nd = begin(skb) + ETH_HEADER + sizeof(*ip);
			if ((void *)(nd + 1) > end(skb)) return IGNORE;
			struct owner *owner = owner6(&nd->target);
			if (!owner) return IGNORE;
			if (mode != MODE_L2) return answer_to_wire(it, owner, &nd->target, &source);
			return wire_to_owner(it, owner, is_unspecified6(&source) ? owner : owner6(&source));
		}
		/* Broken, or strange: whose it is, the forwarder finds out. */
		return PUNT_COPY;
	}
	/* In l3 and l3s, too, the forwarder must hear of somebody else who says that he has a slave's address. */
	if (mode != MODE_L2 && group && nd == NA) return PUNT_COPY;
	if (group || is_group6(&destination)) return wire_to_group(it, is_data6(skb, ip));
	struct owner *owner = owner6(&destination);
	if (!owner) return IGNORE;
	/* Routers are heard, and not every guest hears all that they say. */
	if (mode == MODE_L2 && nd == RA && owner->edge >= EDGE_SLAVES) return PUNT;
	return wire_to_owner(it, owner, it->port->flag == FLAG_VEPA ? owner6(&source) : 0);
}

INLINE int host_ipv6(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + sizeof(struct ipv6))) return -MALFORMED;
	void *frame = begin(skb);
	struct ipv6 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return -MALFORMED;
	if (!fits6(ip, length_of(skb) - ETH_HEADER)) return -MALFORMED;
	if (to_group(frame) || is_group6(&ip->destination)) return host_to_group(it, is_data6(skb, ip));
	if (mode == MODE_L2 && ip->next == UDP && is_dhcp6(skb, 0)) return PUNT;
	if (mode == MODE_L2 && nd_type(skb, ip) == RA) return PUNT;
	/* As in IPv4: redirects are among what is not looked at here. */
	if (mode == MODE_L3S && nd_type(skb, ip) != 0) return PUNT;
	return host_to_owner(it, owner6(&ip->destination));
}

#endif
