/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of rpc_grpc: gRPC in front of the helper's table of methods.
 *
 * Two threads.  One takes the events of gRPC's core (server.c); the other accepts
 * connections, forwards those of TCP, and does what calls are woken for (loop.c).  What
 * they share is under @lock; @wake_lock is a leaf, for what the helper's threads do.
 */
#ifndef RPC_GRPC_SERVER_H
#define RPC_GRPC_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

#include <grpc/grpc.h>

#include <nexus/front.h>

#define HEALTH		"grpc.health.v1.Health"
#define CONN_BUCKETS	1024u
#define KEY_TCP		(1u << 31)	/* of a conn's key */
#define LISTEN_MAX	8u	/* sockets of TCP, of all addresses of a name */

enum event {
	EVENT_NEW,		/* a call has come */
	EVENT_REQUEST,		/* its message has */
	EVENT_CLOSED,		/* it is over, or was cancelled */
	EVENT_SENT,		/* a message of a stream has gone */
	EVENT_ENDED,		/* so has its outcome */
	EVENTS,
};

struct grpc_front;
struct call;

/* What the core gives back with an event. */
struct tag {
	enum event event;
	struct call *call;
};

/* What epoll gives back points to one of these. */
enum watched {
	WATCHED_WAKE,
	WATCHED_LISTENER,
	WATCHED_CONN,
	WATCHED_RELAY,
};

struct watch {
	enum watched what;
};

/* A connection: of a Unix socket the core's with our second descriptor of it, of TCP ours. */
struct conn {
	struct watch watch;		/* first */
	struct conn *prev, *next;	/* lock: of conn_list, the longest unused first */
	int fd;				/* of the client; -1: gone, freed with its last call */
	uint32_t key;			/* what its calls know it by, see conn.c */
	struct conn *next_key;		/* lock: of grpc_front.by_key */
	unsigned int calls;		/* lock */
	bool known;			/* lock: has made a call */
	struct relay *relay;		/* of TCP, else NULL */
};

struct conn_list {
	struct conn *first, *last;
};

/* What of a call is under way is in @pending; it is freed when nothing is. */
struct call {
	struct call *prev, *next;	/* of grpc_front.calls; calls that have come */
	struct grpc_front *front;
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
	struct tag tags[EVENTS];
	unsigned int pending;		/* tags the core has, but for EVENT_NEW */
	struct conn *conn;
	struct nexus_front_peer peer;
	char *service, *method;
	grpc_byte_buffer *request;
	size_t held;			/* bytes of it, of grpc_front.memory */
	struct nexus_front_call *under_way;
	bool watch;			/* of health: it is told of changes */
	int watched;			/* what it was told last */
	bool begun;			/* initial metadata were sent */
	bool streaming;			/* it answers with a stream */
	bool sending, ended, cancelled;
	int close_cancelled;		/* of the core, with EVENT_CLOSED */
	uint64_t since;			/* ms, when what it waits for was begun; 0: for nothing of the client */
	grpc_slice details_slice, status_slice;	/* of the outcome, while it is sent */
	bool is_woken;			/* wake_lock */
	struct call *next_woken;	/* wake_lock */
};

/* A listening socket. */
struct listener {
	struct watch watch;		/* first */
	int fd;
	bool tcp;
};

struct settings {
	const char *socket, *listen, *cert, *key, *ca, *names, *group;
	uint32_t connections, timeout_ms, grace_ms;
};

struct name {
	char *name, *subject;
};

struct grpc_front {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	const struct nexus_front *front;
	struct settings set;
	struct name *names;		/* from start to stop */
	size_t n_names;

	grpc_server *server;
	grpc_completion_queue *cq;
	grpc_server_credentials *insecure;
	pthread_t events_thread, loop_thread;
	bool events_running, loop_running;
	bool grpc_up;
	char handover;			/* its address is the tag that ends the thread */
	uint64_t certificates;		/* what TLS was set up with */

	pthread_mutex_t lock;
	pthread_cond_t cond;		/* @shut */
	struct call *calls;
	unsigned int n_calls, slots, watches;
	size_t memory;
	bool stopping, shut;
	struct conn_list fresh, known;
	unsigned int n_conns, peak;	/* peak: since memory was given back last */
	uint64_t trim_at;		/* lock: when it is, ms; 0: not */
	struct conn *by_key[CONN_BUCKETS];

	struct conn *graves;		/* loop: gone, and events may point to them */
	struct relay *relay_graves;	/* loop: likewise */
	int epoll_fd, wake_fd, spare_fd;
	struct watch wake;
	bool ticking;			/* lock: the loop looks at the clock */
	bool over;			/* lock: the loop ends */
	struct listener listeners[LISTEN_MAX + 1];
	unsigned int n_listeners;
	struct stat socket_stat;	/* of our file; 0: none */
	int dir_fd;			/* where the inner socket of TLS is, or -1 */
	char inner[64];			/* its name there */

	pthread_mutex_t wake_lock;
	struct call *woken;
};

/* service.c */
void front_log(struct grpc_front *f, enum nexus_service_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Monotonic milliseconds. */
uint64_t front_now(void);
/* A thread that gets no signal of the process. */
int front_thread(pthread_t *thread, void *(*fn)(void *), void *arg);

/* server.c */

/* The core's server, with TLS on the inner socket when TCP is wanted, and its thread. */
int server_start(struct grpc_front *f);
/* The thread ends, and another build's may go on; and that. */
void server_pause(struct grpc_front *f);
int server_resume(struct grpc_front *f);
/* What TLS would be set up with now: the same number for the same certificates. */
uint64_t server_certificates(const struct settings *set);
/* No new calls; those there are get the time of @grace_ms, then they are cut. */
void server_drain(struct grpc_front *f);
/* All of the core's is gone, or whatever of it was begun. */
void server_end(struct grpc_front *f);

/* call.c; lock held but for call_wake() */

/* Room for calls to come. */
void calls_refill(struct grpc_front *f);
/* An event of the core about a call. */
void call_event(struct call *c, enum event event, bool ok);
/* nexus_front_request.wake */
void call_wake(void *cookie);
/* What the calls that were woken have to send. */
void calls_pump(struct grpc_front *f);
/* Those of an older build: they wake this one from now on. */
void calls_adopt(struct grpc_front *f);
/* Those that keep the server waiting for too long; ms until the next look, -1: none is due */
int calls_expire(struct grpc_front *f);
/* The server ends: streams are told so, and with @all the others as well. */
void calls_end(struct grpc_front *f, bool all);
/* An outcome the front end has found itself. */
void call_refuse(struct call *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A message of a stream, copied; nothing of it may be under way. */
void call_send(struct call *c, const void *data, size_t len);
/* The good end of a unary call. */
void call_answer(struct call *c, const void *data, size_t len);

/* health.c; lock held */

/* A call of the health service, with its request. */
void health_call(struct call *c, const uint8_t *request, size_t len);
/* Whatever has changed since: to those that watch. */
void health_tell(struct grpc_front *f);

/* peer.c */

/* Who calls: -EACCES with words in @why when nobody says. */
int peer_find(struct grpc_front *f, struct call *c, const char **why);
/* The file of names, and what is in it. */
int names_read(struct grpc_front *f);
void names_free(struct grpc_front *f);

/* listen.c */
int listen_open(struct grpc_front *f);
/* Lock held: takes in some of those that wait; whether there may be more. */
bool listen_accept(struct grpc_front *f, const struct listener *l);
/* Nobody gets in any more; whoever was waiting has.  When the loop has ended. */
void listen_close(struct grpc_front *f);

/* conn.c; lock held */

/* Makes room if need be, and takes it in; NULL: there is none. */
struct conn *conn_new(struct grpc_front *f, int fd, uint32_t key, struct relay *relay);
/* The connection of a call by what the core calls its other end, or NULL. */
struct conn *conn_find(struct grpc_front *f, const char *peer);
/* A call of it begins, ends. */
void conn_use(struct grpc_front *f, struct conn *conn);
void conn_release(struct grpc_front *f, struct conn *conn);
/* It is gone: forget it. */
void conn_gone(struct grpc_front *f, struct conn *conn);
void conns_free(struct grpc_front *f);
/* Many have gone: when what they had is given back to the system, ms; 0: they have not. */
uint64_t conns_trim_at(struct grpc_front *f);
/* On the loop's thread: frees those that are gone; no event points to them any more. */
void conns_bury(struct grpc_front *f);

/* loop.c */
int loop_start(struct grpc_front *f);
/* The same for one that another build has opened. */
int loop_resume(struct grpc_front *f);
/* Lock held: there is something that takes too long some time. */
void loop_tick(struct grpc_front *f);
void loop_end(struct grpc_front *f);
/* It has something to do.  Any thread. */
void loop_wake(struct grpc_front *f);
/* Watches a descriptor; @ptr comes back with its events. */
int loop_watch(struct grpc_front *f, int op, int fd, uint32_t events, struct watch *watch);

#endif /* RPC_GRPC_SERVER_H */
