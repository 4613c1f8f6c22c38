/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the provider share. */
#ifndef NEXUS_S3_CREDS_IMPL_H
#define NEXUS_S3_CREDS_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "creds.h"
#include "http.h"

enum source_kind {
	SOURCE_STATIC,		/* the environment: never changes */
	SOURCE_PROFILE,		/* keys in a file: read again when they are refused */
	SOURCE_WEB_IDENTITY,
	SOURCE_CONTAINER,
	SOURCE_INSTANCE,
};

/** struct creds_source - where credentials come from; every string its own */
struct creds_source {
	enum source_kind kind;
	char *name;		/* for messages, and of the snapshots */
	unsigned int timeout_ms;
	unsigned int attempts;
	/* profile */
	char *profile;
	char *config_path, *credentials_path;	/* NULL: none */
	bool config_named, credentials_named;
	/* web identity */
	char *role;
	char *session_name;
	char *ca_file;
	/* of web identity: the token service; container: the agent; instance: the endpoint */
	char *url;
	char *token_file;	/* web identity, container */
	char *token;		/* container; locked memory */
};

/** creds_env() - a variable of the settings; NULL: not set, or empty */
const char *creds_env(const struct s3_creds_settings *settings, const char *name);

/**
 * creds_new() - a snapshot with one reference
 *
 * @where: of @access_key and the others, for the words
 * @token: NULL or "": none
 *
 * Return: 0; -EINVAL: one is empty, or has a space or a control byte in it; -ENOMEM.
 */
int creds_new(const char *where, const char *access_key, const char *secret_key,
	      const char *token, int64_t expiry, const struct s3_creds **creds,
	      struct s3_fault *fault);
void creds_ref(const struct s3_creds *creds);

/**
 * creds_find() - the first of the places that is set up
 *
 * @source: filled; creds_source_free() is to follow, after an error too
 * @creds: of SOURCE_STATIC and SOURCE_PROFILE
 *
 * Return: as s3_creds_open().
 */
int creds_find(const struct s3_creds_settings *settings, struct creds_source *source,
	       const struct s3_creds **creds, struct s3_fault *fault);
void creds_source_free(struct creds_source *source);
/** creds_read_profile() - the keys of SOURCE_PROFILE, read anew */
int creds_read_profile(const struct creds_source *source, const struct s3_creds **creds,
		       bool *others, struct s3_fault *fault);

/**
 * creds_fetch() - ask for them; what has an expiry only
 *
 * @now: seconds since 1970; what has expired by then is no answer
 *
 * Return: as s3_creds_get(), or -ECANCELED.
 */
int creds_fetch(const struct creds_source *source, struct creds_http *http, int64_t now,
		const struct s3_creds **creds, struct s3_fault *fault);

#endif /* NEXUS_S3_CREDS_IMPL_H */
