// SPDX-License-Identifier: Apache-2.0
#include "uploadmark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define REWRITE_MIN	4096u	/* lines; fewer are not worth it */

/* On disk. */
struct line {
	__le64 pack;
	u8 mark;
	u8 reserved[3];
	__le32 crc;		/* of what is before it */
};

static size_t place_of(const struct uploadmarks *m, u64 pack)
{
	size_t from = 0, end = m->n;

	while (from < end) {
		size_t mid = (from + end) / 2;

		if (m->set[mid].pack < pack)
			from = mid + 1;
		else
			end = mid;
	}
	return from;
}

enum upload_mark uploadmarks_get(const struct uploadmarks *m, u64 pack)
{
	size_t at = place_of(m, pack);

	return at < m->n && m->set[at].pack == pack ? m->set[at].mark : MARK_NONE;
}

static int make_room(struct uploadmarks *m)
{
	size_t cap = m->cap ? m->cap * 2 : 256;
	void *more;

	if (m->n < m->cap)
		return 0;
	more = realloc(m->set, cap * sizeof(*m->set));
	if (!more)
		return -ENOMEM;
	m->set = more;
	m->cap = cap;
	return 0;
}

/* There is room. */
static void change(struct uploadmarks *m, u64 pack, enum upload_mark mark)
{
	size_t at = place_of(m, pack);
	bool there = at < m->n && m->set[at].pack == pack;
	struct upload_marked *e = &m->set[at];

	if (mark == MARK_GONE) {
		if (there)
			memmove(e, e + 1, (--m->n - at) * sizeof(*e));
		return;
	}
	if (!there)
		memmove(e + 1, e, (m->n++ - at) * sizeof(*e));
	*e = (struct upload_marked){ pack, mark };
}

static void fill_line(struct line *l, u64 pack, enum upload_mark mark)
{
	*l = (struct line){ .pack = cpu_to_le64(pack), .mark = (u8)mark };
	l->crc = cpu_to_le32(nexus_crc32c(0, l, offsetof(struct line, crc)));
}

static bool line_ok(const struct line *l)
{
	return le32_to_cpu(l->crc) == nexus_crc32c(0, l, offsetof(struct line, crc)) &&
	       (l->mark == MARK_BEGUN || l->mark == MARK_HELD || l->mark == MARK_PUT ||
		l->mark == MARK_GONE);
}

/* *lines: how many there are; up to the first that is none. */
static int read_lines(struct uploadmarks *m, size_t *lines)
{
	struct line l[256];
	size_t i, n = 256;
	off_t at = 0;
	int ret;

	*lines = 0;
	while (n == 256) {
		ssize_t got = pread(m->fd, l, sizeof(l), at);

		if (got < 0)
			return -errno;
		n = (size_t)got / sizeof(l[0]);
		for (i = 0; i < n && line_ok(&l[i]); i++, ++*lines) {
			ret = make_room(m);
			if (ret)
				return ret;
			change(m, le64_to_cpu(l[i].pack), l[i].mark);
		}
		if (i < n)
			break;
		at += got;
	}
	/* What is added goes behind what can be read. */
	return ftruncate(m->fd, (off_t)(*lines * sizeof(struct line))) ? -errno : 0;
}

static int write_lines(const struct uploadmarks *m, int fd)
{
	struct line l;
	size_t i;

	for (i = 0; i < m->n; i++) {
		fill_line(&l, m->set[i].pack, m->set[i].mark);
		if (write(fd, &l, sizeof(l)) != sizeof(l))
			return -EIO;
	}
	return fsync(fd) ? -errno : 0;
}

static int rewrite(struct uploadmarks *m, const char *path)
{
	char tmp[PATH_MAX + 32];
	int fd, ret;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = write_lines(m, fd);
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (ret) {
		unlink(tmp);
		close(fd);
		return ret;
	}
	close(m->fd);
	m->fd = fd;
	return 0;
}

int uploadmarks_open(struct uploadmarks *m, const char *dir)
{
	char path[PATH_MAX + 16];
	size_t lines;
	int ret;

	*m = (struct uploadmarks){ .fd = -1 };
	snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, dir);
	m->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (m->fd < 0)
		return -errno;
	ret = read_lines(m, &lines);
	/* The old one does, too. */
	if (!ret && lines > REWRITE_MIN && lines / 2 > m->n && rewrite(m, path))
		log_warn("%s cannot be written anew", path);
	if (ret)
		uploadmarks_close(m);
	return ret;
}

void uploadmarks_close(struct uploadmarks *m)
{
	if (m->fd >= 0)
		close(m->fd);
	free(m->set);
	*m = (struct uploadmarks){ .fd = -1 };
}

int uploadmarks_set(struct uploadmarks *m, u64 pack, enum upload_mark mark)
{
	off_t end = lseek(m->fd, 0, SEEK_END);
	struct line l;
	ssize_t n;
	int ret = make_room(m);

	if (ret)
		return ret;
	fill_line(&l, pack, mark);
	n = write(m->fd, &l, sizeof(l));
	if (n != sizeof(l) || (mark == MARK_BEGUN && fdatasync(m->fd))) {
		ret = n < 0 || n == sizeof(l) ? -errno : -ENOSPC;
		/* Half a line would hide those behind it. */
		if (ftruncate(m->fd, end))
			log_warn("the list of what is held elsewhere cannot be cut: %s",
				 strerror(errno));
		return ret;
	}
	change(m, pack, mark);
	return 0;
}
