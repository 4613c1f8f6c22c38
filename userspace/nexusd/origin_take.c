// SPDX-License-Identifier: Apache-2.0
/*
 * What is put into streams: the index as it is on disk, in one snapshot; stretches of the
 * log; blocks of packs that no object holds, and the names of those that are objects.
 *
 * A block goes with its line, and only if it is what the line says.  One that a record
 * names and that is not was freed by a later record, and given back: then that record is
 * durable by now, and the stretch goes on until it is in it.
 */
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define LINES_AT_ONCE	65536u

int taking_begin(struct taking *t, struct zone *z)
{
	char path[PATH_MAX + 8];

	memset(t, 0, sizeof(*t));
	t->z = z;
	t->log.dirfd = -1;
	t->out.spool = origin_stream_spool(z->dir);
	if (!t->out.spool)
		return -errno;
	t->reader = pack_reader_new(z->os);
	t->block = malloc(NEXUS_BLOCK_SIZE);
	if (!t->reader || !t->block)
		return -ENOMEM;
	/* Anew each time: files that were removed are not to be kept. */
	snprintf(path, sizeof(path), "%s/" STORE_LOG, z->dir);
	return seglog_open(&t->log, path, z->sb.uuid);
}

void taking_end(struct taking *t)
{
	size_t i;

	for (i = 0; i < t->nopen; i++) {
		free(t->open[i].table);
		free(t->open[i].need);
	}
	free(t->open);
	free(t->sealed);
	free(t->held);
	free(t->block);
	pack_reader_free(t->reader);
	if (t->log.dirfd >= 0)
		seglog_close(&t->log);
	if (t->out.spool)
		fclose(t->out.spool);
}

/* ---- the index ------------------------------------------------------------------- */

static int note_open(struct taking *t, u64 pack)
{
	struct open_pack *more = realloc(t->open, (t->nopen + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	t->open = more;
	more[t->nopen] = (struct open_pack){
		.pack = pack, .blocks = super_pack_blocks(&t->z->sb),
	};
	more += t->nopen++;
	more->table = calloc(more->blocks, sizeof(struct nexus_pack_line));
	more->need = calloc(bit_words(more->blocks), sizeof(u64));
	return more->table && more->need ? 0 : -ENOMEM;
}

struct open_pack *taking_open(const struct taking *t, u64 pack)
{
	size_t i;

	for (i = 0; i < t->nopen; i++)
		if (t->open[i].pack == pack)
			return &t->open[i];
	return NULL;
}

/* The packs stand before the extents. */
static int note_extent(struct taking *t, const void *val, size_t len)
{
	struct nexus_extent_val x;
	struct open_pack *op;
	u32 i, end;

	if (len < sizeof(x))
		return -EUCLEAN;
	memcpy(&x, val, sizeof(x));
	op = x.pack ? taking_open(t, le64_to_cpu(x.pack)) : NULL;
	if (!op)
		return 0;
	end = le32_to_cpu(x.block) + le32_to_cpu(x.nblocks);
	if (end > op->blocks || le32_to_cpu(x.nblocks) > op->blocks)
		return -EUCLEAN;
	for (i = le32_to_cpu(x.block); i < end; i++)
		bit_set(op->need, i);
	return 0;
}

static int note_sealed(struct taking *t, u64 pack)
{
	u64 *more;

	if (t->nsealed % 64 == 0) {
		more = realloc(t->sealed, (t->nsealed + 64) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->sealed = more;
	}
	t->sealed[t->nsealed++] = pack;
	return 0;
}

static int note_super(struct taking *t, const void *val, size_t len)
{
	struct nexus_zone_val zv;

	if (len < sizeof(zv))
		return -EUCLEAN;
	memcpy(&zv, val, sizeof(zv));
	t->lsn = le64_to_cpu(zv.checkpoint);
	t->log_from = le64_to_cpu(zv.log_from);
	if (!t->log_from)
		t->log_from = t->lsn;
	t->incarnation = le64_to_cpu(zv.incarnation);
	return 0;
}

static int note_pack(struct taking *t, u64 pack, const void *val, size_t len)
{
	struct nexus_pack_val pv;

	if (len < sizeof(pv))
		return -EUCLEAN;
	memcpy(&pv, val, sizeof(pv));
	if (le32_to_cpu(pv.state) != NEXUS_PACK_SEALED)
		return note_open(t, pack);
	return pv.live ? note_sealed(t, pack) : 0;
}

static int take_key(struct taking *t, const u8 *key, size_t klen, const u64 *val, size_t vlen)
{
	int ret = 0;

	if (nexus_val_check(val, vlen, key[0], sizeof(struct nexus_val_head)))
		return -EUCLEAN;
	if (key[0] == NEXUS_KEY_ALLOC && klen == 1)
		return 0;
	if (key[0] == NEXUS_KEY_ZONE && klen == 1)
		ret = note_super(t, val, vlen);
	else if (key[0] == NEXUS_KEY_PACK && klen == 9)
		ret = note_pack(t, nexus_get_be64(key + 1), val, vlen);
	else if (key[0] == NEXUS_KEY_EXTENT)
		ret = note_extent(t, val, vlen);
	origin_stream_item(&t->out, NEXUS_ITEM_KEY, klen, 0, key, klen, val, vlen);
	return ret ? ret : t->out.ret;
}

int take_index(struct taking *t)
{
	const struct nexus_ms_driver *drv = t->z->ms->drv;
	u64 *copy = malloc(NEXUS_VALUE_MAX);
	u8 key[NEXUS_KEY_MAX];
	struct nexus_ms_snap *snap;
	const void *fkey, *val;
	size_t klen = 0, vlen;
	int ret;

	if (!copy)
		return -ENOMEM;
	ret = drv->begin_read(t->z->ms, &snap);
	if (ret)
		goto free_copy;
	key[0] = 0;
	klen = 1;
	while (!(ret = drv->seek(snap, key, klen, true, &fkey, &klen, &val, &vlen))) {
		if (klen > sizeof(key) || vlen > NEXUS_VALUE_MAX) {
			ret = -EUCLEAN;
			break;
		}
		memcpy(key, fkey, klen);
		/* Values of the store may lie at any address. */
		memcpy(copy, val, vlen);
		ret = take_key(t, key, klen, copy, vlen);
		if (ret)
			break;
	}
	drv->end_read(snap);
	if (ret == -ENOENT)
		ret = t->incarnation || t->lsn ? 0 : -EUCLEAN;
	t->end = t->log_from;
free_copy:
	free(copy);
	return ret;
}

int take_alloc(struct taking *t)
{
	const struct nexus_ms_driver *drv = t->z->ms->drv;
	static const u8 key = NEXUS_KEY_ALLOC;
	struct nexus_ms_snap *snap;
	const void *val;
	size_t vlen;
	int ret = drv->begin_read(t->z->ms, &snap);

	if (ret)
		return ret;
	ret = drv->get(snap, &key, 1, &val, &vlen);
	if (!ret)
		origin_stream_item(&t->out, NEXUS_ITEM_KEY, 1, 0, &key, 1, val, vlen);
	drv->end_read(snap);
	return ret ? ret : t->out.ret;
}

/* ---- blocks ---------------------------------------------------------------------- */

/* True: it went into the stream. */
static bool take_block(struct taking *t, u64 pack, u32 block, const struct nexus_pack_line *line)
{
	if (pack_read_block(t->reader, pack, block, t->block))
		return false;
	if (!pack_line_plain(line, pack) &&
	    nexus_crc32c(0, t->block, NEXUS_BLOCK_SIZE) != le32_to_cpu(line->crc))
		return false;
	origin_stream_item(&t->out, NEXUS_ITEM_BLOCK, pack, block, line, sizeof(*line), t->block,
		    NEXUS_BLOCK_SIZE);
	return true;
}

static int take_line(void *arg, u64 pack, u32 block, const struct nexus_pack_line *line)
{
	struct taking *t = arg;

	if (!taking_names(t, pack) && !taking_open(t, pack) && !take_block(t, pack, block, line))
		t->bad = true;
	return t->out.ret;
}

static int take_lines(struct taking *t, struct pack_tables **tab)
{
	int ret;

	/* They were written before their batches became durable. */
	pack_reader_ahead(t->reader);
	ret = pack_tables_each(*tab, take_line, t);
	pack_tables_free(*tab);
	*tab = pack_tables_new();
	return ret ? ret : *tab ? 0 : -ENOMEM;
}

static int take_batches(struct taking *t, struct seg_cursor *c, u64 target,
			struct pack_tables **tab)
{
	struct seg_batch b;
	int ret = 0;

	while (!ret && t->end < target) {
		ret = seg_cursor_next(c, &b);
		if (ret != 1)
			return ret ? ret : -ESTALE;
		ret = 0;
		if (b.end <= t->end)
			continue;
		origin_stream_item(&t->out, NEXUS_ITEM_BATCH, 0, 0,
			    b.records - sizeof(struct nexus_batch_head),
			    sizeof(struct nexus_batch_head), b.records, b.length);
		ret = pack_tables_add(*tab, b.records, b.length);
		t->end = b.end;
		if (!ret && pack_tables_count(*tab) > LINES_AT_ONCE)
			ret = take_lines(t, tab);
	}
	return ret;
}

int take_log(struct taking *t, struct seg_cursor *c)
{
	u64 target = NEXUS_MAX(zone_durable(t->z), t->lsn);
	struct pack_tables *tab = pack_tables_new();
	int ret = tab ? seglog_scan(&t->log) : -ENOMEM;

	c->log = &t->log;
	if (!ret)
		ret = take_held(t, c, &target);
	while (!ret) {
		ret = seglog_scan(&t->log);
		t->bad = false;
		if (!ret)
			ret = take_batches(t, c, target, &tab);
		if (!ret)
			ret = take_lines(t, &tab);
		target = zone_durable(t->z);
		if (!t->bad || t->end >= target)
			break;
	}
	pack_tables_free(tab);
	return ret ? ret : t->out.ret;
}

static int note_line(void *arg, u64 pack, u32 block, const struct nexus_pack_line *line)
{
	struct open_pack *op = taking_open(arg, pack);

	if (op && block < op->blocks && !op->table[block].ino)
		op->table[block] = *line;
	return 0;
}

static int note_batch(void *arg, const struct seg_batch *b)
{
	struct pack_tables *tab = pack_tables_new();
	int ret = tab ? pack_tables_add(tab, b->records, b->length) : -ENOMEM;

	if (!ret)
		ret = pack_tables_each(tab, note_line, arg);
	pack_tables_free(tab);
	/* A batch that is being written over is no error. */
	return ret == -EUCLEAN ? 0 : ret;
}

static int take_pack(struct taking *t, struct open_pack *op)
{
	struct pack_image img;
	u32 i, missing = 0;
	int ret = pack_image_open(t->z->os, op->pack, t->z->sb.uuid, false, &img);

	if (ret)
		return ret;
	pack_reader_ahead(t->reader);
	for (i = img.first; !t->out.ret && i < NEXUS_MIN(img.blocks, op->blocks); i++) {
		struct nexus_pack_line *line = &op->table[i];
		bool there;

		if (pack_line_is(&img.table[i], op->pack) && img.table[i].ino)
			*line = img.table[i];
		there = line->ino && !pack_line_absent(line, op->pack) &&
			take_block(t, op->pack, i, line);
		missing += !there && bit_get(op->need, i);
	}
	pack_image_close(&img);
	if (!t->out.ret && missing) {
		log_error("zone %s: pack %llu: %u blocks that are in use are not here and right",
			  t->z->name, op->pack, missing);
		return -EUCLEAN;
	}
	return t->out.ret;
}

/*
 * The lines are in the log, until the kernel has written them to the table: so the log is
 * looked at first.
 */
int take_open(struct taking *t)
{
	size_t i;
	int ret = t->nopen ? seglog_walk(&t->log, t->incarnation, note_batch, t) : 0;

	for (i = 0; !ret && i < t->nopen; i++)
		ret = take_pack(t, &t->open[i]);
	return ret;
}
