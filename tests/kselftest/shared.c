// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random changes of names by several processes in directories that they share: files,
 * links and whole directories made, moved and removed under each other's feet.  No model
 * can say what each call answers, but the end has to be one that some order explains:
 *
 *	what each call answered can be answered by that call at all;
 *	there are as many names of files, and as many directories, as made less removed;
 *	every inode has as many links as there are names of it, and a descriptor of one
 *	without a name says 0;
 *	what was written into a file when it was made is in the inode that was made;
 *	a listing has what a lookup finds, and no directory lies in itself.
 *
 * All of it again after an unmount, a check by fsck and a mount.
 * NEXUS_OPS: steps of each process in a round; NEXUS_SECONDS, NEXUS_SEED as in model.c.
 */
#include "nx_zone.h"

#include <pthread.h>

enum { PROCS = 6, NAMES = 6, DIRS = 3, DEPTH = 6, HELD = 60, TOKENS = 40000, INODES = 100000 };

/* Everything of all processes, in memory that they share. */
struct books {
	unsigned int next_token;
	ino_t token[TOKENS];		/* the inode it was written into */
	long names, dirs;		/* of files; made less removed */
	unsigned int done, refused;
	bool overwrites;		/* renames that may replace: names are not counted */
	int held[PROCS][HELD];		/* descriptors, in the process that opened them */
};

static struct books *books;

/* What the tree turned out to have, by a hash of inode numbers. */
struct found {
	ino_t ino;
	unsigned int names, nlink;
	bool dir;
} found[INODES];
static long found_names, found_dirs;

static struct found *find(ino_t ino)
{
	unsigned int at = ino * 2654435761u % INODES;

	while (found[at].ino && found[at].ino != ino)
		at = (at + 1) % INODES;
	found[at].ino = ino;
	return &found[at];
}

/*
 * Mostly shallow, through names that are mostly directories, to a name of the other kind
 * unless @dir; now and then it is the other way round.
 */
static const char *path_of(char *path, bool dir)
{
	int i, depth = nx_below(1 + nx_below(DEPTH)), at = 0;

	for (i = 0; i < depth; i++)
		at += sprintf(path + at, "%c/", 'a' + (int)nx_below(DIRS));
	if (!nx_below(6))
		dir = !dir;
	sprintf(path + at, "%c", dir ? 'a' + (int)nx_below(DIRS) : 'p' + (int)nx_below(NAMES));
	return path;
}

static int one_of(int result, const int *allowed)
{
	if (result >= 0) {
		__atomic_add_fetch(&books->done, 1, __ATOMIC_RELAXED);
		return 0;
	}
	__atomic_add_fetch(&books->refused, 1, __ATOMIC_RELAXED);
	for (; *allowed; allowed++)
		if (errno == *allowed)
			return -1;
	HOLDS(!"an errno that this call can give");
	return -1;
}

#define MAY(call, ...) one_of(call, (const int[]){ ENOENT, ENOTDIR, __VA_ARGS__, 0 })

static void counted(long *what, long n)
{
	__atomic_add_fetch(what, n, __ATOMIC_RELAXED);
}

/* A file whose content says which inode it has to be in. */
static void make(int me, const char *path)
{
	unsigned int token;
	struct stat st;
	char text[16];
	int fd, i;

	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (MAY(fd, EEXIST))
		return;
	counted(&books->names, 1);
	token = __atomic_add_fetch(&books->next_token, 1, __ATOMIC_RELAXED);
	HOLDS(!fstat(fd, &st) && S_ISREG(st.st_mode));
	if (token < TOKENS) {
		books->token[token] = st.st_ino;
		sprintf(text, "%u", token);
		HOLDS(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	}
	i = nx_below(HELD);
	if (books->held[me][i] > 0)
		HOLDS(!close(books->held[me][i]));
	books->held[me][i] = fd;
}

/* Where a name leads is one inode, whatever happens to the name meanwhile. */
static void content_is_its_own(int fd)
{
	char text[16] = "";
	unsigned long token;
	struct stat st;

	HOLDS(!fstat(fd, &st));
	if (!S_ISREG(st.st_mode))
		return;
	HOLDS(pread(fd, text, sizeof(text) - 1, 0) >= 0);
	token = strtoul(text, NULL, 10);
	/* Its maker may not have come to write it. */
	HOLDS(token < TOKENS);
	HOLDS(!token || books->token[token] == st.st_ino);
}

static void look(const char *path)
{
	struct dirent *de;
	DIR *d;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);

	if (MAY(fd, ELOOP))
		return;
	d = fdopendir(fd);
	if (!d) {
		content_is_its_own(fd);
		close(fd);
		return;
	}
	while ((errno = 0, de = readdir(d)))
		HOLDS(de->d_name[0] == '.' || (de->d_name[0] >= 'a' && !de->d_name[1]));
	HOLDS(!errno);
	closedir(d);
}

static void step(int me)
{
	char a[2 * DEPTH + 4], b[2 * DEPTH + 4];
	unsigned int flags, what;
	bool dirs;

	what = nx_below(20);
	dirs = what < 4 || what == 19 || (what >= 10 && what < 15 && nx_below(2));
	path_of(a, dirs);
	path_of(b, dirs);
	switch (what) {
	case 5 ... 8:
		make(me, a);
		break;
	case 0 ... 2:
		if (!MAY(mkdir(a, 0755), EEXIST))
			counted(&books->dirs, 1);
		break;
	case 10 ... 14:
		flags = nx_below(3) ? RENAME_NOREPLACE : RENAME_EXCHANGE;
		if (books->overwrites && nx_below(2))
			flags = 0;
		MAY(renameat2(AT_FDCWD, a, AT_FDCWD, b, flags), EEXIST, EINVAL, ENOTEMPTY, EISDIR);
		break;
	case 4:
		if (!MAY(link(a, b), EEXIST, EPERM))
			counted(&books->names, 1);
		break;
	case 9:
		if (!MAY(symlink("no such place", a), EEXIST))
			counted(&books->names, 1);
		break;
	case 15 ... 17:
		if (!MAY(unlink(a), EISDIR))
			counted(&books->names, -1);
		break;
	case 3:
	case 19:
		if (!MAY(rmdir(a), ENOTEMPTY))
			counted(&books->dirs, -1);
		break;
	default:
		look(a);
	}
}

/* Everything below an open directory: readdir, lookup and link counts agree. */
static void walk(int fd, int depth)
{
	unsigned int subdirs = 0;
	struct stat st, child;
	struct dirent *de;
	struct found *f;
	DIR *d;

	/* A directory in itself would have no end. */
	HOLDS(fd >= 0 && depth < 2000);
	HOLDS(!fstat(fd, &st));
	d = fdopendir(fd);
	HOLDS(d);
	while ((errno = 0, de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		HOLDS(!fstatat(fd, de->d_name, &child, AT_SYMLINK_NOFOLLOW));
		HOLDS(child.st_ino == de->d_ino);
		HOLDS(de->d_type == DT_UNKNOWN || de->d_type == IFTODT(child.st_mode));
		f = find(child.st_ino);
		f->names++;
		f->nlink = child.st_nlink;
		f->dir = S_ISDIR(child.st_mode);
		if (S_ISDIR(child.st_mode)) {
			HOLDS(f->names == 1);
			subdirs++;
			found_dirs++;
			walk(openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), depth + 1);
			continue;
		}
		found_names++;
		if (S_ISREG(child.st_mode)) {
			int file = openat(fd, de->d_name, O_RDONLY | O_NOFOLLOW);

			HOLDS(file >= 0);
			content_is_its_own(file);
			close(file);
		}
	}
	HOLDS(!errno);
	HOLDS(st.st_nlink == 2 + subdirs);
	closedir(d);
}

static void check(const char *at)
{
	unsigned int i;

	memset(found, 0, sizeof(found));
	found_names = found_dirs = 0;
	walk(open(at, O_RDONLY | O_DIRECTORY), 0);
	/* Directories were looked at on the way. */
	for (i = 0; i < INODES; i++)
		HOLDS(found[i].dir || found[i].nlink == found[i].names);
	if (books->overwrites) {
		HOLDS(found_names <= books->names && found_dirs <= books->dirs);
		return;
	}
	HOLDS(found_names == books->names);
	HOLDS(found_dirs == books->dirs);
}

/* Of each file that this process made last: the names it has, or none. */
static void check_held(int me, const char *at)
{
	struct stat st;
	int i;

	check(at);
	for (i = 0; i < HELD; i++) {
		if (books->held[me][i] <= 0)
			continue;
		HOLDS(!fstat(books->held[me][i], &st));
		HOLDS(st.st_nlink == find(st.st_ino)->names);
		content_is_its_own(books->held[me][i]);
	}
}

static void run(int me, const char *at, uint64_t seed, unsigned int ops, pthread_barrier_t *end)
{
	unsigned int i;

	nx_srand(seed + me);
	HOLDS(!chdir(at));
	for (i = 0; i < ops; i++) {
		step(me);
		if (me == 0 && i % 400 == 399)
			nx_drop_some("3");
	}
	/* All have come to rest before any looks. */
	pthread_barrier_wait(end);
	check_held(me, at);
}

static int one_round(struct nx_zone *zone, uint64_t seed, unsigned int ops, bool overwrites)
{
	pthread_barrierattr_t shared;
	pthread_barrier_t *end;
	int i, status, bad = 0;
	pid_t pid[PROCS], some;
	char at[PATH_MAX];

	snprintf(at, sizeof(at), "%s/shared", zone->at);
	if (mkdir(at, 0755))
		return -1;
	memset(books, 0, sizeof(*books));
	books->overwrites = overwrites;
	end = mmap(NULL, sizeof(*end), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(end, &shared, PROCS);
	fflush(NULL);
	for (i = 0; i < PROCS; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			run(i, at, seed, ops, end);
			_exit(0);
		}
	}
	while ((some = wait(&status)) > 0) {
		for (i = 0; i < PROCS; i++)
			if (pid[i] == some)
				pid[i] = 0;
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		/* The others would wait for it at the end. */
		for (i = 0; i < PROCS; i++)
			if (!bad && pid[i] > 0)
				kill(pid[i], SIGKILL);
		bad++;
	}
	munmap(end, sizeof(*end));
	bad = bad || nx_zone_again(zone);
	fflush(NULL);
	if (!bad && !fork()) {
		check(at);
		printf("# %u done, %u refused; %ld names, %ld directories\n", books->done,
		       books->refused, found_names, found_dirs);
		fflush(stdout);
		_exit(0);
	}
	bad += nx_reap();
	return bad ? bad : nx_sh("rm -rf '%s'", at);
}

TEST_F_TIMEOUT(dir, several_in_the_same_directories, 4000)
{
	unsigned int round, ops = nx_env("NEXUS_OPS", 2000);
	time_t end = time(NULL) + nx_env("NEXUS_SECONDS", 0);
	struct nx_zone zone;
	uint64_t seed;
	int bad = 0;

	books = mmap(NULL, sizeof(*books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, books);
	OK(nx_zone_begin(&zone, self->path, self->nexus));
	seed = nx_seed();
	/* Every second one with renames over what is there: the seed says which. */
	for (round = 0; !bad && (round < 2 || time(NULL) < end); round++, seed += 1000) {
		if (round)
			printf("# seed %" PRIu64 " (round %u)\n", seed, round);
		bad = one_round(&zone, seed, ops, seed / 1000 % 2);
	}
	EXPECT_EQ(0, bad);
	EXPECT_EQ(0, nx_zone_end(&zone));
}

TEST_HARNESS_MAIN
