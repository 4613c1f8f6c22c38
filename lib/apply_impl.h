/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Inside of apply: what its files share.  Nobody else includes this.
 *
 * A record is applied in two phases.  First everything is read, checked and
 * staged in memory: inodes in slots, counters as deltas, other values as a list
 * of puts and deletes.  Only when nothing can fail any more but the store itself
 * is the list carried out.  So no failed precondition and no damaged value ever
 * leaves half a record behind.
 *
 * A rule follows for the code: one record must not read a key it has staged;
 * inodes, quotas and packs are exempt, because those go through their tables.
 */
#ifndef NEXUS_LIB_APPLY_IMPL_H
#define NEXUS_LIB_APPLY_IMPL_H

#include "apply.h"
#include "extent_find.h"
#include "key.h"

/*
 * Bound on stored values that are changed in place: their known part and what
 * a later version may have put behind it.
 */
#define NEXUS_AP_VAL_MAX	512u
#define NEXUS_AP_INODES		5	/* RENAME: two parents, moved, replaced, whiteout */
#define NEXUS_AP_QUOTAS		8	/* SETATTR: zone, three old, three new */
#define NEXUS_AP_PACK_BUCKETS	32
#define NEXUS_AP_ARENA		2048u
#define NEXUS_AP_DEPTH_MAX	65536u	/* directories above one that are looked at */
#define NEXUS_AP_LINK_MAX	0x7fffffffu

struct nexus_ap_inode {
	u64	ino;
	u32	len;		/* of the stored value */
	bool	dirty;
	union {
		struct nexus_inode_val v;
		u8	raw[NEXUS_AP_VAL_MAX];
	};
};

struct nexus_ap_quota {
	u64	id;
	s64	inodes;
	s64	blocks;
	u8	kind;
};

struct nexus_ap_pack {
	struct nexus_ap_pack *next;
	u64	pack;
	s64	live;
	u32	used;
};

struct nexus_ap_op {
	struct nexus_ap_op *next;
	u16	klen;
	u16	put;
	u32	vlen;
	u8	*key;
	u8	val[];		/* 8-byte aligned; the key is behind it */
};

struct nexus_ap_chunk {
	struct nexus_ap_chunk *next;
	size_t	size;
	size_t	used;
	u64	data[];
};

struct nexus_ap {
	struct nexus_kv *kv;
	const struct nexus_rec_head *rec;
	struct nexus_apply_error *err;
	__le64	time_s;
	__le32	time_ns;
	u32	ninodes;
	u32	nquotas;
	s64	unwritten;	/* blocks, until nexus_ap_blocks() takes them over */
	struct nexus_ap_op *ops;
	struct nexus_ap_op **ops_tail;
	struct nexus_ap_chunk *chunks;
	size_t	arena_used;
	struct nexus_ap_quota quotas[NEXUS_AP_QUOTAS];
	struct nexus_ap_pack *packs[NEXUS_AP_PACK_BUCKETS];
	/* Above: zeroed at the start.  Below: not. */
	struct nexus_key key;
	struct nexus_key key2;
	struct nexus_ap_inode inodes[NEXUS_AP_INODES];
	union {
		u64	align;
		u8	val[NEXUS_AP_VAL_MAX];
	};
	u64	arena[NEXUS_AP_ARENA / 8];
};

/* apply.c: staging */
int nexus_ap_fail(struct nexus_ap *ap, u64 ino, const char *what);
/* Length of the checked value in @buf, -ENOENT, -EUCLEAN, or the store's. */
int nexus_ap_get(struct nexus_ap *ap, const struct nexus_key *key, u64 ino,
		 size_t min, void *buf, size_t cap);
/* 1 there, 0 not there, or the store's error. */
int nexus_ap_exists(struct nexus_ap *ap, const struct nexus_key *key);
/* First key at or after @key that begins with its first @prefix bytes. */
int nexus_ap_seek(struct nexus_ap *ap, struct nexus_key *key, size_t prefix,
		  u64 ino, size_t min, void *buf, size_t cap);
/* Stages a value of zeros for the caller to fill; sealed at the end.  NULL: no memory. */
void *nexus_ap_put(struct nexus_ap *ap, const struct nexus_key *key, size_t len);
/* What was staged last is @len bytes only; 0: the key goes. */
void nexus_ap_trim(struct nexus_ap *ap, size_t len);
int nexus_ap_del(struct nexus_ap *ap, const struct nexus_key *key);
/* Loads an inode, once for each record; one that is missing is a failure. */
int nexus_ap_inode(struct nexus_ap *ap, u64 ino, struct nexus_ap_inode **out);
/* A slot for an inode that is not stored yet; its value is zeros. */
struct nexus_ap_inode *nexus_ap_new_inode(struct nexus_ap *ap, u64 ino);
void nexus_ap_quota_add(struct nexus_ap *ap, u8 kind, u64 id, s64 inodes,
			s64 blocks);
/* Zone, user, group and project of an inode. */
void nexus_ap_charge(struct nexus_ap *ap, const struct nexus_ap_inode *in,
		     s64 inodes, s64 blocks);
/* Live blocks of a pack change; it is used up to @used at least. */
int nexus_ap_pack_add(struct nexus_ap *ap, u64 pack, s64 live, u32 used);

static inline u32 nexus_ap_fmt(const struct nexus_ap_inode *in)
{
	return le32_to_cpu(in->v.mode) & S_IFMT;
}

static inline bool nexus_ap_isdir(const struct nexus_ap_inode *in)
{
	return nexus_ap_fmt(in) == S_IFDIR;
}

static inline u32 nexus_ap_nlink(const struct nexus_ap_inode *in)
{
	return le32_to_cpu(in->v.nlink);
}

static inline void nexus_ap_ctime(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	in->v.ctime_s = ap->time_s;
	in->v.ctime_ns = ap->time_ns;
	in->dirty = true;
}

static inline void nexus_ap_mtime(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	in->v.mtime_s = ap->time_s;
	in->v.mtime_ns = ap->time_ns;
	nexus_ap_ctime(ap, in);
}

static inline void nexus_ap_gen(struct nexus_ap_inode *in)
{
	in->v.gen = cpu_to_le64(le64_to_cpu(in->v.gen) + 1);
	in->dirty = true;
}

/* apply_name.c, apply_rename.c */
int nexus_ap_create(struct nexus_ap *ap);
int nexus_ap_link(struct nexus_ap *ap);
int nexus_ap_unlink(struct nexus_ap *ap);
int nexus_ap_rename(struct nexus_ap *ap);

int nexus_ap_dir(struct nexus_ap *ap, u64 ino, struct nexus_ap_inode **dir);
int nexus_ap_entry_absent(struct nexus_ap *ap, u64 dir, const void *name,
			  size_t len, u64 pos);
/* The entry is (ino, pos), in D and in L. */
int nexus_ap_entry_is(struct nexus_ap *ap, u64 dir, const void *name,
		      size_t len, u64 pos, u64 ino);
int nexus_ap_entry_put(struct nexus_ap *ap, u64 dir, const void *name,
		       size_t len, u64 pos, u64 ino, u32 mode);
/* An entry that exists names another inode from now on. */
int nexus_ap_entry_set(struct nexus_ap *ap, u64 dir, const void *name,
		       size_t len, u64 pos, u64 ino, u32 mode);
int nexus_ap_entry_del(struct nexus_ap *ap, u64 dir, const void *name,
		       size_t len, u64 pos);
int nexus_ap_name_put(struct nexus_ap *ap, u64 ino, u64 parent,
		      const void *name, size_t len, u64 pos, u32 mode);
/* The directory has one entry more (@add 1) or less (-1), or others (0). */
int nexus_ap_dir_changed(struct nexus_ap *ap, struct nexus_ap_inode *dir,
			 int add, int subdirs, u64 pos);
/* One name of @in goes: nlink, parent, U, O. */
int nexus_ap_drop_link(struct nexus_ap *ap, struct nexus_ap_inode *in,
		       u64 parent, const void *name, size_t len);
int nexus_ap_orphan_put(struct nexus_ap *ap, u64 data_id, u32 kind, u64 ino,
			const struct nexus_ap_inode *owner);
/* A new inode, whose owner is known: times, and what it counts for. */
void nexus_ap_born(struct nexus_ap *ap, struct nexus_ap_inode *in);
/* The xattr part of a record that makes an inode. */
int nexus_ap_xattrs(struct nexus_ap *ap, u64 ino, const u8 *p, size_t len);

/* apply_inode.c */
int nexus_ap_setattr(struct nexus_ap *ap);
int nexus_ap_setxattr(struct nexus_ap *ap);
int nexus_ap_forget(struct nexus_ap *ap);
int nexus_ap_bulk(struct nexus_ap *ap);
int nexus_ap_data(struct nexus_ap *ap);

/* apply_data.c */
int nexus_ap_truncate(struct nexus_ap *ap);
int nexus_ap_extent(struct nexus_ap *ap);
int nexus_ap_punch(struct nexus_ap *ap);

/*
 * A change of the mapping of one file.  A record makes its changes in ascending
 * order, each in other windows than the ones before.
 */
struct nexus_ap_map {
	const struct nexus_ap_inode *in;
	u64	gone;		/* first file block this record unmaps */
	u64	from, end;	/* unmapped first */
	const struct nexus_kext *new; /* then mapped; in [from, end) and one window */
	u32	nnew;
	u64	freed;		/* out: blocks that were mapped there */
	bool	merged;		/* new[0] went into its left neighbour */
};

int nexus_ap_map(struct nexus_ap *ap, struct nexus_ap_map *m);
/* The regular file of a record, with the data id the record states. */
int nexus_ap_file(struct nexus_ap *ap, __le64 ino, __le64 data_id,
		  struct nexus_ap_inode **in);
/* Blocks mapped and unmapped, for inode and quotas; moves ap->unwritten to it, too. */
int nexus_ap_blocks(struct nexus_ap *ap, struct nexus_ap_inode *in, u64 plus,
		    u64 minus);
/* Stages the value in ap->val (@len bytes; 0: a new one) as that of @x, and its R. */
int nexus_ap_extent_put(struct nexus_ap *ap, const struct nexus_ap_inode *in,
			size_t len, const struct nexus_kext *x);
/* apply_inline.c */
int nexus_ap_body(struct nexus_ap *ap);
/* Block 0 moved to a pack, or is gone. */
int nexus_ap_drop_inline(struct nexus_ap *ap, struct nexus_ap_inode *in);
/* The same, for the first extent there is, at @fblock: a failure but at 0. */
int nexus_ap_end_inline(struct nexus_ap *ap, struct nexus_ap_inode *in, u64 fblock);
int nexus_ap_cut_inline(struct nexus_ap *ap, struct nexus_ap_inode *in, u64 size);
static inline bool nexus_ap_inline(const struct nexus_ap_inode *in)
{
	return le32_to_cpu(in->v.flags) & NEXUS_IF_INLINE;
}

/* Times that a record about content carries, and the size its blocks prove. */
struct nexus_ap_written {
	__le64	size;
	__le64	mtime_s, ctime_s;
	__le32	mtime_ns, ctime_ns;
};

void nexus_ap_written(struct nexus_ap_inode *in, const struct nexus_ap_written *w);
/* Frees up to @max extents; *@more: some are left. */
int nexus_ap_free_extents(struct nexus_ap *ap, u64 data_id, u32 max, bool *more);

/* apply_clone.c */
int nexus_ap_share(struct nexus_ap *ap);
int nexus_ap_clone(struct nexus_ap *ap);
/* The reference of a SHARED extent. */
int nexus_ap_ref_put(struct nexus_ap *ap, u64 ino, u64 data_id,
		     const struct nexus_kext *x);
int nexus_ap_ref_del(struct nexus_ap *ap, u64 data_id, const struct nexus_kext *x);
/*
 * Blocks of @x, all or part of an extent, are not mapped by @data_id any more;
 * live goes down by those that nobody else has.  @gone: as in nexus_ap_map.
 */
int nexus_ap_unmap(struct nexus_ap *ap, u64 data_id, u64 gone,
		   const struct nexus_kext *x);

/* apply_reserve.c */
int nexus_ap_reserve(struct nexus_ap *ap);

/* apply_move.c */
int nexus_ap_move(struct nexus_ap *ap);

/* apply_lease.c */
int nexus_ap_lease(struct nexus_ap *ap);
/* Nobody holds a lease on it any more, as it goes. */
int nexus_ap_forget_lease(struct nexus_ap *ap, u64 ino);

/* apply_store.c */
int nexus_ap_pack(struct nexus_ap *ap);
int nexus_ap_setting(struct nexus_ap *ap);
int nexus_ap_quota(struct nexus_ap *ap);
int nexus_ap_finish_quotas(struct nexus_ap *ap);
int nexus_ap_finish_packs(struct nexus_ap *ap);

#endif /* NEXUS_LIB_APPLY_IMPL_H */
