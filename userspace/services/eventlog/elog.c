// SPDX-License-Identifier: Apache-2.0
/* Appending, syncing, truncating. */
#include "elog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define UNSYNCED_MAX	16u	/* segments; then appends wait for the disk */

void elog_say(struct elog *l, enum nexus_service_level level, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!l->opts.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	l->opts.log(l->opts.arg, level, line);
}

void elog_name(char name[ELOG_NAME_MAX], uint64_t first)
{
	snprintf(name, ELOG_NAME_MAX, "wal-%016llx.seg", (unsigned long long)first);
}

int elog_write(int fd, const void *buf, size_t len, uint64_t offset)
{
	const uint8_t *p = buf;
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int elog_put_state(struct elog *l, uint64_t reserved, uint64_t first, bool clean)
{
	struct log_state st = {
		.reserved = reserved, .first = first, .clean = clean,
		.last = clean ? l->last : l->synced,
	};
	uint8_t buf[STATE_SIZE];
	int fd, ret;

	memcpy(st.id, l->id, sizeof(st.id));
	log_state_put(buf, &st);
	fd = openat(l->dirfd, "state.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = elog_write(fd, buf, sizeof(buf), 0);
	if (!ret && fdatasync(fd))
		ret = -errno;
	close(fd);
	if (!ret && (renameat(l->dirfd, "state.new", l->dirfd, "state") || fsync(l->dirfd)))
		ret = -errno;
	if (ret)
		return ret;
	l->reserved = reserved;
	l->first = first;
	return 0;
}

struct elog_segment *elog_add(struct elog *l, uint64_t first)
{
	struct elog_segment *segs;
	size_t room;

	if (l->nsegs == l->room) {
		room = l->room ? l->room * 2 : 16;
		segs = realloc(l->segs, room * sizeof(*segs));
		if (!segs)
			return NULL;
		l->segs = segs;
		l->room = room;
	}
	segs = &l->segs[l->nsegs++];
	*segs = (struct elog_segment){ .first = first, .bytes = SEG_HEAD_SIZE, .fd = -1 };
	return segs;
}

/* ---- sync -------------------------------------------------------------------------- */

static int sync_files(const int *fds, size_t n, int dirfd)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fdatasync(fds[i]))
			return -errno;
	return dirfd >= 0 && fsync(dirfd) ? -errno : 0;
}

/*
 * The files that the disk does not have, oldest first; the one that is written
 * only when it takes that to get to @seq.  *@last: how far they lead.
 */
static size_t unsynced(struct elog *l, uint64_t seq, int fds[UNSYNCED_MAX + 1], uint64_t *last)
{
	size_t i, n = 0;

	*last = l->synced;
	for (i = 0; i < l->nsegs && *last < seq; i++) {
		if (l->segs[i].last > *last)
			*last = l->segs[i].last;
		if (l->segs[i].fd >= 0 && n <= UNSYNCED_MAX)
			fds[n++] = l->segs[i].fd;
	}
	return n;
}

/* Sealed ones are not written again. */
static void close_synced(struct elog *l)
{
	size_t i;

	for (i = 0; i + 1 < l->nsegs; i++)
		if (l->segs[i].fd >= 0 && l->segs[i].last <= l->synced) {
			close(l->segs[i].fd);
			l->segs[i].fd = -1;
		}
}

/*
 * Until @seq is on disk.  One syncs for all who wait meanwhile.  Lock held, left
 * while it does.
 */
int elog_sync_to(struct elog *l, uint64_t seq)
{
	int fds[UNSYNCED_MAX + 1], ret;
	uint64_t last;
	size_t n;
	bool dir;

	while (l->synced < seq) {
		if (l->failed)
			return -EIO;
		if (l->syncing) {
			pthread_cond_wait(&l->cond, &l->lock);
			continue;
		}
		l->syncing = true;
		dir = l->dir_dirty;
		l->dir_dirty = false;
		n = unsynced(l, seq, fds, &last);
		pthread_mutex_unlock(&l->lock);
		ret = sync_files(fds, n, dir ? l->dirfd : -1);
		pthread_mutex_lock(&l->lock);
		l->syncing = false;
		if (ret) {
			/* What the system has dropped it does not tell a second time. */
			l->failed = true;
			elog_say(l, NEXUS_SERVICE_ERROR,
				 "the log cannot be made durable, it can only be read now: %s", strerror(-ret));
		} else {
			l->synced = last;
			close_synced(l);
		}
		pthread_cond_broadcast(&l->cond);
		if (ret)
			return -EIO;
	}
	return 0;
}

static size_t sealed_unsynced(const struct elog *l)
{
	size_t i, n = 0;

	for (i = 0; i + 1 < l->nsegs; i++)
		n += l->segs[i].fd >= 0;
	return n;
}

/* Of all segments but the one that is written. */
static uint64_t sealed_last(const struct elog *l)
{
	return l->nsegs > 1 ? l->segs[l->nsegs - 2].last : 0;
}

static void *keep(void *arg)
{
	struct elog *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->over) {
		if (!l->failed && l->synced < sealed_last(l) && sealed_unsynced(l))
			elog_sync_to(l, sealed_last(l));
		else
			pthread_cond_wait(&l->cond, &l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int elog_sync(struct elog *l)
{
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = elog_sync_to(l, l->last);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

/* ---- append ------------------------------------------------------------------------- */

static int check_batch(const struct nexus_eventlog_append_args *a, size_t *bytes)
{
	uint64_t sum = 0;
	uint32_t i;

	if (!a->count || a->durability > NEXUS_EVENTLOG_SYNC)
		return -EINVAL;
	if (a->count > NEXUS_EVENTLOG_BATCH_MAX)
		return -EMSGSIZE;
	*bytes = 0;
	for (i = 0; i < a->count; i++) {
		const struct nexus_eventlog_record *r = &a->records[i];

		if (r->zone_len > NEXUS_EVENTLOG_ZONE_MAX || r->data_len > NEXUS_EVENTLOG_DATA_MAX)
			return -EMSGSIZE;
		sum += (uint64_t)r->zone_len + r->data_len;
		*bytes += rec_size(r->zone_len, r->data_len);
	}
	return sum > NEXUS_EVENTLOG_BATCH_BYTES ? -EMSGSIZE : 0;
}

static void encode(struct elog *l, struct nexus_eventlog_append_args *a, uint8_t *buf)
{
	uint32_t i;

	for (i = 0; i < a->count; i++) {
		struct nexus_eventlog_record *r = &a->records[i];
		struct rec rec = {
			.seq = l->next + i, .synced = l->synced, .zone = r->zone, .data = r->data,
			.data_len = r->data_len, .zone_len = (uint16_t)r->zone_len,
			.flags = i == a->count - 1 ? REC_LAST : 0,
		};

		rec_put(buf, l->salt, &rec);
		buf += rec_size(r->zone_len, r->data_len);
	}
}

/* A new segment, empty.  On an error the one before is still what it was. */
static int begin_segment(struct elog *l)
{
	struct seg_head head = { .first = l->next, .prev = l->last, .synced = l->synced };
	uint8_t buf[SEG_HEAD_SIZE];
	char name[ELOG_NAME_MAX];
	struct elog_segment *seg;
	int fd, ret;

	memcpy(head.id, l->id, sizeof(head.id));
	seg_head_put(buf, &head);
	elog_name(name, head.first);
	fd = openat(l->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = elog_write(fd, buf, sizeof(buf), 0);
	seg = ret ? NULL : elog_add(l, head.first);
	if (!seg) {
		unlinkat(l->dirfd, name, 0);
		close(fd);
		return ret ? ret : -ENOMEM;
	}
	seg->fd = fd;
	seg->begun = elog_now(l);
	l->active = true;
	atomic_store(&l->rolled, true);
	l->dir_dirty = true;
	if (!l->syncing)
		close_synced(l);
	pthread_cond_broadcast(&l->cond);
	return 0;
}

/* An empty segment that got no record, for want of room. */
static void end_segment(struct elog *l)
{
	struct elog_segment *seg = &l->segs[l->nsegs - 1];
	char name[ELOG_NAME_MAX];

	elog_name(name, seg->first);
	unlinkat(l->dirfd, name, 0);
	close(seg->fd);
	l->nsegs--;
	l->active = false;
}

/* Room for @bytes and @count numbers.  Lock held, left while it waits. */
static int make_room(struct elog *l, size_t bytes, uint32_t count)
{
	struct elog_segment *seg;
	int ret;

	while (!l->failed && sealed_unsynced(l) >= UNSYNCED_MAX) {
		ret = elog_sync_to(l, sealed_last(l));
		if (ret)
			return ret;
	}
	if (l->failed)
		return -EIO;
	if (l->next + count > l->reserved) {
		ret = elog_put_state(l, l->next + count + l->opts.reserve, l->first, false);
		if (ret)
			return ret;
	}
	seg = l->active ? &l->segs[l->nsegs - 1] : NULL;
	if (seg && (!seg->last || seg->bytes + bytes <= l->opts.segment_size))
		return 0;
	return begin_segment(l);
}

static int append_locked(struct elog *l, struct nexus_eventlog_append_args *a, uint8_t *buf,
			 size_t bytes)
{
	struct elog_segment *seg;
	uint32_t i;
	int ret;

	ret = make_room(l, bytes, a->count);
	if (ret)
		return ret;
	seg = &l->segs[l->nsegs - 1];
	encode(l, a, buf);
	ret = elog_write(seg->fd, buf, bytes, seg->bytes);
	if (ret) {
		if (ftruncate(seg->fd, (off_t)seg->bytes)) {
			l->failed = true;
			elog_say(l, NEXUS_SERVICE_ERROR,
				 "half an append cannot be taken back, the log can only be read now: %s",
				 strerror(errno));
		} else if (!seg->last && !l->syncing) {
			end_segment(l);
		}
		return ret;
	}
	a->first = l->next;
	for (i = 0; i < a->count; i++)
		a->records[i].seq = l->next++;
	a->last = l->last = l->next - 1;
	seg->last = l->last;
	seg->bytes += bytes;
	seg->written = elog_now(l);
	return a->durability == NEXUS_EVENTLOG_SYNC ? elog_sync_to(l, a->last) : 0;
}

int elog_append(struct elog *l, struct nexus_eventlog_append_args *a)
{
	uint8_t *buf;
	size_t bytes;
	int ret;

	ret = check_batch(a, &bytes);
	if (ret)
		return ret;
	buf = malloc(bytes);
	if (!buf)
		return -ENOMEM;
	pthread_mutex_lock(&l->lock);
	ret = append_locked(l, a, buf, bytes);
	pthread_mutex_unlock(&l->lock);
	free(buf);
	return ret;
}

/* ---- truncate, state ------------------------------------------------------------------ */

int elog_truncate(struct elog *l, struct nexus_eventlog_truncate_args *a)
{
	char name[ELOG_NAME_MAX];
	size_t n = 0;
	int ret = 0;

	a->files = 0;
	pthread_mutex_lock(&l->lock);
	if (a->before > l->next)
		ret = -ERANGE;
	else if (a->before > l->first)
		ret = elog_put_state(l, l->reserved, a->before, false);
	/* What is to be synced is still needed for that. */
	while (!ret && n < l->nsegs && l->segs[n].last < a->before && l->segs[n].fd < 0) {
		elog_name(name, l->segs[n].first);
		if (unlinkat(l->dirfd, name, 0) && errno != ENOENT) {
			ret = -errno;
			break;
		}
		n++;
	}
	if (n)
		memmove(l->segs, l->segs + n, (l->nsegs - n) * sizeof(*l->segs));
	l->nsegs -= n;
	a->files = n;
	pthread_mutex_unlock(&l->lock);
	return ret;
}

void elog_state(struct elog *l, struct nexus_eventlog_state *st)
{
	size_t i;

	pthread_mutex_lock(&l->lock);
	*st = (struct nexus_eventlog_state){
		.first = l->first, .last = l->last, .next = l->next, .synced = l->synced,
		.files = l->nsegs, .cut = l->cut, .failed = l->failed,
	};
	for (i = 0; i < l->nsegs; i++) {
		st->bytes += l->segs[i].bytes;
		st->damaged += l->segs[i].damaged;
	}
	pthread_mutex_unlock(&l->lock);
}

/* ---- open, close ------------------------------------------------------------------------ */

static void free_all(struct elog *l)
{
	size_t i;

	for (i = 0; i < l->nsegs; i++)
		if (l->segs[i].fd >= 0)
			close(l->segs[i].fd);
	free(l->segs);
	if (l->lockfd >= 0)
		close(l->lockfd);
	close(l->dirfd);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
}

int elog_open(struct elog *l, int dirfd, const struct elog_opts *opts)
{
	int ret;

	*l = (struct elog){ .opts = *opts, .dirfd = dirfd, .first = 1, .next = 1 };
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	l->lockfd = openat(dirfd, "LOCK", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (l->lockfd < 0 || flock(l->lockfd, LOCK_EX | LOCK_NB))
		ret = errno == EWOULDBLOCK ? -EAGAIN : -errno;
	else
		ret = elog_recover(l);
	if (!ret)
		ret = -pthread_create(&l->keeper, NULL, keep, l);
	l->keeping = !ret;
	if (ret)
		free_all(l);
	return ret;
}

static void end_keeper(struct elog *l)
{
	pthread_mutex_lock(&l->lock);
	l->over = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
	if (l->keeping)
		pthread_join(l->keeper, NULL);
}

int elog_close(struct elog *l)
{
	int ret;

	end_keeper(l);
	pthread_mutex_lock(&l->lock);
	ret = elog_sync_to(l, l->last);
	if (!ret)
		ret = elog_put_state(l, l->next, l->first, true);
	pthread_mutex_unlock(&l->lock);
	free_all(l);
	return ret;
}

void elog_abandon(struct elog *l)
{
	end_keeper(l);
	free_all(l);
}
