/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Frames and their headers: how they lie, and how they are read where the verifier lets them be read. */
#ifndef IPVTAP_FRAME_H
#define IPVTAP_FRAME_H

#include "maps.h"

#define ETH_HEADER 14
#define ETH_IPV4 bpf_htons(0x0800)
#define ETH_IPV6 bpf_htons(0x86dd)
#define ETH_ARP bpf_htons(0x0806)
#define ETH_VLAN bpf_htons(0x8100)
#define ETH_QINQ bpf_htons(0x88a8)
/* Of a tag: the VLAN. 0 is none, and the tag but a priority (802.1Q, 9.6). */
#define VLAN_ID 0x0fff

#define ICMP 1
#define IGMP 2
#define ICMP_REDIRECT 5
#define TCP 6
#define UDP 17
#define ICMPV6 58
#define FRAGMENT 44

struct ethernet {
	__u8 to[6];
	__u8 from[6];
	__u16 type;
};

struct ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__u16 total_length;
	__u16 id;
	__u16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__u32 source;
	__u32 destination;
};

struct ipv6 {
	__u8 version;
	__u8 class_flow[3];
	__u16 payload_length;
	__u8 next;
	__u8 hop_limit;
	struct address6 source;
	struct address6 destination;
};

struct arp {
	__u32 types;
	__u16 lengths;
	__u16 operation;
	__u8 sender_mac[6];
	__u32 sender;
	__u8 target_mac[6];
	__u32 target;
} __attribute__((packed, aligned(2)));

/* Neighbour solicitation or advertisement. */
struct nd {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u32 flags;
	struct address6 target;
};

#define RS 133
#define RA 134
#define NS 135
#define NA 136
#define ND_LAST 137
#define SOURCE_LINK_LAYER 1
#define TARGET_LINK_LAYER 2

INLINE __u32 load32(const void *at) { return *(const __u32 *)at; }
INLINE __u16 load16(const void *at) { return *(const __u16 *)at; }

INLINE struct mac mac_at(const void *at)
{
	struct mac mac = { load32(at), load16(at + 4) };
	return mac;
}

INLINE void put_mac(void *at, struct mac mac)
{
	*(__u32 *)at = mac.head;
	*(__u16 *)(at + 4) = mac.tail;
}

INLINE bool same(struct mac a, struct mac b) { return a.head == b.head && a.tail == b.tail; }
INLINE struct mac mac_of(const struct owner *owner) { return (struct mac){ owner->mac_head, owner->mac_tail }; }
INLINE struct mac sender_mac(const struct sender *s) { return (struct mac){ s->mac_head, s->mac_tail }; }
INLINE struct mac master_mac(const struct port *port) { return (struct mac){ port->mac_head, port->mac_tail }; }

/*
 * Fields of the context, each read at a fixed distance from it: the verifier refuses what the compiler would rather
 * do, which is to keep the sum in a register.
 */
#define FIELD(type, name, field)                                                                          \
	INLINE type name(const struct __sk_buff *skb)                                                     \
	{                                                                                                 \
		__u64 value;                                                                              \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                                     \
			     : "=r"(value)                                                                \
			     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, field)));               \
		return (type)value;                                                                       \
	}
FIELD(void *, begin, data)
FIELD(void *, end, data_end)
FIELD(__u32, length_of, len)
FIELD(__u32, ifindex_of, ifindex)
FIELD(__u32, segment_of, gso_size)
FIELD(__u32, tag_of, vlan_present)
FIELD(__u32, tci_of, vlan_tci)
FIELD(__u32, tpid_of, vlan_proto)

/* Makes `length` bytes readable in place, if the frame has them: TAPs take what lies in pages. */
INLINE bool readable(struct __sk_buff *skb, __u32 length)
{
	if (begin(skb) + length <= end(skb)) return true;
	if (length_of(skb) < length || bpf_skb_pull_data(skb, length)) return false;
	return begin(skb) + length <= end(skb);
}

INLINE __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

INLINE bool to_group(const void *frame) { return *(const __u8 *)frame & 1; }
/* 224.0.0.0/4 and 240.0.0.0/4. */
INLINE bool is_group4(__u32 address) { return (address & bpf_htonl(0xe0000000)) == bpf_htonl(0xe0000000); }
INLINE bool is_group6(const struct address6 *address) { return *(const __u8 *)address == 0xff; }
INLINE bool is_link_local6(const struct address6 *address)
{
	return (address->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}
INLINE bool is_unspecified6(const struct address6 *a)
{
	return (a->words[0] | a->words[1] | a->words[2] | a->words[3]) == 0;
}

INLINE struct owner *owner4(__u32 address) { return bpf_map_lookup_elem(&owners4, &address); }

/* From the stack: the packet itself is no key on kernels before 5.19 where its end is variable. */
INLINE struct owner *owner6(const struct address6 *address)
{
	struct address6 key = *address;
	return bpf_map_lookup_elem(&owners6, &key);
}

#endif
