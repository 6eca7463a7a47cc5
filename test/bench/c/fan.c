/*
 * A guest that speaks to all: what it sends reaches how many, and how two neighbours fare meanwhile.
 *
 *   fan --from EDGE --source MAC/IP [--target MAC/IP] [--rate 0] [--to EDGE[,MAC/IP,GROUP]]...
 *       [--neighbours MAC/IP,MAC/IP[,HOP] --pace 5000] [--also EDGE,MAC/IP[,HOP] [--also-rate 0]] [--forge MAC/IP]
 *       --seconds 1  --warmup 0.2
 *
 * One thread sends from CPU 0 to all, or to --target, as fast as it goes (or --rate frames/s, a millisecond's worth at a
 * time), another on CPU 1 reads what comes to all the others. Of these, the first sends --pace unicast frames a second to
 * the second, from whatever CPU there is. Without --to it is a storm, and no more.
 *
 * A receiver with a GROUP says by IGMP that it has joined this one; then only what comes to members of the target's
 * group counts as delivered, and the rest as strays. --also floods the same target from another guest, likewise from
 * CPU 0, or at --also-rate. --forge has every other frame sent with this address, and marks all as forged: --source isn't the sender's own then, either.
 * One JSON object on stdout.
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
#define NOTICE_NS 500000000u /* until the host has noticed that guests have come */
#define LEARN_NS 1800000000u /* until who listens to IGMP takes silence for an answer */

enum flow { FLOW_ALL, FLOW_NEIGHBOUR, FLOW_ALSO, FLOWS };

static struct {
	const char *from, *to[RECEIVERS_MAX];
	struct address source, target, forged, neighbours[2], hop;
	const char *also;
	struct address also_source, also_target;
	unsigned receivers;
	int forges;
	int paced;
	double rate, also_rate, pace, seconds, warmup;
} opt = {.target = {{255, 255, 255, 255, 255, 255}, {255, 255, 255, 255}, 0}, .pace = 5000, .seconds = 1, .warmup = 0.2};

static struct edge from, also, to[RECEIVERS_MAX];
static struct member {
	struct address who;
	struct in_addr group;
	int joins, stray; /* it has joined another group */
} members[RECEIVERS_MAX];
static _Alignas(128) volatile uint64_t sent[FLOWS];
static _Alignas(128) volatile uint64_t received[FLOWS], strays;
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
	uint32_t mark = s->flow == FLOW_ALL && opt.forges ? FLOW_FORGED : s->flow;
	uint8_t *frames[2] = {malloc(length), malloc(length)};
	double due = 0;
	uint64_t last = now_ns();

	pin(s->cpu);
	prctl(PR_SET_TIMERSLACK, 1);
	build_frame(frames[0], s->edge->vnet, FRAME, 0, &s->source, &s->target, mark);
	build_frame(frames[1], s->edge->vnet, FRAME, 0, mark == FLOW_FORGED ? &opt.forged : &s->source, &s->target, mark);
	while (!stop_senders) {
		/* What a descheduled sender has missed isn't made up for; a tick that comes late, as all do, is. */
		uint64_t now = now_ns(), passed = now - last;
		last = now;
		due = s->rate > 0 ? due + s->rate * (double)(passed < 2 * TICK_NS ? passed : 2 * TICK_NS) / 1e9 : 32;
		for (; due >= 1 && !stop_senders; due--)
			if (write(s->edge->fd, frames[sent[s->flow] & 1], length) == (ssize_t)length)
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
				if (s && s->flow == FLOW_ALL && members[events[i].data.u32].stray)
					strays++;
				else if (s && s->flow < FLOWS)
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
	struct stream streams[FLOWS] = {{&from, opt.source, opt.target, FLOW_ALL, opt.rate, opt.rate > 0 ? -1 : 0}};
	int count = 1;
	pthread_t threads[FLOWS], reader;

	if (opt.paced)
		streams[count++] = (struct stream){&to[0], opt.neighbours[0], opt.hop, FLOW_NEIGHBOUR, opt.pace, -1};
	if (opt.also)
		streams[count++] = (struct stream){&also, opt.also_source, opt.also_target, FLOW_ALSO, opt.also_rate, opt.also_rate > 0 ? -1 : 0};
	if (pthread_create(&reader, NULL, receiver, NULL))
		DIE("pthread_create");
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, sender, &streams[i]))
			DIE("pthread_create");
	sleep_ns((uint64_t)(opt.warmup * 1e9));
	uint64_t at = now_ns(), all = sent[FLOW_ALL], got = received[FLOW_ALL], astray = strays;
	uint64_t also_got = received[FLOW_ALSO], also_all = sent[FLOW_ALSO];
	sleep_ns((uint64_t)(opt.seconds * 1e9));
	double elapsed = (double)(now_ns() - at) / 1e9;
	all = sent[FLOW_ALL] - all;
	got = received[FLOW_ALL] - got;
	astray = strays - astray;
	also_got = received[FLOW_ALSO] - also_got;
	also_all = sent[FLOW_ALSO] - also_all;
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
		   "\"neighbourReceived\":%llu,\"strays\":%llu,\"alsoSent\":%llu,\"alsoDeliveries\":%llu,\"cpuNs\":%llu}\n",
		elapsed, (unsigned long long)all, (unsigned long long)got, (unsigned long long)received[FLOW_ALL],
		(unsigned long long)sent[FLOW_NEIGHBOUR], (unsigned long long)received[FLOW_NEIGHBOUR],
		(unsigned long long)astray, (unsigned long long)also_all, (unsigned long long)also_got,
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

/* "EDGE,MAC/IP": cuts the text at its comma. */
static struct address parse_party(char *text)
{
	char *comma = strchr(text, ',');
	if (!comma) {
		fprintf(stderr, "fan: %s: want EDGE,MAC/IP\n", text);
		exit(2);
	}
	*comma = 0;
	return parse_address(comma + 1);
}

/* IGMPv2 (RFC 2236): a membership report, with the router alert option (RFC 2113). */
static void join(struct edge *e, const struct address *who, const uint8_t *group)
{
	uint8_t frame[VNET_TAP + 60] = {0}, *f = frame + e->vnet, *ip = f + ETH_HLEN_, *igmp = ip + 24;

	memcpy(f, (uint8_t[]){1, 0, 0x5e, group[1] & 127, group[2], group[3]}, 6);
	memcpy(f + 6, who->mac, 6);
	put16(f + 12, 0x0800);
	memcpy(ip, (uint8_t[]){0x46, 0xc0, 0, 32, 0, 0, 0, 0, 1, 2}, 10);
	memcpy(ip + 12, who->ip, 4);
	memcpy(ip + 16, group, 4);
	put16(ip + 20, 0x9404);
	put16(ip + 10, (uint16_t)~fold(sum16(ip, 24)));
	igmp[0] = 0x16;
	memcpy(igmp + 4, group, 4);
	put16(igmp + 2, (uint16_t)~fold(sum16(igmp, 8)));
	if (write(e->fd, frame, (size_t)e->vnet + 60) < 0)
		DIE("join a group");
}

/* "EDGE[,MAC/IP,GROUP]" */
static void open_receiver(unsigned i)
{
	char *text = (char *)(uintptr_t)opt.to[i], *group = strrchr(text, ',');
	struct member *m = &members[i];

	if (!group) {
		edge_open(&to[i], text, 1);
		return;
	}
	*group++ = 0;
	m->who = parse_party(text);
	m->joins = 1;
	if (inet_pton(AF_INET, group, &m->group) != 1) {
		fprintf(stderr, "fan: group %s: want an IPv4 address\n", group);
		exit(2);
	}
	m->stray = memcmp(&m->group, opt.target.ip, 4) != 0;
	edge_open(&to[i], text, 1);
}

static void join_all(void)
{
	int joined = 0;

	for (unsigned i = 0; i < opt.receivers; i++)
		joined += members[i].joins;
	if (!joined)
		return;
	/* Twice, as hosts do: one may get lost (RFC 2236, 3). */
	for (int times = 0; times < 2; times++) {
		sleep_ns(NOTICE_NS);
		for (unsigned i = 0; i < opt.receivers; i++)
			if (members[i].joins)
				join(&to[i], &members[i].who, (const uint8_t *)&members[i].group);
	}
	sleep_ns(LEARN_NS);
}

/* "EDGE,MAC/IP[,HOP]": the edge stays in the text. */
static void parse_also(char *text)
{
	char *party = strchr(text, ','), *hop = party ? strchr(party + 1, ',') : NULL;

	if (hop)
		*hop++ = 0;
	opt.also = text;
	opt.also_source = parse_party(text);
	opt.also_target = opt.target;
	if (hop)
		parse_mac(opt.also_target.mac, hop);
}

static const struct option long_options[] = {{"from", 1, 0, 'f'}, {"source", 1, 0, 's'}, {"to", 1, 0, 't'},
	{"target", 1, 0, 'T'}, {"also", 1, 0, 'a'}, {"also-rate", 1, 0, 'A'}, {"forge", 1, 0, 'F'}, {"rate", 1, 0, 'r'}, {"neighbours", 1, 0, 'n'}, {"pace", 1, 0, 'p'}, {"seconds", 1, 0, 'S'},
	{"warmup", 1, 0, 'W'}, {0}};

int main(int argc, char **argv)
{
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
		switch (c) {
		case 'f': opt.from = optarg; break;
		case 's': opt.source = parse_address(optarg); break;
		case 't': opt.to[opt.receivers++ % RECEIVERS_MAX] = optarg; break;
		case 'T': opt.target = parse_address(optarg); break;
		case 'a': parse_also(optarg); break; /* after --target */
		case 'A': opt.also_rate = atof(optarg); break;
		case 'F': opt.forges = 1; opt.forged = parse_address(optarg); break;
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
		open_receiver(i);
	if (opt.also)
		edge_open(&also, opt.also, 0);
	join_all();
	run();
	return 0;
}
