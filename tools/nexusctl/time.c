// SPDX-License-Identifier: Apache-2.0
/* Times as people read them. */
#include <time.h>

#include "nexusctl.h"

void local_time(char text[32], uint64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!s || !localtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(text, 32, "never");
}
