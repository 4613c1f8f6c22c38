// SPDX-License-Identifier: Apache-2.0
/* The hashers: threads that read bodies, and hash what is sent and what came. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "impl.h"

void s3_base64(char *out, const unsigned char *data, size_t len)
{
	EVP_EncodeBlock((unsigned char *)out, data, (int)len);
}

/* The base64 of a SHA-256 as hex; anything else, as the "-3" of one over parts, is -EINVAL. */
int s3_unbase64_hash(const char *text, char hex[65])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[36];
	size_t i;

	if (strlen(text) != 44 || text[43] != '=' ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)text, 44) != 33)
		return -EINVAL;
	for (i = 0; i < 32; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[64] = '\0';
	return 0;
}

bool s3_needs_prepare(const struct s3_request *req)
{
	return req->fd >= 0 || (req->body_len && !req->hashed);
}

bool s3_needs_verify(const struct s3_request *req)
{
	const struct s3_answer *answer = &req->answer;

	if (req->op != S3_OP_GET || req->probing)
		return false;
	if (req->want_hash)
		return true;
	/* What the object has is for the whole of it. */
	return answer->sha256[0] && !req->offset && answer->size == req->got;
}

static int load(struct s3_request *req)
{
	unsigned char *body = malloc(req->body_len ? req->body_len : 1);
	size_t done = 0;

	if (!body)
		return -ENOMEM;
	while (done < req->body_len) {
		ssize_t n = pread(req->fd, body + done, req->body_len - done,
				  (off_t)(req->fd_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n ? -errno : -ENODATA;
			unsigned long long at = req->fd_offset;

			free(body);
			req->result.unread = true;
			return s3_fault_set(&req->result.fault, error, "the file to send ends at %llu",
					    at + done);
		}
		done += (size_t)n;
	}
	req->owned = body;
	req->body = body;
	req->fd = -1;
	return 0;
}

static int prepare(struct s3_request *req)
{
	int ret = 0;

	if (req->fd >= 0)
		ret = load(req);
	if (!ret && !req->hashed) {
		ret = sigv4_hash(req->body, req->body_len, req->hash);
		req->hashed = !ret;
	}
	return ret;
}

static int verify(struct s3_request *req)
{
	const char *wanted = req->want_hash ? req->wanted : req->answer.sha256;
	char hex[65];
	int ret = sigv4_hash(req->buf, req->got, hex);

	if (ret)
		return ret;
	req->result.verified = true;
	if (strcmp(hex, wanted)) {
		req->result.verified = false;
		return s3_fault_set(&req->result.fault, -EBADMSG, "damaged: SHA-256 is %s, not %s", hex, wanted);
	}
	return 0;
}

void *s3_hasher(void *arg)
{
	struct s3 *s3 = arg;

	pthread_setname_np(pthread_self(), "nexusd-hash");
	pthread_mutex_lock(&s3->lock);
	for (;;) {
		struct s3_request *req = TAILQ_FIRST(&s3->jobs);

		if (!req) {
			if (s3->quit)
				break;
			pthread_cond_wait(&s3->work, &s3->lock);
			continue;
		}
		TAILQ_REMOVE(&s3->jobs, req, link);
		pthread_mutex_unlock(&s3->lock);
		req->result.error = req->state == S3_S_PREPARING ? prepare(req) : verify(req);
		pthread_mutex_lock(&s3->lock);
		TAILQ_INSERT_TAIL(&s3->worked, req, link);
		curl_multi_wakeup(s3->multi);
	}
	pthread_mutex_unlock(&s3->lock);
	return NULL;
}
