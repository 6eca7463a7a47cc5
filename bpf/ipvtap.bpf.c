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
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include "port.h"

#define INLINE static __always_inline
#define NEXT -1
#define SHOT 2

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set by the tests: tell the decision, and carry out nothing that leaves the frame. */
const volatile __u32 observed = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct port);
} port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EDGES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sender);
} senders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRESSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct owner);
} owners4 SEC(".maps");

struct address6 {
	__u32 words[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRESSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address6);
	__type(value, struct owner);
} owners6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, EDGES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct drops);
} dropped SEC(".maps");

/* What came from each edge and was dealt with here. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EDGES_MAX);
	__type(key, __u32);
	__type(value, struct traffic);
} entered SEC(".maps");

/* What left by the wire. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct traffic);
} sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct decision);
} decided SEC(".maps");

/* ---- frames ---- */

#define ETH_HEADER 14
#define ETH_IPV4 bpf_htons(0x0800)
#define ETH_IPV6 bpf_htons(0x86dd)
#define ETH_ARP bpf_htons(0x0806)
#define ETH_VLAN bpf_htons(0x8100)
#define ETH_QINQ bpf_htons(0x88a8)

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

/* Makes `length` bytes readable in place, if the frame has them: TAPs take what lies in pages. */
INLINE bool readable(struct __sk_buff *skb, __u32 length)
{
	if (begin(skb) + length <= end(skb)) return true;
	if (length_of(skb) < length || bpf_skb_pull_data(skb, length)) return false;
	return begin(skb) + length <= end(skb);
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

/* A frame with the parties that are known so far. */
struct context {
	struct __sk_buff *skb;
	const struct port *port;
	/* Where the frame goes, if it goes to one edge. */
	__u32 ifindex;
	/* Where it came from; 0 is the wire, and a device that is nobody's. */
	__u32 edge;
	/* Somebody will write a checksum into it, and where is the forwarder's to find out. */
	bool unsure;
	/* A constant of the program: how it reads what the context hides. */
	bool probes;
};

/* ---- the virtio header, as the kernel has kept it ---- */

struct sk_buff___kept {
	__u8 ip_summed : 2;
	__u16 csum_start;
	__u16 csum_offset;
	__u16 mac_header;
	__u32 end;
	unsigned char *head;
} __attribute__((preserve_access_index));

struct skb_shared_info___kept {
	unsigned int gso_type;
} __attribute__((preserve_access_index));

#define CHECKSUM_PARTIAL 3
#define GSO_SIZE_MIN 8
#define GSO_TCPV4 (1 << 0)
#define GSO_DODGY (1 << 1)
#define GSO_ECN (1 << 2)
#define GSO_TCPV6 (1 << 4)
#define GSO_UDP_L4 (1 << 17)

/* Stands for a transport that only the forwarder can find: behind extension headers. */
#define SOMEWHERE 0xffff

/* The context as what it is (Linux 6.2): its fields are then plain loads, and a probe costs some 100 ns each. */
extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;

struct virtio_header {
	bool partial;
	/* Of the transport header, from the Ethernet header. */
	__u16 start;
	__u16 offset;
};

INLINE struct virtio_header header_by_cast(struct __sk_buff *skb)
{
	struct sk_buff___kept *kept = bpf_cast_to_kern_ctx(skb);
	struct virtio_header header = { BPF_CORE_READ_BITFIELD(kept, ip_summed) == CHECKSUM_PARTIAL, 0, 0 };
	header.start = kept->csum_start - kept->mac_header;
	header.offset = kept->csum_offset;
	return header;
}

INLINE struct virtio_header header_by_probe(struct __sk_buff *skb)
{
	struct sk_buff___kept *kept = (void *)skb;
	struct virtio_header header = { BPF_CORE_READ_BITFIELD_PROBED(kept, ip_summed) == CHECKSUM_PARTIAL, 0, 0 };
	if (!header.partial) return header;
	header.start = BPF_CORE_READ(kept, csum_start) - BPF_CORE_READ(kept, mac_header);
	header.offset = BPF_CORE_READ(kept, csum_offset);
	return header;
}

INLINE __u32 gso_type_of(struct __sk_buff *skb)
{
	struct sk_buff___kept *kept = (void *)skb;
	struct skb_shared_info___kept *shared = (void *)(BPF_CORE_READ(kept, head) + BPF_CORE_READ(kept, end));
	return BPF_CORE_READ(shared, gso_type) & ~(GSO_DODGY | GSO_ECN);
}

/*
 * vnetHeaderIsSane of src/wire/vnet-header.ts, for a transport header at `transport`. `struct __sk_buff` hides these
 * fields, so they are read from the kernel's own structure, found by its type information.
 */
INLINE bool is_sane(struct context *it, bool is_ipv4, __u32 transport, __u8 protocol)
{
	struct virtio_header header = it->probes ? header_by_probe(it->skb) : header_by_cast(it->skb);
	__u32 gso_size = segment_of(it->skb);
	it->unsure = header.partial && transport == SOMEWHERE;
	if (header.partial && transport != SOMEWHERE) {
		if (header.start != transport) return false;
		if (!(protocol == TCP ? header.offset == 16 : protocol == UDP && header.offset == 6)) return false;
	}
	if (gso_size == 0) return true;
	if (!header.partial || gso_size < GSO_SIZE_MIN) return false;
	__u32 type = gso_type_of(it->skb);
	if (type == GSO_TCPV4) return is_ipv4 && protocol == TCP;
	if (type == GSO_TCPV6) return !is_ipv4 && protocol != UDP;
	return type == GSO_UDP_L4 && protocol == UDP;
}

/* ---- one receiver ---- */


INLINE int deliver(struct context *it, const struct owner *owner)
{
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return -MALFORMED;
	if (owner->ifindex == 0) return PUNT;
	if (!to_group(frame)) put_mac(frame, mac_of(owner));
	it->ifindex = owner->ifindex;
	return owner->edge;
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
	if (owner == 0 || owner->edge < EDGE_SLAVES) return IGNORE;
	void *frame = begin(it->skb);
	if (frame + ETH_HEADER > end(it->skb)) return IGNORE;
	if (same(mac_at(frame + 6), master_mac(it->port))) {
		if (it->port->flag != FLAG_VEPA || (sender && sender->edge == owner->edge)) return -REFLECTED;
	}
	return deliver(it, owner);
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

/* ---- IPv4 ---- */

/* The length of the header, or 0 if it claims more than is there. */
INLINE __u32 header4(const struct ipv4 *ip, __u32 length)
{
	__u32 header = (ip->version_ihl & 15) << 2;
	__u32 total = bpf_ntohs(ip->total_length);
	return ip->version_ihl >> 4 == 4 && header >= 20 && total >= header && total <= length ? header : 0;
}

#define DHCP_REQUEST bpf_htonl(68 << 16 | 67)
#define DHCP_REPLY bpf_htonl(67 << 16 | 68)

/* Source and destination port of a whole UDP packet that has them, or 0. */
INLINE __u32 ports4(struct __sk_buff *skb, const struct ipv4 *ip, __u32 header)
{
	__u32 ports = 0;
	if (ip->protocol != UDP || ip->fragment & bpf_htons(0x3fff)) return 0;
	if (bpf_skb_load_bytes(skb, ETH_HEADER + header, &ports, 4)) return 0;
	return ports;
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
		if (sender->punted) return PUNT;
		if (header != 0 && !sane) return -BAD_VNET_HEADER;
		if (!same(mac_at(frame + 6), sender_mac(sender))) return -MAC_SPOOF;
		if (header == 0) return -MALFORMED;
		/* From nobody, as those ask who want an address. */
		if (ip->source == 0) return PUNT;
		__u32 ports = ports4(skb, ip, header);
		if (ports == DHCP_REPLY) return PUNT;
		return source ? -IP_SPOOF : claims(sender, IP_SPOOF);
	}
	it->edge = source->edge;
	__u32 destination = ip->destination;
	if (to_group(frame) || is_group4(destination)) return PUNT;
	__u32 ports = ports4(skb, ip, header);
	if (ports == DHCP_REQUEST || ports == DHCP_REPLY) return PUNT;
	return slave_to_owner(it, owner4(destination));
}

INLINE int wire_ipv4(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + 20)) return IGNORE;
	void *frame = begin(skb);
	struct ipv4 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return IGNORE;
	__u32 header = header4(ip, length_of(skb) - ETH_HEADER);
	if (header == 0) return IGNORE;
	bool group = to_group(frame);
	if (!group && !same(mac_at(frame), master_mac(it->port))) return IGNORE;
	if (it->port->slaves == 0) return IGNORE;
	if (group || is_group4(ip->destination) || ports4(skb, ip, header) == DHCP_REPLY) return PUNT_COPY;
	struct owner *owner = owner4(ip->destination);
	if (!owner) return IGNORE;
	/* Only a frame that we sent ourselves needs to be asked for its sender. */
	struct owner *sender = it->port->flag == FLAG_VEPA ? owner4(ip->source) : 0;
	return wire_to_owner(it, owner, sender);
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
	if (to_group(frame) || is_group4(ip->destination) || ports4(skb, ip, header) == DHCP_REPLY) return PUNT;
	return host_to_owner(it, owner4(ip->destination));
}

/* ---- ARP ---- */

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
	if (sender->punted) return PUNT;
	if (!is_sane(it, false, 0, 0)) return -BAD_VNET_HEADER;
	struct arp *arp = arp_of(skb);
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return -MALFORMED;
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

	if (!target || target->ifindex == ifindex) return arp_to_wire(it);
	int verdict = reach(it, target);
	if (verdict == EDGE_HOST && arp->operation == ARP_REQUEST) return answer_arp(it);
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
	bool is_answer = arp->target == 0 && arp->operation == ARP_REPLY;
	/* Somebody else says that he has an address of a slave's. */
	if (sender && sender->edge >= EDGE_SLAVES && !same(mac_at(arp->sender_mac), master_mac(it->port))) {
		if (group || ours || is_answer) return PUNT_COPY;
	}
	if (ours) {
		int verdict = wire_to_owner(it, owner, arp->sender == 0 ? owner : sender);
		bool delivered = verdict >= EDGE_SLAVES && verdict < EDGES_MAX;
		if (delivered && same(mac_at(arp->target_mac), master_mac(it->port))) put_mac(arp->target_mac, mac_of(owner));
		return verdict;
	}
	bool announces = arp->sender == arp->target || arp->operation == ARP_REPLY;
	return group && announces && arp->sender != 0 && it->port->slaves ? PUNT_COPY : IGNORE;
}

/* ---- IPv6 ---- */

INLINE bool fits6(const struct ipv6 *ip, __u32 length)
{
	__u32 payload = bpf_ntohs(ip->payload_length);
	if (ip->version >> 4 != 6 || (payload == 0 && ip->next == 0)) return false;
	return payload + sizeof(*ip) <= length;
}

INLINE bool is_extension(__u8 next) { return next == 0 || next == 43 || next == FRAGMENT || next == 60; }

/*
 * What a packet carries, from whose header it can be seen at once: NS, NA, 0 for what is no neighbour discovery,
 * or UNSURE for everything that takes a longer look.
 */
#define UNSURE -1

INLINE int nd_type(struct __sk_buff *skb, const struct ipv6 *ip)
{
	__u8 bytes[4];
	__u8 next = ip->next;
	if (next == ICMPV6) {
		if (ip->payload_length == 0 || bpf_skb_load_bytes(skb, ETH_HEADER + sizeof(*ip), bytes, 1)) return UNSURE;
		if (bytes[0] < RS || bytes[0] > ND_LAST) return 0;
		return bytes[0] == NS || bytes[0] == NA ? bytes[0] : UNSURE;
	}
	if (!is_extension(next)) return 0;
	/* Fragments are everyday: a later one is harmless alone, a first one shows what it begins. */
	if (next != FRAGMENT || bpf_ntohs(ip->payload_length) < 8) return UNSURE;
	if (bpf_skb_load_bytes(skb, ETH_HEADER + sizeof(*ip), bytes, 4)) return UNSURE;
	if (bytes[2] != 0 || bytes[3] & 0xf8) return 0;
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
	if (at > last) return UNSURE;
#pragma unroll
	for (int count = 0; count < OPTIONS_MAX; count++) {
		__u8 option[2];
		if (at + 8 > last) break;
		if (bpf_skb_load_bytes(skb, at, option, 2) || option[1] == 0) return UNSURE;
		if (option[0] == SOURCE_LINK_LAYER || option[0] == TARGET_LINK_LAYER) {
			if (seen & option[0]) return UNSURE;
			seen |= option[0];
			if (option[0] == type) found = at + 2;
		}
		at += option[1] << 3;
	}
	return at == last ? found : UNSURE;
}

INLINE __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
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
	if (type == NS) return nd_to_owner(it, target, option, true);
	if (!target) return is_link_local6(&nd->target) ? PUNT : claims(sender, ND_SPOOF);
	if (target->ifindex != ifindex_of(skb)) return -ND_SPOOF;
	if (to_group(frame) || is_group6(&ip->destination)) return PUNT;
	return nd_to_owner(it, owner6(&ip->destination), option, false);
}

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
		if (sender->punted) return PUNT;
		if (fits && !sane) return -BAD_VNET_HEADER;
		if (!same(mac_at(frame + 6), sender_mac(sender))) return -MAC_SPOOF;
		if (!fits) return -MALFORMED;
		if (nd == UNSURE) return PUNT;
		if (nd > 0) return slave_nd(it, sender, nd);
		if (source) return -IP_SPOOF;
		return is_link_local6(&ip->source) || is_unspecified6(&ip->source) ? PUNT : claims(sender, IP_SPOOF);
	}
	it->edge = source->edge;
	if (it->unsure || to_group(frame) || is_group6(&ip->destination)) return PUNT;
	return slave_to_owner(it, owner6(&ip->destination));
}

INLINE int wire_ipv6(struct context *it)
{
	struct __sk_buff *skb = it->skb;
	if (!readable(skb, ETH_HEADER + sizeof(struct ipv6))) return IGNORE;
	void *frame = begin(skb);
	struct ipv6 *ip = frame + ETH_HEADER;
	if ((void *)(ip + 1) > end(skb)) return IGNORE;
	if (!fits6(ip, length_of(skb) - ETH_HEADER)) return IGNORE;
	bool group = to_group(frame);
	if (!group && !same(mac_at(frame), master_mac(it->port))) return IGNORE;
	if (it->port->slaves == 0) return IGNORE;
	struct address6 destination = ip->destination;
	struct address6 source = ip->source;
	if (nd_type(skb, ip) == NS) {
		int option = link_layer_option(skb, ip, SOURCE_LINK_LAYER);
		if (option != UNSURE && readable(skb, ND_OPTIONS)) {
			struct nd *nd = begin(skb) + ETH_HEADER + sizeof(*ip);
			if ((void *)(nd + 1) > end(skb)) return IGNORE;
			struct owner *owner = owner6(&nd->target);
			if (!owner) return IGNORE;
			return wire_to_owner(it, owner, is_unspecified6(&source) ? owner : owner6(&source));
		}
		/* Broken, or strange: whose it is, the forwarder finds out. */
		return PUNT_COPY;
	}
	if (group || is_group6(&destination)) return PUNT_COPY;
	struct owner *owner = owner6(&destination);
	if (!owner) return IGNORE;
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
	if (to_group(frame) || is_group6(&ip->destination)) return PUNT;
	return host_to_owner(it, owner6(&ip->destination));
}

/* ---- what is done about it ---- */

INLINE const struct port *this_port(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&port, &zero);
}

INLINE void count(struct traffic *traffic, __u32 length)
{
	if (!traffic) return;
	traffic->packets++;
	traffic->bytes += length;
}

INLINE void count_drop(__u32 edge, int reason)
{
	struct drops *drops = bpf_map_lookup_elem(&dropped, &edge);
	if (drops) drops->frames[reason & (REASONS - 1)]++;
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
	__u32 edge = it->edge;
	count(bpf_map_lookup_elem(&entered, &edge), length_of(it->skb));
}

/* A frame of a slave's, or of the host's: it goes somewhere or it ends. */
INLINE int conclude(struct context *it, int verdict)
{
	struct __sk_buff *skb = it->skb;
	if (verdict >= 0 && verdict < EDGES_MAX && too_big(it)) verdict = -TOO_BIG;
	if (observed) tell(verdict, it->ifindex);
	if (it->edge == 0) return SHOT;
	if (verdict == PUNT) {
		if (!it->port->punt || observed) return SHOT;
		if (bpf_skb_vlan_push(skb, ETH_VLAN, it->edge)) return SHOT;
		return bpf_redirect(it->port->punt, BPF_F_INGRESS);
	}
	count_in(it);
	if (verdict < 0) {
		count_drop(it->edge, -verdict);
		return SHOT;
	}
	if (verdict == EDGE_WIRE) {
		__u32 zero = 0;
		count(bpf_map_lookup_elem(&sent, &zero), length_of(skb));
	}
	return bpf_redirect(it->ifindex, 0);
}

/* One that isn't worth a look at what it carries. */
INLINE int refuse(struct context *it, int reason)
{
	find_edge(it);
	return conclude(it, -reason);
}

INLINE int slave(struct __sk_buff *skb, bool probes)
{
	const struct port *port = this_port();
	if (!port) return SHOT;
	struct context it = { skb, port, 0, 0, false, probes };
	if (tag_of(skb)) return refuse(&it, VLAN);
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return refuse(&it, MALFORMED);
	__u16 type = ((struct ethernet *)frame)->type;
	if (type == ETH_IPV4) return conclude(&it, slave_ipv4(&it));
	if (type == ETH_IPV6) return conclude(&it, slave_ipv6(&it));
	if (type == ETH_ARP) return conclude(&it, slave_arp(&it));
	__u32 ifindex = ifindex_of(skb);
	struct sender *sender = bpf_map_lookup_elem(&senders, &ifindex);
	if (!sender) return SHOT;
	it.edge = sender->edge;
	if (sender->punted) return conclude(&it, PUNT);
	if (!same(mac_at(frame + 6), sender_mac(sender))) return conclude(&it, -MAC_SPOOF);
	return conclude(&it, type == ETH_VLAN || type == ETH_QINQ ? -VLAN : -ETHERTYPE);
}

SEC("tc") int from_slave(struct __sk_buff *skb) { return slave(skb, false); }

/* For kernels before 6.2. */
SEC("tc") int from_slave_probing(struct __sk_buff *skb) { return slave(skb, true); }

SEC("tc") int from_host(struct __sk_buff *skb)
{
	const struct port *port = this_port();
	if (!port) return SHOT;
	struct context it = { skb, port, 0, 0, false, false };
	if (tag_of(skb)) return refuse(&it, VLAN);
	it.edge = EDGE_HOST;
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return refuse(&it, MALFORMED);
	__u16 type = ((struct ethernet *)frame)->type;
	if (type == ETH_IPV4) return conclude(&it, host_ipv4(&it));
	if (type == ETH_IPV6) return conclude(&it, host_ipv6(&it));
	return conclude(&it, -ETHERTYPE);
}

SEC("tc") int from_wire(struct __sk_buff *skb)
{
	const struct port *port = this_port();
	if (!port || tag_of(skb)) return NEXT;
	void *frame = begin(skb);
	if (frame + ETH_HEADER > end(skb)) return NEXT;
	struct context it = { skb, port, 0, 0, false, false };
	__u16 type = ((struct ethernet *)frame)->type;
	int verdict = IGNORE;
	if (type == ETH_IPV4) verdict = wire_ipv4(&it);
	else if (type == ETH_IPV6) verdict = wire_ipv6(&it);
	else if (type == ETH_ARP) verdict = wire_arp(&it);
	if (verdict >= 0 && verdict < EDGES_MAX && too_big(&it)) verdict = -TOO_BIG;
	if (observed) tell(verdict, it.ifindex);
	if (verdict == IGNORE) return NEXT;
	if (verdict == PUNT_COPY) {
		if (port->punt && !observed) bpf_clone_redirect(skb, port->punt, BPF_F_INGRESS);
		return NEXT;
	}
	if (verdict == PUNT) return port->punt && !observed ? bpf_redirect(port->punt, BPF_F_INGRESS) : SHOT;
	count_in(&it);
	if (verdict < 0) {
		count_drop(EDGE_WIRE, -verdict);
		return SHOT;
	}
	return bpf_redirect(it.ifindex, 0);
}
