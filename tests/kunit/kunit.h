/* SPDX-License-Identifier: GPL-2.0-only */
/* What the KUnit suites share. */
#ifndef NEXUS_KUNIT_H
#define NEXUS_KUNIT_H

#include <kunit/test.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/sched.h>

#include "../../kmod/nexusfs.h"
#include "../../lib/omap.h"

extern struct kunit_suite nexus_codec_suite;
extern struct kunit_suite nexus_record_suite;
extern struct kunit_suite nexus_apply_suite;
extern struct kunit_suite nexus_reply_suite;
extern struct kunit_suite nexus_zone_suite;
extern struct kunit_suite nexus_log_suite;
extern struct kunit_suite nexus_options_suite;
extern struct kunit_suite nexus_tree_suite;
extern struct kunit_suite nexus_chan_suite;
extern struct kunit_suite nexus_plock_suite;
extern struct kunit_suite nexus_lease_suite;
extern struct kunit_suite nexus_ring_suite;
extern struct kunit_suite nexus_stream_suite;

static const struct nexus_time nexus_test_time = { .s = 1700000000, .ns = 7 };

/*
 * A CREATE record of a file or directory (of mode) named @name at @pos of
 * @parent, freed with the test.
 */
static inline struct nexus_rec_create *
nexus_test_create(struct kunit *test, u64 parent, u64 pos, u64 ino, u32 mode,
		  const char *name, const char *content)
{
	size_t contentlen = content ? strlen(content) : 0;
	size_t len = nexus_rec_create_len(strlen(name), contentlen, 0);
	struct nexus_rec_create *rec = kunit_kzalloc(test, len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rec);
	nexus_rec_init(&rec->head, len, NEXUS_REC_CREATE, 0, nexus_test_time);
	rec->parent = cpu_to_le64(parent);
	rec->pos = cpu_to_le64(pos);
	rec->ino = cpu_to_le64(ino);
	rec->data_id = cpu_to_le64(ino);
	rec->generation = cpu_to_le32(1);
	rec->mode = cpu_to_le32(mode);
	nexus_rec_create_body(rec, name, strlen(name), content, contentlen);
	return rec;
}

/* A zone in memory, mounted: kern_unmount() it, which is done when that returns; or an error. */
static inline struct vfsmount *nexus_test_mount(void)
{
	char options[] = "mem";

	return vfs_kern_mount(&nexus_fs_type, SB_KERNMOUNT, "kunit", options);
}

/* The end of a thread, which must not be in here any more once it is stopped.  Sleeps. */
static inline int nexus_test_stay(void)
{
	for (;; schedule()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

#endif /* NEXUS_KUNIT_H */
