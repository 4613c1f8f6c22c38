// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "world.h"

static char bucket[64];

const char *world_env(const char *name)
{
	const char *value = getenv(name);

	if (!value || !value[0]) {
		fprintf(stderr, "%s is not set: eval \"$(tools/s3/server env DIR)\"\n", name);
		exit(1);
	}
	return value;
}

static void note(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "# %s\n", line);
}

struct s3_settings world_settings(void)
{
	struct s3_settings set = {
		.endpoint = world_env("NEXUS_S3_ENDPOINT"),
		.bucket = bucket,
		.proxy = "",
		.deadline_ms = 60000,
		/* Nothing here takes long to come back. */
		.base_ms = 5,
		.cap_ms = 100,
		.note = note,
	};

	return set;
}

struct keys {
	const char *access, *secret;
};

static const char *keys_getenv(void *ctx, const char *name)
{
	const struct keys *keys = ctx;

	if (!strcmp(name, "AWS_ACCESS_KEY_ID"))
		return keys->access;
	return !strcmp(name, "AWS_SECRET_ACCESS_KEY") ? keys->secret : NULL;
}

static struct world_client open_with(const struct s3_settings *set, const struct s3_creds_settings *creds)
{
	struct world_client client = { 0 };
	struct s3_fault fault = { "" };

	if (s3_creds_open(creds, &client.provider, &fault) || s3_open(set, client.provider, &client.s3, &fault)) {
		fprintf(stderr, "# %s\n", fault.text);
		fail();
	}
	return client;
}

struct world_client world_open(const struct s3_settings *set)
{
	struct s3_creds_settings creds = { 0 };

	return open_with(set, &creds);
}

struct world_client world_open_as(const struct s3_settings *set, const char *access, const char *secret)
{
	struct keys keys = { access, secret };
	struct s3_creds_settings creds = { .ctx = &keys, .getenv = keys_getenv };

	return open_with(set, &creds);
}

void world_close(struct world_client *client)
{
	s3_close(client->s3);
	s3_creds_close(client->provider);
	memset(client, 0, sizeof(*client));
}

int world_begin(void **state)
{
	struct s3_settings set;
	struct world_client client;
	struct s3_result result;
	struct s3_fault fault;
	int ret;

	(void)state;
	snprintf(bucket, sizeof(bucket), "nexus-test-%d", getpid());
	ret = s3_creds_global_init(&fault);
	if (ret) {
		fprintf(stderr, "# %s\n", fault.text);
		return ret;
	}
	set = world_settings();
	client = world_open(&set);
	ret = s3_bucket_create(client.s3, &result);
	if (ret)
		fprintf(stderr, "# %s\n", result.fault.text);
	world_close(&client);
	return ret;
}

int world_end(void **state)
{
	struct s3_settings set = world_settings();
	struct world_client client = world_open(&set);
	struct s3_query query = { 0 };
	const char *keys[1000];
	struct s3_result result;
	struct s3_list list;
	int ret;
	size_t i;

	(void)state;
	do {
		ret = s3_list(client.s3, &query, &list, &result);
		for (i = 0; i < list.n; i++)
			keys[i] = list.entries[i].key;
		if (!ret && list.n)
			ret = s3_delete(client.s3, keys, list.n, NULL, &result);
		i = list.n;
		s3_list_free(&list);
	} while (!ret && i);
	if (ret)
		fprintf(stderr, "# %s\n", result.fault.text);
	world_close(&client);
	s3_creds_global_exit();
	return ret;
}

static int connect_control(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)atoi(world_env("NEXUS_S3_PROXY_CONTROL")));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

unsigned int world_tell(const char *line)
{
	static int control = -1;
	char answer[64];
	ssize_t n;

	if (control < 0)
		control = connect_control();
	assert_int_equal(write(control, line, strlen(line)), (ssize_t)strlen(line));
	n = read(control, answer, sizeof(answer) - 1);
	assert_true(n > 0);
	answer[n] = '\0';
	return (unsigned int)strtoul(answer, NULL, 10);
}

void world_fault(const char *what, unsigned int count, const char *filter)
{
	char line[256];

	snprintf(line, sizeof(line), "%s %u %s\n", what, count, filter);
	world_tell(line);
}

void world_fill(void *buf, size_t len, unsigned int seed)
{
	unsigned char *at = buf;
	uint32_t x = seed * 2654435761u + 1;
	size_t i;

	for (i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		at[i] = (unsigned char)x;
	}
}

void world_put(struct s3 *s3, const char *key, const void *data, size_t len, int error)
{
	struct s3_put put = { .key = key, .data = data, .len = len, .fd = -1 };
	struct s3_result result;
	int ret = s3_put(s3, &put, &result);

	if (ret != error)
		fprintf(stderr, "# %s: %s\n", key, result.fault.text);
	assert_int_equal(ret, error);
}

void world_expect(struct s3 *s3, const char *key, const void *data, size_t len)
{
	unsigned char *buf = malloc(len + 1);
	struct s3_get get = { .key = key, .buf = buf, .len = len + 1 };
	struct s3_result result;

	assert_non_null(buf);
	if (s3_get(s3, &get, &result))
		fprintf(stderr, "# %s: %s\n", key, result.fault.text);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.len, len);
	assert_int_equal(result.size, len);
	assert_memory_equal(buf, data, len);
	free(buf);
}

void world_counted(void *ctx, const struct s3_result *result)
{
	struct world_count *count = ctx;

	if (result->error) {
		count->error = result->error;
		count->failed++;
	}
	count->ended++;
}

void world_wait(struct world_count *count, unsigned int n)
{
	while (count->ended < n)
		usleep(1000);
}
