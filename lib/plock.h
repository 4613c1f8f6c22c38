/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Path locks: shared and exclusive on a path, where what is held on a path also counts
 * for everything above and below it.
 *
 * Each directory or file that is locked, and each directory above one, has a node.  A
 * lock is shared or exclusive on its own node and an intention (to read, to write) on
 * the nodes above, so a conflict shows where two paths meet, and the cost of a lock is
 * the depth of its path, whatever else is locked.
 *
 * Who has to wait, waits at one node, with its intentions taken above; a request goes
 * down from the root.  At a node nobody overtakes whom it conflicts with, whether that
 * one holds or waits; only who holds a lock already and wants more goes ahead of those
 * who hold none.  Whoever releases lets go on exactly those who can, and wakes those
 * that have all of it.
 *
 * A cycle of owners that wait for each other is found when it comes to be: when a
 * request starts to wait, when it has come further down and waits for somebody else,
 * and when a rename makes others wait.
 *
 * Nodes of directories form a tree, so a rename changes one pointer and the counts
 * above; what is granted stays granted.  A file hangs on the directory of the name
 * that it was opened by, which is a property of the lock: a file may have many names.
 *
 * One spin lock for all, held for a time in proportion to the depth, except: rename, in
 * proportion to who waits; the search for cycles, bounded; nexus_plock_who(), bounded.
 * Functions that allocate may sleep; all others: any context that may spin.
 */
#ifndef NEXUS_LIB_PLOCK_H
#define NEXUS_LIB_PLOCK_H

#include <linux/nexusfs.h>
#include "sync.h"

enum nexus_plock_mode {
	NEXUS_PLM_NONE,
	NEXUS_PLM_IS,		/* somebody reads below */
	NEXUS_PLM_IX,		/* somebody writes below */
	NEXUS_PLM_S,
	NEXUS_PLM_X,
	NEXUS_PLM_MAX,
};

enum nexus_plock_state {
	NEXUS_PLS_DONE,		/* nobody waits with it */
	NEXUS_PLS_WAITS,
	NEXUS_PLS_GRANTED,	/* and who waits does not know yet */
	NEXUS_PLS_DEADLOCK,	/* as above; it is not queued any more */
};

struct nexus_plock_node;

/*
 * What an open file may hold: one lock, or none.  Zeroed by whoever makes it.  Only
 * plock.c changes it; the rest may be read under the table's lock.
 */
struct nexus_plock {
	struct nexus_plock_node *node;	/* of what is open; NULL: not placed */
	struct nexus_plock_node *dir;	/* of a file: where the name is */
	const void *name;		/* of a file: tells its names apart */
	const void *owner;		/* who took it; NULL: not held */
	const void *waiter;		/* who wants it, while it waits */
	u8	held;			/* enum nexus_plock_mode: S, X or NONE */
	u8	want;			/* the same, while it waits */
	int	state;			/* enum nexus_plock_state; stored with release */
	/* While it waits. */
	nexus_task *task;
	struct nexus_plock_node *at;	/* where; it has what it needs above */
	u64	ticket;
	struct nexus_plock *queue_prev, *queue_next;	/* of at */
	struct nexus_plock *wait_prev, *wait_next;	/* of the table */
	/* All that are placed at the node. */
	struct nexus_plock *node_prev, *node_next;
	/* All files that are placed in the directory. */
	struct nexus_plock *dir_prev, *dir_next;
	/* All that are held, by owner. */
	struct nexus_plock *owner_prev, *owner_next;
	const void *old_owner;		/* of one that was changed, until who waits knows */
	/* Of the search for cycles, and of a rename. */
	u64	mark;
	struct nexus_plock *mark_next;
	struct nexus_plock *check_next;	/* of the table; waits elsewhere than before */
	bool	check;
};

struct nexus_plock_queue {
	struct nexus_plock *first, *last;
};

struct nexus_plock_node {
	u64	ino;
	struct nexus_plock_node *parent;	/* of a directory but the root */
	struct nexus_plock_node *hash_next;
	struct nexus_plock_node *down;		/* of the path that was walked last */
	struct nexus_plock_node *child_prev, *child_next;
	struct nexus_plock_node *children;	/* directories */
	struct nexus_plock *files;		/* placed below, not in a directory */
	struct nexus_plock *placed;		/* here */
	u32	refs;				/* of children, files and placed */
	u32	count[NEXUS_PLM_MAX];		/* granted */
	u8	held;				/* bits of modes with a count */
	u8	queued;				/* bits of modes with a queue */
	bool	is_dir;
	struct nexus_plock_queue queue[NEXUS_PLM_MAX];	/* by ticket */
};

/* The scheduler of tests/unit/sched has little memory. */
#ifndef NEXUS_PLOCK_OWNERS
#define NEXUS_PLOCK_OWNERS	256	/* buckets; a power of two */
#endif
#ifndef NEXUS_PLOCK_HASH_BITS
#define NEXUS_PLOCK_HASH_BITS	8	/* at first */
#endif
#define NEXUS_PLOCK_LOOK	262144	/* steps of one search at most */

struct nexus_plock_table {
	nexus_spin lock;
	struct nexus_plock_node **hash;	/* NULL until first used */
	u32	hash_bits;
	u32	nodes;
	u64	tickets;
	u64	mark;
	u32	waiting;		/* queued */
	u32	looked;			/* steps of the search */
	struct nexus_plock *wait_first, *wait_last;
	struct nexus_plock *check;	/* empty when the lock is not held */
	struct nexus_plock *owners[NEXUS_PLOCK_OWNERS];
};

void nexus_plock_init(struct nexus_plock_table *t);
/* Nothing is placed any more. */
void nexus_plock_fini(struct nexus_plock_table *t);

/* Where something is: inode numbers from it up to the root, which has no parent. */
struct nexus_plock_path {
	const u64 *ino;
	u32	n;			/* 1 or more */
	bool	is_dir;
	const void *name;		/* of a file: as nexus_plock.name */
	/* NULL, or whether this is still so; called with the table's lock held. */
	bool	(*same)(void *arg);
	void	*arg;
};

/*
 * Gives @lk its place, which follows renames from then on; nothing is locked yet.
 * 0, -ENOMEM, -ESTALE (!same()), -EUCLEAN (a file above something).  Allocates.
 */
int nexus_plock_place(struct nexus_plock_table *t, struct nexus_plock *lk,
		      const struct nexus_plock_path *path);
/* Takes it away again, and the lock with it; its owner, or NULL.  Nobody waits with @lk. */
const void *nexus_plock_unplace(struct nexus_plock_table *t,
				struct nexus_plock *lk, nexus_wakes *wakes);

/*
 * Takes @mode (S or X) with @lk, which is placed, for @owner; with @lk holding the other
 * of the two: changes to @mode, keeping what it has until then.  0: done;
 * -EAGAIN: others are in the way, and @task is NULL; 1: @lk waits, see below;
 * -EALREADY: holds @mode already, or, with @convert false, any; -ENOENT: with @convert
 * true, holds none; -EBUSY: somebody else waits with it; -EDEADLK: would wait for
 * itself.
 *
 * After 1 @task sleeps until nexus_plock_waits() is false or it is not willing to
 * wait any longer, and calls nexus_plock_leave() either way.
 *
 * Owners are told apart by their addresses.  *@drop: the one that the lock names no
 * longer, or never did (@owner, when it failed); NULL if there is none.
 */
int nexus_plock_take(struct nexus_plock_table *t, struct nexus_plock *lk, u8 mode,
		     bool convert, const void *owner, nexus_task *task,
		     const void **drop, nexus_wakes *wakes);
/* True as long as there is nothing to wake up for. */
bool nexus_plock_waits(const struct nexus_plock *lk);
/* 0: has it; -EDEADLK; -EINTR: it was still waiting, and does so no more. */
int nexus_plock_leave(struct nexus_plock_table *t, struct nexus_plock *lk,
		      const void **drop, nexus_wakes *wakes);
/* 0, -ENOENT (holds none), -EBUSY (somebody waits with it). */
int nexus_plock_release(struct nexus_plock_table *t, struct nexus_plock *lk,
			const void **drop, nexus_wakes *wakes);

/*
 * The directory @ino, or the locks of file @ino by @name, are now in the directory
 * where @dir is placed.
 */
void nexus_plock_moved(struct nexus_plock_table *t, u64 ino, const void *name,
		       const struct nexus_plock *dir, nexus_wakes *wakes);

/* Who is in the way of one that would take @mode with @lk, which is placed. */
struct nexus_plock_who {
	u8	where;			/* enum nexus_plock_place */
	u8	mode;			/* S or X: what is held, or waited for */
	u64	ino;
	const struct nexus_plock *lk;	/* NULL: was not looked for that long */
};

/* The table's lock is held, and what is in @who is good as long as that is. */
void nexus_plock_who(struct nexus_plock_table *t, struct nexus_plock *lk, u8 mode,
		     struct nexus_plock_who *who);

/* Calls @fn for all that are placed in bucket @i; false: there is no such bucket. */
bool nexus_plock_each(struct nexus_plock_table *t, u32 i,
		      void (*fn)(void *arg, const struct nexus_plock *lk), void *arg);

#endif /* NEXUS_LIB_PLOCK_H */
