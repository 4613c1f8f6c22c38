/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Checking a whole store: what every sequence of records leaves true. */
#ifndef NEXUS_LIB_CHECK_H
#define NEXUS_LIB_CHECK_H

#include "kv.h"

struct nexus_check_problem {
	u8	letter;		/* kind of the key concerned */
	u64	id;		/* its number: inode, data id, pack, user */
	u64	other;		/* a second one (parent, pos, count found), or 0 */
	const char *what;	/* static text */
};

typedef void (*nexus_check_report)(void *arg,
				   const struct nexus_check_problem *problem);

/*
 * Reads every key, calls @report for every contradiction, changes nothing.
 * Returns the number of problems, or -ENOMEM, -EIO of the store.  It keeps a few
 * hundred bytes in memory for every inode, name and extent.
 */
s64 nexus_store_check(struct nexus_kv *kv, nexus_check_report report, void *arg);

#endif /* NEXUS_LIB_CHECK_H */
