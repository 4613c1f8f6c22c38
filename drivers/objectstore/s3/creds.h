/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for S3: found where Amazon's SDKs look, refreshed before they
 * expire, held in locked memory that no core dump has.
 *
 * Documentation/s3.md has the order of the places.  The first that is set up
 * decides: when it fails, no later one is asked.
 *
 * What has an expiry is fetched by a thread of the provider.  Nobody else waits
 * for the network but who has no valid credentials at all.
 */
#ifndef NEXUS_S3_CREDS_H
#define NEXUS_S3_CREDS_H

#include <stdbool.h>
#include <stdint.h>

#include "fault.h"

struct s3_provider;

/**
 * struct s3_creds - a snapshot; read-only, counted
 *
 * It lies in locked memory, which is wiped when the last reference is put.
 * Whoever copies a secret out of it wipes the copy.
 */
struct s3_creds {
	const char *access_key;
	const char *secret_key;
	const char *token;	/* of a session; NULL: none */
	int64_t expiry;		/* seconds since 1970; INT64_MAX: never */
	uint64_t serial;	/* unique in the process: two snapshots, two numbers */
	const char *source;	/* for messages: "environment", "profile default", ... */
};

/**
 * struct s3_creds_settings - what a provider needs; zeroes are the defaults
 *
 * @profile: the explicit one, from the zone's settings; NULL: none.  It goes
 *	before the environment; AWS_PROFILE does not.
 * @region: for the address of the token service; NULL: AWS_REGION,
 *	AWS_DEFAULT_REGION, else the global address
 * @ca_file: certificates to trust for the token service; NULL: AWS_CA_BUNDLE,
 *	else the system's
 * @timeout_ms: for one request, all of it; 0: 5000, 1000 for the instance
 *	metadata, which nothing answers outside of EC2
 * @attempts: requests before a fetch fails, without a pause; 0: 2
 * @ctx: for the functions
 * @getenv: NULL: the process's environment
 * @now: seconds since 1970; NULL: the clock's.  Any thread calls it.
 * @note: a line for the log, never with a secret; NULL: none.  @error is true
 *	for what the user has to mend.  Any thread calls it, with no lock held.
 * @changed: a fetch has ended, well or not: for loops that gave S3_CREDS_NOWAIT;
 *	NULL: none.  The provider's thread calls it, with no lock held.
 */
struct s3_creds_settings {
	const char *profile;
	const char *region;
	const char *ca_file;
	unsigned int timeout_ms;
	unsigned int attempts;
	void *ctx;
	const char *(*getenv)(void *ctx, const char *name);
	int64_t (*now)(void *ctx);
	void (*note)(void *ctx, bool error, const char *line);
	void (*changed)(void *ctx);
};

/**
 * s3_creds_global_init() - what is to happen once in a process, before it has
 *	threads and before any other use of libcurl or of the provider
 *
 * libcurl then wipes what it frees.  AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 * and AWS_CONTAINER_AUTHORIZATION_TOKEN move into locked memory: they are blanked
 * in the process's environment, so that neither children nor core dumps have
 * them, and later providers still find them.
 *
 * Return: 0; -ENOMEM: no memory, or the limit of locked memory.
 */
int s3_creds_global_init(struct s3_fault *fault);
/** s3_creds_global_exit() - wipe and free it; no provider may be open */
void s3_creds_global_exit(void);

/**
 * s3_creds_open() - find out where the credentials are; fetches nothing
 *
 * Copies @settings.  Reads the environment and the files; the files once more at
 * every refresh of what came out of them.
 *
 * Return: 0; -ENOENT: none are set up anywhere and the instance metadata is
 * disabled; -EINVAL: something is set up wrongly, -EOPNOTSUPP: in a way that is
 * not supported; -ENOMEM; otherwise why a file could not be read.
 */
int s3_creds_open(const struct s3_creds_settings *settings,
		  struct s3_provider **provider, struct s3_fault *fault);

/**
 * s3_creds_close() - ends a fetch under way; NULL is allowed
 *
 * No get and no refused of another thread may be under way.  Snapshots live on.
 */
void s3_creds_close(struct s3_provider *provider);

enum s3_creds_wait {
	S3_CREDS_WAIT,		/* for a fetch, when there are no valid ones */
	S3_CREDS_NOWAIT,	/* -EAGAIN instead; "changed" tells when to ask again */
};

/**
 * s3_creds_get() - the current credentials
 *
 * Starts a refresh in the background when they are near their expiry; they are
 * given out until it.  Any number of threads.
 *
 * @creds: set on success; to be given back by s3_creds_put()
 *
 * Return: 0; -EAGAIN; -EACCES: refused by who gives them out; -ENOENT: nobody is
 * there to give any out; -ETIMEDOUT; -EPROTO: an answer makes no sense; -EIO:
 * no connection; -ENOMEM.  After a failure the next attempt is some seconds away;
 * until then the error is the same, at once.
 */
int s3_creds_get(struct s3_provider *provider, enum s3_creds_wait wait,
		 const struct s3_creds **creds, struct s3_fault *fault);

/** s3_creds_put() - give a snapshot back; NULL is allowed; any thread, also after the close */
void s3_creds_put(const struct s3_creds *creds);

/**
 * s3_creds_refused() - the server said ExpiredToken, that it does not know @creds,
 * or that what they signed is wrong
 *
 * Unless newer ones are there already, @creds are given out no more: the next get
 * waits for a fetch (at most one in ten seconds is made for this reason; within
 * them get returns what there is).
 *
 * Return: true when another try with what get then returns is worth it; false
 * when they can be had from nowhere else: keys that have no expiry and are the
 * same in their file as before.
 */
bool s3_creds_refused(struct s3_provider *provider, const struct s3_creds *creds);

#endif /* NEXUS_S3_CREDS_H */
