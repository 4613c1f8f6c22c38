// SPDX-License-Identifier: GPL-2.0-only
/*
 * The change cookie: for the kernel's NFS server, whose clients keep what they have
 * read for as long as it stays the same.
 *
 * It is ctime, in nanoseconds: on disk already, the same after a remount, and never again
 * what it was before a crash.  Only does the clock of file times stand still for
 * milliseconds.  So each inode remembers the last cookie that somebody was given, and
 * a change that comes within the same tick makes ctime a nanosecond later than that.
 */
#include "nexusfs.h"

static s64 nexus_ns(struct timespec64 ts)
{
	return timespec64_to_ns(&ts);
}

/* @now is not after @cookie.  A whole second before, and the clock was set back. */
static bool nexus_behind(s64 now, s64 cookie)
{
	return now <= cookie && cookie - now < NSEC_PER_SEC;
}

void nexus_cookie_init(struct inode *inode)
{
	/* It may have been given out before the inode was evicted. */
	atomic64_set(&NEXUS_I(inode)->cookie, nexus_ns(inode_get_ctime(inode)));
}

u64 nexus_cookie(struct inode *inode)
{
	atomic64_t *last = &NEXUS_I(inode)->cookie;
	s64 old = atomic64_read(last), now;

	do {
		now = nexus_ns(inode_get_ctime(inode));
		/* The VFS may just have set ctime, and nexus_touched() is to come. */
		if (nexus_behind(now, old))
			now = old;
	} while (!atomic64_try_cmpxchg(last, &old, now));
	return now;
}

struct timespec64 nexus_after(const struct inode *inode, struct timespec64 now)
{
	s64 cookie = atomic64_read(&NEXUS_I(inode)->cookie);

	return nexus_behind(nexus_ns(now), cookie) ? ns_to_timespec64(cookie + 1) : now;
}

void nexus_touched(struct inode *inode)
{
	struct timespec64 ctime = inode_get_ctime(inode);
	struct timespec64 after = nexus_after(inode, ctime);

	if (timespec64_equal(&ctime, &after))
		return;
	inode_set_ctime_to_ts(inode, after);
	mark_inode_dirty_sync(inode);
}
