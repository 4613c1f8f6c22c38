/* SPDX-License-Identifier: GPL-2.0-only */
/* Between quota.c (counting) and quota_load.c (what is known, and limits). */
#ifndef NEXUS_QUOTA_IMPL_H
#define NEXUS_QUOTA_IMPL_H

#include "quota.h"

#define NEXUS_QUOTA_IDS		4096u	/* kept, as far as they hold nothing */
#define NEXUS_QUOTA_PENDING	256u	/* records remembered for an answer */

struct nexus_quota_id {
	struct list_head lru;
	unsigned long index;
	bool known;
	bool stale;
	u64 base;		/* records below are in the answer */
	u64 limits_lsn;		/* of the last QUOTA record */
	struct nexus_quota_use use[NEXUS_Q_WHAT];
};

struct nexus_quota_delta {
	u64 lsn;
	s64 n[NEXUS_Q_WHAT];
};

struct nexus_quota {
	spinlock_t lock;	/* all but the mutexes, and to add an id */
	unsigned int kinds;	/* bits: limits are looked at */
	bool active;		/* an id is known, or about to be */
	struct xarray ids;	/* to add: load_mutex; to remove: lock, too */
	struct list_head lru;
	unsigned int nr;
	u32 grace[NEXUS_QUOTA_LIMITED][NEXUS_Q_WHAT];
	u64 grace_lsn[NEXUS_QUOTA_LIMITED];

	struct mutex set_mutex;	/* QUOTA records and what is made of them: one order */
	struct mutex load_mutex; /* one question at a time */
	struct nexus_quota_id *loading;
	unsigned int nr_pending; /* more than there is room for: ask again */
	struct nexus_quota_delta pending[NEXUS_QUOTA_PENDING];
};

static inline unsigned long nexus_quota_index(unsigned int kind, u32 id)
{
	return (unsigned long)kind << 32 | id;
}

/* quota.c */
u32 nexus_owner_id(const struct nexus_owner *o, unsigned int kind);
/* Of @kinds those that count for @o: project 0 is none. */
unsigned int nexus_owner_kinds(const struct nexus_owner *o, unsigned int kinds);
/* lock held, both. */
void nexus_quota_clock(struct nexus_quota_use *u);
void nexus_quota_add(struct nexus_quota_id *e, const s64 n[NEXUS_Q_WHAT]);

#endif /* NEXUS_QUOTA_IMPL_H */
