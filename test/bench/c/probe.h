/*
 * How long a cache line takes from one core to the other and back, halved: 35-50 ns where the hypervisor runs both
 * vCPUs near each other, 180-240 ns where it doesn't. Whatever crosses cores then costs 1.6 to 2.5 times as much, which is why
 * runs are compared only with runs of the same state.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include "common.h"
#include <pthread.h>

#define PROBE_TURNS 400u
#define PROBE_SLICES 12

struct probe {
	_Alignas(128) volatile uint32_t ball;
	_Alignas(128) volatile int stop;
};

static inline void *probe_partner(void *arg)
{
	struct probe *p = arg;
	pin(1);
	while (!p->stop) {
		uint32_t ball = __atomic_load_n(&p->ball, __ATOMIC_ACQUIRE);
		if (ball & 1)
			__atomic_store_n(&p->ball, ball + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/*
 * ns for one crossing; the best of several short slices, because a slice in which either thread was descheduled says
 * nothing about the distance. 0 on a machine with one CPU. Leaves the caller pinned to CPU 0.
 */
static inline double probe_crossing_ns(void)
{
	struct probe p = {0};
	pthread_t partner;
	double best = 1e9;
	cpu_set_t before;

	sched_getaffinity(0, sizeof before, &before);
	if (!CPU_ISSET(0, &before) || !CPU_ISSET(1, &before))
		return 0;
	pin(0);
	if (pthread_create(&partner, NULL, probe_partner, &p))
		DIE("pthread_create");
	for (int slice = 0; slice < PROBE_SLICES; slice++) {
		uint64_t from = now_ns(), limit = from + 20000000;
		unsigned turn;
		for (turn = 0; turn < PROBE_TURNS; turn++) {
			uint32_t ball = p.ball;
			__atomic_store_n(&p.ball, ball + 1, __ATOMIC_RELEASE);
			while (__atomic_load_n(&p.ball, __ATOMIC_ACQUIRE) == ball + 1)
				if ((turn & 63) == 0 && now_ns() > limit)
					goto next; /* the partner isn't running */
		}
		double ns = (double)(now_ns() - from) / PROBE_TURNS / 2;
		if (ns < best)
			best = ns;
next:
		while (__atomic_load_n(&p.ball, __ATOMIC_ACQUIRE) & 1)
			;
	}
	p.stop = 1;
	pthread_join(partner, NULL);
	sched_setaffinity(0, sizeof before, &before);
	return best;
}

#endif
