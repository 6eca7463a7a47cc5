/*
 * Guest emulator: two ends of a path, one thread each, and what happened to the frames between them.
 *
 *   guest flood --from EDGE --to EDGE --source MAC/IP --target MAC/IP [--size 64] [--gso|--uso] [--flows 1]
 *               [--rate 0 [--calm]]
 *   guest flood … --search
 *   guest rr    --from EDGE --to EDGE --source MAC/IP --target MAC/IP [--size 64]
 *   guest count --from EDGE --to EDGE --source MAC/IP --target MAC/IP [--size 64]
 *   guest probe
 *
 * common: [--hop MAC, where the way to the target isn't by its own MAC]  --seconds 1.5  --warmup 0.3  --cpus 0,1 (-1: unpinned)  --wait sleep|poll|spin
 *
 * flood: one thread sends as fast as it can (or --rate frames/s; calmly, a millisecond's worth at a time, with its CPU
 * left to others in between), the other receives; --search looks for the highest
 * rate of which 99.5 % arrive, and then offers twice that. rr: a request goes one way, the answer back, one at a time.
 * count: what a frame takes by the processor's own clock.
 * Waiting on an empty edge: `sleep` naps 50 us, as a guest with interrupt moderation; `poll` sleeps in poll(2), as QEMU
 * without vhost; `spin` never sleeps. One JSON object on stdout; nothing runs longer than warm-up + seconds + 2 s,
 * whatever the path does.
 */
#include "count.h"
#include "flood.h"
#include "probe.h"
#include "response.h"
#include <getopt.h>

static const struct option long_options[] = {{"from", 1, 0, 'f'}, {"to", 1, 0, 't'}, {"source", 1, 0, 's'},
	{"target", 1, 0, 'd'}, {"hop", 1, 0, 'h'}, {"size", 1, 0, 'n'}, {"search", 0, 0, 'x'}, {"gso", 0, 0, 'g'}, {"uso", 0, 0, 'u'},
	{"calm", 0, 0, 'C'}, {"flows", 1, 0, 'F'}, {"rate", 1, 0, 'r'},
	{"seconds", 1, 0, 'S'}, {"warmup", 1, 0, 'W'}, {"cpus", 1, 0, 'c'}, {"wait", 1, 0, 'w'}, {0}};

static void parse(int argc, char **argv)
{
	const char *hop = NULL;

	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
		switch (c) {
		case 'f': opt.from = optarg; break;
		case 't': opt.to = optarg; break;
		case 's': opt.source = parse_address(optarg); break;
		case 'd': opt.target = parse_address(optarg); break;
		case 'n': opt.size = (unsigned)atoi(optarg); break;
		case 'h': hop = optarg; break;
		case 'g': opt.gso = GSO_TCP; break;
		case 'u': opt.gso = GSO_UDP; break;
		case 'C': opt.calm = 1; break;
		case 'x': opt.search = 1; break;
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
	if (!opt.from || !opt.to || opt.size < (opt.source.v6 && !opt.gso ? 80 : 60) || opt.size > 9000 || !opt.flows || opt.flows > FLOWS_MAX) {
		fprintf(stderr, "guest: want --from, --to, --size 60..9000 (IPv6: from 80), --flows 1..%d\n", FLOWS_MAX);
		exit(2);
	}
	opt.hop = opt.target;
	if (hop)
		parse_mac(opt.hop.mac, hop);
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
	tap_offloads |= opt.gso == GSO_UDP ? TUN_F_USO4 | TUN_F_USO6 : 0;
	edge_open(&from, opt.from, rr);
	edge_open(&to, opt.to, 1);
	from_tx = from;
	to_tx = to;
	if (from.kind == EDGE_PACKET)
		edge_open(&from_tx, opt.from, 0);
	if (to.kind == EDGE_PACKET)
		edge_open(&to_tx, opt.to, 0);
	if (!strcmp(mode, "count"))
		count();
	else if (rr)
		request_response();
	else if (opt.search)
		search();
	else
		flood();
	return 0;
}
