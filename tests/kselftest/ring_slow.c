// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that takes its time: a page that userfaultfd(2) holds back delays whoever sends
 * from it or receives into it, and nobody else.
 */
#include "nx_ring.h"

#include <linux/userfaultfd.h>
#include <pthread.h>

#define CAPACITY	100
#define PAGE		4096

static int faults = -1;		/* userfaultfd of this process */
static int go;			/* something comes by here: the page may be there */

static void *page_slow(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (p == MAP_FAILED || faults < 0 || ioctl(faults, UFFDIO_API, &api))
		return NULL;
	reg.range.start = (uintptr_t)p;
	reg.range.len = PAGE;
	return ioctl(faults, UFFDIO_REGISTER, &reg) ? NULL : p;
}

/* Fills the page with 's' once that is said. */
static void *fill(void *page)
{
	static char text[PAGE];
	struct uffdio_copy copy = { .dst = (uintptr_t)page, .src = (uintptr_t)text, .len = PAGE };
	struct uffd_msg msg;
	char c;

	memset(text, 's', sizeof(text));
	HOLDS(read(faults, &msg, sizeof(msg)) == sizeof(msg));
	HOLDS(msg.event == UFFD_EVENT_PAGEFAULT);
	HOLDS(read(go, &c, 1) == 1);
	HOLDS(!ioctl(faults, UFFDIO_COPY, &copy));
	return NULL;
}

enum how { SEND, RECV, SEND_BATCH, RECV_BATCH, HOWS };

/* Sends 60 bytes from such a page, or receives as many into it. */
static void slow(enum how how, int again)
{
	uint32_t len = 60;
	struct nexus_ring_batch b = { .lens = (uintptr_t)&len, .count = 1, .bytes = 60 };
	char *page = page_slow();
	pthread_t thread;
	int fd;

	HOLDS(page);
	go = again;
	HOLDS(!pthread_create(&thread, NULL, fill, page));
	HOLDS((fd = open("ring", how == SEND || how == SEND_BATCH ? O_WRONLY : O_RDONLY)) >= 0);
	b.buf = (uintptr_t)page;
	switch (how) {
	case SEND:
		HOLDS(write(fd, page, 60) == 60);
		break;
	case RECV:
		HOLDS(read(fd, page, 60) == 60);
		break;
	case SEND_BATCH:
		HOLDS(!ioctl(fd, NEXUS_IOC_RING_SEND, &b) && b.done == 1);
		break;
	default:
		HOLDS(!ioctl(fd, NEXUS_IOC_RING_RECV, &b) && b.done == 1 && len == 60);
	}
	if (how == RECV || how == RECV_BATCH)
		HOLDS(page[0] == '2' && page[59] == '2');
	_exit(0);
}

static bool can(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The thread of @pid that made the system call sleeps in a fault. */
static bool waits_for_memory(pid_t pid)
{
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	for (i = 0; i < 2000 && !strstr(nx_get(path), "handle_userfault"); i++)
		usleep(10000);
	return i < 2000;
}

/* The others meanwhile, and then: goes on, or is killed. */
static void who_sends(struct __test_metadata *_metadata, enum how how, bool killed)
{
	char buf[CAPACITY];
	int fd[2], p[2], i;
	pid_t pid;

	OK(ring_make("ring", CAPACITY));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	OK(pipe(p));
	GET(pid, fork());
	if (!pid)
		slow(how, p[0]);
	ASSERT_TRUE(waits_for_memory(pid));
	/* It has its bytes of the capacity; with the rest all goes on. */
	for (i = 0; i < 1000; i++) {
		memset(buf, i, 40);
		ASSERT_EQ(40, write(fd[1], buf, 40));
		FAILS(EAGAIN, write(fd[1], buf, 1));
		memset(buf, 0, 40);
		ASSERT_EQ(40, read(fd[0], buf, CAPACITY));
		ASSERT_EQ((char)i, buf[39]);
		FAILS(EAGAIN, read(fd[0], buf, CAPACITY));
	}
	ASSERT_EQ(40, write(fd[1], buf, 40));
	if (killed) {
		OK(kill(pid, SIGKILL));
		ASSERT_EQ(1, nx_reap());
	} else {
		ASSERT_EQ(1, write(p[1], "x", 1));
		ASSERT_EQ(0, nx_reap());
	}
	ASSERT_EQ(40, read(fd[0], buf, CAPACITY));
	if (!killed) {
		/* Its place is where it was put, not where it began. */
		ASSERT_EQ(60, read(fd[0], buf, CAPACITY));
		ASSERT_EQ('s', buf[0]);
		ASSERT_EQ('s', buf[59]);
	}
	FAILS(EAGAIN, read(fd[0], buf, CAPACITY));
	ASSERT_EQ(CAPACITY, write(fd[1], buf, CAPACITY));
	for (i = 0; i < 2; i++) {
		close(fd[i]);
		close(p[i]);
	}
	OK(unlink("ring"));
}

static void who_receives(struct __test_metadata *_metadata, enum how how, bool killed)
{
	char buf[CAPACITY];
	int fd[2], p[2], i;
	pid_t pid;

	OK(ring_make("ring", CAPACITY));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	OK(pipe(p));
	memset(buf, '1', 30);
	ASSERT_EQ(30, write(fd[1], buf, 30));
	GET(pid, fork());
	if (!pid)
		slow(how, p[0]);
	ASSERT_TRUE(waits_for_memory(pid));
	/* One message is promised to it; which one is said when it is there. */
	FAILS(EAGAIN, read(fd[0], buf, CAPACITY));
	memset(buf, '2', 60);
	ASSERT_EQ(60, write(fd[1], buf, 60));
	ASSERT_EQ(30, read(fd[0], buf, CAPACITY));
	ASSERT_EQ('1', buf[29]);
	FAILS(EAGAIN, read(fd[0], buf, CAPACITY));
	ASSERT_EQ(40, write(fd[1], buf, 40));
	FAILS(EAGAIN, write(fd[1], buf, 1));
	if (killed) {
		OK(kill(pid, SIGKILL));
		ASSERT_EQ(1, nx_reap());
		ASSERT_EQ(60, read(fd[0], buf, CAPACITY));
		ASSERT_EQ('2', buf[59]);
	} else {
		ASSERT_EQ(1, write(p[1], "x", 1));
		ASSERT_EQ(0, nx_reap());
	}
	ASSERT_EQ(40, read(fd[0], buf, CAPACITY));
	FAILS(EAGAIN, read(fd[0], buf, CAPACITY));
	ASSERT_EQ(CAPACITY, write(fd[1], buf, CAPACITY));
	for (i = 0; i < 2; i++) {
		close(fd[i]);
		close(p[i]);
	}
	OK(unlink("ring"));
}

TEST_F(dir, memory_of_who_sends)
{
	if (!can())
		SKIP(return, "no userfaultfd");
	who_sends(_metadata, SEND, false);
	who_sends(_metadata, SEND_BATCH, false);
	who_sends(_metadata, SEND, true);
	who_sends(_metadata, SEND_BATCH, true);
}

TEST_F(dir, memory_of_who_receives)
{
	if (!can())
		SKIP(return, "no userfaultfd");
	who_receives(_metadata, RECV, false);
	who_receives(_metadata, RECV_BATCH, false);
	who_receives(_metadata, RECV, true);
	who_receives(_metadata, RECV_BATCH, true);
}

TEST_HARNESS_MAIN
