// SPDX-License-Identifier: Apache-2.0
/*
 * Content for tests: a directory with a folder for each zone, a file for each pack,
 * and a file "control" that says what is to go wrong.  Its lines:
 *
 *	hold			gets wait for as long as the line is there
 *	silent			so does all that is asked of named objects, and all writes
 *	undelete		so do deletes
 *	delay MS		each get takes so long
 *	slow MS			so does each write
 *	short BYTES		gets give at most so much: the next one goes on behind it
 *	end BYTES		packs have no more than that
 *	corrupt [PACK BLOCK]	a byte of each get is wrong; or of that block
 *	fail			gets fail with EIO
 *	refuse [PACK]		so do puts; or those of that pack
 *	unread PACK		the file of that pack cannot be read to be put
 *	forbid			deletes fail with EACCES
 *	quota DELETES		puts of packs fail with EDQUOT until so many were deleted
 *	down			both, and nothing is known of any pack
 *	unconditional		conditions of named objects are not looked at
 *	cut WRITES		after so many, counted by who has it open, each fails
 *	page OBJECTS		so many in a page of a listing; 1,000 without it
 *	unlist PAGES		after so many, each page of a listing fails with EIO
 *
 * It is read anew each time.  A named object is a file "@NAME", with '=' for '/'; what
 * was never finished a file ".parts-ID-FILE".  Used only where the setting "content" names it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content_test.h"
#include "space.h"

#define LOOK_NS		10000000L
#define COPY_BYTES	(1u << 20)

#define UUID_TEXT	((size_t)2 * NEXUS_UUID_SIZE)	/* characters */

static void parse_line(struct plan *p, const char *line)
{
	char *rest;

	if (!strcmp(line, "hold"))
		p->hold = true;
	else if (!strcmp(line, "silent"))
		p->silent = true;
	else if (!strcmp(line, "undelete"))
		p->undelete = true;
	else if (!strcmp(line, "fail"))
		p->fail = true;
	else if (!strcmp(line, "refuse"))
		p->refuse = true;
	else if (!strcmp(line, "down"))
		p->fail = p->refuse = p->down = true;
	else if (!strcmp(line, "unconditional"))
		p->unconditional = true;
	else if (!strcmp(line, "forbid"))
		p->forbid = true;
	else if (!strncmp(line, "refuse ", 7))
		p->refused = strtoull(line + 7, NULL, 10);
	else if (!strncmp(line, "unread ", 7))
		p->unread = strtoull(line + 7, NULL, 10);
	else if (!strncmp(line, "quota ", 6))
		p->quota = strtoull(line + 6, NULL, 10);
	else if (!strncmp(line, "cut ", 4))
		p->cut = strtoull(line + 4, NULL, 10);
	else if (!strncmp(line, "page ", 5))
		p->page = strtoull(line + 5, NULL, 10);
	else if (!strncmp(line, "unlist ", 7))
		p->unlist = strtoull(line + 7, NULL, 10);
	else if (!strncmp(line, "delay ", 6))
		p->delay_ms = strtoull(line + 6, NULL, 10);
	else if (!strncmp(line, "slow ", 5))
		p->slow_ms = strtoull(line + 5, NULL, 10);
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

void test_plan(struct test_content *t, struct plan *p)
{
	char text[1024], *line, *save = NULL;
	ssize_t n;
	int fd;

	*p = (struct plan){
		.limit = UINT64_MAX, .end = UINT64_MAX, .cut = UINT64_MAX, .page = 1000,
		.unlist = UINT64_MAX,
	};
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
		test_plan(t, p);
		if (atomic_load(t->c.stop))
			return -ESHUTDOWN;
		if (!p->hold && space_clock() - begun >= p->delay_ms * 1000000ull)
			return 0;
		nanosleep(&look, NULL);
	}
}

/* Waits while it does not answer, or @del: does not delete. */
static int answers(struct test_content *t, struct plan *p, bool del)
{
	const struct timespec look = { 0, LOOK_NS };

	for (;;) {
		test_plan(t, p);
		if (atomic_load(t->c.stop))
			return -ESHUTDOWN;
		if (!p->silent && !(del && p->undelete))
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

/* The one folder there is; -ENOENT; -ENOTUNIQ. */
static int only_folder(const char *where, char name[2 * NEXUS_UUID_SIZE + 1])
{
	struct dirent *de;
	int n = 0;
	DIR *dir = opendir(where);

	if (!dir)
		return -errno;
	while ((de = readdir(dir))) {
		if (strspn(de->d_name, "0123456789abcdef") != UUID_TEXT || de->d_name[UUID_TEXT])
			continue;
		memcpy(name, de->d_name, 2 * NEXUS_UUID_SIZE + 1);
		n++;
	}
	closedir(dir);
	return n == 1 ? 0 : n ? -ENOTUNIQ : -ENOENT;
}

static int test_open(const char *where, const __u8 *zone, const atomic_bool *stop,
		     struct content **c, struct errline *err)
{
	struct test_content *t;
	char name[2 * NEXUS_UUID_SIZE + 1];
	size_t i;
	int ret;

	if (!zone) {
		ret = only_folder(where, name);
		if (ret)
			return err_set(err, ret, ret == -ENOTUNIQ ?
				       "content: %s holds several zones" :
				       "content: %s holds no zone", where);
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (i = 0; zone && i < NEXUS_UUID_SIZE; i++)
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
	struct plan p;
	struct stat st;

	test_plan(t, &p);
	if (p.down)
		return -EHOSTDOWN;
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

		if (n != (ssize_t)want)
			ret = -EBADFD;
		else if (pwrite(to, buf, want, (off_t)at) != n)
			ret = -EIO;
		else if (atomic_load(stop))
			ret = -ESHUTDOWN;
		at += want;
	}
	free(buf);
	return ret;
}

/* A write: 0, or it is not to be done. */
static int may_write(struct test_content *t, struct plan *p, bool del)
{
	int ret = answers(t, p, del);
	const struct timespec slow = {
		.tv_sec = (time_t)(p->slow_ms / 1000), .tv_nsec = (long)(p->slow_ms % 1000) * 1000000,
	};

	if (ret)
		return ret;
	nanosleep(&slow, NULL);
	if (del && p->forbid)
		return -EACCES;
	return p->refuse || atomic_fetch_add(&t->writes, 1) >= p->cut ? -EIO : 0;
}

/* @fd, which was written as @tmp if @ret says so, is @name from now on; or nothing is left. */
static int keep(struct test_content *t, int fd, const char *tmp, const char *name, int ret)
{
	struct stat st = { .st_size = 0 };

	if (!ret && (fsync(fd) || fstat(fd, &st)))
		ret = -errno;
	close(fd);
	if (!ret && renameat(t->dirfd, tmp, t->dirfd, name))
		ret = -errno;
	if (!ret && fsync(t->dirfd))
		ret = -errno;
	if (ret)
		unlinkat(t->dirfd, tmp, 0);
	else
		atomic_fetch_add(&t->sent, (u64)st.st_size);
	return ret;
}

static int test_put(struct content *c, __u64 pack, int fd, __u64 bytes)
{
	struct test_content *t = (struct test_content *)c;
	char name[32], tmp[40];
	struct plan p;
	int to, ret;

	ret = may_write(t, &p, false);
	if (!ret && p.refused == pack)
		ret = -EIO;
	if (!ret && p.unread == pack)
		ret = -EBADFD;
	if (!ret && atomic_load(&t->deletes) < p.quota)
		ret = -EDQUOT;
	if (ret)
		return ret;
	object_name(pack, name);
	snprintf(tmp, sizeof(tmp), ".%s", name);
	to = openat(t->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	ret = copy(fd, to, bytes, t->c.stop);
	return keep(t, to, tmp, name, ret);
}

static int test_del(struct content *c, __u64 pack)
{
	struct test_content *t = (struct test_content *)c;
	struct plan p;
	char name[32];
	int ret = may_write(t, &p, true);

	if (ret)
		return ret;
	object_name(pack, name);
	if (unlinkat(t->dirfd, name, 0) && errno != ENOENT)
		return -errno;
	atomic_fetch_add(&t->deletes, 1);
	return 0;
}

/* ---- named objects ------------------------------------------------------------- */

int test_file_name(const char *name, char file[CONTENT_NAME_MAX + 2])
{
	size_t i;

	if (!content_name_ok(name))
		return -EINVAL;
	file[0] = '@';
	for (i = 0; name[i]; i++)
		file[i + 1] = (char)(name[i] == '/' ? '=' : name[i]);
	file[i + 1] = '\0';
	return 0;
}

/* Of its content, as some servers make them: the same bytes are the same version. */
static int etag_of(struct test_content *t, const char *file, char etag[CONTENT_ETAG_SIZE])
{
	u8 buf[4096];
	u64 bytes = 0;
	u32 crc = 0;
	ssize_t n;
	int fd = openat(t->dirfd, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		crc = nexus_crc32c(crc, buf, (size_t)n);
		bytes += (u64)n;
	}
	close(fd);
	if (n < 0)
		return -EIO;
	snprintf(etag, CONTENT_ETAG_SIZE, "%08x-%llx", crc, (unsigned long long)bytes);
	return 0;
}

static int condition(struct test_content *t, const char *file, enum content_cond cond,
		     const char *etag)
{
	char now[CONTENT_ETAG_SIZE];
	int ret;

	if (cond == CONTENT_ANY)
		return 0;
	ret = etag_of(t, file, now);
	if (ret && ret != -ENOENT)
		return ret;
	if (cond == CONTENT_ABSENT)
		return ret ? 0 : -EEXIST;
	return ret || strcmp(now, etag) ? -EEXIST : 0;
}

static int write_file(struct test_content *t, const char *file, const void *buf, size_t len)
{
	char tmp[CONTENT_NAME_MAX + 3];
	size_t done = 0;
	ssize_t n = 0;
	int fd, ret = 0;

	snprintf(tmp, sizeof(tmp), ".%s", file);
	fd = openat(t->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (done < len && (n = write(fd, (const u8 *)buf + done, len - done)) > 0)
		done += (size_t)n;
	if (done < len)
		ret = n < 0 ? -errno : -EIO;
	return keep(t, fd, tmp, file, ret);
}

static int test_put_named(struct content *c, const char *name, const void *buf, size_t len,
			  enum content_cond cond, char *etag)
{
	struct test_content *t = (struct test_content *)c;
	char file[CONTENT_NAME_MAX + 2];
	struct plan p;
	int fd, ret = test_file_name(name, file);

	if (!ret)
		ret = may_write(t, &p, false);
	if (ret)
		return ret;
	/* Looking and writing are one step among all who have it open. */
	fd = openat(t->dirfd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = flock(fd, LOCK_EX) ? -errno : 0;
	if (!ret)
		ret = condition(t, file, p.unconditional ? CONTENT_ANY : cond, etag);
	if (!ret)
		ret = write_file(t, file, buf, len);
	if (!ret && etag)
		ret = etag_of(t, file, etag);
	close(fd);
	return ret;
}

static ssize_t test_get_named(struct content *c, const char *name, __u64 offset, void *buf,
			      size_t len, char *etag)
{
	struct test_content *t = (struct test_content *)c;
	char file[CONTENT_NAME_MAX + 2];
	struct plan p;
	ssize_t n;
	int fd, ret = test_file_name(name, file);

	if (!ret)
		ret = answers(t, &p, false);
	if (!ret && p.fail)
		ret = -EIO;
	if (!ret && etag)
		ret = etag_of(t, file, etag);
	if (ret)
		return ret;
	fd = openat(t->dirfd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, buf, len, (off_t)offset);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

static int test_del_named(struct content *c, const char *name)
{
	struct test_content *t = (struct test_content *)c;
	char file[CONTENT_NAME_MAX + 2];
	struct plan p;
	int ret = test_file_name(name, file);

	if (!ret)
		ret = may_write(t, &p, true);
	if (ret)
		return ret;
	return unlinkat(t->dirfd, file, 0) && errno != ENOENT ? -errno : 0;
}

static void test_state(struct content *c, struct content_state *st)
{
	struct test_content *t = (struct test_content *)c;

	st->sent = st->taken = atomic_load(&t->sent);
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
	.put_named = test_put_named,
	.get_named = test_get_named,
	.del_named = test_del_named,
	.list_named = test_list_named,
	.state = test_state,
	.list_page = test_list_page,
	.uploads_page = test_uploads_page,
	.abort_upload = test_abort_upload,
};
