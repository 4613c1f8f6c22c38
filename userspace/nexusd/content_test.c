// SPDX-License-Identifier: Apache-2.0
/*
 * Content for tests: a directory with a folder for each zone, a file for each pack,
 * and a file "control" that says what is to go wrong.  Its lines:
 *
 *	hold			gets wait for as long as the line is there
 *	delay MS		each get takes so long
 *	short BYTES		gets give at most so much: the next one goes on behind it
 *	end BYTES		packs have no more than that
 *	corrupt [PACK BLOCK]	a byte of each get is wrong; or of that block
 *	fail			gets fail with EIO
 *	refuse			so do puts
 *
 * It is read anew each time.  Used only where the setting "content" names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "lib/port.h"
#include "space.h"

#define LOOK_NS		10000000L
#define COPY_BYTES	(1u << 20)

struct test_content {
	struct content c;
	int dirfd;		/* of the zone */
	int top;		/* where "control" is */
};

struct plan {
	bool hold, corrupt, fail, refuse;
	u64 delay_ms, limit, end;
	u64 pack, block;	/* corrupt: 0: any */
};

static void parse_line(struct plan *p, const char *line)
{
	char *rest;

	if (!strcmp(line, "hold"))
		p->hold = true;
	else if (!strcmp(line, "fail"))
		p->fail = true;
	else if (!strcmp(line, "refuse"))
		p->refuse = true;
	else if (!strncmp(line, "delay ", 6))
		p->delay_ms = strtoull(line + 6, NULL, 10);
	else if (!strncmp(line, "short ", 6))
		p->limit = strtoull(line + 6, NULL, 10);
	else if (!strncmp(line, "end ", 4))
		p->end = strtoull(line + 4, NULL, 10);
	else if (!strncmp(line, "corrupt", 7)) {
		p->corrupt = true;
		p->pack = strtoull(line + 7, &rest, 10);
		p->block = strtoull(rest, NULL, 10);
	}
}

static void read_plan(struct test_content *t, struct plan *p)
{
	char text[1024], *line, *save = NULL;
	ssize_t n;
	int fd;

	*p = (struct plan){ .limit = UINT64_MAX, .end = UINT64_MAX };
	fd = openat(t->top, "control", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		parse_line(p, line);
}

/* Takes as long as it is told to. */
static int obey(struct test_content *t, struct plan *p)
{
	const struct timespec look = { 0, LOOK_NS };
	u64 begun = space_clock();

	for (;;) {
		read_plan(t, p);
		if (atomic_load(t->c.stop))
			return -ESHUTDOWN;
		if (!p->hold && space_clock() - begun >= p->delay_ms * 1000000ull)
			return 0;
		nanosleep(&look, NULL);
	}
}

static void object_name(u64 pack, char name[32])
{
	snprintf(name, 32, "%016llx", (unsigned long long)pack);
}

static int open_dir(int at, const char *name)
{
	int fd;

	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void test_close(struct content *c)
{
	struct test_content *t = (struct test_content *)c;

	if (t->dirfd >= 0)
		close(t->dirfd);
	if (t->top >= 0)
		close(t->top);
	free(t);
}

static int test_open(const char *where, const __u8 zone[NEXUS_UUID_SIZE],
		     const atomic_bool *stop, struct content **c, struct errline *err)
{
	struct test_content *t = calloc(1, sizeof(*t));
	char name[2 * NEXUS_UUID_SIZE + 1];
	size_t i;
	int ret;

	if (!t)
		return -ENOMEM;
	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		snprintf(name + 2 * i, 3, "%02x", zone[i]);
	t->c.ops = &content_test;
	t->c.stop = stop;
	t->dirfd = -1;
	t->top = open_dir(AT_FDCWD, where);
	if (t->top >= 0)
		t->dirfd = open_dir(t->top, name);
	if (t->top < 0 || t->dirfd < 0) {
		ret = t->top < 0 ? t->top : t->dirfd;
		test_close(&t->c);
		return err_set(err, ret, "content: %s: %s", where, strerror(-ret));
	}
	*c = &t->c;
	return 0;
}

static int test_head(struct content *c, __u64 pack, __u64 *bytes)
{
	struct test_content *t = (struct test_content *)c;
	char name[32];
	struct stat st;

	object_name(pack, name);
	if (fstatat(t->dirfd, name, &st, 0))
		return -errno;
	*bytes = (u64)st.st_size;
	return 0;
}

static void spoil(const struct plan *p, u64 pack, u64 offset, u8 *buf, size_t len)
{
	u64 at = p->block << NEXUS_BLOCK_SHIFT;

	if (!p->corrupt || !len)
		return;
	if (!p->pack)
		buf[len / 2] ^= 1;
	else if (p->pack == pack && at >= offset && at < offset + len)
		buf[at - offset] ^= 1;
}

static ssize_t test_get(struct content *c, __u64 pack, __u64 offset, void *buf, size_t len)
{
	struct test_content *t = (struct test_content *)c;
	size_t done = 0;
	struct plan p;
	char name[32];
	int fd, ret;

	ret = obey(t, &p);
	if (!ret && p.fail)
		ret = -EIO;
	if (ret)
		return ret;
	object_name(pack, name);
	fd = openat(t->dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = NEXUS_MIN(len, p.limit);
	len = NEXUS_MIN(len, offset < p.end ? p.end - offset : 0);
	while (done < len) {
		ssize_t n = pread(fd, (u8 *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ret = n < 0 ? -errno : 0;
			break;
		}
		done += (size_t)n;
	}
	close(fd);
	if (ret)
		return ret;
	spoil(&p, pack, offset, buf, done);
	return (ssize_t)done;
}

static int copy(int from, int to, u64 bytes, const atomic_bool *stop)
{
	void *buf;
	u64 at = 0;
	int ret = 0;

	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, COPY_BYTES))
		return -ENOMEM;
	while (!ret && at < bytes) {
		size_t want = (size_t)NEXUS_MIN(bytes - at, (u64)COPY_BYTES);
		ssize_t n = pread(from, buf, want, (off_t)at);

		if (n != (ssize_t)want || pwrite(to, buf, want, (off_t)at) != n)
			ret = n < 0 ? -errno : -EIO;
		else if (atomic_load(stop))
			ret = -ESHUTDOWN;
		at += want;
	}
	free(buf);
	return ret;
}

static int test_put(struct content *c, __u64 pack, int fd, __u64 bytes)
{
	struct test_content *t = (struct test_content *)c;
	char name[32], tmp[40];
	struct plan p;
	int to, ret;

	read_plan(t, &p);
	if (p.refuse)
		return -EIO;
	object_name(pack, name);
	snprintf(tmp, sizeof(tmp), ".%s", name);
	to = openat(t->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	ret = copy(fd, to, bytes, t->c.stop);
	if (!ret && fsync(to))
		ret = -errno;
	close(to);
	if (!ret && renameat(t->dirfd, tmp, t->dirfd, name))
		ret = -errno;
	if (!ret && fsync(t->dirfd))
		ret = -errno;
	if (ret)
		unlinkat(t->dirfd, tmp, 0);
	return ret;
}

static int test_del(struct content *c, __u64 pack)
{
	struct test_content *t = (struct test_content *)c;
	char name[32];

	object_name(pack, name);
	return unlinkat(t->dirfd, name, 0) && errno != ENOENT ? -errno : 0;
}

const struct content_ops content_test = {
	.version = CONTENT_OPS_VERSION,
	.name = "test",
	.open = test_open,
	.close = test_close,
	.head = test_head,
	.get = test_get,
	.put = test_put,
	.del = test_del,
};
