/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a test which step of a service runs: a line to the descriptor it names. */
#ifndef NEXUS_TEST_TRACE_H
#define NEXUS_TEST_TRACE_H

#include <stdio.h>
#include <stdlib.h>

static void trace(const char *step)
{
	const char *fd = getenv("NEXUS_TEST_TRACE");

	if (fd)
		dprintf(atoi(fd), "%s\n", step);
}

#endif /* NEXUS_TEST_TRACE_H */
