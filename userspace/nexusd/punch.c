// SPDX-License-Identifier: Apache-2.0
/*
 * Punching: retire, mark, punch, in this order, so that neither a reader nor a
 * crash ever finds zeros where content is said to be.
 *
 * The kernel has to have the pack, so that it knows what is absent from before
 * anything is.  That it is not handed a pack whose record it has just dropped is
 * what dead_lock is for: it would keep the file for as long as the zone is mounted.
 *
 * In a zone that can be made again from its store, what is dead now may be alive in the
 * checkpoint or the stretch of the log that is on its way there.  So a pack is punched once
 * it was put, whole.
 */
#include "space.h"

#include <errno.h>
#include <string.h>

#include "fetch.h"
#include "stats.h"
#include "upload.h"

int survey_retire(struct zone *z, const struct survey *s, u32 flags)
{
	u64 pack = s->img.pack;
	int ret = -ENOENT;

	pthread_mutex_lock(&z->dead_lock);
	if (!zone_pack_dying(z, pack))
		ret = zone_offer_pack(z, pack);
	if (!ret)
		ret = zone_retire(z, pack, s->gone, s->img.blocks, flags);
	pthread_mutex_unlock(&z->dead_lock);
	return ret;
}

/*
 * Marked before, and perhaps not punched: a crash may come between, or an error.  What
 * is away may be fetched meanwhile; it is punched when it is evicted again.
 */
static void add_marked(struct survey *s)
{
	u32 i;

	for (i = s->img.first; i < s->img.blocks; i++)
		if (pack_line_absent(&s->img.table[i], s->img.pack) &&
		    !pack_line_away(&s->img.table[i], s->img.pack))
			bit_set(s->gone, i);
}

/* Whether the host can do without: its space comes back to whoever deletes, always. */
static bool has_room(struct zone *z)
{
	return !atomic_load(&z->nospace) && zone_host_has_space(z);
}

bool space_waits(struct zone *z, u64 pack)
{
	return z->origin && !zone_upload_held(z, pack) && has_room(z);
}

int space_punch(struct space *sp, struct survey *s)
{
	struct zone *z = sp->z;
	u64 blocks = 0, start = space_clock();
	u32 dead = survey_dead(s);
	bool marked = z->unclean || s->retry;
	int ret;

	if (sp->cannot_punch || (!dead && !(marked && s->nabsent)))
		return 0;
	s->unheld = space_waits(z, s->img.pack);
	if (s->unheld)
		return 0;
	/* Who fetches says what is here by the lines, which are marked after RETIRE. */
	if (dead && zone_fetch_pause(z, s->img.pack, false))
		return -EAGAIN;
	ret = dead ? survey_retire(z, s, 0) : 0;
	if (!ret && dead)
		ret = pack_image_mark(&s->img, s->gone);
	if (dead)
		zone_fetch_resume(z);
	if (ret == -EBUSY) {
		stats_inc(retire_refused);
		return -EAGAIN;
	}
	if (ret == -ENOENT)
		return 0;
	if (marked)
		add_marked(s);
	if (!ret)
		ret = pack_image_punch(&s->img, s->gone, &blocks);
	if (ret == -EOPNOTSUPP) {
		log_info("zone %s: the host's filesystem cannot punch holes; dead blocks come back with whole packs",
			 z->name);
		sp->cannot_punch = true;
		ret = 0;
	}
	stats_add(punched_bytes, blocks << NEXUS_BLOCK_SHIFT);
	if (blocks)
		log_debug("zone %s: %llu dead blocks of pack %llu given back", z->name, blocks,
			  s->img.pack);
	/* Of metadata of the host, as far as we can tell. */
	space_pay(sp, NEXUS_BLOCK_SIZE, space_clock() - start);
	return ret;
}
