/* SPDX-License-Identifier: GPL-2.0-only */
/* Path locks of open files (plock.c); the table is lib/plock.h. */
#ifndef NEXUS_KMOD_PLOCK_H
#define NEXUS_KMOD_PLOCK_H

#include "nexusfs.h"
#include "../lib/plock.h"

struct nexus_plock_file;

/* Of a zone; NULL without memory.  Free: nothing is open any more; NULL is fine. */
struct nexus_plocks *nexus_plocks_alloc(void);
void nexus_plocks_free(struct nexus_plocks *pl);

/* ioctl.c; may sleep, for as long as the caller said; killable. */
long nexus_plock_ioctl_take(struct file *file, unsigned int cmd, void __user *arg);
long nexus_plock_ioctl_release(struct file *file, unsigned long arg);
long nexus_plock_ioctl_get(struct file *file, void __user *arg);

/* The last close of an open file; @pf: what it had, or NULL. */
void nexus_plock_close(struct inode *inode, struct nexus_plock_file *pf);
/* dir.c: where an open directory has it. */
struct nexus_plock_file **nexus_dir_plock(struct file *file);

/*
 * Around a rename, with the locks the VFS takes for it: locks go with what is renamed.
 * begin: 0 or -ENOMEM; end is called either way, @err says what became of the rename.
 */
struct nexus_plock_move {
	struct nexus_zone *zone;	/* NULL: nothing to do */
	struct nexus_plock *to_new, *to_old;	/* keep the places there, or NULL */
	struct dentry *old, *new;
	bool exchange;
};

int nexus_plock_move_begin(struct nexus_plock_move *mv, struct dentry *old,
			   struct dentry *new, bool exchange);
void nexus_plock_move_end(struct nexus_plock_move *mv, int err);

/* A line for each that is held or waited for: kind, state, process, inode, path. */
void nexus_plock_show(struct seq_file *m, struct nexus_zone *zone);

#endif /* NEXUS_KMOD_PLOCK_H */
