// SPDX-License-Identifier: Apache-2.0
/* A transaction, until it is not in the way of another. */
#include "drivers/recordstore/common.h"

int record_run(struct nexus_records *records, enum nexus_record_mode mode,
	       nexus_record_work work, void *arg, struct nexus_record_fault *fault)
{
	struct nexus_record_tx *tx;
	unsigned int tries;
	int ret = -EAGAIN;

	for (tries = 0; tries < NEXUS_RECORD_TRIES && ret == -EAGAIN; tries++) {
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
