// SPDX-License-Identifier: GPL-2.0-only
/* rename(2) and renameat2(2): every pair of types, flags, trees, links, races. */
#include "nx.h"

#include <linux/fs.h>

enum kind { NONE, FILE_, LINK, FIFO, EMPTY, FULL, KINDS };

static const char * const kind_name[] = {
	"nothing", "file", "symlink", "fifo", "empty directory", "full directory",
};

static bool is_dir(enum kind k)
{
	return k == EMPTY || k == FULL;
}

static int make(const char *name, enum kind k)
{
	char inside[64];

	switch (k) {
	case FILE_:
		return nx_put(name, name);
	case LINK:
		return symlink(name, name);
	case FIFO:
		return mknod(name, S_IFIFO | 0644, 0);
	case EMPTY:
		return mkdir(name, 0755);
	case FULL:
		snprintf(inside, sizeof(inside), "%s/inside", name);
		return mkdir(name, 0755) || nx_put(inside, name) ? -1 : 0;
	default:
		return 0;
	}
}

/* Is @name what make(@made_as, @k) made? */
static bool is(const char *name, const char *made_as, enum kind k)
{
	char path[PATH_MAX] = "";
	struct stat st;

	if (lstat(name, &st))
		return k == NONE && errno == ENOENT;
	switch (k) {
	case FILE_:
		return S_ISREG(st.st_mode) && !strcmp(nx_get(name), made_as);
	case LINK:
		return S_ISLNK(st.st_mode) &&
		       readlink(name, path, sizeof(path) - 1) > 0 &&
		       !strcmp(path, made_as);
	case FIFO:
		return S_ISFIFO(st.st_mode);
	case EMPTY:
		return S_ISDIR(st.st_mode) && st.st_nlink == 2 && !rmdir(name);
	case FULL:
		snprintf(path, sizeof(path), "%s/inside", name);
		return S_ISDIR(st.st_mode) && !strcmp(nx_get(path), made_as);
	default:
		return false;
	}
}

/* What rename(@from, @to) has to say, 0 or an errno. */
static int verdict(enum kind from, enum kind to, unsigned int flags)
{
	if (from == NONE)
		return ENOENT;
	if (flags & RENAME_EXCHANGE)
		return to == NONE ? ENOENT : 0;
	if (to == NONE)
		return 0;
	if (flags & RENAME_NOREPLACE)
		return EEXIST;
	if (is_dir(from) && !is_dir(to))
		return ENOTDIR;
	if (!is_dir(from) && is_dir(to))
		return EISDIR;
	return to == FULL ? ENOTEMPTY : 0;
}

static void all_pairs(struct __test_metadata *_metadata, unsigned int flags,
		      const char *a, const char *b, bool cold)
{
	enum kind from, to;
	int want, got;

	for (from = NONE; from < KINDS; from++) {
		for (to = NONE; to < KINDS; to++) {
			OK(make(a, from));
			OK(make(b, to));
			if (cold)
				nx_drop_caches();
			want = verdict(from, to, flags);
			got = renameat2(AT_FDCWD, a, AT_FDCWD, b, flags) ?
				errno : 0;
			ASSERT_EQ(want, got) {
				TH_LOG("%s over %s, flags %u: %s, not %s",
				       kind_name[from], kind_name[to], flags,
				       strerror(got), strerror(want));
			}
			if (want) {
				ASSERT_TRUE(is(a, a, from));
				ASSERT_TRUE(is(b, b, to));
			} else if (flags & RENAME_EXCHANGE) {
				ASSERT_TRUE(is(a, b, to));
				ASSERT_TRUE(is(b, a, from));
			} else {
				ASSERT_TRUE(is(a, a, NONE));
				ASSERT_TRUE(is(b, a, from)) {
					TH_LOG("%s over %s",
					       kind_name[from], kind_name[to]);
				}
			}
			nx_rm(a);
			nx_rm(b);
		}
	}
}

TEST_F(dir, all_pairs_plain)
{
	all_pairs(_metadata, 0, "a", "b", false);
}

TEST_F(dir, all_pairs_noreplace)
{
	all_pairs(_metadata, RENAME_NOREPLACE, "a", "b", false);
}

TEST_F(dir, all_pairs_exchange)
{
	all_pairs(_metadata, RENAME_EXCHANGE, "a", "b", false);
}

TEST_F(dir, all_pairs_between_directories)
{
	OK(mkdir("x", 0755));
	OK(mkdir("y", 0755));
	all_pairs(_metadata, 0, "x/a", "y/b", false);
	all_pairs(_metadata, RENAME_NOREPLACE, "x/a", "y/b", false);
	all_pairs(_metadata, RENAME_EXCHANGE, "x/a", "y/b", false);
}

TEST_F(dir, all_pairs_cold)
{
	all_pairs(_metadata, 0, "a", "b", true);
}

TEST_F(dir, flags)
{
	OK(nx_put("a", "a"));
	OK(nx_put("b", "b"));
	FAILS(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b",
				RENAME_NOREPLACE | RENAME_EXCHANGE));
	FAILS(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 1u << 20));
	EXPECT_STREQ("a", nx_get("a"));
	EXPECT_STREQ("b", nx_get("b"));
}

TEST_F(dir, onto_itself)
{
	struct stat st;

	OK(nx_put("a", "a"));
	OK(mkdir("d", 0755));
	OK(rename("a", "a"));
	OK(rename("d", "d"));
	FAILS(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE));
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_EXCHANGE));
	OK(stat("a", &st));
	EXPECT_EQ(1, st.st_nlink);
	EXPECT_STREQ("a", nx_get("a"));
}

/* Two names of one file: nothing happens, both stay. */
TEST_F(dir, between_links_of_one_file)
{
	struct stat st;

	OK(nx_put("a", "a"));
	OK(link("a", "b"));
	OK(rename("a", "b"));
	OK(stat("a", &st));
	EXPECT_EQ(2, st.st_nlink);
	OK(stat("b", &st));
	EXPECT_EQ(2, st.st_nlink);
}

TEST_F(dir, over_one_of_two_links)
{
	struct stat st, was;

	OK(nx_put("a", "a"));
	OK(link("a", "a2"));
	OK(nx_put("b", "b"));
	OK(stat("b", &was));
	OK(rename("b", "a"));
	OK(stat("a2", &st));
	EXPECT_EQ(1, st.st_nlink);
	EXPECT_STREQ("a", nx_get("a2"));
	OK(stat("a", &st));
	EXPECT_EQ(was.st_ino, st.st_ino);
	EXPECT_EQ(1, st.st_nlink);
	EXPECT_STREQ("b", nx_get("a"));
	nx_drop_caches();
	EXPECT_STREQ("a", nx_get("a2"));
	EXPECT_STREQ("b", nx_get("a"));
}

TEST_F(dir, into_own_subtree)
{
	OK(mkdir("a", 0755));
	OK(mkdir("a/b", 0755));
	OK(mkdir("a/b/c", 0755));
	FAILS(EINVAL, rename("a", "a/x"));
	FAILS(EINVAL, rename("a", "a/b/c/x"));
	FAILS(EINVAL, rename("a/b", "a/b/c/x"));
	FAILS(ENOTEMPTY, rename("a/b/c", "a"));
	FAILS(ENOTEMPTY, rename("a/b/c", "a/b"));
	FAILS(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "a/b/c",
				RENAME_EXCHANGE));
	FAILS(EINVAL, renameat2(AT_FDCWD, "a/b/c", AT_FDCWD, "a",
				RENAME_EXCHANGE));
	nx_drop_caches();
	FAILS(EINVAL, rename("a", "a/b/c/x"));
	FAILS(EBUSY, rename(".", "x"));
	FAILS(EBUSY, rename("a/..", "x"));
	OK(rename("a/b/c", "c"));
	OK(rename("a", "c/a"));
	FAILS(EINVAL, rename("c", "c/a/b/c"));
}

static nlink_t links(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_nlink;
}

static ino_t number(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_ino;
}

TEST_F(dir, links_of_parents)
{
	OK(mkdir("p", 0755));
	OK(mkdir("q", 0755));
	OK(mkdir("p/d", 0755));
	OK(nx_put("q/f", "f"));
	EXPECT_EQ(3, links("p"));
	OK(rename("p/d", "q/d"));
	EXPECT_EQ(2, links("p"));
	EXPECT_EQ(3, links("q"));
	EXPECT_EQ(number("q"), number("q/d/.."));
	/* Replaces an empty one. */
	OK(mkdir("p/d", 0755));
	OK(rename("q/d", "p/d"));
	EXPECT_EQ(3, links("p"));
	EXPECT_EQ(2, links("q"));
	EXPECT_EQ(number("p"), number("p/d/.."));
	/* Changes places with a file. */
	OK(renameat2(AT_FDCWD, "p/d", AT_FDCWD, "q/f", RENAME_EXCHANGE));
	EXPECT_EQ(2, links("p"));
	EXPECT_EQ(3, links("q"));
	EXPECT_STREQ("f", nx_get("p/d"));
	EXPECT_EQ(number("q"), number("q/f/.."));
	nx_drop_caches();
	EXPECT_EQ(2, links("p"));
	EXPECT_EQ(3, links("q"));
	EXPECT_EQ(number("q"), number("q/f/.."));
	EXPECT_STREQ("f", nx_get("p/d"));
}

TEST_F(dir, a_tree_moves_as_a_whole)
{
	char name[64];
	ino_t ino;
	int i;

	OK(mkdir("t", 0755));
	OK(mkdir("t/sub", 0755));
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "t/sub/%d", i);
		OK(nx_put(name, name));
	}
	ino = number("t/sub/7");
	OK(mkdir("elsewhere", 0755));
	OK(rename("t", "elsewhere/u"));
	EXPECT_EQ(0, number("t"));
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "elsewhere/u/sub/%d", i);
		EXPECT_EQ('t', nx_get(name)[0]);
	}
	nx_drop_caches();
	EXPECT_EQ(ino, number("elsewhere/u/sub/7"));
}

TEST_F(dir, from_inside_a_moved_directory)
{
	char cwd[PATH_MAX];
	int fd;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	GET(fd, open("a", O_RDONLY | O_DIRECTORY));
	OK(chdir("a"));
	OK(rename("../a", "../b/c"));
	ASSERT_NE(NULL, getcwd(cwd, sizeof(cwd)));
	EXPECT_STREQ("/b/c", cwd + strlen(cwd) - 4);
	OK(nx_put("here", "x"));
	EXPECT_STREQ("x", nx_get("../c/here"));
	OK(faccessat(fd, "here", R_OK, 0));
	OK(close(fd));
}

TEST_F(dir, over_an_open_file)
{
	struct stat st;
	char c[4] = "";
	int fd;

	OK(nx_put("a", "new"));
	OK(nx_put("b", "old"));
	GET(fd, open("b", O_RDWR));
	OK(rename("a", "b"));
	EXPECT_EQ(3, pread(fd, c, 3, 0));
	EXPECT_STREQ("old", c);
	OK(fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(3, pwrite(fd, "OLD", 3, 3));
	nx_drop_caches();
	EXPECT_EQ(3, pread(fd, c, 3, 3));
	EXPECT_STREQ("OLD", c);
	EXPECT_STREQ("new", nx_get("b"));
	OK(close(fd));
	EXPECT_STREQ("new", nx_get("b"));
}

TEST_F(dir, times)
{
	struct stat p, q, f, after;

	OK(mkdir("p", 0755));
	OK(mkdir("q", 0755));
	OK(nx_put("p/f", "x"));
	OK(stat("p", &p));
	OK(stat("q", &q));
	OK(stat("p/f", &f));
	nx_tick();
	OK(rename("p/f", "q/f"));
	OK(stat("p", &after));
	EXPECT_NE(p.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	EXPECT_NE(p.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
	OK(stat("q", &after));
	EXPECT_NE(q.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	EXPECT_NE(q.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
	OK(stat("q/f", &after));
	EXPECT_EQ(f.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	EXPECT_NE(f.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

TEST_F(dir, errors)
{
	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	FAILS(ENOENT, rename("none", "x"));
	FAILS(ENOENT, rename("f", "none/x"));
	FAILS(ENOTDIR, rename("f", "f/x"));
	FAILS(ENOTDIR, rename("f/x", "y"));
	FAILS(ENOENT, rename("", "x"));
	FAILS(ENOENT, rename("f", ""));
	FAILS(EXDEV, rename("f", "/dev/shm/nexus-rename"));
	FAILS(ENOTDIR, rename("f", "x/"));
	OK(rename("d", "e/"));
	EXPECT_STREQ("x", nx_get("f"));
}

static void sticky_body(void *arg)
{
	HOLDS(rename("sticky/of-root", "sticky/x") == -1 && errno == EPERM);
	HOLDS(unlink("sticky/of-root") == -1 && errno == EPERM);
	HOLDS(!nx_put("sticky/mine", "x"));
	HOLDS(rename("sticky/mine", "sticky/of-root") == -1 && errno == EPERM);
	HOLDS(!rename("sticky/mine", "sticky/still-mine"));
	HOLDS(!unlink("sticky/still-mine"));
	HOLDS(rename("f", "g") == -1 && errno == EACCES);
	HOLDS(unlink("f") == -1 && errno == EACCES);
}

TEST_F(dir, sticky_and_foreign_directories)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(mkdir("sticky", 0755));
	OK(chmod("sticky", 01777));
	OK(nx_put("sticky/of-root", "x"));
	OK(nx_put("f", "x"));
	EXPECT_EQ(0, nx_as_nobody(sticky_body, NULL));
}

/* Whoever opens the name finds the old or the new file, never none. */
TEST_F(dir, replacing_is_atomic)
{
	pid_t pid;
	int i, fd;
	char c;

	OK(nx_put("t", "x"));
	pid = fork();
	if (!pid) {
		for (i = 0; i < 1500; i++) {
			HOLDS(!nx_put("new", "x"));
			HOLDS(!rename("new", "t"));
		}
		_exit(0);
	}
	for (i = 0; i < 3000; i++) {
		GET(fd, open("t", O_RDONLY));
		EXPECT_EQ(1, read(fd, &c, 1));
		OK(close(fd));
	}
	EXPECT_EQ(0, nx_reap());
}

/* Directories moved about by several never end up in one another.  Scenarios A29, B31. */
TEST_F(dir, no_cycles_by_races)
{
	static const char * const name[] = { "a", "b", "c", "d" };
	char from[64], to[64], where[64];
	int proc, i, j, found = 0;

	for (i = 0; i < 4; i++)
		OK(mkdir(name[i], 0755));
	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		nx_srand(proc + 1);
		for (i = 0; i < 400; i++) {
			int x = nx_below(4), y = nx_below(4), z = nx_below(4);

			if (nx_below(2))
				snprintf(from, sizeof(from), "%s", name[x]);
			else
				snprintf(from, sizeof(from), "%s/%s", name[z],
					 name[x]);
			snprintf(to, sizeof(to), "%s/%s", name[y], name[x]);
			if (nx_below(2))
				rename(from, to);
			else
				rename(to, from);
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	/* Every one of the four hangs somewhere below here, exactly once. */
	for (i = 0; i < 4; i++) {
		snprintf(where, sizeof(where), "find . -name %s | wc -l", name[i]);
		FILE *f = popen(where, "r");

		ASSERT_NE(NULL, f);
		ASSERT_EQ(1, fscanf(f, "%d", &j));
		pclose(f);
		EXPECT_EQ(1, j) {
			TH_LOG("%s is there %d times", name[i], j);
		}
		found += j;
	}
	EXPECT_EQ(4, found);
}

/* Also for those who look at the names only. */
static bool whiteout_at(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct dirent *de;
	struct stat st;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (lstat(path, &st) || st.st_mode != S_IFCHR || st.st_rdev || st.st_nlink != 1)
		return false;
	d = opendir(dir);
	while (d && (de = readdir(d)))
		if (!strcmp(de->d_name, name))
			n += de->d_type == DT_CHR && de->d_ino == st.st_ino ? 1 : 100;
	return d && !closedir(d) && n == 1;
}

static int white_out(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_WHITEOUT);
}

TEST_F(dir, whiteout)
{
	struct stat before, after;
	int i;

	OK(mkdir("d", 0755));
	OK(mkdir("e", 0755));
	OK(nx_put("d/a", "a"));
	OK(nx_put("d/b", "b"));
	OK(nx_put("d/c", "c"));
	OK(nx_put("d/over", "over"));
	OK(mkdir("d/sub", 0755));
	OK(nx_put("d/sub/f", "f"));
	OK(stat("d", &before));
	/* In a directory of which every name is known, and in one of which none is. */
	for (i = 0; i < 2; i++) {
		FAILS(EEXIST, renameat2(AT_FDCWD, "d/a", AT_FDCWD, "d/over",
					RENAME_WHITEOUT | RENAME_NOREPLACE));
		FAILS(EINVAL, renameat2(AT_FDCWD, "d/a", AT_FDCWD, "d/over",
					RENAME_WHITEOUT | RENAME_EXCHANGE));
		FAILS(ENOENT, white_out("d/none", "d/x"));
		FAILS(ENOENT, stat("d/x", &after));
		nx_drop_caches();
	}
	OK(white_out("d/a", "d/x"));
	EXPECT_TRUE(whiteout_at("d", "a"));
	EXPECT_STREQ("a", nx_get("d/x"));
	OK(white_out("d/b", "e/b"));
	EXPECT_STREQ("b", nx_get("e/b"));
	OK(white_out("d/c", "d/over"));
	EXPECT_STREQ("c", nx_get("d/over"));
	OK(white_out("d/sub", "e/sub"));
	EXPECT_STREQ("f", nx_get("e/sub/f"));
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(whiteout_at("d", "a"));
		EXPECT_TRUE(whiteout_at("d", "b"));
		EXPECT_TRUE(whiteout_at("d", "c"));
		EXPECT_TRUE(whiteout_at("d", "sub"));
		OK(stat("d", &after));
		EXPECT_EQ(before.st_nlink - 1, after.st_nlink);
		OK(stat("e", &after));
		EXPECT_EQ(3, after.st_nlink);
		EXPECT_STREQ("a", nx_get("d/x"));
		EXPECT_STREQ("c", nx_get("d/over"));
		nx_drop_caches();
	}
	/* Each is a file of its own, and nobody's. */
	FAILS(ENOTEMPTY, rmdir("d"));
	OK(unlink("d/a"));
	OK(rename("e/b", "d/b"));
	EXPECT_STREQ("b", nx_get("d/b"));
	OK(white_out("d/b", "d/c"));
	EXPECT_STREQ("b", nx_get("d/c"));
	EXPECT_TRUE(whiteout_at("d", "b"));
	FAILS(ENOENT, stat("d/a", &after));
	/* What the directory hands on is not for it. */
	if (!nx_sh("chattr +dA e 2>/dev/null")) {
		OK(nx_put("e/plain", "p"));
		OK(white_out("e/plain", "e/other"));
		for (i = 0; i < 2; i++) {
			struct statx st;

			OK(statx(AT_FDCWD, "e/plain", 0, STATX_BASIC_STATS, &st));
			EXPECT_EQ(self->nexus ? 0 : STATX_ATTR_NODUMP,
				  st.stx_attributes & STATX_ATTR_NODUMP);
			nx_drop_caches();
		}
	}
	/* The same name for the same file: nothing happens. */
	OK(link("d/x", "d/y"));
	OK(white_out("d/x", "d/y"));
	EXPECT_STREQ("a", nx_get("d/x"));
}

TEST_HARNESS_MAIN
