/* SPDX-License-Identifier: Apache-2.0 */
/* A core that lives in memory: what the control socket is tested with. */
#ifndef TESTS_RPC_FAKE_H
#define TESTS_RPC_FAKE_H

#include <pthread.h>
#include <stdatomic.h>

#include "control.h"

#define FAKE_ZONES_MAX	64

/** struct fake_core - the state of the core */
struct fake_core {
	pthread_mutex_t lock;
	struct control_zone_info zones[FAKE_ZONES_MAX];
	size_t n;
	atomic_int slow_ms;		/* how long an upgrade takes */
	atomic_int slow;		/* upgrades begun */
	atomic_int packs;		/* of the zone "packs"; 3 at first */
	struct control_quota quota;	/* set last */
	atomic_uint flushes;		/* of the zone "packs" */
	atomic_uint gc_asked;		/* since the start */
	atomic_bool gc_run;
	atomic_int scrubbing;		/* the zone "packs" is */
	atomic_int services;		/* loaded: "chat" and "echo" */
	atomic_int calls;		/* of anything */
	char last_options[512];		/* of the last create: k=v,k=v */
};

extern const struct control_ops fake_ops;

/** fake_core_init() - an empty core */
void fake_core_init(struct fake_core *fake);

/** fake_clear() - forget all zones; how many there were */
size_t fake_clear(struct fake_core *fake);

#endif /* TESTS_RPC_FAKE_H */
