/* SPDX-License-Identifier: Apache-2.0 */
/* A small pool of worker threads; long jobs never take the last of them. */
#ifndef NEXUSD_RPC_POOL_H
#define NEXUSD_RPC_POOL_H

#include <stdbool.h>

/** struct pool_job - embedded in what is to be done */
struct pool_job {
	struct pool_job *next;
	void (*run)(struct pool_job *job, bool cancelled);
	bool is_long;
};

struct pool;

/**
 * pool_new() - start the threads, with all signals blocked
 * @workers: how many, at least 2
 *
 * Return: the pool, or NULL.
 */
struct pool *pool_new(unsigned int workers);

/**
 * pool_submit() - queue a job; its run() is called exactly once
 * @pool: the pool
 * @job: with run and is_long set
 */
void pool_submit(struct pool *pool, struct pool_job *job);

/**
 * pool_stop() - let running jobs finish, cancel queued ones, end the threads
 * @pool: the pool, or NULL; freed
 */
void pool_stop(struct pool *pool);

#endif /* NEXUSD_RPC_POOL_H */
