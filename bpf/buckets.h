/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What slaves may use of the port: the counterpart of src/datapath/token-buckets.ts, with the same promise (over any
 * time at most burst + rate × time + one frame passes) and another bookkeeping. Where tokens come evenly, how many
 * there are is the same as since when there have been some. So a bucket is one moment, when it was or will be empty;
 * paying moves it on by the time that earns as much, and a full one is never further back than its burst takes.
 *
 *      empty            now                    empty: in debt until then
 *        |---- tokens ---|                       now |--- debt ---| empty
 *
 * Several CPUs pay by atomic addition. Two that look at the same moment may both find the last token, and of those that
 * find a full bucket at the same moment some may not be charged: a frame for each CPU, and not more, as the bucket is
 * then no longer full.
 */
#ifndef IPVTAP_BUCKETS_H
#define IPVTAP_BUCKETS_H

#include "virtio.h"

#define SECOND 1000000000ULL
#define NO_END 0x7fffffffffffffffLL

/* Whether it may pass; then it has been paid for. `most`: what it takes at the most, in nanoseconds that earn it. */
INLINE bool pay_no_more_than(struct bucket *bucket, __u64 cost, __s64 most)
{
	__u64 rate = bucket->rate;
	if (rate == 0) return true;
	__s64 now = bpf_ktime_get_ns();
	__s64 empty = *(volatile __s64 *)&bucket->empty;
	if (empty >= now) return false;
	__s64 earns = cost * SECOND / rate;
	if (earns > most) earns = most;
	__s64 full = now - bucket->burst;
	if (empty < full) *(volatile __s64 *)&bucket->empty = full + earns;
	else __sync_fetch_and_add(&bucket->empty, earns);
	return true;
}

INLINE bool pay(struct bucket *bucket, __u64 cost)
{
	return pay_no_more_than(bucket, cost, NO_END);
}

INLINE bool pays_tx(__u32 edge, __u32 length)
{
	struct limits *its = bpf_map_lookup_elem(&limits, &edge);
	return !its || pay(&its->tx, length);
}

/* No frame costs more than the burst, or some would pass by nothing but a debt that then keeps all others back. */
INLINE bool pays_slow(__u32 edge, __u32 price)
{
	struct limits *its = bpf_map_lookup_elem(&limits, &edge);
	return !its || pay_no_more_than(&its->slow, price, its->slow.burst);
}

INLINE bool pays_rx(__u32 edge, __u32 length)
{
	struct limits *its = bpf_map_lookup_elem(&limits, &edge);
	if (!its || pay(&its->rx, length)) return true;
	/* The drop is its sender's; the receiver sees it too. */
	__sync_fetch_and_add(&its->refused, 1);
	return false;
}

/* What its receiver's limit says to a frame that has one. */
INLINE int limit_receipt(struct context *it, int verdict)
{
	if (verdict < 0 || verdict >= EDGES_MAX || !(it->receiver & LIMITED_RX)) return verdict;
	return pays_rx(it->receiver & EDGE_MASK, length_of(it->skb)) ? verdict : -LIMIT_RX;
}

/* What limits say to a frame of a guest's, or of the host's, in the forwarder's order; `verdict` is what comes of it otherwise. */
INLINE int limit(struct context *it, int verdict)
{
	__u32 edge = it->edge & EDGE_MASK;
	/* The host has none of its own. */
	if (edge == EDGE_HOST) return limit_receipt(it, verdict);
	if (it->edge & LIMITED_TX && !pays_tx(edge, length_of(it->skb))) return -LIMIT_TX;
	/* What the forwarder gets, what it would have had to answer, and what everybody hears. */
	bool slow = verdict == PUNT || verdict == ANSWERED || verdict == FANOUT || (verdict >= 0 && it->heard);
	/* In l3 and l3s DHCP goes the way of all packets. */
	if (slow && !pays_slow(edge, it->dhcp && mode == MODE_L2 ? DHCP_PRICE : 1)) return -SLOW_BUDGET;
	if (verdict == ANSWERED && it->edge & LIMITED_RX && !pays_rx(edge, length_of(it->skb))) return -LIMIT_RX;
	return limit_receipt(it, verdict);
}

#endif
