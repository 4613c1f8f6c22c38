// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random changes of names by several processes, each below a root of its own that it
 * knows by a model (nx_tree.h): every call answers what the model says, and in the end
 * the filesystem holds what the models hold, also without its caches, and unmounted,
 * checked and mounted again.
 *
 * NEXUS_OPS: steps of each process in a round; NEXUS_SECONDS: rounds, each with a seed of
 * its own, until these have passed; NEXUS_SEED: of the first round.
 * Scenario B7.
 */
#include "nx_tree.h"
#include "nx_zone.h"

enum { PROCS = 4, HELD = 8 };

struct run {
	struct tree *t;
	int drop;			/* drop_caches, outside of our root */
	struct {
		int fd, node;
	} held[HELD];
};

__attribute__((format(printf, 2, 3)))
static void note(struct tree *t, const char *format, ...)
{
	char line[3 * TREE_PATH], *at;
	const char *longest = tree_name[TREE_LONGEST];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	while ((at = strstr(line, longest)))
		memmove(at + 4, at + strlen(longest), strlen(at + strlen(longest)) + 1);
	for (at = line; *at; at++)
		if (*at == '\n' || *at == '\001')
			*at = '?';
	snprintf(t->last[t->steps % 64], sizeof(t->last[0]), "%.399s", line);
	t->steps++;
}

/* The call said what the model says: nothing, or this errno. */
static void answers(struct tree *t, int result, int want)
{
	int got = result < 0 ? errno : 0;

	t->said[got & 255]++;
	if (got == want)
		return;
	fprintf(stderr, "# %s: %s, the model says %s\n", t->last[(t->steps - 1) % 64],
		got ? strerrorname_np(got) : "0", want ? strerrorname_np(want) : "0");
	_exit(1);
}

static int some_dir(const struct tree *t)
{
	int i, n;

	for (i = 0; i < 100; i++) {
		n = TREE_ROOT + nx_below(TREE_NODES - TREE_ROOT);
		if (tree_is(t, n, S_IFDIR) && t->node[n].links)
			return n;
	}
	return TREE_ROOT;
}

static const char *some_name(void)
{
	return tree_name[nx_below(TREE_NAMES)];
}

/* A path that ends in a name, and may lead through anything. */
static void some_path(const struct tree *t, char *path)
{
	size_t len;

	do {
		len = tree_path(t, some_dir(t), path);
	} while (!len || len > TREE_PATH - 800);
	if (path[1] == '/' && !nx_below(4)) {
		memmove(path, path + 1, len);
		len--;
	}
	switch (nx_below(8)) {
	case 0:
		len += sprintf(path + len, "/%s", some_name());
		break;
	case 1:
		len += sprintf(path + len, "/%s/..", some_name());
		break;
	case 2:
		len += sprintf(path + len, "//.");
		break;
	}
	sprintf(path + len, "/%s", some_name());
}

static void some_target(const struct tree *t, char *target)
{
	char path[TREE_PATH + 800];
	size_t len = 0;
	int i, parts;

	if (!nx_below(3)) {
		some_path(t, path);
		if (path[0] == '.' && strlen(path) < TREE_TARGET) {
			strcpy(target, path + 1);
			return;
		}
	}
	parts = 1 + nx_below(3);
	for (i = 0; i < parts; i++)
		len += sprintf(target + len, "%s%s", i ? "/" : "",
			       nx_below(3) ? some_name() : "..");
}

static unsigned int some_mode(void)
{
	static const unsigned int mode[] = { 0644, 0755, 0700, 0, 02755, 04711, 01777, 06555, 02644 };

	return mode[nx_below(N_ELEMS(mode))];
}

/* mkdir, mknod, symlink, open with O_EXCL; below @fd, which is @at of the model. */
static void make(struct run *r, int fd, int at, const char *path)
{
	static const unsigned int type[] = { S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR, S_IFBLK };
	struct tree *t = r->t;
	unsigned int mode = some_mode(), mark = 0;
	char target[TREE_TARGET] = "";
	struct where w;
	dev_t rdev = 0;
	int err, n;

	err = tree_may_make(t, tree_walk(t, at, path, false, &w), &w);
	switch (nx_below(6)) {
	case 0 ... 1:
		note(t, "mkdir %s %o", path, mode);
		mode = S_IFDIR | (mode & 01777);
		answers(t, mkdirat(fd, path, mode & 07777), err);
		break;
	case 2:
		some_target(t, target);
		note(t, "symlink %s to %.99s", path, target);
		mode = S_IFLNK | 0777;
		answers(t, symlinkat(target, fd, path), err);
		break;
	case 3:
		n = type[nx_below(N_ELEMS(type))];
		mode |= n;
		/* null, and a loop device that nobody has. */
		rdev = n == S_IFCHR ? makedev(1, 3) : n == S_IFBLK ? makedev(7, 900000) : 0;
		note(t, "mknod %s %o", path, mode);
		answers(t, mknodat(fd, path, mode, rdev), err);
		break;
	default:
		note(t, "create %s %o", path, mode);
		mark = nx_below(100000);
		mode |= S_IFREG;
		n = openat(fd, path, O_WRONLY | O_CREAT | O_EXCL, mode & 07777);
		answers(t, n, err);
		if (n >= 0) {
			if (mark)
				HOLDS(dprintf(n, "%u", mark) > 0);
			close(n);
		}
	}
	if (err)
		return;
	n = tree_new(t, mode, w.dir);
	HOLDS(n);
	t->node[n].mark = mark;
	t->node[n].rdev = rdev;
	strcpy(t->node[n].target, target);
	tree_add(t, &w, n);
}

static void take(struct run *r, const char *path)
{
	struct tree *t = r->t;
	struct where w;
	int err;

	err = tree_walk(t, TREE_ROOT, path, false, &w);
	if (nx_below(2)) {
		note(t, "unlink %s", path);
		err = tree_may_unlink(t, err, &w);
		answers(t, unlink(path), err);
	} else {
		note(t, "rmdir %s", path);
		err = tree_may_rmdir(t, err, &w);
		answers(t, rmdir(path), err);
	}
	if (!err)
		tree_remove(t, &w);
}

/* All below a directory. */
static void take_all(struct tree *t, int n, int fd)
{
	int i, child;

	HOLDS(fd >= 0);
	for (i = 0; i < TREE_NAMES; i++) {
		child = t->node[n].child[i];
		if (!child)
			continue;
		if (tree_is(t, child, S_IFDIR)) {
			HOLDS(unlinkat(fd, tree_name[i], 0) && errno == EISDIR);
			take_all(t, child, openat(fd, tree_name[i], O_RDONLY | O_DIRECTORY));
			HOLDS(!unlinkat(fd, tree_name[i], AT_REMOVEDIR));
		} else {
			HOLDS(!unlinkat(fd, tree_name[i], 0));
		}
		tree_remove(t, &(struct where){ n, i, child });
	}
	close(fd);
}

static void move(struct run *r, const char *from, const char *to)
{
	static const unsigned int flags[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE,
		RENAME_EXCHANGE, RENAME_WHITEOUT, RENAME_WHITEOUT | RENAME_NOREPLACE };
	unsigned int how = flags[nx_below(r->t->whiteouts ? N_ELEMS(flags) : 6)];
	struct tree *t = r->t;
	struct where a, b;
	int err;

	err = tree_walk(t, TREE_ROOT, from, false, &a);
	if (!err)
		err = tree_walk(t, TREE_ROOT, to, false, &b);
	if (!err)
		err = tree_may_rename(t, &a, &b, how);
	note(t, "rename %s to %s, flags %u", from, to, how);
	answers(t, renameat2(AT_FDCWD, from, AT_FDCWD, to, how), err);
	if (!err)
		tree_rename(t, &a, &b, how);
}

static void join(struct run *r, const char *from, const char *to)
{
	bool follow = !nx_below(4);
	struct tree *t = r->t;
	struct where a, b;
	int err;

	err = tree_walk(t, TREE_ROOT, from, follow, &a);
	if (!err && !a.node)
		err = ENOENT;
	if (!err)
		err = tree_may_make(t, tree_walk(t, TREE_ROOT, to, false, &b), &b);
	if (!err && tree_is(t, a.node, S_IFDIR))
		err = EPERM;
	note(t, "link%s %s to %s", follow ? " what is at" : "", from, to);
	answers(t, linkat(AT_FDCWD, from, AT_FDCWD, to, follow ? AT_SYMLINK_FOLLOW : 0), err);
	if (err)
		return;
	tree_add(t, &b, a.node);
	t->node[a.node].links++;
}

/* open with O_TRUNC, half of them with O_CREAT: also through a link that leads nowhere. */
static void put(struct run *r, const char *path)
{
	int flags = O_WRONLY | O_TRUNC | O_NONBLOCK | (nx_below(2) ? O_CREAT : 0);
	unsigned int mark = 1 + nx_below(100000), mode = some_mode();
	struct tree *t = r->t;
	struct where w;
	int err, fd;

	err = tree_walk(t, TREE_ROOT, path, true, &w);
	if (!err && !w.node && !((flags & O_CREAT) && t->node[w.dir].links))
		err = ENOENT;
	if (!err && tree_is(t, w.node, S_IFDIR))
		err = EISDIR;
	if (!err && w.node && !tree_is(t, w.node, S_IFREG))
		return;
	if (!err && w.node && (flags & O_CREAT) && !tree_may_reuse(t, w.dir, w.node))
		err = EACCES;
	note(t, "write %s%s", path, flags & O_CREAT ? ", made if needed" : "");
	fd = open(path, flags, mode);
	answers(t, fd, err);
	if (err)
		return;
	HOLDS(dprintf(fd, "%u", mark) > 0);
	close(fd);
	if (!w.node) {
		w.node = tree_new(t, S_IFREG | mode, w.dir);
		HOLDS(w.node);
		tree_add(t, &w, w.node);
	}
	t->node[w.node].mark = mark;
}

static void change(struct run *r, const char *path)
{
	unsigned int uid = nx_below(3) * 1000, gid = nx_below(3) * 1000, mode = some_mode();
	bool follow = nx_below(2);
	struct tree *t = r->t;
	struct node *n;
	struct where w;
	int err;

	if (nx_below(2)) {
		err = tree_walk(t, TREE_ROOT, path, true, &w);
		if (!err && !w.node)
			err = ENOENT;
		note(t, "chmod %s %o", path, mode);
		answers(t, chmod(path, mode), err);
		if (!err)
			t->node[w.node].mode = (t->node[w.node].mode & S_IFMT) | mode;
		return;
	}
	err = tree_walk(t, TREE_ROOT, path, follow, &w);
	if (!err && !w.node)
		err = ENOENT;
	note(t, "%schown %s %u %u", follow ? "" : "l", path, uid, gid);
	answers(t, fchownat(AT_FDCWD, path, uid, gid, follow ? 0 : AT_SYMLINK_NOFOLLOW), err);
	if (err)
		return;
	n = &t->node[w.node];
	n->uid = uid;
	n->gid = gid;
	if (!S_ISDIR(n->mode) && !S_ISLNK(n->mode))
		n->mode &= n->mode & S_IXGRP ? ~(S_ISUID | S_ISGID) : ~S_ISUID;
}

static void look(struct run *r, const char *path)
{
	bool follow = nx_below(2);
	struct tree *t = r->t;
	char text[TREE_TARGET];
	struct where w;
	struct stat st;
	int err, fd;

	err = tree_walk(t, TREE_ROOT, path, follow, &w);
	if (!err && !w.node)
		err = ENOENT;
	note(t, "%sstat %s", follow ? "" : "l", path);
	answers(t, fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW), err);
	if (!err)
		tree_stat_is(t, w.node, &st);
	if (!err && !follow) {
		note(t, "readlink %s", path);
		answers(t, readlink(path, text, sizeof(text)),
			tree_is(t, w.node, S_IFLNK) ? 0 : EINVAL);
		note(t, "open %s as a directory, no link", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
		answers(t, fd, tree_is(t, w.node, S_IFDIR) ? 0 : ENOTDIR);
		if (fd >= 0)
			close(fd);
	}
}

/* Descriptors of what moves, loses its names and stays what it is. */
static void hold(struct run *r, const char *path)
{
	int i = nx_below(HELD), n = r->held[i].node, fd = r->held[i].fd;
	struct tree *t = r->t;
	struct where w;
	struct stat st;

	if (n) {
		note(t, "look at a descriptor of inode %lu", (unsigned long)t->node[n].ino);
		HOLDS(!fstat(fd, &st));
		tree_stat_is(t, n, &st);
		if (tree_is(t, n, S_IFREG))
			tree_content_is(t, n, fd);
		if (tree_is(t, n, S_IFDIR))
			make(r, fd, n, some_name());
		if (nx_below(2))
			return;
		note(t, "close it");
		close(fd);
		r->held[i].node = 0;
		t->node[n].held--;
		tree_let_go(t, n);
		return;
	}
	if (tree_walk(t, TREE_ROOT, path, false, &w) || !w.node)
		return;
	note(t, "hold %s", path);
	fd = open(path, O_NOFOLLOW | (tree_is(t, w.node, S_IFREG) || tree_is(t, w.node, S_IFDIR) ?
				      O_RDONLY : O_PATH));
	answers(t, fd, 0);
	r->held[i].fd = fd;
	r->held[i].node = w.node;
	t->node[w.node].held++;
}

static void step(struct run *r)
{
	char a[TREE_PATH + 800], b[TREE_PATH + 800];
	struct tree *t = r->t;
	int n;

	some_path(t, a);
	some_path(t, b);
	if (t->used > TREE_NODES * 3 / 4 || !nx_below(300)) {
		n = some_dir(t);
		if (tree_path(t, n, a)) {
			note(t, "everything below %s", a);
			take_all(t, n, open(a, O_RDONLY | O_DIRECTORY));
		}
		return;
	}
	switch (nx_below(16)) {
	case 0 ... 4:
		make(r, AT_FDCWD, TREE_ROOT, a);
		break;
	case 5 ... 6:
		take(r, a);
		break;
	case 7 ... 9:
		move(r, a, b);
		break;
	case 10:
		join(r, a, b);
		break;
	case 11:
		put(r, a);
		break;
	case 12:
		change(r, a);
		break;
	case 13:
		hold(r, a);
		break;
	default:
		look(r, a);
	}
}

static void compare(struct tree *t)
{
	tree_compare(t, TREE_ROOT, open(".", O_RDONLY | O_DIRECTORY));
}

/* The process's own directory is its root from now on. */
static void enter(struct run *r, struct tree *t, const char *at, int i)
{
	char path[PATH_MAX];

	r->t = t;
	r->drop = getenv("NEXUS_NO_DROP") ? -1 : open("/proc/sys/vm/drop_caches", O_WRONLY);
	snprintf(path, sizeof(path), "%s/%d", at, i);
	HOLDS(!chdir(path) && !chroot("."));
	umask(0);
}

static void run(struct tree *t, const char *at, int me, uint64_t seed, unsigned int ops)
{
	struct run r = {};
	unsigned int i;

	nx_srand(seed + me);
	enter(&r, t, at, me);
	for (i = 0; i < ops; i++) {
		step(&r);
		if (i % 400 == 399)
			compare(t);
		if (me == 0 && i % 500 == 499 && r.drop >= 0)
			HOLDS(write(r.drop, "3", 1) == 1);
	}
	compare(t);
}

/* What one that has failed did at last. */
static void tell(struct tree *t, int i)
{
	unsigned int j;

	if (t->done)
		return;
	printf("# the last steps of process %d:\n", i);
	for (j = t->steps > 32 ? t->steps - 32 : 0; j < t->steps; j++)
		printf("#   %s\n", t->last[j % 64]);
	fflush(stdout);
}

/* What was answered how often; a model that meets no refusal proves little. */
static int count(struct tree **t, unsigned int *said)
{
	static const int all[] = { 0, ENOENT, EEXIST, ENOTDIR, EISDIR, EINVAL, ENOTEMPTY, EPERM, ELOOP };
	int i, j, missing = 0;

	for (i = 0; i < PROCS; i++)
		for (j = 0; j < (int)N_ELEMS(t[i]->said); j++)
			said[j] += t[i]->said[j];
	printf("# answers:");
	for (i = 0; i < (int)N_ELEMS(all); i++) {
		printf(" %s %u", all[i] ? strerrorname_np(all[i]) : "0", said[all[i]]);
		/* The last two are rare. */
		missing += i < 7 && !said[all[i]];
	}
	printf("\n");
	return missing;
}

static int each(struct tree **t, const char *at, uint64_t seed, unsigned int ops)
{
	int i;

	fflush(NULL);
	for (i = 0; i < PROCS; i++) {
		if (!fork()) {
			struct run r = {};

			t[i]->done = false;
			if (ops) {
				run(t[i], at, i, seed, ops);
			} else {
				enter(&r, t[i], at, i);
				compare(t[i]);
			}
			t[i]->done = true;
			_exit(0);
		}
	}
	return nx_reap();
}

TEST_F_TIMEOUT(dir, several_against_their_models, 4000)
{
	unsigned int i, round, ops = nx_env("NEXUS_OPS", 2000), said[256] = {};
	time_t end = time(NULL) + nx_env("NEXUS_SECONDS", 0);
	struct tree *t[PROCS];
	struct nx_zone zone;
	bool whiteouts;
	uint64_t seed;
	int bad = 0;

	if (!self->root)
		SKIP(return, "needs root, for a root of its own");
	/* Before there is anything in it. */
	OK(nx_put("source", ""));
	OK(mkdir("whiteouts", 0755));
	whiteouts = !renameat2(AT_FDCWD, "source", AT_FDCWD, "whiteouts/it", RENAME_WHITEOUT);
	printf("# whiteouts: %s\n", whiteouts ? "yes" : "no");
	for (i = 0; i < PROCS; i++) {
		t[i] = mmap(NULL, sizeof(**t), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, t[i]);
	}
	OK(nx_zone_begin(&zone, self->path, self->nexus));
	seed = nx_seed();
	for (round = 0; !bad && (!round || time(NULL) < end); round++, seed += 1000) {
		if (round)
			printf("# seed %" PRIu64 " (round %u)\n", seed, round);
		for (i = 0; i < PROCS; i++) {
			char path[PATH_MAX];

			memset(t[i], 0, sizeof(*t[i]));
			tree_init(t[i]);
			t[i]->whiteouts = whiteouts;
			t[i]->protected_symlinks = strtoul(nx_get("/proc/sys/fs/protected_symlinks"), NULL, 10);
			t[i]->protected_regular = strtoul(nx_get("/proc/sys/fs/protected_regular"), NULL, 10);
			snprintf(path, sizeof(path), "%s/%d", zone.at, i);
			OK(mkdir(path, 0755));
		}
		bad = each(t, zone.at, seed, ops) ||
		      nx_zone_again(&zone) || each(t, zone.at, seed, 0);
		for (i = 0; bad && i < PROCS; i++)
			tell(t[i], i);
		for (i = 0; i < PROCS; i++)
			EXPECT_EQ(0, nx_sh("rm -rf '%s/%u'", zone.at, i));
		bad = bad || (count(t, said) && ops >= 1000);
	}
	EXPECT_EQ(0, bad);
	printf("# %u rounds of %u steps by %d processes\n", round, ops, PROCS);
	EXPECT_EQ(0, nx_zone_end(&zone));
}

TEST_HARNESS_MAIN
