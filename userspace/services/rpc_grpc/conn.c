// SPDX-License-Identifier: Apache-2.0
/*
 * Connections: how many, whose a call is, and who gives way.
 *
 * The core says of a call where it comes from.  "fd:7" is what was handed to it as
 * descriptor 7, which it closes only when the last call of the connection is gone: so the
 * number means no other one meanwhile.  "unix-abstract:0001a" is the end of a relay, whose
 * socket has that name as long as it is open.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"
#include "server.h"

#define TRIM_FROM	256u
#define TRIM_MS		1000u

static struct conn_list *list_of(struct grpc_front *f, const struct conn *conn)
{
	return conn->known ? &f->known : &f->fresh;
}

static void list_remove(struct grpc_front *f, struct conn *conn)
{
	struct conn_list *list = list_of(f, conn);

	*(conn->prev ? &conn->prev->next : &list->first) = conn->next;
	*(conn->next ? &conn->next->prev : &list->last) = conn->prev;
	conn->prev = NULL;
	conn->next = NULL;
}

static void list_append(struct grpc_front *f, struct conn *conn)
{
	struct conn_list *list = list_of(f, conn);

	conn->prev = list->last;
	conn->next = NULL;
	*(conn->prev ? &conn->prev->next : &list->first) = conn;
	list->last = conn;
}

static struct conn **bucket(struct grpc_front *f, uint32_t key)
{
	return &f->by_key[key % CONN_BUCKETS];
}

/* Those that have never called first: whoever floods harms nobody else. */
static bool make_room(struct grpc_front *f)
{
	struct conn *conn;

	if (f->n_conns < f->set.connections)
		return true;
	conn = f->fresh.first;
	if (!conn)
		for (conn = f->known.first; conn && conn->calls; conn = conn->next)
			;
	if (!conn)
		return false;
	conn_gone(f, conn);
	return true;
}

struct conn *conn_new(struct grpc_front *f, int fd, uint32_t key, struct relay *relay)
{
	struct conn *conn;

	if (!make_room(f))
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	conn->watch.what = WATCHED_CONN;
	conn->fd = fd;
	conn->key = key;
	conn->relay = relay;
	list_append(f, conn);
	/* In front of one that is gone and has not been noticed to be. */
	conn->next_key = *bucket(f, key);
	*bucket(f, key) = conn;
	f->n_conns++;
	if (f->n_conns > f->peak)
		f->peak = f->n_conns;
	return conn;
}

struct conn *conn_find(struct grpc_front *f, const char *peer)
{
	struct conn *conn;
	uint32_t key;
	char *end;

	if (!strncmp(peer, "fd:", 3))
		key = (uint32_t)strtoul(peer + 3, &end, 10);
	else if (!strncmp(peer, "unix-abstract:", 14))
		key = (uint32_t)strtoul(peer + 14, &end, 16) | KEY_TCP;
	else
		return NULL;
	if (*end)
		return NULL;
	for (conn = *bucket(f, key); conn; conn = conn->next_key)
		if (conn->key == key)
			return conn;
	return NULL;
}

void conn_use(struct grpc_front *f, struct conn *conn)
{
	list_remove(f, conn);
	conn->known = true;
	conn->calls++;
	list_append(f, conn);
}

void conn_release(struct grpc_front *f, struct conn *conn)
{
	conn->calls--;
	if (conn->fd >= 0) {
		list_remove(f, conn);
		list_append(f, conn);
	} else if (!conn->calls) {
		free(conn);
	}
}

void conn_gone(struct grpc_front *f, struct conn *conn)
{
	struct conn **cp;

	for (cp = bucket(f, conn->key); *cp != conn; cp = &(*cp)->next_key)
		;
	*cp = conn->next_key;
	list_remove(f, conn);
	f->n_conns--;
	if (conn->relay) {
		relay_end(f, conn->relay);
	} else {
		loop_watch(f, EPOLL_CTL_DEL, conn->fd, 0, NULL);
		/* The core has it, too: that it is over, it hears by this. */
		shutdown(conn->fd, SHUT_RDWR);
		close(conn->fd);
	}
	conn->fd = -1;
	if (conn->calls)
		return;
	conn->next = f->graves;
	f->graves = conn;
}

void conns_free(struct grpc_front *f)
{
	while (f->fresh.first)
		conn_gone(f, f->fresh.first);
	while (f->known.first)
		conn_gone(f, f->known.first);
}

void conns_bury(struct grpc_front *f)
{
	struct conn *conn;

	while ((conn = f->graves)) {
		f->graves = conn->next;
		free(conn);
	}
	relay_bury(f);
}

/* The core needs a moment to be done with them. */
uint64_t conns_trim_at(struct grpc_front *f)
{
	if (f->peak < TRIM_FROM || f->n_conns > f->peak / 4)
		return 0;
	f->peak = f->n_conns;
	return front_now() + TRIM_MS;
}
