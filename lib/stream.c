// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The bytes of a stream; see stream.h. */
#include "stream.h"

/* A record and what is begun of blocks beside it: so far ahead is a first one looked for. */
#define FIRST_BLOCKS	(NEXUS_STREAM_LEN_MAX / NEXUS_STREAM_ROOM + 3)
/* Blocks behind the last one that was begun whole. */
#define TORN_BLOCKS	65536u

#define BLOCK_OF(pos)	((pos) & ~(u64)(NEXUS_STREAM_BLOCK - 1))

/* ---- positions ---------------------------------------------------------------- */

u64 nexus_stream_end(u64 pos, u32 len)
{
	u64 at = nexus_stream_head_at(pos) + NEXUS_STREAM_RHEAD;
	u32 off = nexus_stream_off(at), room, full;

	room = off ? NEXUS_STREAM_BLOCK - off : 0;
	if (len <= room)
		return at + len;
	len -= room;
	full = (len - 1) / NEXUS_STREAM_ROOM;
	return at + room + (u64)full * NEXUS_STREAM_BLOCK + NEXUS_STREAM_BHEAD +
	       (len - full * NEXUS_STREAM_ROOM);
}

/* Where something goes that comes behind @end. */
static u64 stream_behind(u64 end)
{
	u32 off = nexus_stream_off(end);

	if (off > NEXUS_STREAM_BLOCK - NEXUS_STREAM_RHEAD)
		return BLOCK_OF(end) + NEXUS_STREAM_BLOCK;
	return end;
}

u64 nexus_stream_next(u64 pos, u32 len)
{
	return stream_behind(nexus_stream_end(pos, len));
}

/* ---- writing ------------------------------------------------------------------ */

static u32 stream_crc(const struct nexus_stream_rec *rec, const u8 *data)
{
	struct {
		__le64	pos;
		__le64	time;
		__le32	len;
		__le32	zero;
	} key = {
		.pos = cpu_to_le64(rec->pos),
		.time = cpu_to_le64(rec->time),
		.len = cpu_to_le32(rec->len),
	};

	return nexus_crc32c(nexus_crc32c(0, &key, sizeof(key)), data, rec->len);
}

static size_t put_block_head(u8 *out, u32 first, u64 durable, u64 seq)
{
	struct nexus_stream_block b = {
		.magic = cpu_to_le32(NEXUS_STREAM_MAGIC),
		.first = cpu_to_le16((u16)first),
		.durable = cpu_to_le64(durable),
		.seq = cpu_to_le64(seq),
	};

	memcpy(out, &b, sizeof(b));
	return sizeof(b);
}

size_t nexus_stream_image(u8 *out, const struct nexus_stream_rec *rec, const u8 *data,
			  u64 durable, u64 *at)
{
	u64 next = nexus_stream_next(rec->pos, rec->len), pos = rec->pos;
	struct nexus_stream_head h = {
		.len = cpu_to_le32(rec->len),
		.crc = cpu_to_le32(stream_crc(rec, data)),
		.time = cpu_to_le64(rec->time),
	};
	u32 left = rec->len, n;
	size_t done = 0;

	*at = pos;
	if (!nexus_stream_off(pos))
		done = put_block_head(out, NEXUS_STREAM_BHEAD, durable, rec->seq);
	memcpy(out + done, &h, sizeof(h));
	done += sizeof(h);
	while (left) {
		n = nexus_stream_off(pos + done);
		if (!n) {
			/* The next one is known to begin here, if it does. */
			u32 first = BLOCK_OF(next) == pos + done ? nexus_stream_off(next) : 0;

			done += put_block_head(out + done, first, durable, rec->seq + 1);
			n = NEXUS_STREAM_BHEAD;
		}
		n = NEXUS_MIN(left, NEXUS_STREAM_BLOCK - n);
		memcpy(out + done, data, n);
		done += n;
		data += n;
		left -= n;
	}
	return done;
}

/* ---- reading ------------------------------------------------------------------ */

int nexus_stream_first(const u8 *head, u64 base, struct nexus_stream_first *first)
{
	struct nexus_stream_block b;
	u32 off;

	memcpy(&b, head, sizeof(b));
	off = le16_to_cpu(b.first);
	first->durable = le64_to_cpu(b.durable);
	first->seq = le64_to_cpu(b.seq);
	if (le32_to_cpu(b.magic) != NEXUS_STREAM_MAGIC || b.reserved ||
	    first->durable > base || !nexus_stream_pos_ok(first->durable) ||
	    first->seq > NEXUS_STREAM_POS_MAX)
		return -EUCLEAN;
	if (off && (off < NEXUS_STREAM_BHEAD || off > NEXUS_STREAM_BLOCK - NEXUS_STREAM_RHEAD))
		return -EUCLEAN;
	first->pos = !off ? U64_MAX : off == NEXUS_STREAM_BHEAD ? base : base + off;
	return 0;
}

void nexus_stream_set_first(u8 *head, const struct nexus_stream_first *first)
{
	put_block_head(head, nexus_stream_off(nexus_stream_head_at(first->pos)), first->durable,
		       first->seq);
}

int nexus_stream_get_head(const u8 *head, struct nexus_stream_rec *rec)
{
	struct nexus_stream_head h;

	memcpy(&h, head, sizeof(h));
	rec->len = le32_to_cpu(h.len);
	rec->time = le64_to_cpu(h.time);
	return rec->len && rec->len <= NEXUS_STREAM_LEN_MAX ? 0 : -EUCLEAN;
}

/* As nexus_stream_find(), by the records that begin in the block at @base, before @pos. */
static int find_from(const u8 *block, u64 base, u64 pos, u64 *seq)
{
	struct nexus_stream_first first;
	struct nexus_stream_rec rec;
	int err = nexus_stream_first(block, base, &first);

	if (err)
		return err;
	/* None, or one behind @pos, is no step.  Each is longer than a head: there are few. */
	for (rec.pos = first.pos; rec.pos < pos; first.seq++) {
		err = nexus_stream_get_head(block + (nexus_stream_head_at(rec.pos) - base), &rec);
		if (err)
			return err;
		rec.pos = nexus_stream_next(rec.pos, rec.len);
	}
	*seq = first.seq;
	return rec.pos == pos ? 0 : -EINVAL;
}

int nexus_stream_find(const u8 *block, u64 pos, u64 *seq)
{
	return nexus_stream_pos_ok(pos) ? find_from(block, BLOCK_OF(pos), pos, seq) : -EINVAL;
}

int nexus_stream_unpack(u8 *raw, const struct nexus_stream_rec *rec)
{
	u64 base = nexus_stream_head_at(rec->pos);
	size_t at = NEXUS_STREAM_RHEAD, done = 0;
	struct nexus_stream_first first;
	struct nexus_stream_head h;
	int err;
	u32 n;

	memcpy(&h, raw, sizeof(h));
	while (done < rec->len) {
		n = nexus_stream_off(base + at);
		if (!n) {
			err = nexus_stream_first(raw + at, base + at, &first);
			if (err)
				return err;
			at += NEXUS_STREAM_BHEAD;
			n = NEXUS_STREAM_BHEAD;
		}
		n = NEXUS_MIN(rec->len - (u32)done, NEXUS_STREAM_BLOCK - n);
		memmove(raw + done, raw + at, n);
		done += n;
		at += n;
	}
	return stream_crc(rec, raw) == le32_to_cpu(h.crc) ? 0 : -EUCLEAN;
}

/* ---- what a crash has left ---------------------------------------------------- */

/* A head where no block was ever written: blocks get to the disk in any order. */
static bool is_hole(const u8 *head)
{
	u32 i;

	for (i = 0; i < NEXUS_STREAM_BHEAD; i++)
		if (head[i])
			return false;
	return true;
}

int nexus_stream_first_from(const struct nexus_stream_io *io, u64 base, u64 tail,
			    u64 tail_seq, struct nexus_stream_rec *rec)
{
	struct nexus_stream_first first;
	u8 head[NEXUS_STREAM_BHEAD];
	u32 i;
	int err;

	rec->pos = tail;
	rec->seq = tail_seq;
	for (i = 0; base < tail; i++, base += NEXUS_STREAM_BLOCK) {
		if (i == FIRST_BLOCKS)
			return -EUCLEAN;
		err = io->read(io, base, head, sizeof(head));
		/* What is before it is a part of a record that was never whole. */
		if (!err && i && is_hole(head))
			return 0;
		if (!err)
			err = nexus_stream_first(head, base, &first);
		if (err)
			return err;
		if (first.pos == U64_MAX)
			continue;
		if (first.pos <= tail) {
			rec->pos = first.pos;
			rec->seq = first.seq;
		}
		return 0;
	}
	return 0;
}

/* A record whose head may be anything: 0 when it is whole, -EUCLEAN. */
static int whole_record(const struct nexus_stream_io *io, u64 size, u8 *raw,
			struct nexus_stream_rec *rec)
{
	u64 at = nexus_stream_head_at(rec->pos), end;
	int err;

	if (at + NEXUS_STREAM_RHEAD > size)
		return -EUCLEAN;
	err = io->read(io, at, raw, NEXUS_STREAM_RHEAD);
	if (!err)
		err = nexus_stream_get_head(raw, rec);
	if (err)
		return err;
	end = nexus_stream_end(rec->pos, rec->len);
	if (end > size)
		return -EUCLEAN;
	err = io->read(io, at, raw, (size_t)(end - at));
	return err ? err : nexus_stream_unpack(raw, rec);
}

/*
 * The number of what comes at @rec->pos, where a block would begin and is none: by the last
 * block before it in which a record begins, not before @from.
 */
static int count_before(const struct nexus_stream_io *io, u64 from, u8 *block,
			struct nexus_stream_rec *rec)
{
	struct nexus_stream_first first;
	u64 base = rec->pos;
	int err;

	do {
		if (base <= from)
			return -EUCLEAN;
		base -= NEXUS_STREAM_BLOCK;
		err = io->read(io, base, block, NEXUS_STREAM_BLOCK);
		if (!err)
			err = nexus_stream_first(block, base, &first);
		if (err)
			return err;
	} while (first.pos == U64_MAX);
	return find_from(block, base, rec->pos, &rec->seq);
}

/* What the last block that is one says was durable, if that is behind @rec. */
static int last_durable(const struct nexus_stream_io *io, u64 size, u8 *block,
			struct nexus_stream_rec *rec)
{
	u64 base = BLOCK_OF(size - 1), from = BLOCK_OF(rec->pos);
	struct nexus_stream_first first;
	u32 i;
	int err;

	for (i = 0; base > from; i++, base -= NEXUS_STREAM_BLOCK) {
		if (i == TORN_BLOCKS)
			return -EUCLEAN;
		err = io->read(io, base, block, NEXUS_STREAM_BHEAD);
		if (err)
			return err;
		if (!nexus_stream_first(block, base, &first))
			break;
	}
	if (base <= from || first.durable <= rec->pos)
		return 0;
	/* Its block was begun before, or is this one. */
	rec->pos = first.durable;
	base = BLOCK_OF(rec->pos);
	err = io->read(io, base, block, NEXUS_STREAM_BLOCK);
	if (err)
		return err;
	/* That one is the first that did not get there: all before it did. */
	if (rec->pos == base && is_hole(block))
		return count_before(io, from, block, rec);
	return nexus_stream_find(block, rec->pos, &rec->seq);
}

/* From @st's start, or what was durable, to the last whole record. */
static int find_tail(const struct nexus_stream_io *io, u64 size, u8 *raw,
		     struct nexus_stream_state *st)
{
	struct nexus_stream_rec rec = { .pos = st->start, .seq = st->start_seq };
	int err = 0;

	if (rec.pos < size)
		err = last_durable(io, size, raw, &rec);
	if (err)
		return err == -EINVAL ? -EUCLEAN : err;
	st->tail = rec.pos;
	st->tail_seq = rec.seq;
	while (st->tail < size) {
		err = whole_record(io, size, raw, &rec);
		/* That the next one is not whole is what was to be found. */
		if (err)
			return err == -EUCLEAN ? 0 : err;
		st->time = rec.time;
		rec.pos = nexus_stream_next(rec.pos, rec.len);
		st->tail = rec.pos;
		st->tail_seq++;
	}
	return 0;
}

int nexus_stream_recover(const struct nexus_stream_io *io, u64 data, u64 size,
			 struct nexus_stream_state *st)
{
	struct nexus_stream_rec rec;
	int err;
	u8 *raw;

	*st = (struct nexus_stream_state){ .start = 0 };
	if (size > NEXUS_STREAM_POS_MAX)
		return -EUCLEAN;
	if (data >= size) {
		/* Nothing is left: it goes on where nothing was. */
		st->start = NEXUS_ALIGN(size, (u64)NEXUS_STREAM_BLOCK);
		st->tail = st->start;
		return 0;
	}
	raw = nexus_alloc(nexus_stream_span(NEXUS_STREAM_LEN_MAX) + NEXUS_STREAM_BLOCK);
	if (!raw)
		return -ENOMEM;
	err = nexus_stream_first_from(io, BLOCK_OF(data), stream_behind(size), 0, &rec);
	if (!err) {
		st->start = rec.pos;
		st->start_seq = rec.seq;
		err = find_tail(io, size, raw, st);
	}
	nexus_free(raw);
	return err;
}
