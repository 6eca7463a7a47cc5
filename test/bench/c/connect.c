/*
 * How many TCP connections a second: each is opened, carries a byte there and a byte back, and is closed, one after the
 * other. Or how many bytes there and back on one of them.
 *
 *   connect serve PORT                        until it is killed; prints "ready"
 *   connect connect IPv4 PORT SECONDS WARMUP  one JSON object on stdout
 *   connect rr      IPv4 PORT SECONDS WARMUP
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int stream_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct timeval limit = {.tv_sec = 2};

	if (fd < 0)
		DIE("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	/* A lost packet must not stop the run for longer. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return fd;
}

static void no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void serve(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = stream_socket();
	char byte;

	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 128) < 0)
		DIE("listen");
	puts("ready");
	fflush(stdout);
	for (;;) {
		int one = accept(fd, NULL, NULL);
		if (one < 0)
			continue;
		no_delay(one);
		/* Until the client has closed: then it, and not this end, keeps the port. */
		while (read(one, &byte, 1) == 1 && write(one, &byte, 1) == 1)
			;
		close(one);
	}
}

static int open_to(const struct sockaddr_in *there)
{
	int fd = stream_socket();

	no_delay(fd);
	if (connect(fd, (const struct sockaddr *)there, sizeof *there) == 0)
		return fd;
	close(fd);
	return -1;
}

static int exchange(int fd)
{
	char byte = 1;

	return write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1;
}

static int transact(const struct sockaddr_in *there)
{
	int fd = open_to(there);
	int done = fd >= 0 && exchange(fd);

	if (fd >= 0)
		close(fd);
	return done;
}

static void run(int stays, const char *address, uint16_t port, double seconds, double warmup)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct histogram *delay = calloc(1, sizeof *delay);
	uint64_t failed = 0, begin = now_ns() + (uint64_t)(warmup * 1e9), end = begin + (uint64_t)(seconds * 1e9), at;

	if (inet_pton(AF_INET, address, &there.sin_addr) != 1)
		DIE(address);
	int fd = stays ? open_to(&there) : -1;
	while ((at = now_ns()) < end) {
		int done = stays ? exchange(fd) : transact(&there);
		if (at < begin)
			continue;
		if (done)
			hist_add(delay, now_ns() - at);
		else
			failed++;
	}
	printf("{\"elapsed\":%.6f,\"transactions\":%llu,\"failed\":%llu,\"cpuNs\":%llu,\"delayNs\":",
		(double)(now_ns() - begin) / 1e9, (unsigned long long)delay->count, (unsigned long long)failed,
		(unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	hist_json(stdout, delay);
	printf("}\n");
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		serve((uint16_t)atoi(argv[2]));
	} else if (argc == 6 && (!strcmp(argv[1], "connect") || !strcmp(argv[1], "rr"))) {
		run(!strcmp(argv[1], "rr"), argv[2], (uint16_t)atoi(argv[3]), atof(argv[4]), atof(argv[5]));
	} else {
		fprintf(stderr, "connect: want serve PORT, or connect|rr IPv4 PORT SECONDS WARMUP\n");
		return 2;
	}
	return 0;
}
