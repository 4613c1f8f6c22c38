/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Means of passing messages between processes, one struct each.  A channel is made by the
 * parent before its processes are forked and closed by it when they have ended; a process
 * only sends or only receives on it.
 */
#ifndef BENCH_IPC_H
#define BENCH_IPC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct channel;

struct means {
	const char *name;
	bool many;		/* more than one process may send, and receive */
	bool bytes;		/* no messages: recv() may give any part of what was sent */
	unsigned int batch;	/* so many messages at most go with one call */
	int (*make)(struct channel *c);	/* -1: errno says why it cannot be had */
	/* In a process, not timed: it will send, or receive.  May be NULL. */
	int (*join)(struct channel *c, bool sends);
	/* Of @len bytes, whole messages of channel.size; how many of them, or -1 and errno. */
	ssize_t (*send)(struct channel *c, const char *buf, size_t len);
	ssize_t (*recv)(struct channel *c, char *buf, size_t len);
	void (*close)(struct channel *c);
};

struct channel {
	const struct means *means;
	size_t size;		/* of each message */
	size_t capacity;	/* bytes of messages that were sent and not received */
	const char *dir[2];	/* of nexusfs, of tmpfs */
	int fd[2];		/* to receive, to send; -1: not used */
	/* of shared memory, see ipc_ring.c */
	struct shm_ring *ring;
	struct nexus_ring_map *map;	/* see ipc_mapped.c */
	uint64_t mine, theirs;	/* indices of this side, and of the other as last read */
};

extern const struct means * const ipc_means[];
extern const struct means ipc_eventfd, ipc_shared, ipc_mapped;

/* A ring of nexusfs, and its end. */
int ipc_make_ring(struct channel *c);
void ipc_shut(struct channel *c);

#endif
