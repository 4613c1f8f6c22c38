// SPDX-License-Identifier: Apache-2.0
/* Through the records of a segment, and reading. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elog.h"

#define SCAN_CHUNK	(256u << 10)
#define READ_BYTES	(1u << 20)

void elog_scan_init(struct elog_scan *s, int fd, uint32_t salt, uint64_t offset, uint64_t end)
{
	*s = (struct elog_scan){ .fd = fd, .salt = salt, .offset = offset, .end = end };
}

uint64_t elog_scan_at(const struct elog_scan *s)
{
	return s->offset + s->pos;
}

void elog_scan_end(struct elog_scan *s)
{
	free(s->buf);
	s->buf = NULL;
}

/* More of the file behind what is there; 0 at its end. */
static int64_t refill(struct elog_scan *s)
{
	uint64_t at = s->offset + s->have, left = at < s->end ? s->end - at : 0;
	uint8_t *buf = s->buf;
	size_t cap = s->cap;
	ssize_t n;

	if (!left)
		return 0;
	if (s->pos) {
		memmove(buf, buf + s->pos, s->have - s->pos);
		s->offset += s->pos;
		s->have -= s->pos;
		s->pos = 0;
	}
	if (s->have == cap) {
		cap = cap ? cap * 2 : SCAN_CHUNK;
		buf = realloc(buf, cap);
		if (!buf)
			return -ENOMEM;
		s->buf = buf;
		s->cap = cap;
	}
	if (left > cap - s->have)
		left = cap - s->have;
	do
		n = pread(s->fd, buf + s->have, left, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	s->have += (size_t)n;
	return n;
}

int elog_scan_next(struct elog_scan *s, struct rec *rec)
{
	int64_t ret, more;

	for (;;) {
		ret = s->have > s->pos ?
		      rec_get(s->buf + s->pos, s->have - s->pos, s->salt, rec) : 0;
		if (ret > 0) {
			s->pos += (size_t)ret;
			return 1;
		}
		if (ret && ret != -ENODATA)
			return (int)ret;
		more = refill(s);
		if (more < 0)
			return (int)more;
		if (!more)
			return (int)ret;
	}
}

/* ---- reading --------------------------------------------------------------------- */

/* One call of read, on its way. */
struct reading {
	struct elog *l;
	struct nexus_eventlog_read_args *a;
	void *(*more)(void *args, size_t size);
	uint64_t next;
	uint64_t bytes;
	struct elog_segment seg;	/* a copy: where it reads now */
	uint64_t offset;
};

/* Numbers that are not there; false: something came before, so not in this call. */
static bool lose(struct reading *r, uint64_t to)
{
	struct nexus_eventlog_read_args *a = r->a;

	if (a->count || (a->lost_from && a->lost_to + 1 != r->next))
		return false;
	if (a->to && to > a->to)
		to = a->to;
	if (!a->lost_from)
		a->lost_from = r->next;
	a->lost_to = to;
	r->next = to + 1;
	return true;
}

/* The segment that r->next is in, or 0 when there is none (left). */
static int find_segment(struct reading *r)
{
	struct elog *l = r->l;
	unsigned int i;
	size_t n;

	if (r->next < l->first && !lose(r, l->first - 1))
		return 0;
	for (n = 0; n < l->nsegs; n++)
		if (l->segs[n].last >= r->next)
			break;
	if (n == l->nsegs) {
		r->a->end = true;
		return 0;
	}
	if (l->segs[n].first > r->next && !lose(r, l->segs[n].first - 1))
		return 0;
	if (r->a->to && r->next > r->a->to)
		return 0;
	r->seg = l->segs[n];
	r->offset = SEG_HEAD_SIZE;
	for (i = 0; i < ELOG_CURSORS; i++)
		if (l->cursors[i].segment == r->seg.first && l->cursors[i].seq <= r->next &&
		    l->cursors[i].offset > r->offset)
			r->offset = l->cursors[i].offset;
	return 1;
}

static int take(struct reading *r, const struct rec *rec)
{
	struct nexus_eventlog_read_args *a = r->a;
	struct nexus_eventlog_record *out = &a->records[a->count];
	char *p = r->more(a, (size_t)rec->zone_len + rec->data_len + 1);

	if (!p)
		return -ENOMEM;
	out->seq = rec->seq;
	out->zone = p;
	out->zone_len = rec->zone_len;
	out->data = p + rec->zone_len;
	out->data_len = rec->data_len;
	memcpy(p, rec->zone, rec->zone_len);
	memcpy(p + rec->zone_len, rec->data, rec->data_len);
	r->bytes += (uint64_t)rec->zone_len + rec->data_len;
	a->count++;
	return 0;
}

static bool wanted(const struct nexus_eventlog_read_args *a, const struct rec *rec)
{
	return !a->zone || (a->zone_len == rec->zone_len &&
			    !memcmp(a->zone, rec->zone, rec->zone_len));
}

/* 1: on to the next segment; 0: enough; -EUCLEAN. */
static int read_segment(struct reading *r, struct elog_scan *s, uint64_t *at, uint64_t *at_seq)
{
	struct nexus_eventlog_read_args *a = r->a;
	uint64_t seq = 0;
	struct rec rec;
	int ret;

	for (;;) {
		*at = elog_scan_at(s);
		ret = elog_scan_next(s, &rec);
		/* Within a segment none is missing. */
		if (ret > 0 && (rec.seq > r->seg.last || rec.seq < r->seg.first ||
				(seq ? rec.seq != seq + 1 : rec.seq > r->next)))
			ret = -EUCLEAN;
		if (ret == -ENODATA || (!ret && seq < r->seg.last && r->next <= r->seg.last))
			ret = -EUCLEAN;
		if (ret <= 0)
			return ret ? ret : 1;
		seq = rec.seq;
		*at_seq = seq;
		if (seq < r->next)
			continue;
		if ((a->to && seq > a->to) || a->count == a->max)
			return 0;
		if (wanted(a, &rec)) {
			if (a->count && r->bytes + rec.zone_len + rec.data_len > a->max_bytes)
				return 0;
			ret = take(r, &rec);
			if (ret)
				return ret;
		}
		r->next = seq + 1;
		if (seq == r->seg.last) {
			*at = elog_scan_at(s);
			*at_seq = seq + 1;
			return 1;
		}
	}
}

static int read_on(struct reading *r)
{
	uint64_t at = 0, at_seq = 0;
	char name[ELOG_NAME_MAX];
	struct elog *l = r->l;
	struct elog_scan s;
	int fd, ret;

	elog_name(name, r->seg.first);
	fd = openat(l->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (fd < 0) {
		ret = -EUCLEAN;
	} else {
		elog_scan_init(&s, fd, l->salt, r->offset, r->seg.bytes);
		ret = read_segment(r, &s, &at, &at_seq);
		elog_scan_end(&s);
		close(fd);
	}
	pthread_mutex_lock(&l->lock);
	if (r->next <= r->seg.last && r->next < l->first)
		ret = 1;	/* truncated meanwhile */
	else if (ret >= 0 && at_seq)
		l->cursors[l->cursor++ % ELOG_CURSORS] =
			(struct elog_cursor){ r->seg.first, at_seq, at };
	pthread_mutex_unlock(&l->lock);
	if (ret != -EUCLEAN)
		return ret;
	/* What came before is for this call, the damage for the next. */
	return lose(r, r->seg.last) ? ret : 0;
}

int elog_read(struct elog *l, struct nexus_eventlog_read_args *a,
	      void *(*more)(void *args, size_t size))
{
	struct reading r = { .l = l, .a = a, .more = more, .next = a->from ? a->from : 1 };
	int ret;

	if (!a->max)
		a->max = NEXUS_EVENTLOG_READ_DEFAULT;
	if (!a->max_bytes)
		a->max_bytes = READ_BYTES;
	if (a->max > NEXUS_EVENTLOG_READ_MAX)
		return -EMSGSIZE;
	if (a->to && a->to < r.next)
		return -EINVAL;
	a->count = 0;
	a->end = false;
	a->lost_from = a->lost_to = 0;
	a->records = more(a, a->max * sizeof(*a->records));
	if (!a->records)
		return -ENOMEM;
	do {
		pthread_mutex_lock(&l->lock);
		ret = (a->to && r.next > a->to) ? 0 : find_segment(&r);
		pthread_mutex_unlock(&l->lock);
		if (ret > 0)
			ret = read_on(&r);
	} while (ret > 0);
	a->next = r.next;
	return ret;
}
