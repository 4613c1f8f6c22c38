// SPDX-License-Identifier: GPL-2.0-only
/*
 * MOVE: compaction gives blocks of a file another place.
 *
 * The helper has copied them to a pack of its own, flushed it and handed it over.
 * Here the file's map is loaded, as for any change of it, and so it is the truth:
 * under log_mutex the record is appended and the map switched if the file still has
 * what was copied.  Writers, truncation and clones change the map under the same
 * mutex, so it is before or after each of them.
 *
 * Who reads the old place goes on doing so: its blocks stay until RETIRE.  Blocks that are
 * overwritten in place are not moved: a copy of one may be older than what is there.
 */
#include "../log/log.h"
#include "data.h"
#include "retire.h"

/* log_mutex held. */
static bool nexus_move_matches(struct nexus_inode *ni,
			       const struct nexus_rec_move *rec)
{
	u64 first = le64_to_cpu(rec->offset) >> NEXUS_BLOCK_SHIFT;
	u64 at = first, end = first + le32_to_cpu(rec->nblocks);
	struct nexus_ext e;

	if (ni->data_id != le64_to_cpu(rec->data_id))
		return false;
	while (at < end) {
		if (!nexus_map_next(ni, at, &e) || e.fblock > at || e.flags ||
		    e.pack != le64_to_cpu(rec->from_pack) ||
		    e.block + (at - e.fblock) !=
			    le32_to_cpu(rec->from_block) + (at - first))
			return false;
		at = e.fblock + e.nblocks;
	}
	return true;
}

static int nexus_move_commit(struct nexus_inode *ni, struct nexus_resv *resv,
			     struct nexus_rec_move *rec, u64 *lsn)
{
	u64 fblock = le64_to_cpu(rec->offset) >> NEXUS_BLOCK_SHIFT;
	int err = -ENODATA;

	mutex_lock(&ni->log_mutex);
	if (nexus_move_matches(ni, rec))
		err = nexus_mutate(ni->zone, resv, &rec->head, lsn);
	if (!err) {
		nexus_map_insert(ni, fblock, le64_to_cpu(rec->to_pack),
				 le32_to_cpu(rec->to_block),
				 le32_to_cpu(rec->nblocks), 0);
		nexus_inode_logged(ni, *lsn);
	} else {
		nexus_map_unprepare(ni, 1);
	}
	mutex_unlock(&ni->log_mutex);
	return err;
}

static int nexus_move_inode(struct inode *inode, struct nexus_rec_move *rec,
			    u64 *lsn)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_resv resv = {};
	int err;

	if (!S_ISREG(inode->i_mode))
		return -ENODATA;
	err = nexus_extents_load(inode);
	if (err)
		return err;
	/* The helper makes the room: it must never wait for it. */
	err = nexus_log_reserve(ni->zone, &resv, le32_to_cpu(rec->head.len),
				NEXUS_RESV_DELETE | NEXUS_RESV_NOWAIT);
	if (err)
		return err;
	err = nexus_map_prepare(ni, 1);
	if (!err)
		err = nexus_move_commit(ni, &resv, rec, lsn);
	nexus_log_unreserve(&resv);
	return err;
}

/* The pack it goes to: at hand, written by the helper, and all of it there. */
static int nexus_move_check(struct nexus_zone *zone,
			    const struct nexus_rec_move *rec)
{
	u32 block = le32_to_cpu(rec->to_block), n = le32_to_cpu(rec->nblocks);
	struct nexus_pack *pack;
	int epoch, err = -EINVAL;
	u32 there = n;

	pack = nexus_packs_find(zone, le64_to_cpu(rec->to_pack));
	if (!pack)
		return -ENXIO;
	if (pack->written)
		err = -EBUSY;
	else if (block >= nexus_pack_first(pack) && block < pack->blocks &&
		 n <= pack->blocks - block)
		err = 0;
	if (!err) {
		epoch = nexus_pack_read_begin(pack, block, &there);
		if (epoch >= 0)
			nexus_pack_read_end(pack, epoch);
		if (epoch < 0 || there < n)
			err = -EINVAL;
	}
	/* What was read of the table before these lines were in it. */
	if (!err)
		nexus_pack_forget_lines(pack, block, n);
	nexus_pack_put(pack);
	return err;
}

int nexus_data_move(struct nexus_zone *zone, struct super_block *sb,
		    struct nexus_rec_move *rec, u64 *lsn)
{
	struct inode *inode;
	int err;

	if (!(zone->features & NEXUS_INCOMPAT_MOVES))
		return -EOPNOTSUPP;
	err = nexus_zone_writable(zone);
	if (!err)
		err = nexus_move_check(zone, rec);
	if (err)
		return err;
	inode = nexus_iget(sb, le64_to_cpu(rec->ino));
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		return err == -ENOENT || err == -ESTALE ? -ENODATA : err;
	}
	err = nexus_move_inode(inode, rec, lsn);
	iput(inode);
	return err;
}
