// SPDX-License-Identifier: Apache-2.0
/*
 * The smallest service: gives back what it is given.
 *
 *	cc -shared -fPIC -O2 -Wall -o echo.so service-echo.c
 *	install -o root -m 644 echo.so /usr/lib/nexusfs/services/
 *	nexusctl service load echo
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/service.h>
#include <nexus/services/echo.h>

struct echo {
	const struct nexus_service_host *host;
	struct nexus_service *me;
};

static int echo(void *self, void *args)
{
	struct nexus_echo_args *a = args;

	(void)self;
	if (a->len > sizeof(a->in))
		return -EMSGSIZE;
	memcpy(a->out, a->in, a->len);
	return 0;
}

static int echo_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct echo *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->host = host;
	e->me = me;
	*self = e;
	return 0;
}

static int echo_start(void *self)
{
	struct echo *e = self;

	e->host->log(e->me, NEXUS_SERVICE_INFO, "gives back what it is given");
	return 0;
}

static int echo_stop(void *self)
{
	(void)self;
	return 0;
}

static const struct nexus_echo_ops ops = { .echo = echo };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_ECHO, NEXUS_ECHO_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "echo",
	.version = "1.0",
	.provides = provides,
	.service_init = echo_init,
	.service_start = echo_start,
	.service_stop = echo_stop,
	.service_cleanup = free,
};
