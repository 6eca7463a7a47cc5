/*
 * How many TCP connections a second: each is opened, carries a byte there and a byte back, and is closed, one after the
 * other. Or how many bytes there and back on one of them, or by UDP.
 *
 *   connect serve     PORT                        until it is killed; prints "ready"
 *   connect serve-udp PORT
 *   connect connect   IPv4 PORT SECONDS WARMUP    one JSON object on stdout
 *   connect rr        IPv4 PORT SECONDS WARMUP
 *   connect rr-udp    IPv4 PORT SECONDS WARMUP
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_socket(int type)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;
	/* A lost packet must not stop the run for longer. TCP sends it again by itself, and wants time for that. */
	struct timeval limit = type == SOCK_STREAM ? (struct timeval){.tv_sec = 2} : (struct timeval){.tv_usec = 50000};

	if (fd < 0)
		DIE("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return fd;
}

static void no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int bind_to(int type, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = open_socket(type);

	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || (type == SOCK_STREAM && listen(fd, 128) < 0))
		DIE("listen");
	puts("ready");
	fflush(stdout);
	return fd;
}

static void serve(uint16_t port)
{
	int fd = bind_to(SOCK_STREAM, port);
	uint8_t byte;

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

static void serve_udp(uint16_t port)
{
	int fd = bind_to(SOCK_DGRAM, port);
	uint8_t byte;

	for (;;) {
		struct sockaddr_in whom;
		socklen_t length = sizeof whom;
		if (recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&whom, &length) == 1)
			sendto(fd, &byte, 1, 0, (struct sockaddr *)&whom, length);
	}
}

static int open_to(int type, const struct sockaddr_in *there)
{
	int fd = open_socket(type);

	if (type == SOCK_STREAM)
		no_delay(fd);
	if (connect(fd, (const struct sockaddr *)there, sizeof *there) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Each byte is the next number: by UDP, an answer that was given up on may still come. */
static int exchange(int fd)
{
	static uint8_t number;
	uint8_t byte = ++number;

	if (write(fd, &byte, 1) != 1)
		return 0;
	do {
		if (read(fd, &byte, 1) != 1)
			return 0;
	} while (byte != number);
	return 1;
}

static int transact(const struct sockaddr_in *there)
{
	int fd = open_to(SOCK_STREAM, there);
	int done = fd >= 0 && exchange(fd);

	if (fd >= 0)
		close(fd);
	return done;
}

enum what { CONNECT, RR, RR_UDP };

static void run(enum what what, const char *address, uint16_t port, double seconds, double warmup)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct histogram *delay = calloc(1, sizeof *delay);
	uint64_t failed = 0, begin = now_ns() + (uint64_t)(warmup * 1e9), end = begin + (uint64_t)(seconds * 1e9), at;

	if (inet_pton(AF_INET, address, &there.sin_addr) != 1)
		DIE(address);
	int fd = what == CONNECT ? -1 : open_to(what == RR ? SOCK_STREAM : SOCK_DGRAM, &there);
	while ((at = now_ns()) < end) {
		int done = what == CONNECT ? transact(&there) : exchange(fd);
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
	static const char *const names[] = {[CONNECT] = "connect", [RR] = "rr", [RR_UDP] = "rr-udp"};

	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve((uint16_t)atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "serve-udp"))
		serve_udp((uint16_t)atoi(argv[2]));
	for (int what = CONNECT; argc == 6 && what <= RR_UDP; what++) {
		if (strcmp(argv[1], names[what]))
			continue;
		run((enum what)what, argv[2], (uint16_t)atoi(argv[3]), atof(argv[4]), atof(argv[5]));
		return 0;
	}
	fprintf(stderr, "connect: want serve|serve-udp PORT, or connect|rr|rr-udp IPv4 PORT SECONDS WARMUP\n");
	return 2;
}
