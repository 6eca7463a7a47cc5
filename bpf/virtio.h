/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The virtio header of a frame, as the kernel has kept it, and whether it makes sense. */
#ifndef IPVTAP_VIRTIO_H
#define IPVTAP_VIRTIO_H

#include "frame.h"

/* A frame with the parties that are known so far. */
struct context {
	struct __sk_buff *skb;
	const struct port *port;
	/* Where the frame goes, if it goes to one edge. */
	__u32 ifindex;
	/* Where it came from, with its limits; 0 is the wire, and a device that is nobody's. */
	__u32 edge;
	/* The edge that it is for, with its limits. */
	__u32 receiver;
	/* It is for a group: one receiver here, but on the wire everybody hears it. */
	bool heard;
	/* A slave speaks to DHCP's ports. */
	bool dhcp;
	/* Somebody will write a checksum into it, and where is the forwarder's to find out. */
	bool unsure;
	/* A constant of the program: it is for kernels before 6.2, and so has to probe what the context hides. */
	bool probes;
	/* In l3: the neighbour that the frame goes to; family 0 where it goes to a device. */
	struct bpf_redir_neigh next;
};

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
	/* Segments are cut of all that is there, and what IP's length leaves out would be in them. */
	__u16 said = 0;
	if (bpf_skb_load_bytes(it->skb, ETH_HEADER + (is_ipv4 ? 2 : 4), &said, 2)) return false;
	if (bpf_ntohs(said) + (is_ipv4 ? 0 : sizeof(struct ipv6)) != length_of(it->skb) - ETH_HEADER) return false;
	__u32 type = gso_type_of(it->skb);
	if (type == GSO_TCPV4) return is_ipv4 && protocol == TCP;
	if (type == GSO_TCPV6) return !is_ipv4 && protocol != UDP;
	return type == GSO_UDP_L4 && protocol == UDP;
}

#endif
