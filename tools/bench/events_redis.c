// SPDX-License-Identifier: Apache-2.0
/*
 * Redis under the same load: a publisher that sends as many at a time as a publish has,
 * and readers that only count bytes, which is less than a client has to do.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

#define CHANNEL		"nexus:events:bench"
#define READERS		2u
#define MESSAGE_MAX	512u

static int fds[SUBSCRIBERS];
static _Atomic uint64_t got[SUBSCRIBERS];	/* bytes */
static int epolls[READERS];
static atomic_bool over;

static int open_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		bench_die(path, errno);
	return fd;
}

static void send_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	for (; len; buf += n, len -= (size_t)n) {
		n = write(fd, buf, len);
		if (n <= 0)
			bench_die("write", errno);
	}
}

static void *read_main(void *arg)
{
	struct epoll_event events[SUBSCRIBERS];
	int epoll = *(int *)arg, n, i;
	char buf[65536];
	ssize_t len;

	while (!atomic_load(&over)) {
		n = epoll_wait(epoll, events, SUBSCRIBERS, 50);
		for (i = 0; i < n; i++) {
			len = read(fds[events[i].data.u32], buf, sizeof(buf));
			if (len <= 0)
				bench_die("redis closed a subscriber", errno);
			atomic_fetch_add(&got[events[i].data.u32], (uint64_t)len);
		}
	}
	return NULL;
}

static uint64_t slowest(void)
{
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < SUBSCRIBERS; i++)
		if (atomic_load(&got[i]) < least)
			least = atomic_load(&got[i]);
	return least;
}

static void subscribe_all(const char *path)
{
	static const char words[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$18\r\n" CHANNEL "\r\n";
	struct epoll_event ev = { .events = EPOLLIN };
	char buf[MESSAGE_MAX];
	uint32_t i;

	for (i = 0; i < READERS; i++)
		epolls[i] = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < SUBSCRIBERS; i++) {
		fds[i] = open_socket(path);
		send_all(fds[i], words, sizeof(words) - 1);
		if (read(fds[i], buf, sizeof(buf)) <= 0)
			bench_die("subscribe", errno);
		ev.data.u32 = i;
		epoll_ctl(epolls[i % READERS], EPOLL_CTL_ADD, fds[i], &ev);
	}
}

/* Replies are ":100\r\n", one for each. */
static void await_replies(int fd, uint32_t count)
{
	char buf[4096];
	ssize_t n, i;

	while (count) {
		n = read(fd, buf, sizeof(buf));
		if (n <= 0)
			bench_die("redis closed the publisher", errno);
		for (i = 0; i < n; i++)
			count -= buf[i] == '\n';
	}
}

double redis_all(const char *path, unsigned int seconds)
{
	static char pipeline[BATCH * MESSAGE_MAX], payload[PAYLOAD + 1];
	struct timespec pause = { 0, 50000 };
	uint64_t start, until, sent = 0, size;
	pthread_t threads[READERS];
	size_t len = 0;
	uint32_t i;
	int fd;

	memset(payload, 'x', PAYLOAD);
	for (i = 0; i < BATCH; i++)
		len += (size_t)snprintf(pipeline + len, sizeof(pipeline) - len,
					"*3\r\n$7\r\nPUBLISH\r\n$18\r\n" CHANNEL "\r\n$%u\r\n%s\r\n",
					PAYLOAD, payload);
	/* "*3 $7 message $18 CHANNEL $PAYLOAD payload", each with its CRLF. */
	size = (uint64_t)snprintf(NULL, 0, "*3\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n$%u\r\n%s\r\n",
				  PAYLOAD, payload);
	subscribe_all(path);
	for (i = 0; i < READERS; i++)
		pthread_create(&threads[i], NULL, read_main, &epolls[i]);
	fd = open_socket(path);
	start = bench_now();
	until = start + seconds * 1000000000ull;
	while (bench_now() < until) {
		send_all(fd, pipeline, len);
		await_replies(fd, BATCH);
		sent += BATCH;
		while (sent - slowest() / size > WINDOW)
			nanosleep(&pause, NULL);
	}
	while (slowest() < sent * size)
		nanosleep(&pause, NULL);
	until = bench_now();
	atomic_store(&over, true);
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	return (double)sent * SUBSCRIBERS * 1e9 / (double)(until - start);
}
