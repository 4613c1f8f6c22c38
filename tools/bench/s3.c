// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 driver's client without anything above it: bench-s3 BUCKET put|get FILE COUNT PARALLEL
 *
 * Writes FILE COUNT times, or reads COUNT objects of its size, PARALLEL at once; prints
 * the seconds it took.  The server is that of the environment.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "drivers/objectstore/s3/creds.h"
#include "drivers/objectstore/s3/s3.h"

static struct {
	struct s3 *s3;
	int fd;
	size_t size;
	bool put;
	unsigned int count;
	pthread_mutex_t lock;
	unsigned int next, failed;	/* lock */
} bench;

/* Takes the next object until there is none. */
static void *worker(void *arg)
{
	unsigned char *buf = malloc(bench.size);
	struct s3_result result;
	char key[32];

	(void)arg;
	for (;;) {
		struct s3_put put = { .key = key, .fd = bench.fd, .len = bench.size };
		struct s3_get get = { .key = key, .buf = buf, .len = bench.size };
		unsigned int number;
		int ret;

		pthread_mutex_lock(&bench.lock);
		number = bench.next++;
		pthread_mutex_unlock(&bench.lock);
		if (!buf || number >= bench.count)
			break;
		snprintf(key, sizeof(key), "driver-%u", number);
		ret = bench.put ? s3_put(bench.s3, &put, &result) : s3_get(bench.s3, &get, &result);
		if (ret || (!bench.put && (result.len != bench.size || !result.verified))) {
			fprintf(stderr, "%s: %s\n", key, ret ? result.fault.text : "it is not what was written");
			pthread_mutex_lock(&bench.lock);
			bench.failed++;
			pthread_mutex_unlock(&bench.lock);
		}
	}
	free(buf);
	return NULL;
}

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int run(unsigned int parallel)
{
	pthread_t *threads = calloc(parallel, sizeof(*threads));
	double begun = now();
	unsigned int i, n = 0;

	if (!threads)
		return 1;
	while (n < parallel && !pthread_create(&threads[n], NULL, worker, NULL))
		n++;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	printf("%.3f\n", now() - begun);
	return n != parallel || bench.failed;
}

int main(int argc, char **argv)
{
	struct s3_settings set = { .endpoint = getenv("NEXUS_S3_ENDPOINT"), .proxy = "" };
	struct s3_creds_settings creds = { 0 };
	struct s3_provider *provider = NULL;
	struct s3_fault fault = { "" };
	struct stat st;
	int ret;

	if (argc != 6) {
		fprintf(stderr, "usage: bench-s3 BUCKET put|get FILE COUNT PARALLEL\n");
		return 2;
	}
	set.bucket = argv[1];
	bench.put = !strcmp(argv[2], "put");
	bench.fd = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (bench.fd < 0 || fstat(bench.fd, &st)) {
		perror(argv[3]);
		return 2;
	}
	bench.size = (size_t)st.st_size;
	bench.count = (unsigned int)strtoul(argv[4], NULL, 10);
	set.concurrency = (unsigned int)strtoul(argv[5], NULL, 10);
	pthread_mutex_init(&bench.lock, NULL);
	if (s3_creds_global_init(&fault) || s3_creds_open(&creds, &provider, &fault) ||
	    s3_open(&set, provider, &bench.s3, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return 2;
	}
	ret = run(set.concurrency);
	s3_close(bench.s3);
	s3_creds_close(provider);
	s3_creds_global_exit();
	return ret;
}
