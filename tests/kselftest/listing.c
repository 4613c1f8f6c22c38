// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listings against a model, while names come, go and move between two directories and
 * memory is taken back: each name of the model is listed once with its inode and type,
 * in the order of cookies, and nothing else is.
 */
#include "nx.h"
#include "nx_stats.h"

#include <linux/fs.h>

/* MANY: several answers of the helper. */
enum { NAMES = 900, MANY = 6000, DIRS = 2, OPS = 6000 };

struct entry {
	uint64_t ino;
	unsigned char type;
	int seen;
};

static struct entry model[DIRS][MANY];

FIXTURE(list)
{
	char path[256];
};

FIXTURE_SETUP(list)
{
	snprintf(self->path, sizeof(self->path), "%s/listing.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
	OK(mkdir("0", 0755));
	OK(mkdir("1", 0755));
	memset(model, 0, sizeof(model));
}

FIXTURE_TEARDOWN(list)
{
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

static const char *path_of(int dir, int i)
{
	static char path[2][64];
	static int turn;

	turn = !turn;
	/* Lengths that fill pages differently. */
	snprintf(path[turn], sizeof(path[turn]), "%d/n%d-%.*s", dir, i, i % 37,
		 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
	return path[turn];
}

/* Makes a name that is not there; 0 or -1. */
static int make(int dir, int i)
{
	struct entry *e = &model[dir][i];
	const char *path = path_of(dir, i);
	struct stat st;
	int ret;

	switch (nx_below(4)) {
	case 0:
		ret = symlink("target", path);
		break;
	case 1:
		ret = mknod(path, S_IFIFO | 0644, 0);
		break;
	default:
		ret = mknod(path, S_IFREG | 0644, 0);
	}
	if (ret || lstat(path, &st))
		return -1;
	e->ino = st.st_ino;
	e->type = IFTODT(st.st_mode);
	return 0;
}

static int move(int from_dir, int from, int to_dir, int to, unsigned int flags)
{
	struct entry *a = &model[from_dir][from], *b = &model[to_dir][to], old = *b;

	if (a == b || (b->ino && flags & RENAME_NOREPLACE) ||
	    (!b->ino && flags & RENAME_EXCHANGE))
		return 0;
	if (syscall(SYS_renameat2, AT_FDCWD, path_of(from_dir, from), AT_FDCWD,
		    path_of(to_dir, to), flags))
		return -1;
	*b = *a;
	*a = flags & RENAME_EXCHANGE ? old : (struct entry){};
	return 0;
}

static int change(void)
{
	int dir = nx_below(DIRS), i = nx_below(NAMES);
	struct entry *e = &model[dir][i];

	if (!e->ino)
		return make(dir, i);
	switch (nx_below(5)) {
	case 0:
		return move(dir, i, nx_below(DIRS), nx_below(NAMES), 0);
	case 1:
		return move(dir, i, nx_below(DIRS), nx_below(NAMES), RENAME_EXCHANGE);
	case 2:
		return move(dir, i, nx_below(DIRS), nx_below(NAMES), RENAME_NOREPLACE);
	default:
		*e = (struct entry){};
		return unlink(path_of(dir, i));
	}
}

/* Lists @dir from where @fd stands; @size: of the buffer, @calls: at most so many. */
static int look(int fd, int dir, size_t size, int calls, int64_t *cookie)
{
	char buf[32768] __attribute__((aligned(8)));
	long n, at;

	while (calls--) {
		n = syscall(SYS_getdents64, fd, buf, size);
		if (n <= 0)
			return n;
		for (at = 0; at < n;) {
			struct linux_dirent *de = (void *)(buf + at);
			int i;

			at += de->reclen;
			if (de->off <= *cookie)
				return -2;
			*cookie = de->off;
			if (de->name[0] != 'n')
				continue;
			i = atoi(de->name + 1);
			if (i < 0 || i >= MANY ||
			    strcmp(de->name, path_of(dir, i) + 2) ||
			    model[dir][i].ino != de->ino || model[dir][i].type != de->type)
				return -3;
			model[dir][i].seen++;
		}
	}
	return 1;
}

/* A listing by itself, of which nothing is noted. */
static int list_apart(void)
{
	DIR *d = opendir("0");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	return closedir(d) || n < 3;
}

#define LISTS(dir)	LISTS_OF(dir, NAMES)

#define LISTS_OF(dir, names)						\
	do {								\
		int64_t cookie_ = 0;					\
		int fd_, i_;						\
		GET(fd_, open((dir) ? "1" : "0", O_RDONLY | O_DIRECTORY)); \
		for (i_ = 0; i_ < (names); i_++)			\
			model[dir][i_].seen = 0;			\
		EXPECT_EQ(0, look(fd_, dir, 300 + nx_below(30000),	\
				  INT_MAX, &cookie_));			\
		for (i_ = 0; i_ < (names); i_++)			\
			ASSERT_EQ(!!model[dir][i_].ino,			\
				  model[dir][i_].seen) {		\
				TH_LOG("directory %d, name %d", dir, i_); \
			}						\
		OK(close(fd_));						\
	} while (0)

TEST_F(list, model)
{
	int i, ops = (int)nx_env("NEXUS_OPS", OPS);

	nx_seed();
	for (i = 0; i < ops; i++) {
		ASSERT_EQ(0, change()) {
			TH_LOG("operation %d: %s", i, strerror(errno));
		}
		if (!nx_below(40))
			LISTS(0);
		if (!nx_below(40))
			LISTS(1);
		/* Pages alone, names alone, both: what is left must not be believed. */
		if (!nx_below(400))
			nx_drop_some("1");
		if (!nx_below(400))
			nx_drop_some("2");
		if (!nx_below(800))
			nx_drop_some("3");
	}
	LISTS(0);
	LISTS(1);
}

/* What is read of a directory and then goes on after pages went: nothing twice, none lost. */
TEST_F(list, memory_taken_back_in_the_middle)
{
	int round, i, fd;

	nx_seed();
	for (i = 0; i < NAMES; i++)
		ASSERT_EQ(0, make(0, i));
	for (round = 0; round < 12; round++) {
		int64_t cookie = 0;

		for (i = 0; i < NAMES; i++)
			model[0][i].seen = 0;
		if (round % 3 == 1)
			nx_drop_some("3");
		GET(fd, open("0", O_RDONLY | O_DIRECTORY));
		EXPECT_EQ(1, look(fd, 0, 500, 1 + nx_below(40), &cookie));
		nx_drop_some(round % 2 ? "1" : "3");
		/* Positions that are free now must not move what follows. */
		for (i = round; i < NAMES; i += 31) {
			if (!model[0][i].ino || !model[0][i].seen)
				continue;
			OK(unlink(path_of(0, i)));
			model[0][i] = (struct entry){};
		}
		/* Another listing fills the pages anew, without the gaps. */
		if (round % 4 == 3)
			EXPECT_EQ(0, list_apart());
		EXPECT_EQ(0, look(fd, 0, 700, INT_MAX, &cookie));
		for (i = 0; i < NAMES; i++)
			if (model[0][i].ino)
				ASSERT_EQ(1, model[0][i].seen) {
					TH_LOG("round %d, name %d", round, i);
				}
		OK(close(fd));
	}
}

/* Names that go and come while their listing is on its way: what was asked for ahead is old. */
TEST_F(list, changed_ahead_of_the_reader)
{
	int round, i, n, ret, fd;

	nx_seed();
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(0, make(0, i));
	for (round = 0; round < 6; round++) {
		int64_t cookie = 0;

		for (i = 0; i < MANY; i++)
			model[0][i].seen = 0;
		nx_drop_some("3");
		GET(fd, open("0", O_RDONLY | O_DIRECTORY));
		do {
			ret = look(fd, 0, 4000, 1 + nx_below(30), &cookie);
			for (n = 0; n < 3; n++) {
				i = nx_below(MANY);
				if (!model[0][i].ino || model[0][i].seen)
					continue;
				if (nx_below(2)) {
					OK(unlink(path_of(0, i)));
					model[0][i] = (struct entry){};
				} else {
					/* Made anew it is behind the end of this listing. */
					OK(unlink(path_of(0, i)));
					ASSERT_EQ(0, make(0, i));
					model[0][i].seen = -1;
				}
			}
		} while (ret == 1);
		ASSERT_EQ(0, ret);
		for (i = 0; i < MANY; i++)
			if (model[0][i].ino && model[0][i].seen != -1)
				ASSERT_EQ(1, model[0][i].seen) {
					TH_LOG("round %d, name %d", round, i);
				}
		OK(close(fd));
	}
}

/* Lists what kept_as_it_grows made: each name but every seventh, once.  Their number, or -1. */
static int list_grown(unsigned char *seen, int names)
{
	struct dirent *de;
	int i, n = 0;
	DIR *d;

	memset(seen, 0, names);
	d = opendir("0");
	if (!d)
		return -1;
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		i = atoi(de->d_name + 1);
		if (i < 0 || i >= names || i % 7 == 6 || seen[i]++)
			break;
		n++;
	}
	return closedir(d) || de ? -1 : n;
}

/* A directory that grew large here is listed from memory, the first time, too. */
TEST_F(list, kept_as_it_grows)
{
	/* More than NEXUS_PRIME_MAX of kmod/listing.h. */
	static unsigned char seen[80000];
	const int names = sizeof(seen), left = names - names / 7;
	struct nx_stats before, after, asked;
	char path[64];
	int i;

	/* Minutes there. */
	if (nx_env("NEXUS_SHORT", 0))
		SKIP(return, "not on a slow kernel");
	for (i = 0; i < names; i++) {
		snprintf(path, sizeof(path), "0/n%d", i);
		OK(mknod(path, S_IFREG | 0644, 0));
		if (i % 7 == 6)
			OK(unlink(path));
	}
	ASSERT_TRUE(nx_stats_read(&before));
	EXPECT_EQ(left, list_grown(seen, names));
	ASSERT_TRUE(nx_stats_read(&after));
	EXPECT_EQ(0, nx_grew(&before, &after, "req_list"));
	nx_drop_some("3");
	EXPECT_EQ(left, list_grown(seen, names));
	ASSERT_TRUE(nx_stats_read(&asked));
	EXPECT_LT(10, nx_grew(&after, &asked, "req_list"));
	nx_stats_free(&before);
	nx_stats_free(&after);
	nx_stats_free(&asked);
}

TEST_HARNESS_MAIN
