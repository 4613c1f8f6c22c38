// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings that are opened, waited for, polled and closed: as FIFOs are, where they are
 * alike, and first come first served where they are not.
 */
#include "nx_ring.h"

#include <sys/epoll.h>

/* ---- opening ------------------------------------------------------------------ */

/* One that waits, of its own: O_NONBLOCK is shared by those that a fork made. */
static int again(int flags)
{
	int fd = open("ring", flags);

	HOLDS(fd >= 0);
	return fd;
}

/* The same of a FIFO, so that it is FIFOs' own behaviour that is asked for. */
static void opens_like_a_fifo(struct __test_metadata *_metadata, const char *name)
{
	int fd, other, status;
	char buf[8];
	pid_t pid;

	FAILS(ENXIO, open(name, O_WRONLY | O_NONBLOCK));
	GET(fd, open(name, O_RDONLY | O_NONBLOCK));
	ASSERT_EQ(0, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(0, ring_poll(fd, POLLIN));
	GET(other, open(name, O_WRONLY | O_NONBLOCK));
	FAILS(EAGAIN, read(fd, buf, sizeof(buf)));
	OK(close(other));
	ASSERT_EQ(0, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(POLLHUP, ring_poll(fd, POLLIN));
	OK(close(fd));
	GET(fd, open(name, O_RDWR));
	ASSERT_EQ(POLLOUT, ring_poll(fd, POLLIN | POLLOUT));
	ASSERT_EQ(1, write(fd, "x", 1));
	ASSERT_EQ(POLLIN | POLLOUT, ring_poll(fd, POLLIN | POLLOUT));
	ASSERT_EQ(1, read(fd, buf, sizeof(buf)));
	OK(close(fd));

	/* Both ways round: whoever comes first waits. */
	GET(pid, fork());
	if (!pid) {
		HOLDS((fd = open(name, O_WRONLY)) >= 0);
		HOLDS(write(fd, "from", 4) == 4);
		_exit(0);
	}
	nx_until_asleep(pid);
	GET(fd, open(name, O_RDONLY));
	ASSERT_EQ(4, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(0, read(fd, buf, sizeof(buf)));
	OK(close(fd));
	ASSERT_EQ(0, nx_reap());
	GET(pid, fork());
	if (!pid) {
		HOLDS((fd = open(name, O_RDONLY)) >= 0);
		HOLDS(read(fd, buf, sizeof(buf)) == 2);
		HOLDS(read(fd, buf, sizeof(buf)) == 0);
		_exit(0);
	}
	nx_until_asleep(pid);
	GET(fd, open(name, O_WRONLY));
	ASSERT_EQ(2, write(fd, "to", 2));
	OK(close(fd));
	ASSERT_EQ(0, nx_reap());

	/* One that is killed while it waits to open was never there. */
	GET(pid, fork());
	if (!pid) {
		open(name, O_RDONLY);
		_exit(0);
	}
	nx_until_asleep(pid);
	OK(kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	FAILS(ENXIO, open(name, O_WRONLY | O_NONBLOCK));
}

TEST_F(dir, open_like_a_fifo)
{
	OK(ring_make("ring", 65536));
	opens_like_a_fifo(_metadata, "ring");
	OK(mkfifo("fifo", 0600));
	opens_like_a_fifo(_metadata, "fifo");
}

/* ---- the end -------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

TEST_F(dir, no_reader_is_left)
{
	char buf[100] = "";
	int fd[2];
	pid_t pid;

	signal(SIGPIPE, on_signal);
	OK(ring_make("ring", 100));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(100, write(fd[1], buf, 100));
	signals = 0;
	/* One who waits is told. */
	GET(pid, fork());
	if (!pid) {
		close(fd[0]);
		fd[1] = again(O_WRONLY);
		HOLDS(write(fd[1], buf, 1) == -1 && errno == EPIPE && signals == 1);
		_exit(0);
	}
	nx_until_asleep(pid);
	OK(close(fd[0]));
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(POLLERR, ring_poll(fd[1], POLLIN) & POLLERR);
	FAILS(EPIPE, write(fd[1], buf, 1));
	ASSERT_EQ(1, signals);
	/* A new reader finds what was sent, and senders go on. */
	GET(fd[0], open("ring", O_RDONLY | O_NONBLOCK));
	FAILS(EAGAIN, write(fd[1], buf, 1));
	ASSERT_EQ(100, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(1, write(fd[1], buf, 1));
	ASSERT_EQ(1, signals);
}

TEST_F(dir, what_was_sent_is_read_before_the_end)
{
	char buf[16];
	int fd[2], i;

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(3, write(fd[1], "abc", 3));
	OK(close(fd[1]));
	ASSERT_EQ(POLLIN | POLLHUP, ring_poll(fd[0], POLLIN));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(3, read(fd[0], buf, sizeof(buf)));
	/* Nobody has it open, and its inode is not even cached. */
	OK(close(fd[0]));
	nx_drop_caches();
	GET(fd[0], open("ring", O_RDONLY | O_NONBLOCK));
	ASSERT_EQ(50, ring_stat(fd[0]).messages);
	for (i = 0; i < 50; i++)
		ASSERT_EQ(3, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, read(fd[0], buf, sizeof(buf)));
}

TEST_F(dir, closed_for_good)
{
	char buf[16];
	int fd[2], more, i;
	pid_t pid[2];

	signal(SIGPIPE, SIG_IGN);
	OK(ring_make("ring", 10));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	FAILS(EBADF, ioctl(fd[0], NEXUS_IOC_RING_CLOSE));
	ASSERT_EQ(5, write(fd[1], "12345", 5));
	ASSERT_EQ(5, write(fd[1], "67890", 5));
	GET(pid[0], fork());
	if (!pid[0]) {
		fd[1] = again(O_WRONLY);
		HOLDS(write(fd[1], "x", 1) == -1 && errno == EPIPE);
		_exit(0);
	}
	nx_until_asleep(pid[0]);
	OK(ioctl(fd[1], NEXUS_IOC_RING_CLOSE));
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(NEXUS_RING_CLOSED, ring_stat(fd[1]).flags);
	FAILS(EPIPE, write(fd[1], "x", 1));
	ASSERT_NE(0, ring_poll(fd[1], POLLOUT) & POLLERR);
	/* Also for those who come now; they do not wait for anybody. */
	GET(more, open("ring", O_WRONLY));
	FAILS(EPIPE, write(more, "x", 1));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(5, read(fd[0], buf, sizeof(buf)));
	OK(fcntl(fd[0], F_SETFL, 0));
	ASSERT_EQ(0, read(fd[0], buf, sizeof(buf)));
	ASSERT_NE(0, ring_poll(fd[0], POLLIN) & POLLHUP);
	close(fd[0]);
	close(fd[1]);
	close(more);
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(0, ring_stat(fd[1]).flags);
	ASSERT_EQ(1, write(fd[1], "x", 1));
	/* Readers who wait are told. */
	ASSERT_EQ(1, read(fd[0], buf, sizeof(buf)));
	for (i = 0; i < 2; i++) {
		GET(pid[i], fork());
		if (!pid[i]) {
			fd[0] = again(O_RDONLY);
			HOLDS(read(fd[0], buf, sizeof(buf)) == 0);
			_exit(0);
		}
		nx_until_asleep(pid[i]);
	}
	OK(ioctl(fd[1], NEXUS_IOC_RING_CLOSE));
	ASSERT_EQ(0, nx_reap());
}

/* ---- waiting ---------------------------------------------------------------------- */

/* A pipe tells in which order children came through. */
static void waiter(int out, int len, char id)
{
	static char buf[4096];
	int fd = again(O_WRONLY);

	memset(buf, id, sizeof(buf));
	HOLDS(write(fd, buf, len) == len);
	HOLDS(write(out, &id, 1) == 1);
	_exit(0);
}

TEST_F(dir, senders_wait_for_the_bytes_they_need_in_turn)
{
	static const int lens[] = { 1000, 10, 600, 1, 1 };
	char buf[4096], order[8] = "";
	int fd[2], out[2], i, status;
	pid_t pid[5];

	OK(pipe2(out, O_NONBLOCK));
	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < 10; i++)
		ASSERT_EQ(100, write(fd[1], buf, 100));
	for (i = 0; i < 5; i++) {
		GET(pid[i], fork());
		if (!pid[i])
			waiter(out[1], lens[i], "abcde"[i]);
		nx_until_asleep(pid[i]);
	}
	/* Nine of ten free, and nobody overtakes who needs all. */
	for (i = 0; i < 9; i++)
		ASSERT_EQ(100, read(fd[0], buf, sizeof(buf)));
	FAILS(EAGAIN, write(fd[1], buf, 1));
	ASSERT_EQ(0, ring_poll(fd[1], POLLOUT));
	usleep(20000);
	FAILS(EAGAIN, read(out[0], order, 1));
	/* One who is killed lets the others through: as many as there is room for. */
	OK(kill(pid[0], SIGKILL));
	ASSERT_EQ(pid[0], waitpid(pid[0], &status, 0));
	for (i = 1; i < 5; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		ASSERT_EQ(0, status);
	}
	ASSERT_EQ(4, read(out[0], order, sizeof(order)));
	ASSERT_EQ(100, read(fd[0], buf, sizeof(buf)));
	for (i = 1; i < 5; i++)
		ASSERT_LT(0, read(fd[0], buf, sizeof(buf)));
	FAILS(EAGAIN, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(1000, write(fd[1], memset(buf, 0, sizeof(buf)), 1000));
}

/* Who could wait for more to be free than it needs does not do so for ever. */
TEST_F(dir, little_room_is_enough)
{
	char buf[16];
	pid_t pid[2];
	int fd[2], out[2], i, status;

	OK(pipe2(out, O_NONBLOCK));
	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(10, write(fd[1], buf, 10));
	for (i = 0; i < 2; i++) {
		GET(pid[i], fork());
		if (!pid[i])
			waiter(out[1], 10, "ab"[i]);
		nx_until_asleep(pid[i]);
	}
	/* One at a time, as there is room for one. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(10, read(fd[0], buf, sizeof(buf)));
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		ASSERT_EQ(0, status);
	}
	/* Nobody waits, and who polls is told. */
	ASSERT_EQ(10, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(10, write(fd[1], buf, 10));
}

/* Of those who wait to receive, the first gets the first; nobody else wakes up. */
TEST_F(dir, receivers_wait_in_turn)
{
	int fd[2], out[2], i;
	pid_t pid[6];
	char buf[16];

	OK(pipe(out));
	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < 6; i++) {
		GET(pid[i], fork());
		if (!pid[i]) {
			fd[0] = again(O_RDONLY);
			HOLDS(read(fd[0], buf, sizeof(buf)) == 1);
			HOLDS(buf[0] == 'a' + i);
			HOLDS(write(out[1], buf, 1) == 1);
			_exit(0);
		}
		nx_until_asleep(pid[i]);
	}
	for (i = 0; i < 6; i++) {
		buf[0] = (char)('a' + i);
		ASSERT_EQ(1, write(fd[1], buf, 1));
		ASSERT_EQ(1, read(out[0], buf, 1));
		ASSERT_EQ('a' + i, buf[0]);
	}
	ASSERT_EQ(0, nx_reap());
}

/* Who was killed while it waited gets nothing that is sent from then on. */
TEST_F(dir, the_killed_receive_nothing)
{
	int fd[2], i, status;
	pid_t dead, alive;
	char buf[16];

	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < 50; i++) {
		GET(dead, fork());
		if (!dead) {
			fd[0] = again(O_RDONLY);
			read(fd[0], buf, sizeof(buf));
			_exit(0);
		}
		nx_until_asleep(dead);
		GET(alive, fork());
		if (!alive) {
			fd[0] = again(O_RDONLY);
			HOLDS(read(fd[0], buf, sizeof(buf)) == 1);
			HOLDS(buf[0] == (char)i);
			_exit(0);
		}
		nx_until_asleep(alive);
		buf[0] = (char)i;
		OK(kill(dead, SIGKILL));
		ASSERT_EQ(1, write(fd[1], buf, 1));
		ASSERT_EQ(dead, waitpid(dead, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(alive, waitpid(alive, &status, 0));
		ASSERT_EQ(0, status);
	}
}

TEST_F(dir, no_herd)
{
	enum { HERD = 40 };
	int before[HERD], fd[2], i, woken = 0;
	pid_t pid[HERD];
	char buf[16];

	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < HERD; i++) {
		GET(pid[i], fork());
		if (!pid[i]) {
			close(fd[1]);
			fd[0] = again(O_RDONLY);
			while (read(fd[0], buf, sizeof(buf)) > 0)
				;
			_exit(0);
		}
		nx_until_asleep(pid[i]);
	}
	for (i = 0; i < HERD; i++)
		before[i] = switches(pid[i]);
	/* Ten messages: ten wake up, and sleep again. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(1, write(fd[1], buf, 1));
	while (ring_stat(fd[1]).messages)
		usleep(1000);
	for (i = 0; i < HERD; i++) {
		nx_until_asleep(pid[i]);
		woken += switches(pid[i]) - before[i];
	}
	ASSERT_EQ(10, woken);
	close(fd[1]);
	ASSERT_EQ(0, nx_reap());
}

/* ---- readiness -------------------------------------------------------------------- */

/* What poll says can be done is what was refused. */
TEST_F(dir, poll_knows_what_was_refused)
{
	char buf[65536];
	int fd[2];

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(POLLOUT, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(10000, write(fd[1], buf, 10000));
	ASSERT_EQ(30000, write(fd[1], buf, 30000));
	ASSERT_EQ(POLLOUT, ring_poll(fd[1], POLLOUT));
	FAILS(EAGAIN, write(fd[1], buf, 50000));
	ASSERT_EQ(0, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(10000, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(30000, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(POLLOUT, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(50000, write(fd[1], buf, 50000));
	ASSERT_EQ(POLLOUT, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(12000, write(fd[1], buf, 12000));
	/* Fewer than a page free. */
	ASSERT_EQ(0, ring_poll(fd[1], POLLOUT));
}

/* The capacity became less meanwhile: then it never fits, and write(2) has to say so. */
TEST_F(dir, poll_knows_what_never_fits)
{
	struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
	uint64_t cap = 8192;
	char buf[65536];
	int fd[2], epfd;

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(8192, write(fd[1], buf, 8192));
	FAILS(EAGAIN, write(fd[1], buf, 60000));
	GET(epfd, epoll_create1(EPOLL_CLOEXEC));
	OK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd[1], &e));
	ASSERT_EQ(0, epoll_wait(epfd, &e, 1, 0));
	OK(ioctl(fd[1], NEXUS_IOC_RING_RESIZE, &cap));
	ASSERT_EQ(1, epoll_wait(epfd, &e, 1, 0));
	ASSERT_EQ(POLLOUT, ring_poll(fd[1], POLLOUT));
	FAILS(EMSGSIZE, write(fd[1], buf, 60000));
	/* What comes instead is asked for as ever. */
	FAILS(EAGAIN, write(fd[1], buf, 8192));
	ASSERT_EQ(0, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(8192, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(POLLOUT, ring_poll(fd[1], POLLOUT));
	ASSERT_EQ(8192, write(fd[1], buf, 8192));
	close(epfd);
}

TEST_F(dir, epoll_level_and_edge)
{
	struct epoll_event e = { .events = EPOLLIN };
	char buf[16];
	int fd[2], level, edge, i;

	OK(ring_make("ring", 100));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	GET(level, epoll_create1(0));
	GET(edge, epoll_create1(0));
	OK(epoll_ctl(level, EPOLL_CTL_ADD, fd[0], &e));
	e.events |= EPOLLET;
	OK(epoll_ctl(edge, EPOLL_CTL_ADD, fd[0], &e));
	ASSERT_EQ(0, epoll_wait(level, &e, 1, 0));
	ASSERT_EQ(0, epoll_wait(edge, &e, 1, 0));
	/* Every message is an edge, not only the first. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, write(fd[1], "x", 1));
		ASSERT_EQ(1, epoll_wait(edge, &e, 1, 0));
		ASSERT_EQ(EPOLLIN, e.events);
		ASSERT_EQ(0, epoll_wait(edge, &e, 1, 0));
		ASSERT_EQ(1, epoll_wait(level, &e, 1, 0));
		ASSERT_EQ(1, epoll_wait(level, &e, 1, 0));
	}
	for (i = 0; i < 3; i++)
		ASSERT_EQ(1, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, epoll_wait(level, &e, 1, 0));
	close(fd[1]);
	ASSERT_EQ(1, epoll_wait(edge, &e, 1, 0));
	ASSERT_EQ(EPOLLHUP, e.events & EPOLLHUP);
}

TEST_F(dir, signals_instead_of_polling)
{
	char buf[16];
	int fd[2];

	signal(SIGIO, on_signal);
	OK(ring_make("ring", 4));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	OK(fcntl(fd[0], F_SETOWN, getpid()));
	OK(fcntl(fd[0], F_SETFL, O_NONBLOCK | O_ASYNC));
	signals = 0;
	ASSERT_EQ(4, write(fd[1], "1234", 4));
	ASSERT_EQ(1, signals);
	OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	ASSERT_EQ(4, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(1, write(fd[1], "1", 1));
	ASSERT_EQ(1, signals);
	OK(fcntl(fd[1], F_SETOWN, getpid()));
	OK(fcntl(fd[1], F_SETFL, O_NONBLOCK | O_ASYNC));
	ASSERT_EQ(1, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(2, signals);
}

TEST_HARNESS_MAIN
