// SPDX-License-Identifier: Apache-2.0
/* The kernel's side of a zone, as far as ioctls and the ring go. */
#include <sys/mman.h>

#include "util.h"

static int fake_submit(struct fake *k, struct nexus_submit *sub)
{
	u8 rec[4096] __attribute__((aligned(8)));
	const struct nexus_rec_move *move = (void *)rec;
	int ret;

	pthread_mutex_lock(&k->lock);
	k->submits++;
	ret = k->submit_error;
	pthread_mutex_unlock(&k->lock);
	if (ret)
		return ret;
	if (sub->len > sizeof(rec))
		return -EINVAL;
	memcpy(rec, (void *)(uintptr_t)sub->record, sub->len);
	if (nexus_rec_check((void *)rec, sub->len))
		return -EINVAL;
	if (le16_to_cpu(move->head.type) == NEXUS_REC_MOVE && k->move_error &&
	    le64_to_cpu(move->ino) == k->bad_ino)
		return k->move_error;
	sub->lsn = fake_append(k, (void *)rec);
	return 0;
}

static int fake_report(struct fake *k, const struct nexus_report *rp)
{
	int ret = 0;

	pthread_mutex_lock(&k->lock);
	if (rp->applied < k->applied || rp->applied > k->tail ||
	    rp->checkpoint < k->checkpoint || rp->checkpoint > k->ctl->durable ||
	    rp->space_free > rp->space_total)
		ret = -EINVAL;
	else
		k->applied = rp->applied, k->checkpoint = rp->checkpoint,
		k->kept = rp->kept, k->kept_for = rp->kept_for, k->reports++,
		k->no_space = rp->flags & NEXUS_RP_NOSPACE;
	pthread_mutex_unlock(&k->lock);
	return ret;
}

/* lock held.  As the kernel, which then has it: what it is told again it does not look at. */
static void see_pack(struct fake *k, const struct nexus_hand_over *ho)
{
	size_t words = ((size_t)ho->blocks + 63) / 64;
	u32 i;

	for (i = 0; i < k->nseen; i++)
		if (k->seen[i].pack == ho->id)
			return;
	if (k->nseen == FAKE_SEEN)
		return;
	k->seen[i].pack = ho->id;
	k->seen[i].blocks = ho->blocks;
	k->seen[i].absent = calloc(words, sizeof(u64));
	assert_non_null(k->seen[i].absent);
	if (ho->flags & NEXUS_HF_ABSENT)
		memcpy(k->seen[i].absent, (const void *)(uintptr_t)ho->absent, words * sizeof(u64));
	k->nseen++;
}

/* lock held. */
static void set_absent(struct fake *k, u64 pack, const struct nexus_pack_range *range, bool absent)
{
	u32 i, b;

	for (i = 0; i < k->nseen && k->seen[i].pack != pack; i++)
		;
	for (b = range->block; i < k->nseen && b < range->block + range->nblocks; b++) {
		u64 bit = 1ull << b % 64, *word = &k->seen[i].absent[b / 64];

		assert_true(b < k->seen[i].blocks);
		*word = absent ? *word | bit : *word & ~bit;
	}
}

bool fake_reads(struct fake *k, u64 pack, u32 block)
{
	bool reads = false;
	u32 i;

	pthread_mutex_lock(&k->lock);
	for (i = 0; i < k->nseen; i++)
		if (k->seen[i].pack == pack)
			reads = !(k->seen[i].absent[block / 64] >> block % 64 & 1);
	pthread_mutex_unlock(&k->lock);
	return reads;
}

/* Every pack is at hand and sealed. */
static int fake_retire(struct fake *k, const struct nexus_retire *r)
{
	const struct nexus_pack_range *range = (const void *)(uintptr_t)r->ranges;
	u32 i;
	int ret;

	if (!r->nr || r->nr > NEXUS_RETIRE_MAX || r->reserved)
		return -EINVAL;
	pthread_mutex_lock(&k->lock);
	ret = !k->retire_pack || k->retire_pack == r->pack ? k->retire_error : 0;
	k->retires++;
	for (i = 0; !ret && i < r->nr; i++) {
		set_absent(k, r->pack, &range[i], true);
		k->retired += range[i].nblocks;
		k->evicted += r->flags & NEXUS_RT_EVICT ? range[i].nblocks : 0;
	}
	pthread_mutex_unlock(&k->lock);
	return ret;
}

static int fake_present(struct fake *k, const struct nexus_retire *r)
{
	const struct nexus_pack_range *range = (const void *)(uintptr_t)r->ranges;
	u32 i;

	if (!r->nr || r->nr > NEXUS_RETIRE_MAX || r->reserved || r->flags)
		return -EINVAL;
	pthread_mutex_lock(&k->lock);
	for (i = 0; !k->present_error && i < r->nr; i++) {
		set_absent(k, r->pack, &range[i], false);
		k->presented += range[i].nblocks;
		k->presented_in |= 1ull << range[i].block / FAKE_PIECE % 64;
	}
	pthread_mutex_unlock(&k->lock);
	return k->present_error;
}

static int fake_pack_use(const struct fake *k, struct nexus_pack_use *u)
{
	u32 i;

	for (i = 0; i < k->nuses; i++)
		if (k->use[i].pack == u->pack)
			u->idle = k->use[i].idle;
	return u->idle ? 0 : -ENXIO;
}

static bool was_handed(const struct fake *k, u64 pack)
{
	size_t i;

	for (i = 0; i < FAKE_HANDED; i++)
		if (k->handed[i] == pack)
			return true;
	return false;
}

static int fake_ioctl(struct chan *c, unsigned long cmd, void *arg)
{
	struct fake *k = c->ctx;
	const struct nexus_hand_over *ho = arg;
	const struct nexus_ino_range *range = arg;

	switch (cmd) {
	case NEXUS_IOC_REPORT:
		return fake_report(k, arg);
	case NEXUS_IOC_SUBMIT:
		return fake_submit(k, arg);
	case NEXUS_IOC_SEGMENT:
		k->segments++;
		return 0;
	case NEXUS_IOC_PACK:
		k->packs++;
		k->kept_packs += !!(ho->flags & NEXUS_HF_KEPT);
		k->zeroed_packs += !!(ho->flags & NEXUS_HF_ZEROED);
		if (ho->flags & NEXUS_HF_SPARE && was_handed(k, ho->id))
			return -EEXIST;
		if (!(ho->flags & NEXUS_HF_SPARE)) {
			pthread_mutex_lock(&k->lock);
			see_pack(k, ho);
			pthread_mutex_unlock(&k->lock);
		}
		k->handed[k->nhanded++ % FAKE_HANDED] = ho->id;
		k->last_pack = NEXUS_MAX(k->last_pack, ho->id);
		/* As the kernel: who wants more says so again. */
		__atomic_fetch_and(&k->ctl->flags,
				   ~(NEXUS_LF_WANT_PACK |
				     (ho->flags & NEXUS_HF_ZEROED ? NEXUS_LF_WANT_ZEROED : 0)),
				   __ATOMIC_RELEASE);
		return 0;
	case NEXUS_IOC_INO_RANGE:
		k->ranges++;
		if (range->first < k->last_ino_end)
			return -EINVAL;
		k->last_ino_end = range->end;
		return 0;
	case NEXUS_IOC_RETIRE:
		return fake_retire(k, arg);
	case NEXUS_IOC_PRESENT:
		return fake_present(k, arg);
	case NEXUS_IOC_PACK_USE:
		return fake_pack_use(k, arg);
	case NEXUS_IOC_ZONE_FAIL:
		k->fails++;
		memcpy(k->reason, ((struct nexus_zone_fail *)arg)->reason, sizeof(k->reason));
		return 0;
	default:
		return -ENOTTY;
	}
}

void fake_init(struct fake *k, u64 ring_size, u64 lsn)
{
	memset(k, 0, sizeof(*k));
	k->chan.fd = -1;
	k->chan.ioctl = fake_ioctl;
	k->chan.ctx = k;
	k->mapped = 4096 + ring_size;
	k->ctl = mmap(NULL, k->mapped, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(k->ctl, MAP_FAILED);
	k->ring = (u8 *)k->ctl + 4096;
	k->ring_size = ring_size;
	k->tail = lsn;
	k->ctl->tail = lsn;
	k->ctl->window = lsn;
	k->ctl->durable = lsn;
	k->ctl->ring_size = ring_size;
	pthread_mutex_init(&k->lock, NULL);
}

void fake_free(struct fake *k)
{
	if (k->ctl)
		munmap(k->ctl, k->mapped);
	while (k->nseen)
		free(k->seen[--k->nseen].absent);
	pthread_mutex_destroy(&k->lock);
}

u64 fake_append(struct fake *k, struct nexus_rec_head *rec)
{
	u64 *ring = (u64 *)k->ring, *from = (u64 *)rec;
	u32 len = le32_to_cpu(rec->len), i;
	u64 end;

	pthread_mutex_lock(&k->lock);
	rec->lsn = cpu_to_le64(k->tail);
	end = k->tail + len;
	/* The window moves before what it leaves is overwritten. */
	if (end - k->ctl->window > k->ring_size)
		__atomic_store_n(&k->ctl->window, (end - k->ring_size + 7) & ~7ull,
				 __ATOMIC_SEQ_CST);
	for (i = 0; i < len / 8; i++)
		__atomic_store_n(&ring[(k->tail / 8 + i) & (k->ring_size / 8 - 1)], from[i],
				 __ATOMIC_RELEASE);
	k->tail = end;
	__atomic_store_n(&k->ctl->tail, end, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&k->lock);
	return end;
}

void fake_durable(struct fake *k, u64 lsn)
{
	pthread_mutex_lock(&k->lock);
	__atomic_store_n(&k->ctl->durable, lsn, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&k->lock);
}

struct zone *fake_open(struct fake *k, const struct config *cfg, u64 ring_size)
{
	struct errline err = { "" };
	struct zone *z;
	int ret;

	memset(k, 0, sizeof(*k));
	z = zone_new(NULL, cfg, &k->chan, "z");
	assert_non_null(z);
	ret = zone_load(z, false, false, &err);
	if (ret)
		print_message("%d: %s\n", ret, err.msg);
	assert_int_equal(ret, 0);
	assert_false(z->replay.corrupt);
	ret = zone_rehome(z, false, &err);
	if (ret)
		print_message("%d: %s\n", ret, err.msg);
	assert_int_equal(ret, 0);
	assert_int_equal(zone_find_leftovers(z), 0);
	assert_int_equal(zone_fold_open(z), 0);
	fake_init(k, ring_size, z->replay.tail);
	k->applied = k->tail;
	k->checkpoint = k->tail;
	z->chan = &k->chan;
	z->id = 1;
	z->ring = (struct chan_ring){ k->ctl, k->ring, k->ring_size, k->mapped };
	applier_set_ring(&z->applier, z->ring.ctl, z->ring.data, z->ring.size);
	ret = zone_hand_over(z, &err);
	if (ret)
		print_message("%d: %s\n", ret, err.msg);
	assert_int_equal(ret, 0);
	return z;
}

void fake_close(struct fake *k, struct zone *z)
{
	zone_stop(z);
	/* The zone unmaps it. */
	k->ctl = NULL;
	zone_put(z);
	fake_free(k);
}

void log_of(struct zone *z, struct logw *w)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/log", z->dir);
	logw_init(w, path, z->sb.uuid, z->sb.incarnation, z->sb.next_segment,
		  z->replay.tail);
	logw_segment(w, 0, super_segment_blocks(&z->sb));
}

void append_both(struct fake *k, struct logw *w, struct nexus_rec_head *rec)
{
	fake_append(k, rec);
	logw_add(w, rec);
}

void power_cut(struct fake *k, struct zone *z)
{
	fake_close(k, z);
}
