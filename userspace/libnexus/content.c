// SPDX-License-Identifier: Apache-2.0
/* Where content is: an ioctl of the module as C functions. */
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>

#include <nexus/content.h>

static int call(int fd, struct nexus_content *c, struct nexus_content_state *state)
{
	int err = ioctl(fd, NEXUS_IOC_CONTENT, c) ? -errno : 0;

	state->data = c->data;
	state->away = c->away;
	state->brought = c->brought;
	return err;
}

NEXUS_EXPORT int nexus_content_look(int fd, uint64_t offset, uint64_t len,
				    struct nexus_content_state *state)
{
	struct nexus_content c = { .offset = offset, .len = len };

	return call(fd, &c, state);
}

NEXUS_EXPORT uint64_t nexus_content_since(void)
{
	struct timespec ts;

	/* Not ahead of what the module takes the time of uses from. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

NEXUS_EXPORT int nexus_content_warm(int fd, uint64_t offset, uint64_t len, uint64_t since,
				    struct nexus_content_state *state)
{
	struct nexus_content c = {
		.offset = offset, .len = len, .flags = NEXUS_CONTENT_WARM, .since = since,
	};

	return call(fd, &c, state);
}
