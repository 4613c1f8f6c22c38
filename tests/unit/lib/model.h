/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A POSIX tree in the simplest terms there are: arrays, no keys, no records.  It
 * shares no code with lib/, and says what an operation may do and what follows.
 */
#ifndef NEXUS_TEST_LIB_MODEL_H
#define NEXUS_TEST_LIB_MODEL_H

#include "records.h"

#define M_INODES	96
#define M_ENTRIES	256
#define M_BLOCKS	600	/* of a file: more than two windows */
#define M_XATTRS	4
#define M_IDS		4	/* uids, gids, project ids */

struct m_block {
	u64 pack;		/* 0: hole, or unwritten when the flags say so */
	u32 block;
	u32 flags;
};

struct m_inode {
	u64 ino;		/* 0: slot is free */
	u32 mode, uid, gid, projid;
	u32 nlink;
	u64 size, data_id;
	u64 next_pos;
	char content[32];	/* symlink target, inline body */
	u32 contentlen;
	u8 lease;	/* id of the holder, also of one whose time is over; 0: none */
	u64 lease_end;
	char xattr[M_XATTRS];	/* value of "user.<n>"; 0: none */
	struct m_block map[M_BLOCKS];
};

struct m_entry {
	u64 dir, pos, ino;	/* dir 0: slot is free */
	char name[16];
};


struct model {
	struct m_inode inode[M_INODES];
	struct m_entry entry[M_ENTRIES];
	u64 bulk[64];		/* data ids queued to be freed */
	u64 next_ino;
	u64 pack;
	u32 pack_next;
};

void model_init(struct model *m);
struct m_inode *model_inode(struct model *m, u64 ino);
struct m_inode *model_new_inode(struct model *m);	/* NULL: full */
struct m_entry *model_entry(struct model *m, u64 dir, const char *name);
struct m_entry *model_add(struct model *m, u64 dir, const char *name, u64 pos,
			  u64 ino);			/* NULL: full */
/* Makes @in a whiteout of that name, as rec_whiteout() says. */
void model_whiteout(struct model *m, struct m_inode *in, u64 dir, u64 pos,
		    const char *name, const char *xval);
const char *some_name(void);
/* Some LEASE of @in at a->now, and whether it is legal; what it makes of @in. */
bool model_lease(const struct m_inode *in, struct lease_args *a);
void model_leased(struct m_inode *in, const struct lease_args *a);
bool model_live_dir(const struct m_inode *in);
void model_cut_content(struct m_inode *in, u64 size);
bool model_pos_free(const struct model *m, u64 dir, u64 pos);
u32 model_children(const struct model *m, u64 dir);
u32 model_blocks(const struct m_inode *in);
bool model_mapped(const struct m_block *b);
bool model_is_dir(const struct m_inode *in);
/* @above is @ino or one of its ancestors. */
bool model_above(struct model *m, u64 above, u64 ino);
/* Takes one name from an inode. */
void model_drop(struct model *m, struct m_inode *in);
/* @n blocks of a pack that nobody has; all of them in a row. */
void model_alloc(struct model *m, u32 n, u64 *pack, u32 *block);
/* The same, or where block @at is, which is overwritten in place: one of it. */
void model_place(struct model *m, const struct m_inode *in, u32 at, u32 *n, u32 *flags,
		 u64 *pack, u32 *block);
void model_queue_bulk(struct model *m, u64 data_id);

/* Asserts that every read of the store says what the model says. */
void model_compare(struct model *m, struct store *s);
/* And that the packs count as live what the extents name, block by block. */
void model_compare_live(const struct model *m, struct store *s);

/* Blocks that the file has at @at in one place, up to 256. */
u32 model_same_place(const struct m_inode *in, u32 at);
/* SHARE takes whole extents, which the model does not know: the store says it. */
bool store_has_extents(struct store *s, u64 data_id);
bool store_any_shared(struct store *s, u64 data_id, u32 at, u32 n);
/*
 * Unwritten extents of one window that touch are one, whatever the order in
 * which they came to be.
 */
void store_joined(struct store *s);

#endif
