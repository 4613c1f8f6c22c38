// SPDX-License-Identifier: GPL-2.0-only
/*
 * The helper attaches zones: new ones while a mount waits for them, living ones
 * after it took the session over; and gives them up when they are drained.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "../foreign.h"
#include "../quota.h"
#include "chan.h"

/* A LOCK file must be a regular file, and not in a zone of ours. */
static struct file *nexus_lock_file(const char *name, int fd)
{
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (!S_ISREG(file_inode(file)->i_mode) ||
	    file_inode(file)->i_sb->s_type == &nexus_fs_type) {
		pr_err_ratelimited("nexusfs (%s): refused: its LOCK is no regular file of the host\n",
				   name);
		fput(file);
		return ERR_PTR(-EINVAL);
	}
	return file;
}

static const char *nexus_zone_attach_bad(const struct nexus_zone_attach *za)
{
	if (za->incarnation < 1)
		return "incarnation";
	if (za->tail < NEXUS_FIRST_LSN || za->tail % 8 || za->tail > S64_MAX)
		return "tail";
	if (za->applied > za->tail || za->applied % 8)
		return "applied";
	if (za->checkpoint > za->applied || za->checkpoint % 8)
		return "checkpoint";
	if (!za->segment || za->segment > S64_MAX)
		return "segment";
	if (za->pack_blocks < 2 || za->pack_blocks > NEXUS_PACK_BLOCKS_MAX)
		return "pack_blocks";
	if (za->segment_blocks < NEXUS_BATCH_BYTES_MAX / NEXUS_BLOCK_SIZE ||
	    za->segment_blocks > NEXUS_PACK_BLOCKS_MAX)
		return "segment_blocks";
	if (!memchr_inv(za->uuid, 0, sizeof(za->uuid)))
		return "uuid";
	if (za->unwritten > NEXUS_SIZE_MAX >> NEXUS_BLOCK_SHIFT)
		return "unwritten";
	if (za->limits >> NEXUS_QUOTA_LIMITED)
		return "limits";
	if (za->ttl > NEXUS_TTL_MAX || (za->ttl && !(za->flags & NEXUS_ZA_RDONLY)))
		return "ttl";
	return NULL;
}

static struct nexus_zone *nexus_zone_make(struct nexus_session *s,
					  const struct nexus_zone_attach *za)
{
	const struct nexus_log_params p = {
		.incarnation = za->incarnation,
		.tail = za->tail,
		.applied = za->applied,
		.checkpoint = za->checkpoint,
		.segment = za->segment,
		.prev_crc = za->prev_crc,
		.segment_blocks = za->segment_blocks,
	};
	struct nexus_zone *zone;
	struct file *lock;
	int err;

	lock = nexus_lock_file(za->name, za->lock_fd);
	if (IS_ERR(lock))
		return ERR_CAST(lock);
	zone = nexus_zone_alloc(za->name);
	if (!zone) {
		fput(lock);
		return ERR_PTR(-ENOMEM);
	}
	/* From here on nexus_zone_put() undoes it all. */
	zone->lock_file = lock;
	zone->ms = &nexus_chan_metastore;
	memcpy(zone->uuid, za->uuid, sizeof(zone->uuid));
	zone->store_rdonly = za->flags & NEXUS_ZA_RDONLY;
	zone->features = za->features;
	nexus_foreign_start(zone, za->ttl);
	nexus_quota_start(zone, za->limits);
	zone->opts.grace = NEXUS_GRACE_DEFAULT;
	err = nexus_log_start(zone, &p);
	if (!err)
		err = nexus_packs_start(zone, za->pack_blocks, za->unwritten);
	if (!err && za->ino_first != za->ino_end)
		err = nexus_zone_add_ino_range(zone, za->ino_first, za->ino_end);
	if (err) {
		nexus_zone_put(zone);
		return ERR_PTR(err);
	}
	return zone;
}

static int nexus_zone_attach_new(struct nexus_att *att,
				 struct nexus_zone_attach *za)
{
	struct nexus_session *s = att->session;
	struct nexus_czone *cz, *other;
	const char *bad = nexus_zone_attach_bad(za);
	struct nexus_zone *zone;
	struct nexus_open *open;
	unsigned long i;
	u32 id;
	int err;

	lockdep_assert_held(&s->zlock);
	if (bad) {
		pr_err_ratelimited("nexusfs (%s): attach refused: bad %s\n",
				   za->name, bad);
		return -EINVAL;
	}
	open = nexus_open_named(s, za->name);
	/* An answer to a mount that was killed is none to the next one. */
	if (!open || open->ticket != za->ticket)
		return -ENOENT;
	if (open->cz)
		return -EEXIST;
	xa_for_each(&s->zones, i, other)
		if (!memcmp(other->zone->uuid, za->uuid, sizeof(za->uuid))) {
			pr_err_ratelimited("nexusfs (%s): attach refused: zone %s has the same uuid\n",
					   za->name, other->zone->name);
			return -EEXIST;
		}

	cz = kzalloc(sizeof(*cz), GFP_KERNEL_ACCOUNT);
	if (!cz)
		return -ENOMEM;
	zone = nexus_zone_make(s, za);
	if (IS_ERR(zone)) {
		kfree(cz);
		return PTR_ERR(zone);
	}
	nexus_czone_init(cz, zone);
	cz->epoch = att->epoch;
	cz->incarnation = za->incarnation;
	cz->checkpoint = za->checkpoint;
	cz->ino_end = za->ino_end;
	/* An id is not used again soon: late commands must not meet another zone. */
	err = xa_alloc_cyclic(&s->zones, &id, NULL,
			      XA_LIMIT(1, U32_MAX), &s->next_id, GFP_KERNEL);
	if (err < 0) {
		nexus_zone_put(zone);
		kfree(cz);
		return err;
	}
	cz->id = id;
	zone->id = id;
	nexus_session_get(s);
	zone->session = s;
	/* The entry is reserved, so this allocates nothing. */
	xa_store(&s->zones, id, cz, GFP_KERNEL);
	open->cz = cz;
	za->id = id;
	return 0;
}

static int nexus_zone_attach_again(struct nexus_att *att,
				   const struct nexus_zone_attach *za)
{
	struct nexus_session *s = att->session;
	struct nexus_czone *cz = xa_load(&s->zones, za->id);
	const char *bad = NULL;
	int err;

	lockdep_assert_held(&s->zlock);
	if (!cz)
		return -ENOENT;
	if (cz->epoch == att->epoch)
		return -EEXIST;
	if (strcmp(cz->zone->name, za->name))
		bad = "name";
	else if (memcmp(cz->zone->uuid, za->uuid, sizeof(za->uuid)))
		bad = "uuid";
	else if (cz->incarnation != za->incarnation)
		bad = "incarnation";
	else if (cz->zone->features & ~za->features)
		bad = "features";
	if (bad) {
		nexus_err(cz->zone, "the new helper has another store: %s differs",
			  bad);
		return -ESTALE;
	}
	err = nexus_log_reattach(cz->zone, za->applied, za->checkpoint);
	if (err)
		return err;
	spin_lock_irq(&cz->lock);
	cz->checkpoint = za->checkpoint;
	spin_unlock_irq(&cz->lock);
	WRITE_ONCE(cz->epoch, att->epoch);
	return 0;
}

/* zlock, if the session is the caller's still. */
static int nexus_zones_lock(struct nexus_att *att)
{
	struct nexus_session *s = att->session;

	if (mutex_lock_killable(&s->zlock))
		return -EINTR;
	/* An open file is an attachment: only DEAD can have come since. */
	if (s->state != NEXUS_SESSION_LIVE || s->epoch != att->epoch) {
		mutex_unlock(&s->zlock);
		return -ESHUTDOWN;
	}
	return 0;
}

int nexus_zone_attach(struct nexus_att *att, struct nexus_zone_attach *za)
{
	int err;

	if (za->flags & ~(NEXUS_ZA_RDONLY | NEXUS_ZA_REATTACH) ||
	    memchr_inv(za->reserved, 0, sizeof(za->reserved)) ||
	    strnlen(za->name, sizeof(za->name)) == sizeof(za->name) ||
	    !nexus_label_ok(za->name, strlen(za->name)))
		return -EINVAL;
	err = nexus_zones_lock(att);
	if (err)
		return err;
	if (za->flags & NEXUS_ZA_REATTACH)
		err = nexus_zone_attach_again(att, za);
	else
		err = nexus_zone_attach_new(att, za);
	mutex_unlock(&att->session->zlock);
	return err;
}

int nexus_zone_next(struct nexus_att *att, struct nexus_zone_next *zn)
{
	struct nexus_czone *cz;
	unsigned long id = zn->id;
	int err;

	if (zn->flags || memchr_inv(zn->reserved, 0, sizeof(zn->reserved)))
		return -EINVAL;
	err = nexus_zones_lock(att);
	if (err)
		return err;
	cz = xa_find_after(&att->session->zones, &id, U32_MAX, XA_PRESENT);
	if (cz) {
		memset(zn, 0, sizeof(*zn));
		zn->id = cz->id;
		zn->flags = (cz->mounted ? NEXUS_ZN_MOUNTED : 0) |
			    (cz->zone->store_rdonly ? NEXUS_ZN_RDONLY : 0);
		strscpy(zn->name, cz->zone->name, sizeof(zn->name));
		memcpy(zn->uuid, cz->zone->uuid, sizeof(zn->uuid));
		zn->incarnation = cz->incarnation;
		spin_lock_irq(&cz->lock);
		zn->ino_end = cz->ino_end;
		zn->pack_max = cz->pack_max;
		spin_unlock_irq(&cz->lock);
	} else {
		err = -ENOENT;
	}
	mutex_unlock(&att->session->zlock);
	return err;
}

int nexus_zone_detach(struct nexus_att *att, u32 id)
{
	struct nexus_session *s = att->session;
	struct nexus_open *open;
	struct nexus_czone *cz;
	int err;

	err = nexus_zones_lock(att);
	if (err)
		return err;
	cz = xa_load(&s->zones, id);
	if (!cz || cz->detached)
		err = -ENOENT;
	else if (cz->mounted && READ_ONCE(cz->zone->sb))
		err = -EBUSY;
	list_for_each_entry(open, &s->opens, node)
		if (cz && open->cz == cz)
			err = -EBUSY;
	/*
	 * The log says DETACHED before nexus_session_close_zone() is called:
	 * then that drops the zone.
	 */
	if (!err && cz->mounted)
		cz->detached = true;
	else if (!err)
		nexus_czone_drop(s, cz);
	mutex_unlock(&s->zlock);
	return err;
}
