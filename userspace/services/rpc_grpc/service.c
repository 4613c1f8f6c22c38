// SPDX-License-Identifier: Apache-2.0
/*
 * rpc_grpc: gRPC for whoever does not speak ttrpc, on the helper's own table of methods.
 * Documentation/grpc.md.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define STACK_SIZE	(1u << 20)	/* as the registry's threads have */
#define GRPC_LIBRARY	"libgrpc.so.29"

void front_log(struct grpc_front *f, enum nexus_service_level level, const char *fmt, ...)
{
	char line[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	f->host->log(f->me, level, line);
}

uint64_t front_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int front_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	/* Those that say the thread has failed cannot be put off. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return ret;
}

/* ---- settings -------------------------------------------------------------------------- */

static const char *setting(struct grpc_front *f, const char *name)
{
	const char *value = f->front->setting(f->front, name);

	return value && value[0] && strcmp(value, "none") ? value : NULL;
}

static int read_settings(struct grpc_front *f)
{
	struct settings *set = &f->set;
	uint32_t seconds;

	set->socket = setting(f, "grpc_socket");
	set->listen = setting(f, "grpc_listen");
	set->cert = setting(f, "grpc_cert");
	set->key = setting(f, "grpc_key");
	set->ca = setting(f, "grpc_ca");
	set->names = setting(f, "grpc_names");
	set->group = setting(f, "group");
	set->connections = f->front->number(f->front, "grpc_connections");
	if (!set->connections)
		set->connections = 4096;
	seconds = f->front->number(f->front, "grpc_timeout");
	set->timeout_ms = seconds ? seconds * 1000 : 30000;
	seconds = f->front->number(f->front, "service_timeout");
	/* Of what service_stop may take. */
	set->grace_ms = seconds ? seconds * 400 : 4000;
	if (!set->group)
		set->group = "nexusfs";
	if (!set->socket && !set->listen) {
		front_log(f, NEXUS_SERVICE_ERROR, "neither grpc_socket nor grpc_listen is set");
		return -EINVAL;
	}
	if (set->listen && !(set->cert && set->key && set->ca)) {
		front_log(f, NEXUS_SERVICE_ERROR, "grpc_listen needs grpc_cert, grpc_key and grpc_ca");
		return -EINVAL;
	}
	return 0;
}

/* ---- the directory of the inner socket -------------------------------------------------- */

/* What a helper that crashed has left; not what another build has open. */
static void clean_dir(int dir_fd)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;
	char mine[32];

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	snprintf(mine, sizeof(mine), "tls-%d-", (int)getpid());
	while ((d = readdir(dir)))
		if (!strncmp(d->d_name, "tls-", 4) && strncmp(d->d_name, mine, strlen(mine)))
			unlinkat(dir_fd, d->d_name, 0);
	closedir(dir);
}

static int open_dir(struct grpc_front *f)
{
	if (!f->set.listen)
		return 0;
	f->dir_fd = f->host->state_dir(f->me);
	if (f->dir_fd < 0)
		return f->dir_fd;
	clean_dir(f->dir_fd);
	snprintf(f->inner, sizeof(f->inner), "tls-%d-%llx", (int)getpid(),
		 (unsigned long long)(uintptr_t)f);
	return 0;
}

static void close_dir(struct grpc_front *f)
{
	if (f->dir_fd < 0)
		return;
	if (f->inner[0])
		unlinkat(f->dir_fd, f->inner, 0);
	close(f->dir_fd);
	f->dir_fd = -1;
}

/* ---- life ------------------------------------------------------------------------------- */

static int grpc_front_init(const struct nexus_service_host *host, struct nexus_service *me,
			   void **self)
{
	struct grpc_front *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (!f)
		return -ENOMEM;
	f->host = host;
	f->me = me;
	f->epoll_fd = f->wake_fd = f->spare_fd = f->dir_fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->wake_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->cond, &attr);
	pthread_condattr_destroy(&attr);
	*self = f;
	return 0;
}

/* Back from wherever the start has come to. */
static void undo(struct grpc_front *f)
{
	loop_end(f);
	listen_close(f);
	server_end(f);
	conns_free(f);
	conns_bury(f);
	if (f->epoll_fd >= 0)
		close(f->epoll_fd);
	if (f->wake_fd >= 0)
		close(f->wake_fd);
	if (f->spare_fd >= 0)
		close(f->spare_fd);
	f->epoll_fd = f->wake_fd = f->spare_fd = -1;
	close_dir(f);
	names_free(f);
	if (f->grpc_up)
		grpc_shutdown_blocking();
	f->grpc_up = false;
}

static int grpc_front_start(void *self)
{
	struct grpc_front *f = self;
	int ret;

	ret = f->host->front(f->me, &f->front);
	if (ret)
		return ret;
	/* The library stays when this object goes: threads of its own may still be in it. */
	if (!dlopen(GRPC_LIBRARY, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE))
		return -ELIBACC;
	ret = read_settings(f);
	if (!ret)
		ret = names_read(f);
	if (!ret)
		ret = open_dir(f);
	if (!ret) {
		grpc_init();
		f->grpc_up = true;
		ret = server_start(f);
	}
	if (!ret)
		ret = loop_start(f);
	if (!ret)
		ret = listen_open(f);
	if (ret) {
		server_drain(f);
		undo(f);
		return ret;
	}
	front_log(f, NEXUS_SERVICE_INFO, "gRPC %s on %s%s%s", grpc_version_string(),
		  f->set.socket ? f->set.socket : "", f->set.socket && f->set.listen ? " and " : "",
		  f->set.listen ? f->set.listen : "");
	return 0;
}

static int grpc_front_stop(void *self)
{
	struct grpc_front *f = self;
	unsigned int i;

	/* Whoever has connected already is let in, and told in a good way to go elsewhere. */
	pthread_mutex_lock(&f->lock);
	for (i = 0; i < f->n_listeners; i++) {
		loop_watch(f, EPOLL_CTL_DEL, f->listeners[i].fd, 0, NULL);
		while (listen_accept(f, &f->listeners[i]))
			;
	}
	pthread_mutex_unlock(&f->lock);
	listen_close(f);
	server_drain(f);
	undo(f);
	return 0;
}

static void grpc_front_cleanup(void *self)
{
	struct grpc_front *f = self;

	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->wake_lock);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "rpc_grpc",
	.version = "1.0",
	.service_init = grpc_front_init,
	.service_start = grpc_front_start,
	.service_stop = grpc_front_stop,
	.service_cleanup = grpc_front_cleanup,
};
