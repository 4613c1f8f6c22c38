// SPDX-License-Identifier: Apache-2.0
/* The event bus under load, in this process, as the helper has it. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <nexus/services/event_bus.h>

#include "events.h"
#include "service.h"

#define FETCHERS	2u
#define SAMPLES_MAX	8000000u

static struct registry *reg;
static struct nexus_ref *bus;

/* One thread, and the subscriptions it fetches for. */
struct fetcher {
	pthread_t thread;
	int epoll;
	uint64_t ids[SUBSCRIBERS];
	int fds[SUBSCRIBERS];
	uint32_t n;
	_Atomic uint64_t *seen;		/* number of the last event, of each */
	uint64_t deliveries, lost;
	uint64_t *samples;		/* ns, or NULL */
	uint32_t nsamples;
};

static struct fetcher fetchers[FETCHERS];
static _Atomic uint64_t seen[SUBSCRIBERS];
static atomic_bool over;

static int call(size_t op, const char *name, void *args)
{
	int ret;

	do
		ret = service_call_op(bus, name, op, args, 0);
	while (ret == -EAGAIN);
	return ret;
}

#define CALL(op, args)	call(offsetof(struct nexus_event_bus_ops, op), #op, args)

void bus_begin(const char *services, const char *files)
{
	struct registry_opts opts = {
		.dir = services, .owner = geteuid(), .timeout_ms = 10000, .quarantine = true,
		.state = files,
	};
	static const char *const names[] = { "event_bus", "eventlog" };
	struct service_caller me = { geteuid(), getpid() };
	struct errline err = { "" };
	int ret;

	log_set_level(LOG_L_ERROR);
	reg = registry_new(&opts);
	if (!reg)
		bench_die("registry", ENOMEM);
	ret = service_load(reg, names, 2, &me, &err);
	if (ret)
		bench_die(err.msg, ret);
	ret = service_get(reg, "bench", NEXUS_EVENT_BUS, 1, &bus);
	if (ret)
		bench_die("nexus.event_bus", ret);
}

void bus_end(void)
{
	service_put(bus);
	registry_end(reg);
	registry_free(reg);
}

/* A path of the @n-th folder, in memory of @args. */
static char *path_of(void *args, uint32_t n, uint32_t *len)
{
	char *path = service_args_more(args, 64);

	*len = (uint32_t)snprintf(path, 64, "/bench/folder-%03u/some-file", n % SUBSCRIBERS);
	return path;
}

static uint64_t publish(uint32_t from, uint32_t count, uint64_t stamp)
{
	struct nexus_event_publish_args *a = service_args_new(sizeof(*a));
	char *data = service_args_more(a, PAYLOAD);
	uint64_t last;
	uint32_t i;
	int ret;

	a->count = count;
	a->events = service_args_more(a, count * sizeof(*a->events));
	memcpy(data, &stamp, sizeof(stamp));
	for (i = 0; i < count; i++) {
		struct nexus_bus_event *e = &a->events[i];

		e->zone = "bench";
		e->zone_len = 5;
		e->path = path_of(a, from + i, &e->path_len);
		e->data = data;
		e->data_len = PAYLOAD - e->path_len;
	}
	ret = CALL(publish, a);
	if (ret)
		bench_die("publish", ret);
	last = a->last;
	service_args_free(a);
	return last;
}

static void account(struct fetcher *f, uint32_t i, const struct nexus_event_fetch_args *a)
{
	uint64_t now = f->samples ? bench_now() : 0, stamp;
	uint32_t k;

	for (k = 0; k < a->count; k++) {
		const struct nexus_bus_event *e = &a->events[k];

		if (e->kind != NEXUS_EVENT_IS) {
			f->lost++;
			atomic_store(&f->seen[i], e->lost_to);
			continue;
		}
		f->deliveries++;
		if (f->samples && f->nsamples < SAMPLES_MAX) {
			memcpy(&stamp, e->data, sizeof(stamp));
			f->samples[f->nsamples++] = now - stamp;
		}
		atomic_store(&f->seen[i], e->seq);
	}
}

static void *fetch_main(void *arg)
{
	struct nexus_event_fetch_args *a;
	struct epoll_event events[SUBSCRIBERS];
	struct fetcher *f = arg;
	int n, i, ret;

	while (!atomic_load(&over)) {
		n = epoll_wait(f->epoll, events, SUBSCRIBERS, 50);
		for (i = 0; i < n; i++) {
			a = service_args_new(sizeof(*a));
			a->id = f->ids[events[i].data.u32];
			ret = CALL(fetch, a);
			if (ret)
				bench_die("fetch", ret);
			account(f, events[i].data.u32, a);
			service_args_free(a);
		}
	}
	return NULL;
}

static void subscribe(struct fetcher *f, uint32_t folder, bool all)
{
	struct nexus_event_subscribe_args *a = service_args_new(sizeof(*a));
	struct nexus_event_pattern *p = service_args_more(a, sizeof(*p));
	char *text = service_args_more(a, 64);
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = f->n };
	int ret;

	p->kind = NEXUS_EVENT_GLOB;
	p->text = text;
	p->len = (uint32_t)(all ? snprintf(text, 64, "/bench/**") :
			    snprintf(text, 64, "/bench/folder-%03u/*", folder));
	a->patterns = p;
	a->count = 1;
	ret = CALL(subscribe, a);
	if (ret)
		bench_die("subscribe", ret);
	f->ids[f->n] = a->id;
	f->fds[f->n] = a->fd;
	epoll_ctl(f->epoll, EPOLL_CTL_ADD, a->fd, &ev);
	f->n++;
	service_args_free(a);
}

static void begin(bool all, bool samples)
{
	uint32_t i, per = SUBSCRIBERS / FETCHERS;

	atomic_store(&over, false);
	for (i = 0; i < FETCHERS; i++) {
		struct fetcher *f = &fetchers[i];

		*f = (struct fetcher){ .epoll = epoll_create1(EPOLL_CLOEXEC), .seen = seen + (size_t)i * per };
		if (samples)
			f->samples = malloc(SAMPLES_MAX * sizeof(*f->samples));
		while (f->n < per)
			subscribe(f, i * per + f->n, all);
		pthread_create(&f->thread, NULL, fetch_main, f);
	}
}

static void end(void)
{
	uint32_t i, k;

	atomic_store(&over, true);
	for (i = 0; i < FETCHERS; i++) {
		struct fetcher *f = &fetchers[i];

		pthread_join(f->thread, NULL);
		for (k = 0; k < f->n; k++) {
			struct nexus_event_unsubscribe_args *a = service_args_new(sizeof(*a));

			a->id = f->ids[k];
			CALL(unsubscribe, a);
			service_args_free(a);
			close(f->fds[k]);
		}
		close(f->epoll);
	}
}

static uint64_t slowest(void)
{
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < SUBSCRIBERS; i++)
		if (atomic_load(&seen[i]) < least)
			least = atomic_load(&seen[i]);
	return least;
}

double bus_all(unsigned int seconds)
{
	struct timespec pause = { 0, 50000 };
	uint64_t start, until, last = 0, deliveries = 0;
	uint32_t n = 0, i;

	begin(true, false);
	start = bench_now();
	until = start + seconds * 1000000000ull;
	while (bench_now() < until) {
		last = publish(n, BATCH, start);
		n += BATCH;
		while (last - slowest() > WINDOW && n > WINDOW)
			nanosleep(&pause, NULL);
	}
	while (slowest() < last)
		nanosleep(&pause, NULL);
	until = bench_now();
	end();
	for (i = 0; i < FETCHERS; i++)
		deliveries += fetchers[i].deliveries;
	return (double)deliveries * 1e9 / (double)(until - start);
}

#define IDLE_MAX	100000u

/* What the machine itself does to who wants to run: the same waking, and nothing else. */
static uint64_t idle_late[IDLE_MAX];
static uint32_t nidle;

static void *idle_main(void *arg)
{
	uint64_t due = bench_now();
	struct timespec until;

	(void)arg;
	for (nidle = 0; !atomic_load(&over) && nidle < IDLE_MAX; nidle++) {
		due += 1000000;
		until = (struct timespec){ (time_t)(due / 1000000000), (long)(due % 1000000000) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		idle_late[nidle] = bench_now() - due;
	}
	return NULL;
}

static double cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void bus_some(unsigned int seconds, uint32_t rate, struct latency *out)
{
	uint64_t start, now, due = 0, total = (uint64_t)rate * seconds, sent = 0, *all;
	struct timespec until;
	uint32_t i, n = 0;
	pthread_t idle;
	double cpu;

	begin(false, true);
	pthread_create(&idle, NULL, idle_main, NULL);
	cpu = cpu_time();
	start = bench_now();
	/* Every millisecond what is due; each event counts from when it was due. */
	for (due = start; sent < total; due += 1000000) {
		until = (struct timespec){ (time_t)(due / 1000000000), (long)(due % 1000000000) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		publish((uint32_t)sent, rate / 1000, due);
		sent += rate / 1000;
	}
	now = bench_now();
	*out = (struct latency){
		.rate = (double)sent * 1e9 / (double)(now - start),
		.cpu = (cpu_time() - cpu) * 1e9 / (double)(now - start),
	};
	until = (struct timespec){ 0, 200000000 };
	nanosleep(&until, NULL);
	end();
	pthread_join(idle, NULL);
	out->late99 = bench_part(idle_late, nidle, 99);
	all = malloc((size_t)FETCHERS * SAMPLES_MAX * sizeof(*all));
	for (i = 0; i < FETCHERS; i++) {
		memcpy(all + n, fetchers[i].samples, fetchers[i].nsamples * sizeof(*all));
		n += fetchers[i].nsamples;
		out->lost += fetchers[i].lost;
		free(fetchers[i].samples);
	}
	if (n != sent)
		out->lost += sent - n;
	out->events = n;
	out->p50 = bench_part(all, n, 50);
	out->p99 = bench_part(all, n, 99);
	out->max = bench_part(all, n, 100);
	free(all);
}
