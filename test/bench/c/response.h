/* One request after another, and how long each answer takes. */
#ifndef BENCH_RESPONSE_H
#define BENCH_RESPONSE_H

#include "guest.h"

/* Who sent a request, as the answer has to name him: a master or a translator, perhaps, and not the guest itself. */
struct reply_to {
	uint8_t mac[6], ip[4], port[2];
};

/*
 * Waits for the frame numbered `sequence` (0: any of ours). Returns 0 when told to stop, or past the deadline. `got` is
 * its number.
 */
static int await(struct edge *e, uint32_t sequence, uint64_t deadline, volatile int *stop, uint32_t *got,
	struct reply_to *sender)
{
	while (!*stop) {
		unsigned length;
		int gso;
		const uint8_t *frame = edge_receive(e, &length, &gso);
		if (!frame) {
			if (deadline && now_ns() > deadline)
				return 0;
			wait_for(e);
			continue;
		}
		const struct stamp *s = stamp_of(frame, length);
		uint32_t number = s ? s->sequence : 0;
		memcpy(sender->mac, frame + 6, 6);
		memcpy(sender->ip, frame + ETH_HLEN_ + 12, 4);
		memcpy(sender->port, frame + ETH_HLEN_ + IP_HLEN, 2);
		edge_release(e);
		if (!number || (sequence && number != sequence))
			continue; /* not ours, or an answer that we gave up on */
		*got = number;
		return 1;
	}
	return 0;
}

static void transmit(struct edge *e, uint8_t *frame, uint32_t sequence)
{
	size_t length = (size_t)e->vnet + opt.size;
	((struct stamp *)(frame + e->vnet + UDP_STAMP))->sequence = sequence;
	if (write(e->fd, frame, length) != (ssize_t)length)
		tx.refused++;
}

/* The UDP checksum is 0 and needs nothing. */
static void address_answer(uint8_t *frame, const struct reply_to *whom)
{
	uint8_t *ip = frame + ETH_HLEN_;

	memcpy(frame, whom->mac, 6);
	memcpy(ip + 16, whom->ip, 4);
	memcpy(ip + IP_HLEN + 2, whom->port, 2);
	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~fold(sum16(ip, IP_HLEN)));
}

static void *responder(void *arg)
{
	uint8_t *answer = malloc((size_t)to_tx.vnet + opt.size);
	struct reply_to whom;
	uint32_t number;

	(void)arg;
	pin(opt.cpus[1]);
	prctl(PR_SET_TIMERSLACK, 1);
	build_frame(answer, to_tx.vnet, opt.size, 0, &opt.target, &opt.source, 0);
	put16(answer + to_tx.vnet + ETH_HLEN_ + IP_HLEN, 9000);
	/* The answer goes to whoever sent the request, as a stack's does that has just learned its MAC. */
	while (await(&to, 0, 0, &stop_receiver, &number, &whom)) {
		address_answer(answer + to_tx.vnet, &whom);
		transmit(&to_tx, answer, number);
	}
	tx.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

static void request_response(void)
{
	pthread_t thread;
	uint8_t *request = malloc((size_t)from_tx.vnet + opt.size);
	uint32_t sequence = 1, number;
	struct reply_to sender;
	uint64_t lost = 0, begin, end, at;

	build_frame(request, from_tx.vnet, opt.size, 0, &opt.source, &opt.hop, 0);
	if (pthread_create(&thread, NULL, responder, NULL))
		DIE("pthread_create");
	pin(opt.cpus[0]);
	prctl(PR_SET_TIMERSLACK, 1);
	begin = now_ns() + (uint64_t)(opt.warmup * 1e9);
	end = begin + (uint64_t)(opt.seconds * 1e9);
	while ((at = now_ns()) < end) {
		transmit(&from_tx, request, ++sequence);
		int answered = await(&from, sequence, at + ANSWER_LIMIT_NS, &stop_sender, &number, &sender);
		if (at >= begin && answered)
			hist_add(&rx.delay, now_ns() - at);
		else if (at >= begin)
			lost++;
	}
	double elapsed = (double)(now_ns() - begin) / 1e9;
	stop_receiver = 1;
	pthread_join(thread, NULL);
	printf("{\"elapsed\":%.6f,\"transactions\":%llu,\"lost\":%llu,\"refused\":%llu,\"waits\":%llu,\"cpuNs\":%llu,"
		   "\"delayNs\":",
		elapsed, (unsigned long long)rx.delay.count, (unsigned long long)lost, (unsigned long long)tx.refused,
		(unsigned long long)rx.waits, (unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	hist_json(stdout, &rx.delay);
	printf("}\n");
}

#endif
