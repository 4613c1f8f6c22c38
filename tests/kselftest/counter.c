// SPDX-License-Identifier: GPL-2.0-only
/* What the helper is asked and how often is flushed, by the counters. */
#include "nx_stats.h"

#include <sched.h>
#include <sys/xattr.h>

FIXTURE(cnt)
{
	char path[256];
	struct nx_stats before, after;
};

FIXTURE_SETUP(cnt)
{
	snprintf(self->path, sizeof(self->path), "%s/counter.XXXXXX", nx_base());
	if (!nx_is_nexus(nx_base()) || access("/run/nexusfs/nexusd.pid", F_OK))
		SKIP(return, "needs nexusfs with a helper");
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
	ASSERT_TRUE(nx_stats_read(&self->before));
	nx_stats_free(&self->before);
	memset(&self->before, 0, sizeof(self->before));
}

FIXTURE_TEARDOWN(cnt)
{
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
	nx_stats_free(&self->before);
	nx_stats_free(&self->after);
}

#define BEGIN() ASSERT_TRUE(nx_stats_read(&self->before))
#define END() ASSERT_TRUE(nx_stats_read(&self->after))
#define GREW(name) nx_grew(&self->before, &self->after, name)
#define ASKED_NOTHING()							\
	do {								\
		END();							\
		ASSERT_LE(0, nx_stat(&self->after, "requests"));	\
		EXPECT_EQ(0, GREW("requests")) {			\
			TH_LOG("lookup %lld getattr %lld list %lld "	\
			       "extents %lld xattr %lld pack %lld other %lld", \
			       (long long)GREW("req_lookup"),		\
			       (long long)GREW("req_getattr"),		\
			       (long long)GREW("req_list"),		\
			       (long long)GREW("req_extents"),		\
			       (long long)GREW("req_xattr"),		\
			       (long long)GREW("req_open_pack"),	\
			       (long long)GREW("req_other"));		\
		}							\
	} while (0)

TEST_F(cnt, warm_stat_open_read)
{
	struct stat st;
	char buf[8192];
	int i, fd;

	OK(mkdir("d", 0755));
	OK(nx_put("d/f", "text"));
	nx_drop_caches();
	EXPECT_STREQ("text", nx_get("d/f"));
	OK(stat("d/f", &st));
	BEGIN();
	for (i = 0; i < 200; i++) {
		OK(stat("d/f", &st));
		GET(fd, open("d/f", O_RDONLY));
		EXPECT_EQ(4, read(fd, buf, sizeof(buf)));
		OK(close(fd));
	}
	ASKED_NOTHING();
}

TEST_F(cnt, cold_lookup_asks)
{
	struct stat st;

	OK(nx_put("f", "text"));
	nx_drop_caches();
	BEGIN();
	OK(stat("f", &st));
	END();
	EXPECT_LT(0, GREW("req_lookup"));
}

TEST_F(cnt, negative_lookup)
{
	struct stat st;
	int i;

	OK(nx_put("there", "x"));
	nx_drop_caches();
	FAILS(ENOENT, stat("none", &st));
	BEGIN();
	for (i = 0; i < 200; i++)
		FAILS(ENOENT, stat("none", &st));
	ASKED_NOTHING();
}

/* Who has read the whole directory knows what is not in it. */
TEST_F(cnt, negative_lookup_after_listing)
{
	struct stat st;
	char name[16];
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		OK(nx_put(name, "x"));
	}
	nx_drop_caches();
	OK(nx_sh("ls -la > /dev/null"));
	BEGIN();
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		OK(stat(name, &st));
		snprintf(name, sizeof(name), "none%d", i);
		FAILS(ENOENT, stat(name, &st));
	}
	ASKED_NOTHING();
}

TEST_F(cnt, changes_in_a_new_directory)
{
	char name[32], other[32], buf[5000] = "data";
	int i, fd;

	OK(mkdir("new", 0755));
	OK(chdir("new"));
	BEGIN();
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		snprintf(other, sizeof(other), "g%d", i);
		GET(fd, open(name, O_RDWR | O_CREAT | O_EXCL, 0644));
		EXPECT_EQ(5000, write(fd, buf, 5000));
		EXPECT_EQ(5000, pwrite(fd, buf, 5000, 100000));
		OK(ftruncate(fd, 3000));
		OK(fchmod(fd, 0600));
		OK(futimens(fd, NULL));
		OK(close(fd));
		OK(rename(name, other));
		OK(link(other, name));
		OK(unlink(other));
		OK(symlink("target", other));
		OK(unlink(other));
		OK(mkdir(other, 0755));
		if (i % 2)
			OK(rmdir(other));
		snprintf(other, sizeof(other), "w%d", i);
		OK(renameat2(AT_FDCWD, name, AT_FDCWD, other, RENAME_WHITEOUT));
		OK(unlink(name));
	}
	ASKED_NOTHING();
}

TEST_F(cnt, changes_to_what_was_looked_up)
{
	struct stat st;
	char buf[10];
	int fd;

	OK(nx_put("f", "0123456789"));
	nx_drop_caches();
	EXPECT_STREQ("0123456789", nx_get("f"));
	FAILS(ENOENT, stat("g", &st));
	BEGIN();
	GET(fd, open("f", O_RDWR));
	EXPECT_EQ(3, pwrite(fd, "abc", 3, 3));
	EXPECT_EQ(10, pread(fd, buf, 10, 0));
	OK(fchmod(fd, 0600));
	OK(fsync(fd));
	OK(close(fd));
	OK(rename("f", "g"));
	OK(unlink("g"));
	ASKED_NOTHING();
}

/* Of a file made since the mount everything is known. */
TEST_F(cnt, xattrs_of_a_new_file)
{
	char buf[4096], list[64];
	int i;

	memset(buf, 'x', sizeof(buf));
	OK(mkdir("new", 0755));
	OK(chdir("new"));
	BEGIN();
	OK(close(open("f", O_WRONLY | O_CREAT | O_EXCL, 0644)));
	OK(symlink("f", "l"));
	for (i = 0; i < 50; i++) {
		FAILS(ENODATA, getxattr("f", "user.a", buf, sizeof(buf)));
		FAILS(ENODATA, getxattr("f", "security.capability", list, sizeof(list)));
		FAILS(ENODATA, getxattr("f", "system.posix_acl_access", list, sizeof(list)));
		FAILS(ENODATA, lgetxattr("l", "security.selinux", list, sizeof(list)));
		EXPECT_EQ(0, listxattr("f", NULL, 0));
		OK(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
		OK(setxattr("f", "user.a", buf, sizeof(buf), 0));
		EXPECT_EQ(7, listxattr("f", list, sizeof(list)));
		EXPECT_EQ(4096, getxattr("f", "user.a", buf, sizeof(buf)));
		OK(removexattr("f", "user.a"));
	}
	ASKED_NOTHING();
}

TEST_F(cnt, warm_xattrs)
{
	char name[32], buf[64];
	struct stat st;
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		OK(nx_put(name, "x"));
	}
	OK(setxattr("f0", "user.a", "value", 5, 0));
	OK(setxattr("f0", "user.b", "other", 5, 0));
	nx_drop_caches();
	/* One request for the names, one for each value. */
	OK(stat("f0", &st));
	BEGIN();
	EXPECT_EQ(5, getxattr("f0", "user.a", buf, sizeof(buf)));
	FAILS(ENODATA, getxattr("f0", "user.none", buf, sizeof(buf)));
	EXPECT_EQ(14, listxattr("f0", buf, sizeof(buf)));
	END();
	EXPECT_EQ(2, GREW("requests"));
	EXPECT_EQ(2, GREW("req_xattr"));
	BEGIN();
	for (i = 0; i < 50; i++) {
		EXPECT_EQ(5, getxattr("f0", "user.a", NULL, 0));
		EXPECT_EQ(5, getxattr("f0", "user.a", buf, sizeof(buf)));
		FAILS(ENODATA, getxattr("f0", "user.none", buf, sizeof(buf)));
		FAILS(ENODATA, getxattr("f0", "system.posix_acl_access", buf, sizeof(buf)));
		OK(setxattr("f0", "user.c", "1", 1, 0));
		OK(removexattr("f0", "user.c"));
	}
	ASKED_NOTHING();
	/* That the others have none came with their attributes. */
	nx_drop_caches();
	OK(nx_sh("ls -l > /dev/null"));
	BEGIN();
	for (i = 1; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		FAILS(ENODATA, getxattr(name, "system.posix_acl_access", buf, sizeof(buf)));
		FAILS(ENODATA, getxattr(name, "security.selinux", buf, sizeof(buf)));
		EXPECT_EQ(0, listxattr(name, NULL, 0));
	}
	ASKED_NOTHING();
	nx_drop_caches();
	OK(stat("f1", &st));
	BEGIN();
	EXPECT_EQ(0, listxattr("f1", NULL, 0));
	FAILS(ENODATA, getxattr("f1", "security.capability", buf, sizeof(buf)));
	ASKED_NOTHING();
}

static int count_names(const char *path);

/* What is left at the old name is known like any new file. */
TEST_F(cnt, whiteouts)
{
	struct stat st;
	int i;

	OK(mkdir("new", 0755));
	OK(nx_put("new/f", "x"));
	OK(nx_put("new/over", "x"));
	BEGIN();
	OK(renameat2(AT_FDCWD, "new/f", AT_FDCWD, "new/over", RENAME_WHITEOUT));
	for (i = 0; i < 10; i++) {
		OK(stat("new/f", &st));
		EXPECT_EQ(S_IFCHR, st.st_mode);
		FAILS(ENOENT, stat("new/g", &st));
		EXPECT_EQ(2, count_names("new"));
	}
	ASKED_NOTHING();
}

/* Content that left memory comes from the pack, not through the helper. */
TEST_F(cnt, known_extents)
{
	char *buf = calloc(1, 1 << 20);
	int fd, i;

	memset(buf, 'k', 1 << 20);
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(1 << 20, write(fd, buf, 1 << 20));
	OK(fsync(fd));
	BEGIN();
	for (i = 0; i < 5; i++) {
		OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
		EXPECT_EQ(1 << 20, pread(fd, buf, 1 << 20, 0));
		EXPECT_EQ('k', buf[12345]);
	}
	ASKED_NOTHING();
	EXPECT_LT(0, GREW("pack_reads"));
	EXPECT_EQ(0, GREW("crc_errors"));
	OK(close(fd));
	free(buf);
}

TEST_F(cnt, fsync)
{
	int fd, i;

	OK(mkdir("d", 0755));
	GET(fd, open("d/f", O_RDWR | O_CREAT, 0644));
	BEGIN();
	for (i = 0; i < 50; i++) {
		EXPECT_EQ(4, pwrite(fd, "data", 4, i * 4096));
		OK(fsync(fd));
	}
	OK(syncfs(fd));
	ASKED_NOTHING();
	EXPECT_LE(50, GREW("fsyncs"));
	/* Data and the record that points at it: one flush for both. */
	EXPECT_LE(50, GREW("log_flushes"));
	EXPECT_GE(110, GREW("log_flushes"));
	/* What is durable already costs nothing. */
	BEGIN();
	for (i = 0; i < 50; i++)
		OK(fsync(fd));
	END();
	EXPECT_GE(5, GREW("log_flushes"));
	OK(close(fd));
}

/* Scenario E8. */
TEST_F(cnt, creates_and_one_syncfs)
{
	char name[32];
	int fd, i;

	OK(mkdir("d", 0755));
	GET(fd, open("d", O_RDONLY | O_DIRECTORY));
	OK(syncfs(fd));
	BEGIN();
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		OK(close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)));
	}
	OK(syncfs(fd));
	ASKED_NOTHING();
	EXPECT_LE(1000, GREW("log_records"));
	/* One, and one more for each second that it took. */
	EXPECT_LE(1, GREW("log_flushes"));
	EXPECT_GE(40, GREW("log_flushes"));
	OK(close(fd));
}

TEST_F(cnt, doorbells_carry_more_than_one)
{
	enum { PROCS = 4, NAMES = 150 };
	char name[32];
	int proc, i, go[2];
	char c;

	/* Each alone in its directory: nothing is read ahead there. */
	for (i = 0; i < PROCS * NAMES; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		OK(mkdir(name, 0755));
		snprintf(name, sizeof(name), "d%d/f", i);
		OK(close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)));
	}
	nx_drop_caches();
	OK(pipe(go));
	for (proc = 0; proc < PROCS; proc++) {
		struct stat st;

		if (fork())
			continue;
		close(go[1]);
		HOLDS(read(go[0], &c, 1) == 0);
		for (i = 0; i < NAMES; i++) {
			snprintf(name, sizeof(name), "d%d/f", i * PROCS + proc);
			HOLDS(!stat(name, &st));
		}
		_exit(0);
	}
	BEGIN();
	close(go[1]);
	EXPECT_EQ(0, nx_reap());
	END();
	TH_LOG("%lld requests, %lld doorbells", (long long)GREW("requests"),
	       (long long)GREW("doorbells"));
	EXPECT_LE(PROCS * NAMES, GREW("requests"));
	EXPECT_GT(GREW("requests"), GREW("doorbells"));
}

/* Names that are looked up in their order are read ahead, those of small directories whole. */
TEST_F(cnt, lookups_are_read_ahead)
{
	char name[32];
	struct stat st;
	int i;

	OK(mkdir("big", 0755));
	OK(mkdir("small", 0755));
	for (i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "big/f%d", i);
		OK(close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)));
	}
	for (i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "small/f%d", i);
		OK(close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)));
	}
	nx_drop_caches();
	BEGIN();
	for (i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "big/f%d", i);
		OK(stat(name, &st));
	}
	END();
	EXPECT_GE(60, GREW("requests"));
	EXPECT_LE(8, GREW("look_aheads"));
	/* Two of its sixteen, and then all of it. */
	OK(stat("small", &st));
	BEGIN();
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "small/g%d", i);
		EXPECT_EQ(-1, stat(name, &st));
	}
	for (i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "small/f%d", i);
		OK(stat(name, &st));
	}
	END();
	EXPECT_EQ(3, GREW("requests"));
	EXPECT_EQ(1, GREW("look_aheads"));
}

/*
 * A directory that is too large to be known whole: after some questions in vain it knows
 * which names it does not have, whatever comes and goes meanwhile.
 */
TEST_F_TIMEOUT(cnt, large_directory_knows_what_it_has_not, 900)
{
	enum { NAMES = 66000, HALF = 120 };
	char name[40], to[40];
	struct stat st;
	int fd, i;

	OK(mkdir("large", 0755));
	/* As long as the directory is in memory. */
	GET(fd, open("large", O_RDONLY | O_DIRECTORY));
	for (i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "large/f%d", i);
		OK(mknod(name, S_IFREG | 0644, 0));
	}
	nx_drop_caches();
	/* Some hundred names are listed for each, while others come. */
	for (i = 0; i < 2 * HALF; i++) {
		snprintf(name, sizeof(name), "large/no%d", i);
		FAILS(ENOENT, stat(name, &st));
		snprintf(name, sizeof(name), "large/new%d", i);
		OK(mknod(name, S_IFREG | 0644, 0));
		snprintf(to, sizeof(to), "large/moved%d", i);
		OK(rename(name, to));
		OK(link(to, name));
	}
	nx_drop_caches();
	BEGIN();
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "large/g%d", i);
		FAILS(ENOENT, stat(name, &st));
		OK(mknod(name, S_IFREG | 0644, 0));
	}
	END();
	/* Nearly none: a filter is wrong now and then. */
	EXPECT_GE(30, GREW("requests"));
	EXPECT_LE(970, GREW("dir_complete_hits"));
	/* And it never says no to a name that is there. */
	nx_drop_caches();
	for (i = 0; i < NAMES; i += 37) {
		snprintf(name, sizeof(name), "large/f%d", i);
		OK(stat(name, &st));
	}
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "large/g%d", i);
		OK(stat(name, &st));
	}
	for (i = 0; i < 2 * HALF; i++) {
		snprintf(name, sizeof(name), "large/new%d", i);
		OK(stat(name, &st));
		snprintf(name, sizeof(name), "large/moved%d", i);
		OK(stat(name, &st));
	}
	close(fd);
}

/* @n files of @len bytes each in a new directory, settled. */
static int make_files(const char *dir, int n, size_t len)
{
	static char bytes[8192];
	char name[32];
	int fd, i;

	memset(bytes, 'x', sizeof(bytes));
	if (mkdir(dir, 0755))
		return -1;
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/f%d", dir, i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || close(fd))
			return -1;
	}
	return 0;
}

/* Opens and reads them, each @step-th one first. */
static int read_files(const char *dir, int n, size_t len, int step)
{
	static char bytes[8192];
	char name[32];
	int fd, i, j;

	for (j = 0; j < step; j++) {
		for (i = j; i < n; i += step) {
			snprintf(name, sizeof(name), "%s/f%d", dir, i);
			fd = open(name, O_RDONLY);
			if (fd < 0 || read(fd, bytes, sizeof(bytes)) != (ssize_t)len ||
			    bytes[len - 1] != 'x' || close(fd))
				return -1;
		}
	}
	return 0;
}

/* Extents and inline bodies of files that are read one after the other, in any order. */
TEST_F(cnt, contents_are_read_ahead)
{
	static const struct {
		const char *dir;
		size_t len;
		int step;
		bool known;
	} runs[] = {
		{ "blocks", 5000, 1, false }, { "blocks", 5000, 1, true },
		{ "blocks", 5000, 7, true }, { "inline", 700, 1, false },
		{ "inline", 700, 1, true }, { "inline", 700, 7, true },
	};
	enum { FILES = 200 };
	char name[32];
	struct stat st;
	size_t r;
	int i;

	OK(make_files("blocks", FILES, 5000));
	OK(make_files("inline", FILES, 700));
	for (r = 0; r < N_ELEMS(runs); r++) {
		nx_drop_caches();
		/* As ls -l does: names and attributes come first. */
		for (i = 0; runs[r].known && i < FILES; i++) {
			snprintf(name, sizeof(name), "%s/f%d", runs[r].dir, i);
			OK(stat(name, &st));
		}
		BEGIN();
		OK(read_files(runs[r].dir, FILES, runs[r].len, runs[r].step));
		END();
		/* 200 each, if they were asked for alone. */
		EXPECT_GE(FILES / 3, GREW("requests") - GREW("req_open_pack")) {
			TH_LOG("%s: %lld requests", runs[r].dir,
			       (long long)GREW("requests"));
		}
		EXPECT_LE(3, GREW("look_aheads"));
	}
}

static int count_names(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	return closedir(d) ? -1 : n - 2;
}

/* A listing is of what is in memory, also after changes; what is not is asked for once. */
TEST_F(cnt, listings)
{
	char name[32];
	int i;

	OK(mkdir("d", 0755));
	BEGIN();
	for (i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		OK(mknod(name, S_IFREG | 0644, 0));
	}
	EXPECT_EQ(600, count_names("d"));
	OK(unlink("d/f7"));
	OK(rename("d/f8", "d/g8"));
	OK(rename("d/f9", "d/f10"));
	EXPECT_EQ(598, count_names("d"));
	ASKED_NOTHING();
	nx_drop_caches();
	BEGIN();
	EXPECT_EQ(598, count_names("d"));
	END();
	EXPECT_LE(1, GREW("req_list"));
	EXPECT_GE(5, GREW("requests"));
	/* Names that nobody looked up are listed without inodes, and remembered. */
	EXPECT_GE(5, GREW("inodes_read"));
	BEGIN();
	EXPECT_EQ(598, count_names("d"));
	OK(mknod("d/new", S_IFREG | 0644, 0));
	EXPECT_EQ(599, count_names("d"));
	END();
	/* Is there a "new"? */
	EXPECT_GE(1, GREW("requests"));
	EXPECT_EQ(0, GREW("req_list"));
}

/* The limit of the caller's own files is not for the host's.  Scenario M5. */
TEST_F(cnt, limit_of_the_caller)
{
	static char block[4096] __attribute__((aligned(4096)));
	struct rlimit limit = { 4096, 4096 };
	char name[16];
	int i, fd;

	memset(block, 'x', sizeof(block));
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		GET(fd, open(name, O_RDWR | O_CREAT | (i % 2 ? O_DIRECT : 0), 0644));
		ASSERT_EQ(4096, write(fd, block, 4096));
		if (i % 10 == 0)
			OK(fsync(fd));
		OK(close(fd));
	}
	GET(fd, open(".", O_RDONLY));
	OK(syncfs(fd));
	OK(close(fd));
	nx_drop_caches();
	GET(fd, open("f299", O_RDONLY));
	EXPECT_EQ(4096, read(fd, block, 4096));
	OK(close(fd));
}

static long long commits(void)
{
	long long n = -1;
	FILE *f = popen("cat /proc/fs/jbd2/$(basename $(findmnt -no SOURCE -T "
			"/var/lib/nexusfs))-*/info", "r");

	if (!f || fscanf(f, "%lld", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

/* Scenarios A23, M3. */
TEST_F(cnt, no_journal_commits_of_the_host)
{
	long long before;
	int fd, i;

	before = commits();
	if (before < 0)
		SKIP(return, "the data is not on ext4");
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	/* The first ones may still make room. */
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(4, pwrite(fd, "data", 4, i * 4096));
		OK(fsync(fd));
	}
	before = commits();
	for (i = 0; i < 300; i++) {
		EXPECT_EQ(4, pwrite(fd, "data", 4, i % 50 * 4096));
		OK(fsync(fd));
	}
	/* A commit every five seconds is the host's own, and the index's. */
	EXPECT_GE(30, commits() - before);
	TH_LOG("%lld commits of the host for 300 fsyncs", commits() - before);
	OK(close(fd));
}

TEST_HARNESS_MAIN
