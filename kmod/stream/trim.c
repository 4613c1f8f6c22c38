// SPDX-License-Identifier: GPL-2.0-only
/* Streams lose what is oldest: what is too much, too old, or told to go. */
#include <linux/poll.h>
#include <linux/slab.h>

#include "../data/data.h"
#include "stream.h"

/* Nothing before @rec is there any more; trim_mutex. */
static void nexus_stream_set_start(struct nexus_stream *s, const struct nexus_stream_rec *rec)
{
	lockdep_assert_held(&s->trim_mutex);
	WRITE_ONCE(s->start, rec->pos);
	s->start_seq = rec->seq;
	s->start_time = 0;
	if (!s->persist)
		nexus_stream_drop(s, rec->pos / NEXUS_STREAM_BLOCK);
	/* Who waits behind is told that it waits in vain. */
	wake_up_interruptible_poll(&s->wait, EPOLLIN | EPOLLRDNORM);
}

void nexus_stream_fit(struct nexus_stream_src *src, u64 end)
{
	struct nexus_stream *s = src->s;
	u64 to = ALIGN(end, NEXUS_STREAM_BLOCK), tail, seq;
	struct nexus_stream_rec rec;

	if (to - round_down(READ_ONCE(s->start), NEXUS_STREAM_BLOCK) <= s->max_bytes)
		return;
	spin_lock(&s->tail_lock);
	tail = s->tail;
	seq = s->tail_seq;
	spin_unlock(&s->tail_lock);
	/* Held for reads of heads of blocks; a signal: the next one does it. */
	if (mutex_lock_killable(&s->trim_mutex))
		return;
	if (!nexus_stream_first_from(&src->io, to - s->max_bytes, tail, seq, &rec) &&
	    rec.pos > s->start)
		nexus_stream_set_start(s, &rec);
	mutex_unlock(&s->trim_mutex);
}

/* ---- by age ---------------------------------------------------------------------------- */

/* The head of the record at the start.  0 or -errno. */
static int nexus_stream_start_head(struct nexus_stream_src *src, struct nexus_stream_rec *rec)
{
	u8 head[NEXUS_STREAM_RHEAD];
	int err;

	rec->pos = src->s->start;
	rec->seq = src->s->start_seq;
	err = src->io.read(&src->io, nexus_stream_head_at(rec->pos), head, sizeof(head));
	return err ?: nexus_stream_get_head(head, rec);
}

static int nexus_stream_expire_locked(struct nexus_stream_src *src, u64 before)
{
	struct nexus_stream *s = src->s;
	struct nexus_stream_rec rec = {};
	bool moved = false;
	int err = 0;

	if (s->start_time && s->start_time > before)
		return 0;
	for (;;) {
		if (s->start == READ_ONCE(s->tail))
			break;
		err = nexus_stream_start_head(src, &rec);
		if (err)
			break;
		if (rec.time > before)
			break;
		rec.pos = nexus_stream_next(rec.pos, rec.len);
		rec.seq++;
		WRITE_ONCE(s->start, rec.pos);
		s->start_seq = rec.seq;
		moved = true;
		cond_resched();
	}
	/* @rec is what is at the start now. */
	if (moved)
		nexus_stream_set_start(s, &rec);
	if (!err && s->start != READ_ONCE(s->tail))
		s->start_time = rec.time;
	return err;
}

int nexus_stream_expire(struct nexus_stream_src *src)
{
	struct nexus_stream *s = src->s;
	u64 now, age, start_time;
	int err;

	if (!s->max_age || READ_ONCE(s->start) == READ_ONCE(s->tail))
		return 0;
	now = ktime_get_real_ns();
	age = (u64)s->max_age * NSEC_PER_SEC;
	if (now <= age)
		return 0;
	start_time = READ_ONCE(s->start_time);
	if (start_time && start_time > now - age)
		return 0;
	if (src->nowait) {
		if (!mutex_trylock(&s->trim_mutex))
			return -EAGAIN;
	} else if (mutex_lock_killable(&s->trim_mutex)) {
		return -EINTR;
	}
	err = nexus_stream_expire_locked(src, now - age);
	mutex_unlock(&s->trim_mutex);
	return err;
}

/* ---- when told -------------------------------------------------------------------------- */

/* i_rwsem and trim_mutex held; @block: its room. */
static int nexus_stream_trim_locked(struct nexus_stream_src *src, u64 pos, u8 *block)
{
	u64 base = round_down(pos, NEXUS_STREAM_BLOCK), seq, tail;
	struct nexus_stream_rec rec = { .pos = pos };
	struct nexus_stream *s = src->s;
	int err;

	spin_lock(&s->tail_lock);
	tail = s->tail;
	rec.seq = s->tail_seq;
	spin_unlock(&s->tail_lock);
	if (pos < s->start)
		return -ESTALE;
	if (pos > tail)
		return -EINVAL;
	if (pos < tail) {
		err = src->io.read(&src->io, base, block, NEXUS_STREAM_BLOCK);
		if (!err)
			err = nexus_stream_find(block, pos, &seq);
		if (err)
			return err;
		rec.seq = seq;
	}
	nexus_stream_set_start(s, &rec);
	return 0;
}

/* On disk, the block's head says where it begins now.  i_rwsem held. */
static int nexus_stream_mark_start(struct nexus_stream_src *src)
{
	u8 head[NEXUS_STREAM_BHEAD];
	struct nexus_stream_first first;
	struct nexus_stream *s = src->s;
	u64 pos, base, seq;
	int err;

	if (mutex_lock_killable(&s->trim_mutex))
		return -EINTR;
	pos = s->start;
	seq = s->start_seq;
	mutex_unlock(&s->trim_mutex);
	base = round_down(pos, NEXUS_STREAM_BLOCK);
	/* First in its block, or that is not begun yet. */
	if (pos == base)
		return 0;
	err = src->io.read(&src->io, base, head, sizeof(head));
	if (!err)
		err = nexus_stream_first(head, base, &first);
	if (err || first.pos == pos)
		return err;
	first.pos = pos;
	first.seq = seq;
	nexus_stream_set_first(head, &first);
	return nexus_stream_store(src->file, s, base, head, sizeof(head));
}

/* Blocks go first: what is found after a crash in between is a start, if not the last one. */
static long nexus_stream_trim_disk(struct nexus_stream_src *src)
{
	struct inode *inode = file_inode(src->file);
	int err;

	err = nexus_stream_punch(src->file, src->s, true);
	if (err)
		return err;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	err = nexus_stream_mark_start(src);
	inode_unlock(inode);
	return err ?: vfs_fsync(src->file, 1);
}

long nexus_stream_trim(struct file *file, u64 pos)
{
	struct nexus_stream *s = nexus_stream_of(file);
	struct nexus_stream_src src = nexus_stream_src(file, s, false);
	struct inode *inode = file_inode(file);
	u8 *block;
	int err;

	/* To append only is to take nothing away; the bounds of the stream's owner still do. */
	err = IS_IMMUTABLE(inode) || IS_APPEND(inode) ? -EPERM : nexus_inode_writable(inode);
	if (err)
		return err;
	block = kmalloc(NEXUS_STREAM_BLOCK, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	err = -EINTR;
	if (down_write_killable(&inode->i_rwsem))
		goto out;
	if (!mutex_lock_killable(&s->trim_mutex)) {
		err = nexus_stream_trim_locked(&src, pos, block);
		mutex_unlock(&s->trim_mutex);
	}
	inode_unlock(inode);
	if (!err && s->persist)
		err = nexus_stream_trim_disk(&src);
out:
	kfree(block);
	return err;
}
