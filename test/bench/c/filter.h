/* Classic BPF programs that keep a ring to the frames that are for it: a binary search over sorted keys. */
#ifndef BENCH_FILTER_H
#define BENCH_FILTER_H

#include "common.h"
#include <linux/filter.h>
#include <sys/socket.h>

static inline void attach_filter(int fd, struct sock_filter *code, unsigned n)
{
	struct sock_fprog program = {(unsigned short)n, code};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		DIE("SO_ATTACH_FILTER");
}

static inline int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return x < y ? -1 : x > y;
}

/* Appends a binary search for A among the sorted keys [low, high), ending in accept or reject. */
static inline unsigned emit_search(struct sock_filter *code, unsigned at, const unsigned *keys, unsigned low, unsigned high)
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

#endif
