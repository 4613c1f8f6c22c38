/* SPDX-License-Identifier: Apache-2.0 */
/* Records for tests: one call a record, all in one static buffer. */
#ifndef NEXUS_TEST_LIB_RECORDS_H
#define NEXUS_TEST_LIB_RECORDS_H

#include "util.h"

struct create_args {
	u64 parent, pos, ino, data_id, rdev;
	u32 mode, uid, gid, projid, iflags;
	const char *name;
	const void *content;
	size_t contentlen;
	const char *xname, *xval;
};

void *rec_create(const struct create_args *a);
/* A file (S_IFREG) or directory with defaults; data id = ino. */
void *rec_mk(u64 parent, u64 pos, u64 ino, const char *name, u32 mode);
void *rec_link(u64 parent, u64 pos, u64 ino, const char *name);
void *rec_unlink(u64 parent, u64 pos, u64 ino, const char *name);
void *rec_rmdir(u64 parent, u64 pos, u64 ino, const char *name);
void *rec_rename(u64 sparent, u64 spos, u64 ino, const char *sname, u64 dparent,
		 u64 dpos, u64 replaced, const char *dname, u16 flags);
/* The same as rename with a whiteout, of owner 1:2 and project 3; "user.1" is @xval unless NULL. */
void *rec_whiteout(u64 sparent, u64 spos, u64 ino, const char *sname, u64 dparent,
		   u64 dpos, u64 replaced, const char *dname, u64 whiteout,
		   const char *xval);
void *rec_truncate(u64 ino, u64 data_id, u64 new_id, u64 size, u64 pack, u32 block);
void *rec_extent(u64 ino, u64 data_id, u64 fblock, u64 size, u64 pack, u32 block,
		 u32 nblocks, u32 flags);
void *rec_setxattr(u64 ino, const char *name, const char *val, u16 flags);
void *rec_removexattr(u64 ino, const char *name);
/* Either of the two, and its mode. */
void *rec_xattr_mode(void *rec, u32 mode);
void *rec_forget(u64 ino, u64 data_id, u32 max);
void *rec_bulk(u64 data_id, u32 max);
void *rec_setattr(u64 ino, u32 mask, u32 mode, u32 uid, u32 gid, u32 projid);
void *rec_pack(u64 pack, u32 state, u32 used);
void *rec_setting(u64 hash, const char *path, const char *val);
void *rec_quota(u32 kind, u64 id, u64 inodes_soft, u64 blocks_soft);
void *rec_data(u64 ino, u64 data_id, u64 offset, const char *bytes);
void *rec_share(u64 ino, u64 data_id, u64 fblock, u32 nblocks);
struct clone_args {
	u64 src, src_id, from;	/* file blocks */
	u64 ino, id, to, size;
	u32 nblocks, mapped;
};
void *rec_clone(const struct clone_args *a);
/* PUNCH (size 0) and RESERVE; in blocks. */
void *rec_range(u16 type, u64 ino, u64 data_id, u64 fblock, u64 nblocks, u64 size);
struct move_args {
	u64 ino, id, at;	/* a file block */
	u64 from_pack, to_pack;
	u32 from_block, to_block, nblocks;
};
void *rec_move(const struct move_args *a);
struct lease_args {
	u64	ino;
	u32	op;		/* NEXUS_LEASE_* */
	u8	id;		/* the first byte of it */
	u64	now;		/* seconds */
	u32	ttl;
	u32	max;
	u64	lsn;
};

void *rec_lease(const struct lease_args *a);
void *rec_inline(u64 ino, u64 data_id, const void *bytes, u32 len);
void *rec_nop(void);

#endif
