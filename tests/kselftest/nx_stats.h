/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's counters, as nexusctl stats --json prints them. */
#ifndef NX_STATS_H
#define NX_STATS_H

#include "nx.h"

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

/* Its value now; others of the machine must be still who count there, too. */
static inline int64_t nx_counter(const char *name)
{
	struct nx_stats s;
	int64_t n = -1;

	if (nx_stats_read(&s))
		n = nx_stat(&s, name);
	nx_stats_free(&s);
	return n;
}

#endif
