// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks and leases: fcntl ranges, those of open file descriptions, flock, beside
 * mappings and truncation; deadlocks, and what the end of a process gives back.
 */
#include "nx.h"

#include <sys/file.h>

static int set_lock(int fd, int cmd, short type, off_t from, off_t len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

/* Who would be in the way of a write lock: F_UNLCK, or the type; its process in *@pid. */
static short in_the_way(const char *path, off_t from, off_t len, pid_t *pid)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = len };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? -1 : fcntl(fd, F_OFD_GETLK, &fl);

	if (fd >= 0)
		close(fd);
	if (pid)
		*pid = fl.l_pid;
	return err ? -1 : fl.l_type;
}

static void say(int fd)
{
	HOLDS(write(fd, "x", 1) == 1);
}

static void hear(int fd)
{
	char c;

	HOLDS(read(fd, &c, 1) == 1);
}

TEST_F(dir, ranges)
{
	int to[2], from[2], fd;
	pid_t pid, who;

	OK(nx_put("file", "0123456789"));
	OK(pipe(to));
	OK(pipe(from));
	GET(pid, fork());
	if (!pid) {
		HOLDS((fd = open("file", O_RDWR)) >= 0);
		HOLDS(!set_lock(fd, F_SETLK, F_WRLCK, 2, 4));
		HOLDS(!set_lock(fd, F_SETLK, F_RDLCK, 100, 0));
		say(from[1]);
		hear(to[0]);
		/* Cut in two. */
		HOLDS(!set_lock(fd, F_SETLK, F_UNLCK, 3, 1));
		say(from[1]);
		hear(to[0]);
		/* Any descriptor's close gives up all of the process's. */
		close(open("file", O_RDONLY));
		say(from[1]);
		hear(to[0]);
		_exit(0);
	}
	hear(from[0]);
	GET(fd, open("file", O_RDWR));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_RDLCK, 0, 3));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 5, 1));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 1000000, 1));
	OK(set_lock(fd, F_SETLK, F_RDLCK, 1000000, 1));
	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 2));
	OK(set_lock(fd, F_SETLK, F_WRLCK, 6, 4));
	ASSERT_EQ(F_WRLCK, in_the_way("file", 2, 4, &who));
	ASSERT_EQ(pid, who);
	say(to[1]);
	hear(from[0]);
	OK(set_lock(fd, F_SETLK, F_WRLCK, 3, 1));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 2, 1));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 4, 1));
	say(to[1]);
	hear(from[0]);
	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
	say(to[1]);
	ASSERT_EQ(0, nx_reap());
	/* A lock does not forbid: neither writing nor cutting what is locked. */
	OK(truncate("file", 3));
	FAILS(EINVAL, set_lock(fd, F_SETLK, F_WRLCK, -1, 1));
	FAILS(EINVAL, set_lock(fd, F_SETLK, F_WRLCK, 5, -6));
	OK(set_lock(fd, F_SETLK, F_WRLCK, 5, -5));
	close(fd);
}

TEST_F(dir, deadlock)
{
	int to[2], from[2], fd;
	pid_t pid;

	OK(nx_put("file", "0123456789"));
	OK(pipe(to));
	OK(pipe(from));
	GET(fd, open("file", O_RDWR));
	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
	GET(pid, fork());
	if (!pid) {
		HOLDS((fd = open("file", O_RDWR)) >= 0);
		HOLDS(!set_lock(fd, F_SETLK, F_WRLCK, 1, 1));
		say(from[1]);
		HOLDS(!set_lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		_exit(0);
	}
	hear(from[0]);
	nx_until_asleep(pid);
	FAILS(EDEADLK, set_lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	OK(set_lock(fd, F_SETLK, F_UNLCK, 0, 1));
	ASSERT_EQ(0, nx_reap());
	OK(set_lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST_F(dir, waiting_ends)
{
	struct sigaction act = { .sa_handler = on_alarm };
	int from[2], fd, status;
	pid_t holder, waiter;

	OK(nx_put("file", "text"));
	OK(pipe(from));
	GET(holder, fork());
	if (!holder) {
		HOLDS((fd = open("file", O_RDWR)) >= 0);
		HOLDS(!set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
		HOLDS(!flock(fd, LOCK_EX));
		say(from[1]);
		pause();
	}
	hear(from[0]);
	GET(waiter, fork());
	if (!waiter) {
		sigaction(SIGUSR1, &act, NULL);
		HOLDS((fd = open("file", O_RDWR)) >= 0);
		errno = 0;
		HOLDS(set_lock(fd, F_SETLKW, F_WRLCK, 0, 0) == -1 && errno == EINTR);
		errno = 0;
		HOLDS(flock(fd, LOCK_EX) == -1 && errno == EINTR);
		say(from[1]);
		/* The holder's death is what ends this. */
		HOLDS(!set_lock(fd, F_SETLKW, F_WRLCK, 0, 0));
		HOLDS(!flock(fd, LOCK_EX));
		_exit(0);
	}
	nx_until_asleep(waiter);
	OK(kill(waiter, SIGUSR1));
	usleep(200000);
	nx_until_asleep(waiter);
	OK(kill(waiter, SIGUSR1));
	hear(from[0]);
	OK(kill(holder, SIGKILL));
	ASSERT_EQ(waiter, waitpid(waiter, &status, 0));
	ASSERT_EQ(0, status);
	waitpid(holder, NULL, 0);
	ASSERT_EQ(F_UNLCK, in_the_way("file", 0, 0, NULL));
}

TEST_F(dir, open_file_descriptions)
{
	int a, b, copy;

	OK(nx_put("file", "text"));
	GET(a, open("file", O_RDWR));
	GET(b, open("file", O_RDWR));
	GET(copy, dup(a));
	OK(set_lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(EAGAIN, set_lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
	FAILS(EAGAIN, set_lock(b, F_SETLK, F_WRLCK, 5, 10));
	OK(set_lock(b, F_OFD_SETLK, F_WRLCK, 10, 10));
	/* Another descriptor's close changes nothing, nor that of a copy. */
	close(open("file", O_RDWR));
	close(copy);
	FAILS(EAGAIN, set_lock(b, F_OFD_SETLK, F_RDLCK, 0, 1));
	ASSERT_EQ(F_WRLCK, in_the_way("file", 0, 1, NULL));
	/* Shared with a child, and there until the last of them closes. */
	if (!fork()) {
		HOLDS(!set_lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
		_exit(0);
	}
	ASSERT_EQ(0, nx_reap());
	FAILS(EAGAIN, set_lock(b, F_OFD_SETLK, F_RDLCK, 0, 1));
	close(a);
	OK(set_lock(b, F_OFD_SETLK, F_WRLCK, 0, 10));
	close(b);
	ASSERT_EQ(F_UNLCK, in_the_way("file", 0, 0, NULL));
}

TEST_F(dir, whole_files)
{
	int a, b, c;

	OK(nx_put("file", "text"));
	GET(a, open("file", O_RDONLY));
	GET(b, open("file", O_RDONLY));
	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(a, LOCK_EX | LOCK_NB));
	OK(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
	/* Nothing to do with ranges. */
	GET(c, open("file", O_RDWR));
	OK(set_lock(c, F_SETLK, F_WRLCK, 0, 0));
	/* A file without a name is locked like others. */
	OK(unlink("file"));
	FAILS(EWOULDBLOCK, flock(c, LOCK_EX | LOCK_NB));
	close(a);
	OK(flock(c, LOCK_EX | LOCK_NB));
	/* Directories, too. */
	OK(mkdir("dir", 0755));
	GET(a, open("dir", O_RDONLY));
	OK(flock(a, LOCK_EX));
	close(a);
	close(b);
	close(c);
}

/* What is locked is a file, not what is in memory of it. */
TEST_F(dir, beside_mappings)
{
	char *map;
	int fd;

	OK(nx_put("file", "text"));
	OK(truncate("file", 8192));
	GET(fd, open("file", O_RDWR));
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
	map[0] = 'T';
	nx_drop_caches();
	if (!fork()) {
		HOLDS(in_the_way("file", 0, 1, NULL) == F_WRLCK);
		map[4096] = 'x';
		HOLDS(!truncate("file", 4096));
		HOLDS((fd = open("file", O_RDWR | O_TRUNC)) >= 0);
		HOLDS(write(fd, "new", 3) == 3);
		_exit(0);
	}
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ('n', map[0]);
	ASSERT_EQ(F_WRLCK, in_the_way("file", 0, 1, NULL));
	munmap(map, 8192);
	/* Mapping or not, the close of a descriptor gave it up. */
	close(fd);
	ASSERT_EQ(F_UNLCK, in_the_way("file", 0, 1, NULL));
}

/* ---- leases -------------------------------------------------------------------------- */

static volatile sig_atomic_t broken;

static void on_break(int sig)
{
	(void)sig;
	broken = 1;
}

static void break_by_truncate(void)
{
	HOLDS(!truncate("file", 1));
}

static void break_by_open(void)
{
	HOLDS(open("file", O_WRONLY) >= 0);
}

static void break_by_trunc_open(void)
{
	HOLDS(open("file", O_WRONLY | O_TRUNC) >= 0);
}

TEST_F(dir, leases)
{
	static void (*const how[])(void) = {
		break_by_open, break_by_truncate, break_by_trunc_open,
	};
	struct sigaction act = { .sa_handler = on_break };
	int fd, w, i;

	OK(nx_put("file", "text"));
	sigaction(SIGIO, &act, NULL);
	GET(w, open("file", O_RDWR));
	FAILS(EAGAIN, fcntl(w, F_SETLEASE, F_RDLCK));
	GET(fd, open("file", O_RDONLY));
	FAILS(EAGAIN, fcntl(fd, F_SETLEASE, F_RDLCK));
	close(w);
	FAILS(EAGAIN, fcntl(fd, F_SETLEASE, F_WRLCK) ?: (errno = EAGAIN, -1));
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	for (i = 0; i < N_ELEMS(how); i++) {
		OK(fcntl(fd, F_SETLEASE, F_RDLCK));
		ASSERT_EQ(F_RDLCK, fcntl(fd, F_GETLEASE));
		broken = 0;
		/* Without waiting one is told. */
		FAILS(EAGAIN, open("file", O_WRONLY | O_NONBLOCK));
		OK(fcntl(fd, F_SETLEASE, F_UNLCK));
		OK(fcntl(fd, F_SETLEASE, F_RDLCK));
		broken = 0;
		if (!fork()) {
			how[i]();
			_exit(0);
		}
		while (!broken)
			usleep(10000);
		ASSERT_EQ(F_UNLCK, fcntl(fd, F_GETLEASE));
		OK(fcntl(fd, F_SETLEASE, F_UNLCK));
		ASSERT_EQ(0, nx_reap());
	}
	/* Reading and renaming break no read lease; unlink leaves it alone, too. */
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	GET(w, open("file", O_RDONLY | O_NONBLOCK));
	close(w);
	OK(rename("file", "moved"));
	OK(unlink("moved"));
	ASSERT_EQ(F_RDLCK, fcntl(fd, F_GETLEASE));
	close(fd);
}

TEST_F(dir, write_lease)
{
	struct sigaction act = { .sa_handler = on_break };
	int fd;

	OK(nx_put("file", "text"));
	sigaction(SIGIO, &act, NULL);
	GET(fd, open("file", O_RDWR));
	OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	broken = 0;
	if (!fork()) {
		HOLDS(open("file", O_RDONLY) >= 0);
		_exit(0);
	}
	while (!broken)
		usleep(10000);
	ASSERT_EQ(F_RDLCK, fcntl(fd, F_GETLEASE));
	FAILS(EAGAIN, fcntl(fd, F_SETLEASE, F_RDLCK) ?: (errno = EAGAIN, -1));
	fcntl(fd, F_SETLEASE, F_UNLCK);
	ASSERT_EQ(0, nx_reap());
	/* One that nobody gives up ends with its file. */
	close(fd);
	GET(fd, open("file", O_RDONLY));
	close(fd);
}

TEST_HARNESS_MAIN
