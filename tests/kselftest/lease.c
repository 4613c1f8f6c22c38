// SPDX-License-Identifier: GPL-2.0-only
/* Leases: who gets one, who waits, what is refused, what ends one. */
#include "nx_lease.h"

/* ---- who gets one -------------------------------------------------------------------- */

TEST_F(dir, mutex)
{
	struct nexus_lease_info info;
	int fd, other, dir;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(fd, open("a/b/f", O_RDWR));
	GET(other, open("a/b/f", O_RDONLY));
	GET(dir, at("a"));
	OK(acquire(fd, 1, TTL, 1, 0));
	/* By whatever descriptor. */
	FAILS(EAGAIN, acquire(other, 2, TTL, 1, 0));
	FAILS(EAGAIN, acquire(fd, 2, TTL, 1, 0));
	FAILS(ETIMEDOUT, acquire(fd, 2, TTL, 1, 20));
	info = info_of(other);
	ASSERT_EQ(1, info.count);
	ASSERT_EQ(1, info.max_holders);
	ASSERT_EQ(1, holders[0].id[0]);
	ASSERT_STREQ("holder 1", (char *)holders[0].name);
	ASSERT_EQ(last_token, holders[0].token);
	ASSERT_EQ(last_expires, holders[0].expires);
	ASSERT_EQ(TTL * 1000000000ull, holders[0].expires - holders[0].acquired);
	/* No hierarchy: a directory is another thing than what is in it. */
	OK(acquire(dir, 2, TTL, 1, 0));
	OK(release(dir, 2));
	OK(release(other, 1));
	ASSERT_EQ(0, info_of(fd).count);
	OK(acquire(other, 2, TTL, 1, 0));
	close(fd);
	close(other);
	/* It is nobody's open file. */
	GET(fd, open("a/b/f", O_RDWR));
	FAILS(EAGAIN, acquire(fd, 1, TTL, 1, 0));
	/* Beside path locks, which know nothing of it. */
	OK(take(fd, 'x', 0));
	OK(release(fd, 2));
}

TEST_F(dir, semaphore)
{
	unsigned int i;
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	for (i = 1; i <= 3; i++)
		OK(acquire(fd, i, TTL, 3, 0));
	FAILS(EAGAIN, acquire(fd, 4, TTL, 3, 0));
	ASSERT_EQ(3, info_of(fd).count);
	ASSERT_EQ(3, info_of(fd).max_holders);
	OK(release(fd, 2));
	OK(acquire(fd, 4, TTL, 3, 0));
	FAILS(EAGAIN, acquire(fd, 2, TTL, 3, 0));
	/* As something else it is not there as long as somebody has it. */
	FAILS(EBUSY, acquire(fd, 5, TTL, 4, 0));
	FAILS(EBUSY, acquire(fd, 1, TTL, 1, 0));
	OK(release(fd, 1));
	OK(release(fd, 3));
	OK(release(fd, 4));
	OK(acquire(fd, 5, TTL, 1, 0));
	OK(release(fd, 5));
	for (i = 1; i <= NEXUS_LEASE_COUNT_MAX; i++)
		OK(acquire(fd, i, TTL, NEXUS_LEASE_COUNT_MAX, 0));
	FAILS(EAGAIN, acquire(fd, 200, TTL, NEXUS_LEASE_COUNT_MAX, 0));
	ASSERT_EQ(NEXUS_LEASE_COUNT_MAX, info_of(fd).count);
	OK(force(fd, 0));
	ASSERT_EQ(0, info_of(fd).count);
}

TEST_F(dir, again_is_the_same_holder)
{
	uint64_t token, expires;
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	OK(acquire(fd, 1, 100, 2, 0));
	token = last_token;
	expires = last_expires;
	OK(acquire(fd, 1, 500, 2, 0));
	ASSERT_EQ(token, last_token);
	ASSERT_LE(expires + 400 * 1000000000ull, last_expires);
	ASSERT_EQ(1, info_of(fd).count);
	OK(extend(fd, 1, TTL));
	ASSERT_EQ(token, last_token);
	ASSERT_LE(expires + 900 * 1000000000ull, last_expires);
	ASSERT_EQ(last_expires, (info_of(fd), holders[0].expires));
	FAILS(ESTALE, extend(fd, 2, TTL));
	FAILS(ESTALE, release(fd, 2));
	OK(release(fd, 1));
	FAILS(ESTALE, release(fd, 1));
	FAILS(ESTALE, extend(fd, 1, TTL));
}

TEST_F(dir, an_id_is_made_up)
{
	struct nexus_lease_arg a = arg_of(0, TTL, 2, 0), b = a;
	static const unsigned char none[NEXUS_LEASE_ID_LEN];
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	OK(ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &a));
	OK(ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &b));
	ASSERT_NE(0, memcmp(a.id, none, sizeof(none)));
	ASSERT_NE(0, memcmp(a.id, b.id, sizeof(a.id)));
	ASSERT_EQ(2, info_of(fd).count);
	ASSERT_EQ(0, memcmp(holders[1].id, b.id, sizeof(b.id)));
	OK(force(fd, 0));
}

/* ---- what ends one --------------------------------------------------------------------- */

TEST_F(dir, expiry)
{
	uint64_t token, ends;
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	OK(acquire(fd, 1, 1, 1, 0));
	token = last_token;
	ends = last_expires;
	/* Nobody gives it up, and nobody else asks. */
	OK(acquire(fd, 2, TTL, 1, FOREVER));
	info_of(fd);
	ASSERT_LE(ends, holders[0].acquired);
	ASSERT_EQ(2, holders[0].id[0]);
	ASSERT_LT(token, last_token);
	FAILS(ESTALE, extend(fd, 1, TTL));
	FAILS(ESTALE, release(fd, 1));
	FAILS(ESTALE, check(fd, token));
	OK(check(fd, last_token));
	/* Whoever comes back is a new holder, of something else even. */
	OK(extend(fd, 2, 1));
	FAILS(EBUSY, acquire(fd, 3, TTL, 5, 0));
	OK(acquire(fd, 1, TTL, 1, FOREVER));
	ASSERT_EQ(1, info_of(fd).count);
	OK(release(fd, 1));
}

TEST_F(dir, fencing)
{
	uint64_t token[3], zero = 0;
	int fd, other;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(fd, at("a"));
	GET(other, at("c"));
	OK(acquire(fd, 1, TTL, 1, 0));
	token[0] = last_token;
	OK(check(fd, token[0]));
	FAILS(ESTALE, check(other, token[0]));
	OK(release(fd, 1));
	FAILS(ESTALE, check(fd, token[0]));
	/* It grows also where nothing is left of the one before, and elsewhere. */
	OK(acquire(other, 1, TTL, 1, 0));
	token[1] = last_token;
	OK(acquire(fd, 1, TTL, 1, 0));
	token[2] = last_token;
	ASSERT_LT(token[0], token[1]);
	ASSERT_LT(token[1], token[2]);
	FAILS(ESTALE, check(fd, token[0]));
	FAILS(ESTALE, check(fd, token[1]));
	FAILS(ESTALE, check(fd, token[2] + 1));
	OK(check(fd, token[2]));
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_LEASE_CHECK, &zero));
	OK(release(fd, 1));
	OK(release(other, 1));
}

static void as_nobody(void *arg)
{
	int fd = open("f", O_RDONLY);
	(void)arg;

	HOLDS(fd >= 0);
	/* May read, so may look. */
	HOLDS(info_of(fd).count == 1);
	HOLDS(!holders[0].id[0] && holders[0].token == last_token);
	HOLDS(!check(fd, last_token));
	HOLDS(acquire(fd, 2, TTL, 2, 0) == -1 && errno == EACCES);
	HOLDS(extend(fd, 1, TTL) == -1 && errno == EACCES);
	HOLDS(release(fd, 1) == -1 && errno == EACCES);
	HOLDS(force(fd, 1) == -1 && errno == EPERM);
	HOLDS(force(fd, 0) == -1 && errno == EPERM);
	/* May write, and is not the owner. */
	fd = open("g", O_RDWR);
	HOLDS(fd >= 0);
	HOLDS(!acquire(fd, 2, TTL, 2, 0));
	HOLDS(force(fd, 1) == -1 && errno == EPERM);
	HOLDS(!release(fd, 2));
	/* The owner. */
	fd = open("h", O_RDONLY);
	HOLDS(fd >= 0);
	HOLDS(!acquire(fd, 2, TTL, 2, 0));
	HOLDS(!force(fd, 1));
	HOLDS(info_of(fd).count == 1);
	HOLDS(!force(fd, 0));
	HOLDS(force(fd, 0) == -1 && errno == ENOENT);
	HOLDS(force(fd, 2) == -1 && errno == ESTALE);
}

TEST_F(dir, who_may)
{
	int f, g, h, o;

	NEEDS_NEXUS(self);
	OK(chmod(".", 0755));
	GET(f, open("f", O_CREAT | O_RDWR, 0644));
	GET(g, open("g", O_CREAT | O_RDWR, 0666));
	GET(h, open("h", O_CREAT | O_RDWR, 0644));
	OK(fchmod(g, 0666));
	OK(fchown(h, 65534, 65534));
	OK(acquire(g, 1, TTL, 2, 0));
	OK(acquire(h, 1, TTL, 2, 0));
	OK(acquire(f, 1, TTL, 2, 0));
	ASSERT_EQ(0, nx_as_nobody(as_nobody, NULL));
	ASSERT_EQ(1, info_of(f).count);
	ASSERT_EQ(1, info_of(g).count);
	OK(force(f, 1));
	OK(release(g, 1));
	GET(o, open("f", O_PATH));
	FAILS(EBADF, acquire(o, 1, TTL, 1, 0));
	GET(o, open("f", 3));
	FAILS(EBADF, acquire(o, 1, TTL, 1, 0));
	OK(mkfifo("fifo", 0666));
	GET(o, open("fifo", O_RDWR));
	FAILS(ENOTTY, acquire(o, 1, TTL, 1, 0));
	GET(o, open("/tmp", O_RDONLY));
	FAILS(ENOTTY, acquire(o, 1, TTL, 1, 0));
}

TEST_F(dir, bad_input)
{
	static const long long times[] = { -1, LLONG_MIN, LLONG_MAX, 2147483648ll };
	struct nexus_lease_arg a;
	struct nexus_lease_info info = {};
	unsigned int i;
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	FAILS(EINVAL, acquire(fd, 1, 0, 1, 0));
	FAILS(EINVAL, acquire(fd, 1, 86401, 1, 0));
	FAILS(EINVAL, acquire(fd, 1, ~0u, 1, 0));
	FAILS(EINVAL, acquire(fd, 1, TTL, 0, 0));
	FAILS(EINVAL, acquire(fd, 1, TTL, NEXUS_LEASE_COUNT_MAX + 1, 0));
	FAILS(EINVAL, acquire(fd, 1, TTL, ~0u, 0));
	for (i = 0; i < N_ELEMS(times); i++) {
		a = arg_of(1, TTL, 1, times[i]);
		a.flags = 0;
		a.timeout_ms = times[i];
		FAILS(EINVAL, ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &a));
	}
#define BAD(change) do {							\
	a = arg_of(1, TTL, 1, 0);						\
	change;									\
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &a));			\
} while (0)
	BAD((a.flags = NEXUS_LEASE_F_FOREVER, a.timeout_ms = 1));
	for (i = 1; i < 32; i++)
		BAD(a.flags = 1u << i);
	BAD(a.reserved = 1);
	BAD(a.reserved2[0] = 1);
	BAD(a.reserved2[1] = 1);
	BAD(memset(a.name, 0, sizeof(a.name)));
	BAD(a.name[1] = '\n');
	BAD(a.name[1] = 0x7f);
	BAD(a.name[3] = 0);
	BAD(a.name[NEXUS_LEASE_NAME_LEN - 1] = 'x');
	ASSERT_EQ(0, info_of(fd).count);
	/* The longest name, the longest time, the shortest. */
	a = arg_of(1, 86400, NEXUS_LEASE_COUNT_MAX, 2147483647);
	memset(a.name, 'n', sizeof(a.name));
	OK(ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &a));
	FAILS(EINVAL, extend(fd, 1, 0));
	FAILS(EINVAL, extend(fd, 1, 86401));
	FAILS(EINVAL, extend(fd, 0, 1));
	FAILS(EINVAL, release(fd, 0));
#define BAD_OF(cmd, change) do {						\
	a = (struct nexus_lease_arg){ .id = { 1 } };				\
	change;									\
	FAILS(EINVAL, ioctl(fd, cmd, &a));					\
} while (0)
	BAD_OF(NEXUS_IOC_LEASE_EXTEND, (a.ttl = 1, a.max_holders = 1));
	BAD_OF(NEXUS_IOC_LEASE_EXTEND, (a.ttl = 1, a.name[0] = 'x'));
	BAD_OF(NEXUS_IOC_LEASE_EXTEND, (a.ttl = 1, a.timeout_ms = 1));
	BAD_OF(NEXUS_IOC_LEASE_RELEASE, a.ttl = 1);
	BAD_OF(NEXUS_IOC_LEASE_RELEASE, a.flags = 1);
	BAD_OF(NEXUS_IOC_LEASE_RELEASE, a.reserved = 1);
	BAD_OF(NEXUS_IOC_LEASE_BREAK, a.ttl = 1);
	BAD_OF(NEXUS_IOC_LEASE_BREAK, a.max_holders = 1);
	info.reserved[1] = 1;
	FAILS(EINVAL, ioctl(fd, NEXUS_IOC_LEASE_GET, &info));
	info = (struct nexus_lease_info){ .holders = 8, .room = 1 };
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_LEASE_GET, &info));
	info.room = 0;
	OK(ioctl(fd, NEXUS_IOC_LEASE_GET, &info));
	ASSERT_EQ(1, info.count);
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, NULL));
	FAILS(EFAULT, ioctl(fd, NEXUS_IOC_LEASE_CHECK, NULL));
	OK(release(fd, 1));
}

/* ---- names, and what has none ------------------------------------------------------------ */

TEST_F(dir, follows_a_rename)
{
	int fd, other;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(fd, open("a/b/f", O_RDWR));
	OK(acquire(fd, 1, TTL, 1, 0));
	OK(rename("a/b/f", "c/g"));
	OK(nx_put("a/b/f", "another"));
	GET(other, open("a/b/f", O_RDWR));
	OK(acquire(other, 2, TTL, 1, 0));
	OK(release(other, 2));
	GET(other, open("c/g", O_RDWR));
	FAILS(EAGAIN, acquire(other, 2, TTL, 1, 0));
	OK(link("c/g", "a/h"));
	GET(other, open("a/h", O_RDWR));
	FAILS(EAGAIN, acquire(other, 2, TTL, 1, 0));
	ASSERT_EQ(1, listed("lease mutex holder\\0401 "));
	OK(release(fd, 1));
	ASSERT_EQ(0, listed("lease mutex holder\\0401 "));
}

TEST_F(dir, removed)
{
	struct stat st;
	char text[64];
	int fd;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(fd, open("a/b/f", O_RDWR));
	OK(acquire(fd, 1, TTL, 1, 0));
	OK(fstat(fd, &st));
	snprintf(text, sizeof(text), " %llu /", (unsigned long long)st.st_ino);
	ASSERT_EQ(1, listed(text));
	OK(unlink("a/b/f"));
	FAILS(EAGAIN, acquire(fd, 2, TTL, 1, 0));
	OK(extend(fd, 1, TTL));
	OK(check(fd, last_token));
	/* It is gone with the last who has it open. */
	close(fd);
	snprintf(text, sizeof(text), " %llu ", (unsigned long long)st.st_ino);
	ASSERT_EQ(0, listed(text));
	GET(fd, open(".", O_TMPFILE | O_RDWR, 0600));
	OK(acquire(fd, 1, TTL, 1, 0));
	close(fd);
	ASSERT_EQ(0, listed("lease mutex holder\\0401 "));
	GET(fd, at("c"));
	OK(acquire(fd, 1, TTL, 1, 0));
	OK(rmdir("c"));
	OK(release(fd, 1));
	OK(acquire(fd, 1, TTL, 1, 0));
}

TEST_F(dir, not_in_memory)
{
	char text[PATH_MAX];
	struct stat st;
	int fd;

	NEEDS_NEXUS(self);
	OK(make_tree());
	GET(fd, open("a/b/f", O_RDWR));
	OK(acquire(fd, 1, TTL, 1, 0));
	OK(fstat(fd, &st));
	close(fd);
	nx_drop_caches();
	snprintf(text, sizeof(text), " %llu /", (unsigned long long)st.st_ino);
	ASSERT_EQ(1, listed(text));
	ASSERT_EQ(1, listed("/a/b/f\n"));
	nx_drop_caches();
	GET(fd, open("a/b/f", O_RDWR));
	FAILS(EAGAIN, acquire(fd, 2, TTL, 1, 0));
	OK(check(fd, last_token));
	OK(release(fd, 1));
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* A child that waits for it, says its letter when it has it, and gives it up when told. */
static pid_t waiter(const char *path, unsigned char id, unsigned int max, int from, int to)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = at(path);
	HOLDS(fd >= 0);
	HOLDS(!acquire(fd, id, TTL, max, FOREVER));
	HOLDS(write(from, &id, 1) == 1);
	hear(to);
	HOLDS(!release(fd, id));
	_exit(0);
}

TEST_F(dir, waits_its_turn)
{
	int fd, from[2], to[2], i;
	unsigned char id;

	NEEDS_NEXUS(self);
	OK(pipe(from));
	OK(pipe(to));
	GET(fd, at("."));
	OK(acquire(fd, 1, TTL, 1, 0));
	for (i = 0; i < 4; i++) {
		ASSERT_LT(0, waiter(".", 10 + i, 1, from[1], to[0]));
		until_queued(fd, i + 1);
	}
	OK(release(fd, 1));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, read(from[0], &id, 1));
		ASSERT_EQ(10 + i, id);
		/* Nobody overtakes who waits. */
		FAILS(EAGAIN, acquire(fd, 1, TTL, 1, 0));
		ASSERT_EQ(1, info_of(fd).count);
		say(to[1]);
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, nx_reap());
	OK(acquire(fd, 1, TTL, 1, 0));
	OK(release(fd, 1));
}

TEST_F(dir, a_semaphore_lets_in_as_many_as_fit)
{
	int fd, from[2], to[2], i;
	unsigned char id, seen = 0;

	NEEDS_NEXUS(self);
	OK(pipe(from));
	OK(pipe(to));
	GET(fd, at("."));
	for (i = 1; i <= 3; i++)
		OK(acquire(fd, i, TTL, 3, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_LT(0, waiter(".", 1 << i | 64, 3, from[1], to[0]));
		until_queued(fd, i + 1);
	}
	/* All at once: what one leaves the next one gets, too. */
	OK(force(fd, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, read(from[0], &id, 1));
		seen |= id;
	}
	ASSERT_EQ(64 | 7, seen);
	ASSERT_EQ(3, info_of(fd).count);
	ASSERT_EQ(0, info_of(fd).waiting);
	for (i = 0; i < 3; i++)
		say(to[1]);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, nx_reap());
}

TEST_F(dir, killed_while_waiting)
{
	int fd, from[2], to[2], status, i;
	unsigned int ttl = 1;
	unsigned char id;
	pid_t pid[3];
	bool first;

	NEEDS_NEXUS(self);
	OK(pipe(from));
	OK(pipe(to));
	GET(fd, at("."));
	OK(acquire(fd, 1, TTL, 1, 0));
	for (i = 0; i < 3; i++) {
		GET(pid[i], waiter(".", 10 + i, 1, from[1], to[0]));
		until_queued(fd, i + 1);
	}
	/* The first and the second; the third has its turn then. */
	OK(kill(pid[1], SIGKILL));
	ASSERT_EQ(pid[1], waitpid(pid[1], &status, 0));
	until_queued(fd, 2);
	OK(kill(pid[0], SIGKILL));
	ASSERT_EQ(pid[0], waitpid(pid[0], &status, 0));
	ASSERT_EQ(SIGKILL, WTERMSIG(status));
	until_queued(fd, 1);
	OK(release(fd, 1));
	ASSERT_EQ(1, read(from[0], &id, 1));
	ASSERT_EQ(12, id);
	say(to[1]);
	ASSERT_EQ(0, nx_reap());
	/*
	 * Who waits for the end of one, as the first who waited for it was killed.  On a
	 * slow machine that one may have got it before: again, with more time.
	 */
	do {
		ttl *= 2;
		ASSERT_GE(128, ttl);
		OK(acquire(fd, 1, TTL, 1, 0));
		for (i = 0; i < 2; i++) {
			GET(pid[i], waiter(".", 20 + i, 1, from[1], to[0]));
			until_queued(fd, i + 1);
		}
		OK(extend(fd, 1, ttl));
		OK(kill(pid[0], SIGKILL));
		ASSERT_EQ(pid[0], waitpid(pid[0], &status, 0));
		first = info_of(fd).count && holders[0].id[0] == 20;
		if (first)
			OK(force(fd, 20));
		do {
			ASSERT_EQ(1, read(from[0], &id, 1));
		} while (id != 21);
		say(to[1]);
		ASSERT_EQ(pid[1], waitpid(pid[1], &status, 0));
		ASSERT_EQ(0, status);
	} while (first);
	if (info_of(fd).count)
		OK(force(fd, 0));
}

/* What is given up after somebody was killed who waits for it is not that one's. */
TEST_F(dir, the_killed_get_none)
{
	int fd, status, i;
	pid_t pid;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	for (i = 0; i < 50; i++) {
		OK(acquire(fd, 1, TTL, 1, 0));
		GET(pid, fork());
		if (!pid) {
			acquire(fd, 2, TTL, 1, FOREVER);
			_exit(0);
		}
		until_queued(fd, 1);
		OK(kill(pid, SIGKILL));
		OK(release(fd, 1));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(0, info_of(fd).count);
	}
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST_F(dir, interrupted)
{
	struct sigaction act = { .sa_handler = on_signal };
	int fd, i, status;
	pid_t pid;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	OK(acquire(fd, 1, TTL, 1, 0));
	/* Without end and with SA_RESTART it goes on; else it ends. */
	for (i = 0; i < 3; i++) {
		GET(pid, fork());
		if (!pid) {
			act.sa_flags = i ? SA_RESTART : 0;
			HOLDS(!sigaction(SIGUSR1, &act, NULL));
			errno = 0;
			status = acquire(fd, 2, TTL, 1, i == 1 ? 2000000 : FOREVER);
			_exit(status ? errno : 0);
		}
		until_queued(fd, 1);
		OK(kill(pid, SIGUSR1));
		if (i == 2) {
			usleep(100000);
			until_queued(fd, 1);
			OK(release(fd, 1));
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(i == 2 ? 0 : EINTR, WEXITSTATUS(status));
		ASSERT_EQ(0, info_of(fd).waiting);
	}
	OK(release(fd, 2));
}

/* Those who wait for something else than what it has become are told. */
TEST_F(dir, another_number_while_waiting)
{
	int fd, from[2], to[2], status;
	unsigned char id;
	pid_t pid;

	NEEDS_NEXUS(self);
	OK(pipe(from));
	OK(pipe(to));
	GET(fd, at("."));
	OK(acquire(fd, 1, TTL, 1, 0));
	ASSERT_LT(0, waiter(".", 10, 1, from[1], to[0]));
	until_queued(fd, 1);
	GET(pid, fork());
	if (!pid) {
		/* At once: it can see that already. */
		HOLDS(acquire(fd, 11, TTL, 2, FOREVER) == -1);
		_exit(errno);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(EBUSY, WEXITSTATUS(status));
	OK(release(fd, 1));
	ASSERT_EQ(1, read(from[0], &id, 1));
	say(to[1]);
	ASSERT_EQ(0, nx_reap());
}

static int turns, inside, most;
static pthread_mutex_t turns_lock = PTHREAD_MUTEX_INITIALIZER;

static void *turn(void *arg)
{
	unsigned char id = (unsigned char)(uintptr_t)arg;
	int fd = at("."), i;

	for (i = 0; i < 20; i++) {
		HOLDS(!acquire(fd, id, TTL, 2, FOREVER));
		pthread_mutex_lock(&turns_lock);
		turns++;
		if (++inside > most)
			most = inside;
		pthread_mutex_unlock(&turns_lock);
		sched_yield();
		pthread_mutex_lock(&turns_lock);
		inside--;
		pthread_mutex_unlock(&turns_lock);
		HOLDS(!release(fd, id));
	}
	close(fd);
	return NULL;
}

TEST_F(dir, many_at_once)
{
	pthread_t thread[8];
	unsigned int i;
	int fd;

	NEEDS_NEXUS(self);
	GET(fd, at("."));
	turns = inside = most = 0;
	for (i = 0; i < 8; i++)
		OK(pthread_create(&thread[i], NULL, turn, (void *)(uintptr_t)(i + 1)));
	for (i = 0; i < 8; i++)
		OK(pthread_join(thread[i], NULL));
	ASSERT_EQ(160, turns);
	ASSERT_EQ(2, most);
	ASSERT_EQ(0, info_of(fd).count);
	ASSERT_EQ(0, info_of(fd).waiting);
}

TEST_HARNESS_MAIN
