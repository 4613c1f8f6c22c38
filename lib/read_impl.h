/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Inside of typed reads: what read.c and read_data.c share. */
#ifndef NEXUS_LIB_READ_IMPL_H
#define NEXUS_LIB_READ_IMPL_H

#include "extent_find.h"
#include "key.h"
#include "read.h"

struct nexus_rd {
	struct nexus_kv *kv;
	void	*out;
	size_t	cap;
	size_t	len;		/* written to @out */
	u64	bare_from, bare_to; /* of inodes from one to the other none has an xattr */
	struct nexus_attr attr;
	struct nexus_key key;
	union {
		u64	align;
		u8	val[512];	/* any value but C, X, S and H */
	};
};

/* rd->key into rd->val, checked; its length. */
int nexus_rd_get(struct nexus_rd *rd, u8 type, size_t min);
int nexus_rd_inode(struct nexus_rd *rd, u64 ino, struct nexus_attr *attr);
/* First key at or after rd->key with the same @prefix bytes; not checked. */
int nexus_rd_seek(struct nexus_rd *rd, size_t prefix);
/* Bytes of C written to @to; -ENOBUFS if more than @room. */
int nexus_rd_content(struct nexus_rd *rd, u64 ino, void *to, size_t room);
/*
 * Extents that end above byte @offset, from at most @max records; the first is
 * trimmed to begin there, neighbours are joined.  *@next: offset behind the last; *@more: others follow.
 */
int nexus_rd_extents(struct nexus_rd *rd, u64 data_id, u64 offset,
		     struct nexus_extent *to, u32 max, u64 *next, bool *more);

int nexus_rd_op_extents(struct nexus_rd *rd, const struct nexus_request *req);
int nexus_rd_op_content(struct nexus_rd *rd, const struct nexus_request *req);
int nexus_rd_op_getxattr(struct nexus_rd *rd, const struct nexus_request *req,
			 const void *name);
int nexus_rd_op_listxattr(struct nexus_rd *rd, const struct nexus_request *req);
int nexus_rd_op_settings(struct nexus_rd *rd, const struct nexus_request *req);
int nexus_rd_op_leases(struct nexus_rd *rd, const struct nexus_request *req);

#endif /* NEXUS_LIB_READ_IMPL_H */
