// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small fsyncs: their content travels in the log.  Which do, that nothing is logged
 * twice or forgotten, every way a logged block can change or go, and the log when many
 * files have something in it.
 */
#include "nx.h"
#include "nx_clone.h"
#include "nx_stats.h"
#include "nx_still.h"

#include <linux/falloc.h>

#define BLOCK	4096
#define BLOCKS	6
#define MOST	(BLOCKS * BLOCK)

struct file {
	int fd;
	size_t size;
	unsigned char model[MOST];
};

static int put(struct file *f, size_t at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		f->model[at + i] = 1 + nx_below(255);
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
	if (pread(f->fd, buf, sizeof(buf), 0) != (ssize_t)f->size)
		return -2;
	return memcmp(buf, f->model, f->size) ? -3 : 0;
}

/* @size bytes that are in packs, or nothing. */
static int make(struct file *f, const char *name, size_t size)
{
	memset(f->model, 0, sizeof(f->model));
	f->size = 0;
	f->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (f->fd < 0)
		return -1;
	return size ? put(f, 0, size) || syncfs(f->fd) : 0;
}

/* What is in the page cache goes to packs, and is read from there. */
static int cold(struct file *f)
{
	if (syncfs(f->fd))
		return -10;
	nx_drop_caches();
	return compare(f);
}

struct counts {
	int64_t data, packs, batches, records;
};

#define COUNT(c, what) do {						\
		struct nx_stats before_, after_;			\
		ASSERT_TRUE(nx_stats_read(&before_));			\
		what;							\
		ASSERT_TRUE(nx_stats_read(&after_));			\
		(c).data = nx_grew(&before_, &after_, "log_data");	\
		(c).packs = nx_grew(&before_, &after_, "pack_writes");	\
		(c).batches = nx_grew(&before_, &after_, "log_batches"); \
		(c).records = nx_grew(&before_, &after_, "log_records"); \
		nx_stats_free(&before_);				\
		nx_stats_free(&after_);					\
	} while (0)

/* What the zone's file says of @name, in bytes; -1: nothing. */
static int64_t zone_says(const char *name)
{
	const char *at = strstr(nx_get("/mnt/nexus/__sys__/zones/root"), name);

	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

/*
 * Content goes to the log while most of its segments are free; what was there before
 * is in the index in a second or two.
 */
static int settle(void)
{
	int64_t held = INT64_MAX;
	struct nx_stats s;
	int i;

	for (i = 0; i < 600; i++) {
		if (i)
			usleep(100000);
		sync();
		if (nx_stats_read(&s))
			held = nx_stat_of(&s, "nexus_zone_lsn_tail") -
			       nx_stat_of(&s, "nexus_zone_lsn_checkpoint");
		nx_stats_free(&s);
		if (held <= 1 << 20 && 2 * zone_says("log_spare:") >= zone_says("log_pool:"))
			return 0;
	}
	return -1;
}

/* More than a test that counts writes puts into the log. */
#define FRESH	(4 << 20)

/*
 * Where less than half of the log is spare, the content in it is moved to packs, and with
 * the next segment that may be so.  The one in use is used up if a test could come to its end.
 */
static int fresh_segment(void)
{
	char block[4 * BLOCK];
	int fd, i, bad = 0;

	if (settle())
		return -1;
	if (zone_says("log_left:") >= FRESH)
		return 0;
	fd = open("filler", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	for (i = 0; !bad && i < 4 * FRESH / BLOCK && zone_says("log_left:") < FRESH; i++) {
		memset(block, 1 + i % 200, sizeof(block));
		bad = pwrite(fd, block, sizeof(block), 0) != sizeof(block) || fsync(fd);
	}
	bad |= close(fd) || unlink("filler") || zone_says("log_left:") < FRESH;
	return bad ? -2 : settle();
}

#define NEEDS_HELPER() do {						\
		if (!self->nexus || nx_sh("nexusctl status > /dev/null 2>&1")) \
			SKIP(return, "needs nexusfs and its helper");	\
		OK(fresh_segment());					\
	} while (0)

/* ---- what is logged ------------------------------------------------------------ */

TEST_F(dir, one_write)
{
	struct counts c;
	struct file f;
	int i;

	NEEDS_HELPER();
	OK(make(&f, "f", MOST));
	COUNT(c, for (i = 0; i < 30; i++) {
		OK(put(&f, nx_below(3) * BLOCK + 5, 700));
		OK(fsync(f.fd));
	});
	EXPECT_EQ(30, c.data);
	EXPECT_EQ(0, c.packs);
	/* One each, and those that come by the clock. */
	EXPECT_LE(30, c.batches);
	EXPECT_GE(45, c.batches);
	/* A new one, and O_DSYNC. */
	close(f.fd);
	OK(make(&f, "g", 0));
	GET(f.fd, open("g", O_RDWR | O_DSYNC));
	COUNT(c, OK(put(&f, 0, 3000)));
	EXPECT_EQ(1, c.data);
	EXPECT_EQ(0, c.packs);
	EXPECT_EQ(0, cold(&f));
	GET(f.fd, open("f", O_RDONLY));
	close(f.fd);
}

/* What is logged stays dirty, and is not logged again until it changes. */
TEST_F(dir, not_again)
{
	struct counts c;
	struct file f;
	int i;

	NEEDS_HELPER();
	OK(make(&f, "f", MOST));
	OK(put(&f, 0, BLOCK));
	OK(fsync(f.fd));
	COUNT(c, for (i = 0; i < 5; i++) { OK(fsync(f.fd)); OK(fdatasync(f.fd)); });
	EXPECT_EQ(0, c.data);
	EXPECT_EQ(0, c.packs);
	COUNT(c, { OK(put(&f, 2 * BLOCK, 1)); OK(fsync(f.fd)); });
	EXPECT_EQ(1, c.data);
	COUNT(c, { OK(put(&f, 5, 1)); OK(fsync(f.fd)); });
	EXPECT_EQ(1, c.data);
	/* Both are still to be written. */
	COUNT(c, OK(syncfs(f.fd)));
	EXPECT_EQ(0, c.data);
	EXPECT_LT(0, c.packs);
	COUNT(c, OK(fsync(f.fd)));
	EXPECT_EQ(0, c.data);
	EXPECT_EQ(0, c.packs);
	EXPECT_EQ(0, cold(&f));
}

/* Stores through a mapping that is there all the time. */
TEST_F(dir, mapped)
{
	unsigned char *p;
	struct counts c;
	struct file f;
	int i;

	NEEDS_HELPER();
	OK(make(&f, "f", MOST));
	p = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	COUNT(c, for (i = 0; i < 20; i++) {
		p[BLOCK + i] = f.model[BLOCK + i] = i + 1;
		OK(msync(p + BLOCK, BLOCK, MS_SYNC));
	});
	EXPECT_EQ(20, c.data);
	EXPECT_EQ(0, c.packs);
	COUNT(c, OK(msync(p, MOST, MS_SYNC)));
	EXPECT_EQ(0, c.data);
	/* By write() and by the mapping, in turn. */
	COUNT(c, for (i = 0; i < 5; i++) {
		OK(put(&f, BLOCK + 100, 10));
		OK(fsync(f.fd));
		p[BLOCK + 7] = f.model[BLOCK + 7] = 100 + i;
		OK(fsync(f.fd));
	});
	EXPECT_EQ(10, c.data);
	OK(munmap(p, MOST));
	EXPECT_EQ(0, compare(&f));
	EXPECT_EQ(0, cold(&f));
}

TEST_F(dir, too_much)
{
	struct counts c;
	struct file f;
	int i;

	NEEDS_HELPER();
	OK(make(&f, "f", MOST));
	COUNT(c, { OK(put(&f, 0, 5 * BLOCK)); OK(fsync(f.fd)); });
	EXPECT_EQ(0, c.data);
	EXPECT_LT(0, c.packs);
	COUNT(c, { OK(put(&f, BLOCK, 4 * BLOCK)); OK(fsync(f.fd)); });
	EXPECT_EQ(4, c.data);
	EXPECT_EQ(0, c.packs);
	close(f.fd);
	/* Files that are synced in many places are written in between. */
	GET(f.fd, open("g", O_RDWR | O_CREAT, 0644));
	COUNT(c, for (i = 0; i < 300; i++) {
		OK(pwrite(f.fd, "x", 1, (i * 7 % 300) * 2 * BLOCK) != 1);
		OK(fsync(f.fd));
	});
	EXPECT_LE(250, c.data);
	EXPECT_LE(200, c.packs);
	/* Tiny ones go the way they always went. */
	close(f.fd);
	OK(make(&f, "h", 0));
	COUNT(c, { OK(put(&f, 0, 100)); OK(fsync(f.fd)); });
	EXPECT_EQ(0, c.data);
	EXPECT_EQ(0, c.packs);
}

/* A log file: many appends, few blocks. */
TEST_F(dir, appended)
{
	struct counts c;
	struct file f;
	int i;

	NEEDS_HELPER();
	OK(make(&f, "f", 2000));
	COUNT(c, for (i = 0; i < 200; i++) {
		OK(put(&f, f.size, 90));
		OK(fdatasync(f.fd));
	});
	EXPECT_LE(200, c.data);
	/* None of them needs one; but where it takes long, it is written back meanwhile. */
	EXPECT_GE(5, c.packs);
	COUNT(c, OK(syncfs(f.fd)));
	EXPECT_EQ(0, c.data);
	EXPECT_GE(6, c.packs);
	EXPECT_EQ(0, cold(&f));
}

/* The new content is in the log before the name.  Scenario M9. */
TEST_F(dir, renamed)
{
	struct counts c;
	struct file f, old;

	NEEDS_HELPER();
	OK(make(&old, "f", 3 * BLOCK));
	OK(make(&f, "tmp", 0));
	COUNT(c, {
		OK(put(&f, 0, 2 * BLOCK + 9));
		OK(fsync(f.fd));
		OK(rename("tmp", "f"));
		OK(fsync(f.fd));
	});
	EXPECT_EQ(3, c.data);
	EXPECT_EQ(0, c.packs);
	/* What is not in the log is written before the name. */
	OK(make(&old, "tmp", 0));
	COUNT(c, {
		OK(put(&old, 0, 2 * BLOCK));
		OK(rename("tmp", "f"));
	});
	EXPECT_EQ(0, c.data);
	EXPECT_LT(0, c.packs);
	EXPECT_EQ(0, cold(&old));
}

/* What goes is said to go, though no extent has it: or a crash would bring it back. */
TEST_F(dir, removed)
{
	struct counts c;
	struct file f;

	NEEDS_HELPER();
	OK(make(&f, "f", 0));
	OK(put(&f, 0, 3 * BLOCK));
	OK(fsync(f.fd));
	COUNT(c, OK(fallocate(f.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK)));
	EXPECT_LE(1, c.records);
	memset(f.model + BLOCK, 0, BLOCK);
	COUNT(c, OK(fallocate(f.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, BLOCK)));
	EXPECT_LE(1, c.records);
	memset(f.model, 0, BLOCK);
	OK(fsync(f.fd));
	EXPECT_EQ(0, compare(&f));
	EXPECT_EQ(0, cold(&f));
}

/* ---- what becomes of it ------------------------------------------------------------ */

static int cut_inside(struct file *f)
{
	f->size = BLOCK + 77;
	memset(f->model + f->size, 0, MOST - f->size);
	return ftruncate(f->fd, f->size);
}

static int cut_and_longer(struct file *f)
{
	if (cut_inside(f))
		return -1;
	f->size = 5 * BLOCK;
	return ftruncate(f->fd, f->size);
}

static int emptied(struct file *f)
{
	memset(f->model, 0, MOST);
	f->size = 0;
	return ftruncate(f->fd, 0) || put(f, 0, 100) ? -1 : 0;
}

static int falloc(struct file *f, int mode, size_t at, size_t len)
{
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(f->model + at, 0, len);
	return fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, at, len);
}

static int punched(struct file *f)
{
	return falloc(f, FALLOC_FL_PUNCH_HOLE, BLOCK - 5, BLOCK + 10);
}

static int zeroed(struct file *f)
{
	return falloc(f, FALLOC_FL_ZERO_RANGE, 0, BLOCK);
}

static int reserved(struct file *f)
{
	return falloc(f, 0, 0, MOST);
}

static int directly(struct file *f)
{
	unsigned char *buf = aligned_alloc(BLOCK, BLOCK);
	char path[64];
	int fd, bad;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	fd = open(path, O_RDWR | O_DIRECT);
	bad = fd < 0 || pread(fd, buf, BLOCK, BLOCK) <= 0 ||
	      memcmp(buf, f->model + BLOCK, f->size < 2 * BLOCK ? f->size - BLOCK : BLOCK);
	memset(buf, 'D', BLOCK);
	memset(f->model + BLOCK, 'D', BLOCK);
	if (f->size < 2 * BLOCK)
		f->size = 2 * BLOCK;
	bad |= pwrite(fd, buf, BLOCK, BLOCK) != BLOCK;
	close(fd);
	free(buf);
	return bad ? -1 : 0;
}

/* From it, and over it. */
static int cloned(struct file *f)
{
	struct file to;
	int bad;

	if (make(&to, "clone", 2 * BLOCK) || put(&to, BLOCK, BLOCK) || fsync(to.fd))
		return -1;
	if (ioctl(to.fd, FICLONE, f->fd))
		return errno == EOPNOTSUPP ? 0 : -1;
	memcpy(to.model, f->model, MOST);
	to.size = f->size;
	bad = compare(&to) || cold(&to);
	close(to.fd);
	return bad ? -1 : 0;
}

static int searched(struct file *f)
{
	return lseek(f->fd, 0, SEEK_DATA) || lseek(f->fd, 0, SEEK_HOLE) != (off_t)f->size ? -1 : 0;
}

static int told_to_go(struct file *f)
{
	return posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static const struct way {
	const char *name;
	int (*go)(struct file *f);
} ways[] = {
#define W(f) { #f, f }
	W(cut_inside), W(cut_and_longer), W(emptied), W(punched), W(zeroed), W(reserved),
	W(directly), W(cloned), W(searched), W(told_to_go),
};

/* Blocks that the log alone has, and blocks that have older ones in a pack. */
static int walk(const struct way *w, size_t size, size_t at, size_t len)
{
	struct file f;
	int bad;

	if (make(&f, w->name, size) || put(&f, at, len) || fsync(f.fd))
		return -20;
	if (w->go(&f))
		return -21;
	bad = compare(&f);
	if (!bad && (put(&f, 3, 5) || fsync(f.fd)))
		bad = -22;
	if (!bad)
		bad = compare(&f);
	if (!bad)
		bad = cold(&f);
	close(f.fd);
	return bad;
}

TEST_F(dir, every_way)
{
	unsigned int i;

	nx_seed();
	for (i = 0; i < N_ELEMS(ways); i++) {
		EXPECT_EQ(0, walk(&ways[i], 0, 0, 2 * BLOCK + 300))
			TH_LOG("%s, new", ways[i].name);
		EXPECT_EQ(0, walk(&ways[i], 3 * BLOCK, BLOCK, BLOCK))
			TH_LOG("%s, overwritten", ways[i].name);
		EXPECT_EQ(0, walk(&ways[i], BLOCK, BLOCK, 2 * BLOCK))
			TH_LOG("%s, longer", ways[i].name);
	}
}

/* Writers, fsyncs, writeback and stores at the same time. */
TEST_F(dir, beside)
{
	struct file f;
	unsigned char *p;
	pid_t pid[3];
	int i, j, status;

	OK(make(&f, "f", MOST));
	p = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		/* Each has bytes of its own in every block. */
		for (j = 0; j < 400; j++) {
			off_t at = (j % BLOCKS) * BLOCK + i * 1000 + j;

			if (i == 2)
				p[at] = j;
			else if (pwrite(f.fd, &(char){ j }, 1, at) != 1)
				_exit(1);
			if (i == 1 && j % 50 == 0 ? syncfs(f.fd) : fsync(f.fd))
				_exit(2);
		}
		_exit(0);
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
		for (j = 0; j < 400; j++)
			f.model[(j % BLOCKS) * BLOCK + i * 1000 + j] = j;
	}
	OK(munmap(p, MOST));
	EXPECT_EQ(0, compare(&f));
	EXPECT_EQ(0, cold(&f));
}

/* Cut at the edges of blocks while they are logged: every record stays one. */
TEST_F(dir, cut_beside)
{
	struct file f;
	pid_t pid;
	int i, status;

	OK(make(&f, "f", 0));
	pid = fork();
	if (!pid) {
		for (i = 0; i < 1500; i++)
			if (ftruncate(f.fd, i % 4 * BLOCK))
				_exit(1);
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		memset(f.model, 'c', 4 * BLOCK);
		ASSERT_EQ(4 * BLOCK, pwrite(f.fd, f.model, 4 * BLOCK, 0));
		OK(fsync(f.fd));
	}
	EXPECT_EQ(0, status);
	f.size = 4 * BLOCK;
	OK(ftruncate(f.fd, 0));
	OK(put(&f, 0, 4 * BLOCK));
	OK(fsync(f.fd));
	EXPECT_EQ(0, cold(&f));
}

/*
 * More than the log has room for, in files of which none is written by itself: segments
 * come back because their content is moved, and nobody waits for ever.  Scenario E1.
 */
TEST_F(dir, around_the_log)
{
	int n = nx_env("NEXUS_SHORT", 0) ? 200 : 2800, i, dirfd = -1;
	unsigned char block[4 * BLOCK];
	struct counts c;
	char name[16];
	int fd;

	NEEDS_HELPER();
	GET(dirfd, open(".", O_RDONLY));
	memset(block, 'r', sizeof(block));
	COUNT(c, for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d", i);
		GET(fd, open(name, O_RDWR | O_CREAT, 0644));
		memcpy(block, &i, sizeof(i));
		OK(write(fd, block, sizeof(block)) != sizeof(block));
		OK(fsync(fd));
		close(fd);
	});
	TH_LOG("%" PRId64 " of %d blocks went to the log", c.data, 4 * n);
	EXPECT_LE(2 * n, c.data);
	OK(syncfs(dirfd));
	nx_drop_caches();
	for (i = 0; i < n; i += 7) {
		unsigned char got[4 * BLOCK + 1];

		snprintf(name, sizeof(name), "%d", i);
		GET(fd, open(name, O_RDONLY));
		ASSERT_EQ((ssize_t)sizeof(block), read(fd, got, sizeof(got)));
		memcpy(block, &i, sizeof(i));
		ASSERT_EQ(0, memcmp(got, block, sizeof(block)));
		close(fd);
	}
	close(dirfd);
}

TEST_HARNESS_MAIN
