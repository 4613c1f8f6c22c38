// SPDX-License-Identifier: Apache-2.0
/* Service mount: object stores that are mounted, for the registry. */
#include "rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS	1000
#define LAST_MS		60000

static int op_attach(void *self, void *args)
{
	return mounts_attach(&((struct mount_service *)self)->mounts, args);
}

static int op_detach(void *self, void *args)
{
	return mounts_detach(&((struct mount_service *)self)->mounts, args);
}

static int op_list(void *self, void *args)
{
	struct mount_service *s = self;

	return mounts_list(&s->mounts, args, s->host->args_more);
}

static int op_save(void *self, void *args)
{
	return mounts_save(&((struct mount_service *)self)->mounts, args);
}

static int64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int64_t now_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

static int64_t mono_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static void say(void *arg, bool bad, const char *line)
{
	/* struct run is all that the machine has. */
	struct mount_service *s = (struct mount_service *)((char *)arg -
							   offsetof(struct mount_service, run));

	s->host->log(s->me, bad ? NEXUS_SERVICE_WARNING : NEXUS_SERVICE_INFO, line);
}

static int mount_init(const struct nexus_service_host *host, struct nexus_service *me,
		      void **self)
{
	struct mount_service *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->host = host;
	s->me = me;
	s->machine = (struct mounts_machine){
		.table = run_table, .attach = run_attach, .detach = run_detach, .say = say,
		.now_ms = now_ms, .mono_ms = mono_ms, .arg = &s->run,
	};
	*self = s;
	return 0;
}

static int mount_start(void *self)
{
	struct mount_service *s = self;
	uint64_t seconds = NEXUS_MOUNT_TIMEOUT;
	char words[128] = "", line[200];
	int dirfd, ret;

	s->host->setting(s->me, "timeout", &seconds);
	dirfd = s->host->state_dir(s->me);
	if (dirfd < 0)
		return dirfd;
	ret = run_init(&s->run, dirfd, (int64_t)seconds * 1000);
	if (ret) {
		close(dirfd);
		return ret;
	}
	s->mounts.first_ms = FIRST_MS;
	s->mounts.last_ms = LAST_MS;
	ret = mounts_open(&s->mounts, &s->machine, dirfd, words);
	if (ret) {
		if (words[0]) {
			snprintf(line, sizeof(line), "services/mount/%s: %s", KEEP_FILE, words);
			s->host->log(s->me, NEXUS_SERVICE_ERROR, line);
		}
		run_destroy(&s->run);
		return ret;
	}
	s->open = true;
	ret = mounts_begin(&s->mounts);
	if (ret)
		s->host->log(s->me, NEXUS_SERVICE_ERROR,
			     "no thread to be had: what is saved is not attached");
	return 0;
}

/* What is mounted stays. */
static int mount_stop(void *self)
{
	struct mount_service *s = self;

	run_stop(&s->run);
	mounts_end(&s->mounts);
	return 0;
}

static void mount_cleanup(void *self)
{
	struct mount_service *s = self;

	if (s->open) {
		mounts_close(&s->mounts);
		run_destroy(&s->run);
	}
	free(s);
}

static const struct nexus_mount_ops ops = {
	.attach = op_attach,
	.detach = op_detach,
	.list = op_list,
	.save = op_save,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_MOUNT, NEXUS_MOUNT_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "mount",
	.version = "1.0",
	.provides = provides,
	.service_init = mount_init,
	.service_start = mount_start,
	.service_stop = mount_stop,
	.service_cleanup = mount_cleanup,
	.rpc = mount_rpc,
};
