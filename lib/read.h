/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Typed reads: one request of the wire against one store, giving the very bytes
 * of the reply.  The helper and the module's in-memory store share it.
 */
#ifndef NEXUS_LIB_READ_H
#define NEXUS_LIB_READ_H

#include <linux/nexusfs.h>
#include <linux/nexusfs_lease.h>
#include "kv.h"

/*
 * Answers LOOKUP, GETATTR, LIST, EXTENTS, READLINK, GETXATTR, LISTXATTR, STATFS,
 * GETNAME, SETTINGS, INLINE,
 * QUOTA, LEASES.  @data: req->len bytes (the name).  @out has @cap
 * bytes, at least NEXUS_REPLY_DATA_MAX.  Returns the bytes written, or -errno:
 * -ENOENT (no such name or inode), -ENODATA (no such xattr), -ENOTDIR, -EINVAL
 * (malformed request), -EOPNOTSUPP (opcode is not a typed read), -EUCLEAN (a
 * value is damaged), or the store's.
 *
 * No more than req->reply_max bytes are written, unless that is 0.  What the wire
 * leaves open:
 * EXTENTS trims its first extent to begin at arg1 (rounded down to a block).
 * The cursors of LISTXATTR and SETTINGS are the number of names or settings the
 * reader has; an empty reply is the end.  READLINK of no symlink and INLINE of no
 * inline file are -EINVAL.  GETNAME of the root gives an empty name, of an inode
 * without names, or with none in that directory, -ENOENT.  Content that does not fit a LOOKUP reply is left out.
 * A LIST entry whose inode is damaged comes without attributes.
 */
int nexus_read(struct nexus_kv *kv, const struct nexus_request *req,
	       const void *data, void *out, size_t cap);

/* Inode record to wire attributes. */
void nexus_attr_from_val(struct nexus_attr *attr, u64 ino,
			 const struct nexus_inode_val *val);

/*
 * Validates a reply to @req before anything of it is used: lengths, counts,
 * names, types, sizes, sort order, extents in bounds.  Returns 0, or -EIO with
 * *@field naming the first bad field (static text).
 */
int nexus_reply_check(const struct nexus_request *req, const void *data,
		      size_t len, const char **field);

/* A reason as OPEN_ZONE gives it: one line of printable ASCII and a NUL, @len in all. */
bool nexus_reason_ok(const void *text, size_t len);

#endif /* NEXUS_LIB_READ_H */
