// SPDX-License-Identifier: GPL-2.0-only
/* Streams: what they are made with, their table, and how they are found after a mount. */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "../data/data.h"
#include "stream.h"

static ulong nexus_stream_max = 64ul << 20;
module_param_named(stream_max, nexus_stream_max, ulong, 0644);
MODULE_PARM_DESC(stream_max, "bytes a volatile stream may be made for without CAP_SYS_RESOURCE (default 64 MiB)");

/* ---- what it is made with -------------------------------------------------------- */

/* d_fsdata: blocks, seconds, and whether it persists; see NEXUS_DENTRY_STREAM. */
#define OPTS_AGE_SHIFT		29
#define OPTS_PERSIST		BIT_ULL(60)

static_assert(NEXUS_STREAM_BYTES_MAX / NEXUS_STREAM_BLOCK < 1ull << OPTS_AGE_SHIFT);
static_assert(NEXUS_STREAM_AGE_MAX < 1ull << (60 - OPTS_AGE_SHIFT));

int nexus_stream_limits_ok(const struct nexus_stream_create *sc)
{
	if (sc->max_bytes < NEXUS_STREAM_BYTES_MIN || sc->max_bytes > NEXUS_STREAM_BYTES_MAX ||
	    sc->max_age > NEXUS_STREAM_AGE_MAX)
		return -EINVAL;
	if (!(sc->flags & NEXUS_STREAM_PERSIST) &&
	    sc->max_bytes > READ_ONCE(nexus_stream_max) && !capable(CAP_SYS_RESOURCE))
		return -EPERM;
	return 0;
}

u64 nexus_stream_pack_opts(const struct nexus_stream_create *sc)
{
	return NEXUS_DENTRY_STREAM |
	       DIV_ROUND_UP_ULL(sc->max_bytes, NEXUS_STREAM_BLOCK) |
	       (u64)sc->max_age << OPTS_AGE_SHIFT |
	       (sc->flags & NEXUS_STREAM_PERSIST ? OPTS_PERSIST : 0);
}

void nexus_stream_set(struct inode *inode, u64 packed)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_stream_opts opts = {
		.max_bytes = cpu_to_le64((packed & (BIT_ULL(OPTS_AGE_SHIFT) - 1)) *
					 NEXUS_STREAM_BLOCK),
		.max_age = cpu_to_le32(packed >> OPTS_AGE_SHIFT & NEXUS_STREAM_AGE_MAX),
		.flags = cpu_to_le32(packed & OPTS_PERSIST ? NEXUS_SO_PERSIST : 0),
	};

	static_assert(sizeof(opts) == sizeof(ni->target));
	memcpy(ni->target, &opts, sizeof(opts));
	ni->iflags |= NEXUS_IF_STREAM;
	/* A block that is written over must not be there in part. */
	ni->iflags &= ~NEXUS_IF_NODATACOW;
	nexus_set_ops(inode);
}

u32 nexus_stream_record_max(u64 max_bytes)
{
	u64 room = max_bytes - NEXUS_STREAM_BLOCK, len;

	/* Of any length, a record and what is left of the block before it must fit. */
	len = room - NEXUS_STREAM_RHEAD -
	      (room / NEXUS_STREAM_BLOCK + 2) * NEXUS_STREAM_BHEAD;
	return min_t(u64, len, NEXUS_STREAM_RECORD_MAX);
}

/* ---- the table ------------------------------------------------------------------- */

static struct nexus_stream *nexus_stream_alloc(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_stream_opts opts;
	struct nexus_stream *s;
	u64 bytes;

	memcpy(&opts, ni->target, sizeof(opts));
	bytes = le64_to_cpu(opts.max_bytes);
	if (bytes < NEXUS_STREAM_BYTES_MIN || bytes > NEXUS_STREAM_BYTES_MAX ||
	    bytes % NEXUS_STREAM_BLOCK || le32_to_cpu(opts.flags) & ~NEXUS_SO_PERSIST ||
	    le32_to_cpu(opts.max_age) > NEXUS_STREAM_AGE_MAX) {
		nexus_err(ni->zone, "inode %llu: a stream of %llu bytes, flags %#x",
			  (u64)inode->i_ino, bytes, le32_to_cpu(opts.flags));
		return ERR_PTR(-EUCLEAN);
	}
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	s->persist = le32_to_cpu(opts.flags) & NEXUS_SO_PERSIST;
	s->ready = !s->persist;
	s->max_bytes = bytes;
	s->max_age = le32_to_cpu(opts.max_age);
	s->id = s->persist ? inode->i_generation : get_random_u64();
	s->uid = inode->i_uid;
	spin_lock_init(&s->tail_lock);
	mutex_init(&s->trim_mutex);
	init_rwsem(&s->sem);
	xa_init(&s->pages);
	init_waitqueue_head(&s->wait);
	return s;
}

static void nexus_stream_free(struct nexus_stream *s)
{
	/* One that persists is evicted for memory, and has no pages. */
	if (!s->persist)
		nexus_stream_drop(s, U64_MAX);
	xa_destroy(&s->pages);
	kfree(s);
}

struct nexus_stream *nexus_stream_get(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct xarray *streams = &ni->zone->streams;
	struct nexus_stream *s;
	int err;

	s = xa_load(streams, inode->i_ino);
	if (s)
		return s;
	/* Held for an allocation at most. */
	mutex_lock(&ni->load_mutex);
	s = xa_load(streams, inode->i_ino);
	if (!s) {
		s = nexus_stream_alloc(inode);
		if (IS_ERR(s))
			goto out;
		err = xa_err(xa_store(streams, inode->i_ino, s, GFP_KERNEL_ACCOUNT));
		if (err) {
			nexus_stream_free(s);
			s = ERR_PTR(err);
		}
	}
out:
	mutex_unlock(&ni->load_mutex);
	return s;
}

void nexus_stream_evict(struct inode *inode)
{
	struct xarray *streams = &NEXUS_I(inode)->zone->streams;
	struct nexus_stream *s = xa_load(streams, inode->i_ino);

	/* With a name it comes back, and what is in memory is there. */
	if (!s || (!s->persist && inode->i_nlink))
		return;
	xa_erase(streams, inode->i_ino);
	nexus_stream_free(s);
}

void nexus_streams_free(struct nexus_zone *zone)
{
	struct nexus_stream *s;
	unsigned long ino;

	xa_for_each(&zone->streams, ino, s)
		nexus_stream_free(s);
	xa_destroy(&zone->streams);
}

/* Its inode was evicted and is made again. */
void nexus_stream_fill(struct inode *inode)
{
	const struct nexus_stream *s = xa_load(&NEXUS_I(inode)->zone->streams, inode->i_ino);

	if (s && !s->persist)
		i_size_write(inode, READ_ONCE(s->tail));
}

void nexus_stream_getattr(const struct inode *inode, struct kstat *stat)
{
	const struct nexus_stream *s = xa_load(&NEXUS_I(inode)->zone->streams, inode->i_ino);

	/* Before it was opened, what the record says. */
	if (!s || !READ_ONCE(s->ready))
		return;
	stat->size = READ_ONCE(s->tail);
	if (!s->persist)
		stat->blocks = (u64)atomic_long_read(&s->nr_pages) << (PAGE_SHIFT - 9);
}

/* ---- after a mount ----------------------------------------------------------------- */

/* i_rwsem held. */
static int nexus_stream_find_all(struct file *file, struct nexus_stream *s)
{
	struct inode *inode = file_inode(file);
	struct nexus_stream_src src = nexus_stream_src(file, s, false);
	struct nexus_stream_state st;
	u64 size = i_size_read(inode);
	loff_t data;
	int err;

	err = nexus_extents_load(inode);
	if (err)
		return err;
	data = size ? nexus_seek_data(inode, 0, size) : -ENXIO;
	err = nexus_stream_recover(&src.io, data < 0 ? U64_MAX : data, size, &st);
	if (err == -EUCLEAN)
		nexus_err(NEXUS_I(inode)->zone, "inode %llu: the bytes of the stream are no stream",
			  (u64)inode->i_ino);
	if (err)
		return err;
	/* What is behind the tail was not acknowledged; the next append takes it away. */
	s->start = st.start;
	s->start_seq = st.start_seq;
	s->punched = st.start & ~(u64)(NEXUS_STREAM_BLOCK - 1);
	s->tail = st.tail;
	s->tail_seq = st.tail_seq;
	s->end = st.tail;
	s->end_seq = st.tail_seq;
	s->time = st.time;
	nexus_stream_fit(&src, s->end);
	/* Pairs with nexus_stream_load(): whoever sees it sees all of the above. */
	smp_store_release(&s->ready, true);
	return 0;
}

int nexus_stream_load(struct file *file, struct nexus_stream *s)
{
	struct inode *inode = file_inode(file);
	int err = 0;

	/* Pairs with nexus_stream_find_all(). */
	if (smp_load_acquire(&s->ready))
		return 0;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	if (!s->ready)
		err = nexus_stream_find_all(file, s);
	inode_unlock(inode);
	return err;
}
