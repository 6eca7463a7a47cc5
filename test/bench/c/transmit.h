/*
 * A batch of frames on their way out, each to its own device: by one sendmmsg, or through a transmit ring, a run of
 * frames to one device at a time. A frame that is refused is counted and doesn't hold up the others.
 */
#ifndef BENCH_TRANSMIT_H
#define BENCH_TRANSMIT_H

#include "common.h"
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define VNET 10
#define BATCH_MAX 1024
#define TX_SLOTS 512u
#define TX_SLOT_SIZE 2048u
/* A frame to send, behind its vnet header, starts here in a slot (packet_mmap.rst: without PACKET_TX_HAS_OFF). */
#define TX_DATA (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))
#define TX_LONGEST (TX_SLOT_SIZE - TX_DATA)

static struct {
	int fd, ring_fd;
	uint8_t *ring;
	unsigned next;
	uint64_t sent, sends, refused, ring_full;
} tx;
static struct mmsghdr messages[BATCH_MAX];
static struct iovec parts[BATCH_MAX];

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

static inline int open_sender(int bypass)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		DIE("socket(AF_PACKET)");
	set_packet(fd, PACKET_VERSION, TPACKET_V2);
	set_packet(fd, PACKET_VNET_HDR, 1);
	set_packet(fd, PACKET_QDISC_BYPASS, bypass);
	set_socket(fd, SO_SNDBUFFORCE, 32 << 20);
	return fd;
}

/* `with_ring`: short frames go through a transmit ring. */
static inline void open_transmit(int with_ring, int bypass)
{
	size_t size = TX_SLOTS * TX_SLOT_SIZE;
	struct tpacket_req q = {(unsigned)size, 1, TX_SLOT_SIZE, TX_SLOTS};

	tx.fd = open_sender(bypass);
	for (unsigned i = 0; i < BATCH_MAX; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_namelen = sizeof(struct sockaddr_ll), .msg_iov = &parts[i], .msg_iovlen = 1};
	if (!with_ring)
		return;
	tx.ring_fd = open_sender(bypass);
	if (setsockopt(tx.ring_fd, SOL_PACKET, PACKET_TX_RING, &q, sizeof q) < 0)
		DIE("PACKET_TX_RING");
	tx.ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, tx.ring_fd, 0);
	if (tx.ring == MAP_FAILED)
		DIE("mmap of the transmit ring");
}

/* The frame, behind its vnet header, as number `i` of the batch. */
static inline void add_message(unsigned i, uint8_t *frame, unsigned length, struct sockaddr_ll *name)
{
	parts[i] = (struct iovec){frame - VNET, length + VNET};
	messages[i].msg_hdr.msg_name = name;
}

/*
 * A port refuses frames when its guest has not read the ones before, and that guest may be waiting for this very core:
 * what we would send it now would only be lost, at full price.
 */
static inline void give_way(void)
{
	sched_yield();
}

/* Messages [first, end) by sendmmsg; a refused one is counted and doesn't hold up the others. */
static inline void send_messages(unsigned first, unsigned end)
{
	while (first < end) {
		int sent = sendmmsg(tx.fd, messages + first, end - first, MSG_DONTWAIT);
		tx.sends++;
		if (sent > 0) {
			tx.sent += (unsigned)sent;
			first += (unsigned)sent;
		} else {
			tx.refused++;
			first++;
			give_way();
		}
	}
}

static inline struct tpacket2_hdr *tx_slot(unsigned i)
{
	return (struct tpacket2_hdr *)(tx.ring + (size_t)(i % TX_SLOTS) * TX_SLOT_SIZE);
}

/*
 * Writes a frame into the next slot. hdr_len is the whole frame, so that the kernel copies all of it: what it took by
 * reference would still be read when the slot is ours again, because a TAP orphans a frame long before its guest reads it.
 */
static inline int fill_slot(const struct iovec *part)
{
	struct tpacket2_hdr *h = tx_slot(tx.next);
	uint8_t *data = (uint8_t *)h + TX_DATA;
	uint16_t header = (uint16_t)(part->iov_len - VNET);

	if (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
		return 0;
	memcpy(data, part->iov_base, part->iov_len);
	memcpy(data + 2, &header, sizeof header);
	h->tp_len = (uint32_t)part->iov_len;
	__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	tx.next++;
	return 1;
}

/*
 * Sends the filled slots [first, tx.next) to one port. At a frame that the port refuses the kernel stops and stays:
 * that slot and those behind it are taken back, so that the next frame is written where the kernel looks.
 */
static inline unsigned push_slots(unsigned first, const void *name)
{
	unsigned done = first;

	tx.sends++;
	if (sendto(tx.ring_fd, NULL, 0, MSG_DONTWAIT, name, sizeof(struct sockaddr_ll)) < 0) {
		give_way();
		while (done < tx.next && tx_slot(done)->tp_status != TP_STATUS_SEND_REQUEST)
			done++;
		for (unsigned i = done; i < tx.next; i++)
			tx_slot(i)->tp_status = TP_STATUS_AVAILABLE;
	} else {
		done = tx.next;
	}
	tx.next = done;
	tx.sent += done - first;
	return done - first;
}

/* All messages of [first, end) for the port of the first one, in their order; a sent one has no name any more. */
static inline void send_run(unsigned first, unsigned end)
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
		unsigned start = tx.next, i = sent;
		while (i < n && fill_slot(&parts[members[i]]))
			i++;
		if (i == sent) {
			tx.ring_full += n - sent; /* the device holds every slot: what a full queue loses */
			return;
		}
		unsigned pushed = push_slots(start, name);
		sent += pushed;
		if (pushed < i - (sent - pushed)) {
			tx.refused++;
			sent++;
		}
	}
}

static inline void send_batch(unsigned n)
{
	if (!tx.ring) {
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

#endif
