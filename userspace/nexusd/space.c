// SPDX-License-Identifier: Apache-2.0
/*
 * A pass goes over the records of all packs, as the index on disk has them.  A pack
 * is looked into if more of it is dead than is known to be absent, and if more has
 * died than when it was looked into last.  What that needs to remember are a few
 * bytes a pack; a pass that finds nothing reads the pack records and nothing else.
 *
 * What is wrong with one pack, or in the way of it now, is no matter of the others: it
 * is looked into again later, each time after twice as long.
 */
#include "space.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "evictor.h"
#include "fetch.h"
#include "stats.h"

#define BATCH		256u	/* pack records of one view */
#define MERGE_PACKS	8u	/* small ones are moved together */
#define SMALL_PART	16u	/* of a pack: one that goes to a store is small with less */
#define PASS_MS		1000u	/* between passes, at least */
#define FAILED_MAX	6u	/* doublings of it, after passes that failed */
#define WAITS_MAX	10u	/* and of what a pack waits that was left for later */
#define FOLD_WAIT_NS	20000000000ull
#define FOLD_LOOK_NS	50000000ull

bool space_zone_error(int err)
{
	switch (err) {
	case -EROFS: case -ENOTCONN: case -ESHUTDOWN: case -ESTALE: case -ENOENT: case -ENXIO:
	case -ENOMEM: case -EINTR: case -ENOSPC: case -ENOBUFS:
		return true;
	}
	return false;
}

/* ---- one pack ------------------------------------------------------------------ */

/* Blocks of it that were written. */
static u32 content_of(struct space *sp, const struct nexus_pack_val *val)
{
	u32 usable = super_pack_usable(&sp->z->sb), used = le32_to_cpu(val->used);
	u32 first = super_pack_blocks(&sp->z->sb) - usable;

	return used > first ? NEXUS_MIN(used - first, usable) : usable;
}

/*
 * Has its table a larger part of the host than what is alive, or is it a small object
 * of a store: then one pack shall be made of several.
 */
static bool is_small(struct space *sp, u32 live)
{
	u32 usable = super_pack_usable(&sp->z->sb);
	u32 first = super_pack_blocks(&sp->z->sb) - usable;

	return live <= first || (sp->z->origin && live < usable / SMALL_PART);
}

/* 0; -EAGAIN: later; or an error that ends the pass. */
static int punch(struct space *sp, struct survey *s)
{
	int ret = space_punch(sp, s);

	if (!ret || ret == -EAGAIN || space_zone_error(ret))
		return ret;
	log_warn("zone %s: dead blocks of pack %llu cannot be given back now: %s", sp->z->name,
		 s->img.pack, strerror(-ret));
	return -EAGAIN;
}

/*
 * work held.  0; -EAGAIN: the pack must be looked into again, later; -ERESTART: that too,
 * for somebody waits for work urgently; or an error that ends the pass.
 */
static int look_locked(struct space *sp, struct space_hint *hint, bool move,
		       struct space_done *done)
{
	struct zone *z = sp->z;
	u64 start = space_clock();
	struct survey s;
	bool later;
	int ret = survey_begin(&s, z, &sp->index, hint->pack);

	stats_inc(packs_surveyed);
	if (ret == -EUCLEAN || ret == -ESTALE)
		log_warn("zone %s: what is live in pack %llu cannot be told from its table, so nothing of it is given back; nexusctl pack verify may say more",
			 z->name, hint->pack);
	/* Gone meanwhile, or to be left alone: until something else dies in it. */
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	space_pay(sp, (u64)s.img.first << NEXUS_BLOCK_SHIFT, space_clock() - start);
	ret = -EOPNOTSUPP;
	hint->small = !move && is_small(sp, s.nlive) && space_movable(sp, &s);
	if (move || space_worth_moving(sp, &s, hint->content))
		ret = space_compact(sp, &s, done);
	later = ret == -EAGAIN;
	s.retry = hint->waits;
	/* Once that is in the index the pack is dead, or less of it alive. */
	if (ret == -EOPNOTSUPP || ret == -ENOSPC || later)
		ret = punch(sp, &s);
	if (!ret && later)
		ret = -EAGAIN;
	hint->absent = pack_image_dead(&s.img);
	hint->unheld = s.unheld;
	survey_end(&s);
	return ret;
}

/* 0, and @hint says when it is looked into again; or an error that ends the pass. */
static int look_into(struct space *sp, struct space_hint *hint, bool move)
{
	struct space_done done = { 0 };
	int ret;

	space_lock(sp);
	ret = look_locked(sp, hint, move, &done);
	pthread_mutex_unlock(&sp->work);
	if (!ret) {
		hint->waits = 0;
		hint->due = 0;
	}
	if (ret != -EAGAIN && ret != -ERESTART)
		return ret;
	hint->waits = NEXUS_MIN(hint->waits + 1, WAITS_MAX);
	hint->due = space_clock() + (PASS_MS * 1000000ull << hint->waits);
	return 0;
}

/* Of a pack of which something was elsewhere, the head's count is not of the dead. */
static u32 table_absent(struct space *sp, u64 pack)
{
	u64 start = space_clock();
	struct pack_image img;
	u32 dead, blocks;

	if (pack_image_open(sp->z->os, pack, sp->z->sb.uuid, false, &img))
		return 0;
	dead = pack_image_dead(&img);
	blocks = img.first;
	pack_image_close(&img);
	space_pay(sp, (u64)blocks << NEXUS_BLOCK_SHIFT, space_clock() - start);
	return dead;
}

/* What its head says is absent of a pack that was not looked at before. */
static u32 head_absent(struct space *sp, u64 pack)
{
	struct zone *z = sp->z;
	bool away = false;
	struct pack_reader *r = pack_reader_new(z->os);
	struct nexus_pack_head head;
	u8 block[NEXUS_BLOCK_SIZE];
	u32 absent = 0;

	if (r && !pack_read_block(r, pack, 0, block)) {
		memcpy(&head, block, sizeof(head));
		if (!pack_check_head(&head, z->sb.uuid, pack, super_pack_blocks(&z->sb)))
			absent = le32_to_cpu(head.absent);
		away = absent && le32_to_cpu(head.flags) & NEXUS_PACK_AWAY_FLAG;
	}
	pack_reader_free(r);
	return away ? table_absent(sp, pack) : absent;
}

static int visit(struct space *sp, u64 pack, const struct nexus_pack_val *val)
{
	u32 usable = super_pack_usable(&sp->z->sb), live = le32_to_cpu(val->live);
	/* Less is not worth reading the table for. */
	u32 min = super_pack_blocks(&sp->z->sb) - usable;
	struct space_hint hint = { .pack = pack, .live = live };
	bool dead;
	size_t i = 0, end = sp->nhints;
	bool known, look;
	int ret = 0;

	if (le32_to_cpu(val->state) != NEXUS_PACK_SEALED || !live)
		return 0;
	while (i < end) {
		size_t mid = (i + end) / 2;

		if (sp->hints[mid].pack < pack)
			i = mid + 1;
		else
			end = mid;
	}
	known = i < sp->nhints && sp->hints[i].pack == pack;
	if (known)
		hint = sp->hints[i];
	else
		hint.absent = head_absent(sp, pack);
	hint.content = content_of(sp, val);
	/* Or was never written. */
	dead = (u64)live + hint.absent + min <= usable;
	if (hint.due)
		look = space_clock() >= hint.due;
	else if (!known)
		/* A crash may have come between the mark and the punch. */
		look = dead || (sp->z->unclean && hint.absent) || is_small(sp, live);
	else
		look = dead && hint.live != live;
	if (look || (hint.unheld && !space_waits(sp->z, pack))) {
		hint.live = live;
		ret = look_into(sp, &hint, false);
	}
	if (!ret)
		sp->next[sp->nnext++] = hint;
	return ret;
}

/* ---- passes ---------------------------------------------------------------------- */

struct batch {
	u64 pack[BATCH];
	struct nexus_pack_val val[BATCH];
	u32 n;
};

/* The next records from @key on. */
static int collect(struct space *sp, struct nexus_key *key, struct batch *b)
{
	struct memview v;
	int ret = memview_begin(&v, &sp->index, NULL);

	b->n = 0;
	if (ret)
		return ret;
	while (b->n < BATCH) {
		ret = nexus_kv_seek(&v.kv, key->b, &key->len, &b->val[b->n],
				    sizeof(b->val[0]));
		if (ret < 0 || key->b[0] != NEXUS_KEY_PACK)
			break;
		if (key->len == 9 && ret >= (int)sizeof(b->val[0]))
			b->pack[b->n++] = nexus_get_be64(key->b + 1);
		if (key->len == NEXUS_KEY_MAX)
			break;
		key->b[key->len++] = 0;
	}
	memview_end(&v);
	return ret < 0 && ret != -ENOENT ? ret : 0;
}

static int room_for(struct space *sp, size_t n)
{
	struct space_hint *more;
	size_t cap = (sp->nnext + n) * 2;

	if (sp->nnext + n <= sp->next_cap)
		return 0;
	more = realloc(sp->next, cap * sizeof(*more));
	if (!more)
		return -ENOMEM;
	sp->next = more;
	sp->next_cap = cap;
	return 0;
}

/*
 * The hints of the pass are those to go by; with @failed, of what it did not come to
 * those from before.
 */
static void keep_hints(struct space *sp, bool failed)
{
	u64 last = sp->nnext ? sp->next[sp->nnext - 1].pack : 0;
	size_t i = sp->nhints;

	while (failed && i && sp->hints[i - 1].pack > last)
		i--;
	if (failed && room_for(sp, sp->nhints - i))
		return;
	for (; i < sp->nhints; i++)
		sp->next[sp->nnext++] = sp->hints[i];
	free(sp->hints);
	sp->hints = sp->next;
	sp->nhints = sp->nnext;
	sp->next = NULL;
	sp->next_cap = 0;
	sp->due = 0;
	for (i = 0; i < sp->nhints; i++)
		if (sp->hints[i].due && (!sp->due || sp->hints[i].due < sp->due))
			sp->due = sp->hints[i].due;
}

/* They are tried once: again when something has died in them. */
static int merge_small(struct space *sp)
{
	size_t i, n = 0;
	int ret = 0;

	for (i = 0; i < sp->nnext; i++)
		n += sp->next[i].small;
	for (i = 0; !ret && n >= MERGE_PACKS && i < sp->nnext; i++)
		if (sp->next[i].small)
			ret = atomic_load(&sp->z->stopping) ? -ESHUTDOWN :
			      look_into(sp, &sp->next[i], true);
	return ret;
}

static int pass(struct space *sp)
{
	struct batch *b = malloc(sizeof(*b));
	struct nexus_key key;
	u32 i;
	int ret = b ? 0 : -ENOMEM;

	sp->nnext = 0;
	nexus_key_pack(&key, 0);
	while (!ret) {
		ret = collect(sp, &key, b);
		if (!ret && !b->n)
			break;
		if (!ret)
			ret = room_for(sp, b->n);
		for (i = 0; !ret && i < b->n; i++)
			ret = atomic_load(&sp->z->stopping) ? -ESHUTDOWN :
			      visit(sp, b->pack[i], &b->val[i]);
	}
	free(b);
	if (!ret)
		ret = merge_small(sp);
	keep_hints(sp, ret);
	return ret;
}

static bool usable_now(struct zone *z)
{
	/* What the helper before us submitted must be known first. */
	return !atomic_load(&z->dropped) && memtable_applied(&z->mt) >= z->floor &&
	       !(zone_flags(z) & (NEXUS_LF_DETACHED | NEXUS_LF_READONLY));
}

/* work held.  What the helper before us was writing is not to be taken for dead. */
static int get_ready(struct space *sp)
{
	int ret = 0;

	if (!sp->ready && sp->z->reattached)
		ret = zone_adopt_packs(sp->z);
	sp->ready = !ret;
	return ret;
}

/* Something was put that was waited for; or there is no time for that. */
static bool put_meanwhile(struct space *sp)
{
	size_t i;

	for (i = 0; i < sp->nhints; i++)
		if (sp->hints[i].unheld && !space_waits(sp->z, sp->hints[i].pack))
			return true;
	return false;
}

static int pass_and_seal(struct space *sp)
{
	u64 checkpoint = atomic_load(&sp->z->checkpoint);
	int ret;

	space_lock(sp);
	ret = get_ready(sp);
	pthread_mutex_unlock(&sp->work);
	if (!ret)
		ret = pass(sp);
	space_lock(sp);
	space_seal(sp);
	pthread_mutex_unlock(&sp->work);
	if (!ret)
		sp->looked_at = checkpoint;
	else
		log_debug("zone %s: dead space is looked for again: %s", sp->z->name,
			  strerror(-ret));
	return ret;
}

/* Something may have died, or a pack was left for later and that is now. */
static bool has_work(struct space *sp)
{
	return atomic_load(&sp->z->checkpoint) != sp->looked_at ||
	       (sp->due && space_clock() >= sp->due) || put_meanwhile(sp);
}

static void *space_main(void *arg)
{
	struct space *sp = arg;
	struct zone *z = sp->z;
	u32 failed = 0;

	pthread_setname_np(pthread_self(), "nexusd-space");
	/* After everybody else's I/O, where the host's scheduler has that. */
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
	while (!atomic_load(&z->stopping)) {
		if (z->cfg->compact_rate && has_work(sp) && usable_now(z))
			failed = pass_and_seal(sp) ? NEXUS_MIN(failed + 1, FAILED_MAX) : 0;
		/* What fails may have copied something, and will fail again. */
		space_sleep(sp, PASS_MS * 1000000ull << failed, SPACE_NS);
		if (atomic_load(&z->checkpoint) == sp->looked_at)
			space_sleep(sp, SPACE_SLEEP_MAX_NS, SPACE_FOLDED);
	}
	return NULL;
}

/* ---- when asked to ----------------------------------------------------------------- */

static int may_work(struct zone *z)
{
	if (atomic_load(&z->stopping) || atomic_load(&z->dropped))
		return -ESHUTDOWN;
	return usable_now(z) ? 0 : -EROFS;
}

/* So that what is dead by now is dead in the index on disk.  Takes long: not with work held. */
static void write_index(struct space *sp)
{
	u64 applied = memtable_applied(&sp->z->mt), until = space_clock() + FOLD_WAIT_NS;

	while (atomic_load(&sp->z->checkpoint) < applied && space_clock() < until &&
	       !may_work(sp->z)) {
		zone_fold_kick(sp->z);
		space_sleep(sp, FOLD_LOOK_NS, SPACE_NS);
	}
}

static bool wanted(struct space *sp, const struct batch *b, u32 i, const uint64_t *packs,
		   size_t n, bool all)
{
	u32 live = le32_to_cpu(b->val[i].live), usable = super_pack_usable(&sp->z->sb);
	u32 content = content_of(sp, &b->val[i]);
	size_t j;

	if (le32_to_cpu(b->val[i].state) != NEXUS_PACK_SEALED || !live ||
	    b->pack[i] >= sp->asked_end)
		return false;
	for (j = 0; j < n; j++)
		if (packs[j] == b->pack[i])
			return true;
	return !n && (all ? live < usable : live * 2 < content);
}

/* -ENOENT: none above @after. */
static int next_wanted(struct space *sp, const uint64_t *packs, size_t n, bool all, u64 after,
		       struct space_hint *hint)
{
	struct batch *b = malloc(sizeof(*b));
	struct nexus_key key;
	u32 i;
	int ret = b ? 0 : -ENOMEM;

	nexus_key_pack(&key, after + 1);
	while (!ret) {
		ret = collect(sp, &key, b);
		if (!ret && !b->n)
			ret = -ENOENT;
		for (i = 0; !ret && i < b->n; i++) {
			if (!wanted(sp, b, i, packs, n, all))
				continue;
			hint->pack = b->pack[i];
			free(b);
			return 0;
		}
	}
	free(b);
	return ret;
}

static int compact_next(struct space *sp, const uint64_t *packs, size_t n, bool all, u64 *after,
			struct space_done *done)
{
	struct space_hint hint = { 0 };
	int ret = get_ready(sp);

	if (ret)
		return ret;
	if (!*after) {
		pthread_mutex_lock(&sp->z->alloc_lock);
		sp->asked_end = sp->z->al.next_pack;
		pthread_mutex_unlock(&sp->z->alloc_lock);
	}
	ret = next_wanted(sp, packs, n, all, *after, &hint);
	if (!ret)
		ret = look_locked(sp, &hint, true, done);
	/* Whoever asks shall come to the others. */
	if (ret == -EAGAIN) {
		done->skipped++;
		ret = 0;
	}
	if (!ret)
		*after = hint.pack;
	if (ret != -ENOENT)
		return ret;
	*after = 0;
	return space_seal(sp);
}

int zone_compact_step(struct zone *z, const uint64_t *packs, size_t n, bool all, u64 *after,
		      struct space_done *done)
{
	struct space *sp = z->space;
	int ret = 0;

	if (!sp)
		return -EROFS;
	if (!(z->sb.incompat & NEXUS_INCOMPAT_MOVES))
		return -EOPNOTSUPP;
	do {
		/* What was moved of a pack that is begun again is not to be copied again. */
		if (!*after || ret == -ERESTART)
			write_index(sp);
		space_lock(sp);
		ret = may_work(z);
		if (!ret)
			ret = compact_next(sp, packs, n, all, after, done);
		pthread_mutex_unlock(&sp->work);
	} while (ret == -ERESTART);
	return ret;
}

static int evict(struct zone *z, u64 pack, bool held, struct evict_done *done)
{
	struct space *sp = z->space;
	int ret;

	if (!sp)
		return -EROFS;
	if (!(z->sb.incompat & NEXUS_INCOMPAT_AWAY) || !z->fetch || !z->fetch->content)
		return -EOPNOTSUPP;
	/* What is held was sealed long ago. */
	if (!held)
		write_index(sp);
	space_lock_urgently(sp);
	ret = get_ready(sp);
	if (!ret)
		ret = may_work(z);
	if (!ret)
		ret = space_evict(sp, pack, held, done);
	pthread_mutex_unlock(&sp->work);
	return ret;
}

int zone_evict(struct zone *z, u64 pack, struct evict_done *done)
{
	u64 before = done->blocks;
	int ret = evict(z, pack, false, done);

	zone_evictor_gone(z, pack, (done->blocks - before) << NEXUS_BLOCK_SHIFT);
	return ret;
}

int zone_evict_held(struct zone *z, u64 pack, struct evict_done *done)
{
	return evict(z, pack, true, done);
}

/* ---- life --------------------------------------------------------------------------- */

void zone_space_free(struct zone *z)
{
	struct space *sp = z->space;

	if (!sp)
		return;
	if (sp->to_next)
		pack_image_close(&sp->to);
	free(sp->buf);
	memtable_destroy(&sp->index);
	pthread_mutex_destroy(&sp->work);
	pthread_mutex_destroy(&sp->lock);
	pthread_cond_destroy(&sp->cond);
	free(sp->hints);
	free(sp->next);
	free(sp);
	z->space = NULL;
}

int zone_space_start(struct zone *z)
{
	struct space *sp = calloc(1, sizeof(*sp));
	int ret;

	if (!sp)
		return -ENOMEM;
	sp->z = z;
	zone_cond_init(&sp->cond);
	pthread_mutex_init(&sp->lock, NULL);
	pthread_mutex_init(&sp->work, NULL);
	z->space = sp;
	ret = memtable_init(&sp->index, z->ms, 0);
	if (!ret)
		ret = -pthread_create(&sp->thread, NULL, space_main, sp);
	if (ret)
		zone_space_free(z);
	else
		sp->running = true;
	return ret;
}

void zone_space_stop(struct zone *z)
{
	struct space *sp = z->space;

	if (!sp || !sp->running)
		return;
	pthread_mutex_lock(&sp->lock);
	pthread_cond_broadcast(&sp->cond);
	pthread_mutex_unlock(&sp->lock);
	pthread_join(sp->thread, NULL);
	sp->running = false;
}

void zone_space_kick(struct zone *z)
{
	struct space *sp = z->space;

	if (!sp)
		return;
	pthread_mutex_lock(&sp->lock);
	sp->kick = true;
	pthread_cond_broadcast(&sp->cond);
	pthread_mutex_unlock(&sp->lock);
}
