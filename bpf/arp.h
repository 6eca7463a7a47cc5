/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* ARP: the counterpart of src/datapath/forward/arp.ts, and the answer in the host's name. */
#ifndef IPVTAP_ARP_H
#define IPVTAP_ARP_H

#include "ipv4.h"

#define ARP_ETHERNET_IPV4 bpf_htonl(0x00010800)
#define ARP_LENGTHS bpf_htons(0x0604)
#define ARP_REQUEST bpf_htons(1)
#define ARP_REPLY bpf_htons(2)

INLINE struct arp *arp_of(struct __sk_buff *skb)
{
	if (!readable(skb, ETH_HEADER + sizeof(struct arp))) return 0;
	struct arp *arp = begin(skb) + ETH_HEADER;
	if ((void *)(arp + 1) > end(skb)) return 0;
	return arp->types == ARP_ETHERNET_IPV4 && arp->lengths == ARP_LENGTHS ? arp : 0;
}

/* RFC 826: sender and target change places, and the frame is as long as an answer is. */
INLINE int answer_arp(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (length_of(skb) != ETH_HEADER + sizeof(struct arp) && bpf_skb_change_tail(skb, ETH_HEADER + sizeof(struct arp), 0))
		return PUNT;
	void *frame = begin(skb);
	struct arp *arp = frame + ETH_HEADER;
	if ((void *)(arp + 1) > end(skb)) return PUNT;
	struct mac asker = mac_at(frame + 6);
	struct mac master = master_mac(it->port);
	__u32 address = arp->target;
	put_mac(frame, asker);
	put_mac(frame + 6, master);
	arp->operation = ARP_REPLY;
	arp->target = arp->sender;
	arp->sender = address;
	put_mac(arp->target_mac, asker);
	put_mac(arp->sender_mac, master);
	it->ifindex = ifindex_of(skb);
	return ANSWERED;
}

INLINE int arp_to_wire(struct context *it)
{
	struct arp *arp = arp_of(it->skb);
	if (!arp) return -MALFORMED;
	put_mac(arp->sender_mac, master_mac(it->port));
	return to_wire(it);
}

INLINE int slave_arp(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	__u32 ifindex = ifindex_of(skb);
	struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
	if (!sender) return -MAC_SPOOF;
	it->edge = sender->edge;
	if (!is_sane(it, false, 0, 0)) return -BAD_VNET_HEADER;
	struct arp *arp = arp_of(skb);
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return -MALFORMED;
	it->heard = to_group(frame);
	if (!same(mac_at(frame + 6), sender_mac(sender))) return -MAC_SPOOF;
	if (!arp || (arp->operation != ARP_REQUEST && arp->operation != ARP_REPLY)) return -MALFORMED;
	if (!same(mac_at(arp->sender_mac), sender_mac(sender))) return -ARP_SPOOF;

	struct owner *target = owner4(arp->target);
	bool probe = arp->sender == 0 && arp->operation == ARP_REQUEST;
	struct owner *owner = probe ? target : owner4(arp->sender);
	if (!owner) return claims(sender, ARP_SPOOF);
	if (owner->ifindex != ifindex && !probe) return -ARP_SPOOF;
	/* The answer to a question of the forwarder's own. */
	if (arp->operation == ARP_REPLY && arp->target == 0 && same(mac_at(frame), master_mac(it->port))) return PUNT;

	bool own = target && target->ifindex == ifindex;
	if (mode != MODE_L2) {
		if (arp->operation != ARP_REQUEST || own || is_group4(arp->target)) return -NOT_ROUTED;
		return answer_arp(it);
	}
	if (!target || own) return arp_to_wire(it);
	int verdict = reach(it, target);
	bool answers = verdict == EDGE_HOST || (probe && verdict >= EDGE_SLAVES);
	if (answers && arp->operation == ARP_REQUEST) return answer_arp(it);
	if (verdict == EDGE_WIRE) return arp_to_wire(it);
	return verdict >= EDGE_HOST ? deliver(it, target) : verdict;
}

INLINE int wire_arp(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	struct arp *arp = arp_of(skb);
	if (!arp) return IGNORE;
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return IGNORE;
	bool group = to_group(frame);
	if (!group && !same(mac_at(frame), master_mac(it->port))) return IGNORE;
	struct owner *owner = owner4(arp->target);
	struct owner *sender = owner4(arp->sender);
	bool ours = owner && owner->edge >= EDGE_SLAVES;
	/* Somebody else says that he has an address of a slave's, or perhaps one that a slave has claimed. */
	if (!same(mac_at(arp->sender_mac), master_mac(it->port))) {
		if (arp->target == 0 && arp->operation == ARP_REPLY && !group) return it->port->slaves ? PUNT_COPY : IGNORE;
		if (sender && sender->edge >= EDGE_SLAVES && (group || ours)) return PUNT_COPY;
	}
	if (ours && mode != MODE_L2) {
		if (arp->operation != ARP_REQUEST) return -NOT_ROUTED;
		return is_reflected(it) ? -REFLECTED : answer_arp(it);
	}
	if (ours) {
		int verdict = wire_to_owner(it, owner, arp->sender == 0 ? owner : sender);
		bool delivered = verdict >= EDGE_SLAVES && verdict < EDGES_MAX;
		if (delivered && same(mac_at(arp->target_mac), master_mac(it->port))) put_mac(arp->target_mac, mac_of(owner));
		return verdict;
	}
	bool announces = arp->sender == arp->target || arp->operation == ARP_REPLY;
	return group && announces && arp->sender != 0 && it->port->slaves ? wire_to_group(it, false) : IGNORE;
}

#endif
