// SPDX-License-Identifier: Apache-2.0
/*
 * Eviction: a sealed pack's content goes from here, because it is elsewhere.
 *
 * A pack is taken that the index on disk calls sealed: then no log that could be
 * replayed names data of it.  What is alive must be with the driver, and right: it is
 * got and compared, block by block.  Only whoever keeps a limit (evictor.c) trusts what this
 * zone has put there itself, for the store compared checksums then, and a sealed pack does
 * not change.
 *
 * Then, as for dead blocks: RETIRE, marks, flush, punch, so that neither a reader nor a crash
 * finds zeros; but the head is marked before the lines.  Meanwhile nothing of the pack is
 * fetched; who wants it waits until it is over.
 *
 * A pack with blocks of nodatacow files stays: what is elsewhere would be what they
 * were once, and nothing could tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "origin.h"
#include "space.h"
#include "stats.h"
#include "upload.h"

/* Blocks that are alive and in the file; their bits go to s->gone. */
static u32 choose(struct survey *s)
{
	u32 i, n = 0;

	for (i = s->img.first; i < s->img.blocks; i++) {
		if (!bit_get(s->live, i) || pack_line_absent(&s->img.table[i], s->img.pack))
			continue;
		bit_set(s->gone, i);
		n++;
	}
	return n;
}

static int put(struct content *c, struct survey *s, const char *zone)
{
	bool put;
	int ret = content_put_pack(c, &s->img, &put);

	if (ret && ret != -ESHUTDOWN)
		log_error("zone %s: pack %llu cannot be given to %s: %s", zone, s->img.pack,
			  c->ops->name, content_put_why(ret));
	return ret;
}

static int verify_span(struct content *c, struct survey *s, u32 from, u32 n, u8 *buf)
{
	size_t len = (size_t)n << NEXUS_BLOCK_SHIFT;
	ssize_t got = c->ops->get(c, s->img.pack, (u64)from << NEXUS_BLOCK_SHIFT, buf, len);
	u32 i;

	if (got < 0)
		return (int)got;
	for (i = 0; i < n; i++) {
		if (!bit_get(s->gone, from + i))
			continue;
		if ((size_t)(i + 1) << NEXUS_BLOCK_SHIFT > (size_t)got ||
		    nexus_crc32c(0, buf + ((size_t)i << NEXUS_BLOCK_SHIFT), NEXUS_BLOCK_SIZE) !=
			    le32_to_cpu(s->img.table[from + i].crc))
			return -EUCLEAN;
	}
	return 0;
}

/* Every block that is to go can be got. */
static int verify(struct content *c, struct survey *s, const char *zone)
{
	u8 *buf = malloc((size_t)FETCH_PIECE << NEXUS_BLOCK_SHIFT);
	u32 at, n, end = (u32)(pack_image_bytes(&s->img) >> NEXUS_BLOCK_SHIFT);
	int ret = buf ? 0 : -ENOMEM;

	for (at = s->img.first; !ret && at < end; at += n) {
		n = NEXUS_MIN(FETCH_PIECE, end - at);
		ret = verify_span(c, s, at, n, buf);
		if (ret && ret != -ESHUTDOWN)
			log_error("zone %s: pack %llu is not evicted: what %s has of it from block %u on is not right: %s",
				  zone, s->img.pack, c->ops->name, at,
				  ret == -EUCLEAN ? "its checksum is wrong, or it is short" :
						    strerror(-ret));
	}
	free(buf);
	return ret;
}

/* It is with the driver, and right; nobody puts what is to go from here. */
static int hand_over(struct zone *z, struct survey *s)
{
	struct content *c = z->fetch->content;
	int ret = origin_owns(z) ? zone_upload_hold(z, s->img.pack) : -EROFS;

	if (ret)
		return ret;
	ret = put(c, s, z->name);
	if (!ret)
		ret = verify(c, s, z->name);
	zone_upload_release(z, s->img.pack, !ret);
	return ret;
}

/*
 * Who fetches may have brought some of it back since the survey, so the lines are read again.
 * What they say is away goes with the rest: a crash may have come between them and the
 * punch, and then the kernel may have it as here.  Paused.
 */
static int add_away(struct survey *s)
{
	struct pack_image *img = &s->img;
	int ret = pack_lines_read(img->fd, 0, img->blocks, img->table);
	u32 i;

	for (i = img->first; !ret && i < img->blocks; i++)
		if (pack_line_away(&img->table[i], img->pack))
			bit_set(s->gone, i);
	return ret;
}

/* What goes in any case are @n; what the host gets back of others shows in what the file takes. */
static int punch(struct zone *z, struct survey *s, u32 n, u64 *blocks)
{
	u64 before, after, punched;
	int ret = z->os->drv->taken(z->os, s->img.pack, &before);

	if (ret)
		return ret;
	ret = pack_image_punch(&s->img, s->gone, &punched);
	*blocks = NEXUS_MIN(punched, (u64)n);
	if (!ret && !n)
		ret = z->os->drv->taken(z->os, s->img.pack, &after);
	if (!ret && !n && after < before)
		*blocks = (before - after) >> NEXUS_BLOCK_SHIFT;
	return ret;
}

/* The @n blocks of s->gone, and what is away. */
static int take_out(struct zone *z, struct survey *s, u32 n, u64 *blocks)
{
	int ret = zone_fetch_pause(z, s->img.pack, true);

	if (ret)
		return ret;
	ret = add_away(s);
	if (!ret)
		ret = survey_retire(z, s, NEXUS_RT_EVICT);
	if (!ret)
		ret = pack_image_evict(&s->img, s->gone);
	if (!ret)
		ret = punch(z, s, n, blocks);
	zone_fetch_resume(z);
	return ret;
}

/* What is to go is with the driver, and right. */
static int is_held(struct zone *z, struct survey *s, bool held)
{
	enum upload_mark mark = held ? zone_upload_mark(z, s->img.pack) : MARK_HELD;

	if (mark == MARK_PUT)
		return origin_owns(z) ? 0 : -EROFS;
	return mark == MARK_HELD ? hand_over(z, s) : -ENODATA;
}

static int evict_surveyed(struct zone *z, struct survey *s, bool held, struct evict_done *done)
{
	u64 blocks = 0;
	u32 n;
	int ret;

	if (s->nplain)
		return -ETXTBSY;
	n = choose(s);
	if (!n && !held)
		return 0;
	ret = n ? is_held(z, s, held) : 0;
	if (ret)
		return ret;
	ret = take_out(z, s, n, &blocks);
	done->blocks += blocks;
	if (n) {
		stats_add(evicted_bytes, blocks << NEXUS_BLOCK_SHIFT);
		done->packs += blocks != 0;
	}
	if (ret && ret != -EOPNOTSUPP && ret != -ESHUTDOWN)
		log_error("zone %s: pack %llu cannot be evicted: %s", z->name, s->img.pack,
			  strerror(-ret));
	return ret;
}

int space_evict(struct space *sp, u64 pack, bool held, struct evict_done *done)
{
	struct survey s;
	int ret = survey_begin(&s, sp->z, &sp->index, pack);

	if (ret)
		return ret;
	ret = evict_surveyed(sp->z, &s, held, done);
	survey_end(&s);
	return ret;
}
