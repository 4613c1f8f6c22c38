// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes between a client and the core, both ways.  What one side does not take is kept,
 * and the other is not read until it has gone: one buffer each way at most.
 */
#include "relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER	(32u << 10)

struct end {
	struct watch watch;		/* first */
	struct relay *relay;
	struct end *other;
	int fd;
	uint32_t events;		/* watched for; 0: not at all */
	bool eof;			/* nothing more comes from it */
	uint8_t *pending;		/* for it, or NULL */
	size_t sent, len;
};

struct relay {
	struct relay *next_grave;
	struct grpc_front *front;
	struct conn *conn;
	struct end client, inner;
	bool dead;
};

/* Of the loop's thread. */
static uint8_t buffer[BUFFER];

/* What is hung up cannot be watched for nothing: epoll tells of it again and again. */
static int watch(struct end *e)
{
	uint32_t want = (e->eof || e->other->pending ? 0 : EPOLLIN) | (e->pending ? EPOLLOUT : 0);
	int op = !e->events ? EPOLL_CTL_ADD : want ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, ret;

	if (want == e->events)
		return 0;
	ret = loop_watch(e->relay->front, op, e->fd, want, &e->watch);
	if (!ret)
		e->events = want;
	return ret;
}

static void end_init(struct relay *r, struct end *e, struct end *other, int fd)
{
	*e = (struct end){ .watch.what = WATCHED_RELAY, .relay = r, .other = other, .fd = fd };
}

/* A socket of the core's, connected; *@name is its own. */
static int open_inner(struct grpc_front *f, uint32_t *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX }, own;
	socklen_t len = sizeof(own);
	char *end, text[8] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", f->dir_fd, f->inner);
	/* The kernel gives it a name that no other has: a NUL and five digits. */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr.sun_family)) ||
	    getsockname(fd, (struct sockaddr *)&own, &len) ||
	    len != offsetof(struct sockaddr_un, sun_path) + 6 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		goto fail;
	memcpy(text, own.sun_path + 1, 5);
	*name = (uint32_t)strtoul(text, &end, 16);
	if (!*end)
		return fd;
fail:
	close(fd);
	return -1;
}

void relay_new(struct grpc_front *f, int fd)
{
	struct relay *r = calloc(1, sizeof(*r));
	uint32_t name = 0;
	int inner;

	inner = r ? open_inner(f, &name) : -1;
	if (inner < 0)
		goto fail;
	r->front = f;
	end_init(r, &r->client, &r->inner, fd);
	end_init(r, &r->inner, &r->client, inner);
	r->conn = conn_new(f, fd, name | KEY_TCP, r);
	if (!r->conn)
		goto fail;
	if (watch(&r->client) || watch(&r->inner))
		conn_gone(f, r->conn);
	return;

fail:
	if (inner >= 0)
		close(inner);
	close(fd);
	free(r);
}

void relay_end(struct grpc_front *f, struct relay *r)
{
	struct end *ends[] = { &r->client, &r->inner };
	int i;

	r->dead = true;
	for (i = 0; i < 2; i++) {
		close(ends[i]->fd);
		free(ends[i]->pending);
	}
	r->next_grave = f->relay_graves;
	f->relay_graves = r;
}

void relay_bury(struct grpc_front *f)
{
	struct relay *r;

	while ((r = f->relay_graves)) {
		f->relay_graves = r->next_grave;
		free(r);
	}
}

/* What is kept for it; false: it is gone. */
static bool flush(struct end *e)
{
	ssize_t n;

	if (!e->pending)
		return true;
	n = send(e->fd, e->pending + e->sent, e->len - e->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	e->sent += (size_t)n;
	if (e->sent < e->len)
		return true;
	free(e->pending);
	e->pending = NULL;
	if (e->other->eof)
		shutdown(e->fd, SHUT_WR);
	return true;
}

static bool give(struct end *to, const uint8_t *data, size_t len)
{
	ssize_t n = send(to->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return true;
	to->len = len - (size_t)n;
	to->sent = 0;
	to->pending = malloc(to->len);
	if (!to->pending)
		return false;
	memcpy(to->pending, data + n, to->len);
	return true;
}

/* What has come from it goes to the other; false: one of them is gone. */
static bool forward(struct end *e)
{
	ssize_t n;

	if (e->eof || e->other->pending)
		return true;
	n = recv(e->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n)
		return give(e->other, buffer, (size_t)n);
	e->eof = true;
	shutdown(e->other->fd, SHUT_WR);
	return true;
}

void relay_event(struct grpc_front *f, struct watch *watched, uint32_t events)
{
	struct end *e = (struct end *)watched;
	struct relay *r = e->relay;
	bool ok = true;

	if (r->dead)
		return;
	if (events & EPOLLOUT)
		ok = flush(e);
	if (ok && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		ok = forward(e);
	/* Nothing is kept for whom nothing more will be done. */
	if (ok && e->eof && e->other->eof && !e->pending && !e->other->pending)
		ok = false;
	if (!ok || watch(&r->client) || watch(&r->inner))
		conn_gone(f, r->conn);
}
