// SPDX-License-Identifier: GPL-2.0-only
/* Rings looked at and closed by name: nobody who waits for somebody to talk to notices. */
#include "nx_ring.h"

#include <signal.h>
#include <sys/wait.h>

static struct nexus_ring_at at;

/* An ioctl on a name in the current directory. */
static int ring_at(unsigned long cmd, const char *name)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err, code;

	memset(at.name, 0, sizeof(at.name));
	strncpy((char *)at.name, name, sizeof(at.name) - 1);
	err = ioctl(dir, cmd, &at);
	code = errno;
	close(dir);
	errno = code;
	return err;
}

static int stat_at(const char *name)
{
	return ring_at(NEXUS_IOC_RING_STAT_AT, name);
}

static int peek_at(const char *name, void *buf, unsigned int len)
{
	at.peek = (struct nexus_ring_peek){ .buf = (uintptr_t)buf, .len = len };
	return ring_at(NEXUS_IOC_RING_PEEK_AT, name);
}

static int close_at(const char *name)
{
	return ring_at(NEXUS_IOC_RING_CLOSE_AT, name);
}

/* A child that opens the ring, waiting; its exit status is the errno of open, or of what it then does. */
static pid_t child_opens(const char *name, int flags)
{
	char c = 'c';
	pid_t pid = fork();
	ssize_t n;
	int fd;

	if (pid)
		return pid;
	alarm(60);
	signal(SIGPIPE, SIG_IGN);
	fd = open(name, flags);
	if (fd < 0)
		_exit(errno);
	n = flags == O_WRONLY ? write(fd, &c, 1) : read(fd, &c, 1);
	_exit(n < 0 ? errno : n ? 0 : 200);
}

static int child_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(dir, figures)
{
	char buf[16] = "";
	int fd[2];

	OK(ring_make("ring", 5000));
	OK(stat_at("ring"));
	ASSERT_EQ(5000, at.stat.capacity);
	ASSERT_EQ(0, at.stat.readers + at.stat.writers + at.stat.messages + at.stat.sent);
	FAILS(EAGAIN, peek_at("ring", buf, sizeof(buf)));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	FAILS(EAGAIN, peek_at("ring", buf, sizeof(buf)));
	ASSERT_EQ(5, write(fd[1], "first", 5));
	ASSERT_EQ(6, write(fd[1], "second", 6));
	OK(stat_at("ring"));
	ASSERT_EQ(1, at.stat.readers);
	ASSERT_EQ(1, at.stat.writers);
	ASSERT_EQ(2, at.stat.messages);
	ASSERT_EQ(11, at.stat.bytes);
	ASSERT_EQ(5, at.stat.next);
	OK(peek_at("ring", buf, sizeof(buf)));
	ASSERT_EQ(5, at.peek.next);
	ASSERT_EQ(0, strcmp(buf, "first"));
	OK(peek_at("ring", memset(buf, 0, sizeof(buf)), 2));
	ASSERT_EQ(5, at.peek.next);
	ASSERT_EQ(0, strcmp(buf, "fi"));
	OK(peek_at("ring", NULL, 0));
	FAILS(EFAULT, peek_at("ring", (void *)8, 5));
	ASSERT_EQ(5, read(fd[0], buf, sizeof(buf)));
	/* What waits while nobody has it open. */
	close(fd[0]);
	close(fd[1]);
	OK(stat_at("ring"));
	ASSERT_EQ(0, at.stat.readers + at.stat.writers);
	ASSERT_EQ(1, at.stat.messages);
	OK(peek_at("ring", buf, sizeof(buf)));
	ASSERT_EQ(6, at.peek.next);
	FAILS(ENXIO, close_at("ring"));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(6, read(fd[0], buf, sizeof(buf)));
}

TEST_F(dir, who_waits_in_open_goes_on_waiting)
{
	char buf[4];
	pid_t pid;
	int fd, i;

	OK(ring_make("ring", 5000));
	GET(pid, child_opens("ring", O_WRONLY));
	for (i = 0; i < 600 && (stat_at("ring") || !at.stat.writers); i++)
		usleep(10000);
	ASSERT_EQ(1, at.stat.writers);
	nx_until_asleep(pid);
	for (i = 0; i < 20; i++) {
		OK(stat_at("ring"));
		ASSERT_EQ(0, at.stat.readers);
		FAILS(EAGAIN, peek_at("ring", buf, sizeof(buf)));
	}
	/* The one that comes is its reader; it was not let through before. */
	GET(fd, open("ring", O_RDONLY));
	ASSERT_EQ(1, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(0, child_status(pid));
	close(fd);
	GET(pid, child_opens("ring", O_RDONLY));
	for (i = 0; i < 600 && (stat_at("ring") || !at.stat.readers); i++)
		usleep(10000);
	nx_until_asleep(pid);
	for (i = 0; i < 20; i++)
		FAILS(EAGAIN, peek_at("ring", buf, sizeof(buf)));
	GET(fd, open("ring", O_WRONLY));
	ASSERT_EQ(1, write(fd, "x", 1));
	ASSERT_EQ(0, child_status(pid));
}

TEST_F(dir, closed_by_name)
{
	char buf[8];
	pid_t pid;
	int fd[2], i;

	OK(ring_make("ring", 5000));
	FAILS(ENXIO, close_at("ring"));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(2, write(fd[1], "hi", 2));
	OK(close_at("ring"));
	OK(stat_at("ring"));
	ASSERT_EQ(NEXUS_RING_CLOSED, at.stat.flags);
	signal(SIGPIPE, SIG_IGN);
	FAILS(EPIPE, write(fd[1], "no", 2));
	ASSERT_EQ(2, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, read(fd[0], buf, sizeof(buf)));
	OK(close_at("ring"));
	close(fd[0]);
	close(fd[1]);
	OK(stat_at("ring"));
	ASSERT_EQ(0, at.stat.flags);
	/* Who waits in open(2) does not any more. */
	for (i = 0; i < 2; i++) {
		GET(pid, child_opens("ring", i ? O_RDONLY : O_WRONLY));
		nx_until_asleep(pid);
		while (close_at("ring") && errno == ENXIO)
			usleep(10000);
		ASSERT_EQ(i ? 200 : EPIPE, child_status(pid));
	}
}

TEST_F(dir, what_is_no_ring)
{
	static const unsigned long cmds[] = { NEXUS_IOC_RING_STAT_AT, NEXUS_IOC_RING_PEEK_AT,
					      NEXUS_IOC_RING_CLOSE_AT };
	int i, dir, file;

	OK(mkfifo("fifo", 0600));
	OK(nx_put("file", ""));
	OK(mkdir("dir", 0700));
	OK(ring_make("ring", 5000));
	OK(symlink("ring", "link"));
	GET(dir, open(".", O_RDONLY));
	GET(file, open("file", O_RDWR));
	memset(&at, 0, sizeof(at));
	for (i = 0; i < (int)N_ELEMS(cmds); i++) {
		FAILS(ENOTTY, ring_at(cmds[i], "fifo"));
		FAILS(ENOTTY, ring_at(cmds[i], "file"));
		FAILS(ENOTTY, ring_at(cmds[i], "dir"));
		FAILS(ENOTTY, ring_at(cmds[i], "link"));
		FAILS(ENOENT, ring_at(cmds[i], "nothing"));
		FAILS(EINVAL, ring_at(cmds[i], ""));
		FAILS(EINVAL, ring_at(cmds[i], "."));
		FAILS(EINVAL, ring_at(cmds[i], "dir/../ring"));
		FAILS(EFAULT, ioctl(dir, cmds[i], NULL));
		FAILS(ENOTDIR, ioctl(file, cmds[i], &at));
		memset(at.name, 'n', sizeof(at.name));
		FAILS(ENAMETOOLONG, ioctl(dir, cmds[i], &at));
	}
}

static void nobody_looks(void *arg)
{
	char buf[8];

	(void)arg;
	HOLDS(stat_at("secret") == -1 && errno == EACCES);
	HOLDS(peek_at("secret", buf, sizeof(buf)) == -1 && errno == EACCES);
	HOLDS(close_at("secret") == -1 && errno == EACCES);
	HOLDS(!stat_at("read"));
	HOLDS(!peek_at("read", buf, sizeof(buf)));
	HOLDS(close_at("read") == -1 && errno == EACCES);
	HOLDS(stat_at("write") == -1 && errno == EACCES);
	HOLDS(!close_at("write"));
	HOLDS(stat_at("fifo") == -1 && errno == ENOTTY);
}

TEST_F(dir, permissions)
{
	static const char *const names[] = { "secret", "read", "write" };
	static const int modes[] = { 0600, 0604, 0602 };
	int fd[2], i;

	if (!self->root)
		SKIP(return, "not root");
	umask(0);
	OK(chmod(".", 0755));
	OK(mkfifo("fifo", 0600));
	for (i = 0; i < 3; i++) {
		OK(ring_make_mode(names[i], 5000, modes[i]));
		OK(ring_ends(names[i], fd, O_NONBLOCK));
		ASSERT_EQ(2, write(fd[1], "hi", 2));
	}
	ASSERT_EQ(0, nx_as_nobody(nobody_looks, NULL));
}

TEST_HARNESS_MAIN
