/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the S3 client share: a client of the server that the environment names. */
#ifndef TEST_S3_WORLD_H
#define TEST_S3_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/objectstore/s3/creds.h"
#include "drivers/objectstore/s3/s3.h"

/** struct world_client - a client and its provider */
struct world_client {
	struct s3_provider *provider;
	struct s3 *s3;
};

/* Settings for the bucket of this process, and the names of the environment. */
struct s3_settings world_settings(void);
const char *world_env(const char *name);
/* A client, with the keys of the environment, or with others. */
struct world_client world_open(const struct s3_settings *set);
struct world_client world_open_as(const struct s3_settings *set, const char *access, const char *secret);
void world_close(struct world_client *client);

/* cmocka's group functions: everything is set up, the bucket is made; it is emptied. */
int world_begin(void **state);
int world_end(void **state);

/* Bytes that follow from @seed. */
void world_fill(void *buf, size_t len, unsigned int seed);

/* Put, fails the test unless it ends with @error; get the same. */
void world_put(struct s3 *s3, const char *key, const void *data, size_t len, int error);
void world_expect(struct s3 *s3, const char *key, const void *data, size_t len);

/* A line to the proxy's control port (tests/unit/s3/fault-proxy), and the number it answers. */
unsigned int world_tell(const char *line);
/* @what happens to the next @count requests with @filter in their first line. */
void world_fault(const char *what, unsigned int count, const char *filter);

/** struct world_count - an s3_done_fn's context that counts */
struct world_count {
	atomic_uint ended, failed;
	atomic_int error;	/* the last */
};

void world_counted(void *ctx, const struct s3_result *result);
/* Until @n have ended. */
void world_wait(struct world_count *count, unsigned int n);

#endif /* TEST_S3_WORLD_H */
