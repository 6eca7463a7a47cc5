/*
 * Guest emulator: two ends of a path, one thread each, and what happened to the frames between them.
 *
 *   guest flood --from EDGE --to EDGE --source MAC/IP --target MAC/IP [--size 64] [--gso] [--flows 1] [--rate 0]
 *   guest rr    --from EDGE --to EDGE --source MAC/IP --target MAC/IP [--size 64]
 *   guest probe
 *
 * common: --seconds 1.5  --warmup 0.3  --cpus 0,1 (-1: unpinned)  --wait sleep|poll|spin
 *
 * flood: one thread sends as fast as it can (or --rate frames/s), the other receives. rr: a request goes one way, the
 * answer back, one at a time. Waiting on an empty edge: `sleep` naps 50 us, as a guest with interrupt moderation;
 * `poll` sleeps in poll(2), as QEMU without vhost; `spin` never sleeps. One JSON object on stdout; nothing runs longer
 * than warm-up + seconds + 2 s, whatever the path does.
 */
#include "common.h"

#include "edge.h"
#include "frames.h"
#include "probe.h"
#include <getopt.h>
#include <pthread.h>
#include <sys/prctl.h>

#define NAP_NS 50000
#define BURST 32			/* frames per sendmmsg at AF_PACKET */
#define STAMP_EVERY 16		/* flood: reading the clock for each frame would cost more than it tells */
#define ANSWER_LIMIT_NS 200000000u
#define FLOWS_MAX 65536

enum wait { WAIT_SLEEP, WAIT_POLL, WAIT_SPIN };

static struct {
	const char *from, *to;
	struct address source, target;
	unsigned size, flows;
	int gso, cpus[2];
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
	uint64_t reordered, duplicate, foreign, waits, cpu_ns;
	struct histogram delay;
} rx;
static _Alignas(128) volatile int stop_sender, stop_receiver, measuring;
static struct edge from, to;

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

/* ---- flood ------------------------------------------------------------------------------------------------------ */

static void send_burst(uint8_t **frames, unsigned length, unsigned burst, uint32_t *sequence, unsigned *turn)
{
	static struct mmsghdr messages[BURST];
	static struct iovec parts[BURST];
	int stamped = from.vnet + (opt.gso ? TCP_STAMP : UDP_STAMP);

	for (unsigned i = 0; i < burst; i++) {
		unsigned flow = *turn % opt.flows;
		uint8_t *frame = frames[from.kind == EDGE_PACKET ? flow * BURST + i : flow];
		struct stamp *s = (struct stamp *)(frame + stamped);
		s->sequence = sequence[flow]++;
		s->sent_ns = (*turn)++ % STAMP_EVERY ? 0 : now_ns();
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

static void *sender(void *arg)
{
	unsigned length = (unsigned)from.vnet + (opt.gso ? GSO_FRAME : opt.size), turn = 0;
	unsigned copies = from.kind == EDGE_PACKET ? BURST : 1;
	uint8_t **frames = calloc((size_t)opt.flows * copies, sizeof *frames);
	uint32_t *sequence = calloc(opt.flows, sizeof *sequence);
	double interval = opt.rate > 0 ? 1e9 / opt.rate : 0;
	unsigned burst = interval > 0 ? 1 : opt.gso ? 4 : BURST;

	(void)arg;
	pin(opt.cpus[0]);
	for (unsigned flow = 0; flow < opt.flows; flow++)
		for (unsigned i = 0; i < copies; i++) {
			frames[flow * copies + i] = malloc(length);
			build_frame(frames[flow * copies + i], from.vnet, length - (unsigned)from.vnet, opt.gso, &opt.source,
				&opt.target, flow);
		}
	double due = (double)now_ns();
	while (!stop_sender) {
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
			rx.foreign++;
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

static void flood(void)
{
	pthread_t threads[2];

	if (pthread_create(&threads[1], NULL, receiver, NULL) || pthread_create(&threads[0], NULL, sender, NULL))
		DIE("pthread_create");
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
	stop_sender = 1;
	pthread_join(threads[0], NULL);
	/* What is still on its way counts as delivered: wait until 20 ms pass without a frame, 1 s at most. */
	for (int i = 0; i < 50; i++) {
		uint64_t before = rx.received;
		sleep_ns(20000000);
		if (rx.received == before)
			break;
	}
	stop_receiver = 1;
	pthread_join(threads[1], NULL);
	printf("{\"elapsed\":%.6f,\"sent\":%llu,\"received\":%llu,\"bytes\":%llu,\"unsegmented\":%llu,"
		   "\"totalSent\":%llu,\"totalReceived\":%llu,\"refused\":%llu,\"lost\":%lld,\"reordered\":%llu,"
		   "\"duplicate\":%llu,\"foreign\":%llu,\"waits\":%llu,\"senderCpuNs\":%llu,\"receiverCpuNs\":%llu,"
		   "\"cpuNs\":%llu,\"delayNs\":",
		elapsed, (unsigned long long)sent, (unsigned long long)received, (unsigned long long)bytes,
		(unsigned long long)whole, (unsigned long long)tx.sent, (unsigned long long)rx.received,
		(unsigned long long)tx.refused,
		(long long)tx.sent - (long long)rx.received + (long long)rx.duplicate, (unsigned long long)rx.reordered,
		(unsigned long long)rx.duplicate, (unsigned long long)rx.foreign, (unsigned long long)rx.waits,
		(unsigned long long)txcpu, (unsigned long long)rxcpu,
		(unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	hist_json(stdout, &rx.delay);
	printf("}\n");
}

/* ---- request/response -------------------------------------------------------------------------------------------- */

/*
 * Waits for the frame numbered `sequence` (0: any of ours). Returns 0 when told to stop, or past the deadline. `got` is
 * its number, `sender` the MAC that it came from: a master's, perhaps, and not the guest's own.
 */
static int await(struct edge *e, uint32_t sequence, uint64_t deadline, volatile int *stop, uint32_t *got, uint8_t *sender)
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
		memcpy(sender, frame + 6, 6);
		edge_release(e);
		if (!number || (sequence && number != sequence))
			continue; /* not ours, or an answer that we gave up on */
		*got = number;
		return 1;
	}
	return 0;
}

static struct edge from_tx, to_tx; /* AF_PACKET sends on a socket of its own */

static void transmit(struct edge *e, uint8_t *frame, uint32_t sequence)
{
	size_t length = (size_t)e->vnet + opt.size;
	((struct stamp *)(frame + e->vnet + UDP_STAMP))->sequence = sequence;
	if (write(e->fd, frame, length) != (ssize_t)length)
		tx.refused++;
}

static void *responder(void *arg)
{
	uint8_t *answer = malloc((size_t)to_tx.vnet + opt.size);
	uint32_t number;

	(void)arg;
	pin(opt.cpus[1]);
	prctl(PR_SET_TIMERSLACK, 1);
	build_frame(answer, to_tx.vnet, opt.size, 0, &opt.target, &opt.source, 0);
	/* The answer goes to whoever sent the request, as a stack's does that has just learned its MAC. */
	while (await(&to, 0, 0, &stop_receiver, &number, answer + to_tx.vnet))
		transmit(&to_tx, answer, number);
	tx.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

static void request_response(void)
{
	pthread_t thread;
	uint8_t *request = malloc((size_t)from_tx.vnet + opt.size);
	uint32_t sequence = 1, number;
	uint8_t sender[6];
	uint64_t lost = 0, begin, end, at;

	build_frame(request, from_tx.vnet, opt.size, 0, &opt.source, &opt.target, 0);
	if (pthread_create(&thread, NULL, responder, NULL))
		DIE("pthread_create");
	pin(opt.cpus[0]);
	prctl(PR_SET_TIMERSLACK, 1);
	begin = now_ns() + (uint64_t)(opt.warmup * 1e9);
	end = begin + (uint64_t)(opt.seconds * 1e9);
	while ((at = now_ns()) < end) {
		transmit(&from_tx, request, ++sequence);
		int answered = await(&from, sequence, at + ANSWER_LIMIT_NS, &stop_sender, &number, sender);
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

/* ---- command line -------------------------------------------------------------------------------------------------- */

static const struct option long_options[] = {{"from", 1, 0, 'f'}, {"to", 1, 0, 't'}, {"source", 1, 0, 's'},
	{"target", 1, 0, 'd'}, {"size", 1, 0, 'n'}, {"gso", 0, 0, 'g'}, {"flows", 1, 0, 'F'}, {"rate", 1, 0, 'r'},
	{"seconds", 1, 0, 'S'}, {"warmup", 1, 0, 'W'}, {"cpus", 1, 0, 'c'}, {"wait", 1, 0, 'w'}, {0}};

static void parse(int argc, char **argv)
{
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
		switch (c) {
		case 'f': opt.from = optarg; break;
		case 't': opt.to = optarg; break;
		case 's': opt.source = parse_address(optarg); break;
		case 'd': opt.target = parse_address(optarg); break;
		case 'n': opt.size = (unsigned)atoi(optarg); break;
		case 'g': opt.gso = 1; break;
		case 'F': opt.flows = (unsigned)atoi(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		case 'S': opt.seconds = atof(optarg); break;
		case 'W': opt.warmup = atof(optarg); break;
		case 'c': sscanf(optarg, "%d,%d", &opt.cpus[0], &opt.cpus[1]); break;
		case 'w':
			opt.wait = !strcmp(optarg, "poll") ? WAIT_POLL : !strcmp(optarg, "spin") ? WAIT_SPIN : WAIT_SLEEP;
			break;
		default: exit(2);
		}
	}
	if (!opt.from || !opt.to || opt.size < 60 || opt.size > 9000 || !opt.flows || opt.flows > FLOWS_MAX) {
		fprintf(stderr, "guest: want --from, --to, --size 60..9000, --flows 1..%d\n", FLOWS_MAX);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "probe")) {
		printf("{\"crossingNs\":%.1f}\n", probe_crossing_ns());
		return 0;
	}
	parse(argc - 1, argv + 1);
	int rr = !strcmp(mode, "rr");
	edge_open(&from, opt.from, rr);
	edge_open(&to, opt.to, 1);
	from_tx = from;
	to_tx = to;
	if (from.kind == EDGE_PACKET)
		edge_open(&from_tx, opt.from, 0);
	if (to.kind == EDGE_PACKET)
		edge_open(&to_tx, opt.to, 0);
	if (rr)
		request_response();
	else
		flood();
	return 0;
}
