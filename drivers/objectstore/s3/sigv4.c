// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "creds.h"
#include "secret.h"
#include "sigv4.h"
#include "text.h"

#define HASH		((size_t)32)
#define MAX_PAIRS	64
#define SCOPE_NAME	64	/* the longest region, the longest service */
#define LAST_SECOND	253402300799LL	/* of the year 9999 */

/* The key made of a secret key, for one day; in locked memory. */
struct day_key {
	char day[9];	/* "" before the first */
	uint64_t serial;	/* of the credentials */
	unsigned char key[HASH];
};

struct sigv4 {
	char *region;
	char *service;
	bool s3;
	pthread_mutex_t lock;
	struct day_key *cache;	/* lock */
};

/* What one call works with. */
struct job {
	const struct sigv4 *signer;
	const struct s3_creds *creds;
	const struct sigv4_request *request;
	char date[17];		/* 20130524T000000Z */
	char day[9];
	struct sigv4_pair headers[MAX_PAIRS + SIGV4_LINES];
	size_t n_headers;
	struct sigv4_pair query[MAX_PAIRS];	/* encoded, in "scratch" */
	char *scratch;
	size_t scratch_size;
	struct s3_text names;	/* the signed headers, "a;b" */
	struct s3_text canonical;
};

int sigv4_hash(const void *data, size_t len, char hex[65])
{
	unsigned char hash[HASH];
	struct s3_text text;

	if (!EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL))
		return -EIO;
	s3_text_init(&text, hex, 65);
	s3_text_hex(&text, hash, sizeof(hash));
	return 0;
}

static int hmac(const void *key, size_t key_len, const char *data, unsigned char out[HASH])
{
	return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data,
		    strlen(data), out, NULL) ? 0 : -EIO;
}

/* What may be neither in a method, a host nor a credential: it would end it. */
static bool plain(const char *str)
{
	if (!str || !*str)
		return false;
	for (; *str; str++) {
		if ((unsigned char)*str <= 0x20 || *str == 0x7f)
			return false;
	}
	return true;
}

int sigv4_open(const char *region, const char *service, struct sigv4 **signer)
{
	struct sigv4 *s;

	/* They are parts of the scope, which has slashes between them. */
	if (!plain(region) || !plain(service) || strlen(region) > SCOPE_NAME ||
	    strlen(service) > SCOPE_NAME || strpbrk(region, "/,") || strpbrk(service, "/,"))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->region = strdup(region);
	s->service = strdup(service);
	s->s3 = !strcmp(service, "s3");
	s->cache = secret_alloc(sizeof(*s->cache));
	if (!s->region || !s->service || !s->cache) {
		sigv4_close(s);
		return -ENOMEM;
	}
	*signer = s;
	return 0;
}

void sigv4_close(struct sigv4 *signer)
{
	if (!signer)
		return;
	secret_free(signer->cache);
	free(signer->service);
	free(signer->region);
	pthread_mutex_destroy(&signer->lock);
	free(signer);
}

static bool header_name(const char *str)
{
	return plain(str) && !strpbrk(str, "()<>@,;:\\\"/[]?={}");
}

/* A value may have spaces and tabs, at its ends too. */
static bool header_value(const char *str)
{
	for (; str && *str; str++) {
		if (((unsigned char)*str < 0x20 && *str != '\t') || *str == 0x7f)
			return false;
	}
	return true;
}

static bool payload_hash(const char *hash)
{
	return hash && (!strcmp(hash, SIGV4_UNSIGNED) ||
			(strlen(hash) == 2 * HASH &&
			 strspn(hash, "0123456789abcdef") == 2 * HASH));
}

static int check(const struct sigv4_request *request, const struct s3_creds *creds)
{
	size_t i;

	if (!plain(request->method) || !plain(request->host) ||
	    !request->path || *request->path != '/' ||
	    !payload_hash(request->payload_hash) ||
	    request->time < 0 || request->time > LAST_SECOND ||
	    !plain(creds->access_key) || !plain(creds->secret_key) ||
	    (creds->token && !plain(creds->token)))
		return -EINVAL;
	if (request->n_query > MAX_PAIRS || request->n_headers > MAX_PAIRS)
		return -E2BIG;
	for (i = 0; i < request->n_query; i++) {
		if (!request->query[i].name || !*request->query[i].name)
			return -EINVAL;
	}
	for (i = 0; i < request->n_headers; i++) {
		if (!header_name(request->headers[i].name) ||
		    !header_value(request->headers[i].value))
			return -EINVAL;
	}
	return 0;
}

static size_t pair_len(const struct sigv4_pair *pair)
{
	return strlen(pair->name) + (pair->value ? strlen(pair->value) : 0);
}

/* The most that the canonical request, and each thing in it, can take. */
static size_t most(const struct sigv4_request *request, const struct s3_creds *creds)
{
	/* Names of the signer's own headers, hashes, line ends. */
	size_t len = 1024, i;

	len += strlen(request->method) + strlen(request->host) + 3 * strlen(request->path);
	len += creds->token ? strlen(creds->token) : 0;
	for (i = 0; i < request->n_query; i++)
		len += 3 * pair_len(&request->query[i]) + 2;
	/* A name comes twice: with its value, and in the list. */
	for (i = 0; i < request->n_headers; i++)
		len += 2 * pair_len(&request->headers[i]) + 4;
	return len;
}

static int by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct sigv4_pair *)a)->name,
			  ((const struct sigv4_pair *)b)->name);
}

/*
 * Of what is encoded, by name first: "a-b=1" is after "a=2", though '-' is before
 * '='.
 */
static int by_name_and_value(const void *a, const void *b)
{
	const struct sigv4_pair *x = a, *y = b;
	int ret = strcmp(x->name, y->name);

	return ret ? ret : strcmp(x->value, y->value);
}

static void add_header(struct job *job, const char *name, const char *value)
{
	job->headers[job->n_headers++] = (struct sigv4_pair) { name, value };
}

/* Every header that is signed, in order. */
static int gather_headers(struct job *job)
{
	const struct sigv4_request *request = job->request;
	size_t i;

	add_header(job, "host", request->host);
	add_header(job, "x-amz-date", job->date);
	if (job->signer->s3)
		add_header(job, "x-amz-content-sha256", request->payload_hash);
	if (job->creds->token)
		add_header(job, "x-amz-security-token", job->creds->token);
	for (i = 0; i < request->n_headers; i++)
		add_header(job, request->headers[i].name, request->headers[i].value);
	qsort(job->headers, job->n_headers, sizeof(*job->headers), by_name);
	for (i = 1; i < job->n_headers; i++) {
		if (!strcasecmp(job->headers[i - 1].name, job->headers[i].name))
			return -EINVAL;
	}
	return 0;
}

/* A value without spaces at its ends, and one where there were several. */
static void put_value(struct s3_text *text, const char *value)
{
	bool space = false, begun = false;

	for (; value && *value; value++) {
		if (*value == ' ' || *value == '\t') {
			space = begun;
			continue;
		}
		if (space)
			s3_text_put(text, " ", 1);
		s3_text_put(text, value, 1);
		space = false;
		begun = true;
	}
}

/* Not tolower(): that one asks the locale. */
static void put_lower(struct s3_text *text, const char *name)
{
	for (; *name; name++) {
		char c = *name;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		s3_text_put(text, &c, 1);
	}
}

/* The target, and the query's order with it. */
static char *make_target(struct job *job, size_t size, size_t *path_len)
{
	const struct sigv4_request *request = job->request;
	struct s3_text text, scratch;
	char *target = malloc(size);
	size_t i, start;

	if (!target)
		return NULL;
	s3_text_init(&scratch, job->scratch, job->scratch_size);
	for (i = 0; i < request->n_query; i++) {
		start = scratch.len;
		s3_text_uri(&scratch, request->query[i].name, false);
		job->query[i].name = scratch.p + start;
		/* The NUL is part of what lies there. */
		s3_text_put(&scratch, "", 1);
		start = scratch.len;
		s3_text_uri(&scratch, request->query[i].value ? request->query[i].value : "", false);
		job->query[i].value = scratch.p + start;
		s3_text_put(&scratch, "", 1);
	}
	qsort(job->query, request->n_query, sizeof(*job->query), by_name_and_value);

	s3_text_init(&text, target, size);
	s3_text_uri(&text, request->path, true);
	*path_len = text.len;
	for (i = 0; i < request->n_query; i++) {
		s3_text_put(&text, i ? "&" : "?", 1);
		s3_text_str(&text, job->query[i].name);
		s3_text_put(&text, "=", 1);
		s3_text_str(&text, job->query[i].value);
	}
	return target;
}

static void make_canonical(struct job *job, const struct sigv4_signed *out)
{
	const char *query = out->target[out->path_len] ? out->target + out->path_len + 1 : "";
	struct s3_text *text = &job->canonical;
	size_t i;

	s3_text_str(text, job->request->method);
	s3_text_put(text, "\n", 1);
	s3_text_put(text, out->target, out->path_len);
	s3_text_put(text, "\n", 1);
	s3_text_str(text, query);
	s3_text_put(text, "\n", 1);
	for (i = 0; i < job->n_headers; i++) {
		put_lower(text, job->headers[i].name);
		s3_text_put(text, ":", 1);
		put_value(text, job->headers[i].value);
		s3_text_put(text, "\n", 1);
		if (i)
			s3_text_put(&job->names, ";", 1);
		put_lower(&job->names, job->headers[i].name);
	}
	s3_text_put(text, "\n", 1);
	s3_text_str(text, job->names.p);
	s3_text_put(text, "\n", 1);
	s3_text_str(text, job->request->payload_hash);
}

static int derive(const struct sigv4 *signer, const char *secret, const char *day,
		  unsigned char key[HASH])
{
	const size_t len = strlen(secret) + 4;
	/* Not asprintf(): it leaves pieces of what it made in freed memory. */
	char *first = malloc(len + 1);
	int ret;

	if (!first)
		return -ENOMEM;
	snprintf(first, len + 1, "AWS4%s", secret);
	ret = hmac(first, len, day, key);
	OPENSSL_cleanse(first, len);
	free(first);
	if (!ret)
		ret = hmac(key, HASH, signer->region, key);
	if (!ret)
		ret = hmac(key, HASH, signer->service, key);
	if (!ret)
		ret = hmac(key, HASH, "aws4_request", key);
	return ret;
}

/* Signs with the key of the day, made when the day or the credentials are new. */
static int sign(struct sigv4 *signer, const struct job *job, const char *text,
		unsigned char mac[HASH])
{
	struct day_key *cache = signer->cache;
	unsigned char key[HASH];
	int ret = 0;

	pthread_mutex_lock(&signer->lock);
	if (strcmp(cache->day, job->day) || cache->serial != job->creds->serial) {
		cache->day[0] = '\0';
		ret = derive(signer, job->creds->secret_key, job->day, cache->key);
		if (!ret) {
			memcpy(cache->day, job->day, sizeof(cache->day));
			cache->serial = job->creds->serial;
		}
	}
	memcpy(key, cache->key, sizeof(key));
	pthread_mutex_unlock(&signer->lock);
	if (!ret)
		ret = hmac(key, sizeof(key), text, mac);
	OPENSSL_cleanse(key, sizeof(key));
	return ret;
}

/* "name: value", the next of the lines.  NULL: no memory. */
static char *add_line(struct sigv4_signed *out, const char *name, const char *value)
{
	const size_t size = strlen(name) + 2 + strlen(value) + 1;
	char *line = malloc(size);

	if (!line)
		return NULL;
	snprintf(line, size, "%s: %s", name, value);
	out->lines[out->n_lines++] = line;
	return line + strlen(name) + 2;
}

static int make_lines(struct sigv4 *signer, const struct job *job, struct sigv4_signed *out)
{
	char scope[8 + 2 * SCOPE_NAME + 16], hex[65], *value = NULL;
	unsigned char mac[HASH];
	struct s3_text text;
	int ret;

	snprintf(scope, sizeof(scope), "%s/%s/%s/aws4_request", job->day,
		 signer->region, signer->service);
	if (asprintf(&value, "AWS4-HMAC-SHA256\n%s\n%s\n%s", job->date, scope,
		     out->canonical_hash) < 0)
		return -ENOMEM;
	ret = sign(signer, job, value, mac);
	free(value);
	if (ret)
		return ret;
	s3_text_init(&text, hex, sizeof(hex));
	s3_text_hex(&text, mac, sizeof(mac));

	if (!add_line(out, "x-amz-date", job->date) ||
	    (signer->s3 && !add_line(out, "x-amz-content-sha256", job->request->payload_hash)) ||
	    (job->creds->token && !add_line(out, "x-amz-security-token", job->creds->token)))
		return -ENOMEM;
	if (asprintf(&value, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		     job->creds->access_key, scope, job->names.p, hex) < 0)
		return -ENOMEM;
	out->authorization = add_line(out, "Authorization", value);
	free(value);
	return out->authorization ? 0 : -ENOMEM;
}

int sigv4_sign(struct sigv4 *signer, const struct s3_creds *creds,
	       const struct sigv4_request *request, struct sigv4_signed *out)
{
	struct job job = { .signer = signer, .creds = creds, .request = request };
	const time_t now = (time_t)request->time;
	char *block = NULL;
	struct tm tm;
	size_t size;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = check(request, creds);
	if (ret)
		return ret;
	if (!gmtime_r(&now, &tm) || !strftime(job.date, sizeof(job.date), "%Y%m%dT%H%M%SZ", &tm))
		return -EINVAL;
	memcpy(job.day, job.date, 8);

	/* Three texts in one piece of memory, wiped as one: a token is in it. */
	size = most(request, creds);
	block = calloc(3, size);
	if (!block)
		return -ENOMEM;
	s3_text_init(&job.canonical, block, size);
	s3_text_init(&job.names, block + size, size);
	job.scratch = block + 2 * size;
	job.scratch_size = size;

	ret = gather_headers(&job);
	if (ret)
		goto out;
	out->target = make_target(&job, size, &out->path_len);
	ret = -ENOMEM;
	if (!out->target)
		goto out;
	make_canonical(&job, out);
	ret = -E2BIG;
	if (job.canonical.full || job.names.full)
		goto out;
	ret = sigv4_hash(job.canonical.p, job.canonical.len, out->canonical_hash);
	if (!ret)
		ret = make_lines(signer, &job, out);
out:
	OPENSSL_cleanse(block, 3 * size);
	free(block);
	if (ret)
		sigv4_signed_free(out);
	return ret;
}

void sigv4_signed_free(struct sigv4_signed *out)
{
	unsigned int i;

	for (i = 0; i < out->n_lines; i++) {
		OPENSSL_cleanse(out->lines[i], strlen(out->lines[i]));
		free(out->lines[i]);
	}
	free(out->target);
	memset(out, 0, sizeof(*out));
}
