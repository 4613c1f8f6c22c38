/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials out of what a service answers, parsed in locked memory. */
#ifndef NEXUS_S3_PARSE_H
#define NEXUS_S3_PARSE_H

#include <stddef.h>
#include <stdint.h>

/** struct creds_fields - what an answer has; NULL: it has not.  In the arena */
struct creds_fields {
	const char *access_key;
	const char *secret_key;
	const char *token;
	const char *expiration;
	const char *code;	/* of an error, or "Success" */
};

struct creds_arena;

/* Once, before others: the JSON library takes its memory from the arena. */
void creds_parse_library(void);

/** creds_arena_open() - memory for one answer; NULL: none that may be locked */
struct creds_arena *creds_arena_open(void);
/** creds_arena_close() - wiped, and all fields with it; NULL is allowed */
void creds_arena_close(struct creds_arena *arena);

/** creds_parse_json() - of the container agent and the instance metadata; 0, -EPROTO */
int creds_parse_json(struct creds_arena *arena, const char *text, size_t len,
		     struct creds_fields *fields);
/** creds_parse_xml() - of the token service, an error too; 0, -EPROTO */
int creds_parse_xml(struct creds_arena *arena, const char *text, size_t len,
		    struct creds_fields *fields);
/** creds_parse_time() - "2026-11-28T12:00:00Z", with a fraction or not; 0, -EPROTO */
int creds_parse_time(const char *text, int64_t *seconds);

#endif /* NEXUS_S3_PARSE_H */
