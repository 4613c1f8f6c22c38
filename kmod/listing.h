/* SPDX-License-Identifier: GPL-2.0-only */
/* Directories: what of their names is in memory (dir.c, prime.c, listing.c). */
#ifndef NEXUS_KMOD_LISTING_H
#define NEXUS_KMOD_LISTING_H

#include "nexusfs.h"

/* A directory of more names is never known as a whole. */
#define NEXUS_PRIME_MAX		65536u
/* One that has grown to so many names has its listing in memory from then on. */
#define NEXUS_LIST_KEEP		4096u
/* So many entries with their attributes are in one reply. */
#define NEXUS_AHEAD_ENTRIES	56u

/* ---- dir.c: names in the dcache --------------------------------------------------- */

/*
 * How often a dentry left the dcache although its name stayed: what nexus_dir_known()
 * takes, read before names were listed.
 */
u64 nexus_dir_prunes(struct nexus_inode *ni);
/*
 * All names at positions from @from to before @to were listed and are in the dcache, if
 * none left it since @prunes.  i_rwsem is held any way.
 */
void nexus_dir_known(struct nexus_inode *ni, u64 from, u64 to, u64 prunes);
/* Up to where all names are in the dcache; at least NEXUS_FIRST_POS. */
u64 nexus_dir_known_to(struct nexus_inode *ni);
/*
 * Hashes @dentry; @inode's reference is consumed, and may be NULL or an error.  As
 * d_splice_alias().
 */
struct dentry *nexus_add(struct inode *dir, struct dentry *dentry,
			 struct inode *inode, u64 pos);

/* ---- names of directories and inodes that change -------------------------------- */

/*
 * A subdirectory came to or went from @dir.  The counts are the store's: however
 * wrong, they must not upset the VFS.
 */
static inline void nexus_subdir_added(struct inode *dir)
{
	if (dir->i_nlink >= 2 && dir->i_nlink < INT_MAX)
		inc_nlink(dir);
}

static inline void nexus_subdir_removed(struct inode *dir)
{
	if (dir->i_nlink > 2)
		drop_nlink(dir);
}

/* namei.c: hashes and locks a new inode; -EIO: somebody has its number already. */
int nexus_hash_new(struct inode *inode);
/* The end of one that was hashed and locked, and never came to be. */
void nexus_discard(struct inode *inode);

/* ---- prime.c: under the directory's i_rwsem, held any way --------------------------- */

/*
 * Asks for the entries from @from to before @end: names alone (@how NEXUS_LIST_NAMES), or
 * with attributes or also contents (0, NEXUS_LIST_CONTENT), and then puts them into the
 * dcache.  0, with next_pos at @end if there are no more; or
 * -errno.  The caller holds no dentry that is being looked up: two such would wait for
 * each other.  Waits for the helper, killably.
 */
int nexus_list_ask(struct dentry *parent, u64 from, u64 end, u64 how,
		   struct nexus_list_reply *lr);
/* The next question of one who reads a directory on, sent ahead.  Zeroed: there is none. */
struct nexus_list_ahead {
	struct nexus_rq *rq;	/* owned */
	u64 from, end;
	u64 lsn;		/* the directory's last then: its names have not changed since */
};

/*
 * As nexus_list_ask() with NEXUS_LIST_NAMES, for one who goes on where the last such call
 * ended: then the answer may be there already.  @ahead is the caller's alone.
 */
int nexus_list_names(struct dentry *parent, u64 from, u64 end,
		     struct nexus_list_ahead *ahead, struct nexus_list_reply *lr);
/* Nobody reads on.  Any context that may sleep. */
void nexus_list_ahead_drop(struct inode *dir, struct nexus_list_ahead *ahead);
/*
 * After a lookup in @dir that asked the helper and found @pos (0: no such name): may
 * list names that are likely to be looked up next into the dcache, with @content if
 * files are being opened.  May ask the helper and wait for it, killably.
 */
void nexus_look_ahead(struct dentry *parent, struct inode *dir, u64 pos,
		      bool content);

/* ---- names.c: what names a large directory does not have ----------------------------- */

/* A name was added; i_rwsem held exclusively.  May sleep. */
void nexus_names_added(struct nexus_inode *di, const struct qstr *name);
/* True: there is no such name.  i_rwsem held any way, as for what follows. */
bool nexus_names_absent(struct nexus_inode *di, const struct qstr *name);
/*
 * After a lookup in @dir that asked the helper in vain: may list more names.  Waits for
 * the helper, killably.
 */
void nexus_names_missed(struct dentry *parent, struct inode *dir);
/* evict_inode. */
void nexus_names_evict(struct nexus_inode *di);

/* ---- listing.c: entries in the directory's page cache ------------------------------- */

/*
 * Gives out what is in memory below @end, from ctx->pos on.  1: ctx->pos is where that
 * ends (which may be where it began); 0: the caller's buffer is full; -EINTR.  i_rwsem
 * held any way.
 */
int nexus_listing_emit(struct inode *dir, struct dir_context *ctx, u64 end);
/*
 * Has entries from @pos on in memory that were not.  @lr has room for a reply of LIST,
 * @ahead is as for nexus_list_names().  0: there is more; -ENOENT: not from that
 * position; or -errno.  Waits for the helper, killably.  i_rwsem held any way.
 */
int nexus_listing_extend(struct dentry *parent, u64 pos,
			 struct nexus_list_ahead *ahead,
			 struct nexus_list_reply *lr);
/* Throws all away; load_mutex, or i_rwsem exclusively. */
void nexus_listing_drop(struct inode *dir);
/* A name was added behind all others; i_rwsem held exclusively, as for what follows. */
void nexus_listing_added(struct inode *dir, u64 pos, const struct inode *inode,
			 const struct qstr *name);
/* After a name was made: may begin a listing in memory that later names are added to. */
void nexus_listing_grown(struct dentry *parent);
/* The name at @pos is @inode's now, or nobody's (NULL). */
void nexus_listing_changed(struct inode *dir, u64 pos, const struct inode *inode);

#endif /* NEXUS_KMOD_LISTING_H */
