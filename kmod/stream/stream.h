/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams: regular files that are logs of records (inodes with NEXUS_IF_STREAM).
 *
 * The bytes (lib/stream.h) of a volatile stream are in pages of its own, those of one
 * that persists in the page cache and so in packs.  Either way a record is appended
 * under i_rwsem at @end, and is there for others when @tail is behind it: with memory at
 * once, else when it is durable.  That is waited for without a lock, for all that has
 * been appended until then: so many appenders share a flush.  What is between @start and
 * @tail never changes, and is read without a lock that anybody waits for the disk with.
 *
 * Order: i_rwsem > trim_mutex > sem.  Who has trim_mutex may wait for the disk or the
 * helper, so it is waited for killably.
 *
 * A volatile stream stays until the zone is unmounted or its last name and file are
 * gone, whether or not its inode is cached: the zone has a table of them by number.  One
 * that persists is in the table while its inode is cached, once it was opened.
 */
#ifndef NEXUS_KMOD_STREAM_H
#define NEXUS_KMOD_STREAM_H

#include <linux/mutex.h>
#include <linux/nexusfs_stream.h>
#include <linux/rwsem.h>
#include <linux/wait.h>

#include "../nexusfs.h"
#include "../../lib/stream.h"

static_assert(sizeof(struct nexus_stream_create) == 280);
static_assert(sizeof(struct nexus_stream_stat) == 96);
static_assert(sizeof(struct nexus_stream_append) == 40);
static_assert(sizeof(struct nexus_stream_record) == 24);
static_assert(sizeof(struct nexus_stream_read) == 40);
static_assert(NEXUS_STREAM_LEN_MAX == NEXUS_STREAM_RECORD_MAX);

struct nexus_plock_file;
struct nexus_ring_user;

struct nexus_stream {
	bool	persist;
	bool	ready;			/* start and tail are known; i_rwsem to set */
	u32	max_age;		/* seconds; 0: none */
	u64	max_bytes;
	u64	id;
	/* Readers have READ_ONCE(). */
	u64	start;			/* trim_mutex */
	u64	tail;			/* tail_lock; only grows */
	u64	tail_seq;		/* tail_lock */
	spinlock_t tail_lock;
	u64	end, end_seq;		/* i_rwsem: where the next one goes */
	u64	time;			/* i_rwsem: of the last one */
	struct mutex trim_mutex;
	u64	start_seq;		/* trim_mutex */
	u64	start_time;		/* trim_mutex; 0: to be looked up */
	u64	punched;		/* tail_lock: blocks before it are gone for good */
	/* Volatile: */
	struct rw_semaphore sem;	/* pages that are read must not go */
	struct xarray pages;		/* by block */
	atomic_long_t nr_pages;
	struct nexus_ring_user *user;	/* who pays, if there are pages */
	kuid_t	uid;
	wait_queue_head_t wait;		/* for tail, or for start to overtake */
};

/* private_data of an open file. */
struct nexus_stream_file {
	struct nexus_plock_file *plock;
	struct nexus_stream *s;
	u64	known;			/* a record begins here: it is behind one that was read */
	u64	cursor;			/* the offset, while f_pos is NEXUS_STREAM_CURSOR */
	u32	mode;			/* NEXUS_STREAM_WAIT */
};

/*
 * What f_pos is of a file whose reads wait.  With FMODE_ATOMIC_POS they would keep others
 * out of the open file meanwhile, whom nobody could kill then.  Without it each call puts
 * back the f_pos that it has seen, writes as well: so that is always this one, and the
 * offset is where it is changed by compare and exchange.  No record begins here.
 */
#define NEXUS_STREAM_CURSOR	((loff_t)NEXUS_STREAM_POS_MAX + 1)

static inline struct nexus_stream_file *nexus_stream_file(const struct file *file)
{
	return file->private_data;
}

static inline struct nexus_stream *nexus_stream_of(const struct file *file)
{
	return nexus_stream_file(file)->s;
}

/* How the bytes of a stream are read; see nexus_stream_src(). */
struct nexus_stream_src {
	struct nexus_stream_io io;
	struct nexus_stream *s;
	struct file *file;
	bool	nowait;			/* -EAGAIN, instead of waiting for the disk */
};

/* stream.c */
/* Makes @inode, a file nobody else knows yet, a stream; @packed: nexus_stream_pack_opts(). */
void nexus_stream_set(struct inode *inode, u64 packed);
/* The inode is made again, leaves the cache, is asked about; the zone was unmounted. */
void nexus_stream_fill(struct inode *inode);
void nexus_stream_evict(struct inode *inode);
void nexus_stream_getattr(const struct inode *inode, struct kstat *stat);
void nexus_streams_free(struct nexus_zone *zone);
/* What is in a dentry's d_fsdata while it is being made; @opts: as in the inode's record. */
u64 nexus_stream_pack_opts(const struct nexus_stream_create *sc);
/* 0; -EINVAL, -EPERM: the caller may not have it. */
int nexus_stream_limits_ok(const struct nexus_stream_create *sc);
/* The longest record of a stream of so many bytes. */
u32 nexus_stream_record_max(u64 max_bytes);
/* The stream of an inode, made when there is none; ERR_PTR.  May sleep. */
struct nexus_stream *nexus_stream_get(struct inode *inode);
/* The file's stream, with start and tail found.  0 or -errno; killable. */
int nexus_stream_load(struct file *file, struct nexus_stream *s);

/* store.c */
struct nexus_stream_src nexus_stream_src(struct file *file, struct nexus_stream *s, bool nowait);
/* Writes bytes of the stream; i_rwsem held.  0 or -errno, and nothing has changed then. */
int nexus_stream_store(struct file *file, struct nexus_stream *s, u64 pos, u8 *buf, size_t len);
/* Drops pages of blocks before @block; trim_mutex. */
void nexus_stream_drop(struct nexus_stream *s, u64 block);
/* All before the tail's block that is not needed, on disk; no locks. */
int nexus_stream_punch(struct file *file, struct nexus_stream *s, bool all);

/* trim.c */
/* What is too old goes.  0 or -EINTR. */
int nexus_stream_expire(struct nexus_stream_src *src);
/* What is too much goes, if records end at @end.  Waits killably, or leaves it. */
void nexus_stream_fit(struct nexus_stream_src *src, u64 end);
long nexus_stream_trim(struct file *file, u64 pos);

/* rdwr.c */
ssize_t nexus_stream_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t nexus_stream_write_iter(struct kiocb *iocb, struct iov_iter *from);
/*
 * The record at rec->pos into @to: 0; -ENODATA: it is the tail; -ESTALE, -EINVAL,
 * -EMSGSIZE, -EFAULT, -EUCLEAN, -EAGAIN (@nowait), -EINTR.
 */
int nexus_stream_read_record(struct file *file, struct nexus_stream_rec *rec,
			     struct iov_iter *to, bool nowait);
/* Waits for something to read at @pos.  0, -ERESTARTSYS. */
int nexus_stream_wait(struct nexus_stream *s, u64 pos);
/* How many of @count records were appended, and where; or -errno. */
ssize_t nexus_stream_append(struct file *file, const u8 *data, const u32 *lens, u32 count,
			    bool nowait, u64 *pos);

/* ioctl.c */
long nexus_stream_create(struct file *file, unsigned long arg);
long nexus_stream_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* file.c */
/* The offset; it may be another one at once. */
u64 nexus_stream_offset(const struct file *file);
/* @mode, of the file, was NEXUS_STREAM_MODE's argument. */
void nexus_stream_set_mode(struct file *file, u32 mode);
extern const struct file_operations nexus_stream_fops;
/* Where an open stream has its path lock. */
struct nexus_plock_file **nexus_stream_plock(struct file *file);

#endif /* NEXUS_KMOD_STREAM_H */
