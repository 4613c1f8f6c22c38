// SPDX-License-Identifier: Apache-2.0
/* Numbers on the command line; all are false for what is none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nexusctl.h"

/* The digits that @text begins with, and what is behind them. */
static bool digits(const char *text, int base, uint64_t *n, const char **rest)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, base);
	*rest = end;
	return *text >= '0' && *text < '0' + base && !errno;
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	const char *rest;

	return digits(text, 10, n, &rest) && !*rest && *n >= min && *n <= max;
}

bool parse_units(const char *text, const char *units, const uint64_t *factors,
		 uint64_t max, uint64_t *n)
{
	const char *rest, *unit;

	if (!digits(text, 10, n, &rest))
		return false;
	if (*rest) {
		unit = strchr(units, *rest);
		if (!unit || rest[1] || *n > max / factors[unit - units])
			return false;
		*n *= factors[unit - units];
	}
	return *n <= max;
}

bool parse_mode(const char *text, mode_t *mode)
{
	const char *rest;
	uint64_t n;

	if (!digits(text, 8, &n, &rest) || *rest || n > 07777)
		return false;
	*mode = (mode_t)n;
	return true;
}

bool parse_timeout(const char *text, int64_t *ms)
{
	char *end;
	double s;

	if (!text) {
		*ms = INT64_MAX;
		return true;
	}
	if (*text < '0' || *text > '9' || strspn(text, "0123456789.") != strlen(text))
		return false;
	s = strtod(text, &end);
	if (*end || s > 2147483)
		return false;
	*ms = (int64_t)(s * 1000 + 0.5);
	return true;
}
