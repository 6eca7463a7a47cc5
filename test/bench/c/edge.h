/*
 * One end of a path: a TAP's fd, held exactly as QEMU holds it, or the far end of the wire through AF_PACKET.
 *
 *   tap:NAME     /dev/net/tun, TUNSETIFF by name (a persistent TAP, or a new one)
 *   file:PATH    a macvtap's or ipvtap's own character device
 *   vde:FOLDER   a port of the vde_switch whose control socket is in this folder, as QEMU's -netdev vde opens it
 *   packet:NAME[@NETNS]  AF_PACKET on a network device, of the network namespace of this name (`ip netns`) where one
 *                is given: what stands for another machine on the wire
 *
 * Every frame carries a vnet header before it, in both directions (12 bytes at a TAP, as QEMU's virtio-net asks
 * for with mergeable buffers; 10 at AF_PACKET; none at VDE, which knows no such thing).
 */
#ifndef BENCH_EDGE_H
#define BENCH_EDGE_H

#include "common.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define VNET_TAP 12
#define VNET_PACKET 10
#define WIRE_SLOT 2048u /* a longer frame is cut in the ring: the wire counts it, by tp_len */
#define WIRE_SLOTS 8192u
#define FRAME_MAX 65550

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2 */
#define TUN_F_USO6 0x40
#endif

enum edge_kind { EDGE_FILE, EDGE_PACKET };

struct edge {
	enum edge_kind kind;
	int fd; /* poll this one */
	int vnet;
	uint8_t *ring; /* EDGE_PACKET: TPACKET_V2 */
	unsigned slot;
	uint8_t *buffer; /* EDGE_FILE: the last frame read, vnet header first */
};

/* What the guest's driver has negotiated. */
static unsigned tap_offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

static inline void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof value) < 0)
		DIE("setsockopt");
}

/* The kernel brings up what has got its carrier a little later, and drops what is sent to it until then. */
static inline void await_running(const char *name)
{
	struct ifreq r = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	for (int i = 0; i < 1000; i++) {
		if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0 || !(r.ifr_flags & IFF_UP))
			break;
		/* First it is said to run (linkwatch_do_dev), and right behind it does: hence once more. */
		sleep_ns(1000000);
		if (r.ifr_flags & IFF_RUNNING)
			break;
	}
	close(fd);
}

static inline void edge_open_tap(struct edge *e, const char *path, const char *name)
{
	int size = VNET_TAP, sndbuf = INT_MAX;

	e->kind = EDGE_FILE;
	e->vnet = VNET_TAP;
	e->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (e->fd < 0)
		DIE(path);
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	if (name)
		snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	if (ioctl(e->fd, TUNSETIFF, &r) < 0) {
		r.ifr_flags |= IFF_MULTI_QUEUE; /* a persistent TAP made with queues refuses the other form */
		if (ioctl(e->fd, TUNSETIFF, &r) < 0)
			DIE(name ? name : path);
	}
	if (ioctl(e->fd, TUNSETVNETHDRSZ, &size) < 0)
		DIE("TUNSETVNETHDRSZ");
	if (ioctl(e->fd, TUNSETOFFLOAD, tap_offloads) < 0)
		DIE("TUNSETOFFLOAD");
	if (ioctl(e->fd, TUNSETSNDBUF, &sndbuf) < 0)
		DIE("TUNSETSNDBUF");
	e->buffer = malloc(VNET_TAP + FRAME_MAX);
	if (name)
		await_running(name);
}

/* What vde_switch reads from a new connection (libvdeplug, request_v3). */
struct __attribute__((packed)) vde_request {
	uint32_t magic, version, type;
	struct sockaddr_un sock;
};

static inline void edge_open_vde(struct edge *e, const char *folder)
{
	static int count;
	struct vde_request request = {0xfeedface, 3, 0, {.sun_family = AF_UNIX}};
	struct sockaddr_un there = {.sun_family = AF_UNIX};
	int control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	e->kind = EDGE_FILE;
	e->vnet = 0;
	e->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(there.sun_path, sizeof there.sun_path, "%s/ctl", folder);
	snprintf(request.sock.sun_path, sizeof request.sock.sun_path, "%s/guest.%d.%d", folder, getpid(), count++);
	if (bind(e->fd, (struct sockaddr *)&request.sock, sizeof request.sock) < 0 ||
		connect(control, (struct sockaddr *)&there, sizeof there) < 0)
		DIE(folder);
	/* The port lives as long as this connection, which ends with the process. */
	if (send(control, &request, sizeof request, 0) != sizeof request ||
		recv(control, &there, sizeof there, 0) <= 0 || connect(e->fd, (struct sockaddr *)&there, sizeof there) < 0)
		DIE("open a port of vde_switch");
	unlink(request.sock.sun_path);
	e->buffer = malloc(FRAME_MAX + VNET_TAP);
}

static inline int packet_socket(unsigned ifindex, int protocol)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = (int)ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		DIE("socket(AF_PACKET)");
	set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		DIE("bind(AF_PACKET)");
	return fd;
}

static inline void edge_open_packet(struct edge *e, const char *name, int receives)
{
	unsigned ifindex = if_nametoindex(name);
	struct tpacket_req q = {1u << 20, WIRE_SLOT * WIRE_SLOTS >> 20, WIRE_SLOT, WIRE_SLOTS};

	if (!ifindex)
		DIE(name);
	e->kind = EDGE_PACKET;
	e->vnet = VNET_PACKET;
	if (!receives) {
		e->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		set_option(e->fd, SOL_PACKET, PACKET_VNET_HDR, 1);
		set_option(e->fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
		set_option(e->fd, SOL_SOCKET, SO_SNDBUFFORCE, 32 << 20); /* several frames of 64 KB at once */
		struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)ifindex};
		if (bind(e->fd, (struct sockaddr *)&at, sizeof at) < 0)
			DIE("bind(AF_PACKET)");
		return;
	}
	e->fd = packet_socket(ifindex, ETH_P_ALL);
	if (setsockopt(e->fd, SOL_PACKET, PACKET_RX_RING, &q, sizeof q) < 0)
		DIE("PACKET_RX_RING");
	e->ring = mmap(NULL, WIRE_SLOT * WIRE_SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
	if (e->ring == MAP_FAILED)
		DIE("mmap of a ring");
}

/* "NAME" or "NAME@NETNS": a socket stays in the namespace that it was opened in. */
static inline void edge_open_packet_in(struct edge *e, const char *spec, int receives)
{
	char name[IFNAMSIZ], path[128];
	const char *at = strchr(spec, '@');
	int length = at ? (int)(at - spec) : (int)strlen(spec), here, there;

	snprintf(name, sizeof name, "%.*s", length, spec);
	if (!at) {
		edge_open_packet(e, name, receives);
		return;
	}
	snprintf(path, sizeof path, "/run/netns/%s", at + 1);
	here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		DIE(path);
	edge_open_packet(e, name, receives);
	if (setns(here, CLONE_NEWNET) < 0)
		DIE("setns back");
	close(here);
	close(there);
}

static inline void edge_open(struct edge *e, const char *spec, int receives)
{
	memset(e, 0, sizeof *e);
	if (!strncmp(spec, "tap:", 4))
		edge_open_tap(e, "/dev/net/tun", spec + 4);
	else if (!strncmp(spec, "file:", 5))
		edge_open_tap(e, spec + 5, NULL);
	else if (!strncmp(spec, "vde:", 4))
		edge_open_vde(e, spec + 4);
	else if (!strncmp(spec, "packet:", 7))
		edge_open_packet_in(e, spec + 7, receives);
	else {
		fprintf(stderr, "edge %s: want tap:NAME, file:PATH, vde:FOLDER or packet:NAME[@NETNS]\n", spec);
		exit(2);
	}
}

/*
 * The next frame, or NULL when there is none. `length` is the frame's, without the vnet header, and may exceed what
 * lies at the returned address (a ring slot). `gso` says whether it came as one unsegmented GSO frame.
 */
static inline const uint8_t *edge_receive(struct edge *e, unsigned *length, int *gso)
{
	if (e->kind == EDGE_FILE) {
		ssize_t n = read(e->fd, e->buffer, VNET_TAP + FRAME_MAX);
		if (n <= e->vnet)
			return NULL;
		*length = (unsigned)(n - e->vnet);
		*gso = e->vnet && ((struct virtio_net_hdr *)e->buffer)->gso_type != VIRTIO_NET_HDR_GSO_NONE;
		return e->buffer + e->vnet;
	}
	struct tpacket2_hdr *h = (struct tpacket2_hdr *)(e->ring + e->slot * WIRE_SLOT);
	if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return NULL;
	*length = h->tp_len;
	*gso = h->tp_len > 1600;
	return (const uint8_t *)h + h->tp_mac;
}

/* Gives the frame of the last edge_receive() back. */
static inline void edge_release(struct edge *e)
{
	if (e->kind != EDGE_PACKET)
		return;
	struct tpacket2_hdr *h = (struct tpacket2_hdr *)(e->ring + e->slot * WIRE_SLOT);
	__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	e->slot = (e->slot + 1) % WIRE_SLOTS;
}

#endif
