// SPDX-License-Identifier: Apache-2.0
/* Services that do what none may; one fault an object. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/service.h>

#ifdef MISSING
void nexus_of_nowhere(void);
#endif

/* Only in the helper, not where it is tried. */
#ifdef NOT_IN_TRIAL
#define HERE(host)	(!(host)->trial)
#else
#define HERE(host)	((host) != NULL)
#endif

#ifdef CTOR_CRASHES
__attribute__((constructor)) static void constructor(void)
{
	abort();
}
#endif

#ifdef START_FAILS
static const struct nexus_service_host *bad_host;
static struct nexus_service *bad_me;
#endif

static int bad_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	(void)me;
	*self = NULL;
#ifdef START_FAILS
	bad_host = host;
	bad_me = me;
#endif
	if (!HERE(host))
		return 0;
#if defined(MISSING)
	nexus_of_nowhere();
#elif defined(INIT_CRASHES)
	abort();
#elif defined(INIT_EXITS)
	_exit(0);
#elif defined(INIT_HANGS)
	pause();
#elif defined(INIT_FORKS)
	return fork() < 0;
#elif defined(INIT_FAILS)
	return -ENOTUNIQ;
#elif defined(INIT_SAYS)
	/* As whoever tries it would say that all went well. */
	if (write(STDOUT_FILENO, "\n.\n", 3) == 3)
		abort();
#elif defined(INIT_PRINTS)
	for (int i = 0; i < 200 && host->trial; i++)
		if (write(STDOUT_FILENO, "# what a service prints is no fault\n", 36) != 36)
			return -EIO;
#elif defined(INIT_ASKS)
	struct nexus_records *records;
	struct nexus_cache *cache;

	return host->records(me, &records) == -EAGAIN && host->cache(me, &cache) == -EAGAIN ?
		0 : -EIO;
#endif
	return 0;
}

#if defined(START_HANGS) || defined(STOP_HANGS)
/* Until somebody writes a byte there. */
static int hang(void)
{
	char *fd = getenv("NEXUS_TEST_FD");
	char c;

	return fd && read(atoi(fd), &c, 1) == 1 ? 0 : -EIO;
}
#endif

static int bad_start(void *self)
{
	(void)self;
#ifdef START_HANGS
	if (hang())
		return -EIO;
#endif
#ifdef START_SLEEPS
	for (;;)
		pause();
#endif
#ifdef START_CRASHES
	abort();
#endif
#ifdef START_FAILS
	bad_host->log(bad_me, NEXUS_SERVICE_ERROR, "it is broken");
	return -EADV;
#else
	return 0;
#endif
}

static int bad_stop(void *self)
{
	(void)self;
#ifdef STOP_HANGS
	return hang();
#else
	return 0;
#endif
}

static void bad_cleanup(void *self)
{
	(void)self;
}

#ifndef NO_DESCRIPTOR
NEXUS_SERVICE = {
#ifdef OTHER_ABI
	.abi = NEXUS_SERVICE_ABI + 1,
#else
	.abi = NEXUS_SERVICE_ABI,
#endif
	.name = NAME,
	.version = "1",
	.service_init = bad_init,
	.service_start = bad_start,
#ifndef NO_STOP
	.service_stop = bad_stop,
#endif
	.service_cleanup = bad_cleanup,
};
#else
int (*const nobody)(const struct nexus_service_host *, struct nexus_service *, void **) = bad_init;
#endif
#if defined(NO_DESCRIPTOR) || defined(NO_STOP)
int (*const nothing[])(void *) = { bad_start, bad_stop };
#endif
#ifdef NO_DESCRIPTOR
void (*const not_called)(void *) = bad_cleanup;
#endif
