// SPDX-License-Identifier: GPL-2.0-only
/* libnexus' functions for rings, and batches; what a ring does otherwise than a FIFO. */
#include "nx_ring.h"

#include <signal.h>
#include <sys/uio.h>

#define NEXUS_EXPORT
#include "../../userspace/libnexus/ring.c"

#define IS(code, expr) ASSERT_EQ(-(code), expr)

TEST_F(dir, made_by_path)
{
	struct nexus_ring_stat st;
	char path[300];
	int dir;

	umask(022);
	OK(mkdir("sub", 0700));
	GET(dir, open("sub", O_RDONLY));
	ASSERT_EQ(0, nexus_ring_create(AT_FDCWD, "ring", 1000, 0666));
	ASSERT_EQ(0, nexus_ring_create(AT_FDCWD, "sub/one", 1001, 0600));
	ASSERT_EQ(0, nexus_ring_create(dir, "two", 1002, 0600));
	ASSERT_EQ(0, nexus_ring_create(dir, "..//three", 1003, 0600));
	ASSERT_EQ(0, nexus_ring_stat_at(AT_FDCWD, "ring", &st));
	ASSERT_EQ(1000, st.capacity);
	ASSERT_EQ(0, nexus_ring_stat_at(dir, "one", &st));
	ASSERT_EQ(1001, st.capacity);
	ASSERT_EQ(0, nexus_ring_stat_at(AT_FDCWD, "sub/two", &st));
	ASSERT_EQ(1002, st.capacity);
	ASSERT_EQ(0, nexus_ring_stat_at(AT_FDCWD, "./three", &st));
	ASSERT_EQ(1003, st.capacity);
	IS(EEXIST, nexus_ring_create(AT_FDCWD, "ring", 1000, 0600));
	IS(EINVAL, nexus_ring_create(AT_FDCWD, "new", 0, 0600));
	IS(EINVAL, nexus_ring_create(AT_FDCWD, "new/", 1000, 0600));
	IS(EINVAL, nexus_ring_create(AT_FDCWD, "sub/..", 1000, 0600));
	IS(ENOENT, nexus_ring_create(AT_FDCWD, "", 1000, 0600));
	IS(ENOENT, nexus_ring_create(AT_FDCWD, "none/new", 1000, 0600));
	IS(ENOTDIR, nexus_ring_create(AT_FDCWD, "ring/new", 1000, 0600));
	IS(EBADF, nexus_ring_create(-1, "new", 1000, 0600));
	IS(ENOTTY, nexus_ring_create(AT_FDCWD, "/proc/new", 1000, 0600));
	memset(path, 'n', sizeof(path));
	path[256] = 0;
	IS(ENAMETOOLONG, nexus_ring_create(AT_FDCWD, path, 1000, 0600));
	path[255] = 0;
	ASSERT_EQ(0, nexus_ring_create(AT_FDCWD, path, 1000, 0600));
	IS(ENOTTY, nexus_ring_stat_at(AT_FDCWD, "sub", &st));
	IS(ENOTTY, nexus_ring_stat(dir, &st));
	IS(EBADF, nexus_ring_stat(-1, &st));
}

TEST_F(dir, looked_at_and_closed)
{
	struct nexus_ring_stat st;
	char buf[16];
	int fd[2];

	ASSERT_EQ(0, nexus_ring_create(AT_FDCWD, "ring", 1000, 0600));
	IS(EAGAIN, nexus_ring_peek_at(AT_FDCWD, "ring", buf, sizeof(buf)));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	IS(EAGAIN, nexus_ring_peek(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(8, write(fd[1], "12345678", 8));
	ASSERT_EQ(8, nexus_ring_peek(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "12345678", 8));
	ASSERT_EQ(8, nexus_ring_peek_at(AT_FDCWD, "ring", memset(buf, 0, 16), 3));
	ASSERT_EQ(0, strcmp(buf, "123"));
	ASSERT_EQ(8, nexus_ring_peek(fd[0], NULL, 0));
	IS(EBADF, nexus_ring_peek(fd[1], buf, sizeof(buf)));
	ASSERT_EQ(0, nexus_ring_stat(fd[1], &st));
	ASSERT_EQ(1, st.messages);
	ASSERT_EQ(0, nexus_ring_resize(fd[1], 8));
	IS(EBUSY, nexus_ring_resize(fd[1], 7));
	IS(EBADF, nexus_ring_resize(fd[0], 8));
	ASSERT_EQ(0, nexus_ring_set_truncate(fd[0], true));
	ASSERT_EQ(2, read(fd[0], buf, 2));
	ASSERT_EQ(8, write(fd[1], "12345678", 8));
	ASSERT_EQ(0, nexus_ring_set_truncate(fd[0], false));
	FAILS(EMSGSIZE, read(fd[0], buf, 2));
	IS(EBADF, nexus_ring_close(fd[0]));
	ASSERT_EQ(0, nexus_ring_close(fd[1]));
	ASSERT_EQ(0, nexus_ring_close_at(AT_FDCWD, "ring"));
	ASSERT_EQ(8, read(fd[0], buf, 8));
	ASSERT_EQ(0, read(fd[0], buf, 8));
	close(fd[0]);
	close(fd[1]);
	IS(ENXIO, nexus_ring_close_at(AT_FDCWD, "ring"));
}

TEST_F(dir, batches)
{
	static char buf[65536], got[65536];
	static uint32_t lens[2000], out[2000];
	unsigned int i, from = 0;
	int fd[2], n;

	ASSERT_EQ(0, nexus_ring_create(AT_FDCWD, "ring", 10000, 0600));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 0; i < 2000; i++)
		lens[i] = 1 + i % 9;
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7);
	IS(EAGAIN, nexus_ring_recv_batch(fd[0], got, sizeof(got), out, 10, 0));
	/* As many as one call moves. */
	ASSERT_EQ(NEXUS_RING_BATCH_MAX, nexus_ring_send_batch(fd[1], buf, lens, 2000, 0));
	for (i = 0; i < NEXUS_RING_BATCH_MAX; i++)
		from += lens[i];
	/* And then as many as fit: 10000 - 5113 bytes, at 45 for nine of them. */
	n = nexus_ring_send_batch(fd[1], buf + from, lens + i, 2000 - i, 0);
	ASSERT_EQ(2000 - NEXUS_RING_BATCH_MAX, n);
	ASSERT_EQ(NEXUS_RING_BATCH_MAX, nexus_ring_recv_batch(fd[0], got, sizeof(got), out, 2000, 0));
	ASSERT_EQ(0, memcmp(out, lens, NEXUS_RING_BATCH_MAX * sizeof(*out)));
	ASSERT_EQ(0, memcmp(got, buf, from));
	/* As many as there is room for, and as many as there are. */
	ASSERT_EQ(2, nexus_ring_recv_batch(fd[0], got, lens[i] + lens[i + 1], out, 1000, 0));
	ASSERT_EQ(0, memcmp(got, buf + from, lens[i] + lens[i + 1]));
	ASSERT_EQ(974, nexus_ring_recv_batch(fd[0], got, sizeof(got), out, 1000, 0));

	/* The first decides; what does not fit is left. */
	lens[0] = 9000;
	lens[1] = 1001;
	lens[2] = 5;
	ASSERT_EQ(1, nexus_ring_send_batch(fd[1], buf, lens, 3, 0));
	IS(EAGAIN, nexus_ring_send_batch(fd[1], buf, lens + 1, 2, 0));
	ASSERT_EQ(1, nexus_ring_send_batch(fd[1], buf, lens + 2, 1, 0));
	IS(EMSGSIZE, nexus_ring_recv_batch(fd[0], got, 8999, out, 2, 0));
	ASSERT_EQ(1, nexus_ring_recv_batch(fd[0], got, 9004, out, 2, 0));
	ASSERT_EQ(9000, out[0]);
	ASSERT_EQ(5, read(fd[0], got, sizeof(got)));
	lens[0] = 10001;
	IS(EMSGSIZE, nexus_ring_send_batch(fd[1], buf, lens, 2, 0));
	lens[0] = 1;
	lens[1] = 10001;
	ASSERT_EQ(1, nexus_ring_send_batch(fd[1], buf, lens, 2, 0));
	lens[0] = 0;
	IS(EINVAL, nexus_ring_send_batch(fd[1], buf, lens, 2, 0));
	lens[0] = 5;
	lens[1] = 0;
	ASSERT_EQ(1, nexus_ring_send_batch(fd[1], buf, lens, 2, 0));
	ASSERT_EQ(2, nexus_ring_recv_batch(fd[0], got, 6, out, 3, 0));
	IS(EINVAL, nexus_ring_send_batch(fd[1], buf, lens, 0, 0));
	IS(EINVAL, nexus_ring_send_batch(fd[1], buf, lens, 1, 2));
	IS(EFAULT, nexus_ring_send_batch(fd[1], (void *)8, lens, 1, 0));
	IS(EFAULT, nexus_ring_send_batch(fd[1], buf, (void *)8, 1, 0));
	IS(EBADF, nexus_ring_send_batch(fd[0], buf, lens, 1, 0));
	IS(EBADF, nexus_ring_recv_batch(fd[1], got, 6, out, 1, 0));
	IS(EAGAIN, nexus_ring_recv_batch(fd[0], got, 6, out, 1, 0));
	ASSERT_EQ(1, nexus_ring_send_batch(fd[1], buf, lens, 1, 0));
	IS(EFAULT, nexus_ring_recv_batch(fd[0], (void *)8, 6, out, 1, 0));
	IS(EFAULT, nexus_ring_recv_batch(fd[0], got, 6, (void *)8, 1, 0));
	ASSERT_EQ(1, nexus_ring_recv_batch(fd[0], got, 6, out, 1, 0));
	/* Without O_NONBLOCK, for this call alone. */
	OK(fcntl(fd[0], F_SETFL, 0));
	IS(EAGAIN, nexus_ring_recv_batch(fd[0], got, 6, out, 1, NEXUS_RING_DONTWAIT));
	/* The end. */
	close(fd[1]);
	ASSERT_EQ(0, nexus_ring_recv_batch(fd[0], got, 6, out, 1, 0));
	GET(fd[1], open("ring", O_WRONLY | O_NONBLOCK));
	close(fd[0]);
	signal(SIGPIPE, SIG_IGN);
	IS(EPIPE, nexus_ring_send_batch(fd[1], buf, lens, 1, 0));
}

TEST_F(dir, unlike_a_fifo)
{
	struct iovec iov = { "x", 1 };
	int fd[2], fifo[2], p[2];
	struct stat before, after;
	char buf[8];

	OK(ring_make("ring", 1000));
	OK(mkfifo("fifo", 0600));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	OK(ring_ends("fifo", fifo, O_NONBLOCK));
	OK(pipe(p));
	ASSERT_LT(0, fcntl(fifo[1], F_SETPIPE_SZ, 8192));
	FAILS(EBADF, fcntl(fd[1], F_SETPIPE_SZ, 8192));
	FAILS(EBADF, fcntl(fd[1], F_GETPIPE_SZ));
	ASSERT_EQ(1, vmsplice(fifo[1], &iov, 1, 0));
	FAILS(EBADF, vmsplice(fd[1], &iov, 1, 0));
	ASSERT_EQ(1, tee(fifo[0], p[1], 10, SPLICE_F_NONBLOCK));
	ASSERT_EQ(1, write(fd[1], "x", 1));
	FAILS(EINVAL, tee(fd[0], p[1], 10, SPLICE_F_NONBLOCK));
	ASSERT_EQ(1, read(fd[0], buf, sizeof(buf)));

	/* A FIFO's times change by reads and writes. */
	OK(stat("ring", &before));
	usleep(50000);
	ASSERT_EQ(1, write(fd[1], "x", 1));
	ASSERT_EQ(1, read(fd[0], buf, sizeof(buf)));
	OK(stat("ring", &after));
	ASSERT_EQ(0, memcmp(&before.st_atim, &after.st_atim, sizeof(after.st_atim)));
	ASSERT_EQ(0, memcmp(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim)));
	ASSERT_EQ(0, memcmp(&before.st_ctim, &after.st_ctim, sizeof(after.st_ctim)));
	ASSERT_EQ(0, after.st_size);
	ASSERT_EQ(0, after.st_blocks);
}

TEST_F(dir, messages_outlive_whoever_sent_them)
{
	char buf[16];
	int fd[2];

	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(3, write(fd[1], "one", 3));
	ASSERT_EQ(3, write(fd[1], "two", 3));
	close(fd[0]);
	close(fd[1]);
	OK(rename("ring", "renamed"));
	nx_drop_caches();
	GET(fd[0], open("renamed", O_RDONLY | O_NONBLOCK));
	ASSERT_EQ(3, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "one", 3));
	close(fd[0]);
	nx_drop_caches();
	GET(fd[0], open("renamed", O_RDONLY | O_NONBLOCK));
	ASSERT_EQ(3, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "two", 3));
	ASSERT_EQ(0, read(fd[0], buf, sizeof(buf)));
}

static unsigned long parameter(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/nexusfs/parameters/%s", name);
	return strtoul(nx_get(path), NULL, 10);
}

static int set_parameter(const char *name, unsigned long value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "/sys/module/nexusfs/parameters/%s", name);
	snprintf(text, sizeof(text), "%lu", value);
	return nx_put(path, text);
}

/* 1 MiB and a page each, of 64 MiB: the 64th does not fit, of others' rings nothing is said. */
static void one_owner_takes_all(void *arg)
{
	char name[16];
	int fd[80], i;

	(void)arg;
	for (i = 0; i < 80; i++) {
		snprintf(name, sizeof(name), "mine-%d", i);
		HOLDS(!ring_make(name, 1 << 20));
		fd[i] = open(name, O_RDONLY | O_NONBLOCK);
		if (fd[i] < 0)
			break;
	}
	HOLDS(i > 20 && i < 80 && errno == EDQUOT);
	HOLDS(open("theirs", O_RDONLY | O_NONBLOCK) >= 0);
	/* What is empty and closed is given back. */
	close(fd[0]);
	HOLDS((fd[0] = open(name, O_RDONLY | O_NONBLOCK)) >= 0);
	HOLDS(open("mine-0", O_RDONLY | O_NONBLOCK) == -1 && errno == EDQUOT);
}

static void small_ones_only(void *arg)
{
	(void)arg;
	HOLDS(ring_make("over", 4097) == -1 && errno == EPERM);
	HOLDS(!ring_make("under", 4096));
}

TEST_F(dir, limits)
{
	unsigned long max = parameter("ring_max");

	if (!self->root)
		SKIP(return, "not root");
	OK(chmod(".", 0777));
	ASSERT_EQ(1 << 20, max);
	ASSERT_EQ(64 << 20, parameter("ring_user_max"));
	umask(0);
	OK(ring_make_mode("theirs", 1 << 20, 0666));
	ASSERT_EQ(0, nx_as_nobody(one_owner_takes_all, NULL));
	OK(set_parameter("ring_max", 4096));
	EXPECT_EQ(0, nx_as_nobody(small_ones_only, NULL));
	OK(set_parameter("ring_max", max));
}

TEST_HARNESS_MAIN
