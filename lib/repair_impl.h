/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Inside of the repair.  It goes over the store several times, in this order:
 *
 *	repair_value.c	each key by itself
 *	repair_inode.c	inodes that are missing are made again; what belongs to none
 *	repair_data.c	extents and content
 *	repair_space.c	(within it) owners of blocks, references to shared ones
 *	repair_entry.c	D and L
 *	repair_tree.c	names of inodes, the way up to the root, U, O
 *	repair_count.c	everything that is counted
 *
 * A later pass relies on what the earlier ones leave true.
 */
#ifndef NEXUS_LIB_REPAIR_IMPL_H
#define NEXUS_LIB_REPAIR_IMPL_H

#include "check_impl.h"
#include "repair.h"

struct nexus_rp {
	const struct nexus_repair *r;
	struct nexus_kv *kv;
	s64	changes;
	u64	next_ino;		/* free from here on */
	u64	handed;			/* none from here on was handed out, says N; 0: unknown */
	u64	lost_found;		/* inode, once it is needed */
	struct nexus_ck *ck;		/* facts of the last nexus_rp_gather() */
	/* The key that a walk is at, for its function: */
	struct nexus_key key;
	u8	*val;			/* NEXUS_VALUE_MAX bytes, aligned */
	size_t	len;
	/* For everything else: */
	struct nexus_key k;
	u8	*tmp;			/* likewise */
	struct nexus_key cursor;	/* the walk's own */
	/* repair_inode.c, repair_data.c: the extent before; repair_space.c: claims */
	u64	last_data_id;
	struct nexus_key last;
	struct nexus_kext last_ext;
	struct nexus_omap claims;
};

/* Number behind the letter of the key at hand, and the one behind that. */
static inline u64 nexus_rp_id(const struct nexus_rp *rp)
{
	return nexus_get_be64(rp->key.b + 1);
}

static inline u64 nexus_rp_id2(const struct nexus_rp *rp)
{
	return nexus_get_be64(rp->key.b + 9);
}

/* repair.c */

void nexus_rp_note(struct nexus_rp *rp, u8 letter, u64 id, u64 other, const char *what);
void nexus_rp_note_name(struct nexus_rp *rp, u8 letter, u64 id, u64 other,
			const char *what, const void *name, size_t len);
/* Calls @fn for each key of this letter (0: for all); it may change anything. */
int nexus_rp_walk(struct nexus_rp *rp, u8 letter, int (*fn)(struct nexus_rp *rp));
/*
 * The value of rp->k into rp->tmp: its length, 0 when there is none (or one that is
 * damaged), -errno.
 */
int nexus_rp_get(struct nexus_rp *rp, size_t min);
/* Seals and stores. */
int nexus_rp_put(struct nexus_rp *rp, const struct nexus_key *k, void *val, size_t len);
int nexus_rp_del(struct nexus_rp *rp, const struct nexus_key *k);
/* Reads all facts of the store again, into rp->ck. */
int nexus_rp_gather(struct nexus_rp *rp);
/* Could there ever have been an inode of this number? */
static inline bool nexus_rp_plausible(const struct nexus_rp *rp, u64 ino)
{
	return ino && (!rp->handed || ino < rp->handed);
}

/* I of @ino into rp->tmp; as nexus_rp_get(). */
int nexus_rp_inode(struct nexus_rp *rp, u64 ino);

/* repair_inode.c: makes an inode of this type, without names; 0 or -errno. */
int nexus_rp_make(struct nexus_rp *rp, u64 ino, u32 fmt, u64 data_id, u64 size, u32 flags);

/*
 * repair_space.c: no block has two owners unless all share it, and R says what the SHARED
 * extents say.  Needs facts of data ids that are right; 0 or -errno.
 */
int nexus_rp_space(struct nexus_rp *rp);

/* repair_entry.c */

/* D and L of a name, to the next pos of the directory. */
int nexus_rp_enter(struct nexus_rp *rp, u64 dir, const void *name, size_t len, u64 ino,
		   u32 mode);
/* A pos above all of the directory. */
int nexus_rp_new_pos(struct nexus_rp *rp, u64 dir, u64 *pos);

/* The passes: 0 or -errno. */
int nexus_rp_values(struct nexus_rp *rp);
int nexus_rp_inodes(struct nexus_rp *rp);
int nexus_rp_data(struct nexus_rp *rp);
int nexus_rp_entries(struct nexus_rp *rp);
int nexus_rp_tree(struct nexus_rp *rp);
int nexus_rp_counts(struct nexus_rp *rp);

#endif /* NEXUS_LIB_REPAIR_IMPL_H */
