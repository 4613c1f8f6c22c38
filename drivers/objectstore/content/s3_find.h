/* SPDX-License-Identifier: Apache-2.0 */
/* Which zone's content is in a store: that of the one folder there with a uuid for a name. */
#ifndef NEXUS_CONTENT_S3_FIND_H
#define NEXUS_CONTENT_S3_FIND_H

#include <stdatomic.h>

#include "drivers/objectstore/s3/s3.h"
#include "drivers/content.h"

#define S3_ZONE_TEXT	40u	/* "UUID/" with its NUL */

/* "UUID/", with '-' where they belong. */
void s3_zone_text(const __u8 zone[NEXUS_UUID_SIZE], char text[S3_ZONE_TEXT]);
/* The uuid alone, in lower case; 0 or -EINVAL. */
int s3_zone_parse(const char *uuid, __u8 zone[NEXUS_UUID_SIZE]);
/*
 * Below the prefix of @s3.  0; -ENOENT: there is none; -ENOTUNIQ: several; or what is wrong
 * with the store; with a line.  Waits.
 */
int s3_find_zone(struct s3 *s3, const atomic_bool *stop, __u8 zone[NEXUS_UUID_SIZE],
		 struct errline *err);

#endif /* NEXUS_CONTENT_S3_FIND_H */
