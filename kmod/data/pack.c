// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packs of a zone: hand-over, space, lookup.
 *
 * New data goes to one of two open packs (enum nexus_packs_kind), in contiguous runs;
 * a run is split where a pack ends, and where there is nothing left for what it is
 * for, it goes to the other: so every free block can be given out and a reservation
 * is a number.
 */
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../log/log.h"
#include "data.h"
#include "host.h"
#include "retire.h"

int nexus_packs_start(struct nexus_zone *zone, u32 pack_blocks, u64 promised)
{
	struct nexus_packs *packs;

	if (WARN_ON_ONCE(zone->packs))
		return -EINVAL;
	if (pack_blocks < 4 || pack_blocks > NEXUS_PACK_BLOCKS_MAX)
		return -EINVAL;
	packs = kzalloc(sizeof(*packs), GFP_KERNEL_ACCOUNT);
	if (!packs)
		return -ENOMEM;
	packs->zone = zone;
	packs->pack_blocks = pack_blocks;
	packs->promised = promised;
	spin_lock_init(&packs->lock);
	xa_init(&packs->packs);
	INIT_LIST_HEAD(&packs->own);
	INIT_LIST_HEAD(&packs->spares);
	init_waitqueue_head(&packs->wait);
	mutex_init(&packs->ask_mutex);
	mutex_init(&packs->table_mutex);
	mutex_init(&packs->retire_mutex);
	INIT_WORK(&packs->tables_work, nexus_packs_tables_work);
	nexus_inplace_init(packs);
	packs->wq = alloc_workqueue("nexus_pack_%s", WQ_MEM_RECLAIM | WQ_UNBOUND,
				    0, zone->name);
	if (!packs->wq) {
		kfree(packs);
		return -ENOMEM;
	}
	zone->packs = packs;
	nexus_log_set_keep(zone, nexus_packs_keep(packs));
	return 0;
}

static void nexus_pack_release(struct kref *ref)
{
	struct nexus_pack *pack = container_of(ref, struct nexus_pack, ref);
	unsigned long index;
	struct page *page;

	/* The zone may be gone: a read may end after umount. */
	nexus_pack_free_own(pack);
	xa_for_each(&pack->cache, index, page)
		__free_page(page);
	xa_destroy(&pack->cache);
	nexus_presence_free(pack);
	fput(pack->file);
	kfree(pack);
}

void nexus_pack_put(struct nexus_pack *pack)
{
	kref_put(&pack->ref, nexus_pack_release);
}

void nexus_packs_free(struct nexus_zone *zone)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack;
	unsigned long id;

	if (!packs)
		return;
	destroy_workqueue(packs->wq);
	xa_for_each(&packs->packs, id, pack) {
		/* What was never sealed keeps no claim on the log. */
		nexus_log_unreserve(&pack->seal_resv);
		nexus_pack_put(pack);
	}
	xa_destroy(&packs->packs);
	kfree(packs);
	zone->packs = NULL;
}

void nexus_packs_wake_all(struct nexus_zone *zone)
{
	if (!zone->packs)
		return;
	wake_up_all(&zone->packs->wait);
	wake_up_all(&zone->packs->inplace.wait);
}

/* ---- hand-over -------------------------------------------------------------- */

/*
 * lock held: less than a pack is left, or half of one for streams; the helper should
 * prepare another.  Where it has only zeroed ones, those have to do.
 */
static bool nexus_packs_low(const struct nexus_packs *packs)
{
	u64 more = packs->pack_blocks;

	if (packs->free < packs->reserved + more)
		return true;
	return !packs->zone->mem && !READ_ONCE(packs->zone->no_space) &&
	       packs->free - packs->zeroed < packs->reserved + more / 2 &&
	       packs->free < packs->reserved + 3 * more;
}

/* lock held: so many blocks of @pack more, or fewer, can be given out. */
static void nexus_packs_count(struct nexus_packs *packs,
			      const struct nexus_pack *pack, s64 n)
{
	packs->free += n;
	if (pack->zeroed)
		packs->zeroed += n;
}

int nexus_packs_add(struct nexus_zone *zone, struct file *file,
		    const struct nexus_hand_over *ho)
{
	struct nexus_packs *packs = zone->packs;
	bool spare = ho->flags & NEXUS_HF_SPARE, low;
	struct nexus_pack *pack;
	int err;

	if (!packs || ho->id < NEXUS_FIRST_PACK)
		return -EINVAL;
	if (ho->blocks > NEXUS_PACK_BLOCKS_MAX ||
	    ho->blocks < nexus_pack_table_blocks(ho->blocks) + 2) {
		nexus_err(zone, "pack %llu refused: %u blocks", ho->id,
			  ho->blocks);
		return -EINVAL;
	}
	err = nexus_host_check(zone, file, "pack", ho->id, ho->blocks, spare);
	if (err)
		return err;

	pack = kzalloc(sizeof(*pack), GFP_KERNEL_ACCOUNT);
	if (!pack)
		return -ENOMEM;
	kref_init(&pack->ref);
	pack->zone = zone;
	pack->file = file;
	pack->id = ho->id;
	pack->blocks = ho->blocks;
	pack->table_blocks = nexus_pack_table_blocks(ho->blocks);
	pack->next = nexus_pack_first(pack);
	pack->zeroed = ho->flags & NEXUS_HF_ZEROED;
	pack->written = spare;
	pack->writable = nexus_host_writable(file);
	pack->state = spare ? NEXUS_PS_SPARE : NEXUS_PS_SEALED;
	INIT_LIST_HEAD(&pack->own);
	INIT_LIST_HEAD(&pack->spare);
	INIT_LIST_HEAD(&pack->inplace);
	INIT_WORK(&pack->seal_work, nexus_pack_seal_work);
	mutex_init(&pack->cache_mutex);
	xa_init(&pack->cache);
	nexus_presence_init(pack);
	if (ho->flags & NEXUS_HF_ABSENT) {
		err = nexus_presence_load(pack, u64_to_user_ptr(ho->absent));
		if (err)
			goto out_free;
	}
	if (spare) {
		err = nexus_pack_init_own(pack);
		if (err)
			goto out_free;
	}
	err = xa_insert(&packs->packs, pack->id, pack, GFP_KERNEL_ACCOUNT);
	if (err) {
		err = err == -EBUSY ? -EEXIST : err;
		goto out_own;
	}
	if (!spare)
		return 0;

	spin_lock(&packs->lock);
	list_add_tail(&pack->own, &packs->own);
	list_add_tail(&pack->spare, &packs->spares);
	nexus_packs_count(packs, pack, pack->blocks - pack->next);
	if (ho->flags & NEXUS_HF_KEPT)
		packs->kept -= min_t(u64, packs->kept, pack->blocks - pack->next);
	low = nexus_packs_low(packs);
	spin_unlock(&packs->lock);
	/* Cleared and set again, it is a new request. */
	nexus_log_set_flags(zone, 0, NEXUS_LF_WANT_PACK |
			    (pack->zeroed ? NEXUS_LF_WANT_ZEROED : 0));
	if (low)
		nexus_log_set_flags(zone, NEXUS_LF_WANT_PACK, 0);
	wake_up_all(&packs->wait);
	return 0;

out_own:
	nexus_log_unreserve(&pack->seal_resv);
	nexus_pack_free_own(pack);
out_free:
	nexus_presence_free(pack);
	kfree(pack);
	return err;
}

int nexus_packs_drop(struct nexus_zone *zone, u64 id)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack;
	int err = 0;

	if (!packs)
		return 0;
	xa_lock(&packs->packs);
	pack = xa_load(&packs->packs, id);
	if (pack) {
		/* References are only taken under this lock. */
		if (READ_ONCE(pack->state) != NEXUS_PS_SEALED ||
		    kref_read(&pack->ref) != 1)
			err = -EBUSY;
		else
			__xa_erase(&packs->packs, id);
	}
	xa_unlock(&packs->packs);
	if (pack && !err) {
		nexus_inplace_drop(packs, pack);
		nexus_pack_put(pack);
	}
	return err;
}

bool nexus_packs_own(struct nexus_zone *zone, u64 id)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack;
	bool own = false;

	if (!packs)
		return false;
	xa_lock(&packs->packs);
	pack = xa_load(&packs->packs, id);
	if (pack)
		own = pack->written;
	xa_unlock(&packs->packs);
	return own;
}

/* ---- lookup --------------------------------------------------------------------- */

struct nexus_pack *nexus_packs_find(struct nexus_zone *zone, u64 id)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack;

	xa_lock(&packs->packs);
	pack = xa_load(&packs->packs, id);
	if (pack)
		kref_get(&pack->ref);
	xa_unlock(&packs->packs);
	return pack;
}

struct nexus_pack *nexus_packs_get(struct nexus_zone *zone, u64 id)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack;
	u64 applied, unused;
	int err;

	pack = nexus_packs_find(zone, id);
	if (pack)
		return pack;

	if (mutex_lock_killable(&packs->ask_mutex))
		return ERR_PTR(-EINTR);
	pack = nexus_packs_find(zone, id);
	if (!pack) {
		err = nexus_ms_read(zone, NEXUS_OP_OPEN_PACK, 0, id, 0, NULL, 0,
				    0, &unused, sizeof(unused), &applied);
		pack = nexus_packs_find(zone, id);
		if (!pack) {
			if (err >= 0 || err == -ENOENT) {
				nexus_err(zone, "pack %llu is referenced, but there is none",
					  id);
				err = -EIO;
			}
			pack = ERR_PTR(err);
		}
	}
	mutex_unlock(&packs->ask_mutex);
	return pack;
}

/* ---- space ----------------------------------------------------------------------- */

/* Small packs have few blocks to keep back. */
static u32 nexus_packs_kept(const struct nexus_packs *packs,
			    enum nexus_packs_use use)
{
	u32 kept = min(NEXUS_PACKS_KEPT, packs->pack_blocks / 8);

	return use <= NEXUS_PACKS_PROMISED ? kept :
	       use == NEXUS_PACKS_CUT ? kept / 2 : 0;
}

bool nexus_packs_try_reserve(struct nexus_zone *zone, u32 n,
			     enum nexus_packs_use use)
{
	struct nexus_packs *packs = zone->packs;
	bool ok, low = false;

	spin_lock(&packs->lock);
	ok = packs->free >= packs->reserved + n + nexus_packs_kept(packs, use);
	if (ok && use == NEXUS_PACKS_GROW && packs->promised &&
	    !nexus_promises_hold(packs, 0, n)) {
		ok = false;
		/* More packs help only while they are not made of what is kept. */
		low = !READ_ONCE(zone->no_space);
	}
	if (ok)
		packs->reserved += n;
	low = low || nexus_packs_low(packs);
	spin_unlock(&packs->lock);
	if (low)
		nexus_log_set_flags(zone, NEXUS_LF_WANT_PACK, 0);
	return ok;
}

int nexus_packs_reserve(struct nexus_zone *zone, u32 n,
			enum nexus_packs_use use)
{
	struct nexus_packs *packs = zone->packs;
	DEFINE_WAIT(wait);
	int err = 0;

	if (nexus_packs_try_reserve(zone, n, use))
		return 0;
	for (;;) {
		prepare_to_wait(&packs->wait, &wait, NEXUS_WAIT_STATE);
		if (nexus_packs_try_reserve(zone, n, use))
			break;
		err = nexus_zone_writable(zone);
		if (err)
			break;
		/* What is promised is kept, and comes. */
		if (READ_ONCE(zone->no_space) &&
		    (use != NEXUS_PACKS_PROMISED || !READ_ONCE(packs->kept))) {
			err = -ENOSPC;
			break;
		}
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		/* The helper may have come back and not looked. */
		if (!schedule_timeout(HZ))
			nexus_log_nudge(zone);
	}
	finish_wait(&packs->wait, &wait);
	return err;
}

void nexus_packs_unreserve(struct nexus_zone *zone, u32 n)
{
	struct nexus_packs *packs = zone->packs;

	if (!n)
		return;
	spin_lock(&packs->lock);
	packs->reserved -= n;
	spin_unlock(&packs->lock);
	if (wq_has_sleeper(&packs->wait))
		wake_up_all(&packs->wait);
}

u64 nexus_packs_free_blocks(struct nexus_zone *zone)
{
	struct nexus_packs *packs = zone->packs;
	u64 n, taken;

	if (!packs)
		return 0;
	spin_lock(&packs->lock);
	taken = packs->reserved + nexus_packs_kept(packs, NEXUS_PACKS_GROW);
	if (packs->promised > packs->kept)
		taken += packs->promised - packs->kept;
	n = packs->free > taken ? packs->free - taken : 0;
	spin_unlock(&packs->lock);
	return n;
}

/* lock held. */
static void nexus_pack_full(struct nexus_packs *packs, struct nexus_pack *pack)
{
	int i;

	pack->state = NEXUS_PS_FULL;
	for (i = 0; i < NEXUS_PACKS_KINDS; i++)
		if (packs->open[i] == pack)
			packs->open[i] = NULL;
	if (!pack->writes)
		queue_work(packs->wq, &pack->seal_work);
}

void nexus_packs_seal_all(struct nexus_zone *zone)
{
	struct nexus_packs *packs = zone->packs;
	int i;

	if (!packs)
		return;
	spin_lock(&packs->lock);
	for (i = 0; i < NEXUS_PACKS_KINDS; i++)
		if (packs->open[i])
			nexus_pack_full(packs, packs->open[i]);
	spin_unlock(&packs->lock);
	flush_workqueue(packs->wq);
}

/* lock held: 0 if @pack, which is open, can do without its rest; see nexus_packs_seal(). */
static int nexus_pack_can_end(const struct nexus_packs *packs, const struct nexus_pack *pack)
{
	u64 rest = pack->blocks - pack->next;
	u32 kept = min(NEXUS_PACKS_KEPT, packs->pack_blocks / 8);

	/* The next one would have to be written with zeros. */
	if (pack->zeroed && pack->next < pack->blocks / 2)
		return -EBUSY;
	if (READ_ONCE(packs->zone->no_space))
		return -ENOSPC;
	if (packs->free < packs->reserved + rest + kept || !nexus_promises_hold(packs, 0, rest))
		return -EAGAIN;
	return 0;
}

int nexus_packs_seal(struct nexus_zone *zone, u64 id)
{
	struct nexus_pack *pack = nexus_packs_find(zone, id);
	struct nexus_packs *packs = zone->packs;
	int err = 0;
	bool low;

	if (!pack)
		return -ENXIO;
	spin_lock(&packs->lock);
	if (pack->state == NEXUS_PS_SPARE) {
		err = -EBUSY;
	} else if (pack->state == NEXUS_PS_OPEN) {
		err = nexus_pack_can_end(packs, pack);
		if (!err) {
			pack->awaited = true;
			nexus_packs_count(packs, pack, -(s64)(pack->blocks - pack->next));
			nexus_pack_full(packs, pack);
		}
	}
	low = err == -EAGAIN || nexus_packs_low(packs);
	spin_unlock(&packs->lock);
	nexus_pack_put(pack);
	if (low)
		nexus_log_set_flags(zone, NEXUS_LF_WANT_PACK, 0);
	return err;
}

/* lock held: opens a spare pack that is @zeroed, or not. */
static struct nexus_pack *nexus_packs_open(struct nexus_packs *packs,
					   enum nexus_packs_kind kind, bool zeroed)
{
	struct nexus_pack *pack;

	list_for_each_entry(pack, &packs->spares, spare) {
		if (pack->zeroed != zeroed)
			continue;
		list_del_init(&pack->spare);
		pack->state = NEXUS_PS_OPEN;
		packs->open[kind] = pack;
		return pack;
	}
	return NULL;
}

/* lock held: where blocks for @kind are, at best. */
static struct nexus_pack *nexus_packs_pick(struct nexus_packs *packs,
					   enum nexus_packs_kind kind)
{
	struct nexus_pack *pack = NULL;

	if (kind == NEXUS_PACKS_SMALL)
		pack = packs->open[NEXUS_PACKS_SMALL] ?:
		       nexus_packs_open(packs, NEXUS_PACKS_SMALL, true);
	return pack ?: packs->open[NEXUS_PACKS_STREAM] ?:
	       nexus_packs_open(packs, NEXUS_PACKS_STREAM, false) ?:
	       nexus_packs_open(packs, NEXUS_PACKS_STREAM, true) ?:
	       packs->open[NEXUS_PACKS_SMALL];
}

struct nexus_pack *nexus_packs_alloc(struct nexus_zone *zone, u32 n,
				     enum nexus_packs_kind kind, u32 *block,
				     u32 *got)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack;
	bool low;

	spin_lock(&packs->lock);
	if (WARN_ON_ONCE(packs->reserved < n))
		n = packs->reserved;
	pack = nexus_packs_pick(packs, kind);
	if (!n || WARN_ON_ONCE(!pack)) {
		pack = NULL;
		goto out;
	}
	n = min(n, pack->blocks - pack->next);
	*block = pack->next;
	*got = n;
	pack->next += n;
	pack->writes++;
	kref_get(&pack->ref);
	nexus_packs_count(packs, pack, -(s64)n);
	packs->reserved -= n;
	if (pack->next == pack->blocks)
		nexus_pack_full(packs, pack);
out:
	low = kind == NEXUS_PACKS_SMALL && packs->zeroed < packs->pack_blocks / 4;
	spin_unlock(&packs->lock);
	if (low)
		nexus_log_set_flags(zone, NEXUS_LF_WANT_ZEROED, 0);
	return pack;
}

void nexus_pack_dirtied(struct nexus_pack *pack, bool plain)
{
	struct nexus_packs *packs = pack->zone->packs;

	spin_lock(&packs->lock);
	pack->unflushed = true;
	pack->plain |= plain;
	spin_unlock(&packs->lock);
}

void nexus_pack_written(struct nexus_pack *pack)
{
	struct nexus_packs *packs = pack->zone->packs;

	spin_lock(&packs->lock);
	if (!--pack->writes && pack->state == NEXUS_PS_FULL)
		queue_work(packs->wq, &pack->seal_work);
	spin_unlock(&packs->lock);
}
