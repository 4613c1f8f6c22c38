// SPDX-License-Identifier: GPL-2.0-only
/* Leases: /__sys__/locks. */
#include <linux/dcache.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "lease.h"

/* Of what is in memory with its name. */
static bool nexus_lease_path_cached(struct seq_file *m, struct super_block *sb, u64 ino)
{
	struct inode *inode = nexus_ilookup_nowait(sb, ino);
	struct dentry *dentry = inode ? d_find_any_alias(inode) : NULL;

	iput(inode);
	if (dentry && (dentry->d_flags & DCACHE_DISCONNECTED)) {
		dput(dentry);
		dentry = NULL;
	}
	if (!dentry)
		return false;
	seq_dentry(m, dentry, " \t\n\\");
	dput(dentry);
	return true;
}

/*
 * In front of @buf's last @at bytes, one name after the other; where it begins, or -errno:
 * -ENOENT (it has no name, or is gone), -ENAMETOOLONG.  What is renamed meanwhile may be
 * shown half way.
 */
static int nexus_lease_path_ask(struct nexus_zone *zone, u64 ino, char *buf, int at)
{
	struct {
		struct nexus_name_reply r;
		u8 name[NEXUS_NAME_MAX + 1];
	} *rep;
	u64 applied;
	int n = 0;

	rep = kmalloc(sizeof(*rep), GFP_KERNEL);
	if (!rep)
		return -ENOMEM;
	while (ino != NEXUS_ROOT_INO) {
		n = nexus_ms_read(zone, NEXUS_OP_GETNAME, ino, 0, 0, NULL, 0,
				  nexus_log_tail(zone), rep, sizeof(*rep), &applied);
		if (n >= 0 && rep->r.namelen + 1 > at)
			n = -ENAMETOOLONG;
		if (n < 0)
			break;
		at -= rep->r.namelen;
		memcpy(buf + at, rep->r.name, rep->r.namelen);
		buf[--at] = '/';
		ino = rep->r.parent;
	}
	kfree(rep);
	return n < 0 ? n : at;
}

static int nexus_lease_path(struct seq_file *m, struct super_block *sb, u64 ino, char *buf)
{
	int at;

	if (nexus_lease_path_cached(m, sb, ino))
		return 0;
	buf[PATH_MAX - 1] = '\0';
	at = nexus_lease_path_ask(nexus_sb_zone(sb), ino, buf, PATH_MAX - 1);
	if (at == -EINTR)
		return at;
	if (at >= 0)
		seq_escape(m, buf[at] ? buf + at : "/", " \t\n\\");
	else
		seq_putc(m, '?');
	return 0;
}

static int nexus_lease_lines(struct seq_file *m, struct super_block *sb, u64 ino,
			     const struct nexus_lease_val *val, u64 now, char *buf)
{
	u32 i, max = le32_to_cpu(val->max_holders);
	char name[NEXUS_LEASE_NAME_MAX + 1] = "";
	int err = 0;

	for (i = 0; !err && i < le32_to_cpu(val->count); i++) {
		const struct nexus_lease_holder *h = &val->holder[i];

		if (le64_to_cpu(h->expires) <= now)
			continue;
		memcpy(name, h->name, NEXUS_LEASE_NAME_MAX);
		if (max == 1)
			seq_puts(m, "lease mutex ");
		else
			seq_printf(m, "lease semaphore:%u ", max);
		seq_escape(m, name, " \t\n\\");
		seq_printf(m, " %llu %llu %llu ", le64_to_cpu(h->token),
			   div_u64(le64_to_cpu(h->expires), NSEC_PER_SEC), ino);
		err = nexus_lease_path(m, sb, ino, buf);
		seq_putc(m, '\n');
	}
	return err;
}

int nexus_leases_show(struct seq_file *m, struct super_block *sb)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	struct nexus_lease_val *val;
	u64 ino = 0, now;
	char *buf;
	int err;

	err = nexus_leases_load(zone);
	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	/* What does not fit comes again, with a larger buffer. */
	while (!err && !seq_has_overflowed(m)) {
		val = nexus_leases_next(zone, &ino, &now);
		if (IS_ERR_OR_NULL(val)) {
			err = PTR_ERR_OR_ZERO(val);
			break;
		}
		err = nexus_lease_lines(m, sb, ino, val, now, buf);
		kvfree(val);
		ino++;
		cond_resched();
	}
	kfree(buf);
	return err;
}
