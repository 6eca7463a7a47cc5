/* What guest.c, forwarder.c and probe.c share: clock, pinning, a latency histogram, and how they die. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What failed goes to stderr as one line; the harness shows it. */
#define DIE(what)                                                                                                      \
	do {                                                                                                               \
		fprintf(stderr, "%s: %s (line %d)\n", (what), strerror(errno), __LINE__);                                       \
		exit(1);                                                                                                       \
	} while (0)

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* A negative cpu leaves the thread to the scheduler. */
static inline void pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		DIE("sched_setaffinity");
}

static inline void sleep_ns(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
	nanosleep(&t, NULL);
}

/* Log-linear histogram of nanoseconds: 64 steps to each power of two, so a value is off by 1.6 % at most. */
#define HIST_STEP_BITS 6
#define HIST_BUCKETS (64 << HIST_STEP_BITS)

struct histogram {
	uint64_t count, max, sum;
	uint64_t bucket[HIST_BUCKETS];
};

static inline void hist_add(struct histogram *h, uint64_t ns)
{
	unsigned shift = 0;
	if (ns >> HIST_STEP_BITS)
		shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_STEP_BITS;
	h->bucket[(shift << HIST_STEP_BITS) + (ns >> shift)]++;
	h->count++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
}

/* The value below which the given share (0..1) of the samples lies. */
static inline uint64_t hist_quantile(const struct histogram *h, double share)
{
	uint64_t seen = 0, want = (uint64_t)(share * (double)h->count);
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen <= want)
			continue;
		/* The first power of two fills two rows; each later one fills its row's 64 buckets. */
		unsigned shift = i >> HIST_STEP_BITS ? (i >> HIST_STEP_BITS) - 1 : 0;
		return ((uint64_t)(i - (shift << HIST_STEP_BITS))) << shift;
	}
	return h->max;
}

static inline void hist_json(FILE *out, const struct histogram *h)
{
	fprintf(out,
		"{\"count\":%llu,\"mean\":%.0f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"p9999\":%llu,\"max\":%llu}",
		(unsigned long long)h->count, h->count ? (double)h->sum / (double)h->count : 0.0,
		(unsigned long long)hist_quantile(h, 0.5), (unsigned long long)hist_quantile(h, 0.9),
		(unsigned long long)hist_quantile(h, 0.99), (unsigned long long)hist_quantile(h, 0.999),
		(unsigned long long)hist_quantile(h, 0.9999), (unsigned long long)h->max);
}

#endif
