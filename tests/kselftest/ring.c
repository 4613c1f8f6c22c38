// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings, a message at a time: made, sent, received, their limits, and what is refused.
 */
#include "nx_ring.h"

#include <sys/sendfile.h>

TEST_F(dir, is_a_fifo_with_a_mark)
{
	struct nexus_ring_stat rs;
	struct stat st;
	int fd[2];

	umask(027);
	OK(ring_make_mode("ring", 65536, 0666));
	OK(stat("ring", &st));
	ASSERT_TRUE(S_ISFIFO(st.st_mode));
	ASSERT_EQ(0640, st.st_mode & 07777);
	OK(ring_ends("ring", fd, O_NONBLOCK));
	rs = ring_stat(fd[0]);
	ASSERT_EQ(65536, rs.capacity);
	ASSERT_EQ(1, rs.readers);
	ASSERT_EQ(1, rs.writers);
	ASSERT_EQ(0, rs.messages);
	FAILS(ESPIPE, lseek(fd[0], 0, SEEK_SET));
	FAILS(ESPIPE, pread(fd[0], &st, 1, 0));
	/* A FIFO of mkfifo stays one. */
	OK(mkfifo("fifo", 0600));
	OK(ring_ends("fifo", fd, O_NONBLOCK));
	FAILS(ENOTTY, ioctl(fd[0], NEXUS_IOC_RING_STAT, &rs));
	ASSERT_EQ(3, write(fd[1], "abc", 3));
	ASSERT_EQ(3, write(fd[1], "def", 3));
	ASSERT_EQ(6, read(fd[0], &rs, sizeof(rs)));
}

TEST_F(dir, is_the_same_when_read_again)
{
	struct nexus_ring_stat rs;
	char name[32];
	int fd[2], i;

	for (i = 1; i <= 64; i++) {
		snprintf(name, sizeof(name), "ring-%d", i);
		OK(ring_make(name, i * 1000));
	}
	nx_drop_caches();
	for (i = 1; i <= 64; i++) {
		snprintf(name, sizeof(name), "ring-%d", i);
		OK(ring_ends(name, fd, O_NONBLOCK));
		rs = ring_stat(fd[1]);
		ASSERT_EQ(i * 1000, rs.capacity);
		close(fd[0]);
		close(fd[1]);
	}
}

TEST_F(dir, whole_messages_in_order)
{
	char buf[4096];
	int fd[2], i, n;

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	for (i = 1; i <= 300; i++) {
		memset(buf, i, i);
		ASSERT_EQ(i, write(fd[1], buf, i));
	}
	for (i = 1; i <= 300; i++) {
		n = read(fd[0], buf, sizeof(buf));
		ASSERT_EQ(i, n);
		ASSERT_EQ((char)i, buf[0]);
		ASSERT_EQ((char)i, buf[i - 1]);
	}
	FAILS(EAGAIN, read(fd[0], buf, sizeof(buf)));
	/* Round and round, with lengths that do not divide the circle. */
	for (i = 0; i < 5000; i++) {
		n = 1 + i * 7 % 4000;
		memset(buf, i, n);
		ASSERT_EQ(n, write(fd[1], buf, n));
		memset(buf, 0, sizeof(buf));
		ASSERT_EQ(n, read(fd[0], buf, sizeof(buf)));
		ASSERT_EQ((char)i, buf[0]);
		ASSERT_EQ((char)i, buf[n / 2]);
		ASSERT_EQ((char)i, buf[n - 1]);
	}
}

TEST_F(dir, capacity_is_payload)
{
	static const int capacities[] = { 1, 2, 127, 128, 129, 4096, 16383, 16384, 65536, 65537, 1000003 };
	static char buf[1 << 20];
	int fd[2], c, len, i, n;

	for (c = 0; c < (int)N_ELEMS(capacities); c++) {
		int cap = capacities[c];

		OK(ring_make("ring", cap));
		OK(ring_ends("ring", fd, O_NONBLOCK));
		for (len = 1; len <= cap; len = len * 5 + 1) {
			n = cap / len;
			if (n > 70000)
				continue;
			for (i = 0; i < n; i++)
				ASSERT_EQ(len, write(fd[1], buf, len));
			FAILS(EAGAIN, write(fd[1], buf, len));
			if (cap % len) {
				ASSERT_EQ(cap % len, write(fd[1], buf, cap % len));
			}
			FAILS(EAGAIN, write(fd[1], buf, 1));
			ASSERT_EQ(cap, ring_stat(fd[0]).bytes);
			for (i = 0; i < n; i++)
				ASSERT_EQ(len, read(fd[0], buf, sizeof(buf)));
			if (cap % len) {
				ASSERT_EQ(cap % len, read(fd[0], buf, sizeof(buf)));
			}
			FAILS(EAGAIN, read(fd[0], buf, sizeof(buf)));
		}
		ASSERT_EQ(cap, write(fd[1], buf, cap));
		ASSERT_EQ(cap, read(fd[0], buf, sizeof(buf)));
		FAILS(EMSGSIZE, write(fd[1], buf, cap + 1));
		close(fd[0]);
		close(fd[1]);
		OK(unlink("ring"));
	}
}

TEST_F(dir, a_short_buffer)
{
	__u32 mode = NEXUS_RING_TRUNCATE, none = 0;
	char buf[16] = "";
	int fd[2];

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(8, write(fd[1], "12345678", 8));
	ASSERT_EQ(3, write(fd[1], "abc", 3));
	FAILS(EMSGSIZE, read(fd[0], buf, 7));
	ASSERT_EQ(2, ring_stat(fd[0]).messages);
	OK(ioctl(fd[0], NEXUS_IOC_RING_MODE, &mode));
	ASSERT_EQ(5, read(fd[0], buf, 5));
	ASSERT_EQ(0, memcmp(buf, "12345", 5));
	OK(ioctl(fd[0], NEXUS_IOC_RING_MODE, &none));
	FAILS(EMSGSIZE, read(fd[0], buf, 2));
	ASSERT_EQ(3, read(fd[0], buf, 3));
	/* Of this open file alone. */
	mode = 2;
	FAILS(EINVAL, ioctl(fd[0], NEXUS_IOC_RING_MODE, &mode));
	FAILS(EBADF, ioctl(fd[1], NEXUS_IOC_RING_MODE, &none));
	FAILS(EFAULT, ioctl(fd[0], NEXUS_IOC_RING_MODE, NULL));
}

TEST_F(dir, nothing_is_no_message)
{
	char buf[8];
	int fd[2];

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(0, write(fd[1], buf, 0));
	ASSERT_EQ(0, ring_stat(fd[0]).messages);
	FAILS(EAGAIN, read(fd[0], buf, 8));
	ASSERT_EQ(2, write(fd[1], "hi", 2));
	ASSERT_EQ(0, read(fd[0], buf, 0));
	ASSERT_EQ(1, ring_stat(fd[0]).messages);
}

/* A page that is not there is fetched; one that cannot be leaves all as it was. */
TEST_F(dir, memory_that_is_missing)
{
	char *map, *ok, buf[8192];
	struct iovec iov[3];
	int fd[2], file, i;

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	OK(munmap(map + 4096, 4096));
	FAILS(EFAULT, write(fd[1], map + 4000, 200));
	FAILS(EFAULT, write(fd[1], map + 4096, 200));
	ok = map + 2 * 4096;
	iov[0] = (struct iovec){ ok, 100 };
	iov[1] = (struct iovec){ map + 4090, 100 };
	iov[2] = (struct iovec){ ok, 100 };
	FAILS(EFAULT, writev(fd[1], iov, 3));
	ASSERT_EQ(0, ring_stat(fd[0]).messages);
	ASSERT_EQ(0, ring_stat(fd[0]).bytes);
	for (i = 0; i < 200; i++)
		buf[i] = (char)i;
	ASSERT_EQ(200, write(fd[1], buf, 200));
	FAILS(EFAULT, read(fd[0], map + 4000, 200));
	FAILS(EFAULT, readv(fd[0], iov, 3));
	ASSERT_EQ(1, ring_stat(fd[0]).messages);
	memset(buf, 0, sizeof(buf));
	ASSERT_EQ(200, read(fd[0], buf, sizeof(buf)));
	for (i = 0; i < 200; i++)
		ASSERT_EQ((char)i, buf[i]);
	/* All of it can be had back. */
	ASSERT_EQ(65536, ring_stat(fd[0]).capacity);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(8192, write(fd[1], buf, 8192));
	FAILS(EAGAIN, write(fd[1], buf, 1));

	/* Pages of a file that are not in memory, on both sides. */
	GET(file, open("file", O_RDWR | O_CREAT, 0600));
	ASSERT_EQ(8192, write(file, buf, 8192));
	OK(fsync(file));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(8192, read(fd[0], buf, 8192));
	for (i = 0; i < 8; i++) {
		map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		ASSERT_NE(MAP_FAILED, map);
		OK(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
		ASSERT_EQ(8000, write(fd[1], map + 96, 8000));
		OK(munmap(map, 8192));
		map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		ASSERT_NE(MAP_FAILED, map);
		ASSERT_EQ(8000, read(fd[0], map + 96, 8096));
		OK(munmap(map, 8192));
	}
}

TEST_F(dir, vectors_and_pipes)
{
	char a[3], b[3], c[10], buf[64] = "";
	struct iovec out[] = { { "ab", 2 }, { "", 0 }, { "cdefg", 5 } };
	struct iovec in[] = { { a, 3 }, { b, 3 }, { c, 10 } };
	int fd[2], p[2], file;

	OK(ring_make("ring", 65536));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(7, writev(fd[1], out, 3));
	ASSERT_EQ(7, readv(fd[0], in, 3));
	ASSERT_EQ(0, memcmp(a, "abc", 3));
	ASSERT_EQ(0, memcmp(b, "def", 3));
	ASSERT_EQ('g', c[0]);

	OK(pipe(p));
	ASSERT_EQ(5, write(fd[1], "hello", 5));
	ASSERT_EQ(5, splice(fd[0], NULL, p[1], NULL, 4096, 0));
	ASSERT_EQ(5, read(p[0], buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "hello", 5));
	ASSERT_EQ(6, write(p[1], "world!", 6));
	ASSERT_EQ(6, splice(p[0], NULL, fd[1], NULL, 4096, 0));
	ASSERT_EQ(6, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "world!", 6));
	OK(nx_put("file", "from a file"));
	GET(file, open("file", O_RDONLY));
	ASSERT_EQ(11, sendfile(fd[1], file, NULL, 100));
	ASSERT_EQ(11, read(fd[0], buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "from a file", 11));
}

TEST_F(dir, looking)
{
	struct nexus_ring_peek peek;
	struct nexus_ring_stat st;
	char buf[64] = "", path[64];
	int fd[2], bytes;

	OK(ring_make("ring", 1000));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	peek = (struct nexus_ring_peek){ .buf = (uintptr_t)buf, .len = sizeof(buf) };
	FAILS(EAGAIN, ioctl(fd[0], NEXUS_IOC_RING_PEEK, &peek));
	ASSERT_EQ(5, write(fd[1], "first", 5));
	ASSERT_EQ(6, write(fd[1], "second", 6));
	OK(ioctl(fd[0], NEXUS_IOC_RING_PEEK, &peek));
	ASSERT_EQ(5, peek.next);
	ASSERT_EQ(0, strcmp(buf, "first"));
	peek = (struct nexus_ring_peek){ .buf = (uintptr_t)memset(buf, 0, sizeof(buf)), .len = 2 };
	OK(ioctl(fd[0], NEXUS_IOC_RING_PEEK, &peek));
	ASSERT_EQ(5, peek.next);
	ASSERT_EQ(0, strcmp(buf, "fi"));
	peek = (struct nexus_ring_peek){ .buf = 0, .len = 0 };
	OK(ioctl(fd[0], NEXUS_IOC_RING_PEEK, &peek));
	ASSERT_EQ(5, peek.next);
	peek = (struct nexus_ring_peek){ .buf = 8, .len = 5 };
	FAILS(EFAULT, ioctl(fd[0], NEXUS_IOC_RING_PEEK, &peek));
	FAILS(EBADF, ioctl(fd[1], NEXUS_IOC_RING_PEEK, &peek));
	OK(ioctl(fd[0], FIONREAD, &bytes));
	ASSERT_EQ(11, bytes);
	st = ring_stat(fd[1]);
	ASSERT_EQ(1000, st.capacity);
	ASSERT_EQ(11, st.bytes);
	ASSERT_EQ(2, st.messages);
	ASSERT_EQ(5, st.next);
	ASSERT_EQ(2, st.sent);
	ASSERT_EQ(0, st.received);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd[0]);
	ASSERT_NE(NULL, strstr(nx_get(path), "ring-messages:\t2\n")) {
		TH_LOG("%s", nx_get(path));
	}
	ASSERT_EQ(5, read(fd[0], buf, sizeof(buf)));
	st = ring_stat(fd[1]);
	ASSERT_EQ(1, st.received);
	ASSERT_EQ(5, st.received_bytes);
	ASSERT_EQ(6, st.next);
	FAILS(EFAULT, ioctl(fd[0], NEXUS_IOC_RING_STAT, NULL));
}

struct bad {
	const char *name;
	uint64_t capacity;
	unsigned int mode, flags;
	int code;
};

TEST_F(dir, what_is_no_ring)
{
	static const struct bad bads[] = {
		{ "", 65536, 0600, 0, EINVAL }, { ".", 65536, 0600, 0, EINVAL },
		{ "..", 65536, 0600, 0, EINVAL }, { "a/b", 65536, 0600, 0, EINVAL },
		{ "/", 65536, 0600, 0, EINVAL }, { "x", 65536, 010600, 0, EINVAL },
		{ "x", 65536, S_IFIFO | 0600, 0, EINVAL }, { "x", 65536, 0600, 1, EINVAL },
		{ "x", 65536, 0600, 1u << 31, EINVAL }, { "x", 0, 0600, 0, EINVAL }, { "x", (16 << 20) + 1, 0600, 0, EINVAL },
		{ "x", UINT64_MAX, 0600, 0, EINVAL }, { "x", 1ull << 63, 0600, 0, EINVAL },
		{ "file", 65536, 0600, 0, EEXIST }, { "ring", 65536, 0600, 0, EEXIST },
		{ "link", 65536, 0600, 0, EEXIST },
	};
	struct nexus_ring_create rc;
	int dir, file, i;

	OK(nx_put("file", ""));
	OK(symlink("nowhere", "link"));
	OK(ring_make("ring", 65536));
	GET(dir, open(".", O_RDONLY));
	for (i = 0; i < (int)N_ELEMS(bads); i++) {
		rc = (struct nexus_ring_create){ .capacity = bads[i].capacity,
			.mode = bads[i].mode, .flags = bads[i].flags };
		strcpy((char *)rc.name, bads[i].name);
		FAILS(bads[i].code, ioctl(dir, NEXUS_IOC_RING_CREATE, &rc));
	}
	memset(rc.name, 'n', sizeof(rc.name));
	rc.capacity = 65536;
	rc.flags = 0;
	rc.mode = 0600;
	FAILS(ENAMETOOLONG, ioctl(dir, NEXUS_IOC_RING_CREATE, &rc));
	rc.name[255] = 0;
	OK(ioctl(dir, NEXUS_IOC_RING_CREATE, &rc));
	FAILS(EFAULT, ioctl(dir, NEXUS_IOC_RING_CREATE, NULL));
	strcpy((char *)rc.name, "x");
	GET(file, open("file", O_RDWR));
	FAILS(ENOTDIR, ioctl(file, NEXUS_IOC_RING_CREATE, &rc));
	GET(file, open("/proc", O_RDONLY));
	FAILS(ENOTTY, ioctl(file, NEXUS_IOC_RING_CREATE, &rc));
	OK(mkdir("gone", 0700));
	GET(dir, open("gone", O_RDONLY));
	OK(rmdir("gone"));
	FAILS(ENOENT, ioctl(dir, NEXUS_IOC_RING_CREATE, &rc));
	/* Not in what the module makes up. */
	if (nx_is_nexus(nx_base())) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/__sys__", nx_base());
		dir = open(path, O_RDONLY | O_DIRECTORY);
		if (dir >= 0)
			ASSERT_EQ(-1, ioctl(dir, NEXUS_IOC_RING_CREATE, &rc));
	}
	FAILS(ENOENT, access("x", F_OK));
}

static void nobody_makes_one(void *arg)
{
	(void)arg;
	HOLDS(ring_make("x", 65536) == -1 && errno == EACCES);
	HOLDS(open("secret", O_RDONLY | O_NONBLOCK) == -1 && errno == EACCES);
	HOLDS(!chdir("open"));
	HOLDS(!ring_make("mine", 65536));
	HOLDS(!ring_make("large", 1 << 20));
	HOLDS(ring_make("larger", (1 << 20) + 1) == -1 && errno == EPERM);
}

TEST_F(dir, permissions)
{
	struct stat st;

	if (!self->root)
		SKIP(return, "not root");
	OK(mkdir("open", 0777));
	OK(chmod("open", 0777));
	OK(ring_make_mode("secret", 65536, 0600));
	ASSERT_EQ(0, nx_as_nobody(nobody_makes_one, NULL));
	OK(stat("open/mine", &st));
	ASSERT_EQ(65534, st.st_uid);
	/* Root may make larger ones. */
	OK(ring_make("large", 2 << 20));
	OK(ring_make("largest", 16 << 20));
}

/* The negative dentry of a ring that was removed makes no ring of what comes next. */
TEST_F(dir, another_capacity)
{
	static const uint64_t bad[] = { 0, (16 << 20) + 1, UINT64_MAX };
	uint64_t cap = 4096;
	char buf[8192];
	int fd[2], i, k;

	OK(ring_make("ring", 8192));
	OK(ring_ends("ring", fd, O_NONBLOCK));
	/* Somewhere in the circle. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(5000, write(fd[1], buf, 5000));
		ASSERT_EQ(5000, read(fd[0], buf, 5000));
	}
	for (i = 1; i <= 80; i++)
		ASSERT_EQ(i, write(fd[1], memset(buf, i, i), i));
	OK(ioctl(fd[1], NEXUS_IOC_RING_RESIZE, &cap));
	ASSERT_EQ(4096, ring_stat(fd[0]).capacity);
	FAILS(EMSGSIZE, write(fd[1], buf, 4097));
	FAILS(EAGAIN, write(fd[1], buf, 4096 - 80 * 81 / 2 + 1));
	cap = 80 * 81 / 2 - 1;
	FAILS(EBUSY, ioctl(fd[1], NEXUS_IOC_RING_RESIZE, &cap));
	cap = 80 * 81 / 2;
	OK(ioctl(fd[1], NEXUS_IOC_RING_RESIZE, &cap));
	FAILS(EAGAIN, write(fd[1], buf, 1));
	cap = 1 << 20;
	OK(ioctl(fd[1], NEXUS_IOC_RING_RESIZE, &cap));
	ASSERT_EQ(8000, write(fd[1], buf, 8000));
	for (i = 1; i <= 80; i++) {
		ASSERT_EQ(i, read(fd[0], buf, sizeof(buf)));
		for (k = 0; k < i; k++)
			ASSERT_EQ((char)i, buf[k]);
	}
	ASSERT_EQ(8000, read(fd[0], buf, sizeof(buf)));
	for (i = 0; i < (int)N_ELEMS(bad); i++)
		FAILS(EINVAL, ioctl(fd[1], NEXUS_IOC_RING_RESIZE, &bad[i]));
	FAILS(EBADF, ioctl(fd[0], NEXUS_IOC_RING_RESIZE, &cap));
	FAILS(EFAULT, ioctl(fd[1], NEXUS_IOC_RING_RESIZE, NULL));
	/* It is the ring's own again when nobody has it open. */
	close(fd[0]);
	close(fd[1]);
	OK(ring_ends("ring", fd, O_NONBLOCK));
	ASSERT_EQ(8192, ring_stat(fd[0]).capacity);
}

TEST_F(dir, names_of_rings_are_just_names)
{
	struct nexus_ring_stat st;
	int fd[2], i;

	for (i = 0; i < 3; i++) {
		OK(ring_make("name", 65536));
		OK(unlink("name"));
		OK(mkfifo("name", 0600));
		OK(ring_ends("name", fd, O_NONBLOCK));
		FAILS(ENOTTY, ioctl(fd[0], NEXUS_IOC_RING_STAT, &st));
		OK(unlink("name"));
		OK(nx_put("name", "file"));
		OK(unlink("name"));
	}
	OK(ring_make("a", 65536));
	OK(link("a", "b"));
	OK(rename("a", "c"));
	OK(ring_ends("b", fd, O_NONBLOCK));
	ASSERT_EQ(2, write(fd[1], "hi", 2));
	close(fd[0]);
	close(fd[1]);
	/* What was sent waits under every name, until the last is gone. */
	GET(i, open("c", O_RDWR | O_NONBLOCK));
	ASSERT_EQ(1, ring_stat(i).messages);
	OK(unlink("b"));
	OK(unlink("c"));
	ASSERT_EQ(1, ring_stat(i).messages);
	close(i);
}

TEST_HARNESS_MAIN
