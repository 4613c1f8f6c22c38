/* SPDX-License-Identifier: Apache-2.0 */
/* Text put together in a buffer of the caller's. */
#ifndef NEXUS_S3_TEXT_H
#define NEXUS_S3_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/** struct s3_text - what was put so far, always with a NUL behind it */
struct s3_text {
	char *p;
	size_t len;
	size_t size;	/* of the buffer, with the NUL */
	bool full;	/* something did not fit; what was put is of no use */
};

/** s3_text_init() - begin; @size is at least 1 */
void s3_text_init(struct s3_text *text, char *buf, size_t size);
void s3_text_put(struct s3_text *text, const char *data, size_t len);
void s3_text_str(struct s3_text *text, const char *str);
/**
 * s3_text_uri() - percent-encoded: every byte but A-Z a-z 0-9 - . _ ~, in upper
 *	case; at most 3 bytes for one
 *
 * @slash: '/' stays too
 */
void s3_text_uri(struct s3_text *text, const char *str, bool slash);
/** s3_text_hex() - in lower case */
void s3_text_hex(struct s3_text *text, const unsigned char *data, size_t len);

#endif /* NEXUS_S3_TEXT_H */
