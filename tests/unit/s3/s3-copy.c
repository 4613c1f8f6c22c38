// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 client by hand, against the server of the environment:
 *
 *	s3-copy BUCKET put FILE KEY | get KEY FILE | list PREFIX
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/objectstore/s3/creds.h"
#include "drivers/objectstore/s3/s3.h"

static int put(struct s3 *s3, const char *name, const char *key, struct s3_result *result)
{
	struct s3_put put = { .key = key, .fd = open(name, O_RDONLY | O_CLOEXEC) };
	struct stat st;
	int ret;

	if (put.fd < 0 || fstat(put.fd, &st)) {
		perror(name);
		return 1;
	}
	put.len = (uint64_t)st.st_size;
	ret = s3_upload(s3, &put, result);
	close(put.fd);
	return ret;
}

static int get(struct s3 *s3, const char *key, const char *name, struct s3_result *result)
{
	struct s3_get get = { .key = key };
	int ret = s3_head(s3, key, result);
	FILE *out;

	if (ret)
		return ret;
	get.len = result->size + 1;
	get.buf = malloc(get.len);
	if (!get.buf)
		return 1;
	ret = s3_read(s3, &get, result);
	out = fopen(name, "we");
	if (!out || (!ret && fwrite(get.buf, 1, result->len, out) != result->len) || fclose(out)) {
		perror(name);
		ret = 1;
	}
	free(get.buf);
	return ret;
}

static int list(struct s3 *s3, const char *prefix, struct s3_result *result)
{
	struct s3_query query = { .prefix = prefix };
	struct s3_list page;
	char *token = NULL;
	size_t i;
	int ret;

	do {
		ret = s3_list(s3, &query, &page, result);
		for (i = 0; i < page.n; i++)
			printf("%llu %s\n", (unsigned long long)page.entries[i].size, page.entries[i].key);
		free(token);
		token = page.next;
		page.next = NULL;
		query.token = token;
		s3_list_free(&page);
	} while (!ret && token);
	free(token);
	return ret;
}

int main(int argc, char **argv)
{
	struct s3_settings set = { .endpoint = getenv("NEXUS_S3_ENDPOINT"), .part = S3_PART_LEAST, .proxy = "" };
	struct s3_creds_settings creds = { 0 };
	struct s3_provider *provider = NULL;
	struct s3_result result = { 0 };
	struct s3_fault fault = { "" };
	struct s3 *s3 = NULL;
	int ret = 2;

	if (argc < 4 || !set.endpoint)
		return 2;
	set.bucket = argv[1];
	if (s3_creds_global_init(&fault) || s3_creds_open(&creds, &provider, &fault) ||
	    s3_open(&set, provider, &s3, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return 2;
	}
	if (argc == 5 && !strcmp(argv[2], "put"))
		ret = put(s3, argv[3], argv[4], &result);
	else if (argc == 5 && !strcmp(argv[2], "get"))
		ret = get(s3, argv[3], argv[4], &result);
	else if (argc == 4 && !strcmp(argv[2], "list"))
		ret = list(s3, argv[3], &result);
	if (ret)
		fprintf(stderr, "%s\n", result.fault.text);
	s3_close(s3);
	s3_creds_close(provider);
	s3_creds_global_exit();
	return ret != 0;
}
