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

#include "frames.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <linux/filter.h>
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

#define VNET 10
#define BATCH_MAX 1024
#define LANES 16 /* long frames in one batch */
#define LANE_SIZE 65664
#define SLAVES_MAX 1024
#define TABLE_SIZE 4096 /* a power of two, at least twice the addresses */
#define TX_SLOTS 512u
#define TX_SLOT_SIZE 2048u
/* A frame to send, behind its vnet header, starts here in a slot (packet_mmap.rst: without PACKET_TX_HAS_OFF). */
#define TX_DATA (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))
#define TX_LONGEST (TX_SLOT_SIZE - TX_DATA)

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
static struct mmsghdr messages[BATCH_MAX];
static struct iovec parts[BATCH_MAX];
static uint8_t *lanes;
static uint8_t *tx_ring;
static unsigned tx_next;
static int tx_fd, tx_ring_fd, epoll_fd;
static volatile sig_atomic_t stopped;
static struct {
	uint64_t received, sent, dropped, refused, batches, sends, waits, long_frames, ring_full;
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

/* Messages [first, end) by sendmmsg; a refused one is counted and doesn't hold up the others. */
static void send_messages(unsigned first, unsigned end)
{
	while (first < end) {
		int sent = sendmmsg(tx_fd, messages + first, end - first, MSG_DONTWAIT);
		count.sends++;
		if (sent > 0) {
			count.sent += (unsigned)sent;
			first += (unsigned)sent;
		} else {
			count.refused++;
			first++;
		}
	}
}

static inline struct tpacket2_hdr *tx_slot(unsigned i)
{
	return (struct tpacket2_hdr *)(tx_ring + (size_t)(i % TX_SLOTS) * TX_SLOT_SIZE);
}

/*
 * Writes a frame into the next slot. hdr_len is the whole frame, so that the kernel copies all of it: what it took by
 * reference would still be read when the slot is ours again, because a TAP orphans a frame long before its guest reads it.
 */
static int fill_slot(const struct iovec *part)
{
	struct tpacket2_hdr *h = tx_slot(tx_next);
	uint8_t *data = (uint8_t *)h + TX_DATA;
	uint16_t header = (uint16_t)(part->iov_len - VNET);

	if (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
		return 0;
	memcpy(data, part->iov_base, part->iov_len);
	memcpy(data + 2, &header, sizeof header);
	h->tp_len = (uint32_t)part->iov_len;
	__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	tx_next++;
	return 1;
}

/*
 * Sends the filled slots [first, tx_next) to one port. At a frame that the port refuses the kernel stops and stays:
 * that slot and those behind it are taken back, so that the next frame is written where the kernel looks.
 */
static unsigned push_slots(unsigned first, const void *name)
{
	unsigned done = first;

	count.sends++;
	if (sendto(tx_ring_fd, NULL, 0, MSG_DONTWAIT, name, sizeof(struct sockaddr_ll)) < 0) {
		while (done < tx_next && tx_slot(done)->tp_status != TP_STATUS_SEND_REQUEST)
			done++;
		for (unsigned i = done; i < tx_next; i++)
			tx_slot(i)->tp_status = TP_STATUS_AVAILABLE;
	} else {
		done = tx_next;
	}
	tx_next = done;
	count.sent += done - first;
	return done - first;
}

/* All messages of [first, end) for the port of the first one, in their order; a sent one has no name any more. */
static void send_run(unsigned first, unsigned end)
{
	const void *name = messages[first].msg_hdr.msg_name;
	unsigned members[BATCH_MAX], n = 0, sent = 0;

	for (unsigned i = first; i < end; i++) {
		if (messages[i].msg_hdr.msg_name != name)
			continue;
		if (parts[i].iov_len > TX_LONGEST)
			break; /* long: everything before it goes first */
		members[n++] = i;
	}
	for (unsigned i = 0; i < n; i++)
		messages[members[i]].msg_hdr.msg_name = NULL;
	while (sent < n) {
		unsigned start = tx_next, i = sent;
		while (i < n && fill_slot(&parts[members[i]]))
			i++;
		if (i == sent) {
			count.ring_full += n - sent; /* the device holds every slot: what a full queue loses */
			return;
		}
		unsigned pushed = push_slots(start, name);
		sent += pushed;
		if (pushed < i - (sent - pushed)) {
			count.refused++;
			sent++;
		}
	}
}

static void send_batch(unsigned n)
{
	if (!opt.ring) {
		send_messages(0, n);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!messages[i].msg_hdr.msg_name)
			continue;
		unsigned end = i;
		while (end < n && messages[end].msg_hdr.msg_name && parts[end].iov_len > TX_LONGEST)
			end++;
		if (end == i)
			send_run(i--, n); /* and look again: a long frame of the same port may have ended the run early */
		else
			send_messages(i, end), i = end - 1;
	}
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
		parts[queued] = (struct iovec){frame - VNET, length + VNET};
		messages[queued++].msg_hdr.msg_name = &to->name;
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

static void set_packet(int fd, int name, int value)
{
	if (setsockopt(fd, SOL_PACKET, name, &value, sizeof value) < 0)
		DIE("setsockopt(SOL_PACKET)");
}

static void set_socket(int fd, int name, int value)
{
	if (setsockopt(fd, SOL_SOCKET, name, &value, sizeof value) < 0)
		DIE("setsockopt(SOL_SOCKET)");
}

static void attach_filter(int fd, struct sock_filter *code, unsigned n)
{
	struct sock_fprog program = {(unsigned short)n, code};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		DIE("SO_ATTACH_FILTER");
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return x < y ? -1 : x > y;
}

/* Appends a binary search for A among the sorted keys [low, high), ending in accept or reject. */
static unsigned emit_search(struct sock_filter *code, unsigned at, const unsigned *keys, unsigned low, unsigned high)
{
	if (high - low <= 1) {
		code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, keys[low], 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0x40000);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
		return at;
	}
	unsigned middle = (low + high) / 2, branch = at;
	at = emit_search(code, at + 2, keys, low, middle);
	/* Conditional jumps reach 255 instructions; the long way goes through an unconditional one. */
	code[branch] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, keys[middle], 0, 1);
	code[branch + 1] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, at - branch - 2);
	return emit_search(code, at, keys, middle, high);
}

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

static int open_sender(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		DIE("socket(AF_PACKET)");
	set_packet(fd, PACKET_VERSION, TPACKET_V2);
	set_packet(fd, PACKET_VNET_HDR, 1);
	set_packet(fd, PACKET_QDISC_BYPASS, opt.bypass);
	set_socket(fd, SO_SNDBUFFORCE, 32 << 20);
	return fd;
}

static void open_transmit(void)
{
	size_t size = TX_SLOTS * TX_SLOT_SIZE;
	struct tpacket_req q = {(unsigned)size, 1, TX_SLOT_SIZE, TX_SLOTS};

	tx_fd = open_sender();
	for (unsigned i = 0; i < BATCH_MAX; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_namelen = sizeof(struct sockaddr_ll), .msg_iov = &parts[i], .msg_iovlen = 1};
	lanes = malloc((size_t)LANES * LANE_SIZE);
	if (!opt.ring)
		return;
	tx_ring_fd = open_sender();
	if (setsockopt(tx_ring_fd, SOL_PACKET, PACKET_TX_RING, &q, sizeof q) < 0)
		DIE("PACKET_TX_RING");
	tx_ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, tx_ring_fd, 0);
	if (tx_ring == MAP_FAILED)
		DIE("mmap of the transmit ring");
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
	open_transmit();
	open_ring(&rings[0], 0);
	if (master.ifindex)
		open_ring(&rings[1], master.ifindex);
	printf("ready\n");
	fflush(stdout);
	uint64_t set_up_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	run(rings, master.ifindex ? 2 : 1);
	printf("{\"received\":%llu,\"sent\":%llu,\"dropped\":%llu,\"refused\":%llu,\"batches\":%llu,\"sends\":%llu,"
		   "\"waits\":%llu,\"longFrames\":%llu,\"ringFull\":%llu,\"cpuNs\":%llu}\n",
		(unsigned long long)count.received, (unsigned long long)count.sent, (unsigned long long)count.dropped,
		(unsigned long long)count.refused, (unsigned long long)count.batches, (unsigned long long)count.sends,
		(unsigned long long)count.waits, (unsigned long long)count.long_frames,
		(unsigned long long)count.ring_full,
		(unsigned long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - set_up_ns));
	return 0;
}
