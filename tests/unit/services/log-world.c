// SPDX-License-Identifier: Apache-2.0
#include "log-world.h"

#include <fcntl.h>

/* ---- a disk that can fail -------------------------------------------------------------- */

_Atomic int64_t disk_left = INT64_MAX;	/* bytes that can still be written */
atomic_bool sync_fails;

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off64_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	int64_t left = atomic_load(&disk_left);

	if (left == INT64_MAX)
		return __real_pwrite64(fd, buf, len, offset);
	if (!left) {
		errno = ENOSPC;
		return -1;
	}
	if ((int64_t)len > left)
		len = (size_t)left;
	atomic_fetch_sub(&disk_left, (int64_t)len);
	return __real_pwrite64(fd, buf, len, offset);
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	errno = EIO;
	return atomic_load(&sync_fails) ? -1 : 0;
}

/* No machine crashes here: the disk need not be waited for. */
int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- a log --------------------------------------------------------------------------------- */

struct elog elog;
char said[512];
uint64_t keep_bytes, keep_ms;
int64_t (*log_now)(void);
static bool is_open;

static void hear(void *arg, enum nexus_service_level level, const char *line)
{
	(void)arg;
	(void)level;
	snprintf(said, sizeof(said), "%s", line);
}

int try_open(struct elog *l, uint32_t segment_size)
{
	struct elog_opts opts = {
		.segment_size = segment_size, .reserve = 1000, .log = hear,
		.max_bytes = keep_bytes, .max_age_ms = keep_ms, .now_ms = log_now,
	};
	int fd = open(test_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	said[0] = '\0';
	return elog_open(l, fd, &opts);
}

void begin(uint32_t segment_size)
{
	assert_int_equal(try_open(&elog, segment_size), 0);
	is_open = true;
}

int end(void)
{
	is_open = false;
	return elog_close(&elog);
}

void crash(void)
{
	is_open = false;
	elog_abandon(&elog);
}

int log_teardown(void **state)
{
	if (is_open)
		crash();
	forget();
	return test_teardown(state);
}

/* Memory of a call: what was given out, until forget(). */
static __thread void *given[8192];
static __thread size_t ngiven;

void *more(void *args, size_t size)
{
	(void)args;
	assert_true(ngiven < sizeof(given) / sizeof(given[0]));
	given[ngiven] = calloc(1, size);
	return given[ngiven++];
}

void forget(void)
{
	while (ngiven)
		free(given[--ngiven]);
}

int append(const char *zone, const char *const *texts, uint32_t n, uint32_t durability,
		  uint64_t *first)
{
	struct nexus_eventlog_record recs[16] = { 0 };
	struct nexus_eventlog_append_args a = {
		.records = recs, .count = n, .durability = durability,
	};
	uint32_t i;
	int ret;

	assert_true(n <= 16);
	for (i = 0; i < n; i++) {
		recs[i].zone = zone;
		recs[i].zone_len = (uint32_t)strlen(zone);
		recs[i].data = texts[i];
		recs[i].data_len = (uint32_t)strlen(texts[i]);
	}
	ret = elog_append(&elog, &a);
	if (!ret) {
		assert_int_equal(a.last - a.first + 1, n);
		assert_int_equal(recs[n - 1].seq, a.last);
		if (first)
			*first = a.first;
	}
	return ret;
}

uint64_t put(const char *text, uint32_t durability)
{
	uint64_t seq = 0;

	assert_int_equal(append("z", &text, 1, durability, &seq), 0);
	return seq;
}

int read_some(struct nexus_eventlog_read_args *a, uint64_t from, uint32_t max)
{
	memset(a, 0, sizeof(*a));
	a->from = from;
	a->max = max;
	return elog_read(&elog, a, more);
}

void assert_record(const struct nexus_eventlog_record *r, uint64_t seq, const char *text)
{
	assert_int_equal(r->seq, seq);
	assert_int_equal(r->data_len, strlen(text));
	assert_memory_equal(r->data, text, r->data_len);
}

int log_setup(void **state)
{
	atomic_store(&disk_left, INT64_MAX);
	atomic_store(&sync_fails, false);
	keep_bytes = keep_ms = 0;
	log_now = NULL;
	return test_setup(state);
}
