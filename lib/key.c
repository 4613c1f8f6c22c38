// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Index keys, and sealing and checking of index values. */
#include "key.h"

void nexus_put_be64(u8 *p, u64 v)
{
	int i;

	for (i = 7; i >= 0; i--) {
		p[i] = (u8)v;
		v >>= 8;
	}
}

u64 nexus_get_be64(const u8 *p)
{
	u64 v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void key_letter(struct nexus_key *k, u8 letter)
{
	k->b[0] = letter;
	k->len = 1;
}

static void key_u64(struct nexus_key *k, u64 v)
{
	nexus_put_be64(k->b + k->len, v);
	k->len += 8;
}

static void key_u32(struct nexus_key *k, u32 v)
{
	int i;

	for (i = 24; i >= 0; i -= 8)
		k->b[k->len++] = (u8)(v >> i);
}

static void key_bytes(struct nexus_key *k, const void *p, size_t len)
{
	if (len)
		memcpy(k->b + k->len, p, len);
	k->len += len;
}

void nexus_key_zone(struct nexus_key *k)
{
	key_letter(k, NEXUS_KEY_ZONE);
}

void nexus_key_alloc(struct nexus_key *k)
{
	key_letter(k, NEXUS_KEY_ALLOC);
}

void nexus_key_inode(struct nexus_key *k, u64 ino)
{
	key_letter(k, NEXUS_KEY_INODE);
	key_u64(k, ino);
}

void nexus_key_content(struct nexus_key *k, u64 ino)
{
	key_letter(k, NEXUS_KEY_CONTENT);
	key_u64(k, ino);
}

void nexus_key_dirent(struct nexus_key *k, u64 parent, const void *name,
		      size_t len)
{
	key_letter(k, NEXUS_KEY_DIRENT);
	key_u64(k, parent);
	key_bytes(k, name, len);
}

void nexus_key_list(struct nexus_key *k, u64 parent, u64 pos)
{
	key_letter(k, NEXUS_KEY_LIST);
	key_u64(k, parent);
	key_u64(k, pos);
}

void nexus_key_extent(struct nexus_key *k, u64 data_id, u64 offset)
{
	key_letter(k, NEXUS_KEY_EXTENT);
	key_u64(k, data_id);
	key_u64(k, offset);
}

void nexus_key_xattr(struct nexus_key *k, u64 ino, const void *name, size_t len)
{
	key_letter(k, NEXUS_KEY_XATTR);
	key_u64(k, ino);
	key_bytes(k, name, len);
}

void nexus_key_pack(struct nexus_key *k, u64 pack)
{
	key_letter(k, NEXUS_KEY_PACK);
	key_u64(k, pack);
}

void nexus_key_shared(struct nexus_key *k, u64 pack, u32 block, u32 nblocks,
		      u64 data_id, u64 offset)
{
	key_letter(k, NEXUS_KEY_SHARED);
	key_u64(k, pack);
	k->b[k->len++] = nblocks > NEXUS_SHARED_SHORT;
	key_u32(k, block);
	k->b[k->len++] = (u8)(NEXUS_EXTENT_BLOCKS_MAX - nblocks);
	key_u64(k, data_id);
	key_u64(k, offset);
}

void nexus_key_orphan(struct nexus_key *k, u64 data_id)
{
	key_letter(k, NEXUS_KEY_ORPHAN);
	key_u64(k, data_id);
}

void nexus_key_quota(struct nexus_key *k, u8 kind, u64 id)
{
	key_letter(k, NEXUS_KEY_QUOTA);
	k->b[k->len++] = kind;
	key_u64(k, id);
}

void nexus_key_setting(struct nexus_key *k, u64 hash)
{
	key_letter(k, NEXUS_KEY_SETTING);
	key_u64(k, hash);
}

void nexus_key_lease(struct nexus_key *k, u64 ino)
{
	key_letter(k, NEXUS_KEY_LEASE);
	key_u64(k, ino);
}

void nexus_key_name(struct nexus_key *k, u64 ino, u64 parent, const void *name,
		    size_t len)
{
	key_letter(k, NEXUS_KEY_NAME);
	key_u64(k, ino);
	key_u64(k, parent);
	key_bytes(k, name, len);
}

/* CRC of a value as if its crc field were zero; the value is not touched. */
static u32 val_crc(const void *val, size_t len)
{
	static const u8 zero[4];
	const u8 *p = val;
	const size_t at = offsetof(struct nexus_val_head, crc);
	u32 crc;

	crc = nexus_crc32c(0, p, at);
	crc = nexus_crc32c(crc, zero, sizeof(zero));
	return nexus_crc32c(crc, p + at + 4, len - at - 4);
}

void nexus_val_seal(void *val, size_t len, u8 type)
{
	struct nexus_val_head *head = val;

	head->type = type;
	head->version = 1;
	head->reserved = cpu_to_le16(0);
	head->crc = cpu_to_le32(val_crc(val, len));
}

int nexus_val_check(const void *val, size_t len, u8 type, size_t min)
{
	const struct nexus_val_head *head = val;

	if (len < sizeof(*head) || len < min)
		return -EUCLEAN;
	if (head->type != type || head->version != 1)
		return -EUCLEAN;
	if (le32_to_cpu(head->crc) != val_crc(val, len))
		return -EUCLEAN;
	return 0;
}

bool nexus_name_ok(const void *name, size_t len)
{
	const u8 *p = name;

	if (!len || len > NEXUS_NAME_MAX)
		return false;
	if (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')))
		return false;
	return !memchr(p, '/', len) && !memchr(p, 0, len);
}

bool nexus_label_ok(const char *name, size_t len)
{
	size_t i;

	if (!len || len > NEXUS_ZONE_NAME_MAX)
		return false;
	for (i = 0; i < len; i++) {
		char c = name[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (c != '-' || !i)
			return false;
	}
	return true;
}

bool nexus_mode_ok(u32 mode)
{
	if (mode & ~(u32)(S_IFMT | 07777))
		return false;
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	}
	return false;
}

u8 nexus_mode_dtype(u32 mode)
{
	/* DT_* is S_IFMT shifted, on Linux by definition of both. */
	return (u8)((mode & S_IFMT) >> 12);
}
