// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A ring between two who do not trust each other; the contract is in spsc.h.
 *
 * The positions carry the messages: stored with release, read with acquire.  Sleeping
 * is Dekker's: one side stores its position, the other that it dozes, and between that
 * and the look at what the other stored each has a full barrier; so at least one of
 * them sees the other's.
 *
 * Who dozes says which position of the other it knows.  One wake is enough when it was
 * sent from another position than that: who sleeps as long as it is that one either finds
 * it changed or is asleep by then.  But not one from the same position, which may come
 * before it sleeps: it is not sent.
 */
#include "spsc.h"

/* The producer reads the consumer's position: between what it was and its own. */
static int see_tail(struct nexus_spsc *r)
{
	u64 at = nexus_load_acquire(&r->other->at);
	u32 pos = (u32)at, payload = (u32)(at >> 32);

	if (r->pos - pos > r->pos - r->seen ||
	    r->payload - payload > r->payload - r->seen_payload) {
		r->bad = true;
		return -EUCLEAN;
	}
	r->seen = pos;
	r->seen_payload = payload;
	return 0;
}

/* The consumer the producer's: not before what it was, and at most the size ahead. */
static int see_head(struct nexus_spsc *r)
{
	u64 at = nexus_load_acquire(&r->other->at);
	u32 pos = (u32)at, payload = (u32)(at >> 32);

	/* An empty ring has no payload; else nobody looks, and it would be worth a sleep. */
	if (pos - r->pos > r->units || pos - r->pos < r->seen - r->pos ||
	    (pos == r->pos && payload != r->payload)) {
		r->bad = true;
		return -EUCLEAN;
	}
	r->seen = pos;
	r->seen_payload = payload;
	return 0;
}

NEXUS_SPSC_FN int nexus_spsc_attach(struct nexus_spsc *r, bool produces,
				    struct nexus_spsc_side *mine,
				    const struct nexus_spsc_side *other, void *data, u64 size,
				    u64 capacity)
{
	u64 at = nexus_load(&mine->at);

	r->mine = mine;
	r->other = other;
	r->data = data;
	r->size = size;
	r->units = (u32)(size / 8);
	r->capacity = (u32)capacity;
	r->pos = (u32)at;
	r->payload = (u32)(at >> 32);
	r->seen = produces ? r->pos - r->units : r->pos;
	r->seen_payload = r->payload - r->capacity;
	r->held = 0;
	r->slept = 0;
	r->woke = 0;
	r->produces = produces;
	r->bad = false;
	return produces ? see_tail(r) : see_head(r);
}

static u8 *here(const struct nexus_spsc *r)
{
	return r->data + ((u64)r->pos * 8 & (r->size - 1));
}

/* Past a message of @len. */
static void step(struct nexus_spsc *r, u32 len)
{
	r->pos += (u32)(nexus_spsc_space(len) / 8);
	r->payload += len;
	r->held = 0;
	nexus_store_release(&r->mine->at, nexus_spsc_at(r->pos, r->payload));
}

static bool has_room(const struct nexus_spsc *r, u32 len)
{
	return r->units - (r->pos - r->seen) >= nexus_spsc_space(len) / 8 &&
		r->capacity - (r->payload - r->seen_payload) >= len;
}

NEXUS_SPSC_FN int nexus_spsc_reserve(struct nexus_spsc *r, u32 len, void **where)
{
	int ret;

	if (r->bad)
		return -EUCLEAN;
	if (!len)
		return -EINVAL;
	if (len > r->capacity)
		return -EMSGSIZE;
	if (!has_room(r, len)) {
		ret = see_tail(r);
		if (ret)
			return ret;
		if (!has_room(r, len))
			return -EAGAIN;
	}
	r->held = len;
	*where = here(r) + NEXUS_SPSC_HEADER;
	return 0;
}

NEXUS_SPSC_FN void nexus_spsc_commit(struct nexus_spsc *r, u32 len)
{
	nexus_store((u64 *)here(r), (u64)len);
	step(r, len);
}

NEXUS_SPSC_FN int nexus_spsc_peek(struct nexus_spsc *r, const void **where, u32 *len)
{
	const u8 *message = here(r);
	u64 n;
	int ret;

	if (r->bad)
		return -EUCLEAN;
	if (!r->held) {
		if (r->seen == r->pos) {
			ret = see_head(r);
			if (ret)
				return ret;
			if (r->seen == r->pos)
				return -EAGAIN;
		}
		n = nexus_load((const u64 *)message);
		if (!n || n > r->capacity ||
		    nexus_spsc_space((u32)n) / 8 > r->seen - r->pos) {
			r->bad = true;
			return -EUCLEAN;
		}
		r->held = (u32)n;
	}
	*where = message + NEXUS_SPSC_HEADER;
	*len = r->held;
	return 0;
}

NEXUS_SPSC_FN void nexus_spsc_consume(struct nexus_spsc *r)
{
	step(r, r->held);
}

static void doze(struct nexus_spsc *r, u32 how)
{
	r->slept = nexus_spsc_at(r->seen, r->seen_payload);
	nexus_store(&r->mine->dozes, (u64)r->seen << 32 | how);
	/* Before the next look at the other's position; nexus_spsc_must_wake() has its pair. */
	nexus_mb();
}

NEXUS_SPSC_FN void nexus_spsc_doze(struct nexus_spsc *r)
{
	doze(r, NEXUS_SPSC_DOZES);
}

NEXUS_SPSC_FN void nexus_spsc_doze_lazily(struct nexus_spsc *r)
{
	doze(r, NEXUS_SPSC_DOZES | NEXUS_SPSC_LAZY);
}

NEXUS_SPSC_FN void nexus_spsc_awake(struct nexus_spsc *r)
{
	nexus_store(&r->mine->dozes, 0);
}

NEXUS_SPSC_FN bool nexus_spsc_must_wake(struct nexus_spsc *r)
{
	u64 dozes;
	u32 sent;

	/* After the store of the position; nexus_spsc_doze() has its pair. */
	nexus_mb();
	dozes = nexus_load(&r->other->dozes);
	if (!(dozes & NEXUS_SPSC_DOZES) || (u32)(dozes >> 32) == r->pos) {
		r->woke = 0;
		return false;
	}
	if (dozes == r->woke)
		return false;
	if (dozes & NEXUS_SPSC_LAZY && !r->produces) {
		/* What is not true there delays who wrote it. */
		sent = (u32)(nexus_load(&r->other->at) >> 32);
		if (sent - r->payload > r->capacity - r->capacity / 4)
			return false;
	}
	r->woke = dozes;
	return true;
}
