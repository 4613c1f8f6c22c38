// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tiny files: what is kept in the index, what is not, and every way from the one to
 * the other; looked at in the page cache, from the log's side of it, and from the
 * index.  What only nexusfs has (FIEMAP's inline flag, counters) is asked for there.
 */
#include "nx.h"
#include "nx_clone.h"
#include "nx_stats.h"
#include "nx_still.h"

#include <linux/falloc.h>
#include <linux/fiemap.h>

#define BLOCK 4096
#define LIMIT 1900
#define MOST (4 * BLOCK)
#ifndef FS_IOC_FIEMAP
#define FS_IOC_FIEMAP _IOWR('f', 11, struct fiemap)
#endif

static const size_t sizes[] = { 0, 1, 7, 1000, 1899, 1900, 1901, 4095, 4096, 4097 };

struct file {
	int fd;
	size_t size;
	unsigned char model[MOST];
};

static void fill(unsigned char *to, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = 1 + (seed * 37 + i * 7) % 251;
}

static int put(struct file *f, size_t at, size_t len, unsigned int seed)
{
	fill(f->model + at, len, seed);
	if (at + len > f->size)
		f->size = at + len;
	return pwrite(f->fd, f->model + at, len, at) == (ssize_t)len ? 0 : -1;
}

/* 0: the file is what the model says. */
static int compare(const struct file *f)
{
	unsigned char buf[MOST + 1];
	struct stat st;

	if (fstat(f->fd, &st) || (size_t)st.st_size != f->size)
		return -1;
	/* Else archivers take it for a hole. */
	if (memchr(f->model, 0, f->size) != f->model && f->size && !st.st_blocks)
		return -2;
	if (pread(f->fd, buf, sizeof(buf), 0) != (ssize_t)f->size)
		return -3;
	return memcmp(buf, f->model, f->size) ? -4 : 0;
}

/* The next read does not come from the page cache. */
static int forget(int fd)
{
	return fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0;
}

/* Flags of the first extent; -1: there is none. */
static int64_t first_extent(int fd)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} u = {};

	u.map.fm_length = ~0ull;
	u.map.fm_extent_count = 1;
	if (ioctl(fd, FS_IOC_FIEMAP, &u.map) || !u.map.fm_mapped_extents)
		return -1;
	return u.map.fm_extents[0].fe_flags;
}

static bool is_inline(int fd)
{
	int64_t flags = first_extent(fd);

	return flags > 0 && flags & FIEMAP_EXTENT_DATA_INLINE;
}

static int make(struct file *f, const char *name, size_t size)
{
	memset(f->model, 0, sizeof(f->model));
	f->size = 0;
	f->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return f->fd < 0 || (size && put(f, 0, size, size)) ? -1 : 0;
}

/* ---- what is inline ------------------------------------------------------------ */

TEST_F(dir, sizes)
{
	struct file f[N_ELEMS(sizes)];
	char name[16];
	unsigned int i;

	for (i = 0; i < N_ELEMS(sizes); i++) {
		snprintf(name, sizeof(name), "%zu", sizes[i]);
		OK(make(&f[i], name, sizes[i]));
		EXPECT_EQ(0, compare(&f[i]));
		OK(forget(f[i].fd));
		EXPECT_EQ(0, compare(&f[i])) TH_LOG("%s", name);
		if (self->nexus)
			EXPECT_EQ(sizes[i] && sizes[i] <= LIMIT, is_inline(f[i].fd))
				TH_LOG("%s", name);
		close(f[i].fd);
	}
	nx_drop_caches();
	for (i = 0; i < N_ELEMS(sizes); i++) {
		snprintf(name, sizeof(name), "%zu", sizes[i]);
		GET(f[i].fd, open(name, O_RDWR));
		EXPECT_EQ(0, compare(&f[i])) TH_LOG("%s, from the index", name);
		close(f[i].fd);
	}
	/* The same after a listing, which has no content. */
	nx_drop_caches();
	EXPECT_EQ(0, nx_sh("ls -l > /dev/null"));
	for (i = 0; i < N_ELEMS(sizes); i++) {
		snprintf(name, sizeof(name), "%zu", sizes[i]);
		GET(f[i].fd, open(name, O_RDWR | O_DIRECT));
		close(f[i].fd);
		GET(f[i].fd, open(name, O_RDWR));
		EXPECT_EQ(0, compare(&f[i])) TH_LOG("%s, after a listing", name);
		close(f[i].fd);
	}
}

TEST_F(dir, no_block_of_a_pack)
{
	struct nx_stats before, after;
	struct file f;
	char name[16];
	int i;

	if (!self->nexus || nx_sh("nexusctl status > /dev/null 2>&1"))
		SKIP(return, "needs nexusfs and its helper");
	sync();
	ASSERT_TRUE(nx_stats_read(&before));
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "%d", i);
		OK(make(&f, name, 1024));
		OK(fsync(f.fd));
		close(f.fd);
	}
	nx_drop_caches();
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "%d", i);
		GET(f.fd, open(name, O_RDONLY));
		EXPECT_EQ(0, compare(&f));
		close(f.fd);
	}
	ASSERT_TRUE(nx_stats_read(&after));
	EXPECT_EQ(0, nx_grew(&before, &after, "pack_write_blocks"));
	EXPECT_EQ(0, nx_grew(&before, &after, "pack_read_blocks"));
	EXPECT_LE(50, nx_grew(&before, &after, "log_records"));
	nx_stats_free(&before);
	nx_stats_free(&after);
}

/* ---- from one to the other --------------------------------------------------------- */

static int append(struct file *f)
{
	return put(f, f->size, 10, 3);
}

static int over_the_limit(struct file *f)
{
	return put(f, LIMIT - 5, 6, 4);
}

static int far(struct file *f)
{
	return put(f, 2 * BLOCK + 5, 10, 5);
}

static int inside(struct file *f)
{
	return put(f, f->size / 2, f->size ? 1 : 0, 6);
}

static int cut(struct file *f)
{
	f->size /= 2;
	memset(f->model + f->size, 0, MOST - f->size);
	return ftruncate(f->fd, f->size);
}

static int cut_and_longer(struct file *f)
{
	if (cut(f))
		return -1;
	f->size = 3 * BLOCK + 1;
	return ftruncate(f->fd, f->size);
}

static int anew(struct file *f)
{
	memset(f->model, 0, MOST);
	f->size = 0;
	return ftruncate(f->fd, 0) || put(f, 0, 777, 7) ? -1 : 0;
}

static int store(struct file *f, size_t at, unsigned char c)
{
	unsigned char *p = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);

	if (p == MAP_FAILED)
		return -1;
	p[at] = c;
	f->model[at] = c;
	return munmap(p, MOST);
}

static int mapped_first(struct file *f)
{
	return f->size ? store(f, 0, 'm') : 0;
}

/* A block of a hole, by a mapping alone. */
static int mapped_hole(struct file *f)
{
	f->size = 3 * BLOCK + 9;
	return ftruncate(f->fd, f->size) || store(f, 2 * BLOCK + 1, 'h') ? -1 : 0;
}

static int falloc(struct file *f, int mode, size_t at, size_t len)
{
	if (!(mode & FALLOC_FL_KEEP_SIZE) && at + len > f->size)
		f->size = at + len;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(f->model + at, 0, len);
	return fallocate(f->fd, mode, at, len);
}

static int reserved(struct file *f)
{
	return falloc(f, 0, BLOCK, BLOCK);
}

static int reserved_behind(struct file *f)
{
	return falloc(f, FALLOC_FL_KEEP_SIZE, 2 * BLOCK, BLOCK);
}

static int punched(struct file *f)
{
	return falloc(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK);
}

static int punched_inside(struct file *f)
{
	return falloc(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3, 5);
}

static int zeroed(struct file *f)
{
	return falloc(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 2, BLOCK);
}

static int direct(struct file *f, size_t at, size_t len)
{
	unsigned char *buf = aligned_alloc(BLOCK, BLOCK);
	char path[64];
	int fd, bad;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	fd = open(path, O_RDWR | O_DIRECT);
	fill(buf, len, 9);
	memcpy(f->model + at, buf, len);
	if (at + len > f->size)
		f->size = at + len;
	bad = fd < 0 || pwrite(fd, buf, len, at) != (ssize_t)len;
	memset(buf, 0, BLOCK);
	bad |= pread(fd, buf, BLOCK, 0) != (ssize_t)(f->size < BLOCK ? f->size : BLOCK);
	bad |= memcmp(buf, f->model, f->size < BLOCK ? f->size : BLOCK) != 0;
	close(fd);
	free(buf);
	return bad ? -1 : 0;
}

static int direct_first(struct file *f)
{
	return direct(f, 0, BLOCK);
}

static int direct_second(struct file *f)
{
	return direct(f, BLOCK, BLOCK);
}

static const struct way {
	const char *name;
	int (*go)(struct file *f);
} ways[] = {
#define W(f) { #f, f }
	W(append), W(over_the_limit), W(far), W(inside), W(cut), W(cut_and_longer), W(anew),
	W(mapped_first), W(mapped_hole), W(reserved), W(reserved_behind), W(punched),
	W(punched_inside), W(zeroed), W(direct_first), W(direct_second),
};

/*
 * Each way from each size, begun with what is in the page cache only or what was
 * written; then the model is what can be read, from wherever.
 */
static int walk(struct file *f, const struct way *w, size_t size, bool written)
{
	int bad;

	if (make(f, w->name, size))
		return -10;
	if (written && forget(f->fd))
		return -11;
	if (w->go(f))
		return -12;
	bad = compare(f);
	if (!bad && forget(f->fd))
		bad = -13;
	return bad ? bad : compare(f);
}

TEST_F(dir, every_way)
{
	static struct file kept[N_ELEMS(ways)][2][6];
	static const size_t from[] = { 0, 1, 1899, 1900, 1901, 4097 };
	unsigned int i, k;
	char name[64];
	int written;

	for (i = 0; i < N_ELEMS(ways); i++)
		for (written = 0; written < 2; written++)
			for (k = 0; k < N_ELEMS(from); k++) {
				struct file *f = &kept[i][written][k];

				EXPECT_EQ(0, walk(f, &ways[i], from[k], written))
					TH_LOG("%s from %zu, %swritten", ways[i].name,
					       from[k], written ? "" : "not ");
				close(f->fd);
				snprintf(name, sizeof(name), "%s-%d-%u", ways[i].name,
					 written, k);
				OK(rename(ways[i].name, name));
			}
	nx_drop_caches();
	for (i = 0; i < N_ELEMS(ways); i++)
		for (written = 0; written < 2; written++)
			for (k = 0; k < N_ELEMS(from); k++) {
				struct file *f = &kept[i][written][k];

				snprintf(name, sizeof(name), "%s-%d-%u", ways[i].name,
					 written, k);
				GET(f->fd, open(name, O_RDWR));
				EXPECT_EQ(0, compare(f)) TH_LOG("%s, from the index", name);
				close(f->fd);
			}
}

/* What grew is in packs, and only what was emptied is inline again. */
TEST_F(dir, back_by_emptying)
{
	struct file f;

	if (!self->nexus)
		SKIP(return, "needs nexusfs");
	OK(make(&f, "f", 100));
	OK(fsync(f.fd));
	EXPECT_TRUE(is_inline(f.fd));
	OK(put(&f, LIMIT, 1, 1));
	OK(fsync(f.fd));
	EXPECT_FALSE(is_inline(f.fd));
	f.size = 100;
	OK(ftruncate(f.fd, 100));
	OK(put(&f, 50, 20, 2));
	OK(fsync(f.fd));
	EXPECT_FALSE(is_inline(f.fd));
	OK(anew(&f));
	OK(fsync(f.fd));
	EXPECT_TRUE(is_inline(f.fd));
	EXPECT_EQ(0, compare(&f));
}

/* ---- what is asked about them --------------------------------------------------------- */

TEST_F(dir, seek_and_fiemap)
{
	struct file f;

	OK(make(&f, "f", 1500));
	OK(forget(f.fd));
	EXPECT_EQ(0, lseek(f.fd, 0, SEEK_DATA));
	EXPECT_EQ(1400, lseek(f.fd, 1400, SEEK_DATA));
	EXPECT_EQ(1500, lseek(f.fd, 3, SEEK_HOLE));
	FAILS(ENXIO, lseek(f.fd, 1500, SEEK_DATA));
	if (self->nexus)
		EXPECT_EQ(FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_NOT_ALIGNED |
			  FIEMAP_EXTENT_LAST, first_extent(f.fd));
	f.size = 3 * BLOCK;
	OK(ftruncate(f.fd, f.size));
	EXPECT_EQ(0, lseek(f.fd, 0, SEEK_DATA));
	EXPECT_EQ(BLOCK, lseek(f.fd, 3, SEEK_HOLE));
	FAILS(ENXIO, lseek(f.fd, BLOCK, SEEK_DATA));
	EXPECT_EQ(0, compare(&f));
}

TEST_F(dir, blocks)
{
	struct stat st;
	struct file f;

	OK(make(&f, "f", 1500));
	OK(fsync(f.fd));
	OK(fstat(f.fd, &st));
	/* Fewer than the size takes would say that there are holes. */
	EXPECT_LE(3, st.st_blocks);
}

/* ---- clones ------------------------------------------------------------------------------- */

TEST_F(dir, clones)
{
	struct file a, b, c;
	unsigned int i;

	if (!self->nexus)
		SKIP(return, "needs nexusfs");
	for (i = 0; i < 2; i++) {
		OK(make(&a, "a", 1234));
		if (i)
			OK(forget(a.fd));
		OK(make(&b, "b", 50));
		OK(ioctl(b.fd, FICLONE, a.fd));
		memcpy(b.model, a.model, 1234);
		b.size = 1234;
		EXPECT_EQ(0, compare(&b));
		OK(forget(b.fd));
		EXPECT_EQ(0, compare(&b));
		/* Both are tiny still, and apart. */
		EXPECT_TRUE(is_inline(b.fd));
		OK(put(&b, 3, 9, 8));
		OK(forget(a.fd));
		EXPECT_TRUE(is_inline(a.fd));
		EXPECT_EQ(0, compare(&a));
		EXPECT_EQ(0, compare(&b));
	}
	/* Behind the block of a tiny file, and a tiny one behind another's blocks. */
	OK(make(&c, "c", 2 * BLOCK));
	OK(clone_range(c.fd, BLOCK, a.fd, BLOCK, BLOCK));
	memcpy(a.model + BLOCK, c.model + BLOCK, BLOCK);
	a.size = 2 * BLOCK;
	OK(clone_range(b.fd, 0, c.fd, 2 * BLOCK, 0));
	memcpy(c.model + 2 * BLOCK, b.model, b.size);
	c.size = 2 * BLOCK + b.size;
	OK(forget(a.fd));
	OK(forget(b.fd));
	OK(forget(c.fd));
	EXPECT_EQ(0, compare(&a));
	EXPECT_EQ(0, compare(&b));
	EXPECT_EQ(0, compare(&c));
	/* What is the same can be shared, whatever it takes. */
	OK(make(&a, "x", 1000));
	OK(make(&b, "y", 1000));
	OK(fsync(a.fd));
	OK(fsync(b.fd));
	EXPECT_EQ(FILE_DEDUPE_RANGE_SAME, dedupe(a.fd, 0, b.fd, 0, 1000));
	OK(forget(a.fd));
	OK(forget(b.fd));
	EXPECT_EQ(0, compare(&a));
	EXPECT_EQ(0, compare(&b));
	OK(make(&c, "z", 0));
	EXPECT_EQ(1000, copy_file_range(a.fd, &(off_t){ 0 }, c.fd, NULL, 4000, 0));
	memcpy(c.model, a.model, 1000);
	c.size = 1000;
	OK(forget(c.fd));
	EXPECT_EQ(0, compare(&c));
}

/* ---- at once --------------------------------------------------------------------------------- */

/* One that writes back, beside another that makes the file tiny and large. */
TEST_F(dir, beside_writeback)
{
	unsigned int i, n = nx_env("NEXUS_SHORT", 0) ? 100 : 400;
	struct file f;
	pid_t pid;

	OK(make(&f, "f", 10));
	GET(pid, fork());
	if (!pid)
		for (;;)
			fsync(f.fd);
	for (i = 0; i < n; i++) {
		OK(ways[i % N_ELEMS(ways)].go(&f));
		if (compare(&f))
			break;
		if (nx_below(3) == 0)
			OK(anew(&f));
		if (f.size > 2 * BLOCK) {
			memset(f.model + 1000, 0, MOST - 1000);
			f.size = 1000;
			OK(ftruncate(f.fd, f.size));
		}
	}
	EXPECT_EQ(n, i) TH_LOG("%s", ways[i % N_ELEMS(ways)].name);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	OK(forget(f.fd));
	EXPECT_EQ(0, compare(&f));
	/* Nothing of it has made the zone read-only. */
	OK(nx_put("after", "text"));
}

TEST_HARNESS_MAIN
