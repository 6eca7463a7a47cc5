/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What user space and the programs share: the maps' layouts and the numbers of verdict.ts. Programs keep the maps that
 * they were loaded with, so a layout is nobody's business but of one version's (src/offload/tc-bpf).
 */
#ifndef IPVTAP_PORT_H
#define IPVTAP_PORT_H

#define EDGES_MAX 4096
/* As in src/datapath/filter/programs.ts. */
#define FRAME_MARK 0x69707674
#define ADDRESSES_MAX 32768
#define ROUTES_MAX (1 << 20)
/* Slaves of a port that copies its frames here; where there are more, the forwarder does. */
#define SEATS_MAX 1024
/* As many groups as each edge may ask for (src/datapath/groups.ts), in both families. */
#define LISTENERS_MAX (EDGES_MAX * 128)
/* As in src/datapath/routing/neighbours.ts. */
#define NEIGHBOURS_MAX 8192

/* A MAC as it lies in a frame: its first four bytes, and its last two. */
struct mac {
	__u32 head;
	__u16 tail;
};

/* An edge's number, and which limits it has: who has none is not asked for them. */
#define EDGE_MASK (EDGES_MAX - 1)
#define LIMITED_TX 0x8000
#define LIMITED_RX 0x4000

/* Who owns an address, with all that it takes to check its frames and to deliver to it. 12 bytes. */
struct owner {
	__u32 ifindex;
	__u32 mac_head;
	__u16 mac_tail;
	__u16 edge;
};

/* A device that frames may come from. 12 bytes. */
struct sender {
	__u32 mac_head;
	__u16 mac_tail;
	__u16 edge;
	/* Whether the guest may claim addresses by using them. */
	__u8 learns;
	__u8 pad[3];
};

/* As in src/datapath/limits.ts. */
#define DHCP_PRICE 10

/* 24 bytes; see buckets.h. */
struct bucket {
	/* Bytes or frames a second; 0: as many as there are. */
	__u64 rate;
	/* Nanoseconds that an empty bucket takes to be full. */
	__u64 burst;
	/* When it was, or will be, empty: bpf_ktime_get_ns. */
	__s64 empty;
};

/* By edge. 80 bytes. The forwarder's threads take from `rx` too, for what they deliver (src/datapath/kernel-buckets.ts). */
struct limits {
	struct bucket tx;
	struct bucket rx;
	struct bucket slow;
	/* Frames for the edge that `rx` has refused here. */
	__u64 refused;
};

/* 36 bytes. An ifindex of 0: there is none. */
struct port {
	__u32 master;
	__u32 host;
	/* Where frames for the forwarder go; 0 while nobody reads there, and they are lost. */
	__u32 punt;
	__u32 mtu;
	__u32 flag;
	__u32 slaves;
	__u32 mac_head;
	__u16 mac_tail;
	/* In l3 and l3s: whether there is a slave that gets groups all the same. */
	__u8 nominated;
	__u8 pad;
	/* One more than the highest seat that is taken; 0 where no copies can be made here. */
	__u32 seats;
};

/* A slave among those that get copies; without flags, nobody sits there. 8 bytes. */
struct seat {
	__u32 ifindex;
	__u16 edge;
	__u8 flags;
	__u8 pad;
};

#define PRESENT 1
#define HAS_IPV4 2
/* It gets every group of the family. */
#define ALL_IPV4 4
#define ALL_IPV6 8
/* What it asks for may not be all that it wants: groups that not every stack asks for (fanout.ts). */
#define VAGUE 16

/* Per CPU and seat: until when nothing more is tried for it, bpf_ktime_get_ns, and how many copies were not. 32 bytes. */
struct held {
	__u64 until;
	__u64 not_tried;
	/* Nanoseconds of the last pause, and how many copies went in since it began. */
	__u64 pause;
	__u64 taken;
};

/* The key of who has asked for which group. 8 bytes. */
struct listener {
	__u32 mac_head;
	__u16 mac_tail;
	__u16 edge;
};

/* The keys of routes: bits of the prefix, and the address. */
struct prefix4 {
	__u32 length;
	__u32 address;
};

struct address6 {
	__u32 words[4];
};

struct prefix6 {
	__u32 length;
	struct address6 address;
};

/* Where a route leads. 28 bytes. */
struct hop {
	/* EDGE_WIRE, EDGE_HOST, minus a reason, or PUNT. */
	__s32 verdict;
	/* Bytes of layer 3; 0: the master's. */
	__u32 mtu;
	/* AF_INET or AF_INET6 of the router; 0: the destination is on the link. */
	__u32 family;
	/* IPv4 is mapped into IPv6, ::ffff:a.b.c.d. */
	struct address6 router;
};

/* Whom the host knows on the master, by address; IPv4 is mapped. 8 bytes. */
struct neighbour {
	__u32 mac_head;
	__u16 mac_tail;
	__u16 pad;
};

/* Per CPU and edge: drops by reason. */
#define REASONS 64
struct drops {
	__u64 frames[REASONS];
};

/* Per CPU. */
struct traffic {
	__u64 packets;
	__u64 bytes;
};

/* What a program decided about its last frame, where it was loaded to tell. */
struct decision {
	__s32 verdict;
	__u32 ifindex;
};

enum { FLAG_BRIDGE, FLAG_PRIVATE, FLAG_VEPA };
enum { MODE_L2, MODE_L3, MODE_L3S };

/* src/datapath/verdict.ts: an edge, one of these, or minus a reason. */
enum {
	EDGE_WIRE = 0,
	EDGE_HOST = 1,
	EDGE_SLAVES = 2,
	IGNORE = 0x20000,
	/* To the forwarder, alone, or as well as to whoever gets it anyway. */
	PUNT = 0x30000,
	PUNT_COPY = 0x30001,
	/* Changed into its own answer: back to where it came from. */
	ANSWERED = 0x30002,
	/* Copies for everybody who wants one. */
	FANOUT = 0x30003,
};

/* Indices into `dropReasons` of verdict.ts. */
enum {
	MALFORMED = 1,
	BAD_VNET_HEADER = 2,
	VLAN = 3,
	ETHERTYPE = 4,
	MAC_SPOOF = 5,
	IP_SPOOF = 6,
	ARP_SPOOF = 7,
	ND_SPOOF = 8,
	PRIVATE = 11,
	REFLECTED = 12,
	UNKNOWN_DESTINATION = 13,
	TOO_BIG = 18,
	RING_FULL = 21,
	OWN_ADDRESS = 22,
	LIMIT_TX = 29,
	LIMIT_RX = 30,
	SLOW_BUDGET = 31,
	NOT_ROUTED = 33,
	BAD_CHECKSUM = 42,
};

#endif
