// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the helper gives to a zone and does on its behalf: segment and pack files,
 * inode numbers, progress, records, bad news.
 */
#include <linux/ctype.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "../data/retire.h"
#include "../lease.h"
#include "../quota.h"
#include "chan.h"

/* The zone @id, referenced; or ERR_PTR.  @mine: this attachment must have attached it. */
static struct nexus_czone *nexus_hand_get(struct nexus_att *att, u32 id,
					  bool mine)
{
	struct nexus_czone *cz;

	/* DEAD; otherwise an open file is an attachment. */
	if (READ_ONCE(att->session->state) != NEXUS_SESSION_LIVE)
		return ERR_PTR(-ESHUTDOWN);
	cz = nexus_czone_get(att->session, id);
	if (!cz)
		return ERR_PTR(-ENOENT);
	if (mine && READ_ONCE(cz->epoch) != att->epoch) {
		nexus_czone_put(cz);
		return ERR_PTR(-ESTALE);
	}
	return cz;
}

static int nexus_hand_file(struct nexus_att *att, struct nexus_hand_over *ho,
			   u32 allowed, bool pack)
{
	struct nexus_czone *cz;
	struct file *file;
	int err;

	if (ho->flags & ~allowed || ho->reserved ||
	    (ho->absent && !(ho->flags & NEXUS_HF_ABSENT)))
		return -EINVAL;
	cz = nexus_hand_get(att, ho->zone, true);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	file = fget(ho->fd);
	if (!file) {
		err = -EBADF;
		goto out;
	}
	/* What file it is and what it lies on is checked by its new owner. */
	if (pack)
		err = nexus_packs_add(cz->zone, file, ho);
	else
		err = nexus_log_add_segment(cz->zone, file, ho);
	if (err) {
		fput(file);
		goto out;
	}
	if (pack) {
		spin_lock_irq(&cz->lock);
		cz->pack_max = max(cz->pack_max, ho->id);
		spin_unlock_irq(&cz->lock);
	}
out:
	nexus_czone_put(cz);
	return err;
}

int nexus_hand_segment(struct nexus_att *att, struct nexus_hand_over *ho)
{
	return nexus_hand_file(att, ho, NEXUS_HF_ZEROED, false);
}

int nexus_hand_pack(struct nexus_att *att, struct nexus_hand_over *ho)
{
	if (ho->id < NEXUS_FIRST_PACK || ho->blocks < 2 ||
	    ho->blocks > NEXUS_PACK_BLOCKS_MAX)
		return -EINVAL;
	if ((ho->flags & NEXUS_HF_KEPT) && !(ho->flags & NEXUS_HF_SPARE))
		return -EINVAL;
	/* Nothing is missing of a pack nobody has written to. */
	if ((ho->flags & NEXUS_HF_ABSENT) && (ho->flags & NEXUS_HF_SPARE))
		return -EINVAL;
	return nexus_hand_file(att, ho, NEXUS_HF_ZEROED | NEXUS_HF_SPARE |
			       NEXUS_HF_KEPT | NEXUS_HF_ABSENT, true);
}

int nexus_hand_retire(struct nexus_att *att, struct nexus_retire *r, bool gone)
{
	struct nexus_pack_range *range;
	struct super_block *sb;
	struct nexus_czone *cz;
	int err;

	if (r->reserved || !r->nr || r->nr > NEXUS_RETIRE_MAX ||
	    r->flags & ~(gone ? NEXUS_RT_EVICT : 0))
		return -EINVAL;
	cz = nexus_hand_get(att, r->zone, true);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	range = vmemdup_array_user(u64_to_user_ptr(r->ranges), r->nr,
				   sizeof(*range));
	if (IS_ERR(range)) {
		err = PTR_ERR(range);
		goto out;
	}
	/* While it is mounted packs and inodes stay. */
	sb = nexus_zone_grab_sb(cz->zone);
	err = -ENOTCONN;
	if (sb) {
		err = nexus_packs_retire(cz->zone, r, range, gone);
		nexus_sb_release(sb);
	}
	kvfree(range);
out:
	nexus_czone_put(cz);
	return err;
}

int nexus_hand_pack_use(struct nexus_att *att, struct nexus_pack_use *u, bool seal)
{
	struct super_block *sb;
	struct nexus_czone *cz;
	int err = -ENOTCONN;

	if (u->reserved || (seal && u->idle))
		return -EINVAL;
	cz = nexus_hand_get(att, u->zone, true);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	sb = nexus_zone_grab_sb(cz->zone);
	if (sb) {
		err = seal ? nexus_packs_seal(cz->zone, u->pack) :
		      nexus_packs_idle(cz->zone, u->pack, &u->idle);
		nexus_sb_release(sb);
	}
	nexus_czone_put(cz);
	return err;
}

int nexus_hand_ino_range(struct nexus_att *att, struct nexus_ino_range *r)
{
	struct nexus_czone *cz;
	int err;

	if (r->reserved)
		return -EINVAL;
	cz = nexus_hand_get(att, r->zone, true);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	err = nexus_zone_add_ino_range(cz->zone, r->first, r->end);
	if (!err) {
		spin_lock_irq(&cz->lock);
		cz->ino_end = max(cz->ino_end, r->end);
		spin_unlock_irq(&cz->lock);
	}
	nexus_czone_put(cz);
	return err;
}

int nexus_hand_report(struct nexus_att *att, struct nexus_report *r)
{
	struct nexus_zone *zone;
	struct nexus_czone *cz;
	bool no_space;
	int err;

	if (r->flags & ~NEXUS_RP_NOSPACE ||
	    memchr_inv(r->reserved, 0, sizeof(r->reserved)))
		return -EINVAL;
	if (r->space_free > r->space_total ||
	    r->kept > NEXUS_SIZE_MAX >> NEXUS_BLOCK_SHIFT)
		return -EINVAL;
	cz = nexus_hand_get(att, r->zone, true);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	zone = cz->zone;

	WRITE_ONCE(zone->space_total, r->space_total);
	WRITE_ONCE(zone->space_free, r->space_free);
	WRITE_ONCE(zone->files_used, r->files);
	WRITE_ONCE(zone->blocks_used, r->blocks);
	no_space = r->flags & NEXUS_RP_NOSPACE;
	if (READ_ONCE(zone->no_space) != no_space) {
		WRITE_ONCE(zone->no_space, no_space);
		/* Whoever waits for a pack gets ENOSPC, or goes on waiting. */
		nexus_packs_wake_all(zone);
	}
	nexus_packs_set_kept(zone, r->kept, r->kept_for);

	err = nexus_log_report(zone, r->applied, r->checkpoint);
	if (!err) {
		spin_lock_irq(&cz->lock);
		cz->checkpoint = r->checkpoint;
		spin_unlock_irq(&cz->lock);
	}
	nexus_czone_put(cz);
	return err;
}

int nexus_hand_zone_fail(struct nexus_att *att, struct nexus_zone_fail *zf)
{
	struct nexus_czone *cz;
	char *p;

	if (zf->error >= 0 || zf->error < -511 ||
	    strnlen(zf->reason, sizeof(zf->reason)) == sizeof(zf->reason))
		return -EINVAL;
	/* Also a zone that this helper cannot take over. */
	cz = nexus_hand_get(att, zf->zone, false);
	if (IS_ERR(cz))
		return PTR_ERR(cz);
	/* It goes to the kernel log. */
	for (p = zf->reason; *p; p++)
		if (!isprint(*p))
			*p = '?';
	nexus_zone_fail(cz->zone, zf->error, "%s (LSN %llu)", zf->reason,
			zf->lsn);
	nexus_czone_put(cz);
	return 0;
}

/* ---- records of the helper --------------------------------------------------- */

struct nexus_find {
	u64 ino;
	bool found;
};

static int nexus_find_match(struct inode *inode, nexus_ino_t ino, void *data)
{
	struct nexus_find *f = data;

	if (inode->i_ino != f->ino)
		return 0;
	f->found = true;
	return -1;
}

/* Also an inode that is just being made or freed counts: no waiting for either. */
static bool nexus_inode_cached(struct super_block *sb, u64 ino)
{
	struct nexus_find f = { .ino = ino };

	find_inode_nowait(sb, ino, nexus_find_match, &f);
	return f.found;
}

struct nexus_sb_put {
	struct work_struct work;
	struct super_block *sb;
};

static void nexus_sb_put_work(struct work_struct *work)
{
	struct nexus_sb_put *p = container_of(work, struct nexus_sb_put, work);

	deactivate_super(p->sb);
	kfree(p);
}

void nexus_sb_release(struct super_block *sb)
{
	struct nexus_sb_put *p;

	if (atomic_add_unless(&sb->s_active, -1, 1))
		return;
	/* The mount went meanwhile; rare, so it may as well try hard. */
	p = kmalloc(sizeof(*p), GFP_KERNEL | __GFP_NOFAIL);
	INIT_WORK(&p->work, nexus_sb_put_work);
	p->sb = sb;
	queue_work(nexus_chan_wq, &p->work);
}

/*
 * A file that is not in memory is asked for, of other threads of the helper: the one
 * that is here said by its call that it does not answer requests.
 */
static int nexus_submit_move(struct nexus_att *att, struct nexus_zone *zone,
			     struct super_block *sb, struct nexus_rec_move *rec,
			     u64 *lsn)
{
	int err;

	if (cmpxchg(&att->mover, NULL, current))
		return -EAGAIN;
	err = nexus_data_move(zone, sb, rec, lsn);
	WRITE_ONCE(att->mover, NULL);
	return err;
}

static int nexus_submit_one(struct nexus_att *att, struct nexus_zone *zone,
			    struct super_block *sb, struct nexus_rec_head *rec,
			    u64 *lsn)
{
	const struct nexus_rec_pack *pack = (void *)rec;
	const struct nexus_rec_forget *forget = (void *)rec;
	struct nexus_rec_quota *quota = NULL;
	struct nexus_resv resv = {};
	int err;

	switch (le16_to_cpu(rec->type)) {
	case NEXUS_REC_FORGET:
		if (nexus_inode_cached(sb, le64_to_cpu(forget->ino)))
			return -EBUSY;
		break;
	case NEXUS_REC_PACK:
		/* Who writes one seals it. */
		if (pack->state && nexus_packs_own(zone, le64_to_cpu(pack->pack)))
			return -EBUSY;
		break;
	case NEXUS_REC_MOVE:
		return nexus_submit_move(att, zone, sb, (void *)rec, lsn);
	case NEXUS_REC_BULK:
	case NEXUS_REC_SETTING:
		break;
	case NEXUS_REC_QUOTA:
		quota = (void *)rec;
		break;
	default:
		return -EPERM;
	}

	/* The helper makes the room: it must never wait for it. */
	err = nexus_log_reserve(zone, &resv, le32_to_cpu(rec->len),
				NEXUS_RESV_DELETE | NEXUS_RESV_NOWAIT);
	if (err)
		return err;
	if (le16_to_cpu(rec->type) == NEXUS_REC_PACK && !pack->state)
		err = nexus_packs_drop(zone, le64_to_cpu(pack->pack));
	if (!err && quota)
		err = nexus_quota_mutate(zone, &resv, quota, lsn);
	else if (!err)
		err = nexus_mutate(zone, &resv, rec, lsn);
	nexus_log_unreserve(&resv);
	if (!err && le16_to_cpu(rec->type) == NEXUS_REC_FORGET) {
		nexus_quota_stale(zone);
		nexus_lease_forgotten(zone, le64_to_cpu(forget->ino));
	}
	return err;
}

int nexus_hand_submit(struct nexus_att *att, struct nexus_submit *sub)
{
	struct nexus_rec_head *rec;
	struct nexus_czone *cz;
	struct super_block *sb;
	int err;

	if (sub->len < sizeof(*rec) || sub->len > NEXUS_REC_LEN_MAX)
		return -EINVAL;
	cz = nexus_hand_get(att, sub->zone, true);
	if (IS_ERR(cz))
		return PTR_ERR(cz);

	rec = kvmalloc(sub->len, GFP_KERNEL_ACCOUNT);
	err = -ENOMEM;
	if (!rec)
		goto out;
	err = -EFAULT;
	if (copy_from_user(rec, u64_to_user_ptr(sub->record), sub->len))
		goto out;
	err = -EINVAL;
	if (le32_to_cpu(rec->len) != sub->len ||
	    nexus_rec_check(rec, sub->len))
		goto out;

	/* While it is mounted: the log cannot be stopped under us. */
	sb = nexus_zone_grab_sb(cz->zone);
	err = -ENOTCONN;
	if (!sb)
		goto out;
	err = nexus_submit_one(att, cz->zone, sb, rec, &sub->lsn);
	nexus_sb_release(sb);
out:
	kvfree(rec);
	nexus_czone_put(cz);
	return err;
}
