/*
 * The C twin of ipvtap's userspace forwarder: the same system calls, the same decisions for unicast IPv4, no JavaScript.
 * What it is slower or faster by is the price of the language; what it is slower by than the bridge, the price of the
 * architecture.
 *
 *   forwarder --slave IFNAME,MAC/IP ... [--master IFNAME,MAC] [--send ring|messages] [--spin 50] [--batch 64] ...
 *
 *   slaves' TAPs -> TPACKET_V2 ring (2 KB slots, one socket for all, classic BPF on the ifindex) -\
 *                                                                                                  > decide > send
 *   master -------> TPACKET_V2 ring (classic BPF: IPv4 to a guest's address) ---------------------/
 *
 * Sending, a batch at a time: `messages` is one sendmmsg whose iovecs point into the receive rings; `ring` copies short
 * frames into a transmit ring and tells the kernel once per destination, which sends the whole run without giving the
 * CPU to the receiver that the first frame woke. A frame longer than its slot comes whole through recv()
 * (PACKET_COPY_THRESH) and leaves by sendmmsg in either case.
 *
 * Prints "ready" once the rings are up; SIGTERM ends it, with its counters as JSON on stdout.
 */
#include "common.h"

#include "filter.h"
#include "frames.h"
#include "transmit.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LANES 16 /* long frames in one batch */
#define LANE_SIZE 65664
#define SLAVES_MAX 1024
#define TABLE_SIZE 4096 /* a power of two, at least twice the addresses */

struct port {
	int ifindex;
	struct address address;
	struct sockaddr_ll name;
};

struct ring {
	int fd;
	uint8_t *base;
	unsigned slots, next;
};

static struct port slaves[SLAVES_MAX], master;
static unsigned slave_count;
static struct {
	unsigned batch, slots, slot_size, spin_us, busy_poll_us;
	int bypass, epoll, cpu, ring;
} opt = {.batch = 64, .slots = 4096, .slot_size = 2048, .spin_us = 50, .cpu = -1, .ring = 1};
static uint32_t table_key[TABLE_SIZE];
static uint16_t table_slave[TABLE_SIZE];
static uint16_t *by_ifindex;
static unsigned by_ifindex_size;
static uint8_t *lanes;
static int epoll_fd;
static volatile sig_atomic_t stopped;
static struct {
	uint64_t received, dropped, batches, waits, long_frames;
} count;

/* ---- deciding ------------------------------------------------------------------------------------------------------ */

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

static inline unsigned table_slot(uint32_t ip)
{
	return (ip * 0x9e3779b1u) >> 20;
}

static void table_add(uint32_t ip, unsigned slave)
{
	unsigned i = table_slot(ip);
	while (table_key[i])
		i = (i + 1) % TABLE_SIZE;
	table_key[i] = ip;
	table_slave[i] = (uint16_t)slave;
}

static inline int table_find(uint32_t ip)
{
	for (unsigned i = table_slot(ip); table_key[i]; i = (i + 1) % TABLE_SIZE)
		if (table_key[i] == ip)
			return table_slave[i];
	return -1;
}

/* Where the frame goes, its MACs rewritten in place; NULL: dropped. `from` is NULL for a frame off the wire. */
static inline struct port *decide(uint8_t *f, unsigned length, uint32_t status, const struct port *from)
{
	unsigned total;
	int to;

	if (length < 34 || status & TP_STATUS_VLAN_VALID)
		return NULL;
	if (f[12] != 0x08 || f[13] != 0x00 || f[14] >> 4 != 4)
		return NULL;
	total = (unsigned)f[16] << 8 | f[17];
	if ((f[14] & 15) < 5 || total < (f[14] & 15) * 4u || total + 14 > length)
		return NULL;
	if (from && (memcmp(f + 6, from->address.mac, 6) || memcmp(f + 26, from->address.ip, 4)))
		return NULL;
	to = table_find(load32(f + 30));
	if (to >= 0) {
		memcpy(f, slaves[to].address.mac, 6);
		return &slaves[to];
	}
	if (!from || !master.ifindex)
		return NULL;
	memcpy(f + 6, master.address.mac, 6);
	return &master;
}

/* ---- moving -------------------------------------------------------------------------------------------------------- */

static inline struct tpacket2_hdr *slot_of(const struct ring *r, unsigned i)
{
	return (struct tpacket2_hdr *)(r->base + (size_t)i * opt.slot_size);
}

static inline struct port *ingress_of(const struct tpacket2_hdr *h)
{
	const struct sockaddr_ll *from = (const struct sockaddr_ll *)((const uint8_t *)h + TPACKET_ALIGN(sizeof *h));
	unsigned ifindex = (unsigned)from->sll_ifindex;
	return ifindex < by_ifindex_size && by_ifindex[ifindex] ? &slaves[by_ifindex[ifindex] - 1] : NULL;
}

/* One batch out of one ring. Returns how many slots it emptied. */
static unsigned forward_batch(struct ring *r, int from_slaves)
{
	unsigned taken = 0, queued = 0, lane = 0;

	while (taken < opt.batch) {
		struct tpacket2_hdr *h = slot_of(r, (r->next + taken) % r->slots);
		uint32_t status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		if (!(status & TP_STATUS_USER))
			break;
		uint8_t *frame = (uint8_t *)h + h->tp_mac;
		unsigned length = h->tp_len;
		if (status & TP_STATUS_COPY) {
			if (lane == LANES)
				break;
			uint8_t *whole = lanes + (size_t)lane++ * LANE_SIZE;
			ssize_t n = recv(r->fd, whole, LANE_SIZE, MSG_DONTWAIT);
			count.long_frames++;
			frame = whole + VNET;
			length = n > VNET ? (unsigned)n - VNET : 0;
		} else if (h->tp_snaplen < length) {
			length = 0; /* cut, and no copy came: the socket's buffer was full */
		}
		taken++;
		struct port *to = decide(frame, length, status, from_slaves ? ingress_of(h) : NULL);
		if (!to) {
			count.dropped++;
			continue;
		}
		add_message(queued++, frame, length, &to->name);
	}
	if (!taken)
		return 0;
	count.received += taken;
	count.batches++;
	send_batch(queued);
	for (unsigned i = 0; i < taken; i++)
		__atomic_store_n(&slot_of(r, (r->next + i) % r->slots)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->next = (r->next + taken) % r->slots;
	return taken;
}

static void wait_for(struct ring *rings, unsigned n)
{
	struct pollfd fds[2];
	struct epoll_event events[2];

	count.waits++;
	if (opt.epoll) {
		epoll_wait(epoll_fd, events, 2, 100);
	} else {
		for (unsigned i = 0; i < n; i++)
			fds[i] = (struct pollfd){.fd = rings[i].fd, .events = POLLIN};
		poll(fds, n, 100);
	}
}

static void run(struct ring *rings, unsigned n)
{
	uint64_t last = now_ns();

	while (!stopped) {
		unsigned taken = forward_batch(&rings[0], 1);
		if (n > 1)
			taken += forward_batch(&rings[1], 0);
		if (taken) {
			if (opt.spin_us)
				last = now_ns();
			continue;
		}
		if (opt.spin_us && now_ns() - last < opt.spin_us * 1000ull) {
			sched_yield(); /* a guest on this core gets it: its answer is what we wait for */
			continue;
		}
		wait_for(rings, n);
	}
}

/* ---- setting up ---------------------------------------------------------------------------------------------------- */

static void filter_slaves(int fd)
{
	static struct sock_filter code[SLAVES_MAX * 8];
	unsigned keys[SLAVES_MAX];

	for (unsigned i = 0; i < slave_count; i++)
		keys[i] = (unsigned)slaves[i].ifindex;
	qsort(keys, slave_count, sizeof *keys, by_number);
	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX));
	attach_filter(fd, code, emit_search(code, 1, keys, 0, slave_count));
}

static void filter_master(int fd)
{
	static struct sock_filter code[SLAVES_MAX * 8];
	unsigned keys[SLAVES_MAX];

	for (unsigned i = 0; i < slave_count; i++)
		keys[i] = ntohl(load32(slaves[i].address.ip));
	qsort(keys, slave_count, sizeof *keys, by_number);
	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12);
	code[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 1, 0);
	code[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	code[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 30);
	attach_filter(fd, code, emit_search(code, 4, keys, 0, slave_count));
}

static void open_ring(struct ring *r, int ifindex)
{
	size_t size = (size_t)opt.slots * opt.slot_size;
	struct tpacket_req q = {1u << 20, (unsigned)(size >> 20), opt.slot_size, opt.slots};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};

	r->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		DIE("socket(AF_PACKET)");
	set_packet(r->fd, PACKET_VERSION, TPACKET_V2);
	set_packet(r->fd, PACKET_VNET_HDR, 1);
	set_packet(r->fd, PACKET_IGNORE_OUTGOING, 1);
	set_packet(r->fd, PACKET_COPY_THRESH, 1);
	set_socket(r->fd, SO_RCVBUFFORCE, 32 << 20);
	if (opt.busy_poll_us)
		set_socket(r->fd, SO_BUSY_POLL, (int)opt.busy_poll_us);
	if (setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &q, sizeof q) < 0)
		DIE("PACKET_RX_RING");
	r->slots = opt.slots;
	r->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->base == MAP_FAILED)
		DIE("mmap of the ring");
	if (ifindex)
		filter_master(r->fd);
	else
		filter_slaves(r->fd);
	if (bind(r->fd, (struct sockaddr *)&at, sizeof at) < 0)
		DIE("bind(AF_PACKET)");
	if (opt.epoll) {
		struct epoll_event e = {.events = EPOLLIN};
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, r->fd, &e) < 0)
			DIE("epoll_ctl");
	}
}

/* "IFNAME,MAC/IP"; the master has no address of its own here: "IFNAME,MAC". */
static void add_port(struct port *p, char *text)
{
	char *comma = strchr(text, ',');
	char whole[64];

	if (!comma)
		DIE("want IFNAME,MAC/IP");
	*comma = 0;
	snprintf(whole, sizeof whole, "%s%s", comma + 1, strchr(comma + 1, '/') ? "" : "/0.0.0.0");
	p->address = parse_address(whole);
	p->ifindex = (int)if_nametoindex(text);
	if (!p->ifindex)
		DIE(text);
	p->name = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = p->ifindex};
}

static void index_slaves(void)
{
	for (unsigned i = 0; i < slave_count; i++)
		if ((unsigned)slaves[i].ifindex >= by_ifindex_size)
			by_ifindex_size = (unsigned)slaves[i].ifindex + 1;
	by_ifindex = calloc(by_ifindex_size, sizeof *by_ifindex);
	for (unsigned i = 0; i < slave_count; i++) {
		by_ifindex[slaves[i].ifindex] = (uint16_t)(i + 1);
		table_add(load32(slaves[i].address.ip), i);
	}
}

static const struct option long_options[] = {{"slave", 1, 0, 's'}, {"master", 1, 0, 'm'}, {"batch", 1, 0, 'b'},
	{"slots", 1, 0, 'n'}, {"slot-size", 1, 0, 'z'}, {"spin", 1, 0, 'p'}, {"send", 1, 0, 't'}, {"bypass", 0, 0, 'q'},
	{"epoll", 0, 0, 'e'}, {"busy-poll", 1, 0, 'B'}, {"cpu", 1, 0, 'c'}, {0}};

static void parse(int argc, char **argv)
{
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
		switch (c) {
		case 's': add_port(&slaves[slave_count++ % SLAVES_MAX], optarg); break;
		case 'm': add_port(&master, optarg); break;
		case 'b': opt.batch = (unsigned)atoi(optarg); break;
		case 'n': opt.slots = (unsigned)atoi(optarg); break;
		case 'z': opt.slot_size = (unsigned)atoi(optarg); break;
		case 'p': opt.spin_us = (unsigned)atoi(optarg); break;
		case 't': opt.ring = !strcmp(optarg, "ring"); break;
		case 'q': opt.bypass = 1; break;
		case 'e': opt.epoll = 1; break;
		case 'B': opt.busy_poll_us = (unsigned)atoi(optarg); break;
		case 'c': opt.cpu = atoi(optarg); break;
		default: exit(2);
		}
	}
	if (!slave_count || slave_count > SLAVES_MAX || !opt.batch || opt.batch > BATCH_MAX) {
		fprintf(stderr, "forwarder: want --slave, --batch 1..%d\n", BATCH_MAX);
		exit(2);
	}
}

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

int main(int argc, char **argv)
{
	static struct ring rings[2];
	struct sigaction action = {.sa_handler = on_signal};

	parse(argc, argv);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	pin(opt.cpu);
	if (opt.epoll)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	index_slaves();
	open_transmit(opt.ring, opt.bypass);
	lanes = malloc((size_t)LANES * LANE_SIZE);
	open_ring(&rings[0], 0);
	if (master.ifindex)
		open_ring(&rings[1], master.ifindex);
	printf("ready\n");
	fflush(stdout);
	uint64_t set_up_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	run(rings, master.ifindex ? 2 : 1);
	printf("{\"received\":%llu,\"sent\":%llu,\"dropped\":%llu,\"refused\":%llu,\"batches\":%llu,\"sends\":%llu,"
		   "\"waits\":%llu,\"longFrames\":%llu,\"ringFull\":%llu,\"cpuNs\":%llu}\n",
		(unsigned long long)count.received, (unsigned long long)tx.sent, (unsigned long long)count.dropped,
		(unsigned long long)tx.refused, (unsigned long long)count.batches, (unsigned long long)tx.sends,
		(unsigned long long)count.waits, (unsigned long long)count.long_frames,
		(unsigned long long)tx.ring_full,
		(unsigned long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - set_up_ns));
	return 0;
}
