// SPDX-License-Identifier: Apache-2.0
/* Opening a zone: for a mount, or from a helper that died. */
#include "zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evictor.h"
#include "fetch.h"
#include "helper.h"
#include "origin.h"
#include "scrub.h"
#include "upload.h"

#define LOCK_WAIT_MS	3000u	/* the kernel lets go of a file a little later */
#define NO_SPACE_HINT	"; mount -o ro works without space"

static void on_progress(void *ctx, u64 applied)
{
	struct zone *z = ctx;

	(void)applied;
	zone_report(z);
}

static void on_full(void *ctx)
{
	zone_fold_kick(ctx);
}

static void on_fail(void *ctx, int error, u64 lsn, const char *reason)
{
	zone_fail(ctx, error, lsn, reason);
}

const struct applier_ops zone_applier_ops = {
	.progress	= on_progress,
	.full		= on_full,
	.fail		= on_fail,
};

static int open_logs(struct zone *z, struct errline *err)
{
	char path[PATH_MAX + 8];
	int ret;

	snprintf(path, sizeof(path), "%s/" STORE_LOG, z->dir);
	ret = seglog_open(&z->applog, path, z->sb.uuid);
	if (!ret)
		ret = seglog_open(&z->foldlog, path, z->sb.uuid);
	if (ret)
		return err_set(err, ret, "%s: %s", path, strerror(-ret));
	z->applier.log = &z->applog;
	z->applier.incarnation = z->sb.incarnation;
	return 0;
}

static int look_back(void *arg, const u8 *records, size_t len)
{
	struct zone *z = arg;

	return applier_take_data(&z->applier, records, len);
}

static int apply_stretch(void *arg, const u8 *records, size_t len)
{
	struct zone *z = arg;
	int ret = applier_apply(&z->applier, records, len);

	/*
	 * A log is as long as its limit, memory is not.  A store that is not to be
	 * changed is kept in memory all the same.
	 */
	if (ret || z->rdonly || z->replay.corrupt ||
	    memtable_bytes(&z->mt) <= z->cfg->memtable_limit)
		return ret;
	return zone_fold_replay(z);
}

/* What the log holds above the checkpoint, into the memtable. */
static int replay_log(struct zone *z, struct errline *err)
{
	struct replay *r = &z->replay;
	u32 have;
	int ret;

	*r = (struct replay){
		.log = &z->applog,
		.os = z->os,
		.incarnation = z->sb.incarnation,
		.checkpoint = z->sb.checkpoint,
		.checkpoint_seg = z->sb.checkpoint_seg,
		.from = z->sb.log_from,
	};
	if (z->sb.flags & NEXUS_ZF_CLEAN) {
		r->tail = z->sb.checkpoint;
		return 0;
	}
	z->unclean = true;
	ret = replay_scan(r);
	if (ret)
		return err_set(err, ret, "the log cannot be read: %s", strerror(-ret));
	have = seglog_count(&z->applog, z->sb.segment_size);
	if (have < z->al.segment_files)
		replay_corrupt(r, "only %u of the log's %u segment files are there, whole and this zone's",
			       have, z->al.segment_files);
	pthread_mutex_lock(&z->applier.lock);
	ret = replay_records(r, r->from, r->checkpoint, look_back, z);
	/* What is gone of it is said already. */
	if (ret == -EIO && r->corrupt)
		ret = 0;
	if (!ret)
		ret = replay_records(r, r->checkpoint, r->tail, apply_stretch, z);
	pthread_mutex_unlock(&z->applier.lock);
	if (ret && ret != -EUCLEAN)
		return err_set(err, ret, "the log cannot be applied: %s%s", strerror(-ret),
			       ret == -ENOSPC ? NO_SPACE_HINT : "");
	if (r->corrupt)
		zone_fail(z, -EUCLEAN, r->tail, r->reason);
	if (r->tail > r->checkpoint || r->dropped)
		log_info("zone %s: replayed %llu bytes of log, dropped %llu that were never acknowledged",
			 z->name, r->tail - r->checkpoint, r->dropped);
	return 0;
}

int zone_load(struct zone *z, bool rdonly, bool reattach, struct errline *err)
{
	bool ro_feature = false;
	int ret;

	z->reattached = reattach;
	ret = store_find_zone(z->cfg, z->name, z->dir, err);
	if (!ret)
		ret = store_check_host(z->dir, z->cfg->allow_any_host, err);
	if (!ret)
		ret = store_open_index(z->cfg, z->dir, rdonly, &z->ms, err);
	/* Whoever opened a living zone first knew what its host allows. */
	if (reattach && (ret == -EROFS || ret == -EACCES)) {
		rdonly = true;
		ret = store_open_index(z->cfg, z->dir, rdonly, &z->ms, err);
	}
	z->rdonly = rdonly;
	if (!ret)
		ret = super_read(z->ms, &z->sb, &ro_feature, err);
	if (!ret)
		ret = alloc_read(z->ms, &z->al, err);
	if (ret)
		return ret;
	if (ro_feature && !rdonly)
		return err_set(err, -EROFS,
			       "the zone uses features this helper can only read (ro_compat 0x%llx); mount -o ro",
			       z->sb.ro_compat);
	ret = store_open_packs(z->cfg, z->dir, &z->os, err);
	if (ret)
		return ret;
	ret = zone_keep_open(z);
	if (ret)
		return err_set(err, ret, "the space kept for files cannot be looked at: %s",
			       strerror(-ret));
	ret = memtable_init(&z->mt, z->ms, z->sb.checkpoint);
	/* Nothing is folded out of a read-only one: a limit would be its end. */
	if (!ret)
		ret = applier_init(&z->applier, &z->mt, z->sb.checkpoint,
				   rdonly ? ~0ull : z->cfg->memtable_limit,
				   &zone_applier_ops, z);
	if (ret)
		return ret;
	atomic_store(&z->checkpoint, z->sb.checkpoint);
	atomic_store(&z->log_from, z->sb.log_from);
	poison_open(&z->applier.poison, z->dir, rdonly);
	ret = open_logs(z, err);
	if (!ret && !reattach)
		ret = replay_log(z, err);
	return ret;
}

/* ---- for a mount ------------------------------------------------------- */

static int refuse_damaged(struct zone *z, struct errline *err)
{
	char reason[112];

	if (!zone_error(z, reason))
		return 0;
	return err_set(err, -EUCLEAN, "%s; fsck.nexusfs tells more, mount -o ro shows what is there",
		       reason);
}

/* Everything that changes the store before the kernel has it. */
static int begin_incarnation(struct zone *z, struct errline *err)
{
	u64 lines = 0;
	int ret;

	ret = z->os->drv->clean(z->os);
	/* Before packs get other names. */
	if (!ret && z->unclean)
		ret = replay_tables(&z->replay, z->sb.uuid, &lines);
	if (ret)
		return err_set(err, ret, "the tables of packs cannot be completed: %s",
			       strerror(-ret));
	if (lines)
		log_info("zone %s: %llu lines were missing in tables of packs",
			 z->name, lines);
	ret = zone_rehome(z, false, err);
	if (ret)
		return ret;
	ret = zone_find_leftovers(z);
	if (!ret)
		ret = zone_fold_open(z);
	if (ret)
		return err_set(err, ret, "the index cannot be written: %s%s", strerror(-ret),
			       ret == -ENOSPC ? NO_SPACE_HINT : "");
	return 0;
}

/*
 * The log of a zone at rest is in the index by then, so the record goes there, too, and
 * the log goes on behind it: as if it had been appended and its segment used again.
 */
int zone_append(struct zone *z, struct nexus_rec_head *rec, struct errline *err)
{
	char reason[112];
	int ret;

	ret = begin_incarnation(z, err);
	if (ret)
		return ret;
	rec->lsn = cpu_to_le64(z->replay.tail);
	pthread_mutex_lock(&z->applier.lock);
	ret = applier_apply(&z->applier, (const u8 *)rec, le32_to_cpu(rec->len));
	pthread_mutex_unlock(&z->applier.lock);
	if (ret)
		return err_set(err, ret, "%s", zone_error(z, reason) ? reason : strerror(-ret));
	z->replay.tail += le32_to_cpu(rec->len);
	ret = zone_fold_open(z);
	if (!ret)
		ret = zone_fold(z, 0, true);
	if (ret)
		return err_set(err, ret, "the index cannot be written: %s", strerror(-ret));
	return 0;
}

int zone_attach(struct zone *z, u64 ticket, u64 ttl, struct errline *err)
{
	struct nexus_zone_attach za = {
		.flags = z->rdonly ? NEXUS_ZA_RDONLY : 0,
		.incarnation = z->sb.incarnation,
		.tail = z->replay.tail,
		.checkpoint = z->sb.checkpoint,
		.applied = memtable_applied(&z->mt),
		.segment = z->sb.next_segment,
		.prev_crc = z->replay.prev_crc,
		.lock_fd = z->lock_fd,
		.pack_blocks = super_pack_blocks(&z->sb),
		.segment_blocks = super_segment_blocks(&z->sb),
		.ticket = ticket,
	};
	u64 first = 0, end = 0, unwritten = 0, limits;
	int limits_ret = zone_limits(z, &limits), ret;

	if (!z->rdonly) {
		ret = zone_unwritten(z, &unwritten);
		if (!ret)
			ret = limits_ret;
		if (ret)
			return err_set(err, ret, "the usage in the index cannot be read: %s",
				       strerror(-ret));
		ret = zone_take_inos(z, &first, &end);
		if (ret)
			return err_set(err, ret, "the index cannot be written: %s",
				       strerror(-ret));
	}
	memcpy(za.name, z->name, sizeof(za.name));
	memcpy(za.uuid, z->sb.uuid, sizeof(za.uuid));
	za.ino_first = first;
	za.ino_end = end;
	za.features = z->sb.incompat;
	za.unwritten = unwritten;
	za.limits = limits;
	za.ttl = ttl;
	/* A record that cannot be applied ends what there is to see. */
	if (za.applied < za.tail)
		za.tail = za.applied;
	ret = chan_ioctl(z->chan, NEXUS_IOC_ZONE_ATTACH, &za);
	if (ret)
		return err_set(err, ret, "the module refuses the zone: %s", strerror(-ret));
	z->id = za.id;
	ret = chan_map_ring(z->chan, z->id, &z->ring);
	if (ret)
		return err_set(err, ret, "the log cannot be mapped: %s", strerror(-ret));
	applier_set_ring(&z->applier, z->ring.ctl, z->ring.data, z->ring.size);
	return 0;
}

static int start_threads(struct zone *z)
{
	int ret = zone_fetch_start(z);

	if (!ret)
		ret = zone_apply_start(z);
	/* The others wake it. */
	if (!ret && !z->rdonly)
		ret = zone_space_start(z);
	if (!ret && !z->rdonly)
		zone_upload_start(z);
	if (!ret && !z->rdonly)
		ret = zone_evictor_start(z);
	if (!ret && !z->rdonly)
		ret = zone_fold_start(z);
	if (!ret && !z->rdonly)
		ret = zone_make_start(z);
	if (!ret && !z->rdonly)
		ret = zone_scrub_start(z);
	if (!ret)
		ret = origin_start(z);
	return ret;
}

int zone_open(struct zone *z, u32 how, u64 ticket, struct errline *err)
{
	bool rdonly = how & NEXUS_OPEN_RDONLY;
	char owner[160], reason[112];
	int ret;

	ret = store_find_zone(z->cfg, z->name, z->dir, err);
	if (ret)
		return ret;
	snprintf(owner, sizeof(owner), "nexusd of session %s (pid %d), zone %s",
		 z->cfg->session, (int)getpid(), z->name);
	ret = store_lock_zone(z->dir, owner, LOCK_WAIT_MS, &z->lock_fd, err);
	if (!ret)
		ret = zone_load(z, rdonly, false, err);
	/* The kernel has one of a uuid, and so has the store. */
	if (!ret && z->helper)
		ret = helper_claim_uuid(z->helper, z->name, z->sb.uuid, err);
	if (!ret && !rdonly)
		ret = refuse_damaged(z, err);
	if (!ret)
		ret = origin_open(z, false, err);
	if (!ret && how & NEXUS_OPEN_ORIGIN)
		ret = origin_can_sync(z, err);
	if (!ret)
		ret = rdonly ? zone_rehome(z, false, err) : begin_incarnation(z, err);
	if (!ret)
		ret = zone_attach(z, ticket, 0, err);
	if (!ret && !rdonly)
		ret = zone_hand_over(z, err);
	if (ret)
		return ret;
	/* The kernel has it now and keeps it for the life of the zone. */
	close(z->lock_fd);
	z->lock_fd = -1;
	zone_report(z);
	if (zone_error(z, reason))
		zone_fail(z, -EUCLEAN, z->replay.tail, reason);
	ret = start_threads(z);
	if (ret)
		return err_set(err, ret, "threads cannot be started: %s", strerror(-ret));
	log_info("zone %s is open%s: incarnation %llu, LSN %llu",
		 z->name, rdonly ? " read-only" : "", z->sb.incarnation, z->replay.tail);
	return 0;
}

/* ---- from a helper that died -------------------------------------------- */

static int check_identity(struct zone *z, const struct nexus_zone_next *zn,
			  struct errline *err)
{
	if (memcmp(zn->uuid, z->sb.uuid, sizeof(z->sb.uuid)))
		return err_set(err, -ESTALE,
			       "the kernel holds another zone of this name; data_dir is not the one it was mounted from");
	if (zn->incarnation != z->sb.incarnation)
		return err_set(err, -ESTALE,
			       "the store is of incarnation %llu, the kernel holds %llu; was it restored under a living mount?",
			       z->sb.incarnation, (u64)zn->incarnation);
	/* Never give out again what the kernel already has. */
	if (z->al.next_ino < zn->ino_end)
		z->al.next_ino = zn->ino_end;
	if (z->al.next_pack <= zn->pack_max)
		z->al.next_pack = zn->pack_max + 1;
	return 0;
}

/*
 * What only the log has.  The kernel holds it in its page cache; but that of a zone
 * which is not to be changed came out of packs that died with the last helper, and
 * whose log is as that helper found it.
 */
static int reattach_content(struct zone *z, struct errline *err)
{
	int ret;

	if (z->rdonly) {
		ret = replay_log(z, err);
		return ret ? ret : zone_rehome(z, false, err);
	}
	ret = applier_look_back(&z->applier, z->sb.log_from);
	return ret ? err_set(err, ret, "content in the log cannot be found: %s",
			     strerror(-ret)) : 0;
}

int zone_attach_again(struct zone *z, const struct nexus_zone_next *zn, struct errline *err)
{
	struct nexus_zone_attach za = { .id = zn->id, .flags = NEXUS_ZA_REATTACH, .lock_fd = -1 };
	int ret;

	memcpy(za.name, z->name, sizeof(za.name));
	memcpy(za.uuid, z->sb.uuid, sizeof(za.uuid));
	za.incarnation = z->sb.incarnation;
	za.checkpoint = z->sb.log_from;
	za.applied = z->sb.checkpoint;
	za.tail = z->sb.checkpoint;
	za.segment = z->sb.next_segment;
	za.pack_blocks = super_pack_blocks(&z->sb);
	za.segment_blocks = super_segment_blocks(&z->sb);
	if (z->rdonly)
		za.flags |= NEXUS_ZA_RDONLY;
	za.features = z->sb.incompat;
	ret = chan_ioctl(z->chan, NEXUS_IOC_ZONE_ATTACH, &za);
	if (ret)
		return err_set(err, ret, "the module refuses the zone: %s", strerror(-ret));
	z->id = zn->id;
	ret = chan_map_ring(z->chan, z->id, &z->ring);
	if (ret)
		return err_set(err, ret, "the log cannot be mapped: %s", strerror(-ret));
	applier_set_ring(&z->applier, z->ring.ctl, z->ring.data, z->ring.size);
	return 0;
}

int zone_reattach(struct zone *z, const struct nexus_zone_next *zn, struct errline *err)
{
	int ret;

	/* Mounted read-only: what was not to be changed then is not to be changed now. */
	ret = zone_load(z, (zn->flags & NEXUS_ZN_RDONLY) != 0, true, err);
	if (!ret)
		ret = check_identity(z, zn, err);
	if (!ret)
		ret = reattach_content(z, err);
	if (!ret)
		ret = zone_attach_again(z, zn, err);
	if (ret)
		return ret;
	/* Nobody sees an older state than the last helper may have shown. */
	z->floor = __atomic_load_n(&z->ring.ctl->tail, __ATOMIC_ACQUIRE);
	z->first_pack = z->al.next_pack;
	z->next_segment_file = seglog_next_index(&z->foldlog);
	/* What the last one was making. */
	if (!z->rdonly && z->os->drv->clean(z->os))
		log_warn("zone %s: packs that were being made cannot be removed", z->name);
	if (!z->rdonly && zone_find_spares(z, zn->pack_max))
		log_warn("zone %s: its packs cannot be listed", z->name);
	ret = origin_open(z, true, err);
	if (ret)
		return ret;
	ret = start_threads(z);
	if (ret)
		return err_set(err, ret, "threads cannot be started: %s", strerror(-ret));
	log_info("zone %s: taken over at LSN %llu, %llu bytes of log to apply",
		 z->name, z->sb.checkpoint, z->floor - z->sb.checkpoint);
	return 0;
}
