/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rings: FIFOs that carry messages (inodes with NEXUS_IF_RING).
 *
 * Two credits rule who may go on: bytes of payload, taken by who sends and given by who
 * receives; and messages, the other way round.  Each has a mutex, of the side that takes:
 * under it one takes credit, copies the message, and gives to the other side, one after
 * the other.  It is never held while anything waits or faults; who has taken his credit
 * has his place for sure, if not where.  So neither a full ring nor a sender whose memory
 * takes its time holds up anybody else, and whoever waits can be killed.
 *
 * The memory is there while the ring is open or has messages, whether or not its inode
 * is cached, and is gone with the mount: the zone has a table of it by inode number.
 */
#ifndef NEXUS_KMOD_RING_H
#define NEXUS_KMOD_RING_H

#include <linux/mutex.h>
#include <linux/nexusfs_ring.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "../nexusfs.h"
#include "../../lib/credit.h"
#include "../../lib/ringbuf.h"

static_assert(sizeof(struct nexus_ring_create) == 272);
static_assert(sizeof(struct nexus_ring_stat) == 120);
static_assert(sizeof(struct nexus_ring_peek) == 16);
static_assert(sizeof(struct nexus_ring_batch) == 40);
static_assert(sizeof(struct nexus_ring_mapping) == 56);
static_assert(sizeof(struct nexus_ring_words) == 128);
static_assert(sizeof(struct nexus_ring_wait) == 16);

struct nexus_map;
struct nexus_ring_user;

/* One of the two sides. */
struct nexus_ring_side {
	wait_queue_head_t poll;
	struct fasync_struct *fasync;
	/* open_mutex: */
	unsigned int files;		/* open on this side */
	unsigned int seen;		/* files ever opened on this side; wraps */
	/* What this side needs to go on, and its mutex; that of @recv goes first. */
	struct nexus_credit credit;
	/* Under the mutex: */
	u32	pos;			/* in data: where the next message begins */
	u64	count, bytes;		/* of messages so far */
	u64	waits;			/* who had to wait, or could not */
};

struct nexus_ring {
	struct nexus_ring_side send, recv;
	u8	*data;
	u32	size;
	u32	capacity;
	struct mutex open_mutex;	/* files, seen, closed, map */
	wait_queue_head_t open_wait;	/* for the other side's @seen */
	bool	closed;
	struct nexus_map *map;		/* the ring is mapped: map.c has all its credit */
	unsigned int users;		/* open files and who is opening; load_mutex of the inode */
	struct nexus_ring_user *user;
	const struct nexus_zone *zone;	/* this and the inode's number: whose it is */
	u64	ino;
	struct list_head list;		/* count.c */
};

/* private_data of an open file. */
struct nexus_ring_file {
	struct nexus_ring *ring;
	unsigned int senders_seen;	/* when it was opened, if there were none */
	u32	want;			/* bytes that a send was refused for; 0: it was not */
	u32	mode;			/* NEXUS_RING_TRUNCATE */
};

/* Both mutexes: nothing is sent or received. */
static inline void nexus_ring_lock(struct nexus_ring *ring)
{
	nexus_mutex_lock(&ring->recv.credit.lock);
	nexus_mutex_lock(&ring->send.credit.lock);
}

static inline void nexus_ring_unlock(struct nexus_ring *ring)
{
	nexus_mutex_unlock(&ring->send.credit.lock);
	nexus_mutex_unlock(&ring->recv.credit.lock);
}

/* ring.c */
/* Counts memory of a ring for its owner.  ERR_PTR: -EDQUOT beyond the limit, -ENOMEM. */
struct nexus_ring_user *nexus_ring_charge(kuid_t uid, u64 bytes);
void nexus_ring_uncharge(struct nexus_ring_user *u, u64 bytes);
kuid_t nexus_ring_owner(const struct nexus_ring *ring);
/* 0; -EINVAL, -EPERM: the caller may not have a ring of that capacity. */
int nexus_ring_capacity_ok(u64 capacity);
/* Makes @inode, a FIFO nobody else knows yet, a ring. */
void nexus_ring_set(struct inode *inode, u64 capacity);
/* The ring of an inode, made when there is none, for one more user; ERR_PTR. May sleep. */
struct nexus_ring *nexus_ring_get(struct inode *inode);
/* The same, but NULL when there is none.  May sleep. */
struct nexus_ring *nexus_ring_find(struct inode *inode);
void nexus_ring_put(struct inode *inode, struct nexus_ring *ring);
/* Another capacity, which the caller may have.  0, -EBUSY, -EDQUOT, -ENOMEM. */
int nexus_ring_resize(struct nexus_ring *ring, u32 capacity);
bool nexus_ring_empty(const struct nexus_ring *ring);
/*
 * Memory for a ring, or a stream, of @uid: who pays, until that many bytes were given
 * back.  ERR_PTR: -EDQUOT beyond the limit, -ENOMEM.  May sleep.
 */
struct nexus_ring_user *nexus_ring_charge(kuid_t uid, u64 bytes);
void nexus_ring_uncharge(struct nexus_ring_user *u, u64 bytes);

/* rdwr.c */
/*
 * Takes @need of @side's credit, waiting interruptibly unless @nowait.  0: with the
 * side's mutex; or -EAGAIN, -EMSGSIZE, -ERESTARTSYS, or what it is broken with.
 */
int nexus_ring_begin(struct nexus_ring *ring, struct nexus_ring_side *side, u64 need,
		     bool nowait);
/* Gives @side's mutex up, and has those of @other go on who waited for what was given. */
void nexus_ring_end(struct nexus_ring_side *side, struct nexus_ring_side *other, int band);
/* The same instead, with @n returned of what was taken. */
void nexus_ring_undo(struct nexus_ring_side *side, u64 n, int band);
/* Wakes those, and who polls @side; no mutex. */
void nexus_ring_wake(struct nexus_ring_side *side, nexus_wakes *wakes, int band);
/* Takes what @side has away, for good or until somebody opens the other side. */
void nexus_ring_break(struct nexus_ring_side *side, int err);
ssize_t nexus_ring_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t nexus_ring_write_iter(struct kiocb *iocb, struct iov_iter *from);

/* copy.c: the bytes of messages; the mutex of the side. */
/*
 * Puts a message that credit was taken for, and gives it; false if its memory is not
 * there without a fault, and then nothing happened.
 */
bool nexus_ring_put_message(struct nexus_ring *ring, u32 len, struct iov_iter *from);
/*
 * The next message, which stays: its length, and where it begins in *@pos.  There is one,
 * for who has taken credit for it.
 */
u32 nexus_ring_next(const struct nexus_ring *ring, u32 *pos);
/* Copies out @len bytes from @pos on; false and nothing moved if memory is not there. */
bool nexus_ring_copy_out(const struct nexus_ring *ring, u32 pos, u32 len,
			 struct iov_iter *to);
/* The message of @len at @pos, which is the next, is done with, and its room given. */
void nexus_ring_took(struct nexus_ring *ring, u32 pos, u32 len);

/* count.c: a ring has memory, for the counters of the module; and has it no more.  May sleep. */
void nexus_ring_count_begin(struct nexus_ring *ring);
void nexus_ring_count_end(struct nexus_ring *ring);

/* at.c: the ioctls of a directory on a ring that is not opened; may sleep. */
long nexus_ring_at(struct file *dir, unsigned int cmd, unsigned long arg);

/* map.c */
long nexus_map_ioctl(struct file *file, unsigned long arg);
/*
 * Of a ring that may be mapped; open_mutex.  Who has it open, or that it is closed, has
 * changed: tells the mapped sides.
 */
void nexus_map_update(struct nexus_ring *ring);
/* NEXUS_RING_MAPPED_SEND and _RECV, and what the sides say is on its way in *@bytes. */
u32 nexus_map_stat(const struct nexus_ring *ring, u64 *bytes);

/* file.c */
/* Gives both sides what they need again, or takes it away, as who has it open asks for. */
void nexus_ring_restore(struct nexus_ring *ring);

/* batch.c */
long nexus_ring_send_batch(struct file *file, struct nexus_ring_batch *batch, bool nowait);
long nexus_ring_recv_batch(struct file *file, struct nexus_ring_batch *batch, bool nowait);

/* ioctl.c */
long nexus_ring_create(struct file *file, unsigned long arg);
/*
 * Makes @name, of @len bytes, in the open directory @file, for writing to which the mount
 * was asked; @what: NEXUS_DENTRY_* and what goes with it.  As mknod(2).
 */
int nexus_mknod_as(struct file *file, const u8 *name, int len, umode_t mode, u64 what);
/* Length of a name in an ioctl's argument; -ENAMETOOLONG, -EINVAL. */
int nexus_ring_name_len(const u8 bytes[256]);
void nexus_ring_fill_stat(struct nexus_ring *ring, struct nexus_ring_stat *st);
/* Length of the next message, its beginning at @peek; -EAGAIN, -EFAULT, -EINTR.  May sleep. */
int nexus_ring_peek(struct nexus_ring *ring, const struct nexus_ring_peek *peek);
/* -ENXIO: nobody has it open. */
int nexus_ring_close(struct nexus_ring *ring);
long nexus_ring_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int nexus_ring_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif /* NEXUS_KMOD_RING_H */
