// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Structural checks of log records and batches.
 *
 * Nothing here trusts a byte: records come from disks, from rings that other
 * processes map, and from ioctls.  Lengths are compared as 64-bit numbers, so
 * that no sum can wrap.  Reserved fields and padding must be zero: a record has
 * one spelling only, and a later format can give them a meaning.
 */
#include "key.h"
#include "lease.h"
#include "record.h"

#define PAD8(n)		NEXUS_ALIGN((u64)(n), 8)
#define NSEC_PER_S	1000000000u
#define NO_ID		0xffffffffu	/* (uid_t)-1 is nobody's */

#define HEAD_AS(type, rec)	((const struct type *)(const void *)(rec))

static bool all_zero(const void *p, size_t len)
{
	const u8 *b = p;

	while (len--)
		if (*b++)
			return false;
	return true;
}

/* The record is @used bytes and padding up to the next multiple of 8. */
static bool fits(const struct nexus_rec_head *rec, u64 used)
{
	return le32_to_cpu(rec->len) == PAD8(used) &&
	       all_zero((const u8 *)rec + used, PAD8(used) - used);
}

static bool flags_ok(const struct nexus_rec_head *rec, u16 known)
{
	return !(le16_to_cpu(rec->flags) & ~(u32)known);
}

static bool ns_ok(__le32 ns)
{
	return le32_to_cpu(ns) < NSEC_PER_S;
}

static bool pos_ok(__le64 pos)
{
	return le64_to_cpu(pos) >= NEXUS_FIRST_POS &&
	       le64_to_cpu(pos) < NEXUS_POS_MAX;
}

static bool xattr_ok(const u8 *name, u32 namelen, u64 vallen)
{
	return namelen && namelen <= NEXUS_XATTR_NAME_MAX &&
	       vallen <= NEXUS_XATTR_VALUE_MAX && !memchr(name, 0, namelen);
}

/* Blocks of a pack; block 0 is the head. */
static bool blocks_ok(u32 block, u32 nblocks)
{
	return block && (u64)block + nblocks <= NEXUS_PACK_BLOCKS_MAX;
}

static bool check_xattrs(const u8 *p, u64 len)
{
	while (len) {
		const struct nexus_rec_xattr *x = (const void *)p;
		u64 used, size;

		if (len < sizeof(*x))
			return false;
		used = sizeof(*x) + le16_to_cpu(x->namelen) +
		       (u64)le32_to_cpu(x->vallen);
		size = PAD8(used);
		if (size > len || le16_to_cpu(x->reserved) ||
		    !all_zero(p + used, size - used))
			return false;
		if (!xattr_ok(x->data, le16_to_cpu(x->namelen),
			      le32_to_cpu(x->vallen)))
			return false;
		p += size;
		len -= size;
	}
	return true;
}

static bool content_ok(u32 mode, u32 iflags, u32 contentlen)
{
	if ((mode & S_IFMT) == S_IFLNK)
		return contentlen && contentlen <= NEXUS_SYMLINK_MAX;
	if ((mode & S_IFMT) == S_IFREG)
		return contentlen <= NEXUS_INLINE_MAX &&
		       (contentlen || !(iflags & NEXUS_IF_INLINE));
	return !contentlen && !(iflags & NEXUS_IF_INLINE);
}

static bool check_create(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_create *r = HEAD_AS(nexus_rec_create, rec);
	u32 namelen = le16_to_cpu(r->namelen);
	u32 contentlen = le16_to_cpu(r->contentlen);
	u64 xattrlen = le32_to_cpu(r->xattrlen);
	u32 mode = le32_to_cpu(r->mode);
	u64 ino = le64_to_cpu(r->ino);
	u64 at;

	if (!flags_ok(rec, 0))
		return false;
	if (le32_to_cpu(rec->len) != sizeof(*r) + PAD8(namelen) +
				     PAD8(contentlen) + xattrlen)
		return false;
	at = PAD8(namelen);
	if (!all_zero(r->data + namelen, at - namelen) ||
	    !all_zero(r->data + at + contentlen, PAD8(contentlen) - contentlen))
		return false;
	if (!check_xattrs(r->data + at + PAD8(contentlen), xattrlen))
		return false;
	if (!ino || ino == NEXUS_ROOT_INO || !le64_to_cpu(r->data_id))
		return false;
	if (!nexus_mode_ok(mode) || le32_to_cpu(r->uid) == NO_ID ||
	    le32_to_cpu(r->gid) == NO_ID || le32_to_cpu(r->projid) == NO_ID)
		return false;
	if (le32_to_cpu(r->iflags) & ~NEXUS_IF_KNOWN)
		return false;
	if (!content_ok(mode, le32_to_cpu(r->iflags), contentlen))
		return false;
	if (!le64_to_cpu(r->parent))
		return !namelen && !le64_to_cpu(r->pos) &&
		       (mode & S_IFMT) != S_IFDIR;
	return nexus_name_ok(r->data, namelen) && pos_ok(r->pos);
}

/* LINK and UNLINK have one layout. */
static bool check_name(const struct nexus_rec_head *rec, u16 flags)
{
	const struct nexus_rec_link *r = HEAD_AS(nexus_rec_link, rec);
	u32 namelen = le16_to_cpu(r->namelen);

	return flags_ok(rec, flags) && fits(rec, sizeof(*r) + namelen) &&
	       nexus_name_ok(r->name, namelen) && le64_to_cpu(r->parent) &&
	       le64_to_cpu(r->ino) && pos_ok(r->pos) &&
	       all_zero(r->reserved, sizeof(r->reserved));
}

/* Behind the names, which end at @used. */
static bool check_whiteout(const struct nexus_rec_head *rec, u64 used)
{
	u64 len = le32_to_cpu(rec->len), at = PAD8(used);
	const struct nexus_rec_whiteout *w = (const void *)((const u8 *)rec + at);
	u64 ino;

	if (len < at + sizeof(*w) || len != at + sizeof(*w) + le32_to_cpu(w->xattrlen) ||
	    !all_zero((const u8 *)rec + used, at - used))
		return false;
	ino = le64_to_cpu(w->ino);
	return ino && ino != NEXUS_ROOT_INO && le32_to_cpu(w->uid) != NO_ID &&
	       le32_to_cpu(w->gid) != NO_ID && le32_to_cpu(w->projid) != NO_ID &&
	       !le32_to_cpu(w->reserved) &&
	       check_xattrs(w->xattrs, le32_to_cpu(w->xattrlen));
}

static bool check_rename(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_rename *r = HEAD_AS(nexus_rec_rename, rec);
	u16 flags = le16_to_cpu(rec->flags);
	u32 slen = le16_to_cpu(r->snamelen);
	u32 dlen = le16_to_cpu(r->dnamelen);
	u64 used = sizeof(*r) + (u64)slen + dlen;

	if ((flags && flags != NEXUS_RF_EXCHANGE && flags != NEXUS_RF_WHITEOUT) ||
	    le32_to_cpu(r->reserved))
		return false;
	if (flags == NEXUS_RF_WHITEOUT ? !check_whiteout(rec, used) : !fits(rec, used))
		return false;
	if (!nexus_name_ok(r->names, slen) ||
	    !nexus_name_ok(r->names + slen, dlen))
		return false;
	if (!le64_to_cpu(r->sparent) || !le64_to_cpu(r->dparent) ||
	    !le64_to_cpu(r->ino) || r->ino == r->replaced)
		return false;
	if ((le16_to_cpu(rec->flags) & NEXUS_RF_EXCHANGE) &&
	    !le64_to_cpu(r->replaced))
		return false;
	return pos_ok(r->spos) && pos_ok(r->dpos);
}

static bool check_setattr(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_setattr *r = HEAD_AS(nexus_rec_setattr, rec);
	u32 mask = le32_to_cpu(r->mask);

	if (!flags_ok(rec, 0) || !fits(rec, sizeof(*r)) ||
	    !le64_to_cpu(r->ino) || (mask & ~NEXUS_SA_ALL))
		return false;
	if (((mask & NEXUS_SA_UID) && le32_to_cpu(r->uid) == NO_ID) ||
	    ((mask & NEXUS_SA_GID) && le32_to_cpu(r->gid) == NO_ID) ||
	    ((mask & NEXUS_SA_PROJID) && le32_to_cpu(r->projid) == NO_ID))
		return false;
	if ((mask & NEXUS_SA_FLAGS) &&
	    (le32_to_cpu(r->iflags) & ~NEXUS_IF_KNOWN))
		return false;
	return ns_ok(r->atime_ns) && ns_ok(r->mtime_ns) &&
	       ns_ok(r->ctime_ns) && ns_ok(r->btime_ns);
}

static bool check_truncate(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_truncate *r = HEAD_AS(nexus_rec_truncate, rec);
	u64 size = le64_to_cpu(r->size);

	if (!flags_ok(rec, 0) || !fits(rec, sizeof(*r)) ||
	    !le64_to_cpu(r->ino) || !le64_to_cpu(r->data_id) ||
	    size > NEXUS_SIZE_MAX || r->new_data_id == r->data_id)
		return false;
	if (!le64_to_cpu(r->tail_pack))
		return !le32_to_cpu(r->tail_block) && !le32_to_cpu(r->tail_crc);
	return !le64_to_cpu(r->new_data_id) && (size & (NEXUS_BLOCK_SIZE - 1)) &&
	       blocks_ok(le32_to_cpu(r->tail_block), 1);
}

static bool check_extent(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_extent *r = HEAD_AS(nexus_rec_extent, rec);
	u32 nblocks = le32_to_cpu(r->nblocks);
	u64 offset = le64_to_cpu(r->offset);

	if (!flags_ok(rec, 0) || !nblocks || nblocks > NEXUS_EXTENT_BLOCKS_MAX ||
	    !fits(rec, sizeof(*r) + (u64)nblocks * 4))
		return false;
	if (!le64_to_cpu(r->ino) || !le64_to_cpu(r->data_id) ||
	    !le64_to_cpu(r->pack) || le32_to_cpu(r->reserved) ||
	    !blocks_ok(le32_to_cpu(r->block), nblocks))
		return false;
	/* What is written is new: SHARE and CLONE share it, RESERVE reserves. */
	if (le32_to_cpu(r->flags) & ~NEXUS_EF_NOCRC)
		return false;
	if (r->flags && !all_zero(r->crc, (size_t)nblocks * 4))
		return false;
	/* The last block may reach beyond the largest size, not begin there. */
	if ((offset & (NEXUS_BLOCK_SIZE - 1)) || offset > NEXUS_SIZE_MAX ||
	    NEXUS_SIZE_MAX - offset < (u64)(nblocks - 1) << NEXUS_BLOCK_SHIFT ||
	    le64_to_cpu(r->size) > NEXUS_SIZE_MAX)
		return false;
	return ns_ok(r->mtime_ns) && ns_ok(r->ctime_ns);
}

static bool check_setxattr(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_setxattr *r = HEAD_AS(nexus_rec_setxattr, rec);
	u32 namelen = le16_to_cpu(r->namelen);
	u32 vallen = le32_to_cpu(r->vallen);
	const u16 both = NEXUS_RF_XATTR_CREATE | NEXUS_RF_XATTR_REPLACE;
	u16 flags = le16_to_cpu(rec->flags);
	u16 bits = flags & NEXUS_RF_XATTR_MODE ? 07777 : 0;

	if (le16_to_cpu(rec->type) == NEXUS_REC_REMOVEXATTR &&
	    (vallen || (flags & both)))
		return false;
	return flags_ok(rec, both | NEXUS_RF_XATTR_MODE) && (flags & both) != both &&
	       fits(rec, sizeof(*r) + (u64)namelen + vallen) &&
	       le64_to_cpu(r->ino) && !(le16_to_cpu(r->mode) & ~bits) &&
	       xattr_ok(r->data, namelen, vallen);
}

static bool check_forget(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_forget *r = HEAD_AS(nexus_rec_forget, rec);

	return flags_ok(rec, 0) && fits(rec, sizeof(*r)) &&
	       le64_to_cpu(r->ino) && le64_to_cpu(r->data_id) &&
	       !le32_to_cpu(r->reserved);
}

static bool check_bulk(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_bulk *r = HEAD_AS(nexus_rec_bulk, rec);

	return flags_ok(rec, 0) && fits(rec, sizeof(*r)) &&
	       le64_to_cpu(r->data_id) && le32_to_cpu(r->max) &&
	       !le32_to_cpu(r->reserved);
}

static bool check_pack(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_pack *r = HEAD_AS(nexus_rec_pack, rec);

	return flags_ok(rec, 0) && fits(rec, sizeof(*r)) &&
	       le64_to_cpu(r->pack) &&
	       le32_to_cpu(r->state) <= NEXUS_PACK_SEALED &&
	       le32_to_cpu(r->used) <= NEXUS_PACK_BLOCKS_MAX &&
	       r->hash_alg <= 1 && all_zero(r->reserved, sizeof(r->reserved)) &&
	       (r->hash_alg || all_zero(r->hash, sizeof(r->hash)));
}

static bool check_setting(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_setting *r = HEAD_AS(nexus_rec_setting, rec);
	u32 pathlen = le16_to_cpu(r->pathlen);
	u32 vallen = le32_to_cpu(r->vallen);

	return flags_ok(rec, 0) && pathlen && pathlen <= NEXUS_SETTING_PATH_MAX &&
	       vallen <= NEXUS_SETTING_VALUE_MAX && !le16_to_cpu(r->reserved) &&
	       fits(rec, sizeof(*r) + (u64)pathlen + vallen) &&
	       !memchr(r->data, 0, pathlen);
}

static bool check_quota(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_quota *r = HEAD_AS(nexus_rec_quota, rec);
	u64 id = le64_to_cpu(r->id);

	if (!flags_ok(rec, 0) || !fits(rec, sizeof(*r)) ||
	    le32_to_cpu(r->reserved) || id >= NO_ID)
		return false;
	switch (le32_to_cpu(r->kind)) {
	case NEXUS_QUOTA_ZONE:
		return !id;
	case NEXUS_QUOTA_USER:
	case NEXUS_QUOTA_GROUP:
		return true;
	case NEXUS_QUOTA_PROJECT:
		return id;
	case NEXUS_QUOTA_GRACE + NEXUS_QUOTA_ZONE:
	case NEXUS_QUOTA_GRACE + NEXUS_QUOTA_USER:
	case NEXUS_QUOTA_GRACE + NEXUS_QUOTA_GROUP:
	case NEXUS_QUOTA_GRACE + NEXUS_QUOTA_PROJECT:
		return !id && !r->inodes_hard && !r->blocks_hard &&
		       le64_to_cpu(r->inodes_soft) <= S32_MAX &&
		       le64_to_cpu(r->blocks_soft) <= S32_MAX;
	}
	return false;
}

static bool check_data(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_data *r = HEAD_AS(nexus_rec_data, rec);
	u64 len = le32_to_cpu(r->len), offset = le64_to_cpu(r->offset);

	return flags_ok(rec, 0) && len &&
	       len <= (u64)NEXUS_DATA_BLOCKS_MAX * NEXUS_BLOCK_SIZE &&
	       fits(rec, sizeof(*r) + len) &&
	       le64_to_cpu(r->ino) && le64_to_cpu(r->data_id) &&
	       !(offset & (NEXUS_BLOCK_SIZE - 1)) && offset <= NEXUS_SIZE_MAX &&
	       len <= NEXUS_SIZE_MAX - offset &&
	       ns_ok(r->mtime_ns) && ns_ok(r->ctime_ns);
}

static bool data_intact(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_data *r = HEAD_AS(nexus_rec_data, rec);

	return le16_to_cpu(rec->type) != NEXUS_REC_DATA ||
	       nexus_crc32c(0, r->data, le32_to_cpu(r->len)) == le32_to_cpu(r->crc);
}

/* Whole blocks of a file, as SHARE and CLONE name them. */
static bool range_ok(__le64 le_offset, u32 nblocks)
{
	u64 offset = le64_to_cpu(le_offset);

	return nblocks && nblocks <= NEXUS_CLONE_BLOCKS_MAX &&
	       !(offset & (NEXUS_BLOCK_SIZE - 1)) && offset <= NEXUS_SIZE_MAX &&
	       NEXUS_SIZE_MAX - offset >= (u64)(nblocks - 1) << NEXUS_BLOCK_SHIFT;
}

static bool check_share(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_share *r = HEAD_AS(nexus_rec_share, rec);

	return flags_ok(rec, 0) && fits(rec, sizeof(*r)) &&
	       le64_to_cpu(r->ino) && le64_to_cpu(r->data_id) &&
	       range_ok(r->offset, le32_to_cpu(r->nblocks)) &&
	       !le32_to_cpu(r->reserved);
}

static bool check_clone(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_clone *r = HEAD_AS(nexus_rec_clone, rec);
	u64 from = le64_to_cpu(r->src_offset), to = le64_to_cpu(r->offset);
	u32 nblocks = le32_to_cpu(r->nblocks);

	if (!flags_ok(rec, 0) || !fits(rec, sizeof(*r)) ||
	    !le64_to_cpu(r->src_ino) || !le64_to_cpu(r->src_data_id) ||
	    !le64_to_cpu(r->ino) || !le64_to_cpu(r->data_id) ||
	    (r->src_ino == r->ino) != (r->src_data_id == r->data_id))
		return false;
	if (!range_ok(r->src_offset, nblocks) || !range_ok(r->offset, nblocks) ||
	    le32_to_cpu(r->mapped) > nblocks ||
	    le64_to_cpu(r->size) > NEXUS_SIZE_MAX)
		return false;
	/* One record does not read what it changes. */
	if (r->src_ino == r->ino &&
	    (from > to ? from - to : to - from) < (u64)nblocks << NEXUS_BLOCK_SHIFT)
		return false;
	return ns_ok(r->mtime_ns) && ns_ok(r->ctime_ns);
}

/* PUNCH and RESERVE have one layout. */
static bool check_range(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_range *r = HEAD_AS(nexus_rec_range, rec);
	u64 offset = le64_to_cpu(r->offset), len = le64_to_cpu(r->len);
	u64 size = le64_to_cpu(r->size);

	if (!flags_ok(rec, 0) || !fits(rec, sizeof(*r)) ||
	    !le64_to_cpu(r->ino) || !le64_to_cpu(r->data_id))
		return false;
	if (size > NEXUS_SIZE_MAX)
		return false;
	return !((offset | len) & (NEXUS_BLOCK_SIZE - 1)) && len &&
	       len >> NEXUS_BLOCK_SHIFT <= NEXUS_RANGE_BLOCKS_MAX &&
	       offset <= NEXUS_SIZE_MAX && len - 1 <= NEXUS_SIZE_MAX - offset;
}

static bool check_move(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_move *r = HEAD_AS(nexus_rec_move, rec);
	u64 offset = le64_to_cpu(r->offset);
	u32 n = le32_to_cpu(r->nblocks);

	return flags_ok(rec, 0) && n && n <= NEXUS_EXTENT_BLOCKS_MAX &&
	       fits(rec, sizeof(*r) + (u64)n * 4) &&
	       le64_to_cpu(r->ino) && le64_to_cpu(r->data_id) &&
	       !(offset & (NEXUS_BLOCK_SIZE - 1)) && offset <= NEXUS_SIZE_MAX &&
	       offset + ((u64)n << NEXUS_BLOCK_SHIFT) - 1 <= NEXUS_SIZE_MAX &&
	       r->from_pack && r->to_pack && r->from_pack != r->to_pack &&
	       blocks_ok(le32_to_cpu(r->from_block), n) &&
	       blocks_ok(le32_to_cpu(r->to_block), n) &&
	       !le32_to_cpu(r->reserved);
}

static bool check_inline(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_inline *r = HEAD_AS(nexus_rec_inline, rec);
	u32 n = le32_to_cpu(r->len);

	return flags_ok(rec, 0) && n && n <= NEXUS_INLINE_MAX &&
	       le32_to_cpu(rec->len) == sizeof(*r) + PAD8(n) &&
	       all_zero(r->data + n, PAD8(n) - n) &&
	       le64_to_cpu(r->ino) && le64_to_cpu(r->data_id) &&
	       ns_ok(r->mtime_ns) && ns_ok(r->ctime_ns) &&
	       !le32_to_cpu(r->reserved);
}

static bool check_lease(const struct nexus_rec_head *rec)
{
	const struct nexus_rec_lease *r = HEAD_AS(nexus_rec_lease, rec);
	const u64 max = (u64)NEXUS_LEASE_TTL_MAX * NSEC_PER_S;
	u64 s = le64_to_cpu(rec->time_s), expires = le64_to_cpu(r->expires), now;
	u32 op = le32_to_cpu(r->op), holders = le32_to_cpu(r->max_holders);
	bool take = op == NEXUS_LEASE_TAKE, one = op <= NEXUS_LEASE_DROP;

	if (!flags_ok(rec, 0) || !fits(rec, sizeof(*r)) || !le64_to_cpu(r->ino) ||
	    !op || op > NEXUS_LEASE_PRUNE || s >= NEXUS_LEASE_TIME_MAX / NSEC_PER_S)
		return false;
	now = s * NSEC_PER_S + le32_to_cpu(rec->time_ns);
	if (take || op == NEXUS_LEASE_EXTEND ? expires <= now || expires - now > max ||
					       expires > NEXUS_LEASE_TIME_MAX : expires)
		return false;
	return (take ? holders && holders <= NEXUS_LEASE_HOLDERS_MAX : !holders) &&
	       nexus_lease_id_ok(r->id) == one &&
	       (take ? nexus_lease_name_ok(r->name) : all_zero(r->name, sizeof(r->name)));
}

struct rec_info {
	const char *name;
	u32 size;		/* of the fixed part */
};

static const struct rec_info infos[NEXUS_REC_MAX] = {
	[NEXUS_REC_NOP]		= { "NOP", sizeof(struct nexus_rec_head) },
	[NEXUS_REC_CREATE]	= { "CREATE", sizeof(struct nexus_rec_create) },
	[NEXUS_REC_LINK]	= { "LINK", sizeof(struct nexus_rec_link) },
	[NEXUS_REC_UNLINK]	= { "UNLINK", sizeof(struct nexus_rec_unlink) },
	[NEXUS_REC_RENAME]	= { "RENAME", sizeof(struct nexus_rec_rename) },
	[NEXUS_REC_SETATTR]	= { "SETATTR", sizeof(struct nexus_rec_setattr) },
	[NEXUS_REC_TRUNCATE]	= { "TRUNCATE", sizeof(struct nexus_rec_truncate) },
	[NEXUS_REC_EXTENT]	= { "EXTENT", sizeof(struct nexus_rec_extent) },
	[NEXUS_REC_SETXATTR]	= { "SETXATTR", sizeof(struct nexus_rec_setxattr) },
	[NEXUS_REC_REMOVEXATTR]	= { "REMOVEXATTR", sizeof(struct nexus_rec_setxattr) },
	[NEXUS_REC_FORGET]	= { "FORGET", sizeof(struct nexus_rec_forget) },
	[NEXUS_REC_BULK]	= { "BULK", sizeof(struct nexus_rec_bulk) },
	[NEXUS_REC_PACK]	= { "PACK", sizeof(struct nexus_rec_pack) },
	[NEXUS_REC_SETTING]	= { "SETTING", sizeof(struct nexus_rec_setting) },
	[NEXUS_REC_QUOTA]	= { "QUOTA", sizeof(struct nexus_rec_quota) },
	[NEXUS_REC_DATA]	= { "DATA", sizeof(struct nexus_rec_data) },
	[NEXUS_REC_SHARE]	= { "SHARE", sizeof(struct nexus_rec_share) },
	[NEXUS_REC_CLONE]	= { "CLONE", sizeof(struct nexus_rec_clone) },
	[NEXUS_REC_PUNCH]	= { "PUNCH", sizeof(struct nexus_rec_range) },
	[NEXUS_REC_RESERVE]	= { "RESERVE", sizeof(struct nexus_rec_range) },
	[NEXUS_REC_MOVE]	= { "MOVE", sizeof(struct nexus_rec_move) },
	[NEXUS_REC_INLINE]	= { "INLINE", sizeof(struct nexus_rec_inline) },
	[NEXUS_REC_LEASE]	= { "LEASE", sizeof(struct nexus_rec_lease) },
};

const char *nexus_rec_name(u16 type)
{
	return type < NEXUS_REC_MAX && infos[type].name ? infos[type].name :
							  "unknown";
}

static bool check_body(const struct nexus_rec_head *rec)
{
	switch (le16_to_cpu(rec->type)) {
	case NEXUS_REC_NOP:
		/* Of any length: it stands for a reservation not used. */
		return flags_ok(rec, 0);
	case NEXUS_REC_CREATE:
		return check_create(rec);
	case NEXUS_REC_LINK:
		return check_name(rec, 0);
	case NEXUS_REC_UNLINK:
		return check_name(rec, NEXUS_RF_RMDIR);
	case NEXUS_REC_RENAME:
		return check_rename(rec);
	case NEXUS_REC_SETATTR:
		return check_setattr(rec);
	case NEXUS_REC_TRUNCATE:
		return check_truncate(rec);
	case NEXUS_REC_EXTENT:
		return check_extent(rec);
	case NEXUS_REC_SETXATTR:
	case NEXUS_REC_REMOVEXATTR:
		return check_setxattr(rec);
	case NEXUS_REC_FORGET:
		return check_forget(rec);
	case NEXUS_REC_BULK:
		return check_bulk(rec);
	case NEXUS_REC_PACK:
		return check_pack(rec);
	case NEXUS_REC_SETTING:
		return check_setting(rec);
	case NEXUS_REC_QUOTA:
		return check_quota(rec);
	case NEXUS_REC_DATA:
		return check_data(rec);
	case NEXUS_REC_SHARE:
		return check_share(rec);
	case NEXUS_REC_CLONE:
		return check_clone(rec);
	case NEXUS_REC_PUNCH:
	case NEXUS_REC_RESERVE:
		return check_range(rec);
	case NEXUS_REC_MOVE:
		return check_move(rec);
	case NEXUS_REC_INLINE:
		return check_inline(rec);
	case NEXUS_REC_LEASE:
		return check_lease(rec);
	}
	return false;
}

int nexus_rec_check_form(const struct nexus_rec_head *rec, size_t avail)
{
	u32 len, type;

	if (avail < sizeof(*rec))
		return -EUCLEAN;
	len = le32_to_cpu(rec->len);
	type = le16_to_cpu(rec->type);
	if (!type || type >= NEXUS_REC_MAX)
		return -EUCLEAN;
	if (len > avail || len > NEXUS_REC_LEN_MAX || (len & 7) ||
	    len < infos[type].size)
		return -EUCLEAN;
	if (!ns_ok(rec->time_ns) || le32_to_cpu(rec->reserved))
		return -EUCLEAN;
	return check_body(rec) ? 0 : -EUCLEAN;
}

int nexus_rec_check(const struct nexus_rec_head *rec, size_t avail)
{
	int err = nexus_rec_check_form(rec, avail);

	return err ?: data_intact(rec) ? 0 : -EUCLEAN;
}

u32 nexus_batch_crc(const struct nexus_batch_head *head, const void *records)
{
	static const u8 zero[4];
	const size_t at = offsetof(struct nexus_batch_head, crc);
	const u8 *p = (const u8 *)head;
	u32 crc;

	crc = nexus_crc32c(0, p, at);
	crc = nexus_crc32c(crc, zero, sizeof(zero));
	crc = nexus_crc32c(crc, p + at + 4, sizeof(*head) - at - 4);
	return nexus_crc32c(crc, records, le32_to_cpu(head->length));
}

int nexus_batch_check(const void *buf, size_t avail, const u8 *zone)
{
	const struct nexus_batch_head *head = buf;
	const u8 *p = (const u8 *)buf + sizeof(*head);
	u32 length, count, i;
	u64 lsn;

	if (avail < sizeof(*head) || le64_to_cpu(head->magic) != NEXUS_BATCH_MAGIC)
		return -ENODATA;
	length = le32_to_cpu(head->length);
	count = le32_to_cpu(head->count);
	if (le32_to_cpu(head->version) != NEXUS_BATCH_VERSION ||
	    le32_to_cpu(head->head_len) != sizeof(*head) ||
	    memcmp(head->zone, zone, NEXUS_UUID_SIZE))
		return -EUCLEAN;
	if (length > NEXUS_BATCH_BYTES_MAX - sizeof(*head) ||
	    length > avail - sizeof(*head))
		return -EUCLEAN;
	if (le32_to_cpu(head->crc) != nexus_batch_crc(head, p))
		return -EUCLEAN;

	lsn = le64_to_cpu(head->first_lsn);
	for (i = 0; i < count; i++) {
		const struct nexus_rec_head *rec = (const void *)p;
		u32 len;

		if (nexus_rec_check(rec, length) ||
		    le64_to_cpu(rec->lsn) != lsn)
			return -EUCLEAN;
		len = le32_to_cpu(rec->len);
		p += len;
		length -= len;
		lsn += len;
	}
	return length ? -EUCLEAN : 0;
}
