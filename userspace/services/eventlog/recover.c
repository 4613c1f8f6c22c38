// SPDX-License-Identifier: Apache-2.0
/*
 * What a log is after whatever happened to it.
 *
 * The disk may lack the end of what was written after the last sync.  Each segment and
 * each record says what was on disk when it was written, so that an end that never
 * was can be told from damage: that end is cut off, damage is kept and reported
 * to whoever reads there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elog.h"

/* What recovery knows of a segment beyond what stays. */
struct found {
	struct seg_head head;
	bool head_ok;
	uint64_t size;
};

static int by_first(const void *a, const void *b)
{
	const struct elog_segment *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int list_segments(struct elog *l)
{
	unsigned long long first;
	char name[ELOG_NAME_MAX];
	struct dirent *entry;
	int fd, ret = 0;
	DIR *dir;

	fd = openat(l->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	while (!ret && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "wal-", 4))
			continue;
		first = strtoull(entry->d_name + 4, NULL, 16);
		if (!first)
			continue;
		elog_name(name, first);
		if (!strcmp(name, entry->d_name) && !elog_add(l, first))
			ret = -ENOMEM;
	}
	closedir(dir);
	if (l->nsegs)
		qsort(l->segs, l->nsegs, sizeof(*l->segs), by_first);
	return ret;
}

static int open_segment(struct elog *l, const struct elog_segment *seg, int flags)
{
	char name[ELOG_NAME_MAX];
	int fd;

	elog_name(name, seg->first);
	fd = openat(l->dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_head(struct elog *l, struct elog_segment *seg, struct found *f)
{
	uint8_t buf[SEG_HEAD_SIZE];
	int fd = open_segment(l, seg, O_RDONLY), ret = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pread(fd, buf, sizeof(buf), 0);
	if (n < 0 || fstat(fd, &st))
		ret = -errno;
	close(fd);
	if (ret)
		return ret;
	f->size = (uint64_t)st.st_size;
	seg->written = st.st_mtim.tv_sec * 1000LL + st.st_mtim.tv_nsec / 1000000;
	f->head_ok = n == sizeof(buf) && !seg_head_get(buf, &f->head) &&
		     f->head.first == seg->first && !memcmp(f->head.id, l->id, sizeof(l->id));
	return 0;
}

/* Through all whole batches; @seg gets last and bytes.  @end: all was in order. */
static int scan_segment(struct elog *l, struct elog_segment *seg, const struct found *f, bool *end)
{
	int fd = open_segment(l, seg, O_RDONLY), ret = 0;
	uint64_t next = seg->first;
	struct elog_scan s;
	struct rec rec;

	seg->last = 0;
	seg->bytes = SEG_HEAD_SIZE;
	*end = false;
	if (fd < 0)
		return fd;
	elog_scan_init(&s, fd, l->salt, SEG_HEAD_SIZE, f->size);
	while (f->head_ok && (ret = elog_scan_next(&s, &rec)) > 0 && rec.seq == next) {
		next++;
		if (!(rec.flags & REC_LAST))
			continue;
		seg->last = rec.seq;
		seg->bytes = elog_scan_at(&s);
	}
	if (!f->head_ok)
		ret = -EUCLEAN;
	*end = !ret && seg->bytes == f->size;
	elog_scan_end(&s);
	close(fd);
	return ret == -ENOMEM || ret == -EIO ? ret : 0;
}

/* Whether a record from @from on in segment @seg says that @seq was on disk. */
static int is_proof(struct elog *l, const struct elog_segment *seg, const struct found *f,
		    uint64_t from, uint64_t seq)
{
	size_t len = f->size > from ? (size_t)(f->size - from) : 0, have = 0;
	uint8_t *buf;
	ssize_t n = 1;
	int fd, ret;

	if (f->head_ok && f->head.synced >= seq)
		return 1;
	if (!len)
		return 0;
	buf = malloc(len);
	if (!buf)
		return -ENOMEM;
	fd = open_segment(l, seg, O_RDONLY);
	while (fd >= 0 && have < len && (n = pread(fd, buf + have, len - have, (off_t)(from + have))) > 0)
		have += (size_t)n;
	ret = fd < 0 ? fd : n < 0 ? -errno : rec_after(buf, have, l->salt, seq);
	if (fd >= 0)
		close(fd);
	free(buf);
	return ret;
}

/* Segment @i is not in order behind @seg->bytes: was it ever? */
static int was_durable(struct elog *l, const struct found *f, size_t i, const struct log_state *st)
{
	uint64_t seq = l->segs[i].last ? l->segs[i].last + 1 : l->segs[i].first;
	int ret = st->last >= seq;
	size_t n;

	/* A head does not get lost alone. */
	if (!ret && !f[i].head_ok)
		ret = is_proof(l, &l->segs[i], &f[i], SEG_HEAD_SIZE, 0);
	for (n = i; !ret && n < l->nsegs; n++)
		ret = is_proof(l, &l->segs[n], &f[n], n == i ? l->segs[i].bytes : SEG_HEAD_SIZE, seq);
	return ret;
}

/* The end behind @seg never was: it goes, and the segments after it. */
static int cut_behind(struct elog *l, const struct found *f, size_t i)
{
	char name[ELOG_NAME_MAX];
	uint64_t bytes = 0;
	size_t n;
	int fd;

	for (n = i; n < l->nsegs; n++) {
		bool keep = n == i && l->segs[n].last;

		bytes += f[n].size - (keep ? l->segs[n].bytes : 0);
		if (!keep) {
			elog_name(name, l->segs[n].first);
			if (unlinkat(l->dirfd, name, 0))
				return -errno;
			continue;
		}
		fd = open_segment(l, &l->segs[n], O_RDWR);
		if (fd < 0)
			return fd;
		if (ftruncate(fd, (off_t)l->segs[n].bytes) || fdatasync(fd)) {
			n = (size_t)errno;
			close(fd);
			return -(int)n;
		}
		close(fd);
	}
	l->nsegs = i + (l->segs[i].last != 0);
	l->cut = bytes;
	elog_say(l, NEXUS_SERVICE_WARNING, "%llu bytes that were never durable are cut off behind record %llu",
		 (unsigned long long)bytes,
		 (unsigned long long)(l->nsegs ? l->segs[l->nsegs - 1].last : 0));
	return 0;
}

static void damage(struct elog *l, size_t i, uint64_t last)
{
	struct elog_segment *seg = &l->segs[i];

	elog_say(l, NEXUS_SERVICE_ERROR,
		 "segment wal-%016llx.seg is damaged or not whole: records %llu to %llu cannot be read",
		 (unsigned long long)seg->first,
		 (unsigned long long)(seg->last ? seg->last + 1 : seg->first), (unsigned long long)last);
	seg->damaged = true;
	seg->last = last;
}

/* The segments that may lack something are those with numbers above what was synced. */
static int check_segments(struct elog *l, struct found *f, const struct log_state *st)
{
	uint64_t synced = 0, last;
	size_t i;
	bool end;
	int ret;

	for (i = 0; i < l->nsegs; i++) {
		ret = read_head(l, &l->segs[i], &f[i]);
		if (ret)
			return ret;
		if (f[i].head_ok)
			synced = f[i].head.synced;
	}
	for (i = 0; i < l->nsegs; i++) {
		/* Without the next one's head: at most up to where that begins. */
		last = i + 1 == l->nsegs ? 0 :
		       f[i + 1].head_ok ? f[i + 1].head.prev : l->segs[i + 1].first - 1;
		if (last && f[i + 1].head_ok && last <= synced && f[i].head_ok &&
		    last >= l->segs[i].first) {
			/* Looked through when it is read. */
			l->segs[i].last = last;
			l->segs[i].bytes = f[i].size;
			continue;
		}
		ret = scan_segment(l, &l->segs[i], &f[i], &end);
		if (ret)
			return ret;
		if (end && l->segs[i].last &&
		    (last ? !f[i + 1].head_ok || l->segs[i].last == last : st->last <= l->segs[i].last))
			continue;
		ret = was_durable(l, f, i, st);
		if (ret < 0)
			return ret;
		if (!ret)
			return cut_behind(l, f, i);
		damage(l, i, last ? last : st->clean ? st->last : st->reserved - 1);
	}
	return 0;
}

static int read_state(struct elog *l, struct log_state *st)
{
	uint8_t buf[STATE_SIZE + 1];
	ssize_t n;
	int fd;

	fd = openat(l->dirfd, "state", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, buf, sizeof(buf), 0);
	close(fd);
	return n < 0 ? -errno : log_state_get(buf, (size_t)n, st);
}

static int begin_log(struct elog *l)
{
	if (l->nsegs) {
		elog_say(l, NEXUS_SERVICE_ERROR, "there are segments, but no file \"state\"");
		return -EUCLEAN;
	}
	if (getrandom(l->id, sizeof(l->id), 0) != (ssize_t)sizeof(l->id))
		return -EIO;
	l->salt = log_salt(l->id);
	return elog_put_state(l, 1, 1, true);
}

/* What a truncation left behind when it was cut short. */
static int drop_truncated(struct elog *l)
{
	char name[ELOG_NAME_MAX];
	size_t n;

	for (n = 0; n + 1 < l->nsegs && l->segs[n + 1].first <= l->first; n++) {
		elog_name(name, l->segs[n].first);
		if (unlinkat(l->dirfd, name, 0))
			return -errno;
	}
	if (n)
		memmove(l->segs, l->segs + n, (l->nsegs - n) * sizeof(*l->segs));
	l->nsegs -= n;
	return 0;
}

int elog_recover(struct elog *l)
{
	struct log_state st;
	struct found *f;
	int ret;

	ret = list_segments(l);
	if (ret)
		return ret;
	ret = read_state(l, &st);
	if (ret == -ENOENT)
		return begin_log(l);
	if (ret) {
		elog_say(l, NEXUS_SERVICE_ERROR, "the file \"state\" is damaged");
		return ret;
	}
	memcpy(l->id, st.id, sizeof(l->id));
	l->salt = log_salt(l->id);
	l->first = st.first;
	l->next = l->reserved = st.reserved;
	ret = drop_truncated(l);
	if (ret)
		return ret;
	f = calloc(l->nsegs + 1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	ret = check_segments(l, f, &st);
	free(f);
	if (!ret && !l->nsegs && st.last >= st.first) {
		if (elog_add(l, st.first))
			damage(l, 0, st.last);
		else
			ret = -ENOMEM;
	}
	if (ret)
		return ret;
	if (l->nsegs)
		l->last = l->segs[l->nsegs - 1].last;
	/* A log that is all truncated still knows how far it had come. */
	if (l->last < st.last)
		l->last = st.last;
	l->synced = l->last;
	return l->nsegs && fsync(l->dirfd) ? -errno : 0;
}
