/* SPDX-License-Identifier: Apache-2.0 */
/* Service eventlog, between service.c and rpc.c. */
#ifndef EVENTLOG_SERVICE_H
#define EVENTLOG_SERVICE_H

#include "elog.h"
#include "feeder.h"
#include "table.h"

struct eventlog {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	pthread_mutex_t opening;
	bool open;		/* opening; then never changed */
	struct elog log;
	struct feeder feeder;	/* to readers outside of the helper */
	struct ticker ticker;	/* for what is too old or too much */
	uint64_t max_bytes, max_age;	/* bytes, seconds; 0: any */
};

/* service.c */

/* The log is open then; -EAGAIN: a build before this one still has it. */
int eventlog_opened(struct eventlog *e);
/* Readers that wait for it are woken. */
int eventlog_append(struct eventlog *e, struct nexus_eventlog_append_args *a);

/* rpc.c */

extern const struct nexus_rpc_service eventlog_rpc[];
extern const struct feeder_ops eventlog_feeder_ops;

#endif /* EVENTLOG_SERVICE_H */
