/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of messages out of a service (<nexus/rpc.h>), and the one thread that fills
 * them: each in its turn as much as its reader takes, and whoever is slow waits alone.
 * The thread is there from the first stream until feeder_end().
 *
 * A service has a struct feeder, and embeds a struct feeder_flow in what a stream of it is.
 * Locks: feeder.lock is below all of the service's.
 */
#ifndef SERVICES_FEEDER_H
#define SERVICES_FEEDER_H

#include <pthread.h>
#include <stdbool.h>

#include <nexus/rpc.h>

#define FEEDER_WAIT	0	/* nothing more before feeder_wake(), or a reader with room */
#define FEEDER_MORE	1	/* there is more at once */
#define FEEDER_END	2	/* that was all: a good end */

struct feeder_flow;

/**
 * struct feeder_ops - what the streams of a service are
 * @more: send what there is with feeder_send(), and not too much of it: others wait.
 *	On the feeder's thread.  FEEDER_WAIT, FEEDER_MORE, FEEDER_END; -EAGAIN: try again soon; or
 *	a negative errno that ends the stream.  What feeder_send() returned is fine.
 * @free: it is over: free all that belongs to it, and itself.  No lock is held.
 */
struct feeder_ops {
	int (*more)(struct feeder_flow *flow);
	void (*free)(struct feeder_flow *flow);
};

struct feeder {
	const struct nexus_service_host *host;
	const struct feeder_ops *ops;
	pthread_mutex_t lock;		/* all below */
	pthread_cond_t cond;
	pthread_t thread;
	bool running, ending;
	struct feeder_flow *flows;
	unsigned int n;
};

/** struct feeder_flow - a stream; all of it is the feeder's */
struct feeder_flow {
	struct feeder *feeder;
	struct feeder_flow *next;
	struct nexus_rpc_stream *stream;	/* NULL: its reader has gone */
	bool due;	/* there may be something to send */
	bool later;	/* there will be soon */
	bool full;	/* its reader has to take something first */
	bool busy;	/* the thread is in ops->more */
	bool ended;
};

/** feeder_init() - for service_init: no stream yet, and no thread */
void feeder_init(struct feeder *feeder, const struct nexus_service_host *host,
	       const struct feeder_ops *ops);

/** feeder_end() - for service_stop, when all streams have had their last event */
void feeder_end(struct feeder *feeder);

/** feeder_destroy() - for service_cleanup */
void feeder_destroy(struct feeder *feeder);

/**
 * feeder_add() - begin a stream: the last step of nexus_rpc_method.call
 * @feeder: the feeder
 * @flow: zeroed, but for @feeder when something may wake it before; the feeder's from here
 *	on, unless this fails
 * @call: gets @flow as its cookie
 *
 * Return: 0 or -EAGAIN: there is no thread to be had.
 */
int feeder_add(struct feeder *feeder, struct feeder_flow *flow, struct nexus_rpc_call *call);

/** feeder_event() - nexus_rpc_method.event of all streams of a feeder */
int feeder_event(void *self, void *args);

/** feeder_wake() - there may be something for it; any thread, with any lock but feeder.lock */
void feeder_wake(struct feeder_flow *flow);

/** feeder_wake_all() - the same for all */
void feeder_wake_all(struct feeder *feeder);

/** feeder_count() - how many streams there are */
unsigned int feeder_count(struct feeder *feeder);

/**
 * feeder_send() - a message, from ops->more
 *
 * Return: 0; -EAGAIN: the reader has to take something first, and @more is called again
 * then; -EPIPE: it has gone; -EMSGSIZE, -ENOMEM.
 */
int feeder_send(struct feeder_flow *flow, const struct ProtobufCMessage *msg);

#endif /* SERVICES_FEEDER_H */
