// SPDX-License-Identifier: Apache-2.0
/* Heads and blocks of packs. */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/record.h"
#include "presence.h"

#define READER_BLOCKS	64u	/* read at once, of what goes on */
#define READER_FDS	8u

u32 pack_table_blocks(u32 blocks)
{
	return (blocks + NEXUS_PACK_LINES_PER_BLOCK - 1) / NEXUS_PACK_LINES_PER_BLOCK;
}

static u32 head_crc(struct nexus_pack_head head)
{
	head.crc = 0;
	return nexus_crc32c(0, &head, sizeof(head));
}

void pack_head_seal(struct nexus_pack_head *head)
{
	head->crc = cpu_to_le32(head_crc(*head));
}

void pack_head_init(struct nexus_pack_head *head, u64 pack, u32 blocks, const u8 *uuid)
{
	*head = (struct nexus_pack_head){
		.magic = cpu_to_le64(NEXUS_PACK_MAGIC),
		.version = cpu_to_le32(1),
		.pack = cpu_to_le64(pack),
		.blocks = cpu_to_le32(blocks),
		.table_blocks = cpu_to_le32(pack_table_blocks(blocks)),
	};
	memcpy(head->zone, uuid, sizeof(head->zone));
	pack_head_seal(head);
}

static int write_head(struct nexus_objectstore *os, u64 pack, u32 blocks,
		      const u8 *uuid)
{
	struct nexus_pack_head head;
	u32 got = 0;
	void *buf;
	int fd, ret = 0;

	pack_head_init(&head, pack, blocks, uuid);
	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE))
		return -ENOMEM;
	memset(buf, 0, NEXUS_BLOCK_SIZE);
	memcpy(buf, &head, sizeof(head));
	fd = os->drv->open_pack(os, pack, true, &got);
	if (fd < 0) {
		ret = fd;
		goto free_buf;
	}
	if (got != blocks)
		ret = -EUCLEAN;
	else if (pwrite(fd, buf, NEXUS_BLOCK_SIZE, 0) != NEXUS_BLOCK_SIZE)
		ret = -EIO;
	else if (fdatasync(fd))
		ret = -errno;
	close(fd);
free_buf:
	free(buf);
	return ret;
}

static int begin_pack(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid)
{
	int ret = write_head(os, pack, blocks, uuid);

	if (ret)
		os->drv->remove(os, pack);
	return ret;
}

int pack_create(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid)
{
	int ret = os->drv->create(os, pack, blocks);

	return ret ? ret : begin_pack(os, pack, blocks, uuid);
}

int pack_create_allocated(struct nexus_objectstore *os, u64 pack, u32 blocks,
			  const u8 *uuid)
{
	int ret = os->drv->create_allocated(os, pack, blocks);

	return ret ? ret : begin_pack(os, pack, blocks, uuid);
}

int pack_create_kept(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid)
{
	int ret = os->drv->create_kept(os, pack, blocks);

	return ret ? ret : begin_pack(os, pack, blocks, uuid);
}

int pack_create_sparse(struct nexus_objectstore *os, u64 pack, u32 blocks, const u8 *uuid)
{
	int ret = os->drv->create_sparse(os, pack, blocks);

	return ret ? ret : begin_pack(os, pack, blocks, uuid);
}

int pack_recycle(struct nexus_objectstore *os, u64 from, u64 to, u32 blocks,
		 const u8 *uuid)
{
	u32 got;
	int fd, ret;

	fd = os->drv->open_pack(os, from, false, &got);
	if (fd < 0)
		return fd;
	close(fd);
	if (got != blocks)
		return -EINVAL;
	ret = os->drv->recycle(os, from, to);
	if (!ret)
		ret = write_head(os, to, blocks, uuid);
	return ret;
}

int pack_check_head(const struct nexus_pack_head *head, const u8 *uuid, u64 pack,
		    u32 blocks)
{
	if (le64_to_cpu(head->magic) != NEXUS_PACK_MAGIC ||
	    le32_to_cpu(head->crc) != head_crc(*head))
		return -EUCLEAN;
	if (memcmp(head->zone, uuid, sizeof(head->zone)) ||
	    le64_to_cpu(head->pack) != pack ||
	    le32_to_cpu(head->blocks) != blocks ||
	    le32_to_cpu(head->table_blocks) != pack_table_blocks(blocks))
		return -ESTALE;
	return 0;
}

int pack_read_head(int fd, const u8 *uuid, u64 pack, u32 blocks,
		   struct nexus_pack_head *head)
{
	void *buf;
	ssize_t n;
	int ret;

	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE))
		return -ENOMEM;
	do {
		n = pread(fd, buf, NEXUS_BLOCK_SIZE, 0);
	} while (n < 0 && errno == EINTR);
	ret = n < 0 ? -errno : n < NEXUS_BLOCK_SIZE ? -EUCLEAN : 0;
	if (!ret) {
		memcpy(head, buf, sizeof(*head));
		ret = pack_check_head(head, uuid, pack, blocks);
	}
	free(buf);
	return ret;
}

/* ---- reading blocks ---------------------------------------------------- */

struct pack_reader {
	struct nexus_objectstore *os;
	struct {
		u64 pack;
		u32 blocks;
		int fd;
	} slot[READER_FDS];
	unsigned int next;
	bool ahead;
	u64 pack;	/* whose blocks [first, first + n) are in buf; 0: nobody's */
	u32 first, n;
	u8 *buf;	/* READER_BLOCKS */
};

struct pack_reader *pack_reader_new(struct nexus_objectstore *os)
{
	struct pack_reader *r = calloc(1, sizeof(*r));
	unsigned int i;

	if (!r)
		return NULL;
	r->os = os;
	for (i = 0; i < READER_FDS; i++)
		r->slot[i].fd = -1;
	if (posix_memalign((void **)&r->buf, NEXUS_BLOCK_SIZE,
			   (size_t)READER_BLOCKS << NEXUS_BLOCK_SHIFT)) {
		free(r);
		return NULL;
	}
	return r;
}

void pack_reader_ahead(struct pack_reader *r)
{
	r->ahead = true;
	r->pack = 0;
	r->n = 0;
}

void pack_reader_free(struct pack_reader *r)
{
	unsigned int i;

	if (!r)
		return;
	for (i = 0; i < READER_FDS; i++)
		if (r->slot[i].fd >= 0)
			close(r->slot[i].fd);
	free(r->buf);
	free(r);
}

static int reader_slot(struct pack_reader *r, u64 pack)
{
	unsigned int i;
	int fd;

	for (i = 0; i < READER_FDS; i++)
		if (r->slot[i].fd >= 0 && r->slot[i].pack == pack)
			return (int)i;
	i = r->next++ % READER_FDS;
	if (r->slot[i].fd >= 0)
		close(r->slot[i].fd);
	fd = r->os->drv->open_pack(r->os, pack, false, &r->slot[i].blocks);
	r->slot[i].fd = fd;
	r->slot[i].pack = pack;
	return fd < 0 ? fd : (int)i;
}

/* Blocks from @block on are in buf: @want of them, or fewer at the end of a file that was cut. */
static int reader_fill(struct pack_reader *r, int fd, u64 pack, u32 block, u32 want)
{
	ssize_t n;

	r->pack = 0;
	do {
		n = pread(fd, r->buf, (size_t)want << NEXUS_BLOCK_SHIFT,
			  (off_t)block << NEXUS_BLOCK_SHIFT);
	} while (n < 0 && errno == EINTR);
	if (n < (ssize_t)NEXUS_BLOCK_SIZE)
		return n < 0 ? -errno : -EIO;
	r->pack = pack;
	r->first = block;
	r->n = (u32)(n >> NEXUS_BLOCK_SHIFT);
	return 0;
}

int pack_read_block(struct pack_reader *r, u64 pack, u32 block, void *buf)
{
	bool same = r->ahead && r->pack == pack;
	int i, ret = -EIO;
	u32 left;

	if (!same || block < r->first || block - r->first >= r->n) {
		i = reader_slot(r, pack);
		if (i < 0)
			return i;
		if (block >= r->slot[i].blocks)
			return -ERANGE;
		left = r->slot[i].blocks - block;
		if (same && block == r->first + r->n)
			ret = reader_fill(r, r->slot[i].fd, pack, block,
					  NEXUS_MIN(left, READER_BLOCKS));
		/* One that cannot be read does not keep those before it from being. */
		if (ret)
			ret = reader_fill(r, r->slot[i].fd, pack, block, 1);
		if (ret)
			return ret;
	}
	memcpy(buf, r->buf + ((size_t)(block - r->first) << NEXUS_BLOCK_SHIFT), NEXUS_BLOCK_SIZE);
	return 0;
}

/* 0 when its content is elsewhere, and is what @crc says; else -EUCLEAN, or of reading. */
static int check_away(struct pack_reader *r, u64 pack, u32 block, u32 crc)
{
	struct nexus_pack_line line;
	int i = reader_slot(r, pack);
	int ret;

	if (i < 0)
		return i;
	ret = pack_lines_read(r->slot[i].fd, block, 1, &line);
	if (ret)
		return ret;
	return pack_line_away(&line, pack) && le32_to_cpu(line.crc) == crc ? 0 : -EUCLEAN;
}

static int check_block(struct pack_reader *r, u64 pack, u32 block, u32 crc,
		       struct pack_bad *bad)
{
	u8 data[NEXUS_BLOCK_SIZE];
	int ret;

	bad->pack = pack;
	bad->block = block;
	bad->error = pack_read_block(r, pack, block, data);
	/* What cannot be looked at may be there. */
	if (bad->error)
		return bad->error == -ENOENT || bad->error == -ERANGE ? -EUCLEAN : bad->error;
	if (nexus_crc32c(0, data, sizeof(data)) == crc)
		return 0;
	ret = check_away(r, pack, block, crc);
	if (ret && ret != -EUCLEAN)
		bad->error = ret;
	return ret;
}

static int check_tail(struct pack_reader *r, const struct nexus_rec_truncate *tr,
		      struct pack_bad *bad)
{
	if (!tr->tail_pack)
		return 0;
	return check_block(r, le64_to_cpu(tr->tail_pack), le32_to_cpu(tr->tail_block),
			   le32_to_cpu(tr->tail_crc), bad);
}

static int check_extent(struct pack_reader *r, const struct nexus_rec_extent *ext,
			struct pack_bad *bad)
{
	u32 i, n = le32_to_cpu(ext->nblocks);
	int ret = 0;

	if (le32_to_cpu(ext->flags) & NEXUS_EF_NOCRC)
		return 0;
	for (i = 0; i < n && !ret; i++)
		ret = check_block(r, le64_to_cpu(ext->pack), le32_to_cpu(ext->block) + i,
				  le32_to_cpu(ext->crc[i]), bad);
	return ret;
}

/* What is moved was flushed before; checked all the same, for it costs little. */
static int check_move(struct pack_reader *r, const struct nexus_rec_move *mv,
		      struct pack_bad *bad)
{
	u32 i, n = le32_to_cpu(mv->nblocks);
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = check_block(r, le64_to_cpu(mv->to_pack), le32_to_cpu(mv->to_block) + i,
				  le32_to_cpu(mv->crc[i]), bad);
	return ret;
}

int pack_check_data(struct pack_reader *r, const u8 *records, size_t len,
		    struct pack_bad *bad)
{
	size_t off;
	int ret = 0;

	for (off = 0; off < len && !ret;) {
		const struct nexus_rec_head *rec = (const void *)(records + off);

		if (nexus_rec_check(rec, len - off))
			return -EUCLEAN;
		off += le32_to_cpu(rec->len);
		if (le16_to_cpu(rec->type) == NEXUS_REC_TRUNCATE)
			ret = check_tail(r, (const void *)rec, bad);
		else if (le16_to_cpu(rec->type) == NEXUS_REC_EXTENT)
			ret = check_extent(r, (const void *)rec, bad);
		else if (le16_to_cpu(rec->type) == NEXUS_REC_MOVE)
			ret = check_move(r, (const void *)rec, bad);
	}
	return ret;
}
