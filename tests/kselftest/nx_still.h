/* SPDX-License-Identifier: GPL-2.0-only */
/* Nothing is written but by who asks for it. */
#ifndef NX_STILL_H
#define NX_STILL_H

#include "nx.h"

#include <glob.h>

/*
 * Who includes this and counts what is written has the machine to itself: what others
 * left dirty is written before, and nothing by the clock meanwhile.  A flusher that wakes
 * also writes all of a filesystem that has more dirty than its share of what may be, and
 * the share of one that has written little is next to nothing: so it gets more.  For as
 * long as the program runs; in its first process, which outlives those of the tests.
 *
 * Not for tests in a group with little memory: writers there live on what flushers do.
 */
#define NX_WRITEBACK	"/proc/sys/vm/dirty_writeback_centisecs"
#define NX_SHARES	"/sys/class/bdi/nexusfs-*/min_ratio"

static char nx_writeback_was[32];
static pid_t nx_writeback_by;

static inline void nx_tell_file(const char *path, const char *value)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(value, f) < 0 || fclose(f))
		perror(path);
}

static inline void nx_writeback_set(const char *centisecs, const char *share)
{
	glob_t found;
	size_t i;

	nx_tell_file(NX_WRITEBACK, centisecs);
	if (glob(NX_SHARES, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		nx_tell_file(found.gl_pathv[i], share);
	globfree(&found);
}

__attribute__((constructor)) static void nx_writeback_stop(void)
{
	FILE *f;

	if (getenv("NEXUS_NO_DROP"))
		return;
	f = fopen(NX_WRITEBACK, "re");
	if (f && fgets(nx_writeback_was, sizeof(nx_writeback_was), f)) {
		nx_writeback_by = getpid();
		nx_writeback_set("0", "20");
	}
	if (f)
		fclose(f);
	sync();
}

__attribute__((destructor)) static void nx_writeback_restore(void)
{
	if (nx_writeback_by == getpid())
		nx_writeback_set(nx_writeback_was, "0");
}

#endif
