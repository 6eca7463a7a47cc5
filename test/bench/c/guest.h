/* What the kinds of traffic of guest.c share: options, counters, and how a guest waits. */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#include "common.h"

#include "edge.h"
#include "frames.h"
#include <pthread.h>
#include <sys/prctl.h>

#define NAP_NS 50000
#define BURST 32			/* frames per sendmmsg at AF_PACKET */
#define STAMP_EVERY 16		/* flood: reading the clock for each frame would cost more than it tells; at a rate it doesn't */
#define TICK_NS 1000000u	/* a calm sender sends what is due, and sleeps */
#define ANSWER_LIMIT_NS 50000000u /* a path may lose the first frame after its TAP was opened */
#define FLOWS_MAX 65536

enum wait { WAIT_SLEEP, WAIT_POLL, WAIT_SPIN };

static struct {
	const char *from, *to;
	struct address source, target, hop; /* hop: the target's address, behind the MAC that leads there */
	unsigned size, flows;
	enum gso gso;
	int calm, search, cpus[2];
	double seconds, warmup, rate;
	enum wait wait;
} opt = {.size = 64, .flows = 1, .cpus = {0, 1}, .seconds = 1.5, .warmup = 0.3};

/* One flow's receive state: the newest sequence and which of the 64 before it were seen (bit 0: the newest). */
struct flow {
	uint32_t newest;
	uint64_t seen;
	int started;
};

static _Alignas(128) struct {
	volatile uint64_t sent, refused, cpu_ns;
} tx;
static _Alignas(128) struct {
	volatile uint64_t received, bytes, unsegmented;
	uint64_t reordered, duplicate, foreign, forged, waits, cpu_ns;
	struct histogram delay;
} rx;
static _Alignas(128) volatile int stop_sender, stop_receiver, measuring;
static struct edge from, to, from_tx, to_tx; /* AF_PACKET sends on a socket of its own */

/* Until something may have come. */
static void wait_for(struct edge *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLIN};

	if (opt.wait == WAIT_POLL) {
		poll(&p, 1, 50);
		rx.waits++;
	} else if (opt.wait == WAIT_SLEEP) {
		sleep_ns(NAP_NS);
		rx.waits++;
	} else {
		__builtin_ia32_pause();
	}
}

#endif
