/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the driver "s3". */
#ifndef NEXUS_CONTENT_S3_IMPL_H
#define NEXUS_CONTENT_S3_IMPL_H

#include <time.h>

#include "drivers/content.h"
#include "s3_call.h"

#define KEY_ROOM	256u	/* of "packs/..." and of names */

#define PACKS		"packs/"
#define PACKS_END	"packs0"	/* what would follow the last pack */

/* A client, for all who have its store open. */
struct s3_content {
	struct s3_content *next;	/* shared.lock in s3_open.c, as is */
	unsigned int refs;
	char *where;
	__u8 zone[NEXUS_UUID_SIZE];
	pthread_mutex_t lock;
	struct s3 *s3;
	bool over;			/* lock; for the provider's thread */
	struct s3_provider *provider;
	struct s3_fault fault;		/* lock; the last, as it was logged */
	time_t opened;
	bool swept;			/* lock; the sweeper was started */
	pthread_t sweeper;
};

/* One who has it open, and may give up waiting alone. */
struct s3_handle {
	struct content c;
	struct s3_content *s;		/* a reference */
};

static inline struct s3_content *to_s3_content(struct content *c)
{
	return ((struct s3_handle *)c)->s;
}

/* The symbol that the object has. */
__attribute__((visibility("default"))) extern const struct content_ops nexus_content_driver;

/*
 * The call is over, with @ret, which is returned: what is wrong is logged, but for what is
 * an answer, as @answer is.
 */
int s3_end_call(struct s3_content *s, struct s3_call *c, int ret, int answer);

/* s3_open.c */
/*
 * Opens what @where says.  @bucket: what is right below the prefix, for who asks in front of
 * somebody who waits; @zone: as in struct content_ops.
 */
int s3_content_make(const char *where, const __u8 *zone, bool bucket, const atomic_bool *stop,
		    struct s3_content **s, struct errline *err);
/* It goes, with all that is under way in it; of one that nobody shares. */
void s3_content_end(struct s3_content *s);
/* One reference less. */
void s3_content_drop(struct s3_content *s);
/* Something could be put: what others left is looked for, once. */
void s3_begin_sweep(struct s3_content *s);
/* As in struct content_ops; who opens the same for the same zone shares a client. */
int s3_content_begin(void (*log)(enum log_level level, const char *fmt, ...), struct errline *err);
int s3_content_open(const char *where, const __u8 *zone, const atomic_bool *stop,
		    struct content **c, struct errline *err);
void s3_content_close(struct content *c);

/* s3_bucket.c */
extern const struct bucket_ops s3_bucket_ops;

/* s3_list.c */
/* As in struct content_ops */
int s3_list_named(struct content *c, const char *prefix,
		  int (*fn)(void *arg, const char *name, __u64 bytes), void *arg);
int s3_list_page(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg);
int s3_uploads_page(struct content *c, char **token, __s64 *now, content_upload_fn fn, void *arg);
int s3_abort_upload(struct content *c, const char *key, const char *id);
int s3_del_packs(struct content *c, const __u64 *packs, size_t n, int *errors);

#endif /* NEXUS_CONTENT_S3_IMPL_H */
