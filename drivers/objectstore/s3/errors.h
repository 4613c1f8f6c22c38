/* SPDX-License-Identifier: Apache-2.0 */
/* What S3, HTTP and libcurl call an error, and what it is here: one table. */
#ifndef NEXUS_S3_ERRORS_H
#define NEXUS_S3_ERRORS_H

#include <stdbool.h>

#include "retry.h"

enum s3_class {
	S3_DONE,	/* final: trying again gives the same */
	S3_AGAIN,	/* try again */
	S3_LESS,	/* try again, and with fewer at once */
	S3_CREDS,	/* new credentials may help */
	S3_CLOCK,	/* the time of this machine is off; the answer has the right one */
};

/**
 * struct s3_meaning - of a failure
 *
 * @error: negative errno
 * @verdict: what it tells about the endpoint
 * @words: for the user, where the server's own are not enough; may be NULL
 */
struct s3_meaning {
	int error;
	enum s3_class class;
	enum s3_verdict verdict;
	const char *words;
};

/**
 * s3_error_of() - the meaning of a failed attempt
 * @curl: CURLcode; not 0: there is no complete answer
 * @status: of HTTP
 * @code: <Code> of the answer; "" when there is none
 */
struct s3_meaning s3_error_of(int curl, int status, const char *code);

#endif /* NEXUS_S3_ERRORS_H */
