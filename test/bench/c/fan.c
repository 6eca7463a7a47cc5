/*
 * A guest that speaks to all: what it sends reaches how many, and how two neighbours fare meanwhile.
 *
 *   fan --from EDGE --source MAC/IP [--rate 0] [--to EDGE]... [--neighbours MAC/IP,MAC/IP[,HOP] --pace 5000]
 *       --seconds 1  --warmup 0.2
 *
 * One thread sends broadcasts from CPU 0 as fast as they go (or --rate frames/s, a millisecond's worth at a time),
 * another on CPU 1 reads what comes to all the others. Of these, the first sends --pace unicast frames a second to the
 * second, from whatever CPU there is. Without --to it is a storm, and no more. One JSON object on stdout.
 */
#include "common.h"

#include "edge.h"
#include "frames.h"
#include <getopt.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#define RECEIVERS_MAX 1024
#define TICK_NS 1000000u
#define FRAME 64
#define READS 16 /* of one guest, before the next one's turn */

enum flow { FLOW_ALL, FLOW_NEIGHBOUR, FLOWS };

static struct {
	const char *from, *to[RECEIVERS_MAX];
	struct address source, neighbours[2], hop;
	unsigned receivers;
	int paced;
	double rate, pace, seconds, warmup;
} opt = {.pace = 5000, .seconds = 1, .warmup = 0.2};

static struct edge from, to[RECEIVERS_MAX];
static _Alignas(128) volatile uint64_t sent[FLOWS];
static _Alignas(128) volatile uint64_t received[FLOWS];
static _Alignas(128) volatile int stop_senders, stop_receiver;

struct stream {
	struct edge *edge;
	struct address source, target;
	enum flow flow;
	double rate; /* frames/s, 0: as fast as they go */
	int cpu;
};

static void *sender(void *arg)
{
	const struct stream *s = arg;
	size_t length = (size_t)s->edge->vnet + FRAME;
	uint8_t *frame = malloc(length);
	double due = 0;

	pin(s->cpu);
	prctl(PR_SET_TIMERSLACK, 1);
	build_frame(frame, s->edge->vnet, FRAME, 0, &s->source, &s->target, s->flow);
	while (!stop_senders) {
		/* What a descheduled sender has missed isn't made up for. */
		due = s->rate > 0 ? due + s->rate * TICK_NS / 1e9 : 32;
		for (; due >= 1 && !stop_senders; due--)
			if (write(s->edge->fd, frame, length) == (ssize_t)length)
				sent[s->flow]++;
		if (s->rate > 0)
			sleep_ns(TICK_NS);
	}
	return NULL;
}

static void *receiver(void *arg)
{
	struct epoll_event events[64];
	int all = epoll_create1(EPOLL_CLOEXEC);

	(void)arg;
	pin(1);
	for (unsigned i = 0; i < opt.receivers; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
		if (epoll_ctl(all, EPOLL_CTL_ADD, to[i].fd, &e) < 0)
			DIE("epoll_ctl");
	}
	while (!stop_receiver) {
		int ready = epoll_wait(all, events, 64, 20);
		for (int i = 0; i < ready; i++) {
			struct edge *e = &to[events[i].data.u32];
			const uint8_t *frame;
			unsigned length;
			int gso;
			for (int n = 0; n < READS && (frame = edge_receive(e, &length, &gso)); n++) {
				const struct stamp *s = stamp_of(frame, length);
				if (s && s->flow < FLOWS)
					received[s->flow]++;
				edge_release(e);
			}
		}
	}
	close(all);
	return NULL;
}

static void run(void)
{
	static const struct address everybody = {{255, 255, 255, 255, 255, 255}, {255, 255, 255, 255}, 0};
	struct stream streams[FLOWS] = {
		{&from, opt.source, everybody, FLOW_ALL, opt.rate, opt.rate > 0 ? -1 : 0},
		{&to[0], opt.neighbours[0], opt.hop, FLOW_NEIGHBOUR, opt.pace, -1},
	};
	int count = opt.paced ? 2 : 1;
	pthread_t threads[FLOWS], reader;

	if (pthread_create(&reader, NULL, receiver, NULL))
		DIE("pthread_create");
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, sender, &streams[i]))
			DIE("pthread_create");
	sleep_ns((uint64_t)(opt.warmup * 1e9));
	uint64_t at = now_ns(), all = sent[FLOW_ALL], got = received[FLOW_ALL];
	sleep_ns((uint64_t)(opt.seconds * 1e9));
	double elapsed = (double)(now_ns() - at) / 1e9;
	all = sent[FLOW_ALL] - all;
	got = received[FLOW_ALL] - got;
	stop_senders = 1;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	/* What is still on its way counts: until 20 ms pass without a frame, 1 s at most. */
	for (int i = 0; i < 50; i++) {
		uint64_t before = received[FLOW_ALL] + received[FLOW_NEIGHBOUR];
		sleep_ns(20000000);
		if (received[FLOW_ALL] + received[FLOW_NEIGHBOUR] == before)
			break;
	}
	stop_receiver = 1;
	pthread_join(reader, NULL);
	printf("{\"elapsed\":%.6f,\"sent\":%llu,\"deliveries\":%llu,\"totalDeliveries\":%llu,\"neighbourSent\":%llu,"
		   "\"neighbourReceived\":%llu,\"cpuNs\":%llu}\n",
		elapsed, (unsigned long long)all, (unsigned long long)got, (unsigned long long)received[FLOW_ALL],
		(unsigned long long)sent[FLOW_NEIGHBOUR], (unsigned long long)received[FLOW_NEIGHBOUR],
		(unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

static void parse_neighbours(char *text)
{
	char *parts[3] = {strtok(text, ","), strtok(NULL, ","), strtok(NULL, ",")};

	if (!parts[0] || !parts[1]) {
		fprintf(stderr, "fan: want --neighbours MAC/IP,MAC/IP[,HOP]\n");
		exit(2);
	}
	for (int i = 0; i < 2; i++)
		opt.neighbours[i] = parse_address(parts[i]);
	opt.hop = opt.neighbours[1];
	if (parts[2])
		parse_mac(opt.hop.mac, parts[2]);
	opt.paced = 1;
}

static const struct option long_options[] = {{"from", 1, 0, 'f'}, {"source", 1, 0, 's'}, {"to", 1, 0, 't'},
	{"rate", 1, 0, 'r'}, {"neighbours", 1, 0, 'n'}, {"pace", 1, 0, 'p'}, {"seconds", 1, 0, 'S'},
	{"warmup", 1, 0, 'W'}, {0}};

int main(int argc, char **argv)
{
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
		switch (c) {
		case 'f': opt.from = optarg; break;
		case 's': opt.source = parse_address(optarg); break;
		case 't': opt.to[opt.receivers++ % RECEIVERS_MAX] = optarg; break;
		case 'r': opt.rate = atof(optarg); break;
		case 'n': parse_neighbours(optarg); break;
		case 'p': opt.pace = atof(optarg); break;
		case 'S': opt.seconds = atof(optarg); break;
		case 'W': opt.warmup = atof(optarg); break;
		default: exit(2);
		}
	}
	if (!opt.from || opt.receivers > RECEIVERS_MAX || (opt.paced && opt.receivers < 2)) {
		fprintf(stderr, "fan: want --from, --to up to %d times, and twice for --neighbours\n", RECEIVERS_MAX);
		return 2;
	}
	edge_open(&from, opt.from, 0);
	for (unsigned i = 0; i < opt.receivers; i++)
		edge_open(&to[i], opt.to[i], 1);
	run();
	return 0;
}
