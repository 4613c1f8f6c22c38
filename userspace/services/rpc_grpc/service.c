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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <grpc/support/log.h>
#include <openssl/crypto.h>

#include "server.h"

#define STACK_SIZE	(1u << 20)	/* as the registry's threads have */
#define GRPC_LIBRARY	"libgrpc.so.29"
#define FD_SPARE	512ul
#define LAYOUT		1u	/* changes with server.h, and with what the fields mean */
#define LOG_NOTHING	((gpr_log_severity)(GPR_LOG_SEVERITY_ERROR + 1))

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

/* Each connection has two or three descriptors; the helper needs some for all else. */
static void fit_open_files(struct grpc_front *f)
{
	struct rlimit lim;
	rlim_t room;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return;
	room = lim.rlim_cur > 2 * FD_SPARE ? (lim.rlim_cur - FD_SPARE) / 3 : lim.rlim_cur / 6;
	if (f->set.connections <= room)
		return;
	f->set.connections = (uint32_t)room;
	front_log(f, NEXUS_SERVICE_INFO, "the limit of open files allows %u connections",
		  f->set.connections);
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
	fit_open_files(f);
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

/* ---- all of it ---------------------------------------------------------------------------- */

static struct grpc_front *front_new(const struct nexus_service_host *host, struct nexus_service *me,
				    const struct nexus_front *front)
{
	struct grpc_front *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (!f)
		return NULL;
	f->host = host;
	f->me = me;
	f->front = front;
	f->epoll_fd = f->wake_fd = f->spare_fd = f->dir_fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->wake_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->cond, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

/* Back from wherever it has come to. */
static void front_free(struct grpc_front *f)
{
	server_drain(f);
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
	close_dir(f);
	names_free(f);
	if (f->grpc_up)
		grpc_shutdown_blocking();
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->wake_lock);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static int front_open(struct grpc_front *f)
{
	int ret;

	ret = names_read(f);
	if (!ret)
		ret = open_dir(f);
	if (!ret) {
		/* Whoever sends garbage would fill the log with it. */
		gpr_set_log_verbosity(LOG_NOTHING);
		/*
		 * Its cleanup at exit frees what threads of the core's free themselves when they
		 * end, and those may outlive grpc_shutdown_blocking().
		 */
		OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
		grpc_init();
		f->grpc_up = true;
		ret = server_start(f);
	}
	if (!ret)
		ret = loop_start(f);
	if (!ret)
		ret = listen_open(f);
	return ret;
}

/* ---- life --------------------------------------------------------------------------------- */

/*
 * A build and the one that replaces it find each other by this.  All of struct grpc_front is
 * data on the heap and of the core's library: the newer one goes on with it, and no client
 * notices.  If it is another layout, or TLS is set up anew, each has its own.
 */
struct self {
	uint32_t layout;
	size_t front_size, call_size;
	int (*adopt)(struct self *self, struct grpc_front *f);
	struct self *next;		/* that wants to have it */
	const struct nexus_service_host *host;
	struct nexus_service *me;
	const struct nexus_front *front;
	void **place;
	struct grpc_front *f;		/* NULL: waits for another build's */
};

static int adopt(struct self *self, struct grpc_front *f)
{
	int ret;

	self->f = f;
	f->me = self->me;
	pthread_mutex_lock(&f->lock);
	calls_adopt(f);
	names_free(f);
	ret = names_read(f);
	pthread_mutex_unlock(&f->lock);
	if (ret)
		front_log(f, NEXUS_SERVICE_WARNING, "certificates have no other names than their own");
	ret = server_resume(f);
	return ret ? ret : loop_resume(f);
}

static int self_init(const struct nexus_service_host *host, struct nexus_service *me, void **out)
{
	struct self *self = calloc(1, sizeof(*self));

	if (!self)
		return -ENOMEM;
	self->layout = LAYOUT;
	self->front_size = sizeof(struct grpc_front);
	self->call_size = sizeof(struct call);
	self->adopt = adopt;
	self->host = host;
	self->me = me;
	*out = self;
	return 0;
}

/* Whether what the older build has can be gone on with. */
static bool can_adopt(const struct self *old, const struct settings *set)
{
	return old && old->layout == LAYOUT && old->front_size == sizeof(struct grpc_front) &&
		old->call_size == sizeof(struct call) && old->f && !old->next &&
		old->f->certificates == server_certificates(set);
}

static int self_start(void *arg)
{
	struct self *self = arg, *old;
	struct grpc_front *f;
	int ret;

	ret = self->host->front(self->me, &self->front);
	if (ret)
		return ret;
	/* The library stays when this object goes: threads of its own may still be in it. */
	if (!dlopen(GRPC_LIBRARY, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE))
		return -ELIBACC;
	self->place = self->front->place(self->front, "rpc_grpc");
	f = self->place ? front_new(self->host, self->me, self->front) : NULL;
	if (!f)
		return -ENOMEM;
	ret = read_settings(f);
	old = *self->place;
	if (!ret && can_adopt(old, &f->set)) {
		front_free(f);
		old->next = self;
		return 0;
	}
	if (!ret)
		ret = front_open(f);
	if (ret) {
		front_free(f);
		return ret;
	}
	self->f = f;
	*self->place = self;
	front_log(f, NEXUS_SERVICE_INFO, "gRPC core %s on %s%s%s", grpc_version_string(),
		  f->set.socket ? f->set.socket : "", f->set.socket && f->set.listen ? " and " : "",
		  f->set.listen ? f->set.listen : "");
	return 0;
}

static int hand_over(struct self *self)
{
	struct grpc_front *f = self->f;

	server_pause(f);
	loop_end(f);
	self->f = NULL;
	*self->place = self->next;
	return self->next->adopt(self->next, f);
}

static int self_stop(void *arg)
{
	struct self *self = arg;
	struct grpc_front *f = self->f;
	unsigned int i;

	if (self->next)
		return hand_over(self);
	if (*self->place == self)
		*self->place = NULL;
	if (!f)
		return 0;
	/* Whoever has connected already is let in, and told in a good way to go elsewhere. */
	pthread_mutex_lock(&f->lock);
	for (i = 0; i < f->n_listeners; i++) {
		loop_watch(f, EPOLL_CTL_DEL, f->listeners[i].fd, 0, NULL);
		while (listen_accept(f, &f->listeners[i]))
			;
	}
	pthread_mutex_unlock(&f->lock);
	listen_close(f);
	front_free(f);
	self->f = NULL;
	return 0;
}

static void self_cleanup(void *self)
{
	free(self);
}

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "rpc_grpc",
	.version = "1.0",
	.service_init = self_init,
	.service_start = self_start,
	.service_stop = self_stop,
	.service_cleanup = self_cleanup,
};
