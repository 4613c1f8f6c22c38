// SPDX-License-Identifier: Apache-2.0
/*
 * The end of the log.
 *
 * The chain of batches is followed from the batch in which the checkpoint lies, or
 * from an earlier one with content that only the log has.
 * Where it breaks, one of two things happened.  The machine stopped while
 * a batch was being written: nobody was told that it is durable, and the log
 * ends there.  Or something that was durable is gone: then a whole batch that
 * promises a higher durable LSN is somewhere, or the index holds more than the
 * log, and the zone must not be changed.
 *
 * Data of packs and the batch that points at it are flushed together, so blocks
 * of batches that nobody vouches for are checked; the first batch with a wrong
 * one ends the log as a torn one does.
 *
 * What the disk does not give back is neither: the next batch, or its data, may
 * well have been durable.  The zone is not changed until that is known.
 */
#include "replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define TABLE_LINES	(512u << 10)	/* 24 MiB */

void replay_corrupt(struct replay *r, const char *fmt, ...)
{
	va_list ap;

	if (r->corrupt)
		return;
	r->corrupt = true;
	va_start(ap, fmt);
	vsnprintf(r->reason, sizeof(r->reason), fmt, ap);
	va_end(ap);
}

static int see_batch(void *arg, const struct seg_batch *b)
{
	struct replay *r = arg;

	if (b->durable > r->durable)
		r->durable = b->durable;
	if (b->segment > r->newest)
		r->newest = b->segment;
	if (b->end >= r->checkpoint)
		r->reached = true;
	if (b->end == r->checkpoint)
		r->prev_crc = b->crc;
	if (b->lsn <= r->from && b->end > r->from) {
		r->started = true;
		r->start = (struct seg_cursor){
			.log = r->log,
			.incarnation = r->incarnation,
			.segment = b->segment,
			.block = b->block,
			.next_lsn = b->lsn,
		};
	}
	return 0;
}

/* The CRC was right, so a wrong record was written wrong. */
static bool records_ok(const struct seg_batch *b)
{
	u64 lsn = b->lsn;
	u32 count = 0;
	size_t off;

	for (off = 0; off < b->length;) {
		const struct nexus_rec_head *rec = (const void *)(b->records + off);

		if (nexus_rec_check(rec, b->length - off) || le64_to_cpu(rec->lsn) != lsn)
			return false;
		off += le32_to_cpu(rec->len);
		lsn += le32_to_cpu(rec->len);
		count++;
	}
	return count == b->count && lsn == b->end;
}

/* Follows the chain to its end; the last batches' data may shorten it. */
static int follow(struct replay *r)
{
	struct pack_reader *reader = NULL;
	struct seg_cursor c = r->start;
	struct pack_bad bad = { 0 };
	struct seg_batch b;
	u64 end = r->from;
	int ret, data;

	while ((ret = seg_cursor_next(&c, &b)) == 1) {
		if (!records_ok(&b)) {
			replay_corrupt(r, "log: impossible records in the batch at LSN %llu of segment %llu",
				b.lsn, b.segment);
			break;
		}
		/*
		 * Batches become durable as a whole.  The checkpoint may lie inside
		 * of one, and what died below it may have been given back since.
		 */
		if (r->os && b.lsn >= r->durable) {
			if (!reader)
				reader = pack_reader_new(r->os);
			if (!reader)
				return -ENOMEM;
			data = pack_check_data(reader, b.records, b.length, &bad);
			if (data && data != -EUCLEAN)
				replay_corrupt(r, "the end of the log needs block %u of pack %llu, which cannot be read: %s",
					       bad.block, bad.pack, strerror(-data));
			else if (data)
				log_info("log: the batch at LSN %llu was never acknowledged, and its data is not there: block %u of pack %llu (%s)",
					 b.lsn, bad.block, bad.pack, bad.error ?
					 strerror(-bad.error) : "another checksum");
			if (data)
				break;
		}
		end = b.end;
		if (end <= r->checkpoint)
			continue;
		r->tail = end;
		r->prev_crc = b.crc;
		r->batches++;
	}
	pack_reader_free(reader);
	if (!ret && c.error)
		replay_corrupt(r, "segment file %06u cannot be read at block %u: %s",
			       c.bad_file, c.bad_block, strerror(-c.error));
	/* Everything below was durable. */
	if (ret >= 0 && end < r->checkpoint)
		replay_corrupt(r, "log is damaged at LSN %llu, and holds content up to LSN %llu",
			       end, r->checkpoint);
	return ret < 0 ? ret : 0;
}

static int count_dropped(void *arg, const struct seg_batch *b)
{
	struct replay *r = arg;

	if (b->lsn >= r->tail)
		r->dropped += b->length;
	return 0;
}

/* It may hold any segment, the last one, too. */
static void unreadable_heads(struct replay *r)
{
	size_t i;

	for (i = 0; i < r->log->nfiles; i++) {
		const struct seg_file *f = &r->log->files[i];

		if (f->error)
			replay_corrupt(r, "segment file %06u cannot be read at block 0: %s",
				       f->index, strerror(-f->error));
	}
}

int replay_scan(struct replay *r)
{
	int ret;

	r->tail = r->checkpoint;
	r->prev_crc = 0;
	r->batches = 0;
	r->dropped = 0;
	r->corrupt = false;
	r->reason[0] = '\0';
	r->started = false;
	r->reached = false;
	r->newest = 0;
	/* What the index holds was durable in the log. */
	r->durable = r->checkpoint;
	unreadable_heads(r);
	ret = seglog_walk(r->log, r->incarnation, see_batch, r);
	if (!ret && r->started)
		ret = follow(r);
	if (ret)
		return ret;
	if (!r->started && r->from < r->checkpoint)
		replay_corrupt(r, "the log does not begin at LSN %llu, from where on it holds content",
			       r->from);
	/* The segment of the checkpoint is there, and ends below it. */
	if (!r->reached && r->newest && r->newest >= r->checkpoint_seg)
		replay_corrupt(r, "the log ends below LSN %llu, up to which the index holds it",
			r->checkpoint);
	if (r->tail < r->durable)
		replay_corrupt(r, "log is damaged at LSN %llu, but was durable up to %llu",
			r->tail, r->durable);
	return seglog_walk(r->log, r->incarnation, count_dropped, r);
}

int replay_records(struct replay *r, u64 from, u64 to,
		   int (*fn)(void *arg, const u8 *records, size_t len), void *arg)
{
	struct seg_cursor c = r->start;
	struct seg_batch b;
	size_t off;
	int ret;

	if (to > r->tail)
		to = r->tail;
	if (from < to && !r->started)
		return -EIO;
	while (from < to) {
		ret = seg_cursor_next(&c, &b);
		if (ret != 1)
			return ret ? ret : -EIO;
		if (b.end <= from)
			continue;
		off = (size_t)(from - b.lsn);
		from = NEXUS_MIN(b.end, to);
		ret = fn(arg, b.records + off, (size_t)(from - b.lsn) - off);
		if (ret)
			return ret;
	}
	return 0;
}

struct tables_arg {
	struct pack_tables *t;
	u64 tail;
};

static int add_batch(void *arg, const struct seg_batch *b)
{
	struct tables_arg *ta = arg;

	if (b->end > ta->tail || !records_ok(b))
		return 0;
	return pack_tables_add(ta->t, b->records, b->length);
}

int replay_collect_tables(struct replay *r, struct pack_tables *t)
{
	struct tables_arg ta = { t, r->tail };

	return seglog_walk(r->log, r->incarnation, add_batch, &ta);
}

/* Lines are written in lots: a log can hold those of more data than memory takes. */
struct lots_arg {
	struct replay *r;
	const u8 *uuid;
	struct pack_tables *t;
	u64 written;
};

static int write_lot(struct lots_arg *la)
{
	u64 written;
	int ret = pack_tables_write(la->t, la->r->os, la->uuid, &written);

	la->written += written;
	pack_tables_free(la->t);
	la->t = pack_tables_new();
	return ret ? ret : la->t ? 0 : -ENOMEM;
}

static int add_to_lot(void *arg, const struct seg_batch *b)
{
	struct lots_arg *la = arg;
	size_t max = la->r->table_lines ? la->r->table_lines : TABLE_LINES;
	struct tables_arg ta = { la->t, la->r->tail };
	int ret = add_batch(&ta, b);

	return ret || pack_tables_count(la->t) < max ? ret : write_lot(la);
}

int replay_tables(struct replay *r, const u8 *uuid, u64 *written)
{
	struct lots_arg la = { r, uuid, pack_tables_new(), 0 };
	int ret = la.t ? seglog_walk(r->log, r->incarnation, add_to_lot, &la) : -ENOMEM;

	if (!ret)
		ret = write_lot(&la);
	pack_tables_free(la.t);
	*written = la.written;
	return ret;
}
