// SPDX-License-Identifier: Apache-2.0
/* The cache of a mounted bucket: what is fetched, what is let go, and what has changed. */
#include "bucket-world.h"

#include <pthread.h>

#include "pack.h"

/* The kernel's side: packs it was given, what it was told is there. */
static struct {
	pthread_mutex_t lock;
	unsigned int packs, presents, retires;
	u64 present;			/* blocks */
	int fd[64];			/* by pack, as handed over */
	u64 idle[64];
	u64 told;			/* pack that is being told of; 0: none */
	bool gone_meanwhile;
} k = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int kernel(struct world *w, unsigned long cmd, void *arg)
{
	const struct nexus_pack_range *range;
	struct nexus_hand_over *ho = arg;
	struct nexus_retire *r = arg;
	struct nexus_pack_use *use = arg;
	int ret = 0;

	(void)w;
	pthread_mutex_lock(&k.lock);
	switch (cmd) {
	case NEXUS_IOC_PACK:
		assert_true(ho->flags & NEXUS_HF_ABSENT);
		assert_int_equal(lseek(ho->fd, 0, SEEK_END),
				 (off_t)ho->blocks << NEXUS_BLOCK_SHIFT);
		/* As the kernel looks: head and table are there, the rest is not. */
		for (u32 i = 0; i < btree_pack_first(); i++)
			assert_false(((u64 *)(uintptr_t)ho->absent)[i / 64] >> i % 64 & 1);
		k.fd[ho->id] = dup(ho->fd);
		k.packs++;
		break;
	case NEXUS_IOC_PRESENT:
		range = (const void *)(uintptr_t)r->ranges;
		assert_true(range->block >= btree_pack_first());
		assert_true(range->block + range->nblocks <= btree_pack_blocks());
		k.presents++;
		k.present += range->nblocks;
		break;
	case NEXUS_IOC_RETIRE:
		assert_int_equal(r->flags, NEXUS_RT_EVICT);
		/* Not an assertion: locks are held. */
		k.gone_meanwhile |= k.told && r->pack == k.told;
		k.retires++;
		break;
	case NEXUS_IOC_PACK_USE:
		use->idle = k.idle[use->pack];
		break;
	default:
		ret = -EINVAL;
	}
	pthread_mutex_unlock(&k.lock);
	return ret;
}

static struct world *begin(void)
{
	struct world *w = world_new(true);
	size_t i;

	for (i = 0; i < 64; i++) {
		k.fd[i] = -1;
		k.idle[i] = 0;
	}
	k.packs = k.presents = k.retires = 0;
	k.present = 0;
	w->ioctl = kernel;
	return w;
}

static void end(struct world *w)
{
	size_t i;

	for (i = 0; i < 64; i++)
		if (k.fd[i] >= 0)
			close(k.fd[i]);
	world_free(w);
}

static u64 ensure(u32 block, u32 n)
{
	return (u64)n << 32 | block;
}

/* The extent that has block @fblock of a path's file, cut to begin there. */
static struct nexus_extent where(struct world *w, const char *path, u64 fblock)
{
	s64 ino = world_walk(w, path);

	assert_true(ino > 0);
	assert_true(world_ask(w, NEXUS_OP_EXTENTS, (u64)ino, (u64)ino, fblock << 12, NULL) > 0);
	return ((struct nexus_extents_reply *)w->reply)->extent[0];
}

/* Reads blocks as the kernel does; 0, or what ENSURE says. */
static int get(struct world *w, const char *key, const char *etag, u64 size, u64 fblock, u32 n)
{
	struct nexus_extent e = where(w, key, fblock);
	u8 *buf = NULL, want;
	u64 i, at;
	int ret;

	if (k.fd[e.pack] < 0)
		assert_int_equal(world_ask(w, NEXUS_OP_OPEN_PACK, 0, e.pack, 0, NULL), 0);
	ret = world_ask(w, NEXUS_OP_ENSURE, 1, e.pack, ensure(e.block, n), NULL);
	if (ret)
		return ret;
	assert_int_equal(posix_memalign((void **)&buf, 4096, (size_t)n << 12), 0);
	assert_int_equal(pread(k.fd[e.pack], buf, (size_t)n << 12, (off_t)e.block << 12),
			 (ssize_t)n << 12);
	for (i = 0; i < (u64)n << 12; i++) {
		at = (fblock << 12) + i;
		want = at < size ? world_byte(key, etag, at) : 0;
		assert_int_equal(buf[i], want);
	}
	free(buf);
	return 0;
}

/* Only what is read, once. */
static void test_ranges(void **state)
{
	struct world *w = begin();

	(void)state;
	world_put(w, "big", 40000001, "1");
	world_put(w, "small", 5000, "1");
	assert_int_equal(get(w, "big", "1", 40000001, 5000, 1), 0);
	assert_int_equal(w->got, 4096);
	assert_int_equal(get(w, "big", "1", 40000001, 5000, 1), 0);
	assert_int_equal(w->got, 4096);
	assert_int_equal(get(w, "big", "1", 40000001, 4999, 3), 0);
	assert_int_equal(w->gets, 2);
	/* The end of an object, with zeros behind it; both share a file. */
	assert_int_equal(get(w, "small", "1", 5000, 0, 2), 0);
	assert_int_equal(get(w, "big", "1", 40000001, 9765, 1), 0);
	assert_int_equal(k.packs, 1);
	assert_int_equal(k.present, 1 + 1 + 3 + 2 + 1);
	end(w);
}

static void test_changed(void **state)
{
	struct world *w = begin();
	struct nexus_extent e;

	(void)state;
	world_put(w, "f", 1000000, "1");
	assert_int_equal(get(w, "f", "1", 1000000, 0, 10), 0);
	e = where(w, "f", 0);
	world_put(w, "f", 1000000, "2");
	/* Of the old one what is here. */
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, e.pack, ensure(e.block, 10), NULL), 0);
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, e.pack, ensure(e.block + 10, 1), NULL),
			 -ESTALE);
	/* And whoever looks again has the new one: it is asked for at once. */
	assert_int_equal(get(w, "f", "2", 1000000, 0, 20), 0);
	assert_int_equal(get(w, "f", "2", 1000000, 200, 40), 0);
	/* Shorter than it was listed, by a store that says otherwise. */
	w->keys[0].size = 500000;
	assert_int_equal(get(w, "f", "2", 1000000, 140, 1), -ESTALE);
	world_del(w, "f");
	assert_int_equal(world_walk(w, "f"), -ENOENT);
	end(w);
}

static void test_errors(void **state)
{
	struct world *w = begin();
	struct nexus_extent e;

	(void)state;
	world_put(w, "f", 100000, "1");
	e = where(w, "f", 0);
	w->error = -EACCES;
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, e.pack, ensure(e.block, 1), NULL), -EACCES);
	w->error = 0;
	assert_int_equal(get(w, "f", "1", 100000, 0, 25), 0);
	/* What the kernel does not ask for, and nothing crashes. */
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, e.pack, ensure(0, 1), NULL), -EINVAL);
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, 0, ensure(e.block, 1), NULL), -EINVAL);
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, 60, ensure(e.block, 1), NULL), -EINVAL);
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, e.pack, ensure(e.block, ~0u), NULL), -EINVAL);
	assert_int_equal(world_ask(w, NEXUS_OP_ENSURE, 1, ~0ull, ensure(e.block, 1), NULL), -EINVAL);
	end(w);
}

#define PACK_BYTES	((u64)BTREE_PACK_BLOCKS << NEXUS_BLOCK_SHIFT)

/* At the limit the pack goes that nobody has read from for longest; never the one in use. */
static void test_limit(void **state)
{
	struct world *w = begin();
	const u64 size = 4 * PACK_BYTES;

	(void)state;
	world_put(w, "f", size, "1");
	w->b->limit = 30 << 12;
	assert_int_equal(get(w, "f", "1", size, 0, 10), 0);
	assert_int_equal(get(w, "f", "1", size, BTREE_PACK_BLOCKS, 10), 0);
	assert_int_equal(get(w, "f", "1", size, 2 * BTREE_PACK_BLOCKS, 10), 0);
	assert_int_equal(k.retires, 0);
	k.idle[1] = 5;
	k.idle[2] = 50;
	k.idle[3] = 1;
	assert_int_equal(get(w, "f", "1", size, 10, 10), 0);
	assert_int_equal(k.retires, 1);
	assert_int_equal(w->b->cached, 30);
	/* The second has gone, and comes back; then the one that is least in use goes. */
	k.idle[2] = 0;
	assert_int_equal(w->gets, 4);
	assert_int_equal(get(w, "f", "1", size, BTREE_PACK_BLOCKS + 5, 1), 0);
	assert_int_equal(w->gets, 5);
	assert_int_equal(k.retires, 2);
	assert_int_equal(w->b->cached, 11);
	end(w);
}

/* While the kernel is told of a pack, somebody else is in need of room. */
static int meanwhile(struct world *w, unsigned long cmd, void *arg)
{
	const struct nexus_hand_over *ho = arg;
	const struct nexus_retire *r = arg;
	struct nexus_extent e;

	if (!k.told && (cmd == NEXUS_IOC_PACK || cmd == NEXUS_IOC_PRESENT)) {
		k.told = cmd == NEXUS_IOC_PACK ? ho->id : r->pack;
		e = where(w, "other", 0);
		assert_int_equal(bucket_fetch(w->b, e.pack, e.block, 40), 0);
		k.told = 0;
	}
	return kernel(w, cmd, arg);
}

/* What it is told is there has not gone when it believes that. */
static void test_told(void **state)
{
	struct world *w = begin();
	const u64 size = 2 * PACK_BYTES;
	struct nexus_extent e;

	(void)state;
	world_put(w, "f", size, "1");
	world_put(w, "other", PACK_BYTES, "1");
	assert_int_equal(get(w, "f", "1", size, 0, 10), 0);
	e = where(w, "f", 0);
	k.idle[e.pack] = 100;
	w->b->limit = 20 << 12;
	w->ioctl = meanwhile;
	/* It is here, which is said again; and the pack is handed over again. */
	assert_int_equal(get(w, "f", "1", size, 2, 4), 0);
	assert_int_equal(world_ask(w, NEXUS_OP_OPEN_PACK, 0, e.pack, 0, NULL), 0);
	assert_int_equal(k.retires, 0);
	assert_false(k.gone_meanwhile);
	/* It can go, afterwards. */
	w->ioctl = kernel;
	e = where(w, "f", BTREE_PACK_BLOCKS);
	assert_int_equal(bucket_fetch(w->b, e.pack, e.block, 1), 0);
	assert_int_equal(k.retires, 1);
	assert_int_equal(get(w, "f", "1", size, 0, 10), 0);
	end(w);
}

struct reader {
	struct world *w;
	struct nexus_extent e;
	int ret;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	u32 i;

	for (i = 0; i < 64 && !r->ret; i++)
		r->ret = bucket_fetch(r->w->b, r->e.pack, r->e.block + i % 32, 1 + i % 7);
	return NULL;
}

/* Many who read the same: each block comes once. */
static void test_together(void **state)
{
	struct world *w = begin();
	struct reader r[8];
	pthread_t thread[8];
	size_t i;

	(void)state;
	world_put(w, "f", 1 << 20, "1");
	for (i = 0; i < 8; i++)
		r[i] = (struct reader){ w, where(w, "f", 0), 0 };
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_all, &r[i]), 0);
	for (i = 0; i < 8; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(r[i].ret, 0);
	}
	assert_int_equal(w->got, 37 << 12);
	assert_int_equal(w->b->cached, 37);
	assert_int_equal(w->b->inflight, 0);
	assert_int_equal(get(w, "f", "1", 1 << 20, 0, 37), 0);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
