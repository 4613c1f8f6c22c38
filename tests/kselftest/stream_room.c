// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams that persist: what appending costs in flushes, what becomes of it when the room
 * ends in the middle, and what else a file has: extended attributes, ACLs.
 */
#include "nx_stream.h"
#include "nx_quota.h"
#include "nx_stats.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#include "../../userspace/libnexus/include/nexus/stream.h"
#define NEXUS_EXPORT
#include "../../userspace/libnexus/stream.c"

#define NEEDS_NEXUS(self)				\
	do {						\
		if (!(self)->nexus || !(self)->root)	\
			SKIP(return, "needs nexusfs and root"); \
	} while (0)

enum { USER = 71077, RECORD = 3000, LIMIT = 200 /* blocks */ };

/* ---- flushes ------------------------------------------------------------------------ */

static int64_t flushes(void)
{
	struct nx_stats s;
	int64_t n;

	if (!nx_stats_read(&s))
		return -1;
	n = nx_stat(&s, "log_flushes");
	nx_stats_free(&s);
	return n;
}

/* @procs processes that append @each records to the stream "s", all at once. */
static void append_at_once(struct __test_metadata *_metadata, int procs, int each)
{
	int go[2], i, n;
	char c;

	OK(pipe(go));
	for (i = 0; i < procs; i++) {
		int fd;

		if (fork())
			continue;
		close(go[1]);
		fd = open("s", O_WRONLY);
		HOLDS(fd >= 0 && read(go[0], &c, 1) == 0);
		for (n = 0; n < each; n++)
			HOLDS(write(fd, &n, sizeof(n)) == sizeof(n));
		_exit(0);
	}
	close(go[0]);
	close(go[1]);
	ASSERT_EQ(0, nx_reap());
}

/*
 * Alone each append has a flush of its own before it returns; many at once have one
 * together.
 */
TEST_F(dir, appenders_share_flushes)
{
	enum { PROCS = 16, EACH = 25 };
	int64_t before, alone, many;
	int fd;

	NEEDS_NEXUS(self);
	OK(stream_make("s", 1 << 20, NEXUS_STREAM_PERSIST));
	GET(fd, open("s", O_RDWR));
	OK(syncfs(fd));
	before = flushes();
	ASSERT_LE(0, before);
	append_at_once(_metadata, 1, EACH);
	alone = flushes() - before;
	before += alone;
	append_at_once(_metadata, PROCS, EACH);
	many = flushes() - before;
	TH_LOG("%d appends: %lld flushes; %d by %d: %lld", EACH, (long long)alone,
	       PROCS * EACH, PROCS, (long long)many);
	EXPECT_LE(EACH, alone);
	EXPECT_GE(PROCS * EACH / 2, many);
	ASSERT_EQ((PROCS + 1) * EACH, stream_stat(fd).records);
	/* A batch is durable with one, and what is not appended costs none. */
	before = flushes();
	{
		static char buf[200 * 20];
		uint32_t lens[200];
		int i;

		for (i = 0; i < 200; i++)
			lens[i] = 20;
		ASSERT_EQ(200, nexus_stream_append_batch(fd, buf, lens, 200, NULL));
	}
	many = flushes() - before;
	EXPECT_LE(1, many);
	EXPECT_GE(10, many);
	close(fd);
}

/* ---- where the room ends ---------------------------------------------------------------- */

static unsigned char record[1 << 20], got[1 << 20];

/* The bytes of record @n. */
static void fill(unsigned int n, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		record[i] = (unsigned char)(n * 31 + i);
	memcpy(record, &n, sizeof(n));
}

/* Records @from, @from + 1, … until one fails; that many.  The error is left in errno. */
static int append_until(int fd, unsigned int from, size_t len)
{
	unsigned int n;

	for (n = 0; n < 100000; n++) {
		fill(from + n, len);
		errno = 0;
		if (write(fd, record, len) != (ssize_t)len)
			break;
	}
	return n;
}

/* All of @count records are there, each whole, in order, and nothing else. */
static void all_there(struct __test_metadata *_metadata, unsigned int count, size_t len)
{
	struct nexus_stream_stat st;
	unsigned int n;
	int fd;

	GET(fd, open("s", O_RDONLY));
	st = stream_stat(fd);
	ASSERT_EQ(count, st.records);
	for (n = 0; n < count; n++) {
		fill(n, len);
		ASSERT_EQ(len, read(fd, got, sizeof(got)));
		ASSERT_EQ(0, memcmp(got, record, len));
	}
	ASSERT_EQ(0, read(fd, got, sizeof(got)));
	ASSERT_EQ(st.tail, lseek(fd, 0, SEEK_CUR));
	close(fd);
}

/* What one who appends is told, for whoever looks. */
struct told {
	int count;		/* records that were appended */
	int batch;		/* what the batch said */
	uint64_t tail, again;	/* the tail before, and behind, what failed */
};

static struct told *told;

static void make_as_user(void *arg)
{
	HOLDS(!stream_make("s", 64 << 20, NEXUS_STREAM_PERSIST));
}

static void until_quota(void *arg)
{
	int fd = open("s", O_RDWR), i;

	HOLDS(fd >= 0);
	told->count += append_until(fd, told->count, *(size_t *)arg);
	HOLDS(errno == EDQUOT);
	told->tail = stream_stat(fd).tail;
	/* Again and again: nothing piles up. */
	for (i = 0; i < 5; i++)
		HOLDS(write(fd, record, *(size_t *)arg) == -1 && errno == EDQUOT);
	told->again = stream_stat(fd).tail;
}

static void append_one(void *arg)
{
	int fd = open("s", O_WRONLY);

	HOLDS(fd >= 0);
	fill(told->count, *(size_t *)arg);
	HOLDS(write(fd, record, *(size_t *)arg) == *(ssize_t *)arg);
	told->count++;
}

/* What goes needs no room, not even where its block stays. */
static void trim_first(void *arg)
{
	struct nexus_stream_record first;
	int fd = open("s", O_RDWR);
	uint64_t at = 0;

	HOLDS(fd >= 0);
	HOLDS(nexus_stream_read_batch(fd, &at, got, sizeof(got), &first, 1) == 1);
	HOLDS(!stream_trim(fd, at));
	HOLDS(stream_stat(fd).start == at);
	told->again = at;
}

/* As many of a batch as there is room for, the first of them in order. */
static void append_batch(void *arg)
{
	static unsigned char all[100 * RECORD];
	int fd = open("s", O_WRONLY), i;
	uint32_t lens[100];

	for (i = 0; i < 100; i++) {
		fill(told->count + i, RECORD);
		memcpy(all + i * RECORD, record, RECORD);
		lens[i] = RECORD;
	}
	HOLDS(fd >= 0);
	told->batch = nexus_stream_append_batch(fd, all, lens, 100, NULL);
	HOLDS(told->batch > 0);
	told->count += told->batch;
}

/* A stream of USER, whose quota ends in the middle of appends. */
static void with_quota(struct __test_metadata *_metadata, size_t len, bool drop)
{
	struct nexus_stream_stat st;
	struct stat sb;
	int fd;

	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, told);
	OK(chmod(".", 0777));
	OK(nx_limit(USRQUOTA, USER, LIMIT, 0, 0, 0));
	ASSERT_EQ(0, nx_as(USER, make_as_user, NULL));
	ASSERT_EQ(0, nx_as(USER, until_quota, &len));
	ASSERT_EQ(told->tail, told->again);
	ASSERT_LT(0, told->count);
	/* It is the last one that did not fit. */
	ASSERT_LE(LIMIT * BLOCK - 2 * (off_t)len - 16 * BLOCK, told->tail);
	/* Nothing of it takes room. */
	TH_LOG("%ld blocks for %llu", nx_blocks(USRQUOTA, USER), (unsigned long long)told->tail);
	ASSERT_GE(told->tail / BLOCK + 2, nx_blocks(USRQUOTA, USER));
	all_there(_metadata, told->count, len);
	if (drop) {
		nx_drop_caches();
		all_there(_metadata, told->count, len);
	}
	OK(stat("s", &sb));
	ASSERT_EQ(told->tail, sb.st_size);
	/* Whoever waits for more gets it when there is room again. */
	OK(nx_limit(USRQUOTA, USER, LIMIT * 2, 0, 0, 0));
	ASSERT_EQ(0, nx_as(USER, append_one, &len));
	all_there(_metadata, told->count, len);
	ASSERT_EQ(0, nx_as(USER, until_quota, &len));
	ASSERT_LE(LIMIT * 2 * BLOCK - 2 * (off_t)len - 16 * BLOCK, told->tail);
	all_there(_metadata, told->count, len);
	ASSERT_EQ(0, nx_as(USER, trim_first, NULL));
	nx_drop_caches();
	GET(fd, open("s", O_RDWR));
	st = stream_stat(fd);
	ASSERT_EQ(told->again, st.start);
	ASSERT_EQ(told->count - 1, st.records);
	/* Or when something was trimmed. */
	OK(stream_trim(fd, st.tail));
	ASSERT_EQ(0, stream_stat(fd).records);
	OK(syncfs(fd));
	ASSERT_EQ(0, nx_as(USER, append_one, &len));
	ASSERT_EQ(1, stream_stat(fd).records);
	OK(lseek(fd, 0, SEEK_SET) < 0);
	fill(told->count - 1, len);
	ASSERT_EQ(len, pread(fd, got, sizeof(got), st.tail));
	ASSERT_EQ(0, memcmp(got, record, len));
	close(fd);
	OK(unlink("s"));
	OK(nx_limit(USRQUOTA, USER, 0, 0, 0, 0));
}

TEST_F(dir, quota_ends_between_small_records)
{
	NEEDS_NEXUS(self);
	with_quota(_metadata, RECORD, false);
}

TEST_F(dir, quota_ends_in_a_large_record)
{
	NEEDS_NEXUS(self);
	with_quota(_metadata, 70000, true);
}

TEST_F(dir, quota_ends_in_a_batch)
{
	size_t len = RECORD;

	NEEDS_NEXUS(self);
	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, told);
	OK(chmod(".", 0777));
	OK(nx_limit(USRQUOTA, USER, 40, 0, 0, 0));
	ASSERT_EQ(0, nx_as(USER, make_as_user, NULL));
	ASSERT_EQ(0, nx_as(USER, append_batch, NULL));
	ASSERT_GT(100, told->batch);
	ASSERT_LE(20, told->batch);
	all_there(_metadata, told->count, RECORD);
	nx_drop_caches();
	all_there(_metadata, told->count, RECORD);
	OK(nx_limit(USRQUOTA, USER, 400, 0, 0, 0));
	ASSERT_EQ(0, nx_as(USER, append_one, &len));
	all_there(_metadata, told->count, RECORD);
	OK(nx_limit(USRQUOTA, USER, 0, 0, 0, 0));
}

/* ---- what a file has ---------------------------------------------------------------------- */

static void as_named_user(void *arg)
{
	int fd = open("s", O_WRONLY);

	HOLDS(fd >= 0);
	HOLDS(write(fd, "by acl", 6) == 6);
	HOLDS(open("s", O_RDWR) == -1 && errno == EACCES);
	HOLDS(open("s", O_RDONLY) == -1 && errno == EACCES);
}

/* An ACL that lets USER append, and nothing else. */
static int may_append(const char *path)
{
	static const struct { uint16_t tag, perm; uint32_t id; } want[] = {
		{ ACL_USER_OBJ, 6, ACL_UNDEFINED_ID }, { ACL_USER, 2, USER },
		{ ACL_GROUP_OBJ, 0, ACL_UNDEFINED_ID }, { ACL_MASK, 6, ACL_UNDEFINED_ID },
		{ ACL_OTHER, 0, ACL_UNDEFINED_ID },
	};
	char buf[sizeof(struct posix_acl_xattr_header) +
		 N_ELEMS(want) * sizeof(struct posix_acl_xattr_entry)];
	struct posix_acl_xattr_header *h = (void *)buf;
	struct posix_acl_xattr_entry *e = (void *)(h + 1);
	size_t i;

	h->a_version = POSIX_ACL_XATTR_VERSION;
	for (i = 0; i < N_ELEMS(want); i++) {
		e[i].e_tag = want[i].tag;
		e[i].e_perm = want[i].perm;
		e[i].e_id = want[i].id;
	}
	return setxattr(path, "system.posix_acl_access", buf, sizeof(buf), 0);
}

TEST_F(stream, xattrs_and_acls)
{
	char buf[64];

	if (!nx_is_nexus(self->path) || geteuid())
		SKIP(return, "needs nexusfs and root");
	OK(setxattr("s", "user.kind", "log", 3, XATTR_CREATE));
	OK(fsetxattr(self->fd, "trusted.more", "x", 1, 0));
	ASSERT_EQ(5, write(self->fd, "first", 5));
	OK(may_append("s"));
	ASSERT_EQ(0, nx_as(USER, as_named_user, NULL));
	ASSERT_EQ(2, stream_stat(self->fd).records);
	/* Also when nothing of it is cached. */
	close(self->fd);
	nx_drop_caches();
	ASSERT_EQ(3, getxattr("s", "user.kind", buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "log", 3));
	ASSERT_EQ(1, getxattr("s", "trusted.more", buf, sizeof(buf)));
	GET(self->fd, open("s", O_RDWR));
	ASSERT_EQ(0, nx_as(USER, as_named_user, NULL));
	ASSERT_EQ(3, stream_stat(self->fd).records);
	ASSERT_EQ(5, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(6, read(self->fd, buf, sizeof(buf)));
	OK(removexattr("s", "user.kind"));
	FAILS(ENODATA, getxattr("s", "user.kind", buf, sizeof(buf)));
	OK(removexattr("s", "system.posix_acl_access"));
	ASSERT_EQ(6, read(self->fd, buf, sizeof(buf)));
}

TEST_HARNESS_MAIN
