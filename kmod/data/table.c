// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heads and tables of packs, sealing, flushing, checksums.
 *
 * A table block is rewritten in place: a line lies within one sector, and a line
 * that is not on disk is still in the log, for segments are recycled only after
 * the tables were written.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include "../log/log.h"
#include "data.h"
#include "host.h"

#define NEXUS_TABLE_RUN		16u	/* table blocks of one write */
#define NEXUS_TABLE_CACHED	16u	/* table blocks kept of a sealed pack */

/* ---- life of lines and head ----------------------------------------------- */

int nexus_pack_init_own(struct nexus_pack *pack)
{
	BUILD_BUG_ON(NEXUS_PACK_LINES_PER_BLOCK * sizeof(*pack->lines) !=
		     NEXUS_BLOCK_SIZE);
	pack->lines = vzalloc((u64)pack->table_blocks << NEXUS_BLOCK_SHIFT);
	pack->dirty = bitmap_zalloc(pack->table_blocks, GFP_KERNEL_ACCOUNT);
	pack->head = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!pack->lines || !pack->dirty || !pack->head) {
		nexus_pack_free_own(pack);
		return -ENOMEM;
	}
	/* Sealing happens in a worker, long after anybody could wait. */
	nexus_log_reserve_forced(pack->zone, &pack->seal_resv,
				 sizeof(struct nexus_rec_pack));
	return 0;
}

/* No zone: see nexus_pack_release(). */
void nexus_pack_free_own(struct nexus_pack *pack)
{
	vfree(pack->lines);
	bitmap_free(pack->dirty);
	free_page((unsigned long)pack->head);
	pack->lines = NULL;
	pack->dirty = NULL;
	pack->head = NULL;
}

void nexus_pack_note(struct nexus_pack *pack, u32 block, u64 ino, u64 data_id,
		     u64 offset, u32 crc)
{
	struct nexus_pack_line *line = &pack->lines[block];

	line->ino = cpu_to_le64(ino);
	line->data_id = cpu_to_le64(data_id);
	line->offset = cpu_to_le64(offset);
	line->crc = cpu_to_le32(crc);
	line->pack = cpu_to_le32(lower_32_bits(pack->id));
	/* The writer clears the bit before it looks at the line. */
	smp_mb__before_atomic();
	set_bit(block / NEXUS_PACK_LINES_PER_BLOCK, pack->dirty);
}

/* ---- writing ------------------------------------------------------------------ */

static int nexus_pack_write_run(struct nexus_pack *pack, u32 first, u32 n)
{
	u8 *at = (u8 *)pack->lines + ((size_t)first << NEXUS_BLOCK_SHIFT);
	struct bio_vec bvec[NEXUS_TABLE_RUN];
	u32 i;

	for (i = 0; i < n; i++)
		bvec_set_page(&bvec[i], vmalloc_to_page(at + i * PAGE_SIZE),
			      PAGE_SIZE, 0);
	return nexus_host_write(pack->file, bvec, n,
				(size_t)n << NEXUS_BLOCK_SHIFT, 1 + first);
}

static int nexus_pack_write_head(struct nexus_pack *pack, bool sealed)
{
	struct nexus_pack_head *head = pack->head;
	struct bio_vec bvec;

	memset(head, 0, sizeof(*head));
	head->magic = cpu_to_le64(NEXUS_PACK_MAGIC);
	head->version = cpu_to_le32(1);
	head->flags = cpu_to_le32(sealed ? NEXUS_PACK_SEALED_FLAG : 0);
	memcpy(head->zone, pack->zone->uuid, sizeof(head->zone));
	head->pack = cpu_to_le64(pack->id);
	head->blocks = cpu_to_le32(pack->blocks);
	head->table_blocks = cpu_to_le32(pack->table_blocks);
	head->used = cpu_to_le32(sealed ? pack->next : 0);
	head->crc = cpu_to_le32(nexus_crc32c(0, head, sizeof(*head)));
	bvec_set_page(&bvec, virt_to_page(head), PAGE_SIZE, 0);
	return nexus_host_write(pack->file, &bvec, 1, PAGE_SIZE, 0);
}

/* table_mutex held.  Writes what is dirty; flushes if it wrote anything. */
static int nexus_pack_write_table(struct nexus_pack *pack, bool seal)
{
	u32 first, n, i;
	bool wrote = seal;
	int err = 0;

	first = find_first_bit(pack->dirty, pack->table_blocks);
	while (!err && first < pack->table_blocks) {
		for (n = 0; n < NEXUS_TABLE_RUN; n++) {
			i = first + n;
			if (i >= pack->table_blocks ||
			    !test_and_clear_bit(i, pack->dirty))
				break;
		}
		err = nexus_pack_write_run(pack, first, n);
		wrote = true;
		first = find_next_bit(pack->dirty, pack->table_blocks,
				      first + n);
	}
	if (!err && (seal || (wrote && !pack->head_written))) {
		err = nexus_pack_write_head(pack, seal);
		pack->head_written = true;
	}
	if (!err && wrote)
		err = nexus_host_flush(pack->file);
	if (err)
		nexus_zone_fail(pack->zone, -EIO, "writing the table of pack %llu failed (%pe)",
				pack->id, ERR_PTR(err));
	return err;
}

/*
 * The pack after @pack (NULL: the first) of those we write.  Packs leave the
 * list only under table_mutex, which the caller holds.
 */
static struct nexus_pack *nexus_packs_next(struct nexus_packs *packs,
					   struct nexus_pack *pack)
{
	struct list_head *next;

	spin_lock(&packs->lock);
	next = pack ? pack->own.next : packs->own.next;
	pack = next == &packs->own ? NULL :
	       list_entry(next, struct nexus_pack, own);
	spin_unlock(&packs->lock);
	return pack;
}

int nexus_packs_tables_sync(struct nexus_zone *zone)
{
	struct nexus_packs *packs = zone->packs;
	unsigned int flags = nexus_host_begin();
	struct nexus_pack *pack = NULL;
	int err = READ_ONCE(zone->error) ? -EIO : 0;

	mutex_lock(&packs->table_mutex);
	while (!err && (pack = nexus_packs_next(packs, pack)))
		err = nexus_pack_write_table(pack, false);
	mutex_unlock(&packs->table_mutex);
	nexus_host_end(flags);
	return err;
}

void nexus_packs_tables_work(struct work_struct *work)
{
	struct nexus_packs *packs = container_of(work, struct nexus_packs,
						 tables_work);

	WRITE_ONCE(packs->tables_err, nexus_packs_tables_sync(packs->zone));
}

int nexus_packs_write_tables(struct nexus_zone *zone)
{
	struct nexus_packs *packs = zone->packs;

	if (!packs)
		return 0;
	queue_work(packs->wq, &packs->tables_work);
	/* Who was killed did not wait for that. */
	queue_work(packs->wq, &packs->inplace.work);
	flush_work(&packs->tables_work);
	flush_work(&packs->inplace.work);
	return READ_ONCE(packs->tables_err);
}

/* Flush worker. */
int nexus_packs_flush(struct nexus_zone *zone, struct super_block *covered)
{
	struct nexus_packs *packs = zone->packs;
	struct nexus_pack *pack = NULL;
	bool unflushed, plain;
	int err = 0;

	if (!packs)
		return 0;
	mutex_lock(&packs->table_mutex);
	while (!err && (pack = nexus_packs_next(packs, pack))) {
		spin_lock(&packs->lock);
		unflushed = pack->unflushed;
		plain = pack->plain;
		pack->unflushed = false;
		pack->plain = false;
		spin_unlock(&packs->lock);
		/* Without a checksum nobody could tell later that it is missing. */
		if (!unflushed || (!plain && pack->zeroed &&
				   file_inode(pack->file)->i_sb == covered))
			continue;
		err = nexus_host_flush(pack->file);
		if (err)
			nexus_zone_fail(zone, -EIO, "flushing pack %llu failed (%pe)",
					pack->id, ERR_PTR(err));
	}
	mutex_unlock(&packs->table_mutex);
	return err ?: nexus_inplace_flush_needed(packs);
}

/* ---- sealing ------------------------------------------------------------------- */

void nexus_pack_seal_work(struct work_struct *work)
{
	struct nexus_pack *pack = container_of(work, struct nexus_pack,
					       seal_work);
	struct nexus_zone *zone = pack->zone;
	struct nexus_packs *packs = zone->packs;
	struct nexus_rec_pack rec;
	unsigned int flags;
	struct timespec64 now;
	u64 lsn;
	int err;

	if (READ_ONCE(zone->error))
		return;
	flags = nexus_host_begin();
	mutex_lock(&packs->table_mutex);
	err = nexus_pack_write_table(pack, true);
	if (!err) {
		spin_lock(&packs->lock);
		list_del_init(&pack->own);
		pack->unflushed = false;
		pack->plain = false;
		spin_unlock(&packs->lock);
	}
	mutex_unlock(&packs->table_mutex);
	nexus_host_end(flags);
	if (err)
		return;

	ktime_get_real_ts64(&now);
	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, nexus_ts(now));
	rec.pack = cpu_to_le64(pack->id);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(pack->next);
	err = nexus_mutate(zone, &pack->seal_resv, &rec.head, &lsn);
	nexus_log_unreserve(&pack->seal_resv);
	/* Not sealed in the index: the helper does it at the next start. */
	if (err && err != -EROFS)
		nexus_warn(zone, "sealing of pack %llu could not be logged (%pe)",
			   pack->id, ERR_PTR(err));
	else if (!err && READ_ONCE(pack->awaited))
		nexus_log_kick(zone);

	mutex_lock(&pack->cache_mutex);
	nexus_pack_free_own(pack);
	mutex_unlock(&pack->cache_mutex);
	spin_lock(&packs->lock);
	WRITE_ONCE(pack->state, NEXUS_PS_SEALED);
	spin_unlock(&packs->lock);
	nexus_pack_touch(pack);
}

/* ---- checksums ------------------------------------------------------------------ */

/* cache_mutex held. */
static struct page *nexus_pack_table_page(struct nexus_pack *pack, u32 index)
{
	struct page *page = xa_load(&pack->cache, index), *old;
	struct bio_vec bvec;
	unsigned long i;
	int err;

	if (page)
		return page;
	if (pack->cached >= NEXUS_TABLE_CACHED) {
		xa_for_each(&pack->cache, i, old) {
			xa_erase(&pack->cache, i);
			__free_page(old);
		}
		pack->cached = 0;
	}
	page = alloc_page(GFP_NOIO);
	if (!page)
		return ERR_PTR(-ENOMEM);
	bvec_set_page(&bvec, page, PAGE_SIZE, 0);
	err = nexus_host_read(pack->file, &bvec, 1, PAGE_SIZE, 1 + index);
	if (!err)
		err = xa_err(xa_store(&pack->cache, index, page, GFP_NOIO));
	if (err) {
		__free_page(page);
		return ERR_PTR(err);
	}
	pack->cached++;
	return page;
}

int nexus_pack_verify(struct nexus_pack *pack, u32 block, u32 crc, u64 ino)
{
	const struct nexus_pack_line *lines;
	struct nexus_pack_line line;
	struct page *page;

	mutex_lock(&pack->cache_mutex);
	if (pack->lines) {
		line = pack->lines[block];
	} else {
		page = nexus_pack_table_page(pack,
					     block / NEXUS_PACK_LINES_PER_BLOCK);
		if (IS_ERR(page)) {
			mutex_unlock(&pack->cache_mutex);
			return PTR_ERR(page);
		}
		lines = page_address(page);
		line = lines[block % NEXUS_PACK_LINES_PER_BLOCK];
	}
	mutex_unlock(&pack->cache_mutex);

	/* An empty line says nothing: its block was written before a crash. */
	if (le32_to_cpu(line.pack) != lower_32_bits(pack->id) ||
	    le64_to_cpu(line.offset) & NEXUS_PL_NOCRC)
		return 0;
	if (le32_to_cpu(line.crc) == crc)
		return 0;
	nexus_count(crc_errors);
	nexus_err(pack->zone, "checksum of block %u of pack %llu (inode %llu) is wrong",
		  block, pack->id, ino);
	return -EIO;
}

void nexus_pack_forget_lines(struct nexus_pack *pack, u32 block, u32 n)
{
	u32 i = block / NEXUS_PACK_LINES_PER_BLOCK;
	u32 last = (block + n - 1) / NEXUS_PACK_LINES_PER_BLOCK;
	struct page *page;

	mutex_lock(&pack->cache_mutex);
	for (; i <= last; i++) {
		page = xa_erase(&pack->cache, i);
		if (!page)
			continue;
		__free_page(page);
		pack->cached--;
	}
	mutex_unlock(&pack->cache_mutex);
}
