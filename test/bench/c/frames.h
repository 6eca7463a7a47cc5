/*
 * The frames that the emulated guests send.
 *
 *   Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8  | stamp 18 | zeros       any size from 60 bytes, 80 with IPv6
 *   Ethernet 14 | IPv4 20 or IPv6 40 | TCP 20 | stamp 18 | zeros       GSO: 44 segments of what fits 1500 bytes
 *   Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8  | stamp 18 | zeros       USO: likewise
 *
 * stamp: magic u16 | flow u32 | sequence u32 | sent at, ns, u64 (0: not stamped); host byte order.
 */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include "common.h"
#include <arpa/inet.h>
#include <linux/virtio_net.h>

#define ETH_HLEN_ 14
#define IP_HLEN 20
#define IP6_HLEN 40
#define UDP_STAMP (ETH_HLEN_ + IP_HLEN + 8)
#define STAMP_MAGIC 0xbe7cu
#define GSO_SEGMENTS 44
#define GSO_MTU 1500
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* Linux 6.2 */
#endif
#define FLOW_FORGED 0xf0463du /* what nobody may ever see arrive */

enum gso { GSO_NONE, GSO_TCP, GSO_UDP };

struct __attribute__((packed)) stamp {
	uint16_t magic;
	uint32_t flow;
	uint32_t sequence;
	uint64_t sent_ns;
};

struct address {
	uint8_t mac[6];
	uint8_t ip[16]; /* an IPv4 one has the first four bytes */
	int v6;
};

static inline unsigned ip_length(int v6)
{
	return v6 ? IP6_HLEN : IP_HLEN;
}

/* Where the stamp begins: behind all headers. */
static inline unsigned stamp_offset(int v6, enum gso gso)
{
	return ETH_HLEN_ + ip_length(v6) + (gso == GSO_TCP ? 20 : 8);
}

static inline unsigned segment_size(int v6, enum gso gso)
{
	return GSO_MTU + ETH_HLEN_ - stamp_offset(v6, gso);
}

static inline unsigned gso_length(int v6, enum gso gso)
{
	return stamp_offset(v6, gso) + GSO_SEGMENTS * segment_size(v6, gso);
}

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

/* A partial checksum, as a guest that offloads leaves it: the pseudo-header's sum in its place, and where that is. */
static inline void put_partial(struct virtio_net_hdr *h, uint8_t *ip, int v6, enum gso gso, unsigned length)
{
	unsigned header = ip_length(v6), at = gso == GSO_TCP ? 16 : 6, size = v6 ? 32 : 8;
	uint32_t sum = sum16(ip + header - size, size) + (gso == GSO_TCP ? 6 : 17) + length;

	put16(ip + header + at, fold(sum));
	if (!h)
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)(ETH_HLEN_ + header);
	h->csum_offset = (uint16_t)at;
}

static inline void put_ip4(uint8_t *ip, unsigned length, int protocol, const struct address *from, const struct address *to)
{
	ip[0] = 0x45;
	put16(ip + 2, length);
	put16(ip + 6, 0x4000); /* don't fragment */
	ip[8] = 64;
	ip[9] = (uint8_t)protocol;
	memcpy(ip + 12, from->ip, 4);
	memcpy(ip + 16, to->ip, 4);
	put16(ip + 10, (uint16_t)~fold(sum16(ip, IP_HLEN)));
}

static inline void put_ip6(uint8_t *ip, unsigned length, int protocol, const struct address *from, const struct address *to)
{
	ip[0] = 0x60;
	put16(ip + 4, length - IP6_HLEN);
	ip[6] = (uint8_t)protocol;
	ip[7] = 64;
	memcpy(ip + 8, from->ip, 16);
	memcpy(ip + 24, to->ip, 16);
}

/*
 * Writes `vnet` bytes of vnet header and `length` bytes of frame to `out`. IPv4's UDP checksum is left out (0, allowed
 * there); any other is partial.
 */
static inline void build_frame(uint8_t *out, int vnet, unsigned length, enum gso gso, const struct address *from,
	const struct address *to, uint32_t flow)
{
	struct virtio_net_hdr *h = vnet ? (struct virtio_net_hdr *)out : NULL;
	uint8_t *f = out + vnet, *ip = f + ETH_HLEN_, *l4 = ip + ip_length(from->v6);
	struct stamp s = {STAMP_MAGIC, flow, 0, 0};
	unsigned segment = length - (unsigned)(l4 - f);

	memset(out, 0, (size_t)vnet + length);
	memcpy(f, to->mac, 6);
	memcpy(f + 6, from->mac, 6);
	put16(f + 12, from->v6 ? 0x86dd : 0x0800);
	(from->v6 ? put_ip6 : put_ip4)(ip, length - ETH_HLEN_, gso == GSO_TCP ? 6 : 17, from, to);
	put16(l4, 1024 + (flow & 0x3fff));
	put16(l4 + 2, 9000);
	memcpy(f + stamp_offset(from->v6, gso), &s, sizeof s);
	if (gso == GSO_TCP) {
		l4[12] = 0x50;
		l4[13] = 0x10; /* ACK */
		put16(l4 + 14, 0xffff);
	} else {
		put16(l4 + 4, segment);
	}
	if (gso || from->v6)
		put_partial(h, ip, from->v6, gso, segment);
	if (!gso || !h)
		return;
	h->gso_type = gso == GSO_UDP ? VIRTIO_NET_HDR_GSO_UDP_L4
		: from->v6				 ? VIRTIO_NET_HDR_GSO_TCPV6
								 : VIRTIO_NET_HDR_GSO_TCPV4;
	h->hdr_len = (uint16_t)stamp_offset(from->v6, gso);
	h->gso_size = (uint16_t)segment_size(from->v6, gso);
}

/* Where the stamp of one of our frames lies, or NULL for a frame that isn't ours. */
static inline const struct stamp *stamp_of(const uint8_t *f, unsigned length)
{
	int v6 = f[12] == 0x86 && f[13] == 0xdd;
	const struct stamp *s;
	if (length < (v6 ? 80 : 60) || (!v6 && (f[12] != 8 || f[13] != 0)))
		return NULL;
	s = (const struct stamp *)(f + stamp_offset(v6, f[v6 ? 20 : 23] == 6 ? GSO_TCP : GSO_NONE));
	return s->magic == STAMP_MAGIC ? s : NULL;
}

static inline void parse_mac(uint8_t *mac, const char *text)
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
		fprintf(stderr, "MAC %s: want six bytes in hex, with colons between\n", text);
		exit(2);
	}
}

/* "MAC/IP" such as 02:00:00:00:00:01/10.0.0.1 or 02:00:00:00:00:01/fd00::1 */
static inline struct address parse_address(const char *text)
{
	struct address a = {0};
	const char *slash = strchr(text, '/');
	a.v6 = slash && strchr(slash, ':');
	if (!slash || inet_pton(a.v6 ? AF_INET6 : AF_INET, slash + 1, a.ip) != 1) {
		fprintf(stderr, "address %s: want MAC/IP\n", text);
		exit(2);
	}
	parse_mac(a.mac, text);
	return a;
}

#endif
