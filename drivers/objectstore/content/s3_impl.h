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

struct s3_content {
	struct content c;
	pthread_mutex_t lock;
	struct s3 *s3;
	bool over;			/* lock; for the provider's thread */
	struct s3_provider *provider;
	struct s3_fault fault;		/* lock; the last, as it was logged */
	time_t opened;
	bool swept;			/* lock; the sweeper was started */
	pthread_t sweeper;
};

static inline struct s3_content *to_s3_content(struct content *c)
{
	return (struct s3_content *)c;
}

/*
 * The call is over, with @ret, which is returned: what is wrong is logged, but for what is
 * an answer, as @answer is.
 */
int s3_end_call(struct s3_content *s, struct s3_call *c, int ret, int answer);

/* s3_list.c: as in struct content_ops */
int s3_list_named(struct content *c, const char *prefix,
		  int (*fn)(void *arg, const char *name, __u64 bytes), void *arg);
int s3_list_page(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg);
int s3_del_packs(struct content *c, const __u64 *packs, size_t n, int *errors);

#endif /* NEXUS_CONTENT_S3_IMPL_H */
