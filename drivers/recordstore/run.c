// SPDX-License-Identifier: Apache-2.0
/* A transaction, until it is not in the way of another. */
#include <time.h>

#include "drivers/recordstore/common.h"

#define PAUSE_MAX_NS	20000000u

/* Two that met once would meet again, if each took as long as the other. */
static void pause_a_little(unsigned int tries)
{
	struct timespec now, pause = { 0, 0 };
	uint64_t seed, most = (uint64_t)100000 << tries;

	clock_gettime(CLOCK_MONOTONIC, &now);
	/* The place on the stack tells threads apart, the clock one try from the next. */
	seed = ((uint64_t)(uintptr_t)&now ^ (uint64_t)now.tv_nsec) * 0x9e3779b97f4a7c15ull >> 32;
	pause.tv_nsec = (long)(seed % (most < PAUSE_MAX_NS ? most : PAUSE_MAX_NS));
	nanosleep(&pause, NULL);
}

int record_run(struct nexus_records *records, enum nexus_record_mode mode,
	       nexus_record_work work, void *arg, struct nexus_record_fault *fault)
{
	struct nexus_record_tx *tx;
	unsigned int tries;
	int ret = -EAGAIN;

	for (tries = 0; tries < NEXUS_RECORD_TRIES && ret == -EAGAIN; tries++) {
		if (tries)
			pause_a_little(tries);
		ret = nexus_record_begin(records, mode, fault, &tx);
		if (ret)
			continue;
		ret = work(records, tx, arg);
		if (ret)
			nexus_record_rollback(records, tx);
		else
			ret = nexus_record_commit(records, tx);
	}
	return ret;
}
