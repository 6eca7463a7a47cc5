/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* IPv4: the counterpart of src/datapath/forward/ipv4.ts. */
#ifndef IPVTAP_IPV4_H
#define IPVTAP_IPV4_H

#include "route.h"

/* The length of the header, or 0 if it claims more than is there. */
INLINE __u32 header4(const struct ipv4 *ip, __u32 length)
{
	__u32 header = (ip->version_ihl & 15) << 2;
	__u32 total = bpf_ntohs(ip->total_length);
	return ip->version_ihl >> 4 == 4 && header >= 20 && total >= header && total <= length ? header : 0;
}

#define FRAGMENT_OFFSET bpf_htons(0x1fff)

/* The destination port of a UDP packet that shows it, or 0. */
INLINE __u16 udp_port4(struct __sk_buff *skb, const struct ipv4 *ip, __u32 header)
{
	__u16 port = 0;
	if (ip->protocol != UDP || ip->fragment & FRAGMENT_OFFSET) return 0;
	/* A helper costs as much as a look-up. */
	const __u16 *ports = (void *)(ip + 1);
	if (header == 20 && (void *)(ports + 2) <= end(skb)) return ports[1];
	if (bpf_skb_load_bytes(skb, ETH_HEADER + header + 2, &port, 2)) return 0;
	return port;
}

/* Whoever speaks to DHCP's ports is the forwarder's, which knows who may say what. */
INLINE bool is_dhcp4(__u16 port) { return port == bpf_htons(67) || port == bpf_htons(68); }

INLINE int punt_dhcp(struct context *it)
{
	it->dhcp = true;
	return PUNT;
}

/* A datagram for a group from which nobody but its receivers learns anything. */
INLINE bool is_data4(struct __sk_buff *skb, const struct ipv4 *ip, __u32 header)
{
	return ip->protocol != IGMP && !is_dhcp4(udp_port4(skb, ip, header));
}

/* Whether a sender that doesn't own an address may come to own it: the forwarder decides then. */
INLINE int claims(const struct sender *sender, int reason) { return sender->learns ? PUNT : -reason; }

INLINE int slave_ipv4(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + 20)) return too_short(it);
	void *frame = begin(skb);
	struct ipv4 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return -MALFORMED;
	__u32 header = header4(ip, length_of(skb) - ETH_HEADER);
	__u32 ifindex = ifindex_of(skb);
	struct owner *source = owner4(ip->source);
	bool sane = is_sane(it, true, ETH_HEADER + header, ip->protocol);
	/* The usual case first; whatever is wrong is looked into afterwards, in the forwarder's order. */
	if (header == 0 || !source || source->ifindex != ifindex || !same(mac_at(frame + 6), mac_of(source)) || !sane) {
		struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
		if (!sender) return -MAC_SPOOF;
		it->edge = sender->edge;
		if (header != 0 && !sane) return -BAD_VNET_HEADER;
		if (!same(mac_at(frame + 6), sender_mac(sender))) return -MAC_SPOOF;
		if (header == 0) return -MALFORMED;
		if (is_dhcp4(udp_port4(skb, ip, header))) return punt_dhcp(it);
		/* From nobody, as those ask who want an address. */
		if (ip->source == 0) return PUNT;
		return source ? -IP_SPOOF : claims(sender, IP_SPOOF);
	}
	it->edge = source->edge;
	if (is_dhcp4(udp_port4(skb, ip, header))) return punt_dhcp(it);
	if (to_group(frame) || is_group4(ip->destination)) return slave_to_group(it, ip->protocol != IGMP);
	struct owner *owner = owner4(ip->destination);
	return mode == MODE_L2 ? slave_to_owner(it, owner) : route4(it, ip, header, owner);
}

INLINE int wire_ipv4(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + 20)) return IGNORE;
	void *frame = begin(skb);
	struct ipv4 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return IGNORE;
	__u32 header = header4(ip, length_of(skb) - ETH_HEADER);
	bool group = to_group(frame);
	if (!group && !same(mac_at(frame), master_mac(it->port))) return IGNORE;
	if (it->port->slaves == 0) return IGNORE;
	/* Damaged: whether it was for a guest, and so is to be counted, the forwarder finds out. */
	if (header == 0) return group ? IGNORE : PUNT_COPY;
	if (mode == MODE_L2 && udp_port4(skb, ip, header) == bpf_htons(68)) return PUNT_COPY;
	if (group || is_group4(ip->destination)) return wire_to_group(it, is_data4(skb, ip, header));
	struct owner *owner = owner4(ip->destination);
	if (!owner) return IGNORE;
	/* Only a frame that we sent ourselves needs to be asked for its sender. */
	struct owner *sender = it->port->flag == FLAG_VEPA ? owner4(ip->source) : 0;
	return wire_to_owner(it, owner, sender);
}

/* The host sees a shorter way between slaves, which is none: isRedirect4, as far as it takes the forwarder to know. */
INLINE bool may_redirect(struct __sk_buff *skb, const struct ipv4 *ip, __u32 header)
{
	__u8 type = 0;
	if (ip->protocol != ICMP || bpf_skb_load_bytes(skb, ETH_HEADER + header, &type, 1)) return false;
	return type == ICMP_REDIRECT;
}

INLINE int host_ipv4(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + 20)) return -MALFORMED;
	void *frame = begin(skb);
	struct ipv4 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return -MALFORMED;
	__u32 header = header4(ip, length_of(skb) - ETH_HEADER);
	if (header == 0) return -MALFORMED;
	if (mode == MODE_L2 && udp_port4(skb, ip, header) == bpf_htons(68)) return PUNT;
	if (to_group(frame) || is_group4(ip->destination)) return host_to_group(it, is_data4(skb, ip, header));
	if (mode == MODE_L3S && may_redirect(skb, ip, header)) return PUNT;
	return host_to_owner(it, owner4(ip->destination));
}

#endif
