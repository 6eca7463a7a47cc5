/*
 * A guest without QEMU: carries frames between a slave's TAP and a TAP of its own in another network
 * namespace, whose Linux stack then is the guest. The slave's TAP is treated just as QEMU treats it, and
 * frames cross whole, vnet header and all.
 *
 *     relay SLAVE-NETNS SLAVE-TAP GUEST-NETNS GUEST-TAP on|off
 *
 * The namespaces are paths for setns(2). The slave's TAP has to exist, the guest's is made and goes with
 * this process. The last word says whether the guest has checksum and segmentation offloads. Prints
 * "ready" when both are open; ends with status 0 when the slave's TAP is deleted, and when its parent dies.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

/* struct virtio_net_hdr_mrg_rxbuf, which QEMU sets once a modern virtio-net driver is up. */
enum { VNET_HDR_SIZE = 12 };
/* The largest GSO frame (64 KB), its Ethernet header and the vnet header. */
enum { BUFFER_SIZE = 65536 + 18 + VNET_HDR_SIZE };

struct direction {
	int from, to;
};

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "relay: %s %s: %s\n", what, which, strerror(errno));
	exit(1);
}

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail("enter", netns);
	close(fd);
}

static int set_iff(int fd, const char *name, int flags)
{
	struct ifreq request = { .ifr_flags = flags };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, TUNSETIFF, &request);
}

static int open_tap(const char *netns, const char *name, int offloads)
{
	int size = VNET_HDR_SIZE, sndbuf = 0x7fffffff;
	int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int fd;

	enter(netns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fail("open", "/dev/net/tun");
	/* A device made for many queues can't be opened as one for a single queue. */
	if (set_iff(fd, name, flags) < 0 && (errno != EINVAL || set_iff(fd, name, flags | IFF_MULTI_QUEUE) < 0))
		fail("open the TAP", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		fail("set the vnet header's size of", name);
	if (ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
		fail("set the offloads of", name);
	/* With less, a slow receiver would stop the sender. */
	if (ioctl(fd, TUNSETSNDBUF, &sndbuf) < 0)
		fail("set the send buffer of", name);
	return fd;
}

static void wait_for_frames(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };

	if (poll(&wanted, 1, -1) < 0 && errno != EINTR)
		fail("wait for", "frames");
}

static void *carry(void *argument)
{
	struct direction *direction = argument;
	char *frame = malloc(BUFFER_SIZE);

	if (!frame)
		fail("find memory for", "a frame");
	for (;;) {
		ssize_t length = read(direction->from, frame, BUFFER_SIZE);

		if (length > 0) {
			/*
			 * A TAP that is down (EIO) or a frame it doesn't like (EINVAL) loses the frame, as a NIC would;
			 * with EBADFD the device is gone.
			 */
			if (write(direction->to, frame, length) < 0 && errno == EBADFD)
				exit(0);
		} else if (length < 0 && errno == EAGAIN) {
			wait_for_frames(direction->from);
		} else if (length < 0 && errno == EBADFD) {
			exit(0);
		} else if (length == 0 || errno != EINTR) {
			fail("read from", "a TAP");
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;
	struct direction out, in;
	int offloads;

	if (argc != 6) {
		fprintf(stderr, "usage: relay SLAVE-NETNS SLAVE-TAP GUEST-NETNS GUEST-TAP on|off\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What QEMU asks for when the guest has negotiated all that Linux's virtio-net has by default. */
	offloads = strcmp(argv[5], "on") ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	in.from = open_tap(argv[1], argv[2], offloads);
	out.from = open_tap(argv[3], argv[4], offloads);
	in.to = out.from;
	out.to = in.from;
	puts("ready");
	fflush(stdout);
	if (pthread_create(&thread, NULL, carry, &out))
		fail("start", "a thread");
	carry(&in);
}
