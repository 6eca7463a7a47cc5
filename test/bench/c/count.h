/*
 * Frames all the way on one thread, one after the other: written at one end, read at the other. What that takes is read off
 * the processor's own clock. Under QEMU's -icount that clock counts instructions, those of the kernel included.
 */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include "guest.h"
#include <x86intrin.h>

#define COUNT_FRAMES 8000u
/* Without the dearest tenth, which timers, others' work and new pages for frames fall into. */
#define COUNT_KEPT (COUNT_FRAMES * 9 / 10)
/* A path may lose the first frames after its TAP was opened. */
#define COUNT_WARMUP 1000u

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void count(void)
{
	static uint64_t ticks[COUNT_FRAMES];
	size_t length = (size_t)from_tx.vnet + opt.size;
	uint8_t *frame = malloc(length);
	unsigned received = 0, got;
	uint64_t sum = 0;
	int gso;

	build_frame(frame, from_tx.vnet, opt.size, 0, &opt.source, &opt.hop, 0);
	for (unsigned i = 0; i < COUNT_WARMUP + COUNT_FRAMES; i++) {
		uint64_t begin = __rdtsc();
		if (write(from_tx.fd, frame, length) != (ssize_t)length)
			DIE("write");
		int arrived = edge_receive(&to, &got, &gso) != NULL;
		if (arrived)
			edge_release(&to);
		if (i < COUNT_WARMUP)
			continue;
		ticks[i - COUNT_WARMUP] = __rdtsc() - begin;
		received += (unsigned)arrived;
	}
	qsort(ticks, COUNT_FRAMES, sizeof *ticks, ascending);
	for (unsigned i = 0; i < COUNT_KEPT; i++)
		sum += ticks[i];
	printf("{\"frames\":%u,\"received\":%u,\"ticks\":%.1f}\n", COUNT_FRAMES, received, (double)sum / COUNT_KEPT);
}

#endif
