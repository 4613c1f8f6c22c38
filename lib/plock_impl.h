/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the files of the table of path locks share; its lock is held. */
#ifndef NEXUS_LIB_PLOCK_IMPL_H
#define NEXUS_LIB_PLOCK_IMPL_H

#include "plock.h"

#define NEXUS_PLOCK_BIT(m)	(1u << (m))

/* Which modes a mode does not go with; the same both ways. */
static inline u8 nexus_plock_conflicts(u8 mode)
{
	switch (mode) {
	case NEXUS_PLM_IS:
		return NEXUS_PLOCK_BIT(NEXUS_PLM_X);
	case NEXUS_PLM_IX:
		return NEXUS_PLOCK_BIT(NEXUS_PLM_S) | NEXUS_PLOCK_BIT(NEXUS_PLM_X);
	case NEXUS_PLM_S:
		return NEXUS_PLOCK_BIT(NEXUS_PLM_IX) | NEXUS_PLOCK_BIT(NEXUS_PLM_X);
	case NEXUS_PLM_X:
		return NEXUS_PLOCK_BIT(NEXUS_PLM_IS) | NEXUS_PLOCK_BIT(NEXUS_PLM_IX) |
		       NEXUS_PLOCK_BIT(NEXUS_PLM_S) | NEXUS_PLOCK_BIT(NEXUS_PLM_X);
	default:
		return 0;
	}
}

static inline u8 nexus_plock_intent(u8 mode)
{
	return mode == NEXUS_PLM_X ? NEXUS_PLM_IX : NEXUS_PLM_IS;
}

/* What a lock of @mode, S or X, is at @n of its path. */
static inline u8 nexus_plock_mode_at(const struct nexus_plock *lk,
				     const struct nexus_plock_node *n, u8 mode)
{
	return n == lk->node ? mode : nexus_plock_intent(mode);
}

/* The next node of the path of @lk towards the root, or NULL. */
static inline struct nexus_plock_node *
nexus_plock_up(const struct nexus_plock *lk, const struct nexus_plock_node *n)
{
	return n->is_dir ? n->parent : lk->dir;
}

static inline u32 nexus_plock_owner_bucket(const void *owner)
{
	return (u32)((u64)(uintptr_t)owner * 0x9e3779b97f4a7c15ull >> 32) &
	       (NEXUS_PLOCK_OWNERS - 1);
}

/* plock_tree.c */
struct nexus_plock_node *nexus_plock_find(struct nexus_plock_table *t, u64 ino);
/* Gives up one reference; what is unused then is put in front of *@dead, by hash_next. */
void nexus_plock_put(struct nexus_plock_table *t, struct nexus_plock_node *n,
		     struct nexus_plock_node **dead);
void nexus_plock_bury(struct nexus_plock_node *dead);	/* may be called with no lock held only */
void nexus_plock_link_child(struct nexus_plock_node *parent,
			    struct nexus_plock_node *n);
void nexus_plock_unlink_child(struct nexus_plock_node *n);
void nexus_plock_link_file(struct nexus_plock *lk, struct nexus_plock_node *dir);
void nexus_plock_unlink_file(struct nexus_plock *lk);

/* plock.c */
/* Whoever can go on at @n does. */
void nexus_plock_regrant(struct nexus_plock_table *t, struct nexus_plock_node *n,
			 nexus_wakes *wakes);
void nexus_plock_count(struct nexus_plock_node *n, u8 mode, s32 add);
/* Out of its queue, with what it was granted for it; and all the way anew. */
void nexus_plock_pull(struct nexus_plock *lk);
void nexus_plock_submit(struct nexus_plock_table *t, struct nexus_plock *lk,
			nexus_wakes *wakes);
/*
 * Before the table's lock is given up: of those that wait elsewhere than before, who
 * would wait for himself waits no more, in vain.
 */
void nexus_plock_check(struct nexus_plock_table *t, nexus_wakes *wakes);
void nexus_plock_check_add(struct nexus_plock_table *t, struct nexus_plock *lk);

/* plock_cycle.c: whether @lk, which is queued, waits for its own waiter. */
bool nexus_plock_cycle(struct nexus_plock_table *t, struct nexus_plock *lk);

#endif /* NEXUS_LIB_PLOCK_IMPL_H */
