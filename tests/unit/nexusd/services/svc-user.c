// SPDX-License-Identifier: Apache-2.0
/* A service that needs another: it holds a reference from start to stop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/service.h>
#include <nexus/services/echo.h>

#include "trace.h"

#ifndef NEEDS
#define NEEDS		NEXUS_ECHO
#endif
#ifndef MIN_VERSION
#define MIN_VERSION	1
#endif

struct user {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct nexus_ref *ref;
};

static int pass_on(void *self, void *args)
{
	struct user *u = self;

	return nexus_service_call(u->host, u->ref, struct nexus_echo_ops, echo, args, 0);
}

static int user_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct user *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->host = host;
	u->me = me;
	*self = u;
	return 0;
}

static int user_start(void *self)
{
	struct user *u = self;
	struct nexus_ref *none;

	trace("start " NAME);
	if (u->host->get(u->me, "test.undeclared", &none) != -EPERM)
		return -EBADE;
#ifdef START_FAILS
	return u->host->get(u->me, NEEDS, &u->ref) ? -EBADE : -ENOTUNIQ;
#else
	return u->host->get(u->me, NEEDS, &u->ref);
#endif
}

static int user_stop(void *self)
{
	struct user *u = self;

	trace("stop " NAME);
#ifndef LEAKS
	u->host->put(u->ref);
#endif
	u->ref = NULL;
	return 0;
}

static void user_cleanup(void *self)
{
	struct user *u = self;

	trace("cleanup " NAME);
#ifndef LEAKS
	u->host->put(u->ref);
#endif
	free(u);
}

static const struct nexus_echo_ops ops = { .echo = pass_on };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL("test." NAME, 1, ops),
	NEXUS_PROTOCOLS_END,
};

static const struct nexus_need needs[] = {
	{ NEEDS, MIN_VERSION },
	NEXUS_NEEDS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = NAME,
	.version = "1",
	.provides = provides,
	.needs = needs,
	.service_init = user_init,
	.service_start = user_start,
	.service_stop = user_stop,
	.service_cleanup = user_cleanup,
};
