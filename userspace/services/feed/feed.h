/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of messages out of a service (<nexus/rpc.h>), and the one thread that fills
 * them: each in its turn as much as its reader takes, and whoever is slow waits alone.
 * The thread is there from the first stream until feed_end().
 *
 * A service has a struct feed, and embeds a struct feed_flow in what a stream of it is.
 * Locks: feed.lock is below all of the service's.
 */
#ifndef SERVICES_FEED_H
#define SERVICES_FEED_H

#include <pthread.h>
#include <stdbool.h>

#include <nexus/rpc.h>

#define FEED_WAIT	0	/* nothing more before feed_wake(), or a reader with room */
#define FEED_MORE	1	/* there is more at once */
#define FEED_END	2	/* that was all: a good end */

struct feed_flow;

/**
 * struct feed_ops - what the streams of a service are
 * @more: send what there is with feed_send(), and not too much of it: others wait.
 *	On the feed's thread.  FEED_WAIT, FEED_MORE, FEED_END; -EAGAIN: try again soon; or
 *	a negative errno that ends the stream.  What feed_send() returned is fine.
 * @free: it is over: free all that belongs to it, and itself.  No lock is held.
 */
struct feed_ops {
	int (*more)(struct feed_flow *flow);
	void (*free)(struct feed_flow *flow);
};

struct feed {
	const struct nexus_service_host *host;
	const struct feed_ops *ops;
	pthread_mutex_t lock;		/* all below */
	pthread_cond_t cond;
	pthread_t thread;
	bool running, ending;
	struct feed_flow *flows;
	unsigned int n;
};

/** struct feed_flow - a stream; all of it is the feed's */
struct feed_flow {
	struct feed *feed;
	struct feed_flow *next;
	struct nexus_rpc_stream *stream;	/* NULL: its reader has gone */
	bool due;	/* there may be something to send */
	bool later;	/* there will be soon */
	bool full;	/* its reader has to take something first */
	bool busy;	/* the thread is in ops->more */
	bool ended;
};

/** feed_init() - for service_init: no stream yet, and no thread */
void feed_init(struct feed *feed, const struct nexus_service_host *host,
	       const struct feed_ops *ops);

/** feed_end() - for service_stop, when all streams have had their last event */
void feed_end(struct feed *feed);

/** feed_destroy() - for service_cleanup */
void feed_destroy(struct feed *feed);

/**
 * feed_add() - begin a stream: the last step of nexus_rpc_method.call
 * @feed: the feed
 * @flow: zeroed, but for @feed when something may wake it before; the feed's from here
 *	on, unless this fails
 * @call: gets @flow as its cookie
 *
 * Return: 0 or -EAGAIN: there is no thread to be had.
 */
int feed_add(struct feed *feed, struct feed_flow *flow, struct nexus_rpc_call *call);

/** feed_event() - nexus_rpc_method.event of all streams of a feed */
int feed_event(void *self, void *args);

/** feed_wake() - there may be something for it; any thread, with any lock but feed.lock */
void feed_wake(struct feed_flow *flow);

/** feed_wake_all() - the same for all */
void feed_wake_all(struct feed *feed);

/** feed_count() - how many streams there are */
unsigned int feed_count(struct feed *feed);

/**
 * feed_send() - a message, from ops->more
 *
 * Return: 0; -EAGAIN: the reader has to take something first, and @more is called again
 * then; -EPIPE: it has gone; -EMSGSIZE, -ENOMEM.
 */
int feed_send(struct feed_flow *flow, const struct ProtobufCMessage *msg);

/**
 * refuse() - end a call with an error, and one line for the user
 *
 * Return: @ret.
 */
int refuse(struct nexus_rpc_call *call, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* SERVICES_FEED_H */
