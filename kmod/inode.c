// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes: made from replies, found in the cache, evicted.
 *
 * What the kernel has cached is authoritative.  A reply is used only for an
 * inode that is not cached, and only if it is from a state that holds the
 * inode's last change: the LSN of that change outlives the inode in the zone's
 * table of buckets (several inodes share one, which costs a repeated question
 * at worst).
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "data/inplace.h"
#include "lease.h"
#include "listing.h"
#include "quota.h"
#include "stream/stream.h"
#include "xattr.h"

/* Extents one FORGET frees at most; more become steps of BULK. */
#define NEXUS_FORGET_MAX	1024u
/* A reply is refused for good when it was too old this many times. */
#define NEXUS_IGET_TRIES	100

static struct kmem_cache *nexus_inode_cache;

static void nexus_inode_init_once(void *p)
{
	struct nexus_inode *ni = p;

	inode_init_once(&ni->vfs);
	mutex_init(&ni->log_mutex);
	mutex_init(&ni->load_mutex);
	init_rwsem(&ni->map_sem);
	spin_lock_init(&ni->resv_lock);
	spin_lock_init(&ni->xattr_lock);
	INIT_LIST_HEAD(&ni->mapped);
}

int nexus_inode_cache_init(void)
{
	nexus_inode_cache = kmem_cache_create("nexusfs_inode",
					      sizeof(struct nexus_inode), 0,
					      SLAB_RECLAIM_ACCOUNT |
					      SLAB_ACCOUNT,
					      nexus_inode_init_once);
	return nexus_inode_cache ? 0 : -ENOMEM;
}

void nexus_inode_cache_exit(void)
{
	/* nexus_free_inode() runs after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(nexus_inode_cache);
}

struct inode *nexus_alloc_inode(struct super_block *sb)
{
	struct nexus_inode *ni;

	ni = alloc_inode_sb(sb, nexus_inode_cache, GFP_KERNEL);
	if (!ni)
		return NULL;
	ni->zone = nexus_sb_zone(sb);
	ni->state = 0;
	ni->last_lsn = 0;
	ni->parent = 0;
	ni->pos = 0;
	ni->next_pos = NEXUS_FIRST_POS;
	ni->children = 0;
	ni->data_id = 0;
	ni->disk_size = 0;
	ni->unwritten = 0;
	ni->version = 0;
	ni->gen = 0;
	ni->iflags = 0;
	ni->projid = 0;
	memset(ni->target, 0, sizeof(ni->target));
	ni->btime = (struct timespec64){};
	atomic64_set(&ni->cookie, 0);
	ni->map = NULL;
	ni->body = NULL;
	ni->map_changes = 0;
	ni->data_resv = (struct nexus_resv){};
	ni->resv_blocks = 0;
	ni->delayed = 0;
	ni->inplace_flush = 0;
	ni->inplace = 0;
	ni->dio_waits = 0;
	ni->counted = 0;
	ni->owner = (struct nexus_owner){};
	ni->quota_held = 0;
	ni->quota_resv = 0;
	ni->quota_kinds = 0;
	ni->quota_new = 0;
	ni->evict_resv = (struct nexus_resv){};
	ni->xattrs = RB_ROOT;
	ni->xattr_list = 0;
	ni->xattr_values = 0;
	ni->xattr_lsn = 0;
	ni->link = NULL;
	ni->time_resv = (struct nexus_resv){};
	ni->log_atime = (struct timespec64){};
	ni->log_mtime = (struct timespec64){};
	ni->log_ctime = (struct timespec64){};
	ni->prunes = 0;
	ni->known_to = 0;
	ni->known_prunes = 0;
	atomic_set(&ni->lookups, 0);
	ni->list_to = 0;
	ni->list_pages = 0;
	ni->list_used = 0;
	ni->list_gen = 0;
	ni->ahead_names = (struct nexus_ahead){};
	ni->ahead_content = (struct nexus_ahead){};
	ni->content_to = 0;
	ni->names = NULL;
	ni->names_missed = 0;
	return &ni->vfs;
}

/* After a grace period: get_link may have been reading the target. */
void nexus_free_inode(struct inode *inode)
{
	kfree(NEXUS_I(inode)->link);
	kmem_cache_free(nexus_inode_cache, NEXUS_I(inode));
}

void nexus_set_ops(struct inode *inode)
{
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &nexus_file_iops;
		inode->i_fop = NEXUS_I(inode)->iflags & NEXUS_IF_STREAM ?
			       &nexus_stream_fops : &nexus_file_fops;
		nexus_data_set_mapping(inode->i_mapping);
		break;
	case S_IFDIR:
		inode->i_op = &nexus_dir_iops;
		inode->i_fop = &nexus_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &nexus_symlink_iops;
		break;
	default:
		inode->i_op = &nexus_special_iops;
		init_special_inode(inode, inode->i_mode, inode->i_rdev);
		if (NEXUS_I(inode)->iflags & NEXUS_IF_RING)
			inode->i_fop = &nexus_ring_fops;
	}
}

void nexus_set_flags(struct inode *inode, u32 iflags)
{
	unsigned int flags = 0;

	if (iflags & NEXUS_IF_IMMUTABLE)
		flags |= S_IMMUTABLE;
	if (iflags & NEXUS_IF_APPEND)
		flags |= S_APPEND;
	if (iflags & NEXUS_IF_NOATIME)
		flags |= S_NOATIME;
	if (iflags & NEXUS_IF_SYNC)
		flags |= S_SYNC;
	if (iflags & NEXUS_IF_DIRSYNC)
		flags |= S_DIRSYNC;
	inode_set_flags(inode, flags, S_IMMUTABLE | S_APPEND | S_NOATIME |
			S_SYNC | S_DIRSYNC);
}

/* ---- from replies ------------------------------------------------------------ */

static int nexus_inode_fill(struct inode *inode,
			    const struct nexus_entry_reply *er)
{
	const struct nexus_extent *ext = (const void *)(er + 1);
	const struct nexus_attr *a = &er->attr;
	struct nexus_inode *ni = NEXUS_I(inode);
	const char *content = (const char *)(ext + er->nextents);

	inode->i_mode = a->mode;
	i_uid_write(inode, a->uid);
	i_gid_write(inode, a->gid);
	set_nlink(inode, a->nlink);
	inode->i_generation = a->generation;
	inode->i_rdev = MKDEV((a->rdev >> 32) & 0xfff, a->rdev & MINORMASK);
	i_size_write(inode, a->size);
	inode->i_blocks = a->blocks << (NEXUS_BLOCK_SHIFT - 9);
	inode_set_atime(inode, a->atime_s, a->atime_ns);
	inode_set_mtime(inode, a->mtime_s, a->mtime_ns);
	inode_set_ctime(inode, a->ctime_s, a->ctime_ns);
	ni->log_atime = inode_get_atime(inode);
	ni->log_mtime = inode_get_mtime(inode);
	ni->log_ctime = inode_get_ctime(inode);
	nexus_cookie_init(inode);
	ni->btime.tv_sec = a->btime_s;
	ni->btime.tv_nsec = a->btime_ns;
	ni->last_lsn = atomic64_read(nexus_zone_bucket(ni->zone, inode->i_ino));
	ni->parent = a->parent;
	ni->pos = a->pos;
	ni->next_pos = max(a->next_pos, NEXUS_FIRST_POS);
	ni->children = a->children;
	ni->data_id = a->data_id;
	ni->disk_size = a->disk_size;
	ni->unwritten = a->unwritten;
	ni->version = a->version;
	ni->gen = a->gen;
	ni->iflags = a->flags;
	ni->projid = a->projid;
	ni->counted = inode->i_blocks;
	ni->owner = (struct nexus_owner){ a->uid, a->gid, a->projid };
	memcpy(ni->target, a->target, sizeof(ni->target));
	nexus_set_flags(inode, a->flags);
	nexus_inplace_fill(ni);
	if (er->flags & NEXUS_ER_NO_XATTRS) {
		set_bit(NEXUS_I_XATTRS, &ni->state);
		cache_no_acl(inode);
	}
	nexus_set_ops(inode);
	if (a->flags & NEXUS_IF_STREAM)
		nexus_stream_fill(inode);

	if (S_ISREG(inode->i_mode))
		return nexus_data_prime(inode, ext, er->nextents,
					er->flags & NEXUS_ER_EXTENTS_ALL,
					content, er->content_len);
	if (S_ISLNK(inode->i_mode) && (er->flags & NEXUS_ER_CONTENT)) {
		if (er->content_len != a->size ||
		    memchr(content, '\0', er->content_len))
			return -EIO;
		ni->link = kmemdup_nul(content, er->content_len, GFP_KERNEL);
		if (!ni->link)
			return -ENOMEM;
		inode->i_link = ni->link;
	}
	return 0;
}

struct inode *nexus_iget_attr(struct super_block *sb,
			      const struct nexus_entry_reply *er, u64 applied)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	const struct nexus_attr *a = &er->attr;
	struct inode *inode;
	int err;

	/* Numbers above are ours; an inode without a name is not looked up. */
	if (!a->ino || a->ino >= NEXUS_SYS_INO)
		return ERR_PTR(-EIO);
	if (!a->nlink)
		return ERR_PTR(-ESTALE);

	inode = iget_locked(sb, a->ino);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!nexus_inode_is_new(inode)) {
		/* The cached inode wins; but then it must be the same one. */
		if (inode_wrong_type(inode, a->mode) ||
		    inode->i_generation != a->generation) {
			nexus_err(zone, "inode %llu: the reply has mode %o and generation %u, the inode %o and %u",
				  a->ino, a->mode, a->generation,
				  inode->i_mode, inode->i_generation);
			iput(inode);
			return ERR_PTR(-ESTALE);
		}
		return inode;
	}

	/* Evicted after a change that the reply does not have? */
	if (atomic64_read(nexus_zone_bucket(zone, a->ino)) > applied) {
		nexus_count(inodes_stale);
		iget_failed(inode);
		return ERR_PTR(-EAGAIN);
	}
	err = nexus_inode_fill(inode, er);
	if (err) {
		iget_failed(inode);
		return ERR_PTR(err);
	}
	nexus_count(inodes_read);
	unlock_new_inode(inode);
	return inode;
}

/* Asks until the answer is new enough. */
static struct inode *nexus_iget_ask(struct super_block *sb, u64 ino)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	struct inode *inode = ERR_PTR(-EIO);
	struct nexus_entry_reply *er;
	u64 applied;
	int n, i;

	er = kmalloc(NEXUS_ENTRY_MAX, GFP_KERNEL);
	if (!er)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < NEXUS_IGET_TRIES; i++) {
		n = nexus_ms_read(zone, NEXUS_OP_GETATTR, ino, 0, 0, NULL, 0,
				  atomic64_read(nexus_zone_bucket(zone, ino)),
				  er, NEXUS_ENTRY_MAX, &applied);
		if (n < 0) {
			inode = ERR_PTR(n);
			break;
		}
		if (er->attr.ino != ino)
			break;
		inode = nexus_iget_attr(sb, er, applied);
		if (inode != ERR_PTR(-EAGAIN))
			break;
		inode = ERR_PTR(-EIO);
	}
	kfree(er);
	return inode;
}

struct inode *nexus_iget_reply(struct super_block *sb,
			       const struct nexus_entry_reply *er, u64 applied)
{
	struct inode *inode = nexus_iget_attr(sb, er, applied);

	if (inode == ERR_PTR(-EAGAIN))
		inode = nexus_iget_ask(sb, er->attr.ino);
	return inode;
}

struct inode *nexus_iget(struct super_block *sb, u64 ino)
{
	struct inode *inode = ilookup(sb, ino);

	/*
	 * The inode is made when the answer is there: whoever else wants it
	 * would wait for a locked new inode unkillably.
	 */
	return inode ?: nexus_iget_ask(sb, ino);
}

/* Flags that a directory hands on to what is made in it, as ext4 does. */
static u32 nexus_inherited(umode_t mode)
{
	u32 iflags = NEXUS_IF_NODUMP | NEXUS_IF_NOATIME;

	if (S_ISREG(mode) || S_ISDIR(mode))
		iflags |= NEXUS_IF_SYNC | NEXUS_IF_NODATACOW;
	if (S_ISDIR(mode))
		iflags |= NEXUS_IF_DIRSYNC;
	return iflags;
}

static int nexus_match_ino(struct inode *inode, nexus_ino_t ino, void *data)
{
	u64 *want = data;

	if (inode->i_ino != *want || nexus_inode_is_new(inode))
		return 0;
	return igrab(inode) ? 1 : 0;
}

struct inode *nexus_ilookup_nowait(struct super_block *sb, u64 ino)
{
	return find_inode_nowait(sb, ino, nexus_match_ino, &ino);
}

/* ---- new ones ------------------------------------------------------------------ */

void nexus_born(struct inode *inode, struct timespec64 now)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	ni->btime = now;
	inode_set_atime_to_ts(inode, now);
	inode_set_mtime_to_ts(inode, now);
	inode_set_ctime_to_ts(inode, now);
	ni->log_atime = now;
	ni->log_mtime = now;
	ni->log_ctime = now;
}

struct inode *nexus_new_inode(struct mnt_idmap *idmap, struct inode *dir,
			      umode_t mode, dev_t rdev)
{
	struct nexus_zone *zone = nexus_sb_zone(dir->i_sb);
	struct nexus_inode *ni;
	struct inode *inode;
	u64 ino;
	int err;

	/* The VFS does not look for a whiteout, and not always for O_TMPFILE. */
	if (!fsuidgid_has_mapping(dir->i_sb, idmap))
		return ERR_PTR(-EOVERFLOW);
	err = nexus_zone_writable(zone);
	if (!err)
		err = nexus_zone_new_ino(zone, &ino);
	if (err)
		return ERR_PTR(err);
	inode = new_inode(dir->i_sb);
	if (!inode)
		return ERR_PTR(-ENOMEM);

	ni = NEXUS_I(inode);
	inode->i_ino = ino;
	inode_init_owner(idmap, inode, dir, mode);
	inode->i_rdev = rdev;
	inode->i_generation = get_random_u32();
	/* The directory gets the same time. */
	nexus_born(inode, nexus_after(dir, current_time(inode)));
	ni->data_id = ino;
	ni->version = 1;	/* as CREATE leaves it */
	if (NEXUS_I(dir)->iflags & NEXUS_IF_PROJINHERIT) {
		ni->projid = NEXUS_I(dir)->projid;
		if (S_ISDIR(mode))
			ni->iflags |= NEXUS_IF_PROJINHERIT;
	}
	ni->iflags |= NEXUS_I(dir)->iflags & nexus_inherited(mode);
	nexus_set_flags(inode, ni->iflags);
	set_bit(NEXUS_I_XATTRS, &ni->state);
	cache_no_acl(inode);
	if (S_ISDIR(mode)) {
		set_nlink(inode, 2);
		/* Nothing is in it that the dcache would not know. */
		set_bit(NEXUS_I_COMPLETE, &ni->state);
	}
	ni->owner = (struct nexus_owner){
		i_uid_read(inode), i_gid_read(inode), ni->projid,
	};
	nexus_set_ops(inode);
	if (S_ISREG(mode))
		nexus_data_new(inode);
	err = nexus_quota_new(ni);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return inode;
}

/* ---- eviction -------------------------------------------------------------------- */

/* The last user of an orphan is gone; unlink has reserved for this record. */
static void nexus_forget(struct nexus_inode *ni)
{
	struct nexus_rec_forget rec;
	unsigned int nofs;
	u64 lsn;
	int err;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_forget(&rec, ni->vfs.i_ino, ni->data_id, NEXUS_FORGET_MAX,
			 nexus_ts(current_time(&ni->vfs)));
	nofs = memalloc_nofs_save();
	mutex_lock(&ni->log_mutex);
	err = nexus_mutate(ni->zone, &ni->evict_resv, &rec.head, &lsn);
	if (!err) {
		nexus_inode_logged(ni, lsn);
		nexus_quota_forgotten(ni, lsn);
		nexus_packs_unpromise(ni->zone, ni->unwritten);
	}
	mutex_unlock(&ni->log_mutex);
	memalloc_nofs_restore(nofs);
	nexus_lease_forgotten(ni->zone, ni->vfs.i_ino);
	/* On a failed zone the next mount finds the orphan and frees it. */
	if (err && !READ_ONCE(ni->zone->error))
		nexus_warn(ni->zone, "inode %llu was deleted; its space is freed at the next mount (%pe)",
			   (u64)ni->vfs.i_ino, ERR_PTR(err));
}

void nexus_evict_inode(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	atomic64_t *bucket;
	s64 old;

	truncate_inode_pages_final(&inode->i_data);
	if (S_ISREG(inode->i_mode) && !test_bit(NEXUS_I_SYS, &ni->state))
		nexus_data_evict(inode);
	if (ni->iflags & NEXUS_IF_RING)
		nexus_ring_evict(inode);
	if (ni->iflags & NEXUS_IF_STREAM)
		nexus_stream_evict(inode);
	nexus_quota_evict(ni);
	nexus_xattr_evict(ni);
	nexus_names_evict(ni);
	clear_inode(inode);
	if (test_bit(NEXUS_I_ORPHAN, &ni->state))
		nexus_forget(ni);

	/* Before the inode is unhashed: whoever makes it again looks here. */
	if (ni->last_lsn) {
		bucket = nexus_zone_bucket(ni->zone, inode->i_ino);
		old = atomic64_read(bucket);
		while (old < ni->last_lsn &&
		       !atomic64_try_cmpxchg(bucket, &old, ni->last_lsn))
			;
	}
	nexus_log_unreserve(&ni->evict_resv);
	nexus_log_unreserve(&ni->time_resv);
}

/* ---- log mutexes of several inodes ------------------------------------------------ */

void nexus_lock_inodes(struct nexus_lockset *set, struct inode *a,
		       struct inode *b, struct inode *c, struct inode *d)
{
	struct inode *in[NEXUS_LOCKSET] = { a, b, c, d };
	unsigned int i, j;

	set->n = 0;
	for (i = 0; i < NEXUS_LOCKSET; i++) {
		struct nexus_inode *ni;
		bool seen = false;

		if (!in[i])
			continue;
		ni = NEXUS_I(in[i]);
		for (j = 0; j < set->n; j++)
			seen = seen || set->ni[j] == ni;
		if (seen)
			continue;
		for (j = set->n; j > 0 && set->ni[j - 1]->vfs.i_ino >
		     ni->vfs.i_ino; j--)
			set->ni[j] = set->ni[j - 1];
		set->ni[j] = ni;
		set->n++;
	}
	for (i = 0; i < set->n; i++)
		mutex_lock_nested(&set->ni[i]->log_mutex, i);
}

void nexus_unlock_inodes(struct nexus_lockset *set)
{
	while (set->n)
		mutex_unlock(&set->ni[--set->n]->log_mutex);
}
