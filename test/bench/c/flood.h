/* Frames as fast as they go, or at a rate; and the search for the highest rate that arrives. */
#ifndef BENCH_FLOOD_H
#define BENCH_FLOOD_H

#include "guest.h"
#include <math.h>

static void send_burst(uint8_t **frames, unsigned length, unsigned burst, uint32_t *sequence, unsigned *turn)
{
	static struct mmsghdr messages[BURST];
	static struct iovec parts[BURST];
	unsigned stamped = (unsigned)from.vnet + stamp_offset(opt.source.v6, opt.gso);
	unsigned stamp_every = opt.rate > 0 ? 1 : STAMP_EVERY;

	for (unsigned i = 0; i < burst; i++) {
		unsigned flow = *turn % opt.flows;
		uint8_t *frame = frames[from.kind == EDGE_PACKET ? flow * BURST + i : flow];
		struct stamp *s = (struct stamp *)(frame + stamped);
		s->sequence = sequence[flow]++;
		s->sent_ns = (*turn)++ % stamp_every ? 0 : now_ns();
		if (from.kind == EDGE_PACKET) {
			parts[i] = (struct iovec){frame, length};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
		} else if (write(from.fd, frame, length) == (ssize_t)length) {
			tx.sent++;
		} else {
			tx.refused++;
			sequence[flow]--;
		}
	}
	for (unsigned done = 0; from.kind == EDGE_PACKET && done < burst;) {
		int n = sendmmsg(from.fd, messages + done, burst - done, 0);
		if (n > 0) {
			tx.sent += (unsigned)n;
			done += (unsigned)n;
		} else {
			tx.refused++; /* a hole in the sequence that loss will show as well */
			done++;
		}
	}
}

#define IDLE (-1.0)

static volatile double pace; /* frames/s, 0: as fast as they go, IDLE: none */

static void *sender(void *arg)
{
	unsigned length = (unsigned)from.vnet + (opt.gso ? gso_length(opt.source.v6, opt.gso) : opt.size), turn = 0;
	unsigned copies = from.kind == EDGE_PACKET ? BURST : 1;
	uint8_t **frames = calloc((size_t)opt.flows * copies, sizeof *frames);
	uint32_t *sequence = calloc(opt.flows, sizeof *sequence);

	(void)arg;
	pin(opt.cpus[0]);
	for (unsigned flow = 0; flow < opt.flows; flow++)
		for (unsigned i = 0; i < copies; i++) {
			frames[flow * copies + i] = malloc(length);
			build_frame(frames[flow * copies + i], from.vnet, length - (unsigned)from.vnet, opt.gso, &opt.source,
				&opt.hop, flow);
		}
	double due = (double)now_ns();
	uint64_t last = now_ns();
	while (!stop_sender) {
		double rate = pace, interval = rate > 0 ? 1e9 / rate : 0;
		if (rate == IDLE) {
			sleep_ns(100000);
			due = (double)now_ns();
			continue;
		}
		if (opt.calm && interval > 0) {
			/* What a descheduled sender has missed isn't made up for; a tick that comes late, as all do, is. */
			uint64_t now = now_ns(), passed = now - last;
			last = now;
			due = fmod(due, 1) + (double)(passed < 2 * TICK_NS ? passed : 2 * TICK_NS) / interval;
			for (; due >= 1 && !stop_sender; due--)
				send_burst(frames, length, 1, sequence, &turn);
			tx.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
			sleep_ns(TICK_NS);
			continue;
		}
		unsigned burst = interval > 0 ? 1 : opt.gso ? 4 : BURST;
		send_burst(frames, length, burst, sequence, &turn);
		if (interval > 0) {
			due += interval * burst;
			/* A sender that was descheduled goes on at its rate: it doesn't make up for it with a burst. */
			if ((double)now_ns() > due + 1e6)
				due = (double)now_ns();
			while ((double)now_ns() < due)
				__builtin_ia32_pause();
		}
		tx.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	}
	return NULL;
}

static void account(struct flow *f, const struct stamp *s)
{
	if (!f->started) {
		f->started = 1;
		f->newest = s->sequence;
		f->seen = 1;
		return;
	}
	uint32_t ahead = s->sequence - f->newest;
	if (ahead && ahead < 1u << 31) {
		f->seen = ahead < 64 ? f->seen << ahead | 1 : 1;
		f->newest = s->sequence;
		return;
	}
	uint32_t behind = -ahead;
	if (behind < 64 && f->seen >> behind & 1)
		rx.duplicate++;
	else
		rx.reordered++;
	if (behind < 64)
		f->seen |= 1ull << behind;
}

static void *receiver(void *arg)
{
	struct flow *flows = calloc(opt.flows, sizeof *flows);

	(void)arg;
	pin(opt.cpus[1]);
	prctl(PR_SET_TIMERSLACK, 1); /* or a nap of 50 us takes 100 */
	while (!stop_receiver) {
		unsigned length;
		int gso;
		const uint8_t *frame = edge_receive(&to, &length, &gso);
		if (!frame) {
			rx.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
			wait_for(&to);
			continue;
		}
		const struct stamp *s = stamp_of(frame, length);
		if (!s || s->flow >= opt.flows) {
			rx.forged += s && s->flow == FLOW_FORGED;
			rx.foreign++;
			if (opt.gso && !s && length > GSO_MTU / 2)
				rx.bytes += length; /* of a frame that was segmented on its way: its first segment has the stamp */
		} else {
			account(&flows[s->flow], s);
			if (s->sent_ns && measuring)
				hist_add(&rx.delay, now_ns() - s->sent_ns);
			rx.bytes += length;
			rx.unsegmented += (unsigned)gso;
			rx.received++;
		}
		edge_release(&to);
		if ((rx.received & 255) == 0)
			rx.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	}
	return NULL;
}

static pthread_t flood_threads[2];

static void flood_begin(double rate)
{
	pace = rate;
	if (pthread_create(&flood_threads[1], NULL, receiver, NULL) ||
		pthread_create(&flood_threads[0], NULL, sender, NULL))
		DIE("pthread_create");
}

/* What is still on its way counts as delivered: wait until 20 ms pass without a frame, 1 s at most. */
static void flood_settle(void)
{
	for (int i = 0; i < 50; i++) {
		uint64_t before = rx.received;
		sleep_ns(20000000);
		if (rx.received == before)
			break;
	}
}

static void flood_end(void)
{
	stop_sender = 1;
	pthread_join(flood_threads[0], NULL);
	flood_settle();
	stop_receiver = 1;
	pthread_join(flood_threads[1], NULL);
}

static void flood(void)
{
	flood_begin(opt.rate);
	sleep_ns((uint64_t)(opt.warmup * 1e9));
	measuring = 1;
	uint64_t at = now_ns(), sent = tx.sent, received = rx.received, bytes = rx.bytes, whole = rx.unsegmented;
	uint64_t txcpu = tx.cpu_ns, rxcpu = rx.cpu_ns;
	sleep_ns((uint64_t)(opt.seconds * 1e9));
	double elapsed = (double)(now_ns() - at) / 1e9;
	sent = tx.sent - sent;
	received = rx.received - received;
	bytes = rx.bytes - bytes;
	whole = rx.unsegmented - whole;
	txcpu = tx.cpu_ns - txcpu;
	rxcpu = rx.cpu_ns - rxcpu;
	measuring = 0;
	flood_end();
	printf("{\"elapsed\":%.6f,\"sent\":%llu,\"received\":%llu,\"bytes\":%llu,\"unsegmented\":%llu,"
		   "\"totalSent\":%llu,\"totalReceived\":%llu,\"refused\":%llu,\"lost\":%lld,\"reordered\":%llu,"
		   "\"duplicate\":%llu,\"foreign\":%llu,\"forged\":%llu,\"waits\":%llu,\"senderCpuNs\":%llu,\"receiverCpuNs\":%llu,"
		   "\"cpuNs\":%llu,\"delayNs\":",
		elapsed, (unsigned long long)sent, (unsigned long long)received, (unsigned long long)bytes,
		(unsigned long long)whole, (unsigned long long)tx.sent, (unsigned long long)rx.received,
		(unsigned long long)tx.refused,
		(long long)tx.sent - (long long)rx.received + (long long)rx.duplicate, (unsigned long long)rx.reordered,
		(unsigned long long)rx.duplicate, (unsigned long long)rx.foreign, (unsigned long long)rx.forged, (unsigned long long)rx.waits,
		(unsigned long long)txcpu, (unsigned long long)rxcpu,
		(unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	hist_json(stdout, &rx.delay);
	printf("}\n");
}

/* ---- the highest rate that arrives, and what twice that leaves of it -------------------------------------------- */

#define SEARCH_STEPS 9
#define SEARCH_LOSS 0.005
#define SEARCH_START 2e6

/* Frames/s. What the sender can't make isn't offered: all is what was seen. */
struct trial {
	double offered, goodput; /* while they were sent */
	double lost;			 /* share of them that hasn't come when the queues have drained */
};

static struct trial search_try(double rate, double seconds)
{
	uint64_t at = now_ns(), sent = tx.sent, received = rx.received;

	pace = rate;
	sleep_ns((uint64_t)(seconds * 1e9));
	double elapsed = (double)(now_ns() - at) / 1e9;
	struct trial t = {(double)(tx.sent - sent) / elapsed, (double)(rx.received - received) / elapsed, 1};
	pace = IDLE;
	for (int i = 0; i < 20; i++) {
		uint64_t before = rx.received;
		sleep_ns(3000000);
		if (rx.received == before)
			break;
	}
	if (tx.sent > sent)
		t.lost = 1 - (double)(rx.received - received) / (double)(tx.sent - sent);
	return t;
}

/*
 * Halves the interval on a logarithmic scale, as rates differ by powers of ten. A look at a rate takes a tenth of
 * --seconds, and the last one, at twice the rate found, two tenths.
 */
static void search(void)
{
	double low = 1000, high = SEARCH_START, slice = opt.seconds / 10;
	struct trial best = {0};

	flood_begin(IDLE);
	sleep_ns((uint64_t)(opt.warmup * 1e9));
	for (int step = 0; step < SEARCH_STEPS; step++) {
		double rate = step ? sqrt(low * high) : high;
		struct trial t = search_try(rate, slice);
		if (t.lost <= SEARCH_LOSS) {
			low = rate;
			if (t.offered > best.offered)
				best = t;
			if (t.offered < rate * 0.9)
				break; /* the sender is at its limit, and all of it arrives */
		} else {
			high = rate < t.offered ? rate : t.offered;
			if (high < low)
				low = high / 2;
		}
	}
	struct trial twice = search_try(best.offered * 2, slice * 2);
	flood_end();
	printf("{\"elapsed\":%.6f,\"rate\":%.0f,\"offered\":%.0f,\"goodput\":%.0f,\"cpuNs\":%llu}\n",
		opt.seconds, best.offered, twice.offered, twice.goodput, (unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

#endif
