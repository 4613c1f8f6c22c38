// SPDX-License-Identifier: Apache-2.0
/*
 * Mapped rings: lib/spsc.c on memory that the kernel shares out, and the kernel's help to
 * sleep, to wake, and to know that the other side is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <nexus/ring.h>

/* All of it, so that it is inlined: a message of a few bytes is not much more than a call. */
#define NEXUS_SPSC_FN	static inline
#include "lib/spsc.c" /* NOLINT(bugprone-suspicious-include) */

_Static_assert(sizeof(struct nexus_spsc_side) == sizeof(struct nexus_ring_words) &&
	       offsetof(struct nexus_spsc_side, dozes) == offsetof(struct nexus_ring_words, dozes),
	       "the layout of a side's page");

/* How often to look again before sleeping, in turns: more when that helped, else less. */
#define SPIN_MIN	4u
#define SPIN_MAX	256u

/* How long who finds a ring full may sleep on although there is room, see lib/spsc.h. */
#define LAZY_NS		1000000

struct nexus_ring_map {
	struct nexus_spsc spsc;
	const uint32_t *status;
	int fd;
	bool dozes;
	unsigned int spin;
	void *area;
	size_t len;
};

static int call(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* ---- opening -------------------------------------------------------------------- */

/* All of it is there to read, and then what is this side's own to write. */
static int map_all(struct nexus_ring_map *map, const struct nexus_ring_mapping *m)
{
	bool sends = m->side == NEXUS_RING_SENDS;
	uint64_t own = sends ? m->sender : m->receiver;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *area;

	map->len = m->data + 2 * m->size;
	map->area = mmap(NULL, map->len, PROT_READ, MAP_SHARED, map->fd, 0);
	if (map->area == MAP_FAILED)
		return -errno;
	area = map->area;
	if (mmap(area + own, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, map->fd,
		 (off_t)own) == MAP_FAILED)
		return -errno;
	if (sends && mmap(area + m->data, 2 * m->size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, map->fd, (off_t)m->data) == MAP_FAILED)
		return -errno;
	map->status = (const uint32_t *)(area + m->status);
	return nexus_spsc_attach(&map->spsc, sends, (void *)(area + own),
				 (void *)(area + (sends ? m->receiver : m->sender)),
				 area + m->data, m->size, m->capacity);
}

NEXUS_EXPORT void nexus_ring_map_close(struct nexus_ring_map *map)
{
	if (!map)
		return;
	if (map->area != MAP_FAILED)
		munmap(map->area, map->len);
	close(map->fd);
	free(map);
}

NEXUS_EXPORT int nexus_ring_map_open(int fd, unsigned int side, struct nexus_ring_map **mapp)
{
	struct nexus_ring_mapping m = { .side = side };
	struct nexus_ring_map *map = calloc(1, sizeof(*map));
	int err;

	if (!map)
		return -ENOMEM;
	map->fd = call(fd, NEXUS_IOC_RING_MAP, &m);
	if (map->fd < 0) {
		err = map->fd;
		free(map);
		return err;
	}
	map->area = MAP_FAILED;
	map->spin = SPIN_MAX / 4;
	err = map_all(map, &m);
	if (err) {
		nexus_ring_map_close(map);
		return err;
	}
	*mapp = map;
	return 0;
}

NEXUS_EXPORT int nexus_ring_map_fd(const struct nexus_ring_map *map)
{
	return map->fd;
}

/* ---- waiting -------------------------------------------------------------------- */

/* One try to go on. */
typedef int (*try_fn)(struct nexus_ring_map *map, void *arg);

static bool status(const struct nexus_ring_map *map, uint32_t flag)
{
	return (nexus_load_acquire(map->status) & flag) != 0;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

static bool moved(const struct nexus_ring_map *map)
{
	const struct nexus_spsc *r = &map->spsc;

	return nexus_load(nexus_spsc_word(r)) != nexus_spsc_at(r->seen, r->seen_payload);
}

static int spin(struct nexus_ring_map *map, try_fn try, void *arg)
{
	unsigned int i;
	int ret;

	for (i = 0; i < map->spin; i++) {
		relax();
		if (!moved(map))
			continue;
		ret = try(map, arg);
		if (ret == -EAGAIN)
			continue;
		if (map->spin < SPIN_MAX)
			map->spin *= 2;
		return ret;
	}
	if (map->spin > SPIN_MIN)
		map->spin /= 2;
	return -EAGAIN;
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Until the other side has moved; 0, or whatever else the wait ended with. */
static int sleep_until(struct nexus_ring_map *map, int64_t deadline, int64_t most)
{
	struct nexus_ring_wait w = { .at = nexus_spsc_seen(&map->spsc), .timeout = most };
	int err;

	if (deadline) {
		w.timeout = deadline - now();
		if (w.timeout <= 0)
			return -ETIMEDOUT;
		if (most > 0 && w.timeout > most)
			w.timeout = most;
	}
	err = call(map->fd, NEXUS_IOC_RING_WAIT, &w);
	return err == -ETIMEDOUT && w.timeout == most ? 0 : err;
}

static int64_t deadline_of(int64_t timeout_ms)
{
	int64_t from = now();

	if (timeout_ms > (INT64_MAX - from) / 1000000)
		return INT64_MAX;
	return from + timeout_ms * 1000000;
}

/* @try said -EAGAIN: it is not asked to wait, but is told of by poll(2). */
static int refuse(struct nexus_ring_map *map, try_fn try, void *arg)
{
	struct nexus_ring_wait w = { .timeout = 0 };
	int ret;

	map->dozes = true;
	do {
		nexus_spsc_doze(&map->spsc);
		ret = try(map, arg);
		if (ret != -EAGAIN || !map->spsc.produces)
			return ret;
		w.at = nexus_spsc_seen(&map->spsc);
		ret = call(map->fd, NEXUS_IOC_RING_WAIT, &w);
	} while (!ret);
	return ret;
}

/* @lazy: may sleep on for a moment although it could go on. */
static int wait_for(struct nexus_ring_map *map, int64_t timeout_ms, bool lazy, try_fn try, void *arg)
{
	int64_t deadline = 0;
	int ret, err;

	if (!timeout_ms)
		return refuse(map, try, arg);
	ret = spin(map, try, arg);
	if (ret != -EAGAIN)
		return ret;
	if (timeout_ms > 0)
		deadline = deadline_of(timeout_ms);
	map->dozes = true;
	for (;; lazy = false) {
		/* A quarter of a full ring is free soon, or whoever empties it is slow. */
		if (lazy)
			nexus_spsc_doze_lazily(&map->spsc);
		else
			nexus_spsc_doze(&map->spsc);
		ret = try(map, arg);
		if (ret != -EAGAIN)
			return ret;
		err = sleep_until(map, deadline, lazy ? LAZY_NS : -1);
		if (!err)
			continue;
		/* What came in the last moment counts. */
		ret = try(map, arg);
		return ret == -EAGAIN ? err : ret;
	}
}

static int go_on(struct nexus_ring_map *map, int64_t timeout_ms, bool lazy, try_fn try, void *arg)
{
	int ret = try(map, arg);

	if (ret == -EAGAIN)
		ret = wait_for(map, timeout_ms, lazy, try, arg);
	if (map->dozes && ret != -EAGAIN) {
		nexus_spsc_awake(&map->spsc);
		map->dozes = false;
	}
	return ret;
}

static inline void wake(struct nexus_ring_map *map)
{
	if (nexus_spsc_must_wake(&map->spsc))
		call(map->fd, NEXUS_IOC_RING_WAKE, NULL);
}

/* ---- sending -------------------------------------------------------------------- */

struct room {
	uint32_t len;
	void *where;
};

static int try_reserve(struct nexus_ring_map *map, void *arg)
{
	struct room *room = arg;

	if (status(map, NEXUS_RING_NO_RECEIVER))
		return -EPIPE;
	return nexus_spsc_reserve(&map->spsc, room->len, &room->where);
}

NEXUS_EXPORT int nexus_ring_map_reserve(struct nexus_ring_map *map, size_t len, void **where,
					int64_t timeout_ms)
{
	struct room room = { .len = (uint32_t)len };
	int ret;

	if (!map->spsc.produces)
		return -EBADF;
	if (len > UINT32_MAX)
		return -EMSGSIZE;
	/* Who needs a quarter is not woken for less often: no timer need be set for it. */
	ret = go_on(map, timeout_ms, len < map->spsc.capacity / 4, try_reserve, &room);
	if (!ret)
		*where = room.where;
	return ret;
}

/* Whether there is room and nothing else to do, as is mostly so. */
static inline bool has_room_at_once(struct nexus_ring_map *map, size_t len, void **where)
{
	return map->spsc.produces && !map->dozes && len <= UINT32_MAX &&
		!status(map, NEXUS_RING_NO_RECEIVER) &&
		!nexus_spsc_reserve(&map->spsc, (uint32_t)len, where);
}

NEXUS_EXPORT int nexus_ring_map_commit(struct nexus_ring_map *map, size_t len)
{
	if (!map->spsc.produces)
		return -EBADF;
	if (!map->spsc.held || len > map->spsc.held)
		return -EINVAL;
	if (!len) {
		map->spsc.held = 0;
		return 0;
	}
	nexus_spsc_commit(&map->spsc, (uint32_t)len);
	wake(map);
	return 0;
}

NEXUS_EXPORT int nexus_ring_map_send(struct nexus_ring_map *map, const void *buf, size_t len,
				     int64_t timeout_ms)
{
	void *where;
	int ret;

	if (!has_room_at_once(map, len, &where)) {
		ret = nexus_ring_map_reserve(map, len, &where, timeout_ms);
		if (ret)
			return ret;
	}
	memcpy(where, buf, len);
	nexus_spsc_commit(&map->spsc, (uint32_t)len);
	wake(map);
	return 0;
}

/* ---- receiving ------------------------------------------------------------------ */

struct message {
	const void *where;
	uint32_t len;
};

static int try_peek(struct nexus_ring_map *map, void *arg)
{
	struct message *m = arg;
	int ret = nexus_spsc_peek(&map->spsc, &m->where, &m->len);

	if (ret != -EAGAIN || !status(map, NEXUS_RING_NO_SENDER))
		return ret;
	/* All that was sent is seen from here on. */
	ret = nexus_spsc_peek(&map->spsc, &m->where, &m->len);
	return ret == -EAGAIN ? -ENODATA : ret;
}

NEXUS_EXPORT ssize_t nexus_ring_map_peek(struct nexus_ring_map *map, const void **where,
					 int64_t timeout_ms)
{
	struct message m = { NULL, 0 };
	int ret;

	if (map->spsc.produces)
		return -EBADF;
	ret = go_on(map, timeout_ms, false, try_peek, &m);
	if (ret)
		return ret == -ENODATA ? 0 : ret;
	*where = m.where;
	return m.len;
}

/* Whether there is a message and nothing else to do; what there is may be of a sender gone. */
static inline bool has_message_at_once(struct nexus_ring_map *map, const void **where, uint32_t *len)
{
	return !map->spsc.produces && !map->dozes && !nexus_spsc_peek(&map->spsc, where, len);
}

NEXUS_EXPORT int nexus_ring_map_consume(struct nexus_ring_map *map)
{
	if (map->spsc.produces)
		return -EBADF;
	if (!map->spsc.held)
		return -EINVAL;
	nexus_spsc_consume(&map->spsc);
	wake(map);
	return 0;
}

NEXUS_EXPORT ssize_t nexus_ring_map_recv(struct nexus_ring_map *map, void *buf, size_t len,
					 int64_t timeout_ms)
{
	const void *where;
	uint32_t got;
	ssize_t ret;

	if (!has_message_at_once(map, &where, &got)) {
		ret = nexus_ring_map_peek(map, &where, timeout_ms);
		if (ret <= 0)
			return ret;
		got = (uint32_t)ret;
	}
	if (got > len)
		return -EMSGSIZE;
	memcpy(buf, where, got);
	nexus_spsc_consume(&map->spsc);
	wake(map);
	return got;
}
