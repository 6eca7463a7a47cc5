/*
 * How many TCP connections a second: each is opened, carries a byte there and a byte back, and is closed, one after the
 * other.
 *
 *   connect serve PORT                    until it is killed; prints "ready"
 *   connect run IPv4 PORT SECONDS WARMUP  one JSON object on stdout
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
		if (read(one, &byte, 1) == 1 && write(one, &byte, 1) == 1)
			(void)!read(one, &byte, 1); /* until the client has closed: then it, and not this end, keeps the port */
		close(one);
	}
}

static int transact(const struct sockaddr_in *there)
{
	int fd = stream_socket();
	char byte = 1;
	int done = connect(fd, (const struct sockaddr *)there, sizeof *there) == 0 && write(fd, &byte, 1) == 1 &&
			   read(fd, &byte, 1) == 1;

	close(fd);
	return done;
}

static void run(const char *address, uint16_t port, double seconds, double warmup)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct histogram *delay = calloc(1, sizeof *delay);
	uint64_t failed = 0, begin = now_ns() + (uint64_t)(warmup * 1e9), end = begin + (uint64_t)(seconds * 1e9), at;

	if (inet_pton(AF_INET, address, &there.sin_addr) != 1)
		DIE(address);
	while ((at = now_ns()) < end) {
		int done = transact(&there);
		if (at < begin)
			continue;
		if (done)
			hist_add(delay, now_ns() - at);
		else
			failed++;
	}
	printf("{\"elapsed\":%.6f,\"connections\":%llu,\"failed\":%llu,\"cpuNs\":%llu,\"delayNs\":",
		(double)(now_ns() - begin) / 1e9, (unsigned long long)delay->count, (unsigned long long)failed,
		(unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	hist_json(stdout, delay);
	printf("}\n");
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		serve((uint16_t)atoi(argv[2]));
	} else if (argc == 6 && !strcmp(argv[1], "run")) {
		run(argv[2], (uint16_t)atoi(argv[3]), atof(argv[4]), atof(argv[5]));
	} else {
		fprintf(stderr, "connect: want serve PORT, or run IPv4 PORT SECONDS WARMUP\n");
		return 2;
	}
	return 0;
}
