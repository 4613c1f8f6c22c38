// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A ring between two who do not trust each other; the contract is in spsc.h.
 *
 * The positions carry the messages: stored with release, read with acquire.  Sleeping
 * is Dekker's: one side stores its position, the other that it dozes, and between that
 * and the look at what the other stored each has a full barrier; so at least one of
 * them sees the other's.
 */
#include "spsc.h"

/* The producer reads the consumer's position: between what it was and its own. */
static int see_tail(struct nexus_spsc *r)
{
	u64 pos = nexus_load_acquire(&r->other->pos);
	u64 payload = nexus_load(&r->other->payload);

	if (pos % 8 || r->pos - pos > r->pos - r->seen ||
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
	u64 pos = nexus_load_acquire(&r->other->pos);

	if (pos % 8 || pos - r->pos > r->size || pos - r->pos < r->seen - r->pos) {
		r->bad = true;
		return -EUCLEAN;
	}
	r->seen = pos;
	return 0;
}

int nexus_spsc_attach(struct nexus_spsc *r, bool produces, struct nexus_spsc_side *mine,
		      const struct nexus_spsc_side *other, void *data, u64 size,
		      u64 capacity)
{
	r->mine = mine;
	r->other = other;
	r->data = data;
	r->size = size;
	r->capacity = capacity;
	r->pos = nexus_load(&mine->pos);
	r->payload = nexus_load(&mine->payload);
	r->seen = produces ? r->pos - size : r->pos;
	r->seen_payload = r->payload - capacity;
	r->held = 0;
	r->produces = produces;
	r->bad = r->pos % 8;
	if (r->bad)
		return -EUCLEAN;
	return produces ? see_tail(r) : see_head(r);
}

static bool has_room(const struct nexus_spsc *r, u32 len)
{
	return r->size - (r->pos - r->seen) >= nexus_spsc_space(len) &&
		r->capacity - (r->payload - r->seen_payload) >= len;
}

int nexus_spsc_reserve(struct nexus_spsc *r, u32 len, void **where)
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
	*where = r->data + (r->pos & (r->size - 1)) + NEXUS_SPSC_HEADER;
	return 0;
}

void nexus_spsc_commit(struct nexus_spsc *r, u32 len)
{
	nexus_store((u64 *)(r->data + (r->pos & (r->size - 1))), (u64)len);
	r->pos += nexus_spsc_space(len);
	r->payload += len;
	r->held = 0;
	nexus_store(&r->mine->payload, r->payload);
	nexus_store_release(&r->mine->pos, r->pos);
}

int nexus_spsc_peek(struct nexus_spsc *r, const void **where, u32 *len)
{
	const u8 *message = r->data + (r->pos & (r->size - 1));
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
		    nexus_spsc_space((u32)n) > r->seen - r->pos) {
			r->bad = true;
			return -EUCLEAN;
		}
		r->held = (u32)n;
	}
	*where = message + NEXUS_SPSC_HEADER;
	*len = r->held;
	return 0;
}

void nexus_spsc_consume(struct nexus_spsc *r)
{
	r->pos += nexus_spsc_space(r->held);
	r->payload += r->held;
	r->held = 0;
	nexus_store(&r->mine->payload, r->payload);
	nexus_store_release(&r->mine->pos, r->pos);
}

void nexus_spsc_doze(struct nexus_spsc *r)
{
	nexus_store(&r->mine->dozes, 1);
	/* Before the next look at the other's position; nexus_spsc_must_wake() has its pair. */
	nexus_mb();
}

void nexus_spsc_awake(struct nexus_spsc *r)
{
	nexus_store(&r->mine->dozes, 0);
}

const u32 *nexus_spsc_word(const struct nexus_spsc *r, u32 *value)
{
	const u32 *half = (const u32 *)&r->other->pos;

	*value = (u32)r->seen;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	half++;
#endif
	return half;
}

bool nexus_spsc_must_wake(const struct nexus_spsc *r)
{
	/* After the store of the position; nexus_spsc_doze() has its pair. */
	nexus_mb();
	return nexus_load(&r->other->dozes) != 0;
}
