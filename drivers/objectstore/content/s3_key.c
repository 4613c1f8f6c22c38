// SPDX-License-Identifier: Apache-2.0
#include "s3_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>

#include "drivers/objectstore/s3/profile.h"
#include "drivers/objectstore/s3/secret.h"

#define KEY_FILE_MOST	256u	/* more is some other file */
#define KEY_TEXT	((size_t)44)	/* 32 bytes in base64: the last group ends with one '=' */

/* What EVP_DecodeBlock() writes has whole groups of three bytes. */
#define KEY_ROOM	(KEY_TEXT / 4 * 3)

static size_t text_length(const char *text)
{
	size_t len = strlen(text);

	while (len && strchr("\r\n", text[len - 1]))
		len--;
	return len;
}

/* EVP_DecodeBlock() passes over spaces. */
static bool is_base64(const char *text)
{
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return text_length(text) == KEY_TEXT && strspn(text, all) == KEY_TEXT - 1 &&
	       text[KEY_TEXT - 1] == '=';
}

static int decode(const char *text, unsigned char **key)
{
	unsigned char *bytes;

	if (!is_base64(text))
		return -EINVAL;
	bytes = secret_alloc(KEY_ROOM);
	if (!bytes)
		return -ENOMEM;
	if (EVP_DecodeBlock(bytes, (const unsigned char *)text, KEY_TEXT) != (int)KEY_ROOM) {
		secret_free(bytes);
		return -EINVAL;
	}
	*key = bytes;
	return 0;
}

int s3_key_read(const char *path, unsigned char **key, struct errline *err)
{
	struct s3_fault fault = { "" };
	bool others;
	char *text;
	int ret;

	if (path[0] != '/') {
		snprintf(err->msg, sizeof(err->msg),
			 "content: sse_key_file is \"%.200s\"; it must be an absolute path", path);
		return -EINVAL;
	}
	ret = secret_read_file(path, KEY_FILE_MOST, "the key of SSE-C", &text, &others, &fault);
	if (ret) {
		snprintf(err->msg, sizeof(err->msg), "content: %.400s", fault.text);
		return ret;
	}
	ret = others ? -EPERM : decode(text, key);
	if (ret == -EPERM)
		snprintf(err->msg, sizeof(err->msg),
			 "content: others than its owner may read the key of SSE-C in %.200s; chmod 600 it",
			 path);
	else if (ret == -EINVAL)
		snprintf(err->msg, sizeof(err->msg),
			 "content: %.200s is no key of SSE-C: it must be 32 bytes in base64 (head -c 32 /dev/urandom | base64)",
			 path);
	else if (ret)
		snprintf(err->msg, sizeof(err->msg),
			 "content: no memory that can be locked for the key of SSE-C");
	secret_free(text);
	return ret;
}
