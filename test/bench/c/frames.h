/*
 * The frames that the emulated guests send.
 *
 *   Ethernet 14 | IPv4 20 | UDP 8  | stamp 18 | zeros       any size from 60 bytes
 *   Ethernet 14 | IPv4 20 | TCP 20 | stamp 18 | zeros       GSO: 44 segments of 1460 bytes, 64,294 in all
 *
 * stamp: magic u16 | flow u32 | sequence u32 | sent at, ns, u64 (0: not stamped); host byte order.
 */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include "common.h"
#include <linux/virtio_net.h>

#define ETH_HLEN_ 14
#define IP_HLEN 20
#define UDP_STAMP (ETH_HLEN_ + IP_HLEN + 8)
#define TCP_STAMP (ETH_HLEN_ + IP_HLEN + 20)
#define STAMP_MAGIC 0xbe7cu
#define GSO_SIZE 1460
#define GSO_FRAME (ETH_HLEN_ + IP_HLEN + 20 + 44 * GSO_SIZE)

struct __attribute__((packed)) stamp {
	uint16_t magic;
	uint32_t flow;
	uint32_t sequence;
	uint64_t sent_ns;
};

struct address {
	uint8_t mac[6];
	uint8_t ip[4];
};

static inline uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint32_t sum16(const uint8_t *p, unsigned n)
{
	uint32_t sum = 0;
	for (unsigned i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/*
 * Writes `vnet` bytes of vnet header and `length` bytes of frame to `out`. The UDP checksum is left out (0, allowed in
 * IPv4); the TCP one is partial, its pseudo-header sum in place, as a guest that offloads leaves it.
 */
static inline void build_frame(uint8_t *out, int vnet, unsigned length, int gso, const struct address *from,
	const struct address *to, uint32_t flow)
{
	struct virtio_net_hdr *h = (struct virtio_net_hdr *)out;
	uint8_t *f = out + vnet, *ip = f + ETH_HLEN_, *l4 = ip + IP_HLEN;
	struct stamp s = {STAMP_MAGIC, flow, 0, 0};

	memset(out, 0, (size_t)vnet + length);
	memcpy(f, to->mac, 6);
	memcpy(f + 6, from->mac, 6);
	put16(f + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, length - ETH_HLEN_);
	put16(ip + 6, 0x4000); /* don't fragment */
	ip[8] = 64;
	ip[9] = gso ? 6 : 17;
	memcpy(ip + 12, from->ip, 4);
	memcpy(ip + 16, to->ip, 4);
	put16(ip + 10, (uint16_t)~fold(sum16(ip, IP_HLEN)));
	put16(l4, 1024 + (flow & 0x3fff));
	put16(l4 + 2, 9000);
	if (!gso) {
		put16(l4 + 4, length - ETH_HLEN_ - IP_HLEN);
		memcpy(f + UDP_STAMP, &s, sizeof s);
		return;
	}
	l4[12] = 0x50;
	l4[13] = 0x10; /* ACK */
	put16(l4 + 14, 0xffff);
	put16(l4 + 16, fold(sum16(ip + 12, 8) + 6 + length - ETH_HLEN_ - IP_HLEN));
	memcpy(f + TCP_STAMP, &s, sizeof s);
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	h->hdr_len = TCP_STAMP;
	h->gso_size = GSO_SIZE;
	h->csum_start = ETH_HLEN_ + IP_HLEN;
	h->csum_offset = 16;
}

/* Where the stamp of one of our frames lies, or NULL for a frame that isn't ours. */
static inline const struct stamp *stamp_of(const uint8_t *f, unsigned length)
{
	const struct stamp *s;
	if (length < 60 || f[12] != 8 || f[13] != 0)
		return NULL;
	s = (const struct stamp *)(f + (f[23] == 6 ? TCP_STAMP : UDP_STAMP));
	return s->magic == STAMP_MAGIC ? s : NULL;
}

static inline void parse_mac(uint8_t *mac, const char *text)
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
		fprintf(stderr, "MAC %s: want six bytes in hex, with colons between\n", text);
		exit(2);
	}
}

/* "MAC/IP" such as 02:00:00:00:00:01/10.0.0.1 */
static inline struct address parse_address(const char *text)
{
	struct address a;
	const char *slash = strchr(text, '/');
	if (!slash || sscanf(slash, "/%hhu.%hhu.%hhu.%hhu", a.ip, a.ip + 1, a.ip + 2, a.ip + 3) != 4) {
		fprintf(stderr, "address %s: want MAC/IPv4\n", text);
		exit(2);
	}
	parse_mac(a.mac, text);
	return a;
}

#endif
