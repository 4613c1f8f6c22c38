// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path locks of open files.
 *
 * An open file gets a place in the table when it first asks for a lock, and keeps it
 * until it is closed: taking and giving back a lock is counting along nodes that are
 * there.  The place is found by the dentries above, and follows renames by itself then.
 *
 * A rename tells the table before the dcache knows.  Whoever looks for a place meanwhile
 * would still see the old one: nexus_plocks.moving says of what this is not true any
 * more, and who meets that waits for the rename to end.
 */
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "plock.h"
#include "stream/stream.h"
#include "trace.h"

struct nexus_plock_moving {
	u64 ino;		/* 0: nothing */
	const void *name;	/* the dentry, to tell names of a file apart; not counted */
	u64 parent;		/* is in this directory now */
};

struct nexus_plocks {
	struct nexus_plock_table table;
	/*
	 * By the last rename between directories; there is one at a time in a
	 * filesystem.  Table's lock.
	 */
	struct nexus_plock_moving moving[2];
};

struct nexus_plock_file {
	struct nexus_plock lk;
	struct file *file;	/* not counted: it is the one that has this */
};

struct nexus_plocks *nexus_plocks_alloc(void)
{
	struct nexus_plocks *pl = kzalloc(sizeof(*pl), GFP_KERNEL_ACCOUNT);

	if (pl)
		nexus_plock_init(&pl->table);
	return pl;
}

void nexus_plocks_free(struct nexus_plocks *pl)
{
	if (pl)
		nexus_plock_fini(&pl->table);
	kfree(pl);
}

static struct nexus_plocks *nexus_plocks_of(const struct inode *inode)
{
	return NEXUS_I(inode)->zone->plocks;
}

/* Owners are threads, as struct pid. */
static void nexus_plock_drop(const void *owner)
{
	put_pid((struct pid *)owner);
}

/* ---- places -------------------------------------------------------------------------- */

#define NEXUS_PLOCK_DEPTH	16	/* more than this is allocated */

struct nexus_plock_walk {
	struct nexus_plocks *pl;
	struct nexus_plock_path path;
	u64 first[NEXUS_PLOCK_DEPTH];
	u64 *ino;
	u32 cap;
	unsigned int seq;
	u64 moving;	/* met this, which is being renamed; 0: nothing */
};

/* The numbers from @dentry up; false: does not fit, w->path.n is what it takes. */
static bool nexus_plock_walk_up(struct nexus_plock_walk *w, struct dentry *dentry,
				struct dentry **root)
{
	struct dentry *d = dentry, *parent;
	struct inode *inode;
	u32 n = 0;

	rcu_read_lock();
	w->seq = read_seqbegin(&rename_lock);
	for (;; d = parent) {
		/* Not there: it was moved away from, and the sequence tells. */
		inode = READ_ONCE(d->d_inode);
		if (n < w->cap)
			w->ino[n] = inode ? inode->i_ino : 0;
		n++;
		parent = READ_ONCE(d->d_parent);
		if (parent == d)
			break;
	}
	*root = d;
	rcu_read_unlock();
	w->path.ino = w->ino;
	w->path.n = n;
	return n <= w->cap;
}

/* With the table's lock held. */
static bool nexus_plock_same(void *arg)
{
	struct nexus_plock_walk *w = arg;
	const struct nexus_plock_moving *m;
	u32 i, k;

	w->moving = 0;
	if (read_seqretry(&rename_lock, w->seq))
		return false;
	for (k = 0; k < ARRAY_SIZE(w->pl->moving); k++) {
		m = &w->pl->moving[k];
		for (i = 0; m->ino && i + 1 < w->path.n; i++)
			if (w->ino[i] == m->ino && w->ino[i + 1] != m->parent &&
			    (i || w->path.is_dir || w->path.name == m->name))
				w->moving = m->ino;
	}
	return !w->moving;
}

/*
 * The rename of @ino, which is on the way from @dentry up, may not have come to its end:
 * it has once nobody has its directory locked.  0 or -EINTR.
 */
static int nexus_plock_await(struct nexus_plocks *pl, struct dentry *dentry, u64 ino)
{
	struct dentry *d = dget(dentry), *parent;
	struct inode *dir;
	unsigned int k;
	int err;

	for (;;) {
		parent = dget_parent(d);
		if (parent == d || d_inode(d)->i_ino == ino)
			break;
		dput(d);
		d = parent;
	}
	dir = d_inode(parent);
	err = down_read_killable(&dir->i_rwsem);
	if (!err) {
		/* Whatever it is that is not in here any more, here it stays so. */
		spin_lock(&pl->table.lock);
		for (k = 0; k < ARRAY_SIZE(pl->moving); k++)
			if (pl->moving[k].ino == ino &&
			    pl->moving[k].parent != dir->i_ino)
				pl->moving[k].ino = 0;
		spin_unlock(&pl->table.lock);
		up_read(&dir->i_rwsem);
	}
	dput(parent);
	dput(d);
	return err;
}

/*
 * Gives @lk its place at @dentry.  0, -ENOMEM, -EINTR, -ESTALE (a directory that is not
 * in the tree).  May sleep, no locks but those of a rename.
 */
static int nexus_plock_settle(struct nexus_plocks *pl, struct nexus_plock *lk,
			      struct dentry *dentry)
{
	struct nexus_plock_walk w = {
		.pl = pl,
		.path.is_dir = d_is_dir(dentry),
		.path.name = dentry,
		.path.same = nexus_plock_same,
		.path.arg = &w,
		.ino = w.first,
		.cap = NEXUS_PLOCK_DEPTH,
	};
	struct dentry *root;
	int err = 0;

	do {
		if (err)
			err = fatal_signal_pending(current) ? -EINTR : 0;
		while (!err && !nexus_plock_walk_up(&w, dentry, &root)) {
			if (w.ino != w.first)
				kvfree(w.ino);
			w.cap = w.path.n + NEXUS_PLOCK_DEPTH;
			w.ino = kvmalloc_array(w.cap, sizeof(*w.ino), GFP_KERNEL);
			if (!w.ino)
				return -ENOMEM;
		}
		/* A file that was opened by its number may have no name here. */
		if (!err && root != dentry->d_sb->s_root) {
			if (w.path.is_dir)
				err = -ESTALE;
			w.path.n = 1;
		}
		if (!err)
			err = nexus_plock_place(&pl->table, lk, &w.path);
		if (err == -ESTALE && w.moving)
			err = nexus_plock_await(pl, dentry, w.moving) ?: -EAGAIN;
		else if (err == -ESTALE && read_seqretry(&rename_lock, w.seq))
			err = -EAGAIN;
		cond_resched();
	} while (err == -EAGAIN);
	if (w.ino != w.first)
		kvfree(w.ino);
	return err;
}

/* What @file has, with a place in the table; made when it is not there. */
static struct nexus_plock_file *nexus_plock_of(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct nexus_plock_file **slot, *pf, *was;
	int err;

	if (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode))
		return ERR_PTR(-ENOTTY);
	if (!(file->f_mode & (FMODE_READ | FMODE_WRITE)))
		return ERR_PTR(-EBADF);
	slot = S_ISDIR(inode->i_mode) ? nexus_dir_plock(file) :
	       file->f_op == &nexus_stream_fops ? nexus_stream_plock(file) :
	       (struct nexus_plock_file **)&file->private_data;
	/* Pairs with cmpxchg() below. */
	pf = smp_load_acquire(slot);
	if (!pf) {
		pf = kzalloc(sizeof(*pf), GFP_KERNEL_ACCOUNT);
		if (!pf)
			return ERR_PTR(-ENOMEM);
		pf->file = file;
		was = cmpxchg(slot, NULL, pf);
		if (was) {
			kfree(pf);
			pf = was;
		}
	}
	if (READ_ONCE(pf->lk.node))
		return pf;
	err = nexus_plock_settle(nexus_plocks_of(inode), &pf->lk,
				 file->f_path.dentry);
	return err ? ERR_PTR(err) : pf;
}

void nexus_plock_close(struct inode *inode, struct nexus_plock_file *pf)
{
	NEXUS_WAKES(wakes);
	const void *owner;

	if (!pf)
		return;
	owner = nexus_plock_unplace(&nexus_plocks_of(inode)->table, &pf->lk, &wakes);
	if (owner)
		trace_plock_released(inode);
	nexus_plock_drop(owner);
	nexus_wakes_done(&wakes);
	kfree(pf);
}

/* ---- ioctls -------------------------------------------------------------------------- */

static int nexus_plock_mode(u32 kind)
{
	switch (kind) {
	case NEXUS_PLOCK_SHARED:
		return NEXUS_PLM_S;
	case NEXUS_PLOCK_EXCLUSIVE:
		return NEXUS_PLM_X;
	default:
		return -EINVAL;
	}
}

static u32 nexus_plock_kind(u8 mode)
{
	switch (mode) {
	case NEXUS_PLM_S:
		return NEXUS_PLOCK_SHARED;
	case NEXUS_PLM_X:
		return NEXUS_PLOCK_EXCLUSIVE;
	default:
		return NEXUS_PLOCK_NONE;
	}
}

/* A directory cannot be open for writing. */
static int nexus_plock_allowed(struct file *file, int mode)
{
	if (mode != NEXUS_PLM_X || file->f_mode & FMODE_WRITE)
		return 0;
	if (__mnt_is_readonly(file->f_path.mnt))
		return -EROFS;
	return inode_permission(file_mnt_idmap(file), file_inode(file), MAY_WRITE);
}

/* @left: jiffies.  0, -EDEADLK, -ETIMEDOUT, -EINTR. */
static int nexus_plock_wait(struct nexus_plock_table *t, struct nexus_plock *lk,
			    long left, const void **drop)
{
	NEXUS_WAKES(wakes);
	int err = 0, ret;

	nexus_count(plock_waits);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (!nexus_plock_waits(lk))
			break;
		if (signal_pending(current))
			err = -EINTR;
		else if (!left)
			err = -ETIMEDOUT;
		if (err)
			break;
		left = schedule_timeout(left);
		nexus_count(plock_wakes);
	}
	__set_current_state(TASK_RUNNING);
	ret = nexus_plock_leave(t, lk, drop, &wakes);
	nexus_wakes_done(&wakes);
	return ret == -EINTR ? err : ret;
}

long nexus_plock_ioctl_take(struct file *file, unsigned int cmd, void __user *arg)
{
	NEXUS_WAKES(wakes);
	struct nexus_plock_table *t = &nexus_plocks_of(file_inode(file))->table;
	struct nexus_plock_file *pf;
	struct nexus_plock_arg a;
	const void *drop = NULL;
	bool forever;
	int mode, err;
	long left;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	mode = nexus_plock_mode(a.mode);
	forever = a.flags & NEXUS_PLOCK_F_FOREVER;
	if (mode < 0 || a.flags & ~NEXUS_PLOCK_F_FOREVER || a.timeout_ms < 0 ||
	    a.timeout_ms > NEXUS_PLOCK_TIMEOUT_MAX || (forever && a.timeout_ms) ||
	    a.reserved[0] || a.reserved[1])
		return -EINVAL;
	pf = nexus_plock_of(file);
	if (IS_ERR(pf))
		return PTR_ERR(pf);
	err = nexus_plock_allowed(file, mode);
	if (err)
		return err;
	left = forever ? MAX_SCHEDULE_TIMEOUT : msecs_to_jiffies(a.timeout_ms);
	err = nexus_plock_take(t, &pf->lk, mode, cmd == NEXUS_IOC_PLOCK_CONVERT,
			       get_task_pid(current, PIDTYPE_PID),
			       left ? current : NULL, &drop, &wakes);
	nexus_wakes_done(&wakes);
	if (err == 1) {
		trace_plock_wait(file_inode(file), a.mode);
		err = nexus_plock_wait(t, &pf->lk, left, &drop);
	}
	if (err)
		trace_plock_refused(file_inode(file), a.mode, err);
	else
		trace_plock_granted(file_inode(file), a.mode);
	nexus_plock_drop(drop);
	switch (err) {
	case 0:
		nexus_count(plocks);
		break;
	case -EINTR:
		/* A wait that has an end must not begin anew. */
		return forever ? -ERESTARTSYS : -EINTR;
	case -ETIMEDOUT:
		nexus_count(plock_timeouts);
		break;
	case -EDEADLK:
		nexus_count(plock_deadlocks);
		break;
	}
	return err;
}

long nexus_plock_ioctl_release(struct file *file, unsigned long arg)
{
	NEXUS_WAKES(wakes);
	struct nexus_plock_table *t = &nexus_plocks_of(file_inode(file))->table;
	struct nexus_plock_file *pf;
	const void *drop;
	int err;

	if (arg)
		return -EINVAL;
	pf = nexus_plock_of(file);
	if (IS_ERR(pf))
		return PTR_ERR(pf);
	err = nexus_plock_release(t, &pf->lk, &drop, &wakes);
	if (!err)
		trace_plock_released(file_inode(file));
	nexus_wakes_done(&wakes);
	nexus_plock_drop(drop);
	return err;
}

/* The process, as the caller sees it; the thread when it has ended.  0: it does not. */
static pid_t nexus_plock_pid(const void *owner)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct task_struct *task;
	pid_t nr;

	rcu_read_lock();
	task = pid_task((struct pid *)owner, PIDTYPE_PID);
	nr = task ? task_tgid_nr_ns(task, ns) : pid_nr_ns((struct pid *)owner, ns);
	rcu_read_unlock();
	return nr;
}

long nexus_plock_ioctl_get(struct file *file, void __user *arg)
{
	struct nexus_plock_table *t = &nexus_plocks_of(file_inode(file))->table;
	struct nexus_plock_who who;
	struct nexus_plock_file *pf;
	struct nexus_plock_info info, in;
	int mode;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	info = (struct nexus_plock_info){ .mode = in.mode };
	mode = nexus_plock_mode(in.mode);
	/* What is to be filled in may hold anything. */
	if (mode < 0 || in.flags || in.reserved[0] || in.reserved[1] || in.reserved[2])
		return -EINVAL;
	pf = nexus_plock_of(file);
	if (IS_ERR(pf))
		return PTR_ERR(pf);
	spin_lock(&t->lock);
	nexus_plock_who(t, &pf->lk, mode, &who);
	info.held = nexus_plock_kind(pf->lk.held);
	info.place = who.where;
	info.other = nexus_plock_kind(who.mode);
	info.ino = who.ino;
	if (who.lk)
		info.pid = nexus_plock_pid(who.where == NEXUS_PLOCK_QUEUE ?
					   who.lk->waiter : who.lk->owner);
	spin_unlock(&t->lock);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

/* ---- renames ------------------------------------------------------------------------- */

static int nexus_plock_pin(struct nexus_plocks *pl, struct dentry *dir,
			   struct nexus_plock **pin)
{
	struct nexus_plock *lk = kzalloc(sizeof(*lk), GFP_KERNEL);
	int err;

	if (!lk)
		return -ENOMEM;
	err = nexus_plock_settle(pl, lk, dir);
	if (err) {
		kfree(lk);
		return err;
	}
	*pin = lk;
	return 0;
}

static void nexus_plock_unpin(struct nexus_plocks *pl, struct nexus_plock *pin)
{
	NEXUS_WAKES(wakes);

	if (pin)
		nexus_plock_unplace(&pl->table, pin, &wakes);
	kfree(pin);
}

int nexus_plock_move_begin(struct nexus_plock_move *mv, struct dentry *old,
			   struct dentry *new, bool exchange)
{
	struct nexus_zone *zone = nexus_sb_zone(old->d_sb);
	struct nexus_plocks *pl = zone->plocks;
	int err = 0;

	if (old->d_parent == new->d_parent)
		return 0;
	mv->zone = zone;
	mv->old = old;
	mv->new = new;
	mv->exchange = exchange;
	/* The rename before this one has come to its end. */
	spin_lock(&pl->table.lock);
	memset(pl->moving, 0, sizeof(pl->moving));
	spin_unlock(&pl->table.lock);
	if (!READ_ONCE(pl->table.nodes))
		return 0;
	err = nexus_plock_pin(pl, new->d_parent, &mv->to_new);
	if (!err && exchange)
		err = nexus_plock_pin(pl, old->d_parent, &mv->to_old);
	return err;
}

static void nexus_plock_move_one(struct nexus_plocks *pl, struct dentry *dentry,
				 struct dentry *dir, struct nexus_plock **pin)
{
	NEXUS_WAKES(wakes);

	/*
	 * Locked since the rename began.  Without memory for the few nodes it takes,
	 * the lock stays in the directory where it was.
	 */
	if (!*pin && nexus_plock_pin(pl, dir, pin))
		return;
	nexus_plock_moved(&pl->table, d_inode(dentry)->i_ino, dentry, *pin, &wakes);
	nexus_wakes_done(&wakes);
}

void nexus_plock_move_end(struct nexus_plock_move *mv, int err)
{
	struct nexus_plocks *pl = mv->zone ? mv->zone->plocks : NULL;
	bool used;

	if (!pl)
		return;
	if (!err) {
		spin_lock(&pl->table.lock);
		pl->moving[0] = (struct nexus_plock_moving){
			.ino = d_inode(mv->old)->i_ino,
			.name = mv->old,
			.parent = d_inode(mv->new->d_parent)->i_ino,
		};
		if (mv->exchange)
			pl->moving[1] = (struct nexus_plock_moving){
				.ino = d_inode(mv->new)->i_ino,
				.name = mv->new,
				.parent = d_inode(mv->old->d_parent)->i_ino,
			};
		used = pl->table.nodes;
		spin_unlock(&pl->table.lock);
		if (used)
			nexus_plock_move_one(pl, mv->old, mv->new->d_parent,
					     &mv->to_new);
		if (used && mv->exchange)
			nexus_plock_move_one(pl, mv->new, mv->old->d_parent,
					     &mv->to_old);
	}
	nexus_plock_unpin(pl, mv->to_new);
	nexus_plock_unpin(pl, mv->to_old);
}

/* ---- /__sys__/locks ------------------------------------------------------------------ */

static void nexus_plock_line(struct seq_file *m, const struct nexus_plock_file *pf,
			     u8 mode, const char *state, const void *owner)
{
	seq_printf(m, "%s %s %d %llu ",
		   mode == NEXUS_PLM_X ? "exclusive" : "shared", state,
		   nexus_plock_pid(owner), pf->lk.node->ino);
	seq_dentry(m, pf->file->f_path.dentry, " \t\n\\");
	seq_putc(m, '\n');
}

static void nexus_plock_show_one(void *arg, const struct nexus_plock *lk)
{
	const struct nexus_plock_file *pf = container_of(lk, struct nexus_plock_file, lk);

	if (lk->held)
		nexus_plock_line(arg, pf, lk->held, "held", lk->owner);
	if (lk->want)
		nexus_plock_line(arg, pf, lk->want, "waits", lk->waiter);
}

void nexus_plock_show(struct seq_file *m, struct nexus_zone *zone)
{
	u32 i = 0;

	while (!seq_has_overflowed(m) && !fatal_signal_pending(current) &&
	       nexus_plock_each(&zone->plocks->table, i++, nexus_plock_show_one, m))
		cond_resched();
}
