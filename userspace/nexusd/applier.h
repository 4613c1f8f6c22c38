/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The applier of a zone: records of the log, in order, into the memtable.
 *
 * Records come from the ring the kernel maps to us; what the ring no longer has
 * comes from the segments, up to the durable LSN.  One thread applies at a
 * time; a thread whose request needs a newer state than there is does the work
 * itself.
 */
#ifndef NEXUSD_APPLIER_H
#define NEXUSD_APPLIER_H

#include <linux/nexusfs.h>

#include "lib/apply.h"
#include "lib/logdata.h"
#include "memtable.h"
#include "poison.h"
#include "seglog.h"

/* What the applier tells its zone; called with its lock held. */
struct applier_ops {
	/* The applied LSN moved. */
	void (*progress)(void *ctx, u64 applied);
	/* The memtable is at its limit. */
	void (*full)(void *ctx);
	/* The zone cannot go on: a record at @lsn is wrong. */
	void (*fail)(void *ctx, int error, u64 lsn, const char *reason);
};

struct applier {
	pthread_mutex_t lock;
	struct memtable *mt;
	const struct applier_ops *ops;
	void *ctx;
	u64 limit;			/* bytes of memtable */

	/* The ring; NULL before the zone is attached. */
	const struct nexus_log_ctl *ctl;
	const u8 *ring;
	u64 ring_size;
	/* The segments, for what left the ring. */
	struct seglog *log;
	u64 incarnation;

	struct poison poison;
	struct nexus_omap overlay;
	struct nexus_logdata data;	/* content that only the log has, at what is published */
	u8 *buf;
	u64 pos;			/* next LSN */
	int error;			/* for good */

	pthread_mutex_t wait_lock;
	pthread_cond_t wait_cond;
	bool stopped;			/* wait_lock: nobody should wait any more */

	u64 records;			/* statistics */
	u64 overruns;
};

int applier_init(struct applier *a, struct memtable *mt, u64 pos, u64 limit,
		 const struct applier_ops *ops, void *ctx);
void applier_destroy(struct applier *a);
void applier_set_ring(struct applier *a, const struct nexus_log_ctl *ctl,
		      const u8 *ring, u64 ring_size);

/* Applies [records, + len), the first of which is at a->pos; lock held. */
int applier_apply(struct applier *a, const u8 *records, size_t len);

/*
 * What the log holds from its LSN @from on and the index is past already: only content
 * that is in force matters.  Before anything is applied; the records are durable.
 * 0, -ENOENT: they are not there, -ENOMEM.
 */
int applier_look_back(struct applier *a, u64 from);
/* The same, of records that the caller has; lock held. */
int applier_take_data(struct applier *a, const u8 *records, size_t len);
/* From where on the log is needed when the index holds it up to @lsn; lock held. */
u64 applier_log_from(const struct applier *a, u64 lsn);

/*
 * Applies what there is, up to @upto at least (0: all).  0; -ENOBUFS when the
 * memtable is full; the zone's error once it failed.
 */
int applier_run(struct applier *a, u64 upto);

/*
 * Waits until everything below @lsn is applied.  0; the zone's error; -ESHUTDOWN
 * once stopped; -ETIMEDOUT.
 */
int applier_wait(struct applier *a, u64 lsn, unsigned int timeout_ms);
/* Wakes every waiter, for good. */
void applier_stop(struct applier *a);

#endif /* NEXUSD_APPLIER_H */
