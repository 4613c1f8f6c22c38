// SPDX-License-Identifier: Apache-2.0
/* Counted snapshots, and the secrets of the environment; both in locked memory. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "creds_impl.h"
#include "secret.h"

/* In one piece of locked memory: this, then the strings. */
struct snapshot {
	struct s3_creds creds;
	atomic_uint refs;
	char strings[];
};

static struct snapshot *to_snapshot(const struct s3_creds *creds)
{
	return (struct snapshot *)((char *)creds - offsetof(struct snapshot, creds));
}

/* They go into a header, or into what is signed: no space, no control byte. */
static bool sound(const char *value)
{
	if (!*value)
		return false;
	for (; *value; value++) {
		if ((unsigned char)*value <= 0x20 || *value == 0x7f)
			return false;
	}
	return true;
}

static const char *add(char **p, const char *value)
{
	const size_t len = strlen(value) + 1;
	char *start = *p;

	memcpy(start, value, len);
	*p += len;
	return start;
}

int creds_new(const char *where, const char *access_key, const char *secret_key,
	      const char *token, int64_t expiry, const struct s3_creds **creds,
	      struct s3_fault *fault)
{
	static atomic_uint_fast64_t serial;
	struct snapshot *s;
	const char *odd;
	size_t size;
	char *p;

	if (token && !*token)
		token = NULL;
	odd = !sound(access_key) ? "access key" : !sound(secret_key) ? "secret key" :
	      token && !sound(token) ? "session token" : NULL;
	if (odd)
		return s3_fault_set(fault, -EINVAL,
				    "the %s is empty, or has a space or a control byte in it (%s)",
				    odd, where);
	size = sizeof(*s) + strlen(where) + strlen(access_key) + strlen(secret_key) +
	       (token ? strlen(token) : 0) + 4;
	s = secret_alloc(size);
	if (!s)
		return s3_fault_set(fault, -ENOMEM,
				    "no memory for credentials that can be locked: is RLIMIT_MEMLOCK too low?");
	p = s->strings;
	s->creds.source = add(&p, where);
	s->creds.access_key = add(&p, access_key);
	s->creds.secret_key = add(&p, secret_key);
	s->creds.token = token ? add(&p, token) : NULL;
	s->creds.expiry = expiry;
	s->creds.serial = ++serial;
	s->refs = 1;
	*creds = &s->creds;
	return 0;
}

void creds_ref(const struct s3_creds *creds)
{
	atomic_fetch_add_explicit(&to_snapshot(creds)->refs, 1, memory_order_relaxed);
}

void s3_creds_put(const struct s3_creds *creds)
{
	struct snapshot *s;

	if (!creds)
		return;
	s = to_snapshot(creds);
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		secret_free(s);
}

/* ---- the environment -------------------------------------------------------------- */

static struct {
	const char *name;
	char *value;	/* locked memory; NULL: was not set */
} hidden[] = {
	{ "AWS_SECRET_ACCESS_KEY", NULL },
	{ "AWS_SESSION_TOKEN", NULL },
	{ "AWS_CONTAINER_AUTHORIZATION_TOKEN", NULL },
};

#define HIDDEN	(sizeof(hidden) / sizeof(hidden[0]))

const char *creds_env(const struct s3_creds_settings *settings, const char *name)
{
	const char *value = NULL;
	size_t i;

	if (settings->getenv) {
		value = settings->getenv(settings->ctx, name);
	} else {
		for (i = 0; i < HIDDEN && !value; i++) {
			if (!strcmp(name, hidden[i].name))
				value = hidden[i].value;
		}
		if (!value)
			value = getenv(name);
	}
	return value && *value ? value : NULL;
}

int s3_creds_global_init(struct s3_fault *fault)
{
	size_t i;
	int ret;

	/* Threads of others in this process, gRPC's, may end while it does: see rpc_grpc. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	ret = creds_http_libraries(fault);

	if (ret)
		return ret;
	for (i = 0; i < HIDDEN; i++) {
		char *value = getenv(hidden[i].name);

		if (!value || !*value)
			continue;
		secret_free(hidden[i].value);
		hidden[i].value = secret_alloc(strlen(value) + 1);
		if (!hidden[i].value)
			return s3_fault_set(fault, -ENOMEM,
					    "no memory for credentials that can be locked: is RLIMIT_MEMLOCK too low?");
		strcpy(hidden[i].value, value);
		/* The bytes themselves: core dumps and /proc/PID/environ have them. */
		explicit_bzero(value, strlen(value));
	}
	return 0;
}

void s3_creds_global_exit(void)
{
	size_t i;

	for (i = 0; i < HIDDEN; i++) {
		secret_free(hidden[i].value);
		hidden[i].value = NULL;
	}
}
