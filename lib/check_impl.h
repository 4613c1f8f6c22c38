/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Inside of the store check: what is gathered (check.c) and judged (check_facts.c).
 * The repair works on the same facts.
 */
#ifndef NEXUS_LIB_CHECK_IMPL_H
#define NEXUS_LIB_CHECK_IMPL_H

#include "check.h"
#include "extent_find.h"
#include "key.h"
#include "omap.h"
#include "shared.h"

struct nexus_ck {
	struct nexus_kv *kv;
	nexus_check_report report;
	void	*arg;
	s64	problems;
	u64	inodes;
	struct nexus_omap facts;	/* letter, number -> one of the below; ranges */
	struct nexus_key key;		/* the key at hand */
	struct nexus_key other;		/* for looking things up */
	size_t	len;			/* of the value at hand */
	u64	last_data_id;		/* E: the extent before */
	u64	last_end;
	u8	*val;			/* the value at hand, NEXUS_VALUE_MAX bytes */
	u64	other_val[64];
};

/* 'I': what the inode says, and what names, entries and contents say. */
struct nexus_ck_inode {
	u32	mode;
	u32	nlink;
	u32	flags;
	u32	uid;
	u32	gid;
	u32	projid;
	u64	size;
	u64	blocks;
	u64	parent;
	u64	pos;
	u64	next_pos;
	u64	children;
	u64	unwritten;
	u64	data_id;
	u64	content;	/* length of C; 0: none */
	u64	names;		/* D entries that name it */
	u64	u_names;	/* U records */
	u64	d_entries;	/* directories: D and L records, ... */
	u64	l_entries;
	u64	subdirs;	/* ... and those that name directories */
	u64	max_pos;
	u32	stored;		/* an I record exists */
	u32	reachable;
};

/* 'E': of one data id. */
struct nexus_ck_data {
	u64	blocks;
	u64	unwritten;	/* of them */
	u64	ino;		/* that has this data id; 0: none */
	u64	orphan_ino;
	u32	orphan;		/* kind of its O record; 0: none */
};

/* 'B' */
struct nexus_ck_pack {
	u64	live;		/* counted */
	u64	used;
	u64	said_live;
	u64	said_used;
	u32	stored;
	u32	pad;
};

/* 'Q' */
struct nexus_ck_quota {
	u64	inodes;
	u64	blocks;
	u64	said_inodes;
	u64	said_blocks;
};

/* What a kind of key looks like; the one list of them. */
struct nexus_ck_kind {
	u8	letter;
	u16	key_min, key_max;
	u16	val_min;
	int	(*scan)(struct nexus_ck *ck);
};

/* NULL: a kind that this version does not know. */
const struct nexus_ck_kind *nexus_ck_kind(u8 letter);
struct nexus_ck *nexus_ck_new(struct nexus_kv *kv);
void nexus_ck_free(struct nexus_ck *ck);
/* Gathers the facts; 0 or -errno. */
int nexus_ck_scan(struct nexus_ck *ck);
void nexus_ck_problem(struct nexus_ck *ck, u8 letter, u64 id, u64 other,
		      const char *what);
/* The fact under this key of the facts, zeros if new; NULL: no memory. */
void *nexus_ck_fact(struct nexus_ck *ck, const struct nexus_key *key, size_t size);
struct nexus_ck_inode *nexus_ck_inode(struct nexus_ck *ck, u64 ino);
struct nexus_ck_data *nexus_ck_data(struct nexus_ck *ck, u64 data_id);
struct nexus_ck_pack *nexus_ck_pack(struct nexus_ck *ck, u64 pack);
/* ck->other into ck->other_val: its length, 0 if absent or damaged, -errno. */
int nexus_ck_look(struct nexus_ck *ck, size_t min);

/* check_space.c: who owns which blocks of packs.  All 0 or -errno. */
int nexus_ck_claim(struct nexus_ck *ck, u64 data_id, const struct nexus_kext *x);
int nexus_ck_shared_extent(struct nexus_ck *ck, u64 data_id,
			   const struct nexus_kext *x);
int nexus_ck_scan_shared(struct nexus_ck *ck);

/* Judges the facts; 0 or -errno. */
int nexus_ck_judge(struct nexus_ck *ck);

#endif /* NEXUS_LIB_CHECK_IMPL_H */
