/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of path locks share: one table, and owners that are numbers. */
#ifndef NEXUS_TEST_LIB_PLOCK_H
#define NEXUS_TEST_LIB_PLOCK_H

#include "lib/plock_impl.h"
#include "util.h"

static int owners[64];
#define WHO(i) (&owners[i])

static struct nexus_plock_table table;

static inline void wake(nexus_wakes *q, unsigned int expected)
{
	assert_int_equal(q->n, expected);
	nexus_wakes_done(q);
}

static inline void place(struct nexus_plock *lk, bool is_dir, const void *name, u32 n,
		  const u64 *ino)
{
	const struct nexus_plock_path path = {
		.ino = ino, .n = n, .is_dir = is_dir, .name = name,
	};

	memset(lk, 0, sizeof(*lk));
	assert_int_equal(nexus_plock_place(&table, lk, &path), 0);
}

#define DIR(lk, ...) \
	place(lk, true, NULL, sizeof((u64[]){ __VA_ARGS__ }) / sizeof(u64), \
	      (u64[]){ __VA_ARGS__ })
#define FILE_AT(lk, name, ...) \
	place(lk, false, name, sizeof((u64[]){ __VA_ARGS__ }) / sizeof(u64), \
	      (u64[]){ __VA_ARGS__ })

static inline void unplace(struct nexus_plock *lk, unsigned int wakes)
{
	NEXUS_WAKES(q);

	nexus_plock_unplace(&table, lk, &q);
	wake(&q, wakes);
}

/* Whom it lets go on is not looked at. */
static inline int take_as(struct nexus_plock *lk, u8 mode, bool convert, int owner,
		   nexus_task *task)
{
	const void *drop;
	NEXUS_WAKES(q);
	int ret = nexus_plock_take(&table, lk, mode, convert, WHO(owner), task,
				   &drop, &q);

	nexus_wakes_done(&q);
	return ret;
}

static inline int try(struct nexus_plock *lk, u8 mode)
{
	return take_as(lk, mode, false, 0, NULL);
}

static inline int leave(struct nexus_plock *lk, unsigned int wakes)
{
	const void *drop;
	NEXUS_WAKES(q);
	int ret = nexus_plock_leave(&table, lk, &drop, &q);

	wake(&q, wakes);
	return ret;
}

static inline void release(struct nexus_plock *lk, unsigned int wakes)
{
	const void *drop;
	NEXUS_WAKES(q);

	assert_int_equal(nexus_plock_release(&table, lk, &drop, &q), 0);
	assert_non_null(drop);
	wake(&q, wakes);
}

/* Nothing is left behind. */
static inline void table_empty(void)
{
	assert_int_equal(table.nodes, 0);
	assert_int_equal(table.waiting, 0);
	assert_null(table.wait_first);
	nexus_plock_fini(&table);
}

#endif /* NEXUS_TEST_LIB_PLOCK_H */
