// SPDX-License-Identifier: Apache-2.0
/* A client's settings, its opening and its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "http.h"
#include "impl.h"
#include "secret.h"

#define HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

#define DEFAULT(field, value) do { if (!(field)) (field) = (value); } while (0)

static int wrong(struct s3_fault *fault, const char *what, const char *value)
{
	return s3_fault_set(fault, -EINVAL, "%s: \"%s\"", what, value);
}

/* Keeps a copy of a setting's text. */
static int keep(struct s3 *s3, const char **text)
{
	size_t i;

	if (!*text)
		return 0;
	for (i = 0; s3->strings[i]; i++)
		;
	s3->strings[i] = strdup(*text);
	*text = s3->strings[i];
	return *text ? 0 : -ENOMEM;
}

static int keep_texts(struct s3 *s3)
{
	struct s3_settings *set = &s3->set;
	int ret = keep(s3, &set->region);

	if (!ret)
		ret = keep(s3, &set->bucket);
	if (!ret)
		ret = keep(s3, &set->storage_class);
	if (!ret)
		ret = keep(s3, &set->sse_key_id);
	if (!ret)
		ret = keep(s3, &set->ca_file);
	if (!ret)
		ret = keep(s3, &set->proxy);
	if (ret)
		return ret;
	s3->prefix = strdup(set->prefix ? set->prefix : "");
	return s3->prefix ? 0 : -ENOMEM;
}

/* Names that go into headers and addresses. */
static bool plain(const char *text)
{
	for (; *text; text++) {
		if (*text <= ' ' || *text == 0x7f || strchr("/\\\"<>", *text))
			return false;
	}
	return true;
}

static int check(struct s3_settings *set, struct s3_fault *fault)
{
	if (!set->bucket || !set->bucket[0])
		return s3_fault_set(fault, -EINVAL, "no bucket is given");
	if (strlen(set->bucket) > 255 || !plain(set->bucket))
		return wrong(fault, "this is no name of a bucket", set->bucket);
	if (set->virtual_host && set->bucket[strspn(set->bucket, HOST_CHARS)])
		return wrong(fault, "this bucket cannot be part of a host's name; take style=path", set->bucket);
	if (!plain(set->region) || strlen(set->region) > 63 || !set->region[0])
		return wrong(fault, "this is no region", set->region);
	if (set->prefix && strlen(set->prefix) >= S3_KEY_MAX)
		return wrong(fault, "the prefix is too long", set->prefix);
	if (set->part < S3_PART_LEAST || set->part > S3_PUT_MOST)
		return s3_fault_set(fault, -EINVAL, "a part has 5 MiB to 5 GiB");
	if (set->memory < set->part + S3_OVERHEAD || set->memory < S3_PAGE_ROOM)
		return s3_fault_set(fault, -EINVAL, "the memory in flight is less than a part of %llu bytes",
				    (unsigned long long)set->part);
	if (set->storage_class && !plain(set->storage_class))
		return wrong(fault, "this is no storage class", set->storage_class);
	if (set->sse_key_id && strpbrk(set->sse_key_id, "\r\n"))
		return s3_fault_set(fault, -EINVAL, "the name of the key for SSE-KMS has a line break in it");
	if (set->sse == S3_SSE_C && !set->sse_c_key)
		return s3_fault_set(fault, -EINVAL, "SSE-C needs a key");
	if (set->concurrency > 1024 || set->hashers > 64)
		return s3_fault_set(fault, -EINVAL, "more than 1024 requests at once, or than 64 threads");
	return 0;
}

static void defaults(struct s3_settings *set)
{
	DEFAULT(set->region, "us-east-1");
	DEFAULT(set->concurrency, 16);
	DEFAULT(set->memory, 256ull << 20);
	DEFAULT(set->part, 16ull << 20);
	DEFAULT(set->hashers, 2);
	DEFAULT(set->attempts, 10);
	DEFAULT(set->deadline_ms, 120000);
	DEFAULT(set->connect_ms, 10000);
	DEFAULT(set->stall_ms, 30000);
	DEFAULT(set->base_ms, 100);
	DEFAULT(set->cap_ms, 20000);
	DEFAULT(set->breaker, 8);
	DEFAULT(set->open_ms, 1000);
	DEFAULT(set->ca_file, getenv("AWS_CA_BUNDLE"));
}

static int take_endpoint(struct s3 *s3, const char *scheme, const char *host, const char *port,
			 const char *usual)
{
	const struct s3_settings *set = &s3->set;
	bool odd = port && strcmp(port, usual) != 0;

	if (asprintf(&s3->host, "%s%s%s%s%s", set->virtual_host ? set->bucket : "",
		     set->virtual_host ? "." : "", host, odd ? ":" : "", odd ? port : "") < 0) {
		s3->host = NULL;
		return -ENOMEM;
	}
	if (asprintf(&s3->base, "%s://%s", scheme, s3->host) < 0) {
		s3->base = NULL;
		return -ENOMEM;
	}
	if (asprintf(&s3->root, "/%s%s", set->virtual_host ? "" : set->bucket,
		     set->virtual_host ? "" : "/") < 0) {
		s3->root = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* "https://host[:port]", and nothing else. */
static int parse_endpoint(struct s3 *s3, const char *endpoint, struct s3_fault *fault)
{
	char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *more = NULL;
	CURLU *url = curl_url();
	int ret = -EINVAL;

	if (!url)
		return -ENOMEM;
	if (curl_url_set(url, CURLUPART_URL, endpoint, 0) || curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) || curl_url_get(url, CURLUPART_PATH, &path, 0) ||
	    (strcmp(scheme, "https") && strcmp(scheme, "http")) || strcmp(path, "/") ||
	    !curl_url_get(url, CURLUPART_USER, &more, 0) || !curl_url_get(url, CURLUPART_QUERY, &more, 0) ||
	    !curl_url_get(url, CURLUPART_FRAGMENT, &more, 0)) {
		s3_fault_set(fault, 0, "an endpoint is https://HOST[:PORT]");
		goto out;
	}
	(void)curl_url_get(url, CURLUPART_PORT, &port, 0);
	ret = take_endpoint(s3, scheme, host, port, strcmp(scheme, "https") ? "80" : "443");
out:
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	curl_free(more);
	curl_url_cleanup(url);
	return ret;
}

static int set_endpoint(struct s3 *s3, const char *endpoint, struct s3_fault *fault)
{
	char amazon[160];

	if (!endpoint) {
		snprintf(amazon, sizeof(amazon), "https://s3.%s.amazonaws.com%s", s3->set.region,
			 strncmp(s3->set.region, "cn-", 3) ? "" : ".cn");
		endpoint = amazon;
	}
	return parse_endpoint(s3, endpoint, fault);
}

static int set_sse(struct s3 *s3, struct s3_fault *fault)
{
	unsigned char md5[16];
	char *line;

	if (s3->set.sse != S3_SSE_C)
		return 0;
	if (!creds_url_allowed(s3->base))
		return s3_fault_set(fault, -EINVAL,
				    "the key of SSE-C goes with every request, and %s is not https; give it an endpoint that is",
				    s3->base);
	line = secret_alloc(48);
	s3->sse_c_line = line;
	s3->sse_c_md5 = malloc(32);
	if (!line || !s3->sse_c_md5)
		return -ENOMEM;
	if (!EVP_Digest(s3->set.sse_c_key, 32, md5, NULL, EVP_md5(), NULL))
		return -EIO;
	s3_base64(line, s3->set.sse_c_key, 32);
	s3_base64(s3->sse_c_md5, md5, sizeof(md5));
	s3->set.sse_c_key = NULL;
	return 0;
}

static int set_up(struct s3 *s3, struct s3_fault *fault)
{
	const struct s3_settings *set = &s3->set;
	struct s3_gate_settings gate = {
		.most = set->concurrency, .calm_ms = 500, .failures = set->breaker,
		.open_ms = set->open_ms, .open_max_ms = 60000, .random = s3_random, .random_ctx = s3,
	};
	int ret = keep_texts(s3);

	if (!ret)
		ret = set_endpoint(s3, set->endpoint, fault);
	if (!ret)
		ret = set_sse(s3, fault);
	if (!ret)
		ret = sigv4_open(set->region, "s3", &s3->signer);
	if (ret)
		return ret;
	if (getrandom(s3->random, sizeof(s3->random), 0) != sizeof(s3->random))
		return -EIO;
	s3_gate_init(&s3->gate, &gate);
	s3_rate_init(&s3->up, set->up, s3_now_ms());
	s3_rate_init(&s3->down, set->down, s3_now_ms());
	s3->retry = (struct s3_retry){ set->base_ms, set->cap_ms, set->attempts, s3_random, s3 };
	s3->next_deadline = INT64_MAX;
	s3->stats.limit = set->concurrency;
	s3->stats.circuit = "closed";
	s3->multi = curl_multi_init();
	if (!s3->multi || curl_multi_setopt(s3->multi, CURLMOPT_MAXCONNECTS, (long)set->concurrency) ||
	    curl_multi_setopt(s3->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)set->concurrency))
		return -ENOMEM;
	return 0;
}

static int start_threads(struct s3 *s3)
{
	int ret;

	s3->hashers = calloc(s3->set.hashers, sizeof(*s3->hashers));
	if (!s3->hashers)
		return -ENOMEM;
	for (; s3->n_hashers < s3->set.hashers; s3->n_hashers++) {
		ret = pthread_create(&s3->hashers[s3->n_hashers], NULL, s3_hasher, s3);
		if (ret)
			return -ret;
	}
	ret = pthread_create(&s3->thread, NULL, s3_loop, s3);
	s3->running = !ret;
	return -ret;
}

int s3_open(const struct s3_settings *settings, struct s3_provider *provider, struct s3 **out,
	    struct s3_fault *fault)
{
	struct s3 *s3 = calloc(1, sizeof(*s3));
	int ret;

	if (!s3)
		return -ENOMEM;
	s3->set = *settings;
	s3->provider = provider;
	TAILQ_INIT(&s3->queue);
	TAILQ_INIT(&s3->ready);
	TAILQ_INIT(&s3->paused);
	TAILQ_INIT(&s3->active);
	TAILQ_INIT(&s3->incoming);
	TAILQ_INIT(&s3->jobs);
	TAILQ_INIT(&s3->worked);
	LIST_INIT(&s3->uploads);
	pthread_mutex_init(&s3->lock, NULL);
	pthread_cond_init(&s3->work, NULL);
	defaults(&s3->set);
	ret = check(&s3->set, fault);
	if (!ret)
		ret = set_up(s3, fault);
	if (!ret)
		ret = start_threads(s3);
	if (ret) {
		if (fault && !fault->text[0])
			s3_fault_set(fault, 0, "the client cannot be set up: %s", strerror(-ret));
		s3_close(s3);
		return ret;
	}
	*out = s3;
	return 0;
}

void s3_end(struct s3 *s3)
{
	if (!s3)
		return;
	pthread_mutex_lock(&s3->lock);
	s3->closing = true;
	pthread_mutex_unlock(&s3->lock);
	if (s3->running) {
		curl_multi_wakeup(s3->multi);
		pthread_join(s3->thread, NULL);
		s3->running = false;
	}
}

void s3_close(struct s3 *s3)
{
	size_t i;

	if (!s3)
		return;
	s3_end(s3);
	pthread_mutex_lock(&s3->lock);
	s3->quit = true;
	pthread_cond_broadcast(&s3->work);
	pthread_mutex_unlock(&s3->lock);
	for (i = 0; i < s3->n_hashers; i++)
		pthread_join(s3->hashers[i], NULL);
	for (i = 0; i < s3->n_idle; i++)
		curl_easy_cleanup(s3->idle[i]);
	if (s3->multi)
		curl_multi_cleanup(s3->multi);
	if (s3->signer)
		sigv4_close(s3->signer);
	for (i = 0; i < sizeof(s3->strings) / sizeof(s3->strings[0]); i++)
		free(s3->strings[i]);
	secret_free(s3->sse_c_line);
	free(s3->sse_c_md5);
	free(s3->base);
	free(s3->host);
	free(s3->root);
	free(s3->prefix);
	free(s3->hashers);
	pthread_cond_destroy(&s3->work);
	pthread_mutex_destroy(&s3->lock);
	free(s3);
}
