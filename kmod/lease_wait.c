// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases: ioctls, and waiting.
 *
 * Who waits stands in a queue of the inode.  The first one alone looks: when somebody
 * gives the lease up, when it has become the first, and when the time of a holder is over,
 * for which it sleeps no longer than that.  Whoever comes while others wait stands behind
 * them, so nobody overtakes and nobody is woken in vain.
 */
#include <linux/mount.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lease.h"

static_assert(NEXUS_LEASE_ID_LEN == NEXUS_LEASE_ID_SIZE);
static_assert(NEXUS_LEASE_NAME_LEN == NEXUS_LEASE_NAME_MAX);
static_assert(NEXUS_LEASE_SECONDS_MAX == NEXUS_LEASE_TTL_MAX);
static_assert(NEXUS_LEASE_COUNT_MAX == NEXUS_LEASE_HOLDERS_MAX);
static_assert(sizeof(struct nexus_lease_arg) == 136);
static_assert(sizeof(struct nexus_lease_who) == 104);
static_assert(sizeof(struct nexus_lease_info) == 48);

/* A directory cannot be open for writing. */
static int nexus_lease_may_write(struct file *file)
{
	if (file->f_mode & FMODE_WRITE)
		return 0;
	return inode_permission(file_mnt_idmap(file), file_inode(file), MAY_WRITE);
}

static bool nexus_lease_none(const u8 id[NEXUS_LEASE_ID_LEN])
{
	return !nexus_lease_id_ok(id);
}

/* ---- one change ------------------------------------------------------------------ */

static int nexus_lease_once(struct file *file, struct nexus_lease_req *rq)
{
	struct inode *inode = file_inode(file);
	int err = mnt_want_write_file(file);

	if (err)
		return err;
	err = nexus_lease_change(inode, rq);
	if (err == -ENOLCK) {
		err = nexus_leases_sweep(inode->i_sb);
		if (!err)
			err = nexus_lease_change(inode, rq);
	}
	mnt_drop_write_file(file);
	return err;
}

/* It is so for others; for the caller it is when it is on disk. */
static int nexus_lease_settled(struct file *file, struct nexus_lease_req *rq)
{
	nexus_count(leases);
	return nexus_log_flush(NEXUS_I(file_inode(file))->zone, rq->lsn);
}

static int nexus_lease_do(struct file *file, struct nexus_lease_req *rq)
{
	int err = nexus_lease_once(file, rq);

	return err ?: nexus_lease_settled(file, rq);
}

/* ---- waiting ----------------------------------------------------------------------- */

/* What is left of *@left, in jiffies, or as much of it as @ns are, and one that they are over. */
static long nexus_lease_sleep_for(long left, u64 ns)
{
	u64 until = ns == U64_MAX ? U64_MAX : nsecs_to_jiffies64(ns) + 1;

	return min_t(u64, left, until);
}

/* 0: look again; -EINTR. */
static int nexus_lease_sleep(struct nexus_lease_waiter *w, u64 ns, long *left)
{
	long most = nexus_lease_sleep_for(*left, ns), rest = most;
	int err = 0;

	set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
	if (!READ_ONCE(w->kicked)) {
		if (signal_pending(current))
			err = -EINTR;
		else
			rest = schedule_timeout(most);
	}
	__set_current_state(TASK_RUNNING);
	if (*left != MAX_SCHEDULE_TIMEOUT)
		*left -= most - rest;
	return err;
}

static int nexus_lease_await(struct file *file, struct nexus_lease_req *rq, long left)
{
	struct nexus_lease_waiter w = { .task = current };
	bool waited = false;
	int err;

	INIT_LIST_HEAD(&w.node);
	rq->w = left ? &w : NULL;
	for (;;) {
		/* Whatever happens from here on is seen, or kicks. */
		WRITE_ONCE(w.kicked, false);
		err = nexus_lease_once(file, rq);
		if (err != -EAGAIN || !rq->w)
			break;
		if (!left) {
			err = -ETIMEDOUT;
			break;
		}
		if (!waited)
			nexus_count(lease_waits);
		waited = true;
		err = nexus_lease_sleep(&w, rq->left, &left);
		/* Who is killed must not get what is given up a moment later. */
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			break;
	}
	nexus_lease_leave(file_inode(file), &w);
	return err;
}

/* ---- ioctls -------------------------------------------------------------------------- */

/* Nothing is said but who, and for how long. */
static bool nexus_lease_plain(const struct nexus_lease_arg *a)
{
	return !a->max_holders && !a->timeout_ms && !a->flags &&
	       !memchr_inv(a->name, 0, sizeof(a->name));
}

/* 0 or -EINTR, -ETIMEDOUT, ... */
static long nexus_lease_acquire(struct file *file, struct nexus_lease_arg *a)
{
	bool forever = a->flags & NEXUS_LEASE_F_FOREVER;
	struct nexus_lease_req rq = {
		.op = NEXUS_LEASE_TAKE,
		.max_holders = a->max_holders,
		.ttl = (u64)a->ttl * NSEC_PER_SEC,
	};
	int err;

	if (!a->ttl || a->ttl > NEXUS_LEASE_SECONDS_MAX || !a->max_holders ||
	    a->max_holders > NEXUS_LEASE_COUNT_MAX || a->timeout_ms < 0 ||
	    a->timeout_ms > S32_MAX || a->flags & ~NEXUS_LEASE_F_FOREVER ||
	    (forever && a->timeout_ms) || !nexus_lease_name_ok(a->name))
		return -EINVAL;
	if (nexus_lease_none(a->id))
		get_random_bytes(a->id, sizeof(a->id));
	memcpy(rq.id, a->id, sizeof(rq.id));
	memcpy(rq.name, a->name, sizeof(rq.name));
	err = nexus_lease_await(file, &rq, forever ? MAX_SCHEDULE_TIMEOUT :
				msecs_to_jiffies(a->timeout_ms));
	if (err == -ETIMEDOUT)
		nexus_count(lease_timeouts);
	/* A wait that has an end must not begin anew. */
	if (err == -EINTR && forever)
		return -ERESTARTSYS;
	if (!err)
		err = nexus_lease_settled(file, &rq);
	a->token = rq.token;
	a->expires = rq.expires;
	return err;
}

static long nexus_lease_extend(struct file *file, struct nexus_lease_arg *a)
{
	struct nexus_lease_req rq = {
		.op = NEXUS_LEASE_EXTEND,
		.ttl = (u64)a->ttl * NSEC_PER_SEC,
	};
	int err;

	if (!a->ttl || a->ttl > NEXUS_LEASE_SECONDS_MAX || nexus_lease_none(a->id) ||
	    !nexus_lease_plain(a))
		return -EINVAL;
	memcpy(rq.id, a->id, sizeof(rq.id));
	err = nexus_lease_do(file, &rq);
	a->token = rq.token;
	a->expires = rq.expires;
	return err;
}

static long nexus_lease_release(struct file *file, const struct nexus_lease_arg *a)
{
	struct nexus_lease_req rq = { .op = NEXUS_LEASE_DROP };

	if (!nexus_lease_plain(a) || a->ttl || nexus_lease_none(a->id))
		return -EINVAL;
	memcpy(rq.id, a->id, sizeof(rq.id));
	return nexus_lease_do(file, &rq);
}

/* Nothing makes anybody do this by the way: who may asks for just this. */
static long nexus_lease_break(struct file *file, const struct nexus_lease_arg *a)
{
	struct nexus_lease_req rq = {
		.op = nexus_lease_none(a->id) ? NEXUS_LEASE_CLEAR : NEXUS_LEASE_DROP,
	};

	if (!nexus_lease_plain(a) || a->ttl)
		return -EINVAL;
	if (!inode_owner_or_capable(file_mnt_idmap(file), file_inode(file)) &&
	    !capable(CAP_SYS_ADMIN))
		return -EPERM;
	memcpy(rq.id, a->id, sizeof(rq.id));
	return nexus_lease_do(file, &rq);
}

static long nexus_lease_ioctl_arg(struct file *file, unsigned int cmd, void __user *arg)
{
	struct nexus_lease_arg a;
	bool out = cmd == NEXUS_IOC_LEASE_ACQUIRE || cmd == NEXUS_IOC_LEASE_EXTEND;
	long err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.reserved || a.reserved2[0] || a.reserved2[1])
		return -EINVAL;
	/* What is to be filled in may hold anything. */
	if (cmd != NEXUS_IOC_LEASE_BREAK) {
		err = nexus_lease_may_write(file);
		if (err)
			return err;
	}
	switch (cmd) {
	case NEXUS_IOC_LEASE_ACQUIRE:
		err = nexus_lease_acquire(file, &a);
		break;
	case NEXUS_IOC_LEASE_EXTEND:
		err = nexus_lease_extend(file, &a);
		break;
	case NEXUS_IOC_LEASE_RELEASE:
		err = nexus_lease_release(file, &a);
		break;
	default:
		err = nexus_lease_break(file, &a);
	}
	if (!err && out && copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
	return err;
}

static void nexus_lease_who_of(const struct nexus_lease_holder *h, bool ids,
			       struct nexus_lease_who *who)
{
	memset(who, 0, sizeof(*who));
	if (ids)
		memcpy(who->id, h->id, sizeof(who->id));
	who->acquired = le64_to_cpu(h->acquired);
	who->expires = le64_to_cpu(h->expires);
	who->token = le64_to_cpu(h->token);
	memcpy(who->name, h->name, sizeof(who->name));
}

static long nexus_lease_get(struct file *file, void __user *arg)
{
	bool ids = !nexus_lease_may_write(file);
	struct nexus_lease_info info;
	struct nexus_lease_who who, __user *to;
	struct nexus_lease_val *val;
	int err = 0;
	u32 i;

	if (copy_from_user(&info, arg, sizeof(info)))
		return -EFAULT;
	if (info.reserved[0] || info.reserved[1])
		return -EINVAL;
	val = nexus_lease_copy(file_inode(file), &info.waiting, &info.now);
	if (IS_ERR(val))
		return PTR_ERR(val);
	to = u64_to_user_ptr(info.holders);
	info.count = 0;
	info.max_holders = 0;
	for (i = 0; val && i < le32_to_cpu(val->count); i++) {
		if (le64_to_cpu(val->holder[i].expires) <= info.now)
			continue;
		info.max_holders = le32_to_cpu(val->max_holders);
		nexus_lease_who_of(&val->holder[i], ids, &who);
		if (info.count < info.room &&
		    copy_to_user(&to[info.count], &who, sizeof(who)))
			err = -EFAULT;
		info.count++;
	}
	kvfree(val);
	if (!err && copy_to_user(arg, &info, sizeof(info)))
		err = -EFAULT;
	return err;
}

static long nexus_lease_check(struct file *file, void __user *arg)
{
	struct nexus_lease_val *val;
	u32 waiting;
	u64 token, now;
	int at;

	if (copy_from_user(&token, arg, sizeof(token)))
		return -EFAULT;
	if (!token)
		return -EINVAL;
	val = nexus_lease_copy(file_inode(file), &waiting, &now);
	if (IS_ERR(val))
		return PTR_ERR(val);
	at = nexus_lease_find_token(val, token, now);
	kvfree(val);
	return at < 0 ? -ESTALE : 0;
}

long nexus_lease_ioctl(struct file *file, unsigned int cmd, void __user *arg)
{
	struct inode *inode = file_inode(file);
	int err;

	if (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode))
		return -ENOTTY;
	if (!(file->f_mode & (FMODE_READ | FMODE_WRITE)))
		return -EBADF;
	err = nexus_leases_load(NEXUS_I(inode)->zone);
	if (err)
		return err;
	switch (cmd) {
	case NEXUS_IOC_LEASE_GET:
		return nexus_lease_get(file, arg);
	case NEXUS_IOC_LEASE_CHECK:
		return nexus_lease_check(file, arg);
	default:
		return nexus_lease_ioctl_arg(file, cmd, arg);
	}
}
