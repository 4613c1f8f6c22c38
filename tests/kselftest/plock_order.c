// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path locks: who is next, who would wait for himself, and where a lock is after a
 * rename.
 */
#include "nx_plock.h"

/* ---- who is next ---------------------------------------------------------------------- */

static volatile bool enough;
static int reading;	/* threads that have read once */

static void *read_on(void *arg)
{
	int fd = at("a");
	long n = 0;

	(void)arg;
	while (!enough) {
		if (take(fd, 's', FOREVER))
			return (void *)-(long)errno;
		usleep(1000);
		if (drop(fd))
			return (void *)-(long)errno;
		if (!n++)
			__atomic_add_fetch(&reading, 1, __ATOMIC_SEQ_CST);
	}
	close(fd);
	return (void *)n;
}

/* There is always somebody who reads, and a writer comes to its turn all the same. */
TEST_F(dir, no_writer_starves)
{
	pthread_t thread[6];
	unsigned int i, k;
	void *ret;
	int fd;

	NEEDS_NEXUS(self);
	OK(make_tree());
	enough = false;
	for (i = 0; i < N_ELEMS(thread); i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, read_on, NULL));
	/* A thread may begin late, and find that it was enough. */
	while (__atomic_load_n(&reading, __ATOMIC_SEQ_CST) < (int)N_ELEMS(thread))
		usleep(1000);
	for (k = 0; k < 50; k++) {
		GET(fd, at(k % 2 ? "a/b/f" : "."));
		OK(take(fd, 'x', FOREVER));
		OK(drop(fd));
		close(fd);
	}
	enough = true;
	for (i = 0; i < N_ELEMS(thread); i++) {
		pthread_join(thread[i], &ret);
		ASSERT_LT(0, (long)ret) {
			TH_LOG("thread %u: %s", i, strerror((int)-(long)ret));
		}
	}
}

#define CROWD	1000

static int inside, served;

static void *one_of_many(void *arg)
{
	int fd = at("a");

	(void)arg;
	if (fd < 0 || take(fd, 'x', FOREVER))
		return (void *)-1l;
	if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) != 1)
		return (void *)-1l;
	served++;
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	close(fd);
	return NULL;
}

/* Who has it wakes the next one, and nobody else. */
TEST_F(dir, no_herd)
{
	static pthread_t thread[CROWD];
	struct rlimit files = { 4096, 4096 };
	pthread_attr_t attr;
	uint64_t wakes;
	void *ret;
	int fd, i;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(setrlimit(RLIMIT_NOFILE, &files));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	GET(fd, at("a/b/f"));
	OK(take(fd, 's', 0));
	wakes = nx_counter("plock_wakes");
	served = 0;
	for (i = 0; i < CROWD; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], &attr, one_of_many, NULL));
	until_waiting(CROWD);
	OK(drop(fd));
	for (i = 0; i < CROWD; i++) {
		pthread_join(thread[i], &ret);
		ASSERT_EQ(NULL, ret);
	}
	ASSERT_EQ(CROWD, served);
	ASSERT_GE(wakes + CROWD, nx_counter("plock_wakes"));
	close(fd);
}

/* ---- deadlocks ------------------------------------------------------------------------ */

TEST_F(dir, deadlock)
{
	int to[2], from[2], a, b;
	uint64_t before;
	pid_t pid;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(pipe(to));
	OK(pipe(from));
	before = nx_counter("plock_deadlocks");
	GET(a, at("a"));
	OK(take(a, 'x', 0));
	GET(pid, fork());
	if (!pid) {
		HOLDS((b = at("c")) >= 0);
		HOLDS(!take(b, 'x', 0));
		say(from[1]);
		/* Below what the parent has. */
		HOLDS((b = at("a/b/f")) >= 0);
		HOLDS(!take(b, 's', FOREVER));
		_exit(0);
	}
	hear(from[0]);
	until_waiting(1);
	GET(b, at("."));
	FAILS(EDEADLK, take(b, 's', FOREVER));
	FAILS(EDEADLK, take(b, 'x', 200000));
	/* Without waiting there is none. */
	FAILS(EAGAIN, take(b, 's', 0));
	ASSERT_EQ(before + 2, nx_counter("plock_deadlocks"));
	OK(drop(a));
	ASSERT_EQ(0, nx_reap());
	OK(take(b, 'x', FOREVER));
	/* One's own is in the way, too. */
	FAILS(EDEADLK, take(a, 's', FOREVER));
	close(a);
	close(b);
}

TEST_F(dir, two_upgrades)
{
	int from[2], a, b;
	pid_t pid;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(pipe(from));
	GET(a, at("a"));
	OK(take(a, 's', 0));
	GET(pid, fork());
	if (!pid) {
		HOLDS((b = at("a/b")) >= 0);
		HOLDS(!take(b, 's', 0));
		say(from[1]);
		HOLDS(!convert(b, 'x', FOREVER));
		HOLDS(who(b, 'x').held == NEXUS_PLOCK_EXCLUSIVE);
		_exit(0);
	}
	hear(from[0]);
	until_waiting(1);
	FAILS(EDEADLK, convert(a, 'x', FOREVER));
	/* The shared lock is still there; giving it up lets the other go on. */
	ASSERT_EQ(NEXUS_PLOCK_SHARED, who(a, 's').held);
	OK(drop(a));
	ASSERT_EQ(0, nx_reap());
	OK(take(a, 'x', 0));
	/* Down again: readers come in at once. */
	GET(b, at("a/b/f"));
	FAILS(EAGAIN, take(b, 's', 0));
	OK(convert(a, 's', 0));
	OK(take(b, 's', 0));
	close(a);
	close(b);
}

/* ---- renames -------------------------------------------------------------------------- */

TEST_F(dir, moves_along)
{
	int f, a, c, root, dir;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(f, at("a/b/f"));
	GET(a, at("a"));
	GET(c, at("c"));
	GET(root, at("."));
	OK(take(f, 'x', 0));
	FAILS(EAGAIN, take(a, 's', 0));
	OK(take(c, 's', 0));
	OK(drop(c));
	/* The directory that the file is in. */
	OK(rename("a/b", "c/b"));
	OK(take(a, 's', 0));
	OK(drop(a));
	FAILS(EAGAIN, take(c, 's', 0));
	FAILS(EAGAIN, take(root, 's', 0));
	/* Within its directory: nothing changes. */
	OK(rename("c/b", "c/d"));
	FAILS(EAGAIN, take(c, 's', 0));
	GET(dir, at("c/d"));
	FAILS(EAGAIN, take(dir, 's', 0));
	/* The file itself. */
	OK(rename("c/d/f", "a/f"));
	FAILS(EAGAIN, take(a, 's', 0));
	OK(take(c, 'x', 0));
	OK(drop(c));
	OK(take(dir, 'x', 0));
	OK(drop(dir));
	/* Exchanged with a directory. */
	ASSERT_EQ(0, syscall(SYS_renameat2, AT_FDCWD, "a/f", AT_FDCWD, "c/d", RENAME_EXCHANGE));
	OK(take(a, 'x', 0));
	OK(drop(a));
	FAILS(EAGAIN, take(c, 's', 0));
	OK(take(dir, 'x', 0));
	FAILS(EAGAIN, take(a, 's', 0));
	OK(drop(dir));
	/* What is locked after a rename is where the dcache says. */
	close(f);
	close(dir);
	OK(rename("c/d", "a/g"));
	GET(f, at("a/g"));
	OK(take(f, 'x', 0));
	OK(take(c, 's', 0));
	FAILS(EAGAIN, take(a, 's', 0));
	close(f);
	close(a);
	close(c);
	close(root);
}

TEST_F(dir, waits_along)
{
	int a, c, f, status;
	pid_t pid;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(a, at("a"));
	GET(c, at("c"));
	OK(take(a, 's', 0));
	GET(pid, fork());
	if (!pid) {
		HOLDS((f = at("a/b/f")) >= 0);
		HOLDS(!take(f, 'x', FOREVER));
		_exit(0);
	}
	until_waiting(1);
	/* From under one reader to under another, then out of both. */
	OK(take(c, 's', 0));
	OK(rename("a/b", "c/b"));
	until_waiting(1);
	OK(rename("c/b", "b"));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	close(a);
	close(c);
}

TEST_F(dir, names_and_none)
{
	char name[64];
	int f, g, a, c, other;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(link("a/b/f", "c/g"));
	GET(f, at("a/b/f"));
	GET(g, at("c/g"));
	GET(a, at("a"));
	GET(c, at("c"));
	OK(take(f, 'x', 0));
	/* One file: also by its other name, whose directory it does not count for. */
	FAILS(EAGAIN, take(g, 's', 0));
	FAILS(EAGAIN, take(a, 's', 0));
	OK(take(c, 'x', 0));
	OK(drop(c));
	/* The other name goes elsewhere, this one stays. */
	OK(rename("c/g", "g"));
	OK(take(c, 'x', 0));
	OK(drop(c));
	FAILS(EAGAIN, take(a, 's', 0));
	/* Without its name it is locked as before, and counts where that was. */
	OK(unlink("a/b/f"));
	FAILS(EAGAIN, take(g, 's', 0));
	FAILS(EAGAIN, take(a, 's', 0));
	OK(unlink("g"));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", f);
	GET(other, at(name));
	FAILS(EAGAIN, take(other, 's', 0));
	/* A new one of the name is another file. */
	OK(nx_put("a/b/f", "new"));
	close(g);
	GET(g, at("a/b/f"));
	OK(take(g, 'x', 0));
	OK(drop(f));
	OK(take(other, 'x', 0));
	close(f);
	close(other);
	close(g);
	/* A directory that is gone. */
	GET(f, at("c"));
	OK(take(f, 'x', 0));
	OK(rmdir("c"));
	OK(mkdir("c", 0755));
	close(c);
	GET(c, at("c"));
	OK(take(c, 'x', 0));
	OK(drop(f));
	close(f);
	close(c);
	/* One that never had a name. */
	GET(f, open("a", O_TMPFILE | O_RDWR, 0600));
	OK(take(f, 'x', 0));
	FAILS(EAGAIN, take(a, 's', 0));
	close(f);
	OK(take(a, 's', 0));
	close(a);
}

/* ---- all at once ---------------------------------------------------------------------- */

static long total[2];	/* of a and c; each is who has it exclusive's alone */

static void *at_random(void *arg)
{
	uint64_t state = (uintptr_t)arg * 0x9e3779b97f4a7c15ull | 1;
	long i, rounds = nx_env("NEXUS_OPS", 3000), bad = 0, was;
	const char *path;
	int fd, ret;

	for (i = 0; i < rounds; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		path = ((const char *[]){ "a", "a/b", "c", "a/b/f", "." })[(state >> 20) % 5];
		fd = at(path);
		if (fd < 0)
			continue;
		ret = take(fd, (state >> 24) % 3 ? 'x' : 's', (state >> 28) % 4 ? FOREVER : 1);
		if (!ret && !strcmp(path, "a") && (state >> 24) % 3) {
			was = total[0];
			sched_yield();
			total[0] = was + 1;
			bad += total[0] != was + 1;
		}
		if (!ret && (state >> 30) % 2) {
			ret = convert(fd, who(fd, 's').held == NEXUS_PLOCK_SHARED ? 'x' : 's', FOREVER);
			bad += ret && errno != EDEADLK;
			ret = 0;
		}
		bad += ret && errno != ETIMEDOUT && errno != EDEADLK;
		close(fd);
	}
	return (void *)bad;
}

static void *rename_at_random(void *arg)
{
	(void)arg;
	while (!enough) {
		if (rename("a/b", "c/b") || rename("c/b", "a/b"))
			return (void *)1l;
		syscall(SYS_renameat2, AT_FDCWD, "a/b/f", AT_FDCWD, "c/g", RENAME_EXCHANGE);
	}
	return NULL;
}

TEST_F(dir, many_at_random)
{
	pthread_t thread[8], mover;
	unsigned int i;
	void *ret;

	NEEDS_NEXUS(self);
	OK(make_tree());
	OK(nx_put("c/g", "text"));
	enough = false;
	total[0] = 0;
	for (i = 0; i < N_ELEMS(thread); i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, at_random,
					    (void *)(uintptr_t)(i + 1)));
	ASSERT_EQ(0, pthread_create(&mover, NULL, rename_at_random, NULL));
	for (i = 0; i < N_ELEMS(thread); i++) {
		pthread_join(thread[i], &ret);
		ASSERT_EQ(0, (long)ret);
	}
	enough = true;
	pthread_join(mover, &ret);
	ASSERT_EQ(NULL, ret);
	ASSERT_LT(0, total[0]);
	ASSERT_EQ(0, listed("held"));
	ASSERT_EQ(0, listed("waits"));
}

TEST_HARNESS_MAIN
