/* SPDX-License-Identifier: Apache-2.0 */
/* Usage and limits of a zone, as people ask for them. */
#ifndef NEXUSD_QUOTA_H
#define NEXUSD_QUOTA_H

#include "zone.h"

typedef int (*quota_fn)(void *arg, const struct nexus_quota_reply *q);

/*
 * Calls @fn for every id of @kind from @from on, in their order; what it returns
 * other than 0 ends the walk and is returned.
 */
int quota_list(struct zone *z, u8 kind, u32 from, quota_fn fn, void *arg);
/* One id, zeros if there is no record. */
int quota_get(struct zone *z, u8 kind, u32 id, struct nexus_quota_reply *q);
/* Fills in the head of @rec and checks it: -EINVAL, -EOPNOTSUPP with a line. */
int quota_record(struct zone *z, struct nexus_rec_quota *rec, struct errline *err);
/* Makes @rec part of a mounted zone, by way of the kernel. */
int quota_submit(struct zone *z, struct nexus_rec_quota *rec, struct errline *err);

#endif /* NEXUSD_QUOTA_H */
