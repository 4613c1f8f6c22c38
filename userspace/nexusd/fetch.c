// SPDX-License-Identifier: Apache-2.0
/*
 * Fetching.
 *
 * The table of a pack says which of its blocks are away.  The unit is a piece of 1 MiB:
 * whoever asks for a block gets its piece, and who asks for the piece meanwhile waits
 * for the same.  So many bytes are in flight at most; who finds them used up waits.
 * A reader that goes on into the next piece has those that follow fetched ahead (readon.h).
 *
 * The order is what makes a crash harmless: data, flush, lines of the table, the
 * kernel.  Until the lines are on disk the blocks are away, however much of them is in
 * the file; they are then fetched again.
 *
 * What a block should be its line says.  A driver that gives less, or something else,
 * has the good blocks of a piece taken and the others stay away.
 */
#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "evictor.h"
#include "helper.h"
#include "origin.h"
#include "presence.h"
#include "space.h"
#include "stats.h"
#include "upload.h"

#define PIECE_BYTES	((u64)FETCH_PIECE << NEXUS_BLOCK_SHIFT)
#define SAY_NS		200000000ull	/* between two lines of the log */
#define PIECE_WORDS	(FETCH_PIECE / 64u)
#define AHEAD_SHARE	8u		/* of cache_limit: one reader's */

/* ---- one piece --------------------------------------------------------------- */

struct piece {
	u64 pack;
	int fd;
	u32 first, n;			/* blocks */
	struct nexus_pack_line *line;	/* of each */
	u8 *data;
	u64 good[PIECE_WORDS];		/* got and checked */
	u64 here[PIECE_WORDS];		/* to be told to the kernel */
};

static int open_piece(struct fetch *f, struct piece *p)
{
	struct zone *z = f->z;
	struct nexus_pack_head head;
	u32 blocks;
	void *buf;
	int ret;

	p->fd = z->os->drv->open_pack(z->os, p->pack, true, &blocks);
	if (p->fd < 0)
		return p->fd;
	ret = -EINVAL;
	if (p->first >= blocks)
		goto close_fd;
	p->n = NEXUS_MIN(FETCH_PIECE, blocks - p->first);
	/* A damaged one is for scrub; another pack's file is not to be written to. */
	ret = pack_read_head(p->fd, z->sb.uuid, p->pack, blocks, &head);
	if (ret && ret != -EUCLEAN)
		goto close_fd;
	ret = -ENOMEM;
	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, PIECE_BYTES +
			   FETCH_PIECE * sizeof(struct nexus_pack_line)))
		goto close_fd;
	p->data = buf;
	p->line = (void *)(p->data + PIECE_BYTES);
	ret = pack_lines_read(p->fd, p->first, p->n, p->line);
	if (!ret)
		return 0;
	free(p->data);
close_fd:
	close(p->fd);
	return ret;
}

static void close_piece(struct piece *p)
{
	free(p->data);
	close(p->fd);
}

/* The blocks that are away lie in [*from, *end). */
static bool away_span(const struct piece *p, u32 *from, u32 *end)
{
	u32 i;

	*from = p->n;
	*end = 0;
	for (i = 0; i < p->n; i++) {
		if (!pack_line_away(&p->line[i], p->pack))
			continue;
		*from = NEXUS_MIN(*from, i);
		*end = i + 1;
	}
	return *end;
}

static void say_bad(struct fetch *f, const struct piece *p, u32 i, const char *what)
{
	const struct nexus_pack_line *line = &p->line[i];
	u64 now = space_clock();
	bool quiet;

	stats_inc(fetch_errors);
	/* Whoever reads it again and again is not to fill the log. */
	pthread_mutex_lock(&f->lock);
	quiet = f->said_at && now - f->said_at < SAY_NS;
	if (!quiet)
		f->said_at = now;
	pthread_mutex_unlock(&f->lock);
	if (quiet)
		return;
	log_error("zone %s: pack %llu at block %u (inode %llu, offset %llu): %s %s",
		  f->z->name, p->pack, p->first + i, (u64)le64_to_cpu(line->ino),
		  (u64)le64_to_cpu(line->offset) & ~(u64)(NEXUS_BLOCK_SIZE - 1),
		  f->content ? f->content->ops->name : "content", what);
}

/* Blocks [from, end) of the piece are in the buffer, as far as @got bytes go. */
static int check(struct fetch *f, struct piece *p, u32 from, u32 end, u64 got)
{
	int ret = 0;
	u32 i;

	for (i = from; i < end; i++) {
		if (!pack_line_away(&p->line[i], p->pack))
			continue;
		if ((u64)(i - from + 1) << NEXUS_BLOCK_SHIFT > got) {
			say_bad(f, p, i, "gave less than the pack has");
			return -EIO;
		}
		if (nexus_crc32c(0, p->data + ((size_t)i << NEXUS_BLOCK_SHIFT),
				 NEXUS_BLOCK_SIZE) == le32_to_cpu(p->line[i].crc)) {
			bit_set(p->good, i);
			continue;
		}
		/* One line is enough for what may be a whole piece. */
		if (!ret)
			say_bad(f, p, i, "gave something else: its checksum is wrong");
		ret = -EIO;
	}
	return ret;
}

static int get(struct fetch *f, struct piece *p, u32 from, u32 end)
{
	struct content *c = f->content;
	ssize_t n;

	if (!c) {
		say_bad(f, p, from, "is not configured, and only there it is");
		return -ENODATA;
	}
	n = c->ops->get(c, p->pack, (u64)(p->first + from) << NEXUS_BLOCK_SHIFT,
			p->data + ((size_t)from << NEXUS_BLOCK_SHIFT),
			(size_t)(end - from) << NEXUS_BLOCK_SHIFT);
	if (n == -ESHUTDOWN)
		return -ESHUTDOWN;
	if (n < 0) {
		say_bad(f, p, from, strerror((int)-n));
		return (int)n;
	}
	stats_inc(fetches);
	stats_add(fetched_bytes, (u64)n);
	return check(f, p, from, end, (u64)n);
}

static int write_good(struct piece *p)
{
	bool any = false;
	u32 i, from;

	for (i = 0; i < p->n; i++) {
		size_t len;
		ssize_t n;

		if (!bit_get(p->good, i))
			continue;
		for (from = i; i < p->n && bit_get(p->good, i); i++)
			;
		len = (size_t)(i - from) << NEXUS_BLOCK_SHIFT;
		n = pwrite(p->fd, p->data + ((size_t)from << NEXUS_BLOCK_SHIFT), len,
			   (off_t)(p->first + from) << NEXUS_BLOCK_SHIFT);
		if (n != (ssize_t)len)
			return n < 0 ? -errno : -ENOSPC;
		any = true;
	}
	if (any && fdatasync(p->fd))
		return -errno;
	return 0;
}

/* All that is in the file by now: the kernel may not have heard of it before. */
static int tell(struct fetch *f, struct piece *p)
{
	struct nexus_pack_range range[FETCH_PIECE];
	struct nexus_retire r = {
		.zone = f->z->id, .pack = p->pack, .ranges = (u64)(uintptr_t)range,
	};
	u32 i, from;
	int ret;

	for (i = 0; i < p->n; i++) {
		if (!bit_get(p->here, i))
			continue;
		for (from = i; i < p->n && bit_get(p->here, i); i++)
			;
		range[r.nr++] = (struct nexus_pack_range){ p->first + from, i - from };
	}
	if (!r.nr)
		return 0;
	ret = chan_ioctl(f->z->chan, NEXUS_IOC_PRESENT, &r);
	/* It learns it when it is given the pack. */
	return ret == -ENXIO ? 0 : ret;
}

static u64 good_bytes(const struct piece *p)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < p->n; i++)
		n += bit_get(p->good, i);
	return n << NEXUS_BLOCK_SHIFT;
}

static int fetch_piece(struct fetch *f, const struct fetch_op *op)
{
	struct piece p = { .pack = op->pack, .first = op->first };
	u64 pack = op->pack;
	u32 i, from, end;
	bool any;
	int ret, err;

	ret = open_piece(f, &p);
	if (ret) {
		log_error("zone %s: pack %llu at block %u cannot be fetched to its file: %s",
			  f->z->name, pack, p.first, strerror(-ret));
		return ret;
	}
	any = away_span(&p, &from, &end);
	if (any)
		ret = get(f, &p, from, end);
	err = write_good(&p);
	if (!err)
		err = pack_lines_here(p.fd, pack, p.first, p.n, p.good);
	for (i = 0; !err && i < p.n; i++)
		if (pack_line_is(&p.line[i], pack) && p.line[i].ino &&
		    (!pack_line_absent(&p.line[i], pack) || bit_get(p.good, i)))
			bit_set(p.here, i);
	if (!err && !op->quiet)
		err = tell(f, &p);
	if (any && !err)
		zone_evictor_used(f->z, pack, good_bytes(&p));
	if (err)
		log_error("zone %s: pack %llu at block %u cannot be written to its file: %s",
			  f->z->name, pack, p.first, strerror(-err));
	close_piece(&p);
	return ret ? ret : err;
}

/* ---- who fetches what -------------------------------------------------------- */

static struct fetch_op *find_op(struct fetch *f, u64 pack, u32 first)
{
	struct fetch_op *op;

	for (op = f->ops; op; op = op->next)
		if (op->pack == pack && op->first == first)
			return op;
	return NULL;
}

/* lock held. */
static void put_op(struct fetch_op *op)
{
	if (!--op->waiters)
		free(op);
}

/* lock held: somebody else's. */
static int wait_op(struct fetch *f, struct fetch_op *op)
{
	int ret;

	stats_inc(fetch_shared);
	op->waiters++;
	while (!op->over && !atomic_load(&f->stop))
		pthread_cond_wait(&f->cond, &f->lock);
	ret = op->over ? op->ret : -ESHUTDOWN;
	put_op(op);
	return ret;
}

/* lock held. */
static bool room(const struct fetch *f)
{
	return !f->bytes || f->bytes + PIECE_BYTES <= f->z->cfg->fetch_limit;
}

/* lock held: takes the piece; NULL with 0: somebody else has it done. */
static int begin_op(struct fetch *f, u64 pack, u32 first, bool ahead, struct fetch_op **out)
{
	struct fetch_op *op;
	bool quiet;
	int ret;

	*out = NULL;
	for (;;) {
		if (atomic_load(&f->stop))
			return -ESHUTDOWN;
		op = find_op(f, pack, first);
		if (op && ahead)
			return 0;
		if (op) {
			quiet = op->quiet;
			ret = wait_op(f, op);
			if (ret || !quiet)
				return ret;
			/* It is here, and now to be told. */
			continue;
		}
		if (f->evicting != pack && (ahead || room(f)))
			break;
		if (ahead)
			return 0;
		pthread_cond_wait(&f->cond, &f->lock);
	}
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	op->pack = pack;
	op->first = first;
	op->waiters = 1;
	op->next = f->ops;
	f->ops = op;
	*out = op;
	return 0;
}

/* lock held. */
static void end_op(struct fetch *f, struct fetch_op *op, int ret)
{
	struct fetch_op **at;

	for (at = &f->ops; *at != op; at = &(*at)->next)
		;
	*at = op->next;
	op->over = true;
	op->ret = ret;
	put_op(op);
	pthread_cond_broadcast(&f->cond);
}

/* lock held. */
static void take_bytes(struct fetch *f, u64 bytes)
{
	f->bytes += bytes;
	f->bytes_max = NEXUS_MAX(f->bytes_max, f->bytes);
}

/* lock held, and given up meanwhile. */
static int run_op(struct fetch *f, struct fetch_op *op)
{
	int ret;

	pthread_mutex_unlock(&f->lock);
	ret = fetch_piece(f, op);
	pthread_mutex_lock(&f->lock);
	end_op(f, op, ret);
	return ret;
}

static int do_piece(struct fetch *f, u64 pack, u32 first)
{
	struct fetch_op *op;
	int ret;

	pthread_mutex_lock(&f->lock);
	ret = begin_op(f, pack, first, false, &op);
	if (op) {
		take_bytes(f, PIECE_BYTES);
		ret = run_op(f, op);
		f->bytes -= PIECE_BYTES;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

/* ---- ahead ------------------------------------------------------------------- */

struct ahead {
	struct zone *z;
	u64 pack;
	u32 first;
	bool quiet;
};

/* Its bytes are taken already. */
static void ahead_job(void *arg)
{
	struct ahead *a = arg;
	struct fetch *f = a->z->fetch;
	struct fetch_op *op;

	pthread_mutex_lock(&f->lock);
	if (!begin_op(f, a->pack, a->first, true, &op) && op) {
		op->quiet = a->quiet;
		run_op(f, op);
	}
	f->bytes -= PIECE_BYTES;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	zone_put(a->z);
	free(a);
}

/* lock held: somebody waits for none of it. */
static void fetch_ahead(struct fetch *f, u64 pack, const struct readon_ahead *ahead)
{
	struct helper *h = f->z->helper;
	struct ahead *a;
	u64 first;

	for (first = ahead->from; h && h->fetchers && first < ahead->to; first += FETCH_PIECE) {
		a = malloc(sizeof(*a));
		if (!a)
			return;
		*a = (struct ahead){ f->z, pack, (u32)first, first == ahead->trip };
		zone_get(f->z);
		if (!workers_add(h->fetchers, zone_work_key(f->z->id), ahead_job, a)) {
			take_bytes(f, PIECE_BYTES);
			continue;
		}
		zone_put(f->z);
		free(a);
	}
}

/* Blocks that may be ahead of one reader. */
static u64 ahead_most(const struct config *cfg)
{
	u64 most = cfg->fetch_ahead;

	/* What is fetched is not to go again before it was read. */
	if (cfg->cache_limit)
		most = NEXUS_MIN(most, cfg->cache_limit / AHEAD_SHARE);
	return most >> NEXUS_BLOCK_SHIFT;
}

/* Blocks [from, end) of @pack are asked for: their pieces will be here. */
static void read_on(struct fetch *f, u64 pack, u32 from, u64 end)
{
	const struct config *cfg = f->z->cfg;
	struct readon_ask ask = {
		.id = pack, .at = from, .end = (end + FETCH_PIECE - 1) & ~(u64)(FETCH_PIECE - 1),
		.size = super_pack_blocks(&f->z->sb), .most = ahead_most(cfg), .chained = true,
	};
	struct readon_ahead ahead;

	if (!f->content)
		return;
	pthread_mutex_lock(&f->lock);
	/* Half of what may be in flight is for those who wait. */
	if (f->bytes < cfg->fetch_limit / 2)
		ask.room = (cfg->fetch_limit / 2 - f->bytes) >> NEXUS_BLOCK_SHIFT;
	if (readon_next(&f->readers, &ask, &ahead))
		fetch_ahead(f, pack, &ahead);
	pthread_mutex_unlock(&f->lock);
}

/* The blocks of a valid request. */
static int fetch_blocks(struct fetch *f, u64 pack, u32 from, u64 end)
{
	int err, ret = 0;
	u64 at;

	for (at = from; at < end; at += FETCH_PIECE) {
		err = do_piece(f, pack, (u32)at);
		if (err == -ESHUTDOWN)
			return err;
		ret = ret ? ret : err;
	}
	return ret;
}

int zone_fetch(struct zone *z, u64 pack, u32 block, u32 n)
{
	u32 from = block & ~(FETCH_PIECE - 1);
	u64 end = (u64)block + n;

	if (!z->fetch)
		return -ENODATA;
	if (!n || end > NEXUS_PACK_BLOCKS_MAX)
		return -EINVAL;
	/* First, so that it comes while this is waited for. */
	read_on(z->fetch, pack, from, end);
	return fetch_blocks(z->fetch, pack, from, end);
}

int zone_warm(struct zone *z, u64 pack, u32 block, u32 n, u64 since)
{
	u32 from = block & ~(FETCH_PIECE - 1);
	u64 end = (u64)block + n, bytes;
	int ret;

	if (!z->fetch)
		return -ENODATA;
	if (!n || end > NEXUS_PACK_BLOCKS_MAX)
		return -EINVAL;
	bytes = ((end - 1) / FETCH_PIECE - block / FETCH_PIECE + 1) * PIECE_BYTES;
	if (!zone_evictor_claim(z, pack, bytes, since))
		return -ENOSPC;
	ret = fetch_blocks(z->fetch, pack, from, end);
	zone_evictor_came(z, bytes);
	return ret;
}

/* ---- evicting, and the end --------------------------------------------------- */

static bool busy(const struct fetch *f, u64 pack)
{
	const struct fetch_op *op;

	for (op = f->ops; op; op = op->next)
		if (op->pack == pack)
			return true;
	return false;
}

int zone_fetch_pause(struct zone *z, u64 pack, bool wait)
{
	struct fetch *f = z->fetch;
	int ret = 0;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	f->evicting = pack;
	while (wait && busy(f, pack) && !atomic_load(&f->stop))
		pthread_cond_wait(&f->cond, &f->lock);
	if (busy(f, pack))
		ret = wait ? -ESHUTDOWN : -EBUSY;
	if (ret)
		f->evicting = 0;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	return ret;
}

void zone_fetch_resume(struct zone *z)
{
	struct fetch *f = z->fetch;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->evicting = 0;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

void zone_fetch_forget(struct zone *z, u64 pack)
{
	/* As long as a checkpoint may name it, its copy stays; else nobody here waits for its end. */
	if (!origin_forget(z, pack) && z->upload)
		zone_upload_forget(z, pack);
}

void zone_fetch_bytes(struct zone *z, u64 *now, u64 *max)
{
	struct fetch *f = z->fetch;

	*now = 0;
	*max = 0;
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	*now = f->bytes;
	*max = f->bytes_max;
	pthread_mutex_unlock(&f->lock);
}

int zone_fetch_start(struct zone *z)
{
	struct fetch *f = calloc(1, sizeof(*f));
	struct errline err = { "" };
	int ret;

	if (!f)
		return -ENOMEM;
	f->z = z;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	/* What is here can be read all the same. */
	ret = store_open_content(z->cfg, z->dir, z->sb.uuid, &f->stop, &f->content, &err);
	if (ret)
		log_error("zone %s: %s; what is not here cannot be read", z->name, err.msg);
	z->fetch = f;
	return 0;
}

void zone_fetch_stop(struct zone *z)
{
	struct fetch *f = z->fetch;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->stop, true);
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

void zone_fetch_free(struct zone *z)
{
	struct fetch *f = z->fetch;

	if (!f)
		return;
	content_close(f->content);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
	free(f);
	z->fetch = NULL;
}
