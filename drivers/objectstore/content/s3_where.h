/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of content in S3: "//BUCKET[/PREFIX][;KEY=VALUE]...". */
#ifndef NEXUS_CONTENT_S3_WHERE_H
#define NEXUS_CONTENT_S3_WHERE_H

#include "drivers/objectstore/s3/s3.h"
#include "drivers/content.h"

/* One text, cut up; what @set points to lies in it. */
struct s3_where {
	char text[CONTENT_SPEC_MAX];
	struct s3_settings set;	/* without prefix */
	const char *prefix;	/* without a '/' at either end; "" for none */
	const char *profile;	/* of credentials; NULL: none */
	const char *key_file;	/* of SSE-C; NULL: another encryption, or none */
	const char *zone;	/* uuid of the one to be restored; NULL: the only one there */
};

/* 0, or -EINVAL with a line that says what is wrong. */
int s3_where_parse(const char *where, struct s3_where *w, struct errline *err);

/*
 * The line is kept in a file, and shown: -EINVAL with a line, not with what nobody may see, if
 * that is in it.  For who is about to keep it; a zone that has it already is opened all the same.
 */
int s3_where_no_secret(const char *where, struct errline *err);

#endif /* NEXUS_CONTENT_S3_WHERE_H */
