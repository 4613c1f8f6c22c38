/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A ring of messages in memory that one producer and one consumer share, neither of
 * which trusts the other.
 *
 * Each side has a page that only it writes, with how far it is; both ever grow.  The
 * data is a power of two of bytes, mapped twice in a row, so that every message lies in
 * one piece: its length, in 8 bytes, then its bytes, up to a multiple of 8.  A message has at
 * least one byte.
 *
 * What the other side writes is read once into struct nexus_spsc, and there checked: a
 * position that goes back, or beyond where it can be, or a length that does not fit, is
 * -EUCLEAN, from then on always.  What is in the messages may change at any time.
 *
 * A side that dies leaves its position as it was before or after a message, and its
 * payload perhaps one message ahead of that: who goes on for it after a crash counts
 * anew, or takes what there is and makes a new ring.
 *
 * Who finds nothing to do says that it dozes, looks again, and only then sleeps until
 * the other's position is not what it was:
 *
 *	nexus_spsc_doze(r);
 *	while (nexus_spsc_peek(r, ...) == -EAGAIN)
 *		futex wait, on nexus_spsc_word(r, &value), for value
 *	nexus_spsc_awake(r);
 *
 * and who sent or consumed, be it many messages, wakes whom that finds dozing:
 *
 *	if (nexus_spsc_must_wake(r))
 *		futex wake, on the word of its own position
 */
#ifndef NEXUS_LIB_SPSC_H
#define NEXUS_LIB_SPSC_H

#include "sync.h"

/* At the start of a page of its own; no line of cache is written for two reasons. */
struct nexus_spsc_side {
	u64	pos;		/* bytes sent or consumed, headers and all */
	u8	zero_0[56];
	u64	payload;	/* bytes of messages among them */
	u8	zero_1[56];
	u32	dozes;		/* the other has to wake it */
	u8	zero_2[60];
};

#define NEXUS_SPSC_HEADER	8u

/* Bytes of the ring for a message of @len. */
static inline u64 nexus_spsc_space(u32 len)
{
	return NEXUS_SPSC_HEADER + NEXUS_ALIGN((u64)len, 8);
}

/* One side, in memory of its own.  The owner has one thread at a time use it. */
struct nexus_spsc {
	struct nexus_spsc_side *mine;
	const struct nexus_spsc_side *other;
	u8	*data;
	u64	size;		/* bytes of the data, mapped twice */
	u64	capacity;	/* bytes of payload that may be on their way */
	u64	pos, payload;	/* mine */
	u64	seen;		/* the other's position, checked */
	u64	seen_payload;	/* so, for the producer only */
	u32	held;		/* reserved, or peeked at; 0: nothing */
	bool	produces;
	bool	bad;
};

/*
 * Goes on where @mine says.  @size is a power of two, and @capacity at most @size - 8
 * and below 4 GiB.  0 or -EUCLEAN: the two sides do not fit together.
 */
int nexus_spsc_attach(struct nexus_spsc *r, bool produces, struct nexus_spsc_side *mine,
		      const struct nexus_spsc_side *other, void *data, u64 size,
		      u64 capacity);

/*
 * Room for a message of @len in *@where.  -EINVAL: @len is 0; -EMSGSIZE: above the
 * capacity; -EAGAIN: full; -EUCLEAN.
 */
int nexus_spsc_reserve(struct nexus_spsc *r, u32 len, void **where);
/* Sends the first @len bytes, not 0, of what was reserved. */
void nexus_spsc_commit(struct nexus_spsc *r, u32 len);

/* The next message, which stays there: 0, -EAGAIN: there is none; -EUCLEAN. */
int nexus_spsc_peek(struct nexus_spsc *r, const void **where, u32 *len);
/* The message that was peeked at is done with. */
void nexus_spsc_consume(struct nexus_spsc *r);

void nexus_spsc_doze(struct nexus_spsc *r);
void nexus_spsc_awake(struct nexus_spsc *r);
/* What to sleep on as long as it is *@value: the low half of the other's position. */
const u32 *nexus_spsc_word(const struct nexus_spsc *r, u32 *value);
/* To be asked after commits and consumes: whether the other has to be woken. */
bool nexus_spsc_must_wake(const struct nexus_spsc *r);

#endif /* NEXUS_LIB_SPSC_H */
