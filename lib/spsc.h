/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A ring of messages in memory that one producer and one consumer share, neither of
 * which trusts the other.
 *
 * Each side has a page that only it writes, with how far it is: both the bytes of the
 * ring and those of payload among them ever grow, in one word, so that whoever dies at
 * any moment leaves both as they were before or after a message.  The data is a power of
 * two of bytes, mapped twice in a row, so that every message lies in one piece: its
 * length, in 8 bytes, then its bytes, up to a multiple of 8.  A message has at least one
 * byte.
 *
 * What the other side writes is read once into struct nexus_spsc, and there checked: a
 * position that goes back, or beyond where it can be, or a length that does not fit, is
 * -EUCLEAN, from then on always.  What is in the messages may change at any time.
 *
 * Who finds nothing to do says that it dozes, looks again, and only then sleeps until
 * the other's position is not what it was:
 *
 *	while (nexus_spsc_doze(r), nexus_spsc_peek(r, ...) == -EAGAIN)
 *		sleep while the other's position is nexus_spsc_seen(r)
 *	nexus_spsc_awake(r);
 *
 * and who sent or consumed, be it many messages, wakes whom that finds dozing, unless it
 * knows of all of them, or was woken since and has not looked:
 *
 *	if (nexus_spsc_must_wake(r))
 *		wake who sleeps on its own position
 *
 * A producer may say nexus_spsc_doze_lazily() first, and sleep for a moment at most: it is
 * then not woken for each message that a full ring is shorter by.
 */
#ifndef NEXUS_LIB_SPSC_H
#define NEXUS_LIB_SPSC_H

#include "sync.h"

/* Who includes spsc.c whole, to have it inlined, says "static inline". */
#ifndef NEXUS_SPSC_FN
#define NEXUS_SPSC_FN
#endif

/* At the start of a page of its own; no line of cache is written for two reasons. */
struct nexus_spsc_side {
	u64	at;		/* nexus_spsc_at() of what was sent or consumed */
	u8	zero_0[56];
	u64	dozes;		/* NEXUS_SPSC_DOZES, _LAZY; upper half: for another position than that */
	u8	zero_1[56];
};

/* Bytes of the ring, headers and all, in units of 8; bytes of payload.  Both wrap. */
static inline u64 nexus_spsc_at(u32 pos, u32 payload)
{
	return (u64)payload << 32 | pos;
}

#define NEXUS_SPSC_DOZES	1u	/* the other has to wake it when it goes on, once */
#define NEXUS_SPSC_LAZY		2u	/* but not while less than a quarter is free */

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
	u32	units;		/* the same, in units of 8 */
	u32	capacity;	/* bytes of payload that may be on their way */
	/* Mine, and the other's as checked.  Mine are apart lest compilers add both as a vector. */
	u32	pos, seen;
	u32	payload, seen_payload;	/* the other's: for the producer only */
	u32	held;		/* reserved, or peeked at; 0: nothing */
	u64	slept;		/* the other's at, when it last dozed */
	u64	woke;		/* what the other's dozes was when it was woken, if still */
	bool	produces;
	bool	bad;
};

/*
 * Goes on where @mine says.  @size is a power of two, 16 bytes to 1 GiB, and @capacity
 * at most @size - 8.  0 or -EUCLEAN: the two sides do not fit together.
 */
NEXUS_SPSC_FN int nexus_spsc_attach(struct nexus_spsc *r, bool produces,
				    struct nexus_spsc_side *mine,
				    const struct nexus_spsc_side *other, void *data, u64 size,
				    u64 capacity);

/*
 * Room for a message of @len in *@where.  -EINVAL: @len is 0; -EMSGSIZE: above the
 * capacity; -EAGAIN: full; -EUCLEAN.
 */
NEXUS_SPSC_FN int nexus_spsc_reserve(struct nexus_spsc *r, u32 len, void **where);
/* Sends the first @len bytes, not 0, of what was reserved. */
NEXUS_SPSC_FN void nexus_spsc_commit(struct nexus_spsc *r, u32 len);

/* The next message, which stays there: 0, -EAGAIN: there is none; -EUCLEAN. */
NEXUS_SPSC_FN int nexus_spsc_peek(struct nexus_spsc *r, const void **where, u32 *len);
/* The message that was peeked at is done with. */
NEXUS_SPSC_FN void nexus_spsc_consume(struct nexus_spsc *r);

NEXUS_SPSC_FN void nexus_spsc_doze(struct nexus_spsc *r);
NEXUS_SPSC_FN void nexus_spsc_doze_lazily(struct nexus_spsc *r);
NEXUS_SPSC_FN void nexus_spsc_awake(struct nexus_spsc *r);
/* To be asked after commits and consumes: whether the other has to be woken. */
NEXUS_SPSC_FN bool nexus_spsc_must_wake(struct nexus_spsc *r);

/* What to sleep on, as long as it is what it was before the look that found nothing. */
static inline const u64 *nexus_spsc_word(const struct nexus_spsc *r)
{
	return &r->other->at;
}

static inline u64 nexus_spsc_seen(const struct nexus_spsc *r)
{
	return r->slept;
}

#endif /* NEXUS_LIB_SPSC_H */
