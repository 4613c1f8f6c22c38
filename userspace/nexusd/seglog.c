// SPDX-License-Identifier: Apache-2.0
#include "seglog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/hostfile.h"

#define WINDOW	(2ul * NEXUS_BATCH_BYTES_MAX)

void seglog_name(char name[16], u32 index)
{
	snprintf(name, 16, "%06u.seg", index % 1000000);
}

int seglog_open(struct seglog *log, const char *dir, const u8 *uuid)
{
	int ret;

	memset(log, 0, sizeof(*log));
	memcpy(log->uuid, uuid, sizeof(log->uuid));
	log->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log->dirfd < 0)
		return -errno;
	if (posix_memalign((void **)&log->window, NEXUS_BLOCK_SIZE, WINDOW)) {
		ret = -ENOMEM;
		goto close_dir;
	}
	ret = seglog_scan(log);
	if (ret) {
		seglog_close(log);
		return ret;
	}
	return 0;

close_dir:
	close(log->dirfd);
	log->dirfd = -1;
	return ret;
}

void seglog_close(struct seglog *log)
{
	size_t i;

	for (i = 0; i < log->nfiles; i++)
		close(log->files[i].fd);
	free(log->files);
	free(log->window);
	if (log->dirfd >= 0)
		close(log->dirfd);
	memset(log, 0, sizeof(*log));
	log->dirfd = -1;
}

/*
 * Reads up to @len bytes; a bad spot ends the stretch before it, so that one
 * bad sector hides no more than its block.  @error is the disk's, or 0.
 */
static size_t read_stretch(int fd, u8 *buf, size_t len, u64 off, int *error)
{
	size_t got = 0;
	size_t step = len;

	*error = 0;

	while (got < len) {
		size_t want = step < len - got ? step : len - got;
		ssize_t n = pread(fd, buf + got, want, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && step > NEXUS_BLOCK_SIZE) {
			step = NEXUS_BLOCK_SIZE;
			continue;
		}
		if (n < 0)
			*error = -errno;
		if (n <= 0)
			break;
		got += (size_t)n;
		if ((size_t)n % NEXUS_BLOCK_SIZE)
			break;
	}
	return got;
}

static void fill_window(struct seglog *log, struct seg_file *f, u64 off)
{
	log->window_file = f;
	log->window_off = off;
	log->window_len = read_stretch(f->fd, log->window, WINDOW, off, &log->window_error);
}

static bool in_window(const struct seglog *log, const struct seg_file *f, u64 off,
		      size_t len)
{
	return log->window_file == f && off >= log->window_off &&
	       off + len <= log->window_off + log->window_len;
}

static void read_head(struct seglog *log, struct seg_file *f)
{
	struct nexus_batch_head head;

	f->used = false;
	f->foreign = false;
	if (log->window_file == f)
		log->window_file = NULL;
	if (read_stretch(f->fd, log->window, NEXUS_BLOCK_SIZE, 0, &f->error) < NEXUS_BLOCK_SIZE)
		goto out;
	memcpy(&head, log->window, sizeof(head));
	if (le64_to_cpu(head.magic) != NEXUS_BATCH_MAGIC || le32_to_cpu(head.block))
		goto out;
	f->foreign = memcmp(head.zone, log->uuid, sizeof(head.zone));
	if (f->foreign)
		goto out;
	f->used = true;
	f->number = le64_to_cpu(head.segment);
	f->first_lsn = le64_to_cpu(head.first_lsn);
	f->incarnation = le64_to_cpu(head.incarnation);
out:
	log->window_file = NULL;
}

static bool known(const struct seglog *log, u32 index)
{
	size_t i;

	for (i = 0; i < log->nfiles; i++)
		if (log->files[i].index == index)
			return true;
	return false;
}

static int add_file(struct seglog *log, const char *name, u32 index)
{
	struct seg_file *more;
	struct stat st;
	int fd, ret;

	fd = hostfile_open(log->dirfd, name, O_RDONLY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st)) {
		ret = -errno;
		goto close_fd;
	}
	more = realloc(log->files, (log->nfiles + 1) * sizeof(*more));
	if (!more) {
		ret = -ENOMEM;
		goto close_fd;
	}
	log->files = more;
	more[log->nfiles++] = (struct seg_file){
		.index = index, .fd = fd, .size = (u64)st.st_size,
	};
	return 0;

close_fd:
	close(fd);
	return ret;
}

static int compare_files(const void *a, const void *b)
{
	const struct seg_file *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

int seglog_scan(struct seglog *log)
{
	struct dirent *de;
	char want[16];
	int fd, ret = 0;
	size_t i;
	DIR *dir;

	/* Files may move in memory, and what the window held may be old. */
	log->window_file = NULL;
	fd = openat(log->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (!ret && (de = readdir(dir))) {
		u32 index = (u32)strtoul(de->d_name, NULL, 10);

		seglog_name(want, index);
		if (!strcmp(want, de->d_name) && !known(log, index))
			ret = add_file(log, de->d_name, index);
	}
	closedir(dir);
	if (ret)
		return ret;
	if (log->nfiles)
		qsort(log->files, log->nfiles, sizeof(*log->files), compare_files);
	for (i = 0; i < log->nfiles; i++)
		read_head(log, &log->files[i]);
	return 0;
}

void seglog_forget(struct seglog *log, u32 index)
{
	size_t i;

	for (i = 0; i < log->nfiles; i++) {
		if (log->files[i].index != index)
			continue;
		close(log->files[i].fd);
		log->nfiles--;
		memmove(&log->files[i], &log->files[i + 1],
			(log->nfiles - i) * sizeof(*log->files));
		break;
	}
	log->window_file = NULL;
}

u64 seglog_max_number(const struct seglog *log)
{
	u64 max = 0;
	size_t i;

	for (i = 0; i < log->nfiles; i++)
		if (log->files[i].used && log->files[i].number > max)
			max = log->files[i].number;
	return max;
}

u32 seglog_count(const struct seglog *log, u64 size)
{
	u32 n = 0;
	size_t i;

	for (i = 0; i < log->nfiles; i++)
		n += log->files[i].size == size && !log->files[i].foreign;
	return n;
}

u32 seglog_next_index(const struct seglog *log)
{
	return log->nfiles ? log->files[log->nfiles - 1].index + 1 : 0;
}

struct seg_file *seglog_find(const struct seglog *log, u64 incarnation, u64 lsn)
{
	struct seg_file *best = NULL;
	size_t i;

	for (i = 0; i < log->nfiles; i++) {
		struct seg_file *f = &log->files[i];

		if (!f->used || f->incarnation != incarnation || f->first_lsn > lsn)
			continue;
		if (!best || f->first_lsn > best->first_lsn ||
		    (f->first_lsn == best->first_lsn && f->number > best->number))
			best = f;
	}
	return best;
}

struct seg_file *seglog_by_number(const struct seglog *log, u64 incarnation, u64 number)
{
	size_t i;

	for (i = 0; i < log->nfiles; i++) {
		struct seg_file *f = &log->files[i];

		if (f->used && f->incarnation == incarnation && f->number == number)
			return f;
	}
	return NULL;
}

static void decode(struct seg_batch *b, const u8 *p)
{
	struct nexus_batch_head h;

	memcpy(&h, p, sizeof(h));
	b->lsn = le64_to_cpu(h.first_lsn);
	b->length = le32_to_cpu(h.length);
	b->end = b->lsn + b->length;
	b->durable = le64_to_cpu(h.durable);
	b->incarnation = le64_to_cpu(h.incarnation);
	b->segment = le64_to_cpu(h.segment);
	b->block = le32_to_cpu(h.block);
	b->count = le32_to_cpu(h.count);
	b->crc = le32_to_cpu(h.crc);
	b->prev_crc = le32_to_cpu(h.prev_crc);
	b->records = p + sizeof(h);
}

/* True when a batch seems to begin at @p and needs more than @avail bytes. */
static bool cut_off(const u8 *p, size_t avail)
{
	struct nexus_batch_head h;

	memcpy(&h, p, sizeof(h));
	return le64_to_cpu(h.magic) == NEXUS_BATCH_MAGIC &&
	       le32_to_cpu(h.length) <= NEXUS_BATCH_BYTES_MAX &&
	       nexus_batch_size(le32_to_cpu(h.length)) > avail;
}

/*
 * 1 and the batch at @block, checked by itself; 0: there is none; or the disk's error,
 * and @b->length of 0 or the head of the one that cannot be read whole.
 */
static int batch_at(struct seglog *log, struct seg_file *f, u32 block,
		    struct seg_batch *b)
{
	u64 off = (u64)block << NEXUS_BLOCK_SHIFT;
	const u8 *p;
	size_t avail;

	if (!in_window(log, f, off, NEXUS_BLOCK_SIZE))
		fill_window(log, f, off);
	b->length = 0;
	if (!in_window(log, f, off, NEXUS_BLOCK_SIZE))
		return log->window_error;
	p = log->window + (off - log->window_off);
	avail = log->window_len - (size_t)(off - log->window_off);
	if (off != log->window_off && cut_off(p, avail)) {
		fill_window(log, f, off);
		p = log->window;
		avail = log->window_len;
		if (avail < NEXUS_BLOCK_SIZE)
			return log->window_error;
	}
	if (log->window_error && cut_off(p, avail)) {
		decode(b, p);
		return log->window_error;
	}
	if (nexus_batch_check(p, avail, log->uuid))
		return 0;
	decode(b, p);
	return b->block == block;
}

int seg_cursor_seek(struct seg_cursor *c, struct seglog *log, u64 incarnation, u64 lsn)
{
	struct seg_file *f = seglog_find(log, incarnation, lsn);

	memset(c, 0, sizeof(*c));
	c->log = log;
	c->incarnation = incarnation;
	if (!f)
		return -ENOENT;
	c->segment = f->number;
	c->next_lsn = f->first_lsn;
	return 0;
}

static bool belongs(const struct seg_cursor *c, const struct seg_batch *b, u64 segment)
{
	return b->incarnation == c->incarnation && b->segment == segment &&
	       b->lsn == c->next_lsn && (!c->linked || b->prev_crc == c->crc);
}

static int take(struct seg_cursor *c, const struct seg_batch *b)
{
	c->segment = b->segment;
	c->block = b->block + (u32)(nexus_batch_size(b->length) >> NEXUS_BLOCK_SHIFT);
	c->next_lsn = b->end;
	c->crc = b->crc;
	c->linked = true;
	return 1;
}

/* The next batch, if it is at @block of @segment. */
static bool look_at(struct seg_cursor *c, struct seg_batch *b, u64 segment, u32 block)
{
	struct seg_file *f = seglog_by_number(c->log, c->incarnation, segment);
	int ret = f ? batch_at(c->log, f, block, b) : 0;

	if (ret < 0 && (!b->length || belongs(c, b, segment))) {
		c->error = ret;
		c->bad_file = f->index;
		c->bad_block = (u32)((c->log->window_off + c->log->window_len) >>
				     NEXUS_BLOCK_SHIFT);
	}
	return ret == 1 && belongs(c, b, segment);
}

int seg_cursor_next(struct seg_cursor *c, struct seg_batch *b)
{
	c->error = 0;
	if (look_at(c, b, c->segment, c->block))
		return take(c, b);
	if (c->block && look_at(c, b, c->segment + 1, 0))
		return take(c, b);
	return 0;
}

int seglog_walk(struct seglog *log, u64 incarnation,
		int (*fn)(void *arg, const struct seg_batch *b), void *arg)
{
	struct seg_batch b;
	size_t i;
	int ret;

	for (i = 0; i < log->nfiles; i++) {
		struct seg_file *f = &log->files[i];
		u32 blocks = (u32)(f->size >> NEXUS_BLOCK_SHIFT);
		u32 block = 0;

		while (block < blocks) {
			if (batch_at(log, f, block, &b) != 1) {
				block++;
				continue;
			}
			block += (u32)(nexus_batch_size(b.length) >> NEXUS_BLOCK_SHIFT);
			if (b.incarnation != incarnation)
				continue;
			ret = fn(arg, &b);
			if (ret)
				return ret;
		}
	}
	return 0;
}
