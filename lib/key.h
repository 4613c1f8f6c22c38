/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Index keys, and sealing and checking of index values. */
#ifndef NEXUS_LIB_KEY_H
#define NEXUS_LIB_KEY_H

#include <nexus/format.h>
#include "port.h"

struct nexus_key {
	size_t	len;
	u8	b[NEXUS_KEY_MAX + 1];
};

void nexus_put_be64(u8 *p, u64 v);
u64 nexus_get_be64(const u8 *p);

/* Each builds a key; name lengths must be 0..NEXUS_NAME_MAX. */
void nexus_key_zone(struct nexus_key *k);
void nexus_key_alloc(struct nexus_key *k);
void nexus_key_inode(struct nexus_key *k, u64 ino);
void nexus_key_content(struct nexus_key *k, u64 ino);
void nexus_key_dirent(struct nexus_key *k, u64 parent, const void *name, size_t len);
void nexus_key_list(struct nexus_key *k, u64 parent, u64 pos);
void nexus_key_extent(struct nexus_key *k, u64 data_id, u64 offset);
void nexus_key_xattr(struct nexus_key *k, u64 ino, const void *name, size_t len);
void nexus_key_pack(struct nexus_key *k, u64 pack);
/* @nblocks is 1..NEXUS_EXTENT_BLOCKS_MAX. */
void nexus_key_shared(struct nexus_key *k, u64 pack, u32 block, u32 nblocks,
		      u64 data_id, u64 offset);
void nexus_key_orphan(struct nexus_key *k, u64 data_id);
void nexus_key_quota(struct nexus_key *k, u8 kind, u64 id);
void nexus_key_setting(struct nexus_key *k, u64 hash);
void nexus_key_lease(struct nexus_key *k, u64 ino);
void nexus_key_name(struct nexus_key *k, u64 ino, u64 parent, const void *name, size_t len);

/* Fills head (type, version 1, crc) of a value of @len bytes, head included. */
void nexus_val_seal(void *val, size_t len, u8 type);
/*
 * 0 if @val of @len bytes has the type, at least @min bytes and a right CRC;
 * else -EUCLEAN.
 */
int nexus_val_check(const void *val, size_t len, u8 type, size_t min);

/* True for a legal directory entry: 1..255 bytes, no '/', no NUL, not "." or "..". */
bool nexus_name_ok(const void *name, size_t len);
/* True for a legal name of a zone or session: [a-z0-9][a-z0-9-]{0,62}. */
bool nexus_label_ok(const char *name, size_t len);
/* True for an S_IFMT the index may hold. */
bool nexus_mode_ok(u32 mode);
/* DT_* of a mode. */
u8 nexus_mode_dtype(u32 mode);

#endif /* NEXUS_LIB_KEY_H */
