// SPDX-License-Identifier: GPL-2.0-only
/*
 * The in-memory metastore of "mount -o mem": the apply function and the typed
 * reads the helper uses, over the ordered map it uses.  Applied, durable and
 * tail are one number.
 *
 * Packs are files of the kernel's own tmpfs, handed over as the helper hands
 * over its own; all of them together take at most half of memory.  One whose
 * last block was freed is dropped.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uuid.h>

#include "memstore.h"
#include "../lib/omap.h"
#include "data/data.h"

#define NEXUS_MEM_PACK_BLOCKS	(NEXUS_PACK_SIZE >> NEXUS_BLOCK_SHIFT)
#define NEXUS_MEM_BULK		1024u	/* extents freed in a step */

struct nexus_memstore {
	struct nexus_zone *zone;
	struct rw_semaphore sem;
	struct nexus_omap map;		/* sem */
	u64 lsn;			/* after the last record; sem to write */
	struct work_struct work;
	bool stopping;
	unsigned long want_packs;	/* bit 0 */
	u64 next_pack;			/* work only */
	u64 packs;			/* handed over and not dropped; work only */
	u64 packs_max;
};

u64 nexus_memstore_lsn(struct nexus_zone *zone)
{
	return READ_ONCE(zone->mem->lsn);
}

/* ---- reads and changes ---------------------------------------------------- */

static int nexus_mem_read(struct nexus_zone *zone, struct nexus_request *req,
			  const void *data, void *out, size_t cap, u64 *applied)
{
	struct nexus_memstore *ms = zone->mem;
	const char *field;
	unsigned int nofs;
	int n, err;

	/* Its packs are all handed over: it has no others. */
	if (req->op == NEXUS_OP_OPEN_PACK)
		return -ENOENT;

	nofs = memalloc_nofs_save();
	down_read(&ms->sem);
	n = nexus_read(&ms->map.kv, req, data, out, cap);
	*applied = ms->lsn;
	up_read(&ms->sem);
	memalloc_nofs_restore(nofs);
	if (n < 0)
		return n;

	err = nexus_reply_check(req, out, n, &field);
	if (err) {
		nexus_count(req_bad);
		nexus_err(zone, "inode %llu: the in-memory store gave a reply with a bad %s",
			  req->ino, field);
		return err;
	}
	return n;
}

/* @rec becomes part of the store, or the zone fails; sem is held for writing. */
static int nexus_mem_apply(struct nexus_memstore *ms, struct nexus_rec_head *rec)
{
	struct nexus_apply_error why = {};
	int err;

	rec->lsn = cpu_to_le64(ms->lsn);
	err = nexus_rec_check(rec, le32_to_cpu(rec->len));
	if (err)
		why.what = "malformed record";
	else
		err = nexus_apply(&ms->map.kv, rec, &why);
	if (err) {
		/* There is no log to apply again from. */
		nexus_zone_fail(ms->zone, err, "%s at LSN %llu, inode %llu: %s",
				nexus_rec_name(le16_to_cpu(rec->type)), ms->lsn,
				why.ino, why.what ?: "no memory");
		return -EIO;
	}
	WRITE_ONCE(ms->lsn, ms->lsn + le32_to_cpu(rec->len));
	nexus_count(log_records);
	nexus_count_n(log_bytes, le32_to_cpu(rec->len));
	return 0;
}

static int nexus_mem_mutate(struct nexus_zone *zone, struct nexus_rec_head *rec,
			    u64 *lsn)
{
	struct nexus_memstore *ms = zone->mem;
	unsigned int nofs;
	int err;

	/* Called under log mutexes, which eviction takes, too. */
	nofs = memalloc_nofs_save();
	down_write(&ms->sem);
	err = nexus_zone_writable(zone);
	if (!err)
		err = nexus_mem_apply(ms, rec);
	if (!err)
		*lsn = ms->lsn;
	up_write(&ms->sem);
	memalloc_nofs_restore(nofs);
	if (err)
		return err;

	switch (le16_to_cpu(rec->type)) {
	case NEXUS_REC_FORGET:
	case NEXUS_REC_TRUNCATE:
	case NEXUS_REC_EXTENT:
	case NEXUS_REC_CLONE:
	case NEXUS_REC_PACK:
	case NEXUS_REC_PUNCH:
		/* Something may have been freed. */
		if (!READ_ONCE(ms->stopping))
			queue_work(system_unbound_wq, &ms->work);
		break;
	}
	return 0;
}

static const struct nexus_metastore_ops nexus_mem_metastore = {
	.read	= nexus_mem_read,
	.mutate	= nexus_mem_mutate,
};

/* ---- what a helper does by itself ------------------------------------------- */

/* One step of a bulk deletion.  False: there is none left. */
static bool nexus_mem_bulk(struct nexus_memstore *ms)
{
	struct nexus_rec_bulk rec = {};
	const struct nexus_omap_entry *e;
	const struct nexus_orphan_val *val;
	struct nexus_key key;
	bool found = false;

	down_write(&ms->sem);
	nexus_key_orphan(&key, 0);
	for (e = nexus_omap_lower(&ms->map, key.b, key.len, false);
	     e && nexus_omap_key(e)[0] == NEXUS_KEY_ORPHAN;
	     e = nexus_omap_lower(&ms->map, nexus_omap_key(e), e->klen, true)) {
		val = (const void *)nexus_omap_val(e);
		if (e->klen != 9 || e->vlen < sizeof(*val) ||
		    le32_to_cpu(val->kind) != NEXUS_ORPHAN_BULK)
			continue;
		nexus_rec_bulk(&rec, nexus_get_be64(nexus_omap_key(e) + 1),
			       NEXUS_MEM_BULK, (struct nexus_time){});
		found = !nexus_mem_apply(ms, &rec.head);
		break;
	}
	up_write(&ms->sem);
	return found;
}

/* Drops one sealed pack without a live block.  False: there is none. */
static bool nexus_mem_drop_pack(struct nexus_memstore *ms, u64 *after)
{
	const struct nexus_omap_entry *e;
	const struct nexus_pack_val *val;
	struct nexus_rec_pack rec = {};
	struct nexus_key key;
	u64 id = 0;
	int err = 0;

	down_read(&ms->sem);
	nexus_key_pack(&key, *after + 1);
	for (e = nexus_omap_lower(&ms->map, key.b, key.len, false);
	     e && nexus_omap_key(e)[0] == NEXUS_KEY_PACK;
	     e = nexus_omap_lower(&ms->map, nexus_omap_key(e), e->klen, true)) {
		val = (const void *)nexus_omap_val(e);
		if (e->klen == 9 && e->vlen >= sizeof(*val) && !val->live &&
		    le32_to_cpu(val->state) == NEXUS_PACK_SEALED) {
			id = nexus_get_be64(nexus_omap_key(e) + 1);
			break;
		}
	}
	up_read(&ms->sem);
	if (!id)
		return false;

	*after = id;
	if (nexus_packs_drop(ms->zone, id))
		return true;
	down_write(&ms->sem);
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0,
		       (struct nexus_time){});
	rec.pack = cpu_to_le64(id);
	err = nexus_mem_apply(ms, &rec.head);
	up_write(&ms->sem);
	if (!err)
		ms->packs--;
	return true;
}

static int nexus_mem_add_pack(struct nexus_memstore *ms)
{
	struct nexus_hand_over ho = {
		.flags = NEXUS_HF_ZEROED | NEXUS_HF_SPARE | NEXUS_HF_KEPT,
		.blocks = NEXUS_MEM_PACK_BLOCKS,
		.id = ms->next_pack,
	};
	struct file *file;
	int err;

	file = nexus_shmem_file("nexusfs-pack",
				(loff_t)NEXUS_MEM_PACK_BLOCKS << NEXUS_BLOCK_SHIFT);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = nexus_packs_add(ms->zone, file, &ho);
	if (err) {
		fput(file);
		return err;
	}
	ms->next_pack++;
	ms->packs++;
	return 0;
}

static u64 nexus_mem_left(struct nexus_memstore *ms)
{
	return ms->packs_max - min(ms->packs_max, READ_ONCE(ms->packs));
}

/* Every pack that may still come is kept for promises, and nobody else takes it. */
static void nexus_mem_keep(struct nexus_memstore *ms)
{
	nexus_packs_set_kept(ms->zone, nexus_mem_left(ms) *
			     nexus_pack_usable(NEXUS_MEM_PACK_BLOCKS), U64_MAX);
}

static void nexus_mem_work(struct work_struct *work)
{
	struct nexus_memstore *ms =
		container_of(work, struct nexus_memstore, work);
	struct nexus_zone *zone = ms->zone;
	unsigned int nofs = memalloc_nofs_save();
	u64 after = 0;
	int err;

	while (!READ_ONCE(ms->stopping) && nexus_mem_bulk(ms))
		cond_resched();
	while (!READ_ONCE(ms->stopping) && nexus_mem_drop_pack(ms, &after))
		cond_resched();
	if (!READ_ONCE(ms->stopping) && test_and_clear_bit(0, &ms->want_packs)) {
		/* One: whoever needs more asks again, from within. */
		err = ms->packs < ms->packs_max ? nexus_mem_add_pack(ms) : -ENOSPC;
		if (zone->no_space != !!err) {
			WRITE_ONCE(zone->no_space, !!err);
			nexus_packs_wake_all(zone);
		}
	}
	nexus_mem_keep(ms);
	memalloc_nofs_restore(nofs);
}

void nexus_memstore_want(struct nexus_zone *zone, u32 flags)
{
	struct nexus_memstore *ms = zone->mem;

	if (!(flags & (NEXUS_LF_WANT_PACK | NEXUS_LF_WANT_KEEP)) ||
	    READ_ONCE(ms->stopping))
		return;
	if (flags & NEXUS_LF_WANT_PACK)
		set_bit(0, &ms->want_packs);
	queue_work(system_unbound_wq, &ms->work);
}

void nexus_memstore_statfs(struct nexus_zone *zone)
{
	struct nexus_memstore *ms = zone->mem;
	u64 left = nexus_mem_left(ms);
	struct nexus_statfs_reply st;
	struct nexus_request req = { .op = NEXUS_OP_STATFS };
	u64 applied;
	void *out;
	int n;

	WRITE_ONCE(zone->space_total, ms->packs_max * NEXUS_PACK_SIZE);
	WRITE_ONCE(zone->space_free, left * NEXUS_PACK_SIZE);
	out = kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!out)
		return;
	n = nexus_mem_read(zone, &req, NULL, out, NEXUS_REPLY_DATA_MAX, &applied);
	if (n == sizeof(st)) {
		memcpy(&st, out, sizeof(st));
		WRITE_ONCE(zone->files_used, st.inodes);
		WRITE_ONCE(zone->blocks_used, st.blocks);
	}
	kfree(out);
}

/* ---- life -------------------------------------------------------------------- */

int nexus_memstore_start(struct nexus_zone *zone)
{
	struct nexus_memstore *ms;
	struct timespec64 now;
	int err;

	ms = kzalloc(sizeof(*ms), GFP_KERNEL_ACCOUNT);
	if (!ms)
		return -ENOMEM;
	ms->zone = zone;
	init_rwsem(&ms->sem);
	nexus_omap_init(&ms->map);
	INIT_WORK(&ms->work, nexus_mem_work);
	ms->lsn = NEXUS_FIRST_LSN;
	ms->next_pack = NEXUS_FIRST_PACK;
	ms->packs_max = max_t(u64, 2, ((u64)totalram_pages() << PAGE_SHIFT) / 2 /
					NEXUS_PACK_SIZE);
	zone->mem = ms;
	zone->ms = &nexus_mem_metastore;
	zone->features = NEXUS_INCOMPAT_KNOWN;
	generate_random_uuid(zone->uuid);
	zone->ino_next = NEXUS_FIRST_INO;
	zone->ino_end = NEXUS_SYS_INO;

	ktime_get_coarse_real_ts64(&now);
	err = nexus_apply_mkfs(&ms->map.kv, S_IFDIR | 0755, 0, 0, nexus_ts(now));
	if (err)
		return err;
	err = nexus_packs_start(zone, NEXUS_MEM_PACK_BLOCKS, 0);
	if (err)
		return err;
	/* All packs come from the work, so that their numbers do. */
	nexus_memstore_want(zone, NEXUS_LF_WANT_PACK);
	flush_work(&ms->work);
	return zone->no_space ? -ENOMEM : 0;
}

void nexus_memstore_stop(struct nexus_zone *zone)
{
	WRITE_ONCE(zone->mem->stopping, true);
	cancel_work_sync(&zone->mem->work);
}

void nexus_memstore_free(struct nexus_zone *zone)
{
	nexus_omap_destroy(&zone->mem->map);
	kfree(zone->mem);
	zone->mem = NULL;
}
