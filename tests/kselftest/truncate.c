// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cutting a file inside of a block while others store through mappings and
 * write it back: what was cut off never comes back, what was stored below the
 * cut is never lost.  Looked at from the disk, not from the page cache.
 */
#include "nx.h"

#include <pthread.h>
#include <sched.h>

#define PAGE 4096
#define SIZE (4 * PAGE)

/* The first bytes of the block that is cut belong to the one who stores. */
#define STORED 64

struct race {
	int fd;
	char *map;		/* of the block that is cut */
	off_t block;
	uint64_t stored;	/* last value, in the first bytes of the block */
	bool stop;
};

static void *store(void *arg)
{
	struct race *r = arg;
	volatile uint64_t *at = (void *)r->map;
	uint64_t n = r->stored;

	do {
		*at = ++n;
		at[STORED / 8 - 1] = n;
		if (n % 64 == 0)
			sched_yield();
	} while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED));
	r->stored = n;
	return NULL;
}

static void *write_back(void *arg)
{
	struct race *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		sync_file_range(r->fd, 0, 0, SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
	return NULL;
}

/* The next read of @fd is one of the disk. */
static int forget(int fd)
{
	return fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0;
}

static int fill(int fd, char c, size_t size)
{
	char data[SIZE];

	memset(data, c, size);
	return pwrite(fd, data, size, 0) == (ssize_t)size ? 0 : -1;
}

/* How many bytes of [from, to) are not @c; *first: where the first is. */
static int differ(int fd, off_t from, off_t to, char c, off_t *first)
{
	char data[SIZE];
	int bad = 0;
	ssize_t i, n;

	n = pread(fd, data, to - from, from);
	for (i = 0; i < n; i++) {
		if (data[i] == c)
			continue;
		if (!bad++)
			*first = from + i;
	}
	return n == to - from ? bad : -1;
}

/* One cut at @cut of a file full of 'A', with both at work. */
static void one_race(struct __test_metadata *_metadata, struct race *r, off_t cut)
{
	uint64_t value[STORED / 8];
	pthread_t a, b;
	off_t at = -1;

	r->block = cut / PAGE * PAGE;
	OK(fill(r->fd, 'A', SIZE));
	r->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		      r->block);
	ASSERT_NE(MAP_FAILED, r->map);
	r->stop = false;
	OK(pthread_create(&a, NULL, store, r));
	OK(pthread_create(&b, NULL, write_back, r));
	usleep(nx_below(2000));
	OK(ftruncate(r->fd, cut));
	usleep(nx_below(2000));
	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	OK(pthread_join(a, NULL));
	OK(pthread_join(b, NULL));
	OK(munmap(r->map, PAGE));

	/* Longer again, with something on disk behind. */
	ASSERT_EQ(1, pwrite(r->fd, "z", 1, SIZE));
	OK(forget(r->fd));
	ASSERT_EQ(sizeof(value), pread(r->fd, value, sizeof(value), r->block));
	ASSERT_EQ(r->stored, value[0]) {
		TH_LOG("cut at %lld: a store was lost", (long long)cut);
	}
	ASSERT_EQ(r->stored, value[STORED / 8 - 1]);
	ASSERT_EQ(0, differ(r->fd, r->block + STORED, cut, 'A', &at)) {
		TH_LOG("cut at %lld: byte %lld below it changed",
		       (long long)cut, (long long)at);
	}
	ASSERT_EQ(0, differ(r->fd, cut, SIZE, 0, &at)) {
		TH_LOG("cut at %lld: byte %lld came back", (long long)cut,
		       (long long)at);
	}
}

static off_t some_cut(void)
{
	return nx_below(3) * PAGE + STORED + nx_below(PAGE - STORED);
}

/* The block is on disk before it is cut.  Scenario A18. */
TEST_F(dir, stores_against_cuts)
{
	int i, n = nx_env("NEXUS_OPS", 1000) / 5;
	struct race r = { .stored = 1 };

	nx_seed();
	GET(r.fd, open("f", O_RDWR | O_CREAT, 0644));
	for (i = 0; i < n; i++) {
		OK(ftruncate(r.fd, SIZE));
		if (i % 2) {
			OK(fill(r.fd, 'A', SIZE));
			OK(fsync(r.fd));
		}
		one_race(_metadata, &r, some_cut());
	}
	OK(close(r.fd));
}

/* The block is new: its first write may be under way. */
TEST_F(dir, stores_against_cuts_of_new_files)
{
	int i, n = nx_env("NEXUS_OPS", 1000) / 5;
	struct race r = { .stored = 1 };

	nx_seed();
	for (i = 0; i < n; i++) {
		GET(r.fd, open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
		one_race(_metadata, &r, some_cut());
		OK(close(r.fd));
		OK(unlink("f"));
	}
}

/* Nobody stores, but the first write of the block is under way.  Scenario A19. */
TEST_F(dir, cut_under_writeback)
{
	int fd, i, n = nx_env("NEXUS_OPS", 1000) / 5;
	off_t cut, at = -1;

	nx_seed();
	for (i = 0; i < n; i++) {
		cut = some_cut();
		GET(fd, open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
		OK(fill(fd, 'A', SIZE));
		OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
		OK(ftruncate(fd, cut));
		ASSERT_EQ(1, pwrite(fd, "z", 1, SIZE));
		OK(forget(fd));
		ASSERT_EQ(0, differ(fd, 0, cut, 'A', &at)) {
			TH_LOG("cut at %lld: byte %lld below it changed",
			       (long long)cut, (long long)at);
		}
		ASSERT_EQ(0, differ(fd, cut, SIZE, 0, &at)) {
			TH_LOG("cut at %lld: byte %lld came back",
			       (long long)cut, (long long)at);
		}
		OK(close(fd));
		OK(unlink("f"));
	}
}

/* Stores behind the end, in the block that is cut: no part of the file. */
TEST_F(dir, stores_behind_the_cut)
{
	int fd, i, n = nx_env("NEXUS_OPS", 1000) / 10;
	char *map, kept[PAGE];
	off_t cut, at = -1;

	nx_seed();
	memset(kept, 'A', sizeof(kept));
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < n; i++) {
		cut = 1 + nx_below(PAGE - 1);
		OK(fill(fd, 'A', SIZE));
		OK(ftruncate(fd, cut));
		memset(map + cut, 'B', PAGE - cut);
		if (i % 2)
			OK(fsync(fd));
		memset(map + cut, 'C', PAGE - cut);
		if (i % 3) {
			ASSERT_EQ(1, pwrite(fd, "z", 1, SIZE));
		} else {
			OK(ftruncate(fd, SIZE + 1));
		}
		ASSERT_EQ(0, differ(fd, cut, SIZE, 0, &at));
		OK(madvise(map, PAGE, MADV_DONTNEED));
		OK(forget(fd));
		ASSERT_EQ(0, differ(fd, cut, SIZE, 0, &at)) {
			TH_LOG("cut at %lld: byte %lld came back",
			       (long long)cut, (long long)at);
		}
		ASSERT_EQ(0, differ(fd, 0, cut, 'A', &at));
	}
	OK(munmap(map, PAGE));
	OK(close(fd));
}

TEST_HARNESS_MAIN
