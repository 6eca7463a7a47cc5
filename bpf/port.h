/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What user space and the programs share: the maps' layouts and the numbers of verdict.ts. Whatever changes a
 * layout changes LAYOUT too, because a daemon may meet the maps of the version before it (src/offload/tc-bpf).
 */
#ifndef IPVTAP_PORT_H
#define IPVTAP_PORT_H

#define LAYOUT 1

#define EDGES_MAX 4096
/* As in src/datapath/filter/programs.ts. */
#define FRAME_MARK 0x69707674
#define ADDRESSES_MAX 32768

/* A MAC as it lies in a frame: its first four bytes, and its last two. */
struct mac {
	__u32 head;
	__u16 tail;
};

/*
 * Who owns an address, with all that it takes to check its frames and to deliver to it. 12 bytes. An ifindex of 0:
 * whatever is from it or for it goes to the forwarder.
 */
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
	/* Whether every frame of it goes to the forwarder. */
	__u8 punted;
	__u8 pad[2];
};

/* 32 bytes. An ifindex of 0: there is none. */
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
};

#endif
