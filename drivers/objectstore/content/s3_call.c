// SPDX-License-Identifier: Apache-2.0
#include "s3_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS	50000000L	/* between two looks at *stop */

struct s3_call *s3_call_new(size_t len)
{
	struct s3_call *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	c->buf = len ? malloc(len) : NULL;
	if (len && !c->buf) {
		free(c);
		return NULL;
	}
	c->fd = -1;
	c->refs = 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
	/* For the request, until that has not begun. */
	c->refs++;
	return c;
}

/* lock held, and given up. */
static void drop(struct s3_call *c)
{
	bool last = !--c->refs;

	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	s3_list_free(&c->list);
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void s3_call_done(void *ctx, const struct s3_result *result)
{
	struct s3_call *c = ctx;

	pthread_mutex_lock(&c->lock);
	c->result = *result;
	c->over = true;
	pthread_cond_signal(&c->cond);
	drop(c);
}

static void wait_a_little(struct s3_call *c)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += LOOK_NS;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_nsec -= 1000000000L;
		at.tv_sec++;
	}
	pthread_cond_timedwait(&c->cond, &c->lock, &at);
}

int s3_call_wait(struct s3_call *c, int started, const atomic_bool *stop)
{
	int ret = -ESHUTDOWN;

	pthread_mutex_lock(&c->lock);
	if (started) {
		c->refs--;
		c->over = true;
		c->result.error = started;
		s3_fault_set(&c->result.fault, 0, "%s", strerror(-started));
	}
	while (!c->over && !atomic_load(stop))
		wait_a_little(c);
	if (c->over)
		ret = c->result.error == -ECANCELED ? -ESHUTDOWN : c->result.error;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

void s3_call_put(struct s3_call *c)
{
	pthread_mutex_lock(&c->lock);
	drop(c);
}
