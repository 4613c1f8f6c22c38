// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Content in the log.  What a record does to it follows from what it does to the
 * file: whatever gives blocks other content, or none, ends that of DATA records
 * before it.  MOVE, SHARE and RESERVE do neither.
 */
#include "logdata.h"
#include "key.h"

#define BLOCK_KEY	16
#define ORDER_KEY	24

static void block_key(u8 *key, u64 data_id, u64 fblock)
{
	nexus_put_be64(key, data_id);
	nexus_put_be64(key + 8, fblock);
}

static void order_key(u8 *key, u64 lsn, u64 data_id, u64 fblock)
{
	nexus_put_be64(key, lsn);
	block_key(key + 8, data_id, fblock);
}

void nexus_logdata_init(struct nexus_logdata *d)
{
	nexus_omap_init(&d->blocks);
	nexus_omap_init(&d->order);
}

void nexus_logdata_destroy(struct nexus_logdata *d)
{
	nexus_omap_destroy(&d->blocks);
	nexus_omap_destroy(&d->order);
}

u64 nexus_logdata_low(const struct nexus_logdata *d)
{
	const struct nexus_omap_entry *e = nexus_omap_lower(&d->order, "", 0, false);

	return e ? nexus_get_be64(nexus_omap_key(e)) : 0;
}

bool nexus_logdata_find(const struct nexus_logdata *d, u64 data_id, u64 fblock,
			struct nexus_logdata_block *b)
{
	const struct nexus_omap_entry *e;
	u8 key[BLOCK_KEY];

	block_key(key, data_id, fblock);
	e = nexus_omap_find(&d->blocks, key, sizeof(key));
	if (e)
		memcpy(b, nexus_omap_val(e), sizeof(*b));
	return e;
}

/* A failure leaves too old a place in the order at worst, and a second try mends it. */
static int put_block(struct nexus_logdata *d, u64 data_id, u64 fblock,
		     const struct nexus_logdata_block *b)
{
	struct nexus_logdata_block old;
	bool had = nexus_logdata_find(d, data_id, fblock, &old);
	u8 key[ORDER_KEY];
	int ret;

	order_key(key, b->lsn, data_id, fblock);
	ret = nexus_omap_put(&d->order, key, sizeof(key), "", 0);
	if (!ret)
		ret = nexus_omap_put(&d->blocks, key + 8, BLOCK_KEY, b, sizeof(*b));
	if (!ret && had && old.lsn != b->lsn) {
		order_key(key, old.lsn, data_id, fblock);
		nexus_omap_remove(&d->order, key, sizeof(key));
	}
	return ret;
}

/* What is in force of [from, end) is so no more. */
static void drop(struct nexus_logdata *d, u64 data_id, u64 from, u64 end)
{
	const struct nexus_omap_entry *e;
	struct nexus_logdata_block b;
	u8 key[ORDER_KEY];
	u64 fblock;

	if (!d->blocks.count)
		return;
	block_key(key + 8, data_id, from);
	while ((e = nexus_omap_lower(&d->blocks, key + 8, BLOCK_KEY, false))) {
		fblock = nexus_get_be64(nexus_omap_key(e) + 8);
		if (nexus_get_be64(nexus_omap_key(e)) != data_id || fblock >= end)
			break;
		memcpy(&b, nexus_omap_val(e), sizeof(b));
		order_key(key, b.lsn, data_id, fblock);
		nexus_omap_remove(&d->order, key, sizeof(key));
		nexus_omap_remove(&d->blocks, key + 8, BLOCK_KEY);
	}
}

static int feed_data(struct nexus_logdata *d, const struct nexus_rec_data *r)
{
	u64 fblock = le64_to_cpu(r->offset) >> NEXUS_BLOCK_SHIFT;
	struct nexus_logdata_block b = {
		.lsn = le64_to_cpu(r->head.lsn),
		.ino = le64_to_cpu(r->ino),
	};
	u32 left = le32_to_cpu(r->len);
	int ret = 0;

	for (; left && !ret; left -= b.len, fblock++) {
		b.len = NEXUS_MIN(left, (u32)NEXUS_BLOCK_SIZE);
		ret = put_block(d, le64_to_cpu(r->data_id), fblock, &b);
	}
	return ret;
}

static int feed_truncate(struct nexus_logdata *d, const struct nexus_rec_truncate *r)
{
	u64 data_id = le64_to_cpu(r->data_id), size = le64_to_cpu(r->size);
	u32 keep = (u32)(size & (NEXUS_BLOCK_SIZE - 1));
	u64 last = size >> NEXUS_BLOCK_SHIFT;
	struct nexus_logdata_block b;

	if (r->new_data_id)
		size = 0;
	if (!size) {
		drop(d, data_id, 0, U64_MAX);
		return 0;
	}
	drop(d, data_id, last + !!keep, U64_MAX);
	/* The block in which it was cut is in a pack now, or what it was, and zeros. */
	if (r->tail_pack)
		drop(d, data_id, last, U64_MAX);
	else if (keep && nexus_logdata_find(d, data_id, last, &b) && b.len > keep) {
		b.len = keep;
		return put_block(d, data_id, last, &b);
	}
	return 0;
}

int nexus_logdata_feed(struct nexus_logdata *d, const struct nexus_rec_head *rec)
{
	const struct nexus_rec_extent *ext = (const void *)rec;
	const struct nexus_rec_range *range = (const void *)rec;
	const struct nexus_rec_clone *clone = (const void *)rec;
	const struct nexus_rec_inline *body = (const void *)rec;
	const struct nexus_rec_forget *forget = (const void *)rec;
	u64 from;

	switch (le16_to_cpu(rec->type)) {
	case NEXUS_REC_DATA:
		return feed_data(d, (const void *)rec);
	case NEXUS_REC_TRUNCATE:
		return feed_truncate(d, (const void *)rec);
	case NEXUS_REC_EXTENT:
		from = le64_to_cpu(ext->offset) >> NEXUS_BLOCK_SHIFT;
		drop(d, le64_to_cpu(ext->data_id), from,
		     from + le32_to_cpu(ext->nblocks));
		break;
	case NEXUS_REC_PUNCH:
		from = le64_to_cpu(range->offset) >> NEXUS_BLOCK_SHIFT;
		drop(d, le64_to_cpu(range->data_id), from,
		     from + (le64_to_cpu(range->len) >> NEXUS_BLOCK_SHIFT));
		break;
	case NEXUS_REC_CLONE:
		from = le64_to_cpu(clone->offset) >> NEXUS_BLOCK_SHIFT;
		drop(d, le64_to_cpu(clone->data_id), from,
		     from + le32_to_cpu(clone->nblocks));
		break;
	case NEXUS_REC_INLINE:
		drop(d, le64_to_cpu(body->data_id), 0, U64_MAX);
		break;
	case NEXUS_REC_FORGET:
		drop(d, le64_to_cpu(forget->data_id), 0, U64_MAX);
		break;
	}
	return 0;
}
