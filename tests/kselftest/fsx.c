// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on one file, after the idea of fsx: write, read, truncate,
 * mapped read and write, around the page cache and through it, punch, zero, reserve,
 * seek, fsync, reopen, caches dropped; compared with a model in memory after each.
 * NEXUS_OPS: how many; NEXUS_SEED: which.
 */
#include "nx.h"

#include <linux/falloc.h>

enum { MAX = 256 << 10, KEPT = 40 };

struct fsx {
	int fd, direct;
	bool any;		/* direct I/O of any alignment */
	size_t size;
	unsigned char model[MAX + 4096];
	unsigned char buf[MAX + 4096] __attribute__((aligned(4096)));
	char log[KEPT][96];
	unsigned int steps;
};

static void note(struct fsx *x, const char *what, size_t at, size_t len)
{
	snprintf(x->log[x->steps % KEPT], sizeof(x->log[0]),
		 "%u: %s at %zu, %zu bytes, size %zu", x->steps, what, at, len,
		 x->size);
	x->steps++;
}

static void tell(const struct fsx *x)
{
	unsigned int i = x->steps > KEPT ? x->steps - KEPT : 0;

	for (; i < x->steps; i++)
		printf("#   %s\n", x->log[i % KEPT]);
	fflush(stdout);
}

/* Where the two differ first, or -1. */
static long differs(const unsigned char *a, const unsigned char *b, size_t len)
{
	size_t i;

	if (!memcmp(a, b, len))
		return -1;
	for (i = 0; a[i] == b[i]; i++)
		;
	return i;
}

static void fill(struct fsx *x, size_t at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		x->model[at + i] = (x->steps * 31 + i * 3 + 1) & 0xff;
}

static void write_some(struct fsx *x, size_t at, size_t len)
{
	note(x, "write", at, len);
	fill(x, at, len);
	HOLDS(pwrite(x->fd, x->model + at, len, at) == (ssize_t)len);
	if (len && at + len > x->size)
		x->size = at + len;
}

static void read_some(struct fsx *x, size_t at, size_t len)
{
	size_t want = at >= x->size ? 0 : at + len > x->size ? x->size - at : len;
	long where;

	note(x, "read", at, len);
	HOLDS(pread(x->fd, x->buf, len, at) == (ssize_t)want);
	where = differs(x->buf, x->model + at, want);
	if (where >= 0)
		printf("# byte %zu: read %02x, written %02x\n", at + where,
		       x->buf[where], x->model[at + where]);
	HOLDS(where < 0);
}

/* The same around the page cache, in whole blocks where others want that. */
static void direct(struct fsx *x, size_t at, size_t len, bool change)
{
	size_t want;
	long where;

	if (!x->any || nx_below(3)) {
		at &= ~4095ul;
		len = (len + 4095) & ~4095ul;
	}
	note(x, change ? "direct write" : "direct read", at, len);
	if (change) {
		fill(x, at, len);
		memcpy(x->buf, x->model + at, len);
		HOLDS(pwrite(x->direct, x->buf, len, at) == (ssize_t)len);
		if (at + len > x->size)
			x->size = at + len;
		return;
	}
	want = at >= x->size ? 0 : at + len > x->size ? x->size - at : len;
	HOLDS(pread(x->direct, x->buf, len, at) == (ssize_t)want);
	where = differs(x->buf, x->model + at, want);
	if (where >= 0)
		printf("# byte %zu: read %02x, written %02x\n", at + where,
		       x->buf[where], x->model[at + where]);
	HOLDS(where < 0);
}

static void truncate_to(struct fsx *x, size_t size)
{
	note(x, "truncate", size, 0);
	HOLDS(!ftruncate(x->fd, size));
	if (size < x->size)
		memset(x->model + size, 0, x->size - size);
	x->size = size;
}

/* fallocate(); the model holds zeros behind the end. */
static void allocate(struct fsx *x, int mode, size_t at, size_t len)
{
	const bool keep = mode & FALLOC_FL_KEEP_SIZE;

	note(x, mode & FALLOC_FL_PUNCH_HOLE ? "punch" :
	     mode & FALLOC_FL_ZERO_RANGE ? keep ? "zero, keep size" : "zero" :
	     keep ? "reserve, keep size" : "reserve", at, len);
	HOLDS(!fallocate(x->fd, mode, at, len));
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(x->model + at, 0, len);
	if (!keep && at + len > x->size)
		x->size = at + len;
}

static bool zeros(const struct fsx *x, size_t from, size_t to)
{
	for (; from < to && from < x->size; from++)
		if (x->model[from])
			return false;
	return true;
}

/* No data before what SEEK_DATA finds, none in the block that SEEK_HOLE finds. */
static void seek(struct fsx *x, size_t at)
{
	off_t data, hole;

	note(x, "seek", at, 0);
	data = lseek(x->fd, at, SEEK_DATA);
	hole = lseek(x->fd, at, SEEK_HOLE);
	if (at >= x->size) {
		HOLDS(data < 0 && hole < 0);
		return;
	}
	HOLDS(data >= (off_t)at || (data < 0 && errno == ENXIO) || hole > (off_t)at);
	HOLDS(zeros(x, at, data < 0 ? x->size : (size_t)data));
	HOLDS(hole >= (off_t)at && hole <= (off_t)x->size);
	HOLDS(zeros(x, hole, (hole | 4095) + 1));
}

static void mapped(struct fsx *x, size_t at, size_t len, bool change)
{
	size_t page = at & ~4095ul, end, i;
	unsigned char *map;
	long where;

	if (at >= x->size)
		return;
	if (at + len > x->size)
		len = x->size - at;
	note(x, change ? "mapped write" : "mapped read", at, len);
	map = mmap(NULL, at - page + len, PROT_READ | (change ? PROT_WRITE : 0),
		   MAP_SHARED, x->fd, page);
	HOLDS(map != MAP_FAILED);
	if (change) {
		fill(x, at, len);
		memcpy(map + (at - page), x->model + at, len);
		if (nx_below(3) == 0)
			HOLDS(!msync(map, at - page + len, MS_SYNC));
	} else {
		where = differs(map + (at - page), x->model + at, len);
		if (where >= 0)
			printf("# byte %zu: mapped %02x, written %02x\n",
			       at + where, map[at - page + where],
			       x->model[at + where]);
		HOLDS(where < 0);
		/* Behind the end of the file its last page holds zeros. */
		end = (at + len + 4095) & ~4095ul;
		if (at + len == x->size)
			for (i = at + len; i < end; i++)
				HOLDS(!map[i - page]);
	}
	HOLDS(!munmap(map, at - page + len));
}

static void reopen(struct fsx *x)
{
	struct stat st;

	note(x, "reopen", 0, 0);
	HOLDS(!close(x->fd));
	HOLDS(!close(x->direct));
	x->fd = open("fsx", O_RDWR);
	HOLDS(x->fd >= 0);
	x->direct = open("fsx", O_RDWR | O_DIRECT);
	HOLDS(x->direct >= 0);
	HOLDS(!fstat(x->fd, &st));
	HOLDS((size_t)st.st_size == x->size);
}

static void run(struct fsx *x, unsigned int ops, size_t max)
{
	x->fd = open("fsx", O_RDWR | O_CREAT | O_EXCL, 0644);
	HOLDS(x->fd >= 0);
	x->direct = open("fsx", O_RDWR | O_DIRECT);
	HOLDS(x->direct >= 0);
	x->any = nx_is_nexus(".");
	while (x->steps < ops) {
		size_t at = nx_below(nx_below(3) ? max : max / 16);
		size_t len = 1 + nx_below(nx_below(3) ? max / 4 : max / 64);

		if (nx_below(8) == 0)
			at &= ~4095ul;
		if (at + len > max)
			len = max - at;
		switch (nx_below(50)) {
		case 0 ... 9:
			write_some(x, at, len);
			break;
		case 10 ... 18:
			read_some(x, at, len);
			break;
		case 19 ... 21:
			truncate_to(x, max < MAX && nx_below(2) ? 0 : at);
			break;
		case 22 ... 25:
			mapped(x, at, len, true);
			break;
		case 26 ... 28:
			mapped(x, at, len, false);
			break;
		case 29:
			note(x, "fsync", 0, 0);
			HOLDS(!fsync(x->fd));
			break;
		case 30:
			reopen(x);
			break;
		case 31 ... 34:
			direct(x, at, len, true);
			break;
		case 35 ... 38:
			direct(x, at, len, false);
			break;
		case 39 ... 41:
			allocate(x, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
			break;
		case 42 ... 43:
			allocate(x, FALLOC_FL_ZERO_RANGE |
				 (nx_below(2) ? FALLOC_FL_KEEP_SIZE : 0), at, len);
			break;
		case 44 ... 45:
			allocate(x, nx_below(2) ? FALLOC_FL_KEEP_SIZE : 0, at, len);
			break;
		case 46 ... 48:
			seek(x, at);
			break;
		default:
			if (nx_below(6))
				break;
			note(x, "drop caches", 0, 0);
			nx_drop_caches();
		}
		if (x->steps % 64 == 0)
			read_some(x, 0, MAX);
	}
	reopen(x);
	nx_drop_caches();
	read_some(x, 0, MAX);
}

TEST_F_TIMEOUT(dir, one_file, 1200)
{
	struct fsx *x = mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int bad;

	ASSERT_NE(MAP_FAILED, x);
	nx_seed();
	fflush(NULL);
	if (!fork()) {
		run(x, nx_env("NEXUS_OPS", 3000), MAX);
		_exit(0);
	}
	bad = nx_reap();
	if (bad)
		tell(x);
	EXPECT_EQ(0, bad);
}

/* One that is tiny at times: its body goes from the index to packs and back. */
TEST_F_TIMEOUT(dir, tiny_file, 1200)
{
	struct fsx *x = mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int bad;

	ASSERT_NE(MAP_FAILED, x);
	nx_seed();
	fflush(NULL);
	if (!fork()) {
		run(x, nx_env("NEXUS_OPS", 3000), 6000);
		_exit(0);
	}
	bad = nx_reap();
	if (bad)
		tell(x);
	EXPECT_EQ(0, bad);
}

/* Several at once, each with a file of its own. */
TEST_F_TIMEOUT(dir, four_files_at_once, 1200)
{
	uint64_t seed = nx_seed();
	struct fsx *x[4];
	char name[16];
	int i, bad;

	for (i = 0; i < 4; i++) {
		x[i] = mmap(NULL, sizeof(**x), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, x[i]);
		snprintf(name, sizeof(name), "%d", i);
		OK(mkdir(name, 0755));
		fflush(NULL);
		if (!fork()) {
			HOLDS(!chdir(name));
			nx_srand(seed + i);
			run(x[i], nx_env("NEXUS_OPS", 3000) / 4, MAX);
			_exit(0);
		}
	}
	bad = nx_reap();
	for (i = 0; bad && i < 4; i++) {
		printf("# file %d\n", i);
		tell(x[i]);
	}
	EXPECT_EQ(0, bad);
}

TEST_HARNESS_MAIN
