/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The deterministic state machine of a zone: one record against one store.
 *
 * Apply uses no clock, no random numbers and no iteration order but that of
 * keys.  The same records on the same store give the same bytes, in the module,
 * the helper and the tests.
 */
#ifndef NEXUS_LIB_APPLY_H
#define NEXUS_LIB_APPLY_H

#include "kv.h"
#include "record.h"

/* What failed, for messages; filled on error. */
struct nexus_apply_error {
	u64	lsn;
	u16	type;
	u64	ino;
	const char *what;	/* static text, e.g. "entry exists" */
};

/*
 * Applies one record that passed nexus_rec_check().  Returns 0; -EUCLEAN when
 * a precondition or a stored value is wrong (nothing was changed by a failed
 * precondition); -ENOMEM, -EIO of the store (the caller must discard the
 * store's uncommitted state and apply again).
 */
int nexus_apply(struct nexus_kv *kv, const struct nexus_rec_head *rec,
		struct nexus_apply_error *err);

/*
 * Writes an empty zone: root directory (mode, uid, gid, now) and quota totals.
 * Z and N are the caller's.
 */
int nexus_apply_mkfs(struct nexus_kv *kv, u32 mode, u32 uid, u32 gid,
		     struct nexus_time now);

/* True for keys that only log records change (all but Z and N). */
bool nexus_key_logged(u8 letter);

#endif /* NEXUS_LIB_APPLY_H */
