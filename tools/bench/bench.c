// SPDX-License-Identifier: Apache-2.0
/*
 * bench DIR N: nanoseconds an operation takes in DIR, a line each: NAME NS.
 *
 *	create	make a file and write 4 KiB	stat	of a file just seen
 *	lookup	stat of a file nobody remembers	fsync	write 4 KiB and fsync
 *	unlink	remove a file			lookup4	lookup by four processes
 *	lookup1	of files that are alone in their directories
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

static void take(int i)
{
	if (unlink(name_of(i)))
		die("unlink");
}

/* Dentries and inodes go, so the next lookup has to ask the filesystem. */
static void forget(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0 || write(fd, "2", 1) != 1 || close(fd))
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
	return 0;
}
