/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's counters, as nexusctl stats --json prints them. */
#ifndef NX_STATS_H
#define NX_STATS_H

#include "nx.h"

#include <glob.h>

/*
 * Who counts has the machine to itself: what others left dirty is written before, and
 * nothing by the clock meanwhile.  A flusher that wakes also writes all of a filesystem
 * that has more dirty than its share of what may be, and the share of one that has
 * written little is next to nothing: so it gets more.  For as long as the program runs;
 * in its first process, which outlives those of the tests.
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

struct nx_stats {
	char *text;
};

static inline bool nx_stats_read(struct nx_stats *s)
{
	FILE *f = popen("nexusctl stats --json", "r");
	size_t len;

	s->text = calloc(1, 1 << 20);
	if (!f)
		return false;
	len = fread(s->text, 1, (1 << 20) - 1, f);
	return !pclose(f) && len > 2;
}

static inline void nx_stats_free(struct nx_stats *s)
{
	free(s->text);
}

/*
 * The first value that is called @name: {"name": "NAME", …, "value": N}; -1 if there
 * is none.
 */
static inline int64_t nx_stat_of(const struct nx_stats *s, const char *name)
{
	char full[160], *at, *value, *end;

	snprintf(full, sizeof(full), "\"%s\"", name);
	at = strstr(s->text, full);
	if (!at)
		return -1;
	value = strstr(at, "\"value\"");
	end = strstr(at + 1, "\"name\"");
	if (!value || (end && end < value))
		return -1;
	value += strlen("\"value\"");
	value += strspn(value, " :\"\n\t");
	return strtoll(value, NULL, 10);
}

/* The value of the counter @name of the module; -1 if there is none. */
static inline int64_t nx_stat(const struct nx_stats *s, const char *name)
{
	char full[128];

	snprintf(full, sizeof(full), "nexus_module_%s_total", name);
	return nx_stat_of(s, full);
}

/* How much @name grew from @a to @b. */
static inline int64_t nx_grew(const struct nx_stats *a, const struct nx_stats *b,
			      const char *name)
{
	return nx_stat(b, name) - nx_stat(a, name);
}

#endif
