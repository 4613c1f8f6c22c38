/* SPDX-License-Identifier: Apache-2.0 */
/* The key of SSE-C, which the server is told with every request and does not keep. */
#ifndef NEXUS_CONTENT_S3_KEY_H
#define NEXUS_CONTENT_S3_KEY_H

#include "drivers/errline.h"

/*
 * Reads the key, 32 bytes for AES-256, from the file @path: 44 characters of base64, and a line's
 * end or none.  *key is locked memory, for secret_free().
 *
 * Returns 0, or with a line that shows nothing of the file: -EPERM: others may read it;
 * -EINVAL: it is not a key; why it cannot be read.
 */
int s3_key_read(const char *path, unsigned char **key, struct errline *err);

#endif /* NEXUS_CONTENT_S3_KEY_H */
