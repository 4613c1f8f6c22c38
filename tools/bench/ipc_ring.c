// SPDX-License-Identifier: Apache-2.0
/*
 * A ring of messages in shared memory, for one process that sends and one that receives:
 * what can be had without the kernel but for sleeping.  A side sleeps only when the ring is
 * empty or has no room for its message, on a futex (shared) or an eventfd.  Each side takes
 * the other's index and lengths for what a stranger wrote: EUCLEAN.
 *
 * In the area each message has a header of 8 bytes and is rounded up to 8, and these count:
 * what is on its way is at most the capacity and one header.
 *
 * Sleeping: a side says that it waits, then looks again; the other one moves its index, then
 * looks whether somebody waits.  The fences keep both from missing each other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc.h"

enum { RX, TX };

struct side {
	_Alignas(64) _Atomic uint64_t index;	/* bytes ever put (TX) or taken (RX) */
	_Alignas(64) _Atomic uint32_t waits;
	_Atomic uint64_t until;			/* for this index of the other side */
};

struct shm_ring {
	struct side side[2];
	_Alignas(64) char area[];
};

static size_t limit_of(const struct channel *c)
{
	return c->capacity + 8;
}

/* Of the area, a power of two that has room for limit_of() bytes. */
static size_t mask_of(const struct channel *c)
{
	return 2 * c->capacity - 1;
}

static size_t framed(size_t len)
{
	return 8 + ((len + 7) & ~(size_t)7);
}

static int make(struct channel *c)
{
	size_t bytes = sizeof(struct shm_ring) + mask_of(c) + 1;

	if (c->capacity & (c->capacity - 1)) {
		errno = EINVAL;
		return -1;
	}
	c->mine = 0;
	c->theirs = 0;
	c->ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (c->ring == MAP_FAILED)
		return -1;
	if (c->means == &ipc_shared)
		return 0;
	c->fd[RX] = eventfd(0, 0);
	c->fd[TX] = eventfd(0, 0);
	return c->fd[RX] < 0 || c->fd[TX] < 0 ? -1 : 0;
}

static void unmake(struct channel *c)
{
	munmap(c->ring, sizeof(struct shm_ring) + mask_of(c) + 1);
	if (c->fd[RX] >= 0)
		close(c->fd[RX]);
	if (c->fd[TX] >= 0)
		close(c->fd[TX]);
}

static long futex(struct channel *c, int side, int what)
{
	return syscall(SYS_futex, &c->ring->side[side].waits, what, 1, NULL, NULL, 0);
}

static int sleep_on(struct channel *c, int side)
{
	uint64_t word;

	if (c->means == &ipc_shared)
		return futex(c, side, FUTEX_WAIT) && errno != EAGAIN && errno != EINTR ? -1 : 0;
	return read(c->fd[side], &word, sizeof(word)) == sizeof(word) ? 0 : -1;
}

static int wake(struct channel *c, int side)
{
	uint64_t one = 1;

	if (c->means == &ipc_shared)
		return futex(c, side, FUTEX_WAKE) < 0 ? -1 : 0;
	return write(c->fd[side], &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

/* Whether the other side's index, read anew, can be true. */
static bool sane(struct channel *c, int side)
{
	c->theirs = atomic_load_explicit(&c->ring->side[!side].index, memory_order_acquire);
	if ((side == TX ? c->mine - c->theirs : c->theirs - c->mine) <= limit_of(c))
		return true;
	errno = EUCLEAN;
	return false;
}

/* Until the other side's index is @until or more. */
static int await(struct channel *c, int side, uint64_t until)
{
	struct side *me = &c->ring->side[side];

	if ((int64_t)(c->theirs - until) >= 0)
		return 0;
	for (;;) {
		if (!sane(c, side))
			return -1;
		if ((int64_t)(c->theirs - until) >= 0)
			return 0;
		atomic_store_explicit(&me->until, until, memory_order_relaxed);
		atomic_store_explicit(&me->waits, 1, memory_order_seq_cst);
		atomic_thread_fence(memory_order_seq_cst);
		if (!sane(c, side))
			return -1;
		/* Who is being woken already has to take that: on an eventfd it would stay. */
		if ((int64_t)(c->theirs - until) >= 0 && atomic_exchange(&me->waits, 0))
			return 0;
		if (sleep_on(c, side))
			return -1;
	}
}

/* This side's index is now @index; the other one may be waiting for that. */
static int publish(struct channel *c, int side, uint64_t index)
{
	struct side *other = &c->ring->side[!side];

	c->mine = index;
	atomic_store_explicit(&c->ring->side[side].index, index, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&other->waits, memory_order_acquire) ||
	    (int64_t)(index - atomic_load_explicit(&other->until, memory_order_relaxed)) < 0 ||
	    !atomic_exchange(&other->waits, 0))
		return 0;
	return wake(c, !side);
}

static ssize_t put(struct channel *c, const char *buf, size_t len)
{
	size_t mask = mask_of(c), at = (c->mine + 8) & mask, first = mask + 1 - at;
	char *area = c->ring->area;
	uint64_t head = len;

	if (framed(len) > limit_of(c)) {
		errno = EMSGSIZE;
		return -1;
	}
	if (await(c, TX, c->mine + framed(len) - limit_of(c)))
		return -1;
	if (first > len)
		first = len;
	memcpy(area + (c->mine & mask), &head, sizeof(head));
	memcpy(area + at, buf, first);
	memcpy(area, buf + first, len - first);
	return publish(c, TX, c->mine + framed(len)) ? -1 : (ssize_t)len;
}

static ssize_t take(struct channel *c, char *buf, size_t room)
{
	size_t mask = mask_of(c), at = (c->mine + 8) & mask, first = mask + 1 - at;
	const char *area = c->ring->area;
	uint64_t len;

	if (await(c, RX, c->mine + 8))
		return -1;
	memcpy(&len, area + (c->mine & mask), sizeof(len));
	if (len > c->capacity || framed(len) > c->theirs - c->mine) {
		errno = EUCLEAN;
		return -1;
	}
	if (len > room) {
		errno = EMSGSIZE;
		return -1;
	}
	if (first > len)
		first = len;
	memcpy(buf, area + at, first);
	memcpy(buf + first, area, len - first);
	return publish(c, RX, c->mine + framed(len)) ? -1 : (ssize_t)len;
}

const struct means ipc_eventfd = { "eventfd", false, false, 1, make, NULL, put, take, unmake };
const struct means ipc_shared = { "shared", false, false, 1, make, NULL, put, take, unmake };
