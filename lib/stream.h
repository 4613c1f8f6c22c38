/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The bytes of a stream: records one behind the other, each with a head, in blocks of
 * 4 KiB, each with a head.
 *
 * A position is an offset in these bytes, so it says where something is; what a record
 * contains is never looked at to find another one.  The block's head says where the
 * first record that begins in it begins, and from there it goes from length to length:
 * so it is known of every position whether a record begins there, and whatever number
 * of blocks can be taken away from the front.
 *
 * One position a record: where its head is, but for the first of a block, which is at
 * the block's own.  No head is in two blocks; what is left of a block stays unused then.
 *
 * Nothing here trusts what it reads: what cannot be is -EUCLEAN, and no loop is longer
 * than what it was given to look at.
 */
#ifndef NEXUS_LIB_STREAM_H
#define NEXUS_LIB_STREAM_H

#include "port.h"

#define NEXUS_STREAM_BLOCK	4096u
#define NEXUS_STREAM_MAGIC	0x4253584eu	/* "NXSB" */
#define NEXUS_STREAM_LEN_MAX	(1u << 20)	/* bytes of a record */
#define NEXUS_STREAM_POS_MAX	(1ull << 62)

/* What it is made with: nexus_inode_val.target. */
struct nexus_stream_opts {
	__le64	max_bytes;	/* a multiple of 4096 */
	__le32	max_age;	/* seconds; 0: none */
	__le32	flags;		/* NEXUS_SO_* */
};

#define NEXUS_SO_PERSIST	(1u << 0)	/* records are content, else only in memory */

/* At the begin of every block. */
struct nexus_stream_block {
	__le32	magic;
	__le16	first;		/* offset of the first record head, or where it will be; 0: none */
	__le16	reserved;
	__le64	durable;	/* all before it was durable when the block was begun */
	__le64	seq;		/* records that begin in front of @first */
};

/* In front of every record. */
struct nexus_stream_head {
	__le32	len;		/* 1..NEXUS_STREAM_LEN_MAX */
	__le32	crc;		/* of position, time, length and the record */
	__le64	time;		/* ns since 1970, never less than of the one before */
};

#define NEXUS_STREAM_BHEAD	((u32)sizeof(struct nexus_stream_block))
#define NEXUS_STREAM_RHEAD	((u32)sizeof(struct nexus_stream_head))
/* Bytes of a block that are records'. */
#define NEXUS_STREAM_ROOM	(NEXUS_STREAM_BLOCK - NEXUS_STREAM_BHEAD)

static inline u32 nexus_stream_off(u64 pos)
{
	return (u32)(pos & (NEXUS_STREAM_BLOCK - 1));
}

/* Where the head of a record at @pos is. */
static inline u64 nexus_stream_head_at(u64 pos)
{
	return nexus_stream_off(pos) ? pos : pos + NEXUS_STREAM_BHEAD;
}

/* Whether a record can begin at @pos. */
static inline bool nexus_stream_pos_ok(u64 pos)
{
	u32 off = nexus_stream_off(pos);

	return pos <= NEXUS_STREAM_POS_MAX &&
	       (!off || (off > NEXUS_STREAM_BHEAD &&
			 off <= NEXUS_STREAM_BLOCK - NEXUS_STREAM_RHEAD));
}

/* The byte behind a record of @len bytes at @pos. */
u64 nexus_stream_end(u64 pos, u32 len);
/* The position of the record behind it. */
u64 nexus_stream_next(u64 pos, u32 len);
/* Bytes of the stream that a record of @len bytes may take, blocks' heads included. */
static inline u64 nexus_stream_span(u32 len)
{
	return (u64)len + NEXUS_STREAM_RHEAD +
	       (len / NEXUS_STREAM_ROOM + 2) * (u64)NEXUS_STREAM_BHEAD;
}

/* What a record's head says, and where it is. */
struct nexus_stream_rec {
	u64	pos;
	u64	seq;		/* records before it */
	u64	time;
	u32	len;
};

/*
 * The bytes of a record as they are in the stream, from *@at on: where its head is, or
 * its block begins, if it is the first there.  @out has nexus_stream_span() bytes.
 * @durable: all before it is.  Returns their number.
 */
size_t nexus_stream_image(u8 *out, const struct nexus_stream_rec *rec, const u8 *data,
			  u64 durable, u64 *at);

/* Position and number of the first record that begins in a block (at @base). */
struct nexus_stream_first {
	u64	pos;		/* U64_MAX: none does */
	u64	seq;
	u64	durable;
};

/* 0 or -EUCLEAN.  @head: NEXUS_STREAM_BHEAD bytes. */
int nexus_stream_first(const u8 *head, u64 base, struct nexus_stream_first *first);
/* The block's head, when nothing in front of @first is there any more. */
void nexus_stream_set_first(u8 *head, const struct nexus_stream_first *first);
/*
 * Whether a record begins at @pos, by its block (NEXUS_STREAM_BLOCK bytes): 0 and its
 * number; -EINVAL; -EUCLEAN.
 */
int nexus_stream_find(const u8 *block, u64 pos, u64 *seq);
/* A record's head.  0 or -EUCLEAN; rec->pos is given, seq stays. */
int nexus_stream_get_head(const u8 *head, struct nexus_stream_rec *rec);
/*
 * @raw: the stream's bytes from the head of @rec to its end, which
 * nexus_stream_get_head() has said.  The record, without heads, is at its begin then.
 * 0 or -EUCLEAN.
 */
int nexus_stream_unpack(u8 *raw, const struct nexus_stream_rec *rec);

/* ---- what a crash has left ---------------------------------------------------- */

struct nexus_stream_io {
	/* @len bytes from @pos on, 0 behind the size; 0 or -errno.  May sleep. */
	int	(*read)(const struct nexus_stream_io *io, u64 pos, u8 *buf, size_t len);
};

/* What is found of a stream. */
struct nexus_stream_state {
	u64	start, start_seq;
	u64	tail, tail_seq;
	u64	time;		/* of the last record that was looked at, or 0 */
};

/*
 * Start and tail of @size bytes, the first of which that are there are in the block at
 * @data (U64_MAX: none are).  The tail is behind the last whole record; what was durable
 * when the last block was begun is not looked at.  0; -EUCLEAN; -ENOMEM; what read()
 * returns.
 */
int nexus_stream_recover(const struct nexus_stream_io *io, u64 data, u64 size,
			 struct nexus_stream_state *st);
/*
 * The first record that begins at or behind the block at @base and before @tail; its
 * time is not looked at.  If there is none @rec is @tail with @tail_seq.
 */
int nexus_stream_first_from(const struct nexus_stream_io *io, u64 base, u64 tail,
			    u64 tail_seq, struct nexus_stream_rec *rec);

#endif /* NEXUS_LIB_STREAM_H */
