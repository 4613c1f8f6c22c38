// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel is handed over in advance: segment files, packs, ranges of
 * inode numbers.  A thread per zone makes more when the kernel asks, and keeps
 * one pack of zeros ready beyond that.
 */
#include "zone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "drivers/hostfile.h"
#include "evictor.h"

#define AT_ONCE		4u	/* of a kind, before the kernel is asked again */
#define TICK_S		1

/* ---- numbers -------------------------------------------------------------- */

int zone_take_inos(struct zone *z, u64 *first, u64 *end)
{
	struct alloc al;
	int ret;

	pthread_mutex_lock(&z->alloc_lock);
	al = z->al;
	al.next_ino += ZONE_INO_RANGE;
	ret = al.next_ino < z->al.next_ino ? -EOVERFLOW : alloc_write(z->ms, &al);
	if (!ret) {
		*first = z->al.next_ino;
		*end = al.next_ino;
		z->al = al;
	}
	pthread_mutex_unlock(&z->alloc_lock);
	return ret;
}

int zone_take_packs(struct zone *z, u32 n, u64 *first)
{
	struct alloc al;
	int ret;

	pthread_mutex_lock(&z->alloc_lock);
	al = z->al;
	al.next_pack += n;
	ret = alloc_write(z->ms, &al);
	if (!ret) {
		*first = z->al.next_pack;
		z->al = al;
	}
	pthread_mutex_unlock(&z->alloc_lock);
	return ret;
}

/*
 * To @n, or by @n @more: how many files a log has that must not get fewer while the
 * zone is not closed in order.  Counted when they are there, and before they are handed over; 0 while some
 * are let go.
 */
static int count_segment_files(struct zone *z, bool more, u32 n)
{
	struct alloc al;
	int ret = 0;

	pthread_mutex_lock(&z->alloc_lock);
	al = z->al;
	al.segment_files = more ? al.segment_files + n : n;
	if (al.segment_files != z->al.segment_files)
		ret = alloc_write(z->ms, &al);
	if (!ret)
		z->al = al;
	pthread_mutex_unlock(&z->alloc_lock);
	return ret;
}

/* ---- handing over --------------------------------------------------------- */

static int hand(struct zone *z, unsigned long cmd, int fd, u32 flags, u32 blocks, u64 id)
{
	struct nexus_hand_over ho = {
		.zone = z->id, .fd = fd, .flags = flags, .blocks = blocks, .id = id,
	};

	return chan_ioctl(z->chan, cmd, &ho);
}

static int hand_segment(struct zone *z, u32 index)
{
	u32 blocks = super_segment_blocks(&z->sb);
	char name[16];
	int fd, ret;

	seglog_name(name, index);
	fd = hostfile_open(z->foldlog.dirfd, name, O_RDWR);
	if (fd < 0)
		return fd;
	ret = hand(z, NEXUS_IOC_SEGMENT, fd, NEXUS_HF_ZEROED, blocks, index);
	close(fd);
	return ret;
}

static int make_segment(struct zone *z, u32 index)
{
	char name[16];

	seglog_name(name, index);
	return hostfile_create(z->foldlog.dirfd, name, z->sb.segment_size);
}

static int hand_pack(struct zone *z, u64 pack, u32 flags)
{
	u32 blocks;
	int fd, ret;

	fd = z->os->drv->open_pack(z->os, pack, true, &blocks);
	if (fd < 0)
		return fd;
	ret = hand(z, NEXUS_IOC_PACK, fd, flags | NEXUS_HF_SPARE, blocks, pack);
	close(fd);
	return ret;
}

static bool space_above(struct zone *z, u64 bytes)
{
	u64 total, avail;

	return z->os->drv->space(z->os, &total, &avail) || avail >= bytes;
}

bool zone_host_has_space(struct zone *z)
{
	return space_above(z, zone_growth_reserve(z) + z->sb.pack_size);
}

static bool have_space(struct zone *z)
{
	return zone_host_has_space(z) && zone_evictor_room(z);
}

/*
 * A pack under a number never used: an unused file of before, which was written, or
 * a new one.  What is written in bulk needs no zeros, and gets none where there are
 * others; *@flags says whether it did.
 */
static int make_pack(struct zone *z, bool zeroed, u64 *pack, u32 *flags)
{
	u32 blocks = super_pack_blocks(&z->sb);
	bool space = have_space(z);
	int ret;

	if (!z->nrecycle && !space)
		return -ENOSPC;
	ret = zone_take_packs(z, 1, pack);
	*flags = NEXUS_HF_ZEROED;
	while (!ret && z->nrecycle && (zeroed || !space || z->nrecycle > 1)) {
		u64 from = z->recycle[--z->nrecycle];

		ret = pack_recycle(z->os, from, *pack, blocks, z->sb.uuid);
		if (!ret)
			return 0;
		/* Of another size, or half gone: it is of no use to anyone. */
		log_debug("zone %s: pack %llu cannot be used again: %s", z->name,
			  from, strerror(-ret));
		ret = z->os->drv->remove(z->os, from);
	}
	if (ret)
		return ret;
	if (!zeroed)
		*flags = 0;
	ret = zeroed ? pack_create(z->os, *pack, blocks, z->sb.uuid) :
		       pack_create_allocated(z->os, *pack, blocks, z->sb.uuid);
	if (!ret)
		zone_evictor_made(z, *pack);
	return ret;
}

/* ---- at mount -------------------------------------------------------------- */

struct used {
	u64 *packs;
	size_t n;
};

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Every pack the index knows. */
static int known_packs(struct zone *z, struct used *used)
{
	u8 key[NEXUS_KEY_MAX];
	struct nexus_key k;
	struct memview v;
	size_t klen, cap = 0;
	int ret;

	nexus_key_pack(&k, 0);
	memcpy(key, k.b, k.len);
	klen = k.len;
	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	while ((ret = nexus_kv_seek(&v.kv, key, &klen, NULL, 0)) >= 0 &&
	       key[0] == NEXUS_KEY_PACK && klen == 9) {
		if (used->n == cap) {
			u64 *more = realloc(used->packs, (cap + 1024) * sizeof(u64));

			if (!more) {
				ret = -ENOMEM;
				break;
			}
			used->packs = more;
			cap += 1024;
		}
		used->packs[used->n++] = nexus_get_be64(key + 1);
		key[klen++] = 0;
	}
	memview_end(&v);
	return ret == -ENOMEM ? ret : ret < 0 && ret != -ENOENT ? ret : 0;
}

struct find_arg {
	struct zone *z;
	struct used *used;
	u64 above;		/* ids up to here may be known to the kernel */
	size_t cap;
};

static int find_unused(void *arg, u64 pack)
{
	struct find_arg *fa = arg;
	struct zone *z = fa->z;

	if (pack <= fa->above)
		return 0;
	if (fa->used->n && bsearch(&pack, fa->used->packs, fa->used->n, sizeof(u64), compare_u64))
		return 0;
	if (z->nrecycle == fa->cap) {
		u64 *more = realloc(z->recycle, (fa->cap + 64) * sizeof(u64));

		if (!more)
			return -ENOMEM;
		z->recycle = more;
		fa->cap += 64;
	}
	z->recycle[z->nrecycle++] = pack;
	return 0;
}

/*
 * Packs nothing points into; the kernel does not know them either.  What is not applied
 * names packs handed over since the mount, and what was there then is in the index:
 * neither alone would do.
 */
int zone_find_spares(struct zone *z, u64 above)
{
	struct used used = { NULL, 0 };
	struct find_arg fa = { z, &used, above, 0 };
	int ret;

	ret = known_packs(z, &used);
	if (!ret)
		ret = z->os->drv->list(z->os, find_unused, &fa);
	free(used.packs);
	return ret;
}

/* Its space is free only when both logs have closed it; no thread runs yet. */
static int drop_segment(struct zone *z, u32 index)
{
	char name[16];

	seglog_name(name, index);
	if (unlinkat(z->foldlog.dirfd, name, 0))
		return -errno;
	seglog_forget(&z->foldlog, index);
	seglog_forget(&z->applog, index);
	return 0;
}

static int hand_segments(struct zone *z)
{
	u32 want = z->cfg->segments, have = 0, index;
	size_t i = 0;
	int ret;

	ret = seglog_scan(&z->foldlog);
	while (!ret && i < z->foldlog.nfiles) {
		struct seg_file *f = &z->foldlog.files[i];

		/* All of it is in the index: more than enough are let go. */
		if (f->size != z->sb.segment_size || have >= 2 * want) {
			ret = count_segment_files(z, false, 0);
			if (!ret)
				ret = drop_segment(z, f->index);
			continue;
		}
		ret = hand_segment(z, f->index);
		have++;
		i++;
	}
	index = seglog_next_index(&z->foldlog);
	for (; !ret && have < want; have++, index++) {
		ret = make_segment(z, index);
		if (!ret)
			ret = hand_segment(z, index);
	}
	z->next_segment_file = index;
	return ret ? ret : count_segment_files(z, false, have);
}

int zone_hand_over(struct zone *z, struct errline *err)
{
	struct nexus_ino_range range = { .zone = z->id };
	u32 i, flags;
	u64 pack;
	int ret;

	z->first_pack = z->al.next_pack;
	ret = hand_segments(z);
	if (ret)
		return err_set(err, ret, "segments cannot be handed over: %s",
			       strerror(-ret));
	ret = zone_find_spares(z, 0);
	for (i = 0; !ret && i < ZONE_SPARE_PACKS; i++) {
		/* One for what is small, the others for what is not. */
		ret = make_pack(z, !i, &pack, &flags);
		if (!ret)
			ret = hand_pack(z, pack, flags);
	}
	/* Without a pack there are still names to be changed and files to be deleted. */
	if (ret == -ENOSPC) {
		atomic_store(&z->nospace, true);
		log_warn("zone %s: no space for another pack", z->name);
	} else if (ret) {
		return err_set(err, ret, "packs cannot be handed over: %s", strerror(-ret));
	}
	ret = zone_take_inos(z, &range.first, &range.end);
	if (!ret)
		ret = chan_ioctl(z->chan, NEXUS_IOC_INO_RANGE, &range);
	if (ret)
		return err_set(err, ret, "inode numbers cannot be handed over: %s",
			       strerror(-ret));
	return 0;
}

/* ---- the thread ------------------------------------------------------------- */

static void complain(struct zone *z, const char *what, int ret)
{
	if (ret && ret != -ENOSPC && ret != -ESHUTDOWN && ret != -ENOENT)
		log_warn("zone %s: %s: %s", z->name, what, strerror(-ret));
}

static void set_nospace(struct zone *z, bool none)
{
	if (atomic_exchange(&z->nospace, none) == none)
		return;
	if (none)
		log_warn("zone %s: no space for another pack", z->name);
	else
		log_info("zone %s: there is space for packs again", z->name);
	zone_report(z);
}

static bool wants(struct zone *z, u32 flag)
{
	return zone_flags(z) & flag && !atomic_load(&z->stopping) &&
	       !(zone_flags(z) & NEXUS_LF_DETACHED);
}

static void serve_segments(struct zone *z)
{
	unsigned int i;
	u32 index;
	int ret = 0;

	for (i = 0; !ret && i < AT_ONCE && wants(z, NEXUS_LF_WANT_SEGMENT); i++) {
		/* Deleting takes log, too: it may go further than growth. */
		if (!space_above(z, ZONE_INDEX_SPACE + z->sb.segment_size)) {
			ret = -ENOSPC;
			break;
		}
		index = z->next_segment_file;
		ret = make_segment(z, index);
		if (ret && ret != -EEXIST)
			break;
		z->next_segment_file++;
		if (ret == -EEXIST)
			ret = 0;
		else
			ret = count_segment_files(z, true, 1);
		if (!ret)
			ret = hand_segment(z, index);
	}
	complain(z, "a segment cannot be handed over", ret);
}

/* A pack of zeros; without one small writes go where there is room. */
static void serve_zeroed(struct zone *z)
{
	u32 flags;
	int ret = 0;

	if (!wants(z, NEXUS_LF_WANT_ZEROED))
		return;
	if (!z->spare)
		ret = make_pack(z, true, &z->spare, &flags);
	if (!ret)
		ret = hand_pack(z, z->spare, NEXUS_HF_ZEROED);
	z->spare = 0;
	complain(z, "a pack of zeros cannot be handed over", ret);
}

/* Something goes soon, perhaps: whoever wants a pack waits for as long as that may take. */
static bool waits_for_room(struct zone *z)
{
	return zone_host_has_space(z) && !zone_evictor_room(z) &&
	       !zone_evictor_gave_up(z, zone_flags(z) & NEXUS_LF_WANT_PACK);
}

static void serve_packs(struct zone *z)
{
	unsigned int i;
	u32 flags;
	u64 pack;
	int ret = 0;

	for (i = 0; !ret && i < AT_ONCE && wants(z, NEXUS_LF_WANT_PACK); i++) {
		ret = make_pack(z, false, &pack, &flags);
		if (ret == -ENOSPC && z->spare) {
			pack = z->spare;
			flags = NEXUS_HF_ZEROED;
			z->spare = 0;
			ret = 0;
		}
		if (!ret) {
			ret = hand_pack(z, pack, flags);
		} else if (ret == -ENOSPC && z->kept && !waits_for_room(z)) {
			/* Growth cannot have it: before it comes, tell it so. */
			set_nospace(z, true);
			ret = zone_keep_use(z, hand_pack);
		}
	}
	if (!ret)
		serve_zeroed(z);
	/* Zeros take their time; better before somebody waits. */
	if (!ret && !z->spare && !atomic_load(&z->stopping) && (have_space(z) || z->nrecycle)) {
		ret = make_pack(z, true, &z->spare, &flags);
		if (ret)
			z->spare = 0;
	}
	complain(z, "a pack cannot be handed over", ret);
	set_nospace(z, !z->spare && !z->nrecycle && (ret == -ENOSPC || !have_space(z)) &&
		    !waits_for_room(z));
}

static void serve_inos(struct zone *z)
{
	struct nexus_ino_range range = { .zone = z->id };
	int ret;

	if (!wants(z, NEXUS_LF_WANT_INO))
		return;
	ret = zone_take_inos(z, &range.first, &range.end);
	if (!ret)
		ret = chan_ioctl(z->chan, NEXUS_IOC_INO_RANGE, &range);
	if (ret != -EBUSY)
		complain(z, "inode numbers cannot be handed over", ret);
}

static void *make_main(void *arg)
{
	struct zone *z = arg;
	struct timespec until;

	pthread_setname_np(pthread_self(), "nexusd-make");
	/* Zeros give way to everybody else's I/O. */
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
	while (!atomic_load(&z->stopping)) {
		if (!atomic_load(&z->dropped) && !(zone_flags(z) & NEXUS_LF_DETACHED)) {
			serve_inos(z);
			serve_segments(z);
			zone_keep_step(z);
			serve_packs(z);
			zone_clean_step(z);
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += TICK_S;
		pthread_mutex_lock(&z->make_lock);
		if (!z->make_kick && !atomic_load(&z->stopping))
			pthread_cond_timedwait(&z->make_cond, &z->make_lock, &until);
		z->make_kick = false;
		pthread_mutex_unlock(&z->make_lock);
	}
	return NULL;
}

int zone_make_start(struct zone *z)
{
	int ret = pthread_create(&z->make_thread, NULL, make_main, z);

	if (ret)
		return -ret;
	z->make_running = true;
	return 0;
}

void zone_make_kick(struct zone *z)
{
	pthread_mutex_lock(&z->make_lock);
	z->make_kick = true;
	pthread_cond_signal(&z->make_cond);
	pthread_mutex_unlock(&z->make_lock);
}

void zone_make_stop(struct zone *z)
{
	if (!z->make_running)
		return;
	pthread_mutex_lock(&z->make_lock);
	pthread_cond_broadcast(&z->make_cond);
	pthread_mutex_unlock(&z->make_lock);
	pthread_join(z->make_thread, NULL);
	z->make_running = false;
}
