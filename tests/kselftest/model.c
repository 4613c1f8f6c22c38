// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random changes of names by several processes, each in a directory of its own
 * that it knows by a model, and all of them moving things through one that they
 * share.  In the end the filesystem, also without its caches, holds what the
 * models say.  NEXUS_OPS: steps of each; NEXUS_SEED: which.
 * Scenario B7.
 */
#include "nx.h"

enum { NAMES = 24, DIRS = 3, PROCS = 4 };
enum type { NOTHING, FILE_, LINK, DIRECTORY };

/* Inode of the model: what a name stands for. */
struct thing {
	enum type type;
	int mark;		/* its content, target or mode */
	int links;
};

struct model {
	/* Names in the process's directory and in its subdirectories s0, s1. */
	int name[DIRS][NAMES];	/* 0 or an index into thing */
	struct thing thing[20000];
	int things;
	char last[64][128];
	unsigned int steps;
};

static const char *path_of(int dir, int name)
{
	static char path[4][64];
	static int n;

	n = (n + 1) % 4;
	if (dir)
		snprintf(path[n], sizeof(path[n]), "s%d/n%d", dir - 1, name);
	else
		snprintf(path[n], sizeof(path[n]), "n%d", name);
	return path[n];
}

static void note(struct model *m, const char *what, const char *a, const char *b)
{
	snprintf(m->last[m->steps++ % 64], sizeof(m->last[0]), "%s %s %s", what,
		 a, b);
}

static struct thing *at(struct model *m, int dir, int name)
{
	return &m->thing[m->name[dir][name]];
}

static void make(struct model *m, int dir, int name)
{
	enum type type = 1 + nx_below(3);
	const char *path = path_of(dir, name);
	int mark = 1 + nx_below(1000), err;
	char text[32];

	snprintf(text, sizeof(text), "%d", mark);
	note(m, "make", path, text);
	switch (type) {
	case FILE_: {
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

		err = fd < 0;
		if (fd >= 0) {
			HOLDS(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
			HOLDS(!close(fd));
		}
		break;
	}
	case LINK:
		err = symlink(text, path);
		break;
	default:
		err = mkdir(path, 0700);
		if (!err)
			HOLDS(!chmod(path, 0700 | (mark & 077)));
	}
	if (m->name[dir][name]) {
		HOLDS(err && errno == EEXIST);
		return;
	}
	HOLDS(!err);
	HOLDS(m->things + 1 < (int)N_ELEMS(m->thing));
	m->name[dir][name] = ++m->things;
	m->thing[m->things] = (struct thing){ type, mark, 1 };
}

static void gone(struct model *m, int dir, int name)
{
	at(m, dir, name)->links--;
	m->name[dir][name] = 0;
}

static void take(struct model *m, int dir, int name)
{
	const char *path = path_of(dir, name);
	enum type type = at(m, dir, name)->type;

	note(m, "remove", path, "");
	if (type == DIRECTORY) {
		HOLDS(unlink(path) == -1 && errno == EISDIR);
		HOLDS(!rmdir(path));
		gone(m, dir, name);
	} else if (type == NOTHING) {
		HOLDS(unlink(path) == -1 && errno == ENOENT);
		HOLDS(rmdir(path) == -1 && errno == ENOENT);
	} else {
		HOLDS(rmdir(path) == -1 && errno == ENOTDIR);
		HOLDS(!unlink(path));
		gone(m, dir, name);
	}
}

static void move(struct model *m, int d1, int n1, int d2, int n2)
{
	const char *a = path_of(d1, n1), *b = path_of(d2, n2);
	enum type ta = at(m, d1, n1)->type, tb = at(m, d2, n2)->type;
	unsigned int flags = nx_below(3);
	int err;

	note(m, flags == 2 ? "exchange" : flags ? "noreplace" : "rename", a, b);
	err = renameat2(AT_FDCWD, a, AT_FDCWD, b, flags) ? errno : 0;
	if (ta == NOTHING) {
		HOLDS(err == ENOENT);
	} else if (flags == 2) {
		HOLDS(err == (tb == NOTHING ? ENOENT : 0));
		if (!err) {
			int keep = m->name[d1][n1];

			m->name[d1][n1] = m->name[d2][n2];
			m->name[d2][n2] = keep;
		}
	} else if (flags == 1 && tb != NOTHING) {
		HOLDS(err == EEXIST);
	} else if (m->name[d1][n1] == m->name[d2][n2]) {
		HOLDS(!err);
	} else if (tb != NOTHING && (ta == DIRECTORY) != (tb == DIRECTORY)) {
		HOLDS(err == (ta == DIRECTORY ? ENOTDIR : EISDIR));
	} else {
		HOLDS(!err);
		if (tb != NOTHING)
			gone(m, d2, n2);
		m->name[d2][n2] = m->name[d1][n1];
		m->name[d1][n1] = 0;
	}
}

static void join(struct model *m, int d1, int n1, int d2, int n2)
{
	const char *a = path_of(d1, n1), *b = path_of(d2, n2);
	enum type ta = at(m, d1, n1)->type;
	int err;

	note(m, "link", a, b);
	err = link(a, b) ? errno : 0;
	if (ta == NOTHING) {
		HOLDS(err == ENOENT);
	} else if (m->name[d2][n2]) {
		HOLDS(err == EEXIST);
	} else if (ta == DIRECTORY) {
		HOLDS(err == EPERM);
	} else {
		HOLDS(!err);
		m->name[d2][n2] = m->name[d1][n1];
		at(m, d1, n1)->links++;
	}
}

static void look(struct model *m, int dir, int name)
{
	const char *path = path_of(dir, name);
	struct thing *t = at(m, dir, name);
	char text[32] = "", want[32];
	struct stat st;

	snprintf(want, sizeof(want), "%d", t->mark);
	if (t->type == NOTHING) {
		HOLDS(lstat(path, &st) == -1 && errno == ENOENT);
		return;
	}
	HOLDS(!lstat(path, &st));
	switch (t->type) {
	case FILE_:
		HOLDS(S_ISREG(st.st_mode));
		HOLDS(st.st_nlink == (nlink_t)t->links);
		HOLDS(!strcmp(nx_get(path), want));
		break;
	case LINK:
		HOLDS(S_ISLNK(st.st_mode));
		HOLDS(st.st_nlink == (nlink_t)t->links);
		HOLDS(readlink(path, text, sizeof(text) - 1) > 0);
		HOLDS(!strcmp(text, want));
		break;
	default:
		HOLDS(S_ISDIR(st.st_mode));
		HOLDS(st.st_nlink == 2);
		HOLDS((st.st_mode & 07777) == (0700u | (t->mark & 077)));
	}
}

/* Every name looked up, and none listed that the model does not know. */
static void compare(struct model *m)
{
	int dir, name, listed, known;
	struct dirent *de;
	DIR *d;

	for (dir = 0; dir < DIRS; dir++) {
		known = listed = 0;
		for (name = 0; name < NAMES; name++) {
			look(m, dir, name);
			known += m->name[dir][name] != 0;
		}
		d = opendir(dir == 0 ? "." : dir == 1 ? "s0" : "s1");
		HOLDS(d);
		while ((de = readdir(d)))
			listed += de->d_name[0] == 'n';
		closedir(d);
		HOLDS(listed == known);
	}
}

/* In the shared directory names belong to nobody: only no error is a surprise. */
static void shared(int me)
{
	char mine[32], a[48], b[48];
	int err;

	snprintf(mine, sizeof(mine), "../shared/p%d-%d", me, (int)nx_below(5));
	snprintf(a, sizeof(a), "../shared/x%d", (int)nx_below(8));
	snprintf(b, sizeof(b), "../shared/x%d", (int)nx_below(8));
	switch (nx_below(5)) {
	case 0:
		err = nx_put(a, "x");
		HOLDS(!err || errno == EISDIR);
		break;
	case 1:
		HOLDS(!rename(a, b) || errno == ENOENT || errno == EISDIR ||
		      errno == ENOTDIR || errno == ENOTEMPTY);
		break;
	case 2:
		HOLDS(!unlink(a) || errno == ENOENT || errno == EISDIR);
		break;
	case 3:
		HOLDS(!mkdir(a, 0755) || errno == EEXIST);
		break;
	default:
		HOLDS(!nx_put(mine, "mine"));
		HOLDS(!strcmp(nx_get(mine), "mine"));
		HOLDS(!unlink(mine));
		HOLDS(!rmdir(a) || errno == ENOENT || errno == ENOTDIR ||
		      errno == ENOTEMPTY);
	}
}

static void run(struct model *m, int me, unsigned int ops)
{
	unsigned int i;

	HOLDS(!mkdir("s0", 0755) && !mkdir("s1", 0755));
	for (i = 0; i < ops; i++) {
		int d1 = nx_below(DIRS), n1 = nx_below(NAMES);
		int d2 = nx_below(DIRS), n2 = nx_below(NAMES);

		switch (nx_below(10)) {
		case 0 ... 2:
			make(m, d1, n1);
			break;
		case 3 ... 4:
			take(m, d1, n1);
			break;
		case 5 ... 6:
			move(m, d1, n1, d2, n2);
			break;
		case 7:
			join(m, d1, n1, d2, n2);
			break;
		case 8:
			look(m, d1, n1);
			break;
		default:
			shared(me);
		}
		if (i % 200 == 199)
			compare(m);
		if (me == 0 && i % 400 == 399)
			nx_drop_caches();
	}
	compare(m);
}

TEST_F_TIMEOUT(dir, several_against_their_models, 1200)
{
	uint64_t seed = nx_seed();
	struct model *m[PROCS];
	unsigned int i, j, ops = nx_env("NEXUS_OPS", 2000);
	char name[16];
	int bad;

	OK(mkdir("shared", 0755));
	for (i = 0; i < PROCS; i++) {
		m[i] = mmap(NULL, sizeof(**m), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, m[i]);
		snprintf(name, sizeof(name), "%d", i);
		OK(mkdir(name, 0755));
		fflush(NULL);
		if (!fork()) {
			HOLDS(!chdir(name));
			nx_srand(seed + i);
			run(m[i], i, ops);
			_exit(0);
		}
	}
	bad = nx_reap();
	EXPECT_EQ(0, bad);
	if (!bad) {
		/* Once more from the disk. */
		nx_drop_caches();
		for (i = 0; i < PROCS; i++) {
			snprintf(name, sizeof(name), "%d", i);
			fflush(NULL);
			if (!fork()) {
				HOLDS(!chdir(name));
				compare(m[i]);
				_exit(0);
			}
		}
		EXPECT_EQ(0, nx_reap());
		return;
	}
	for (i = 0; i < PROCS; i++) {
		printf("# the last steps of process %u:\n", i);
		for (j = m[i]->steps > 64 ? m[i]->steps - 64 : 0; j < m[i]->steps; j++)
			printf("#   %s\n", m[i]->last[j % 64]);
	}
	fflush(stdout);
}

TEST_HARNESS_MAIN
