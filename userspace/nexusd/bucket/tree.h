/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a bucket that is mounted, as far as they were listed.
 *
 * An inode is one object as it was listed once, or a directory.  An object that changes gets
 * another inode, so numbers are never used again and what is open stays what it was.  Each
 * file has room of its own in the cache's space of blocks, which is cut up into packs; as
 * numbers, that room is given in the order of inodes.
 *
 * Whoever reads holds @lock shared, whoever merges a listing exclusively.
 */
#ifndef NEXUSD_BUCKET_TREE_H
#define NEXUSD_BUCKET_TREE_H

#include <pthread.h>
#include <stdbool.h>

#include "drivers/bucket.h"
#include "lib/key.h"
#include "lib/kv.h"

#define BTREE_PACK_BLOCKS	65536u	/* of content, in a pack */

/* A directory's own. */
struct bdir {
	u64 *kids;		/* inodes by position; 0: it is gone */
	u64 nkids, cap;
	u64 children, subdirs;	/* there now */
	u64 version;		/* another after each change */
	u64 listed;		/* ms, when all of it was; 0: never */
	u64 hidden;		/* keys in it that cannot be shown, then */
	bool large;		/* more than a page */
	bool busy;		/* somebody lists it; struct bucket.lock, as what follows */
	int error;		/* of who did last */
};

struct bnode {
	u64 parent, pos;
	u64 size;
	u64 vblock;		/* first block of its room */
	u64 seen;		/* ms, when it was last found there */
	u64 mtime;		/* seconds since 1970 */
	struct bdir *dir;	/* NULL: a file */
	char *etag;		/* "" of a directory */
	u64 hash_next;
	bool gone;
	u8 namelen;
	char name[];		/* with NUL, and then the ETag */
};

struct btree {
	pthread_rwlock_t lock;
	struct bnode **nodes;	/* by btree_slot() */
	size_t n, cap;
	u64 *hash;		/* inodes; by parent and name */
	size_t nhash;
	u64 next_vblock;
	u64 files, blocks;	/* there now */
	u64 born;		/* seconds since 1970: times of directories, at first */
	int keep_fd;		/* what was listed, for the next helper; -1: nowhere */
	u8 *kept;		/* not yet written there */
	size_t nkept, kept_cap;
	int keep_error;		/* it could not be, and is of no use any more */
};

/* What was listed of one directory, before it is merged. */
struct blist_entry {
	char *name, *etag;
	u64 size, mtime;
	bool is_dir;
};

struct blist {
	struct blist_entry *e;
	size_t n, cap;
	u64 bad_names;		/* "", ".", "..", too long for a file, or with a '/' */
	u64 bad_sizes;		/* more than a file can have */
	u64 hidden;		/* objects with the name of a directory */
	u64 marks;		/* of the directory itself */
};

/* What a merge changed. */
struct bmerge {
	u64 added, changed, removed;
};

/* @born: seconds since 1970.  The root is there then.  0 or -ENOMEM. */
int btree_init(struct btree *t, u64 born);
void btree_free(struct btree *t);

/* NULL: there is none, or never was. */
struct bnode *btree_node(const struct btree *t, u64 ino);
/* What has that name now, in *@ino; NULL. */
struct bnode *btree_find(const struct btree *t, u64 parent, const char *name, size_t len,
			 u64 *ino);
static inline u64 bnode_blocks(const struct bnode *node)
{
	return (node->size >> NEXUS_BLOCK_SHIFT) + !!(node->size & (NEXUS_BLOCK_SIZE - 1));
}
/* Whose room block @vblock is, in *@ino; NULL. */
struct bnode *btree_at(const struct btree *t, u64 vblock, u64 *ino);
/* Its key below the place; of a directory with '/' at the end, "" of the root.  -ENAMETOOLONG. */
int btree_key(const struct btree *t, u64 ino, char key[BUCKET_KEY_MAX + 1]);

/* @o was listed below a directory whose keys begin with @skip bytes.  0 or -ENOMEM. */
int blist_add(struct blist *l, size_t skip, const struct bucket_object *o);
void blist_free(struct blist *l);
/*
 * All that is in the directory @ino, at @now (ms): it is listed.  The list is sorted, and what
 * has a directory's name is hidden.  Exclusively.  0, -ENOMEM; -ENOTDIR.
 */
int btree_merge(struct btree *t, u64 ino, struct blist *l, u64 now, struct bmerge *m);
/* The same of one name: what is there, or NULL.  Exclusively.  0, -ENOMEM. */
int btree_set(struct btree *t, u64 parent, const char *name, const struct blist_entry *e,
	      u64 now, struct bmerge *m);

/* keep.c: what is known, for the next helper.  Exclusively. */
void btree_keep(struct btree *t, u64 ino);
/* What was noted since goes to the file. */
void btree_keep_write(struct btree *t);
/* All of @fd, into a tree with nothing but its root.  0 or -errno; -EUCLEAN. */
int btree_keep_read(struct btree *t, int fd);
/* For that: as it was noted.  0, -ENOMEM, -EUCLEAN. */
int btree_put(struct btree *t, u64 ino, const struct bnode *like, const char *name,
	      const char *etag, bool is_dir);

/* view.c: the tree as an index, for nexus_read().  Between begin and end the lock is held. */
struct bview {
	struct nexus_kv kv;
	const struct btree *t;
};

void bview_begin(struct bview *v, struct btree *t);
void bview_end(struct bview *v);
/* EXTENTS of the file @ino from @offset on, into @out of @cap bytes; bytes, or -errno. */
int bview_extents(const struct bview *v, u64 ino, u64 offset, void *out, size_t cap);

/* Blocks of a pack's file, and where in it content begins. */
u32 btree_pack_blocks(void);
u32 btree_pack_first(void);
static inline u64 btree_pack(u64 vblock)
{
	return vblock / BTREE_PACK_BLOCKS + NEXUS_FIRST_PACK;
}

#endif /* NEXUSD_BUCKET_TREE_H */
