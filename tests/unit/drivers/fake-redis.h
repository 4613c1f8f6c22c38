/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that speaks just enough for a driver to connect, and then says what a test
 * wants, on a Unix socket in a folder of its own.
 */
#ifndef NEXUS_TEST_FAKE_REDIS_H
#define NEXUS_TEST_FAKE_REDIS_H

#include <stddef.h>
#include <stdint.h>

enum fake_end {
	FAKE_CLOSE,	/* it closes the connection behind it */
	FAKE_SILENT,	/* it says nothing more */
	FAKE_DRIP,	/* it says it again, a byte at a time and without an end */
	FAKE_FLOOD,	/* it says it again as fast as it can */
};

/**
 * struct fake_script - what it does
 * @good: so many commands of a connection are answered as they should be
 * @next: likewise, of the second connection; 0: as the first, one after the other
 * @say: then this is the answer; {g} in it is the generation it was told
 * @size: of @say
 * @end: and this comes behind it
 */
struct fake_script {
	unsigned int good;
	unsigned int next;
	const char *say;
	size_t size;
	enum fake_end end;
};

/* "socket=..."; one at a time. */
const char *fake_redis_begin(const struct fake_script *script);
void fake_redis_end(void);

#endif /* NEXUS_TEST_FAKE_REDIS_H */
