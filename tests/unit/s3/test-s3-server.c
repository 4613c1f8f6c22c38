// SPDX-License-Identifier: Apache-2.0
/* The S3 client against a server that others wrote: every operation, odd names, limits. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "world.h"

#define MIB	(1u << 20)

static struct world_client client;

static int open_client(void **state)
{
	struct s3_settings set = world_settings();

	(void)state;
	set.part = S3_PART_LEAST;
	client = world_open(&set);
	return 0;
}

static int close_client(void **state)
{
	(void)state;
	world_close(&client);
	return 0;
}

static void one_object(void **state)
{
	const char *keys[] = { "one", "never-there" };
	struct s3_result result;
	unsigned char data[5000], buf[100];
	struct s3_get get = { .key = "one", .offset = 4950, .buf = buf, .len = sizeof(buf) };
	int errors[2];

	(void)state;
	world_fill(data, sizeof(data), 1);
	assert_int_equal(s3_head(client.s3, "one", &result), -ENOENT);
	world_put(client.s3, "one", data, sizeof(data), 0);
	assert_int_equal(s3_head(client.s3, "one", &result), 0);
	assert_int_equal(result.size, sizeof(data));
	assert_true(llabs(result.mtime - time(NULL)) < 600);
	assert_int_equal(result.etag[0], '"');
	world_expect(client.s3, "one", data, sizeof(data));
	/* A range that goes beyond the end; one that begins there; one behind it. */
	assert_int_equal(s3_get(client.s3, &get, &result), 0);
	assert_int_equal(result.len, 50);
	assert_memory_equal(buf, data + 4950, 50);
	assert_false(result.verified);
	get.offset = 5000;
	assert_int_equal(s3_get(client.s3, &get, &result), 0);
	assert_int_equal(result.len, 0);
	get.offset = 1u << 30;
	assert_int_equal(s3_get(client.s3, &get, &result), 0);
	assert_int_equal(result.len, 0);
	get.key = "never-there";
	assert_int_equal(s3_get(client.s3, &get, &result), -ENOENT);
	assert_string_equal(result.code, "NoSuchKey");
	assert_int_equal(result.attempts, 1);
	assert_int_equal(s3_delete(client.s3, keys, 2, errors, &result), 0);
	assert_int_equal(errors[0], 0);
	assert_int_equal(errors[1], 0);
	assert_int_equal(s3_head(client.s3, "one", &result), -ENOENT);
}

/* What was kept at the writing is compared at the reading. */
static void verified(void **state)
{
	static const unsigned char other[32] = { 1 };
	unsigned char data[777], buf[1000], hash[32];
	struct s3_get get = { .key = "sum", .buf = buf, .len = sizeof(buf) };
	struct s3_put put = { .key = "sum", .data = data, .len = sizeof(data), .fd = -1 };
	struct s3_result result;

	(void)state;
	world_fill(data, sizeof(data), 2);
	world_put(client.s3, "sum", data, sizeof(data), 0);
	assert_int_equal(s3_get(client.s3, &get, &result), 0);
	assert_true(result.verified);
	assert_true(EVP_Digest(data + 7, 100, hash, NULL, EVP_sha256(), NULL));
	get.offset = 7;
	get.len = 100;
	get.sha256 = hash;
	assert_int_equal(s3_get(client.s3, &get, &result), 0);
	assert_true(result.verified);
	hash[0] ^= 1;
	assert_int_equal(s3_get(client.s3, &get, &result), -EBADMSG);
	assert_true(result.attempts > 1);
	/* What is said to be sent and what is are not the same: the server refuses. */
	put.sha256 = other;
	assert_int_equal(s3_put(client.s3, &put, &result), -EBADMSG);
}

static const char *const odd[] = {
	"a", "a/b", "a/", "a//b", "/", "//", "/lead", "trail/", "..", "../x", "./x", "x/../y", "x/./y", ".",
	"space in it", " lead", "trail ", "plus+and%25percent%", "quo\"te'<&>", "q?a=b&c=d#e", "semi;colon:@=,",
	"tab\there", "new\nline", "ret\rurn", "\001\002\037", "del\177", "a\\b", "*~!()'", "\303\244\304\200\360\237\230\200",
	"{}[]|^`", "%2F", "a%2Fb", "..%2f..",
};

#define ODD	(sizeof(odd) / sizeof(odd[0]))

static void odd_names(void **state)
{
	char key_long[S3_KEY_MAX + 2], text[32];
	struct s3_query query = { 0 };
	struct s3_settings set = world_settings();
	struct world_client prefixed;
	struct s3_result result;
	struct s3_list list;
	int errors[ODD];
	size_t i, j;

	(void)state;
	set.prefix = "odd names/+%/";
	prefixed = world_open(&set);
	for (i = 0; i < ODD; i++) {
		snprintf(text, sizeof(text), "content %zu", i);
		world_put(prefixed.s3, odd[i], text, strlen(text), 0);
	}
	for (i = 0; i < ODD; i++) {
		snprintf(text, sizeof(text), "content %zu", i);
		world_expect(prefixed.s3, odd[i], text, strlen(text));
	}
	assert_int_equal(s3_list(prefixed.s3, &query, &list, &result), 0);
	assert_int_equal(list.n, ODD);
	assert_null(list.next);
	for (i = 0; i < ODD; i++) {
		for (j = 0; j < ODD && strcmp(odd[j], list.entries[i].key) != 0; j++)
			;
		if (j == ODD)
			fprintf(stderr, "# listed: \"%s\"\n", list.entries[i].key);
		assert_true(j < ODD);
		assert_true(!i || strcmp(list.entries[i - 1].key, list.entries[i].key) < 0);
	}
	s3_list_free(&list);
	assert_int_equal(s3_delete(prefixed.s3, odd, ODD, errors, &result), 0);
	assert_int_equal(s3_list(prefixed.s3, &query, &list, &result), 0);
	for (i = 0; i < list.n; i++)
		fprintf(stderr, "# left: \"%s\"\n", list.entries[i].key);
	assert_int_equal(list.n, 0);
	s3_list_free(&list);
	world_close(&prefixed);

	memset(key_long, 'k', sizeof(key_long));
	key_long[S3_KEY_MAX] = '\0';
	world_put(client.s3, key_long, "x", 1, 0);
	world_expect(client.s3, key_long, "x", 1);
	key_long[S3_KEY_MAX] = 'k';
	key_long[S3_KEY_MAX + 1] = '\0';
	world_put(client.s3, key_long, "x", 1, -ENAMETOOLONG);
	world_put(client.s3, "", "x", 1, -EINVAL);
}

static void no_bytes(void **state)
{
	struct s3_result result;

	(void)state;
	world_put(client.s3, "empty", NULL, 0, 0);
	world_expect(client.s3, "empty", "", 0);
	assert_int_equal(s3_head(client.s3, "empty", &result), 0);
	assert_int_equal(result.size, 0);
}

#define MANY	2345

static void pages(void **state)
{
	struct s3_settings set = world_settings();
	struct world_count count = { 0 };
	struct s3_query query = { .prefix = "d/" };
	struct world_client many;
	struct s3_result result;
	struct s3_list list;
	char key[32], token[2048];
	unsigned int i, seen = 0, found_pages = 0;

	(void)state;
	set.prefix = "many/";
	many = world_open(&set);
	for (i = 0; i < MANY; i++) {
		struct s3_put put = { .key = key, .data = "n", .len = 1, .fd = -1 };

		snprintf(key, sizeof(key), "d/%02u/%05u", i / 100, i);
		assert_int_equal(s3_put_start(many.s3, &put, world_counted, &count), 0);
	}
	world_wait(&count, MANY);
	assert_int_equal(count.failed, 0);
	do {
		assert_int_equal(s3_list(many.s3, &query, &list, &result), 0);
		for (i = 0; i < list.n; i++, seen++) {
			snprintf(key, sizeof(key), "d/%02u/%05u", seen / 100, seen);
			assert_string_equal(list.entries[i].key, key);
			assert_int_equal(list.entries[i].size, 1);
			assert_true(list.entries[i].mtime > 0);
		}
		found_pages++;
		if (list.next)
			snprintf(token, sizeof(token), "%s", list.next);
		query.token = list.next ? token : NULL;
		s3_list_free(&list);
	} while (query.token);
	assert_int_equal(seen, MANY);
	assert_int_equal(found_pages, 3);
	/* Grouped; the rest after a name; a page of the size asked for. */
	query = (struct s3_query){ .prefix = "d/", .delimiter = '/' };
	assert_int_equal(s3_list(many.s3, &query, &list, &result), 0);
	assert_int_equal(list.n, 24);
	assert_string_equal(list.entries[23].key, "d/23/");
	assert_true(list.entries[23].is_prefix);
	s3_list_free(&list);
	query = (struct s3_query){ .after = "d/23/02339", .most = 3 };
	assert_int_equal(s3_list(many.s3, &query, &list, &result), 0);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.entries[0].key, "d/23/02340");
	/* The next page of a listing whose names are gone is what is left. */
	snprintf(token, sizeof(token), "%s", list.next);
	s3_list_free(&list);
	query.token = token;
	query.after = NULL;
	assert_int_equal(s3_delete(many.s3, (const char *[]){ "d/23/02342", "d/23/02343" }, 2, NULL, &result), 0);
	assert_int_equal(s3_list(many.s3, &query, &list, &result), 0);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.entries[0].key, "d/23/02344");
	s3_list_free(&list);
	world_close(&many);
}

static unsigned int uploads_left(void)
{
	struct s3_result result;
	unsigned int aborted;

	assert_int_equal(s3_abort_leftovers(client.s3, "parts", time(NULL) + 3600, &aborted, &result), 0);
	return aborted;
}

static void in_parts(void **state)
{
	size_t len = 2 * S3_PART_LEAST + 12345;
	unsigned char *data = malloc(len), *buf = malloc(len + 10), hash[32];
	struct s3_put put = { .key = "parts", .data = data, .len = len, .fd = -1, .sha256 = hash };
	struct s3_get get = { .key = "parts", .buf = buf, .len = len + 10 };
	struct s3_result result;
	int fd;

	(void)state;
	world_fill(data, len, 3);
	assert_true(EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL));
	assert_int_equal(s3_upload(client.s3, &put, &result), 0);
	assert_int_equal(result.attempts, 5);
	assert_int_equal(s3_head(client.s3, "parts", &result), 0);
	assert_non_null(strchr(result.etag, '-'));
	assert_int_equal(s3_read(client.s3, &get, &result), 0);
	assert_int_equal(result.len, len);
	assert_int_equal(result.size, len);
	assert_memory_equal(buf, data, len);
	assert_true(result.verified);
	/* From a file, at an offset. */
	fd = memfd_create("upload", MFD_CLOEXEC);
	assert_int_equal(pwrite(fd, data, len, 777), (ssize_t)len);
	put = (struct s3_put){ .key = "parts-file", .fd = fd, .offset = 777, .len = len };
	assert_int_equal(s3_upload(client.s3, &put, &result), 0);
	memset(buf, 0, len);
	get.key = "parts-file";
	get.offset = 1000;
	assert_int_equal(s3_read(client.s3, &get, &result), 0);
	assert_int_equal(result.len, len - 1000);
	assert_memory_equal(buf, data + 1000, len - 1000);
	/* Another version is another object. */
	get.if_match = "\"0123456789abcdef0123456789abcdef\"";
	assert_int_equal(s3_read(client.s3, &get, &result), -ESTALE);
	/* The last part cannot be read: the other two are not left. */
	put.key = "parts-short";
	put.len = len + 1;
	assert_int_equal(s3_upload(client.s3, &put, &result), -ENODATA);
	assert_true(result.unread);
	assert_int_equal(s3_head(client.s3, "parts-short", &result), -ENOENT);
	assert_int_equal(uploads_left(), 0);
	close(fd);
	free(data);
	free(buf);
}

/* An upload that nobody ends, as after a crash. */
static void leftovers(void **state)
{
	struct s3_settings set = world_settings();
	size_t len = 3 * S3_PART_LEAST;
	unsigned char *data = calloc(1, len);
	struct s3_put put = { .key = "parts-left", .data = data, .len = len, .fd = -1 };
	struct world_client dying;
	struct world_count count = { 0 };
	struct s3_result result;
	struct s3_stats stats;
	unsigned int aborted;

	(void)state;
	set.part = S3_PART_LEAST;
	/* Slow enough to be caught in the middle. */
	set.up = 4 * MIB;
	dying = world_open(&set);
	assert_int_equal(s3_upload_start(dying.s3, &put, world_counted, &count), 0);
	do {
		usleep(10000);
		s3_stats(dying.s3, &stats);
	} while (stats.requests < 2);
	world_close(&dying);
	assert_int_equal(count.ended, 1);
	assert_int_equal(count.error, -ECANCELED);
	/* Not those of a moment ago, unless they are asked for. */
	assert_int_equal(s3_abort_leftovers(client.s3, "parts", time(NULL) - 3600, &aborted, &result), 0);
	assert_int_equal(aborted, 0);
	assert_int_equal(uploads_left(), 1);
	assert_int_equal(uploads_left(), 0);
	free(data);
}

#define RACERS	16

struct race {
	const char *etag;	/* NULL: the name must be free */
	unsigned int round, number;
	int error;
};

static void *racer(void *arg)
{
	struct race *race = arg;
	char text[32];
	struct s3_put put = { .key = "race", .data = text, .fd = -1, .absent = !race->etag, .if_match = race->etag };
	struct s3_result result;

	put.len = (uint64_t)snprintf(text, sizeof(text), "round %u, racer %u", race->round, race->number);
	race->error = s3_put(client.s3, &put, &result);
	return NULL;
}

/* The content is another each time: the same would have the same ETag. */
static void run_race(const char *etag, unsigned int round)
{
	struct race races[RACERS];
	pthread_t threads[RACERS];
	unsigned int i, winner = RACERS, winners = 0;
	char text[32];

	for (i = 0; i < RACERS; i++) {
		races[i] = (struct race){ etag, round, i, 1 };
		assert_int_equal(pthread_create(&threads[i], NULL, racer, &races[i]), 0);
	}
	for (i = 0; i < RACERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		if (!races[i].error) {
			winner = i;
			winners++;
		} else {
			assert_int_equal(races[i].error, -EEXIST);
		}
	}
	assert_int_equal(winners, 1);
	snprintf(text, sizeof(text), "round %u, racer %u", round, winner);
	world_expect(client.s3, "race", text, strlen(text));
}

static void one_wins(void **state)
{
	struct s3_result result;
	unsigned int i;

	(void)state;
	run_race(NULL, 0);
	for (i = 1; i < 6; i++) {
		assert_int_equal(s3_head(client.s3, "race", &result), 0);
		run_race(result.etag, i);
	}
}

static void refused(void **state)
{
	struct s3_settings set = world_settings();
	const char *access = world_env("AWS_ACCESS_KEY_ID");
	struct world_client other;
	struct s3_query query = { 0 };
	struct s3_result result;
	struct s3_list list;

	(void)state;
	other = world_open_as(&set, access, "not-the-secret");
	world_put(other.s3, "refused", "x", 1, -EKEYREJECTED);
	assert_int_equal(s3_list(other.s3, &query, &list, &result), -EKEYREJECTED);
	assert_null(strstr(result.fault.text, "not-the-secret"));
	assert_int_equal(s3_head(other.s3, "refused", &result), -EACCES);
	world_close(&other);
	other = world_open_as(&set, "NOBODY", "not-the-secret");
	world_put(other.s3, "refused", "x", 1, -EKEYREJECTED);
	world_close(&other);
	set.bucket = "no-such-bucket-here";
	other = world_open(&set);
	world_put(other.s3, "refused", "x", 1, -ENODEV);
	assert_int_equal(s3_list(other.s3, &query, &list, &result), -ENODEV);
	assert_non_null(strstr(result.fault.text, "no-such-bucket-here"));
	assert_int_equal(s3_head(other.s3, "x", &result), -ENOENT);
	world_close(&other);
}

static void by_tls(void **state)
{
	struct s3_settings set = world_settings();
	struct world_client tls;
	struct s3_result result;

	(void)state;
	set.endpoint = world_env("NEXUS_S3_TLS_ENDPOINT");
	set.ca_file = world_env("NEXUS_S3_CA_FILE");
	tls = world_open(&set);
	world_put(tls.s3, "tls", "secret", 6, 0);
	world_expect(tls.s3, "tls", "secret", 6);
	world_close(&tls);
	/* The system's certificates do not vouch for it. */
	set.ca_file = "/etc/ssl/certs/ca-certificates.crt";
	tls = world_open(&set);
	assert_int_equal(s3_head(tls.s3, "tls", &result), access(set.ca_file, R_OK) ? -EINVAL : -EPERM);
	assert_int_equal(result.attempts, 1);
	world_close(&tls);
}

static void by_host(void **state)
{
	struct s3_settings set = world_settings();
	struct world_client host;
	struct s3_query query = { .prefix = "host" };
	struct s3_result result;
	struct s3_list list;

	(void)state;
	set.endpoint = world_env("NEXUS_S3_HOST_ENDPOINT");
	set.virtual_host = true;
	host = world_open(&set);
	world_put(host.s3, "host//..", "x", 1, 0);
	world_expect(client.s3, "host//..", "x", 1);
	assert_int_equal(s3_list(host.s3, &query, &list, &result), 0);
	assert_int_equal(list.n, 1);
	s3_list_free(&list);
	world_close(&host);
}

static void encrypted(void **state)
{
	static const unsigned char key[32] = "thirty-two bytes of a secret key";
	size_t len = S3_PART_LEAST + 100;
	unsigned char *data = malloc(len), *buf = malloc(len);
	struct s3_put put = { .key = "sse-c-parts", .data = data, .len = len, .fd = -1 };
	struct s3_get get = { .key = "sse-c-parts", .buf = buf, .len = len };
	struct s3_settings set = world_settings();
	struct world_client sse;
	struct s3_result result;

	(void)state;
	world_fill(data, len, 4);
	set.sse = S3_SSE_C;
	set.sse_c_key = key;
	set.part = S3_PART_LEAST;
	sse = world_open(&set);
	world_put(sse.s3, "sse-c", "x", 1, 0);
	world_expect(sse.s3, "sse-c", "x", 1);
	assert_int_equal(s3_upload(sse.s3, &put, &result), 0);
	assert_int_equal(s3_read(sse.s3, &get, &result), 0);
	assert_memory_equal(buf, data, len);
	world_close(&sse);
	get.key = "sse-c";
	get.len = 1;
	assert_int_equal(s3_get(client.s3, &get, &result), -EINVAL);
	set.sse = S3_SSE_KMS;
	set.sse_key_id = world_env("NEXUS_S3_KMS_KEY");
	sse = world_open(&set);
	world_put(sse.s3, "sse-kms", "x", 1, 0);
	world_expect(client.s3, "sse-kms", "x", 1);
	world_close(&sse);
	/* How a server refuses a key it does not have is its own matter. */
	set.sse_key_id = "no-such-key";
	sse = world_open(&set);
	put = (struct s3_put){ .key = "sse-no-kms", .data = "x", .len = 1, .fd = -1 };
	assert_int_not_equal(s3_put(sse.s3, &put, &result), 0);
	assert_int_equal(s3_head(client.s3, "sse-no-kms", &result), -ENOENT);
	world_close(&sse);
	free(data);
	free(buf);
}

/* However much is asked for at once, and whatever it is made of. */
static void bounded(void **state)
{
	struct s3_settings set = world_settings();
	unsigned char *data = calloc(1, MIB);
	struct world_count count = { 0 };
	struct world_client small;
	struct s3_result result;
	struct s3_stats stats;
	struct s3_put big;
	char keys[100][16];
	unsigned int i;
	int fd;

	(void)state;
	set.part = S3_PART_LEAST;
	set.memory = 12 * MIB;
	small = world_open(&set);
	for (i = 0; i < 100; i++) {
		struct s3_put put = { .key = keys[i], .data = data, .len = MIB, .fd = -1 };

		snprintf(keys[i], sizeof(keys[i]), "bounded-%u", i);
		assert_int_equal(s3_put_start(small.s3, &put, world_counted, &count), 0);
	}
	world_wait(&count, 100);
	assert_int_equal(count.failed, 0);
	/* Eight parts of a file, two at a time. */
	fd = memfd_create("big", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 8 * S3_PART_LEAST), 0);
	big = (struct s3_put){ .key = "bounded-big", .fd = fd, .len = 8 * S3_PART_LEAST };
	assert_int_equal(s3_upload(small.s3, &big, &result), 0);
	s3_stats(small.s3, &stats);
	assert_true(stats.memory_peak <= set.memory);
	assert_true(stats.memory_peak > set.memory / 2);
	assert_int_equal(stats.memory, 0);
	assert_int_equal(stats.queued, 0);
	big.len = set.memory;
	assert_int_equal(s3_put(small.s3, &big, &result), -EFBIG);
	close(fd);
	world_close(&small);
	free(data);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Never faster than allowed; how much slower is the machine's matter. */
static void bandwidth(void **state)
{
	struct s3_settings set = world_settings();
	size_t len = 2 * MIB;
	unsigned char *data = malloc(len);
	struct world_client slow;
	int64_t begun;

	(void)state;
	world_fill(data, len, 5);
	set.up = 2 * MIB;
	set.down = 4 * MIB;
	slow = world_open(&set);
	begun = now_ms();
	world_put(slow.s3, "slow", data, len, 0);
	/* A burst of an eighth of a second goes at once. */
	assert_true(now_ms() - begun >= 800);
	begun = now_ms();
	world_expect(slow.s3, "slow", data, len);
	assert_true(now_ms() - begun >= 350);
	world_close(&slow);
	free(data);
}

/* Somebody listens and never says a word; nobody listens. */
static void silence(void **state)
{
	struct s3_settings set = world_settings();
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	struct world_client mute;
	struct s3_result result;
	char endpoint[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", ntohs(address.sin_port));
	set.endpoint = endpoint;
	set.deadline_ms = 500;
	mute = world_open(&set);
	assert_int_equal(s3_head(mute.s3, "mute", &result), -ETIMEDOUT);
	assert_int_equal(result.status, 0);
	close(fd);
	world_close(&mute);
	/* Nobody is there: that is tried again. */
	set.deadline_ms = 5000;
	mute = world_open(&set);
	assert_int_equal(s3_head(mute.s3, "mute", &result), -ECONNREFUSED);
	assert_true(result.attempts > 1);
	world_close(&mute);
}

/* What is under way when the client is closed ends, once. */
static void closed_early(void **state)
{
	struct s3_settings set = world_settings();
	unsigned char *data = calloc(1, MIB);
	struct world_count count = { 0 };
	struct world_client early;
	char key[16];
	unsigned int i;

	(void)state;
	set.up = MIB;
	early = world_open(&set);
	for (i = 0; i < 50; i++) {
		struct s3_put put = { .key = key, .data = data, .len = MIB, .fd = -1 };

		snprintf(key, sizeof(key), "early-%u", i);
		assert_int_equal(s3_put_start(early.s3, &put, world_counted, &count), 0);
	}
	world_close(&early);
	assert_int_equal(count.ended, 50);
	assert_true(count.failed > 40);
	assert_int_equal(count.error, -ECANCELED);
	free(data);
}

static void bad_settings(void **state)
{
	static const struct {
		const char *endpoint, *bucket, *region;
		uint64_t part, memory;
	} bad[] = {
		{ "ftp://host", "b", NULL, 0, 0 }, { "https://u:p@host", "b", NULL, 0, 0 },
		{ "https://host/path", "b", NULL, 0, 0 }, { "https://host?x", "b", NULL, 0, 0 },
		{ "host name", "b", NULL, 0, 0 }, { NULL, NULL, NULL, 0, 0 }, { NULL, "", NULL, 0, 0 },
		{ NULL, "a/b", NULL, 0, 0 }, { NULL, "b", "re gion", 0, 0 }, { NULL, "b", "", 0, 0 },
		{ NULL, "b", NULL, 4u << 20, 0 }, { NULL, "b", NULL, 0, 1u << 20 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct s3_settings set = { .endpoint = bad[i].endpoint, .bucket = bad[i].bucket, .region = bad[i].region,
					   .part = bad[i].part, .memory = bad[i].memory };
		struct s3_fault fault = { "" };
		struct s3 *s3;

		assert_int_equal(s3_open(&set, client.provider, &s3, &fault), -EINVAL);
		assert_true(fault.text[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)
		TEST(one_object), TEST(verified), TEST(odd_names), TEST(no_bytes), TEST(pages), TEST(in_parts),
		TEST(leftovers), TEST(one_wins), TEST(refused), TEST(by_tls), TEST(by_host), TEST(encrypted),
		TEST(bounded), TEST(bandwidth), TEST(silence), TEST(closed_early), TEST(bad_settings),
	};

	cmocka_set_test_filter(getenv("NEXUS_TESTS"));
	return cmocka_run_group_tests_name("s3-server", tests, world_begin, world_end);
}
