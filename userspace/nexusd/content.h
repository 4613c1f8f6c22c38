/* SPDX-License-Identifier: Apache-2.0 */
/* Which driver holds content that is not here, and how it is had. */
#ifndef NEXUSD_CONTENT_H
#define NEXUSD_CONTENT_H

#include "drivers/content.h"

#include "log.h"

extern const struct content_ops content_test;

/* Where objects of drivers are that are not built in; before anything is opened. */
void content_set_dir(const char *drivers_dir);
/*
 * Loads the driver that @spec needs, unless it is there.  One that reads secrets in the
 * environment hides them, so if there are any it is loaded before there are threads.
 */
int content_load(const char *spec, struct errline *err);
/*
 * Opens what the setting @spec names, NULL for "none".  Whether it is well-formed is
 * for content_spec_ok() to say, without opening anything.
 */
int content_open(const char *spec, const __u8 *zone, const atomic_bool *stop,
		 struct content **c, struct errline *err);
void content_close(struct content *c);
/* A bucket of others, "s3://BUCKET/PREFIX;KEY=VALUE...", as its driver opens it. */
int content_open_bucket(const char *spec, const atomic_bool *stop, struct bucket_store **b,
			struct errline *err);
/* What has gone wrong with @c, in words, behind those of @error; @buf or theirs. */
const char *content_why(struct content *c, int error, char *buf, size_t size);
bool content_spec_ok(const char *spec);
struct pack_image;

/*
 * pack_image_bytes() of the sealed pack @img are held, and *put tells whether they had to be
 * given.  An object may be longer, up to the whole pack.  -ENODATA: some of it is elsewhere
 * only, so the file is not to be given, and the object is not there.  -EBADFD: the file
 * cannot be read.  Other errors are the driver's.
 */
int content_put_pack(struct content *c, const struct pack_image *img, bool *put);
/* Whether that error is of the file here, not of the store; and it in words. */
bool content_put_local(int error);
const char *content_put_why(int error);

#endif /* NEXUSD_CONTENT_H */
