// SPDX-License-Identifier: Apache-2.0
/*
 * Service "echo" for tests: what it is told to do, it does in the operation.
 * Its answer to "who" is its version.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/service.h>
#include <nexus/services/echo.h>

#include "trace.h"

#ifndef NAME
#define NAME	"echo"
#endif
#ifndef VERSION
#define VERSION	"1"
#endif
#ifndef PROTOCOL
#define PROTOCOL NEXUS_ECHO
#endif
#ifndef PROTOCOL_VERSION
#define PROTOCOL_VERSION 1
#endif

static int told(struct nexus_echo_args *a)
{
	char c;

	if (!strncmp(a->in, "wait ", 5))	/* for a byte out of that descriptor */
		return read(atoi(a->in + 5), &c, 1) == 1 ? 0 : -EIO;
	if (!strcmp(a->in, "fork"))
		return fork() > 0 ? 0 : -ECHILD;
	if (!strcmp(a->in, "fail"))
		return -ENOTTY;
	return 0;
}

static int echo(void *self, void *args)
{
	struct nexus_echo_args *a = args;
	char *more;
	int ret;

	(void)self;
	if (a->len >= sizeof(a->in))
		return -EMSGSIZE;
	ret = told(a);
	memcpy(a->out, a->in, a->len);
	if (!strcmp(a->in, "who"))
		strcpy(a->out, VERSION);
	if (!strcmp(a->in, "more")) {
		more = ((const struct nexus_service_host *)self)->args_more(args, 100000);
		ret = more && !more[99999] ? 0 : -ENOMEM;
	}
	return ret;
}

static int echo_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct nexus_ref *ref;

	*self = (void *)host;
	return host->get(me, NEXUS_ECHO, &ref) == 0;	/* it cannot */
}

static int echo_start(void *self)
{
	trace("start " NAME);
	return self ? 0 : -EINVAL;
}

static int echo_stop(void *self)
{
	trace("stop " NAME);
	return self ? 0 : -EINVAL;
}

static void echo_cleanup(void *self)
{
	trace("cleanup " NAME);
	(void)self;
}

static const struct nexus_echo_ops ops = { .echo = echo };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(PROTOCOL, PROTOCOL_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

#ifdef NEEDS
static const struct nexus_need needs[] = {
	{ NEEDS, 1 },
	NEXUS_NEEDS_END,
};
#endif

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = NAME,
	.version = VERSION,
	.provides = provides,
#ifdef NEEDS
	.needs = needs,
#endif
	.service_init = echo_init,
	.service_start = echo_start,
	.service_stop = echo_stop,
	.service_cleanup = echo_cleanup,
};
