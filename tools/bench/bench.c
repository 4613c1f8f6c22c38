// SPDX-License-Identifier: Apache-2.0
/*
 * bench DIR N: nanoseconds an operation takes in DIR, a line each: NAME NS.
 *
 *	create	make a file and write 4 KiB	stat	of a file just seen
 *	lookup	stat of a file nobody remembers	fsync	write 4 KiB and fsync
 *	unlink	remove a file			lookup4	lookup by four processes
 *	lookup1	of files that are alone in their directories
 *	create1k, read1k, fsync1k	make and write a file of 1 KiB; open and read one
 *		nobody remembers; make, write and fsync one.  2k: the same of 2 KiB
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char block[4096];

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static const char *name_of(int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "file-%d", i);
	return name;
}

static void create(int i)
{
	int fd = open(name_of(i), O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block) || close(fd))
		die("create");
}

static void look(int i)
{
	struct stat st;

	if (stat(name_of(i), &st))
		die("stat");
}

static int *apart;	/* directories, open so that they stay cached */

static void make_apart(int i)
{
	char dir[32];
	int fd;

	snprintf(dir, sizeof(dir), "dir-%d", i);
	if (mkdir(dir, 0755))
		die("mkdir");
	apart[i] = open(dir, O_RDONLY | O_DIRECTORY);
	fd = apart[i] < 0 ? -1 : openat(apart[i], "file", O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block) || close(fd))
		die("create");
}

static void look_apart(int i)
{
	struct stat st;

	if (fstatat(apart[i], "file", &st, 0))
		die("stat");
}

static void take_apart(int i)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "dir-%d", i);
	if (unlinkat(apart[i], "file", 0) || close(apart[i]) || rmdir(dir))
		die("unlink");
}

static size_t small;	/* bytes of a small file */

static void put_small(int i, int sync)
{
	int fd = open(name_of(i), O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, block, small) != (ssize_t)small || (sync && fsync(fd)) ||
	    close(fd))
		die("create");
}

static void create_small(int i)
{
	put_small(i, 0);
}

static void sync_small(int i)
{
	put_small(i, 1);
}

static void read_small(int i)
{
	static char buf[sizeof(block)];
	int fd = open(name_of(i), O_RDONLY);

	if (fd < 0 || read(fd, buf, sizeof(buf)) != (ssize_t)small || close(fd))
		die("read");
}

static void take(int i)
{
	if (unlink(name_of(i)))
		die("unlink");
}

/* Dentries, inodes and pages go, so the next lookup has to ask the filesystem. */
static void forget(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1 || close(fd))
		die("drop_caches");
}

static void measure(const char *name, void (*op)(int i), int n)
{
	double from = now();
	int i;

	for (i = 0; i < n; i++)
		op(i);
	printf("%s %.0f\n", name, (now() - from) / n);
	fflush(stdout);
}

static void four(int n)
{
	double from = now();
	int proc, i, status;

	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		for (i = proc; i < n; i += 4)
			look(i);
		_exit(0);
	}
	while (wait(&status) > 0)
		if (status)
			die("a child");
	printf("lookup4 %.0f\n", (now() - from) / n);
	fflush(stdout);
}

/* Those that an index can keep, and those that it cannot. */
static void measure_small(int n)
{
	char name[32];
	int i;

	for (small = 1024; small <= 2048; small *= 2) {
		snprintf(name, sizeof(name), "create%zuk", small / 1024);
		measure(name, create_small, n);
		forget();
		snprintf(name, sizeof(name), "read%zuk", small / 1024);
		measure(name, read_small, n);
		for (i = 0; i < n; i++)
			take(i);
		snprintf(name, sizeof(name), "fsync%zuk", small / 1024);
		measure(name, sync_small, n / 10);
		for (i = 0; i < n / 10; i++)
			take(i);
	}
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0, fd, i, times;
	double from;

	struct rlimit files = { 1 << 20, 1 << 20 };

	if (n < 4 || chdir(argv[1]))
		die("usage: bench DIR N");
	apart = calloc((size_t)n, sizeof(*apart));
	if (!apart || setrlimit(RLIMIT_NOFILE, &files))
		die("start");
	memset(block, 'b', sizeof(block));
	measure("create", create, n);
	measure("stat", look, n);
	forget();
	measure("lookup", look, n);
	forget();
	four(n);
	fd = open(name_of(0), O_RDWR);
	if (fd < 0)
		die("open");
	times = n / 10;
	from = now();
	for (i = 0; i < times; i++)
		if (pwrite(fd, block, sizeof(block), i % 64 * 4096) < 0 || fsync(fd))
			die("fsync");
	printf("fsync %.0f\n", (now() - from) / times);
	fflush(stdout);
	close(fd);
	measure("unlink", take, n);
	for (i = 0; i < n; i++)
		make_apart(i);
	forget();
	measure("lookup1", look_apart, n);
	for (i = 0; i < n; i++)
		take_apart(i);
	measure_small(n);
	return 0;
}
