/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nexusfs: structures and contracts inside the module.
 *
 * Lock order (outermost first):
 *
 *   VFS locks (i_rwsem, s_umount, freeze, mmap_lock, invalidate_lock)
 *     > folio lock
 *       > nexus_inode.log_mutex   (several: ascending inode number)
 *         > nexus_log.append_lock (spinlock: LSN and copy)
 *   nexus_leases.lock: spinlock, a leaf.
 *   nexus_plock_table.lock: spinlock, held around dcache locks (rename_lock, d_lock).
 *   nexus_session.lock, nexus_queue.lock: spinlocks, leaves; uring_lock may be
 *   held around our uring issue and cancel, so nothing below may sleep there.
 *
 * No upcall (nexus_ms_read) under a log_mutex or a spinlock, and none under a folio lock
 * or invalidate_lock, which others wait for unkillably: extents are loaded and packs
 * opened before the page cache is entered (nexus_content_load()).
 */
#ifndef NEXUS_KMOD_H
#define NEXUS_KMOD_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/nexusfs.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <nexus/format.h>

#include "compat.h"
#include "options.h"
#include "origin.h"
#include "stats.h"
#include "../lib/apply.h"
#include "../lib/extmap.h"
#include "../lib/key.h"
#include "../lib/read.h"
#include "../lib/record.h"

struct nexus_zone;
struct nexus_log;
struct nexus_packs;
struct nexus_session;
struct fs_context;
NEXUS_FILEATTR;
struct seq_file;
struct writeback_control;
struct nexus_memstore;
struct nexus_names;
struct nexus_quota;
struct nexus_plocks;
struct nexus_leases;

/* ---- messages ------------------------------------------------------ */

#define nexus_err(z, fmt, ...) \
	pr_err_ratelimited("nexusfs (%s): " fmt "\n", (z)->name, ##__VA_ARGS__)
#define nexus_warn(z, fmt, ...) \
	pr_warn_ratelimited("nexusfs (%s): " fmt "\n", (z)->name, ##__VA_ARGS__)
#define nexus_info(z, fmt, ...) \
	pr_info("nexusfs (%s): " fmt "\n", (z)->name, ##__VA_ARGS__)

/* ---- zone ----------------------------------------------------------- */

#define NEXUS_LSN_BUCKETS	4096	/* last LSN of evicted inodes, by inode number */

/*
 * Reads and changes of a store.  The channel and the in-memory store implement
 * it; everything above knows nothing else.
 */
struct nexus_metastore_ops {
	/*
	 * Answers @req (op, ino, arg0, arg1, len, not_before; the rest is
	 * filled here) with at most @cap bytes in @out, validated by
	 * nexus_reply_check().  Sleeps killably.  Returns bytes, or -errno:
	 * the store's, -EINTR when killed, -ENOTCONN when the session is DEAD,
	 * -EIO for a bad reply.  *@applied: LSN the answer is from.
	 */
	int (*read)(struct nexus_zone *zone, struct nexus_request *req,
		    const void *data, void *out, size_t cap, u64 *applied);
	/*
	 * NULL, or a read in two halves: sends @req and comes back, or fails.  Then
	 * .end() waits, and returns as .read() would, or .forget() does not.
	 */
	struct nexus_rq *(*ahead)(struct nexus_zone *zone,
				  struct nexus_request *req, size_t cap);
	int (*end)(struct nexus_zone *zone, struct nexus_rq *rq, void *out,
		   u64 *applied);
	void (*forget)(struct nexus_zone *zone, struct nexus_rq *rq);
	/* See nexus_mutate(). */
	int (*mutate)(struct nexus_zone *zone, struct nexus_rec_head *rec,
		      u64 *lsn);
};

struct nexus_zone {
	struct kref ref;
	char name[NEXUS_ZONE_NAME_LEN];
	u8 uuid[NEXUS_UUID_SIZE];
	u32 id;				/* of the session's zones; 0 for mem */
	const struct nexus_metastore_ops *ms;
	struct nexus_session *session;	/* referenced; NULL for mem */
	/* NULL before fill_super and from kill_sb on; see nexus_zone_grab_sb(). */
	struct super_block *sb;
	struct nexus_log *log;		/* log/: ring, segments, flusher; NULL for mem */
	struct nexus_packs *packs;	/* data/: packs of the zone */
	struct nexus_memstore *mem;	/* memstore.c, NULL otherwise */
	struct nexus_quota *quota;	/* quota.h */
	struct nexus_plocks *plocks;	/* plock.h */
	struct nexus_leases *leases;	/* lease.h */
	struct file *lock_file;		/* LOCK, kept for the life of the superblock */
	struct nexus_opts opts;
	struct nexus_origin origin;
	bool store_rdonly;
	unsigned long ttl;		/* jiffies, foreign.h; 0: nobody else changes it */
	unsigned long fresh_from;	/* what was asked for before is not believed */
	u64 features;			/* NEXUS_INCOMPAT_* */

	/* Inode numbers for new inodes: [ino_next, ino_end), then the second range. */
	spinlock_t ino_lock;
	u64 ino_next, ino_end;
	u64 ino2_next, ino2_end;
	wait_queue_head_t ino_wait;

	/* Newest LSN of any inode that hashes here and was evicted since. */
	atomic64_t lsn_bucket[NEXUS_LSN_BUCKETS];

	/* As the helper last reported. */
	u64 space_total, space_free, files_used, blocks_used;
	bool no_space;			/* helper can make no further pack */

	/* Inodes with an extent map; see kmod/data/retire.c. */
	spinlock_t maps_lock;
	struct list_head maps;

	struct xarray rings;		/* struct nexus_ring by inode number; ring/ */
	struct xarray streams;		/* struct nexus_stream by inode number; stream/ */

	/* First error wins; read without a lock.  0 while the zone is healthy. */
	int error;
	bool content_lost;	/* could not be written: nobody is told that all is */
	char reason[112];
	struct work_struct fail_work;	/* marks the superblock read-only */
	struct work_struct free_work;	/* nexus_zone_put_later() */
};

/* What s_fs_info points to: the mount's identity, fixed before the zone is open. */
struct nexus_sb {
	struct nexus_zone *zone;	/* NULL until fill_super has opened it */
	struct list_head busy;		/* super.c: zones being opened or closed */
	bool closing;
	char session[NEXUS_SESSION_NAME_MAX + 1]; /* "" for mem */
	char name[NEXUS_ZONE_NAME_LEN];
	const char *bucket;		/* while it is opened: what to mount; NULL: a zone */
	struct nexus_opts opts;
};

/* zone.c */
struct nexus_zone *nexus_zone_alloc(const char *name);	/* ref 1, or NULL */
void nexus_zone_put(struct nexus_zone *zone);		/* may sleep */
/*
 * For callers with mmap_lock, under which nothing may wait for the log's flusher: it
 * takes locks of the host's files, whose holders may fault.
 */
void nexus_zone_put_later(struct nexus_zone *zone);
static inline void nexus_zone_get(struct nexus_zone *zone)
{
	kref_get(&zone->ref);
}

/*
 * The zone goes read-only for good: sets error and reason once, marks the
 * superblock read-only, wakes every waiter of log and packs, raises the event.
 * Any context that may take spinlocks; does not sleep.
 */
void nexus_zone_fail(struct nexus_zone *zone, int error, const char *fmt, ...)
	__printf(3, 4);
/*
 * The zone's superblock with an active reference (deactivate_super() gives it
 * back), or NULL when it is not mounted or about to be unmounted.
 */
struct super_block *nexus_zone_grab_sb(struct nexus_zone *zone);
/* fill_super sets, kill_sb clears (NULL). */
void nexus_zone_set_sb(struct nexus_zone *zone, struct super_block *sb);
int nexus_zone_init(void);		/* workqueue */
void nexus_zone_exit(void);
/* 0, or -EROFS once the zone failed. */
static inline int nexus_zone_writable(const struct nexus_zone *zone)
{
	return READ_ONCE(zone->error) ? -EROFS : 0;
}

/* A new inode number; waits killably for a range.  0 or -errno. */
int nexus_zone_new_ino(struct nexus_zone *zone, u64 *ino);
/* Hands in a range from the helper.  0, -EINVAL (overlap), -EBUSY (both held). */
int nexus_zone_add_ino_range(struct nexus_zone *zone, u64 first, u64 end);
static inline atomic64_t *nexus_zone_bucket(struct nexus_zone *zone, u64 ino)
{
	return &zone->lsn_bucket[(ino * 0x9e3779b97f4a7c15ull) >> 52];
}

/*
 * Typed read through the zone's metastore: fills op and not_before from
 * the arguments.  Same returns as nexus_metastore_ops.read.
 */
int nexus_ms_read(struct nexus_zone *zone, u32 op, u64 ino, u64 arg0, u64 arg1,
		  const void *data, size_t len, u64 not_before,
		  void *out, size_t cap, u64 *applied);

/* ---- log (log/) ------------------------------------------------------ */

/* Room taken in the log before anything changes. */
struct nexus_resv {
	struct nexus_zone *zone;
	u64 bytes;
};

#define NEXUS_RESV_DELETE	BIT(0)	/* may use the reserve for deletions */
#define NEXUS_RESV_NOWAIT	BIT(1)	/* -EAGAIN instead of waiting */

/*
 * Takes @bytes of records (sum of nexus_rec_*_len()).  Waits killably while the
 * log is at its limit, starting writeback and a flush; -EINTR when killed,
 * -EROFS on a failed or read-only zone.  Call with VFS locks at most: no folio
 * lock, no log_mutex.
 */
int nexus_log_reserve(struct nexus_zone *zone, struct nexus_resv *resv,
		      size_t bytes, unsigned int flags);
/* Adds to a reservation that is held.  Same rules. */
int nexus_log_reserve_more(struct nexus_resv *resv, size_t bytes);
/* Gives back what is left.  Any context; safe on a zeroed resv. */
void nexus_log_unreserve(struct nexus_resv *resv);
/*
 * For writeback of what nobody reserved for: takes of what is kept for that, or
 * false.  Never waits.
 */
bool nexus_log_reserve_late(struct nexus_zone *zone, struct nexus_resv *resv,
			    size_t bytes);
/* Moves @bytes from one reservation into another of the same zone (writeback). */
void nexus_resv_move(struct nexus_resv *to, struct nexus_resv *from, u64 bytes);

/*
 * The one way to change anything: assigns the LSN, makes the change part of
 * the zone's order, consumes @resv by rec->len.  Call it before any cache
 * changes, with the log_mutex of every inode whose record it changes.  May
 * sleep for ring space (bounded by local disk I/O).  Returns 0 and *@lsn (the
 * LSN *after* the record: what an fsync must wait for), or -errno and nothing
 * happened.
 */
int nexus_mutate(struct nexus_zone *zone, struct nexus_resv *resv,
		 struct nexus_rec_head *rec, u64 *lsn);

/*
 * The mutate op of every store that has a log: gives @rec its LSN and copies it
 * into the ring.  nexus_mutate() is what everybody else calls.
 */
int nexus_log_append(struct nexus_zone *zone, struct nexus_rec_head *rec, u64 *lsn);

/*
 * Waits killably until everything below @lsn is durable.  0, -EINTR, -EIO.  It
 * is the disk that one waits for; with the segments all but full also the helper.
 */
int nexus_log_flush(struct nexus_zone *zone, u64 lsn);
/* The same for everything there is (sync, freeze), from what is kept for it. */
int nexus_log_sync(struct nexus_zone *zone);
/*
 * The same for what was done and is to be durable before the caller hears of it (dirsync).
 * That it fails is no reason to say that nothing was done: the zone is read-only then,
 * or the caller killed.
 */
static inline void nexus_settle(struct nexus_zone *zone, u64 lsn)
{
	(void)nexus_log_flush(zone, lsn);
}

/* Asks for a flush, waits for nothing.  Any context. */
void nexus_log_kick(struct nexus_zone *zone);
u64 nexus_log_tail(struct nexus_zone *zone);
u64 nexus_log_durable(struct nexus_zone *zone);
u64 nexus_log_applied(struct nexus_zone *zone);

/* For the channel (chan/), from the helper's ioctls; process context. */
struct nexus_log_params {
	u64 incarnation, tail, applied, checkpoint, segment;
	u32 prev_crc, segment_blocks;
};

/* Makes zone->log.  0 or -ENOMEM, -EINVAL. */
int nexus_log_start(struct nexus_zone *zone, const struct nexus_log_params *p);
/* A new helper took the zone over: where it stands.  -EINVAL if impossible. */
int nexus_log_reattach(struct nexus_zone *zone, u64 applied, u64 checkpoint);
/* Takes over the reference of @file on success.  -EINVAL: not usable, says why. */
int nexus_log_add_segment(struct nexus_zone *zone, struct file *file,
			  const struct nexus_hand_over *ho);
/* Clamped: monotonic, applied <= tail, checkpoint <= durable; else -EINVAL. */
int nexus_log_report(struct nexus_zone *zone, u64 applied, u64 checkpoint);
int nexus_log_mmap(struct nexus_zone *zone, struct vm_area_struct *vma);
/* events counter of the control page, for LOGWAIT. */
u32 nexus_log_events(struct nexus_zone *zone);
/* Sets NEXUS_LF_* bits, bumps events and tells the channel.  Any context. */
void nexus_log_set_flags(struct nexus_zone *zone, u32 set, u32 clear);
/* Publishes how many blocks are to be kept for promises.  Any context. */
void nexus_log_set_keep(struct nexus_zone *zone, u64 blocks);
/* Flushes, stops the flusher, sets DETACHED.  For kill_sb; returns first error. */
int nexus_log_stop(struct nexus_zone *zone);
/* Last reference: frees ring and files. */
void nexus_log_free(struct nexus_zone *zone);
/* Wakes every waiter after nexus_zone_fail(). */
void nexus_log_wake_all(struct nexus_zone *zone);

/* ---- packs and content (data/) ---------------------------------------- */

/* @promised: blocks that files of the zone hold unwritten. */
int nexus_packs_start(struct nexus_zone *zone, u32 pack_blocks, u64 promised);
void nexus_packs_free(struct nexus_zone *zone);
void nexus_packs_wake_all(struct nexus_zone *zone);
/* Takes over the reference of @file on success. */
int nexus_packs_add(struct nexus_zone *zone, struct file *file,
		    const struct nexus_hand_over *ho);
/*
 * Writes the head tables of packs with unwritten lines, and flushes what was
 * overwritten in place; at umount.
 */
int nexus_packs_write_tables(struct nexus_zone *zone);
/*
 * Flushes pack data not yet flushed, but for zeroed packs on @covered, which the
 * caller flushes next (the superblock of the log's segment).
 */
int nexus_packs_flush(struct nexus_zone *zone, struct super_block *covered);
/*
 * Forgets pack @id: its record is about to go.  0 (also when it is not known),
 * -EBUSY while it is written or read.
 */
int nexus_packs_drop(struct nexus_zone *zone, u64 id);
/*
 * The store keeps space for @kept blocks beyond the packs handed over, having
 * been asked for @kept_for.
 */
void nexus_packs_set_kept(struct nexus_zone *zone, u64 kept, u64 kept_for);
/* What a file had reserved and never written is promised no more. */
void nexus_packs_unpromise(struct nexus_zone *zone, u64 n);
/* Blocks that can still be reserved, for statfs. */
u64 nexus_packs_free_blocks(struct nexus_zone *zone);

/* A new regular file's page cache. */
void nexus_data_set_mapping(struct address_space *mapping);
extern const struct file_operations nexus_file_fops;
extern const struct inode_operations nexus_file_iops;

/* fsync of any file or directory: writeback, then the log up to the inode's last LSN. */
int nexus_fsync(struct file *file, loff_t start, loff_t end, int datasync);
/* Waits killably until what was written in place is on stable storage.  0, -EINTR, -EIO. */
int nexus_inplace_sync(struct nexus_zone *zone);
/* Writes dirty bytes [from, to] and waits for the I/O, no flush; -EINTR: a fatal signal. */
int nexus_write_and_wait(struct inode *inode, loff_t from, loff_t to);
/* Whether nothing is dirty that the log does not have, and nothing under writeback. */
bool nexus_logged_all(struct inode *inode);
/*
 * Changes the size under i_rwsem: drops the page cache, writes the tail block,
 * appends TRUNCATE, then changes map and inode.  Waits killably for direct writes.
 */
int nexus_data_truncate(struct inode *inode, loff_t size, struct timespec64 now);
/* Extents and inline body of a reply, into a new inode; @all: there are no more extents. */
int nexus_data_prime(struct inode *inode, const struct nexus_extent *ext,
		     u32 n, bool all, const void *content, u32 len);
/*
 * What a reply says of the content of an inode that others have: taken if nothing is
 * known of it.  @applied: LSN of the reply.  May sleep; takes log_mutex.
 */
void nexus_data_learn(struct inode *inode, const struct nexus_entry_reply *er,
		      u64 applied);
/*
 * Before the content of @inode, which is not known, is asked for: may ask for that of
 * it and its neighbours at once (prime.c).  Waits for the helper, killably; load_mutex.
 */
void nexus_content_ahead(struct inode *inode);
/* A file just created: its (empty) map is fully known. */
void nexus_data_new(struct inode *inode);
/* evict_inode: after truncate_inode_pages_final(); gives reservations back. */
void nexus_data_evict(struct inode *inode);
int nexus_data_init(void);		/* workqueues, caches */
void nexus_data_exit(void);

/* ---- inodes ------------------------------------------------------------ */

/* nexus_inode.state bits */
enum {
	NEXUS_I_COMPLETE,	/* directory: every entry is in the dcache */
	NEXUS_I_EXTENTS,	/* regular file: extent map and inline body are fully known */
	NEXUS_I_PACKS,		/* and all packs that it names are open */
	NEXUS_I_XATTRS,		/* all names of extended attributes are in memory */
	NEXUS_I_ORPHAN,		/* nlink 0 here: evict appends FORGET */
	NEXUS_I_LOGGED,		/* the log may have content of it that no extent has (logged.c) */
	NEXUS_I_SPREAD,		/* its body is not to become inline (inline.c) */
	NEXUS_I_EMPTIED,	/* truncated to 0: close starts writeback of what follows */
	NEXUS_I_SYS,		/* synthesized (/__sys__/): never in store or log */
};

/* Whom quotas count an inode for. */
struct nexus_owner {
	u32 uid, gid, projid;
};

/* What was asked for one by one in a directory (prime.c); racy. */
struct nexus_ahead {
	u64 next;		/* the position where who goes in order goes on */
	u32 misses;		/* questions since many were asked for at once */
};

struct nexus_inode {
	struct inode vfs;
	struct nexus_zone *zone;
	unsigned long state;
	/*
	 * Orders what the VFS does not: every change of the fields of the inode
	 * record together with the record that says so.
	 */
	struct mutex log_mutex;
	u64 last_lsn;		/* LSN after the last record about it; log_mutex to write */
	u64 parent, pos;	/* of its name, as in the inode record */
	u64 next_pos;		/* directories; i_rwsem */
	u64 children;		/* directories; i_rwsem */
	u64 data_id;		/* log_mutex */
	u64 disk_size;		/* log_mutex */
	u64 unwritten;		/* blocks in unwritten extents; log_mutex */
	u64 version, gen;
	u32 iflags;		/* NEXUS_IF_* */
	u32 projid;		/* log_mutex to change */
	u8 target[16];
	struct timespec64 btime;
	struct nexus_extmap *map; /* regular files; log_mutex to change; NULL: empty */
	struct nexus_body *body; /* inline; log_mutex and map_sem to change; NULL: none */
	u32 map_changes;	/* changes of map that are prepared for; map_sem write */
	struct list_head mapped; /* of nexus_zone.maps, once there is a map; maps_lock */
	struct rw_semaphore map_sem; /* readers of map; write-held inside log_mutex */
	struct mutex load_mutex; /* one loader of extents, or of a listing */
	struct nexus_resv data_resv; /* log bytes of dirty folios; resv_lock */
	u64 resv_blocks;	/* pack blocks of dirty folios; resv_lock */
	u64 delayed;		/* blocks that get an extent when they are written; resv_lock */
	u64 inplace_flush;	/* number of the flush that is due (data/inplace.h); log_mutex */
	u32 inplace;		/* writes in place in flight; log_mutex */
	u32 dio_waits;		/* for direct I/O to end (data/io.h); i_rwsem exclusive */
	spinlock_t resv_lock;
	/* Quotas (quota.h). */
	blkcnt_t counted;	/* i_blocks as quotas have it; log_mutex */
	struct nexus_owner owner; /* for them; log_mutex and resv_lock to change */
	u64 quota_held;		/* blocks operations may need; resv_lock */
	u64 quota_resv;		/* blocks reserved: for those and the delayed ones; resv_lock */
	u8 quota_kinds;		/* where they are; resv_lock */
	u8 quota_new;		/* where one inode is reserved; nobody else knows the inode */
	struct nexus_resv evict_resv; /* for FORGET, taken by the operation that made nlink 0 */
	struct rb_root xattrs;	/* names and values (xattr.h); xattr_lock */
	spinlock_t xattr_lock;	/* inside of log_mutex; a leaf */
	u32 xattr_list;		/* bytes of names, as listed */
	u32 xattr_values;	/* bytes of values in memory */
	u64 xattr_lsn;		/* LSN after the last change of one; log_mutex to write */
	char *link;		/* symlink target, NUL-terminated; freed RCU-safely */
	struct nexus_resv time_resv; /* for the SETATTR of lazy times; resv_lock */
	struct timespec64 log_atime, log_mtime, log_ctime; /* as the log has them; log_mutex */
	atomic64_t cookie;	/* the last one that was given out (change.c) */
	/* Directories (listing.h). */
	u64 prunes;		/* names the dcache lost; resv_lock */
	u64 known_to;		/* names before it are in the dcache... */
	u64 known_prunes;	/* ...if prunes is still this; resv_lock */
	atomic_t lookups;	/* lookups waiting for an answer */
	u64 list_to;		/* entries before it are in the page cache; resv_lock */
	u32 list_pages;		/* so many pages; as list_used */
	u32 list_used;		/* bytes of the last one; load_mutex or i_rwsem to change */
	u32 list_gen;		/* times it was thrown away; resv_lock */
	struct nexus_ahead ahead_names; /* lookups */
	struct nexus_ahead ahead_content; /* first reads of files */
	u64 content_to;		/* where contents are to be listed from next; racy */
	struct nexus_names *names; /* names.c; set once, under i_rwsem */
	u32 names_missed;	/* lookups in vain; racy */
};

static inline struct nexus_inode *NEXUS_I(const struct inode *inode)
{
	return container_of(inode, struct nexus_inode, vfs);
}

/*
 * nexus_zone_writable(), for what is changed through a descriptor: where the mount was
 * made read-only by force (sysrq u), those for writing are still open.
 */
static inline int nexus_inode_writable(const struct inode *inode)
{
	return sb_rdonly(inode->i_sb) ? -EROFS :
	       nexus_zone_writable(NEXUS_I(inode)->zone);
}

static inline struct nexus_zone *nexus_sb_zone(const struct super_block *sb)
{
	return ((struct nexus_sb *)sb->s_fs_info)->zone;
}

/* inode.c */
int nexus_inode_cache_init(void);
void nexus_inode_cache_exit(void);
struct inode *nexus_alloc_inode(struct super_block *sb);
void nexus_free_inode(struct inode *inode);
void nexus_evict_inode(struct inode *inode);
/*
 * The inode with this number, from the cache or made from a GETATTR; ERR_PTR
 * with -ENOENT, -ESTALE, -EINTR, …
 */
struct inode *nexus_iget(struct super_block *sb, u64 ino);
/* From the cache, referenced, or NULL: also when it is just being made or evicted. */
struct inode *nexus_ilookup_nowait(struct super_block *sb, u64 ino);
/* All times of a new inode that nobody else knows. */
void nexus_born(struct inode *inode, struct timespec64 now);
/*
 * Bytes of an entry reply at most: the head, NEXUS_ENTRY_EXTENTS extents and the
 * target of any but an unusually long symlink, which is then asked for apart.
 */
#define NEXUS_ENTRY_MAX	2048

/* From a validated entry reply of a lookup or listing (asks again when stale). */
struct inode *nexus_iget_reply(struct super_block *sb,
			       const struct nexus_entry_reply *er, u64 applied);
void nexus_set_ops(struct inode *inode);	/* one switch over S_IFMT */
void nexus_set_flags(struct inode *inode, u32 iflags); /* what the VFS is to know of NEXUS_IF_* */
/* As nexus_iget_reply(), but -EAGAIN instead of asking again; for listings. */
struct inode *nexus_iget_attr(struct super_block *sb,
			      const struct nexus_entry_reply *er, u64 applied);
/* A new inode with number, owner and times, not yet hashed; or ERR_PTR. */
struct inode *nexus_new_inode(struct mnt_idmap *idmap, struct inode *dir,
			      umode_t mode, dev_t rdev);
int nexus_getattr(struct mnt_idmap *idmap, const struct path *path,
		  struct kstat *stat, u32 mask, unsigned int flags);
int nexus_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		  struct iattr *attr);
int nexus_fileattr_get(struct dentry *dentry, NEXUS_FILEATTR *fa);
int nexus_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry,
		       NEXUS_FILEATTR *fa);
static inline struct nexus_time nexus_ts(struct timespec64 ts)
{
	return (struct nexus_time){ .s = ts.tv_sec, .ns = ts.tv_nsec };
}

/* quota.c: the record at @lsn has made i_blocks what it is. */
void nexus_quota_logged(struct nexus_inode *ni, u64 lsn);

/*
 * Notes that a record about @ni was appended, and that its map is as the record says;
 * log_mutex held.
 */
static inline void nexus_inode_logged(struct nexus_inode *ni, u64 lsn)
{
	lockdep_assert_held(&ni->log_mutex);
	WRITE_ONCE(ni->last_lsn, lsn);
	if (ni->vfs.i_blocks != ni->counted)
		nexus_quota_logged(ni, lsn);
}

/*
 * The record just appended, or one that reads them after this, carries the times the
 * inode has, so that write_inode need not repeat them (optional); log_mutex held.
 */
static inline void nexus_times_logged(struct nexus_inode *ni, u32 sa_mask)
{
	lockdep_assert_held(&ni->log_mutex);
	if (sa_mask & NEXUS_SA_ATIME)
		ni->log_atime = inode_get_atime(&ni->vfs);
	if (sa_mask & NEXUS_SA_MTIME)
		ni->log_mtime = inode_get_mtime(&ni->vfs);
	if (sa_mask & NEXUS_SA_CTIME)
		ni->log_ctime = inode_get_ctime(&ni->vfs);
}

/*
 * Locks the log_mutex of up to four inodes (NULL and repeated ones are skipped)
 * in ascending inode number.  The set is sorted in place; unlock the same one.
 */
#define NEXUS_LOCKSET 4
struct nexus_lockset {
	struct nexus_inode *ni[NEXUS_LOCKSET];
	unsigned int n;
};

void nexus_lock_inodes(struct nexus_lockset *set, struct inode *a,
		       struct inode *b, struct inode *c, struct inode *d);
void nexus_unlock_inodes(struct nexus_lockset *set);

extern const struct inode_operations nexus_dir_iops;
extern const struct file_operations nexus_dir_fops;
extern const struct inode_operations nexus_symlink_iops;
extern const struct inode_operations nexus_special_iops;
extern const struct file_operations nexus_ring_fops;
extern const struct super_operations nexus_super_ops;
extern const struct export_operations nexus_export_ops;
extern const struct dentry_operations nexus_dentry_ops;
extern struct file_system_type nexus_fs_type;

/* super.c */
int nexus_super_get_tree(struct fs_context *fc);
int nexus_super_reconfigure(struct fs_context *fc);

/* dir.c: the position of a positive dentry's name, kept in d_fsdata */
static inline u64 nexus_dentry_pos(const struct dentry *dentry)
{
	return (unsigned long)dentry->d_fsdata;
}

static inline void nexus_dentry_set_pos(struct dentry *dentry, u64 pos)
{
	dentry->d_fsdata = (void *)(unsigned long)pos;
}

/* ioctl.c: of files, directories and rings */
long nexus_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
/* ring/: an inode leaves the cache; a zone was unmounted */
void nexus_ring_evict(struct inode *inode);
void nexus_rings_free(struct nexus_zone *zone);
/* @gone, of rings that have no memory any more, with what those that have it did.  May sleep. */
u64 nexus_rings_count(enum nexus_counter c, u64 (*gone)(enum nexus_counter c));
/* What names a dentry that is about to become a ring, with its capacity. */
#define NEXUS_DENTRY_RING	BIT_ULL(63)
/* The same of a stream, with what nexus_stream_pack_opts() makes. */
#define NEXUS_DENTRY_STREAM	BIT_ULL(62)
/* unlink.c */
int nexus_link(struct dentry *old, struct inode *dir, struct dentry *dentry);
int nexus_unlink(struct inode *dir, struct dentry *dentry);
int nexus_rmdir(struct inode *dir, struct dentry *dentry);
/* rename.c */
int nexus_rename(struct mnt_idmap *idmap, struct inode *old_dir,
		 struct dentry *old_dentry, struct inode *new_dir,
		 struct dentry *new_dentry, unsigned int flags);
/* dir.c */
struct dentry *nexus_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags);

/* change.c: the change cookie, and times that it can be told by; any context */
void nexus_cookie_init(struct inode *inode); /* of an inode that was read */
/* What a change makes greater; whoever calls this is told apart from the next change. */
u64 nexus_cookie(struct inode *inode);
/* The time of a change of @inode at @now, or a bit later. */
struct timespec64 nexus_after(const struct inode *inode, struct timespec64 now);
/*
 * After the VFS has set the times for a change of content, and once more when the change
 * is made: whoever asked in between has seen the times and not the content.
 */
void nexus_touched(struct inode *inode);

/* write.c: times that change without a record of their own */
int nexus_write_inode(struct inode *inode, struct writeback_control *wbc);
/* Room for what write_inode is going to log; waits killably.  0, -EINTR, -EROFS. */
int nexus_times_reserve(struct inode *inode);
void nexus_dirty_inode(struct inode *inode, int flags);

/* sys.c: inode numbers from here on are synthesized, never stored. */
#define NEXUS_SYS_INO	BIT_ULL(62)
#define NEXUS_SYS_NAME	"__sys__"
/* True for the reserved name in the root directory. */
bool nexus_sys_name(const struct inode *dir, const struct qstr *name);
/* Instantiates /__sys__/ on an in-lookup dentry of the root; as ->lookup. */
struct dentry *nexus_sys_lookup(struct inode *dir, struct dentry *dentry,
				unsigned int flags);

/* ---- channel (chan/) ---------------------------------------------------- */

int nexus_chan_init(void);
void nexus_chan_exit(void);
int nexus_genl_init(void);
void nexus_genl_exit(void);

/*
 * The LIVE session of that name, referenced; ERR_PTR(-ENOTCONN) if there is
 * none, with a hint in *@why (static text).
 */
struct nexus_session *nexus_session_find(const char *name, const char **why);
void nexus_session_put(struct nexus_session *s);
const char *nexus_session_name(const struct nexus_session *s);
/* The caller is its helper, which would wait for itself: -EDEADLK.  Not so in SUBMIT of a MOVE. */
bool nexus_session_is_own(struct nexus_session *s);
/*
 * Asks the helper to attach zone @name (OPEN_ZONE), which is to show @bucket unless that is
 * NULL, and returns it, referenced, with log and packs started; or ERR_PTR.  Killable.
 * @how: NEXUS_OPEN_*.  @reason: what the helper says of its failure, "" if nothing.
 */
struct nexus_zone *nexus_session_open_zone(struct nexus_session *s, const char *name,
					   const char *bucket, u32 how,
					   char reason[NEXUS_REASON_LEN]);
/* kill_sb: the zone takes no more requests; the helper may apply what is left. */
void nexus_session_close_zone(struct nexus_zone *zone);
/* events of the zone's log control page moved: complete LOGWAIT.  Any context. */
void nexus_chan_log_event(struct nexus_zone *zone);
/* Multicasts an event; any context. */
void nexus_event(enum nexus_event ev, const char *session, const char *zone,
		 int error, const char *reason);
extern const struct nexus_metastore_ops nexus_chan_metastore;

#endif /* NEXUS_KMOD_H */
