// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zones: life, failure, inode numbers, typed reads.
 *
 * nexus_zone_lock orders the few things a zone shares with contexts that cannot
 * sleep: its first error with the reason, and its superblock pointer.
 */
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "lease.h"
#include "memstore.h"
#include "plock.h"
#include "quota.h"

static DEFINE_SPINLOCK(nexus_zone_lock);
static struct workqueue_struct *nexus_zone_wq;

static void nexus_zone_fail_work(struct work_struct *work);

struct nexus_zone *nexus_zone_alloc(const char *name)
{
	struct nexus_zone *zone;

	zone = kvzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return NULL;
	zone->plocks = nexus_plocks_alloc();
	zone->leases = nexus_leases_alloc();
	if (!zone->plocks || !zone->leases || nexus_quota_alloc(zone)) {
		nexus_plocks_free(zone->plocks);
		nexus_leases_free(zone->leases);
		kvfree(zone);
		return NULL;
	}
	kref_init(&zone->ref);
	strscpy(zone->name, name, sizeof(zone->name));
	spin_lock_init(&zone->ino_lock);
	spin_lock_init(&zone->maps_lock);
	nexus_origin_init(&zone->origin);
	xa_init(&zone->rings);
	xa_init(&zone->streams);
	INIT_LIST_HEAD(&zone->maps);
	init_waitqueue_head(&zone->ino_wait);
	INIT_WORK(&zone->fail_work, nexus_zone_fail_work);
	return zone;
}

static void nexus_zone_release(struct kref *ref)
{
	struct nexus_zone *zone = container_of(ref, struct nexus_zone, ref);

	if (zone->log)
		nexus_log_free(zone);
	if (zone->mem)
		nexus_memstore_stop(zone);
	if (zone->packs)
		nexus_packs_free(zone);
	if (zone->mem)
		nexus_memstore_free(zone);
	if (zone->lock_file)
		fput(zone->lock_file);
	if (zone->session)
		nexus_session_put(zone->session);
	nexus_quota_free(zone);
	nexus_plocks_free(zone->plocks);
	nexus_leases_free(zone->leases);
	kvfree(zone);
}

void nexus_zone_put(struct nexus_zone *zone)
{
	if (zone)
		kref_put(&zone->ref, nexus_zone_release);
}

static void nexus_zone_free_work(struct work_struct *work)
{
	struct nexus_zone *zone = container_of(work, struct nexus_zone,
					       free_work);

	nexus_zone_release(&zone->ref);
}

static void nexus_zone_release_later(struct kref *ref)
{
	struct nexus_zone *zone = container_of(ref, struct nexus_zone, ref);

	INIT_WORK(&zone->free_work, nexus_zone_free_work);
	queue_work(nexus_zone_wq, &zone->free_work);
}

void nexus_zone_put_later(struct nexus_zone *zone)
{
	kref_put(&zone->ref, nexus_zone_release_later);
}

/* ---- superblock ------------------------------------------------------ */

void nexus_zone_set_sb(struct nexus_zone *zone, struct super_block *sb)
{
	unsigned long flags;

	spin_lock_irqsave(&nexus_zone_lock, flags);
	zone->sb = sb;
	spin_unlock_irqrestore(&nexus_zone_lock, flags);
}

struct super_block *nexus_zone_grab_sb(struct nexus_zone *zone)
{
	struct super_block *sb;
	unsigned long flags;

	/* kill_sb clears the pointer before the superblock can be freed. */
	spin_lock_irqsave(&nexus_zone_lock, flags);
	sb = zone->sb;
	if (sb && !atomic_inc_not_zero(&sb->s_active))
		sb = NULL;
	spin_unlock_irqrestore(&nexus_zone_lock, flags);
	return sb;
}

/* ---- failure ---------------------------------------------------------- */

/* s_flags is s_umount's, so the flag is set where one may sleep. */
static void nexus_zone_fail_work(struct work_struct *work)
{
	struct nexus_zone *zone =
		container_of(work, struct nexus_zone, fail_work);
	struct super_block *sb = nexus_zone_grab_sb(zone);

	if (sb) {
		down_write(&sb->s_umount);
		sb->s_flags |= SB_RDONLY;
		up_write(&sb->s_umount);
		deactivate_super(sb);
	}
	nexus_zone_put(zone);
}

void nexus_zone_fail(struct nexus_zone *zone, int error, const char *fmt, ...)
{
	unsigned long flags;
	bool first = false, mounted = false;
	va_list args;

	if (READ_ONCE(zone->error))
		return;
	if (error >= 0)
		error = -EIO;

	spin_lock_irqsave(&nexus_zone_lock, flags);
	if (!zone->error) {
		va_start(args, fmt);
		vsnprintf(zone->reason, sizeof(zone->reason), fmt, args);
		va_end(args);
		/* Whoever sees the error may read the reason. */
		smp_store_release(&zone->error, error);
		first = true;
		mounted = zone->sb;
	}
	spin_unlock_irqrestore(&nexus_zone_lock, flags);
	if (!first)
		return;

	pr_err("nexusfs (%s): the zone is read-only from now on: %s (%pe)\n",
	       zone->name, zone->reason, ERR_PTR(error));

	if (zone->log) {
		nexus_log_set_flags(zone, NEXUS_LF_READONLY, 0);
		nexus_log_wake_all(zone);
	}
	if (zone->packs)
		nexus_packs_wake_all(zone);
	wake_up_all(&zone->ino_wait);
	nexus_event(NEXUS_EV_ZONE_READONLY,
		    zone->session ? nexus_session_name(zone->session) : "",
		    zone->name, error, zone->reason);

	/* Without a superblock the module may be on its way out already. */
	if (mounted) {
		nexus_zone_get(zone);
		queue_work(nexus_zone_wq, &zone->fail_work);
	}
}

/* ---- inode numbers ----------------------------------------------------- */

/* @want: this call used up a range, or found none. */
static bool nexus_zone_take_ino(struct nexus_zone *zone, u64 *ino, bool *want)
{
	bool taken = false;

	*want = false;

	spin_lock(&zone->ino_lock);
	if (zone->ino_next >= zone->ino_end &&
	    zone->ino2_next < zone->ino2_end) {
		zone->ino_next = zone->ino2_next;
		zone->ino_end = zone->ino2_end;
		zone->ino2_next = zone->ino2_end;
		*want = true;
	}
	if (zone->ino_next < zone->ino_end) {
		*ino = zone->ino_next++;
		taken = true;
	} else {
		*want = true;
	}
	spin_unlock(&zone->ino_lock);
	return taken;
}

int nexus_zone_new_ino(struct nexus_zone *zone, u64 *ino)
{
	bool taken, want;
	int err;

	taken = nexus_zone_take_ino(zone, ino, &want);
	if (want && zone->log)
		nexus_log_set_flags(zone, NEXUS_LF_WANT_INO, 0);
	if (taken)
		return 0;
	if (zone->mem)
		return -ENOSPC;

	err = wait_event_killable(zone->ino_wait,
				  READ_ONCE(zone->error) ||
				  nexus_zone_take_ino(zone, ino, &want));
	if (err)
		return -EINTR;
	/* Others have used up what came meanwhile: the next range in time. */
	if (want && zone->log)
		nexus_log_set_flags(zone, NEXUS_LF_WANT_INO, 0);
	return nexus_zone_writable(zone);
}

int nexus_zone_add_ino_range(struct nexus_zone *zone, u64 first, u64 end)
{
	bool want;
	int err = 0;

	if (first < NEXUS_FIRST_INO || first >= end || end > NEXUS_SYS_INO)
		return -EINVAL;

	spin_lock(&zone->ino_lock);
	if (first < max(zone->ino_end, zone->ino2_end)) {
		/* Numbers are never handed out twice. */
		err = -EINVAL;
	} else if (zone->ino_next >= zone->ino_end &&
		   zone->ino2_next >= zone->ino2_end) {
		zone->ino_next = first;
		zone->ino_end = end;
	} else if (zone->ino2_next >= zone->ino2_end) {
		zone->ino2_next = first;
		zone->ino2_end = end;
	} else {
		err = -EBUSY;
	}
	want = zone->ino2_next >= zone->ino2_end;
	spin_unlock(&zone->ino_lock);
	if (err)
		return err;

	if (zone->log) {
		if (want)
			nexus_log_set_flags(zone, NEXUS_LF_WANT_INO, 0);
		else
			nexus_log_set_flags(zone, 0, NEXUS_LF_WANT_INO);
	}
	wake_up_all(&zone->ino_wait);
	return 0;
}

/* ---- reads -------------------------------------------------------------- */

int nexus_ms_read(struct nexus_zone *zone, u32 op, u64 ino, u64 arg0, u64 arg1,
		  const void *data, size_t len, u64 not_before,
		  void *out, size_t cap, u64 *applied)
{
	struct nexus_request req = {
		.op = op,
		.len = len,
		.not_before = not_before,
		.ino = ino,
		.arg0 = arg0,
		.arg1 = arg1,
	};

	if (len > NEXUS_REQUEST_DATA_MAX)
		return -ENAMETOOLONG;
	return zone->ms->read(zone, &req, data, out, cap, applied);
}

int nexus_zone_init(void)
{
	nexus_zone_wq = alloc_workqueue("nexusfs_zone", WQ_UNBOUND, 0);
	return nexus_zone_wq ? 0 : -ENOMEM;
}

void nexus_zone_exit(void)
{
	destroy_workqueue(nexus_zone_wq);
}
