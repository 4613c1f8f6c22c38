// SPDX-License-Identifier: GPL-2.0-only
/* Mappings: private and shared, coherent with read and write, edges, faults. */
#include "nx.h"

#include <setjmp.h>

#define PAGE 4096

static sigjmp_buf on_bus;

static void bus(int signal)
{
	siglongjmp(on_bus, signal);
}

/* Does an access to @p raise SIGBUS? */
static bool faults(volatile char *p, bool write)
{
	struct sigaction act = { .sa_handler = bus }, old;
	volatile bool hit = true;

	sigaction(SIGBUS, &act, &old);
	if (!sigsetjmp(on_bus, 1)) {
		if (write)
			*p = 'x';
		else
			(void)*p;
		hit = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return hit;
}

static int new_file(const char *name, size_t size, char fill)
{
	char *data = malloc(size ? size : 1);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	memset(data, fill, size);
	if (fd >= 0 && pwrite(fd, data, size, 0) != (ssize_t)size)
		fd = -1;
	free(data);
	return fd;
}

static char *map_of(int fd, size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, flags, fd, 0);
}

TEST_F(dir, private_stays_private)
{
	char *map, c;
	int fd;

	GET(fd, new_file("f", 2 * PAGE, 'a'));
	map = map_of(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('a', map[0]);
	map[0] = 'p';
	map[PAGE] = 'p';
	EXPECT_EQ(1, pread(fd, &c, 1, 0));
	EXPECT_EQ('a', c);
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(1, pread(fd, &c, 1, PAGE));
	EXPECT_EQ('a', c);
	EXPECT_EQ('p', map[0]);
	OK(munmap(map, 2 * PAGE));
	OK(close(fd));
}

TEST_F(dir, shared_is_the_file)
{
	char *map, *second, c;
	int fd;

	GET(fd, new_file("f", 4 * PAGE, 'a'));
	map = map_of(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	second = map_of(fd, 4 * PAGE, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, second);
	map[10] = 'm';
	EXPECT_EQ(1, pread(fd, &c, 1, 10));
	EXPECT_EQ('m', c);
	EXPECT_EQ('m', second[10]);
	EXPECT_EQ(1, pwrite(fd, "w", 1, PAGE + 1));
	EXPECT_EQ('w', map[PAGE + 1]);
	EXPECT_EQ('w', second[PAGE + 1]);
	OK(msync(map, 4 * PAGE, MS_SYNC));
	map[3 * PAGE] = 'l';
	OK(munmap(map, 4 * PAGE));
	OK(munmap(second, 4 * PAGE));
	OK(close(fd));
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	EXPECT_EQ(1, pread(fd, &c, 1, 10));
	EXPECT_EQ('m', c);
	EXPECT_EQ(1, pread(fd, &c, 1, PAGE + 1));
	EXPECT_EQ('w', c);
	EXPECT_EQ(1, pread(fd, &c, 1, 3 * PAGE));
	EXPECT_EQ('l', c);
	OK(close(fd));
}

TEST_F(dir, between_processes)
{
	int fd, i;
	char *map;

	GET(fd, new_file("f", PAGE, 0));
	map = map_of(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < 4; i++) {
		if (fork())
			continue;
		int mine = open("f", O_RDWR), j;
		char *view = map_of(mine, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

		HOLDS(view != MAP_FAILED);
		for (j = 0; j < 1000; j++)
			__atomic_add_fetch((int *)view, 1, __ATOMIC_SEQ_CST);
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(4000, *(int *)map);
	OK(munmap(map, PAGE));
	OK(close(fd));
}

TEST_F(dir, behind_the_end)
{
	char *map, buf[PAGE];
	struct stat st;
	int fd, i;

	GET(fd, new_file("f", PAGE + 100, 'a'));
	map = map_of(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	for (i = PAGE + 100; i < 2 * PAGE; i++)
		ASSERT_EQ(0, map[i]);
	/* In the last page one may write; it is no part of the file. */
	map[PAGE + 200] = 'x';
	EXPECT_TRUE(faults(map + 2 * PAGE, false));
	EXPECT_TRUE(faults(map + 2 * PAGE, true));
	EXPECT_TRUE(faults(map + 3 * PAGE, true));
	OK(msync(map, 2 * PAGE, MS_SYNC));
	OK(fstat(fd, &st));
	EXPECT_EQ(PAGE + 100, st.st_size);
	OK(munmap(map, 4 * PAGE));
	nx_drop_caches();
	OK(ftruncate(fd, 2 * PAGE));
	EXPECT_EQ(PAGE, pread(fd, buf, PAGE, PAGE));
	for (i = 100; i < PAGE; i++) {
		ASSERT_EQ(0, buf[i]) {
			TH_LOG("byte %d is %d", i, buf[i]);
		}
	}
	OK(close(fd));
}

TEST_F(dir, truncated_under_a_mapping)
{
	char *map;
	int fd;

	GET(fd, new_file("f", 4 * PAGE, 'a'));
	map = map_of(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	map[3 * PAGE] = 'x';
	EXPECT_EQ('a', map[2 * PAGE]);
	OK(ftruncate(fd, PAGE + 10));
	EXPECT_FALSE(faults(map + PAGE, false));
	EXPECT_EQ(0, map[PAGE + 10]);
	EXPECT_TRUE(faults(map + 2 * PAGE, false));
	EXPECT_TRUE(faults(map + 3 * PAGE, true));
	OK(ftruncate(fd, 4 * PAGE));
	EXPECT_EQ(0, map[3 * PAGE]);
	EXPECT_EQ(0, map[2 * PAGE]);
	EXPECT_EQ('a', map[PAGE + 9]);
	OK(munmap(map, 4 * PAGE));
	OK(close(fd));
}

TEST_F(dir, grows_under_a_mapping)
{
	char *map;
	int fd;

	GET(fd, new_file("f", 100, 'a'));
	map = map_of(fd, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(faults(map + PAGE, false));
	EXPECT_EQ(1, pwrite(fd, "z", 1, 2 * PAGE + 5));
	EXPECT_EQ('z', map[2 * PAGE + 5]);
	EXPECT_EQ(0, map[PAGE]);
	map[PAGE + 1] = 'h';
	OK(fsync(fd));
	OK(munmap(map, 3 * PAGE));
	nx_drop_caches();
	map = map_of(fd, 3 * PAGE, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('h', map[PAGE + 1]);
	EXPECT_EQ('a', map[99]);
	EXPECT_EQ(0, map[100]);
	OK(munmap(map, 3 * PAGE));
	OK(close(fd));
}

/* A hole that is written only through a mapping. */
TEST_F(dir, sparse_writes)
{
	enum { SIZE = 64 << 20 };
	char *map, c;
	int fd, i;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(ftruncate(fd, SIZE));
	map = map_of(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < SIZE; i += SIZE / 64)
		map[i + i / 20000] = i >> 20;
	OK(msync(map, SIZE, MS_SYNC));
	OK(munmap(map, SIZE));
	nx_drop_caches();
	for (i = 0; i < SIZE; i += SIZE / 64) {
		EXPECT_EQ(1, pread(fd, &c, 1, i + i / 20000));
		EXPECT_EQ(i >> 20, c);
		EXPECT_EQ(1, pread(fd, &c, 1, i + SIZE / 128));
		EXPECT_EQ(0, c);
	}
	OK(close(fd));
}

TEST_F(dir, protections)
{
	char *map;
	int fd;

	GET(fd, new_file("f", PAGE, 'a'));
	OK(close(fd));
	GET(fd, open("f", O_RDONLY));
	EXPECT_EQ(MAP_FAILED, map_of(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(EACCES, errno);
	map = map_of(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'p';
	OK(munmap(map, PAGE));
	OK(close(fd));
	GET(fd, open("f", O_WRONLY));
	EXPECT_EQ(MAP_FAILED, map_of(fd, PAGE, PROT_READ, MAP_SHARED));
	EXPECT_EQ(EACCES, errno);
	OK(close(fd));
	GET(fd, open(".", O_RDONLY));
	EXPECT_EQ(MAP_FAILED, map_of(fd, PAGE, PROT_READ, MAP_SHARED));
	EXPECT_EQ(ENODEV, errno);
	OK(close(fd));
}

/* read() and write() whose memory is a mapping of the very same bytes. */
TEST_F(dir, io_into_its_own_mapping)
{
	char *map, buf[2 * PAGE];
	int fd;

	GET(fd, new_file("f", 2 * PAGE, 'a'));
	OK(fsync(fd));
	nx_drop_caches();
	map = map_of(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	/* Not in memory: the copy faults in the page it is about to fill. */
	EXPECT_EQ(2 * PAGE, pwrite(fd, map, 2 * PAGE, 0));
	nx_drop_caches();
	EXPECT_EQ(2 * PAGE, pread(fd, map, 2 * PAGE, 0));
	EXPECT_EQ(PAGE, pwrite(fd, map + 100, PAGE, 50));
	EXPECT_EQ(2 * PAGE, pread(fd, buf, 2 * PAGE, 0));
	EXPECT_EQ('a', buf[0]);
	EXPECT_EQ('a', buf[2 * PAGE - 1]);
	OK(munmap(map, 2 * PAGE));
	OK(close(fd));
}

/*
 * A file of another filesystem written from a mapping of one here, and the
 * other way round: on a kernel with lockdep this must stay silent.
 * Scenario M5.
 */
TEST_F(dir, across_filesystems)
{
	enum { SIZE = 1 << 20 };
	const char *other = getenv("NEXUS_OTHER_DIR");
	char path[200], *map, *back = malloc(SIZE);
	int fd, out;

	snprintf(path, sizeof(path), "%s/across.%d",
		 other ? other : "/var/lib/nexusfs", getpid());
	out = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (out < 0)
		SKIP(return, "%s: %s", path, strerror(errno));
	unlink(path);
	GET(fd, new_file("f", SIZE, 'n'));
	OK(fsync(fd));
	nx_drop_caches();
	map = map_of(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(SIZE, write(out, map, SIZE));
	OK(fsync(out));
	nx_drop_caches();
	EXPECT_EQ(SIZE, pread(out, map, SIZE, 0));
	OK(munmap(map, SIZE));
	map = map_of(out, SIZE, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	nx_drop_caches();
	EXPECT_EQ(SIZE, pwrite(fd, map, SIZE, 0));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(SIZE, pread(fd, back, SIZE, 0));
	EXPECT_EQ('n', back[0]);
	EXPECT_EQ(0, memcmp(back, back + 1, SIZE - 1));
	OK(munmap(map, SIZE));
	OK(close(fd));
	OK(close(out));
	free(back);
}

/*
 * A device writes into the mapping, as direct I/O of another filesystem does,
 * and writeback cleans the pages before it says that they are dirty.
 */
TEST_F(dir, direct_io_into_a_mapping)
{
	enum { SIZE = 16 * PAGE };
	const char *other = getenv("NEXUS_OTHER_DIR");
	char path[200], *map, *back = malloc(SIZE);
	int fd, in, i;
	pid_t flusher;

	snprintf(path, sizeof(path), "%s/direct.%d",
		 other ? other : "/var/lib/nexusfs", getpid());
	in = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);
	if (in < 0)
		SKIP(return, "%s: %s", path, strerror(errno));
	unlink(path);
	GET(fd, new_file("f", SIZE, 'n'));
	map = map_of(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	flusher = fork();
	while (!flusher)
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
	for (i = 0; i < 50; i++) {
		memset(map, 'a' + i % 26, SIZE);
		ASSERT_EQ(SIZE, pwrite(in, map, SIZE, 0));
		memset(map, 0, SIZE);
		ASSERT_EQ(SIZE, pread(in, map, SIZE, 0));
		ASSERT_EQ('a' + i % 26, map[SIZE - 1]);
	}
	kill(flusher, SIGKILL);
	waitpid(flusher, NULL, 0);
	OK(munmap(map, SIZE));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(SIZE, pread(fd, back, SIZE, 0));
	EXPECT_EQ('a' + 49 % 26, back[0]);
	EXPECT_EQ(0, memcmp(back, back + 1, SIZE - 1));
	OK(close(fd));
	OK(close(in));
	free(back);
}

TEST_F(dir, survives_close_and_unlink)
{
	char *map;
	int fd;

	GET(fd, new_file("f", 2 * PAGE, 'a'));
	map = map_of(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	OK(close(fd));
	OK(unlink("f"));
	map[0] = 'x';
	OK(msync(map, 2 * PAGE, MS_SYNC));
	nx_drop_caches();
	OK(madvise(map, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ('x', map[0]);
	EXPECT_EQ('a', map[PAGE]);
	OK(munmap(map, 2 * PAGE));
}

TEST_F(dir, program_runs_from_here)
{
	int fd;

	/* Busy while it runs, as any program text. */
	OK(nx_sh("cp /bin/sleep ./sleeper && chmod 755 sleeper"));
	nx_drop_caches();
	OK(nx_sh("./sleeper 0"));
	pid_t pid = fork();

	if (!pid) {
		/* While the other one has it open it is just as busy. */
		do {
			execl("./sleeper", "sleeper", "100", NULL);
		} while (errno == ETXTBSY);
		_exit(1);
	}
	do {
		fd = open("sleeper", O_WRONLY);
		if (fd >= 0)
			close(fd);
	} while (fd >= 0);
	EXPECT_EQ(ETXTBSY, errno);
	OK(kill(pid, SIGKILL));
	nx_reap();
	GET(fd, open("sleeper", O_WRONLY));
	OK(close(fd));
}

/* Writers through mappings, readers through read(), truncation: no tearing. */
TEST_F(dir, mappings_against_truncate)
{
	int fd, i;

	GET(fd, new_file("f", 16 * PAGE, 'a'));
	for (i = 0; i < 2; i++) {
		if (fork())
			continue;
		char *map = map_of(fd, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
		int j;

		HOLDS(map != MAP_FAILED);
		for (j = 0; j < 3000; j++)
			faults(map + (j * 7 % 16) * PAGE + i, true);
		_exit(0);
	}
	for (i = 0; i < 300; i++) {
		OK(ftruncate(fd, nx_below(16 * PAGE)));
		if (i % 10 == 0)
			OK(fsync(fd));
		OK(ftruncate(fd, 16 * PAGE));
	}
	EXPECT_EQ(0, nx_reap());
	OK(close(fd));
}

TEST_F(dir, populate_and_advise)
{
	enum { SIZE = 1 << 20 };
	char *map;
	int fd, i;

	GET(fd, new_file("f", SIZE, 'a'));
	OK(fsync(fd));
	nx_drop_caches();
	map = map_of(fd, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < SIZE; i += PAGE)
		ASSERT_EQ('a', map[i]);
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	OK(madvise(map, SIZE, MADV_DONTNEED));
	OK(madvise(map, SIZE, MADV_WILLNEED));
	for (i = 0; i < SIZE; i += PAGE)
		ASSERT_EQ('a', map[i]);
	OK(munmap(map, SIZE));
	OK(close(fd));
}

TEST_HARNESS_MAIN
