// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Leases: what a record makes of who holds an inode's. */
#include "lease.h"

#define NSEC_PER_S	1000000000ull

bool nexus_lease_name_ok(const u8 name[NEXUS_LEASE_NAME_MAX])
{
	u32 len, i;

	for (len = 0; len < NEXUS_LEASE_NAME_MAX && name[len]; len++)
		if (name[len] < ' ' || name[len] == 0x7f)
			return false;
	for (i = len; i < NEXUS_LEASE_NAME_MAX; i++)
		if (name[i])
			return false;
	return len;
}

bool nexus_lease_id_ok(const u8 id[NEXUS_LEASE_ID_SIZE])
{
	u32 i;

	for (i = 0; i < NEXUS_LEASE_ID_SIZE; i++)
		if (id[i])
			return true;
	return false;
}

bool nexus_lease_val_ok(const struct nexus_lease_val *v, size_t len)
{
	u32 max, count, i, k;
	u64 before = 0;

	if (len < sizeof(*v))
		return false;
	max = le32_to_cpu(v->max_holders);
	count = le32_to_cpu(v->count);
	if (!max || max > NEXUS_LEASE_HOLDERS_MAX || !count || count > max ||
	    len < nexus_lease_size(count) || le64_to_cpu(v->now) > NEXUS_LEASE_TIME_MAX)
		return false;
	for (i = 0; i < count; i++) {
		const struct nexus_lease_holder *h = &v->holder[i];

		if (!nexus_lease_id_ok(h->id) || !nexus_lease_name_ok(h->name) ||
		    le64_to_cpu(h->acquired) > le64_to_cpu(v->now) ||
		    le64_to_cpu(h->expires) < le64_to_cpu(h->acquired) ||
		    le64_to_cpu(h->expires) > NEXUS_LEASE_TIME_MAX ||
		    le64_to_cpu(h->token) <= before ||
		    le64_to_cpu(h->token) > NEXUS_LEASE_TOKEN_MAX)
			return false;
		before = le64_to_cpu(h->token);
		for (k = 0; k < i; k++)
			if (!memcmp(v->holder[k].id, h->id, sizeof(h->id)))
				return false;
	}
	return true;
}

static bool holds(const struct nexus_lease_holder *h, u64 now)
{
	return le64_to_cpu(h->expires) > now;
}

int nexus_lease_find(const struct nexus_lease_val *v, const u8 id[NEXUS_LEASE_ID_SIZE],
		     u64 now)
{
	u32 i;

	for (i = 0; v && i < le32_to_cpu(v->count); i++)
		if (!memcmp(v->holder[i].id, id, NEXUS_LEASE_ID_SIZE))
			return holds(&v->holder[i], now) ? (int)i : -1;
	return -1;
}

int nexus_lease_find_token(const struct nexus_lease_val *v, u64 token, u64 now)
{
	u32 i;

	for (i = 0; v && i < le32_to_cpu(v->count); i++)
		if (le64_to_cpu(v->holder[i].token) == token)
			return holds(&v->holder[i], now) ? (int)i : -1;
	return -1;
}

u32 nexus_lease_live(const struct nexus_lease_val *v, u64 now, u64 *next)
{
	u32 i, n = 0;

	*next = U64_MAX;
	for (i = 0; v && i < le32_to_cpu(v->count); i++) {
		if (!holds(&v->holder[i], now))
			continue;
		*next = NEXUS_MIN(*next, le64_to_cpu(v->holder[i].expires));
		n++;
	}
	return n;
}

/* Those of @old whose time is not over; their number. */
static u32 keep_live(const struct nexus_lease_val *old, struct nexus_lease_val *new,
		     u64 now)
{
	u32 i, n = 0;

	for (i = 0; old && i < le32_to_cpu(old->count); i++)
		if (holds(&old->holder[i], now))
			new->holder[n++] = old->holder[i];
	new->count = cpu_to_le32(n);
	return n;
}

/* The record may be of a clock that was behind. */
static __le64 until(const struct nexus_rec_lease *rec, const struct nexus_lease_val *new)
{
	return cpu_to_le64(NEXUS_MAX(le64_to_cpu(rec->expires), le64_to_cpu(new->now)));
}

static int take(const struct nexus_rec_lease *rec, struct nexus_lease_val *new)
{
	u32 n = le32_to_cpu(new->count);
	struct nexus_lease_holder *h;
	u64 token;
	int at = -1;
	u32 i;

	if (n && new->max_holders != rec->max_holders)
		return -EBUSY;
	for (i = 0; i < n; i++)
		if (!memcmp(new->holder[i].id, rec->id, sizeof(rec->id)))
			at = (int)i;
	if (at < 0) {
		if (n && n >= le32_to_cpu(new->max_holders))
			return -EAGAIN;
		/* Above all before, whatever they came from. */
		token = n ? le64_to_cpu(new->holder[n - 1].token) : 0;
		token = NEXUS_MAX(token + 1, le64_to_cpu(rec->head.lsn));
		if (token > NEXUS_LEASE_TOKEN_MAX)
			return -EOVERFLOW;
		at = (int)n;
		h = &new->holder[at];
		memcpy(h->id, rec->id, sizeof(h->id));
		h->acquired = new->now;
		h->token = cpu_to_le64(token);
		new->max_holders = rec->max_holders;
		new->count = cpu_to_le32(n + 1);
	}
	h = &new->holder[at];
	h->expires = until(rec, new);
	memcpy(h->name, rec->name, sizeof(h->name));
	return 0;
}

int nexus_lease_step(const struct nexus_rec_lease *rec, const struct nexus_lease_val *old,
		     struct nexus_lease_val *new)
{
	u64 now = le64_to_cpu(rec->head.time_s) * NSEC_PER_S + le32_to_cpu(rec->head.time_ns);
	u32 n;
	int at, ret = 0;

	if (old)
		now = NEXUS_MAX(now, le64_to_cpu(old->now));
	memset(new, 0, sizeof(*new));
	if (old)
		new->max_holders = old->max_holders;
	new->now = cpu_to_le64(now);
	n = keep_live(old, new, now);
	at = nexus_lease_find(new, rec->id, now);
	switch (le32_to_cpu(rec->op)) {
	case NEXUS_LEASE_TAKE:
		ret = take(rec, new);
		break;
	case NEXUS_LEASE_EXTEND:
		if (at < 0)
			return -ESTALE;
		new->holder[at].expires = until(rec, new);
		break;
	case NEXUS_LEASE_DROP:
		if (at < 0)
			return -ESTALE;
		for (; (u32)at + 1 < n; at++)
			new->holder[at] = new->holder[at + 1];
		new->count = cpu_to_le32(n - 1);
		break;
	case NEXUS_LEASE_CLEAR:
		if (!old)
			return -ENOENT;
		new->count = cpu_to_le32(0);
		break;
	}
	if (ret || !new->count)
		return ret;
	return (int)nexus_lease_size(le32_to_cpu(new->count));
}
