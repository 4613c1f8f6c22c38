// SPDX-License-Identifier: Apache-2.0
/*
 * Buckets for tests, of the setting "buckets: test:/DIR": s3://NAME/PREFIX is the folder
 * DIR/NAME, whose files are objects, with '=' in their names for the '/' in keys.  The file
 * DIR/control says what is to go wrong, and is read anew each time.  Its lines:
 *
 *	hold		listings and reads wait for as long as the line is there
 *	hold-reads	reads do
 *	down		both fail with EHOSTUNREACH
 *	refuse		both fail with EACCES
 *	page KEYS	so many in a page of a listing; 1,000 without it
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bucket.h"

#define LOOK_NS	10000000L

struct test_bucket {
	struct bucket_store b;
	char control[PATH_MAX], dir[PATH_MAX];
	char prefix[BUCKET_SOURCE];	/* "" or with '/' at its end */
};

struct plan {
	bool hold, hold_reads, down, refuse;
	unsigned int page;
};

static void read_plan(const struct test_bucket *t, struct plan *p)
{
	char line[64];
	FILE *f = fopen(t->control, "re");

	*p = (struct plan){ .page = 1000 };
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		p->hold |= !strcmp(line, "hold");
		p->hold_reads |= !strcmp(line, "hold-reads");
		p->down |= !strcmp(line, "down");
		p->refuse |= !strcmp(line, "refuse");
		if (!strncmp(line, "page ", 5))
			p->page = (unsigned int)strtoul(line + 5, NULL, 10);
	}
	if (f)
		fclose(f);
}

static int obey(const struct test_bucket *t, struct plan *p, bool reads)
{
	const struct timespec look = { 0, LOOK_NS };

	for (;;) {
		read_plan(t, p);
		if (atomic_load(t->b.stop))
			return -ESHUTDOWN;
		if (!p->hold && !(reads && p->hold_reads))
			break;
		nanosleep(&look, NULL);
	}
	return p->refuse ? -EACCES : p->down ? -EHOSTUNREACH : 0;
}

static int test_open(const char *where, const atomic_bool *stop, struct bucket_store **out,
		     struct errline *err)
{
	struct test_bucket *t = calloc(1, sizeof(*t));
	const char *name, *rest;
	struct stat st;
	size_t top;

	if (!t)
		return -ENOMEM;
	/* "DIR//NAME[/PREFIX][;...]" */
	name = strstr(where, "//");
	rest = name ? name + 2 : where;
	top = name ? (size_t)(name - where) : 0;
	snprintf(t->control, sizeof(t->control), "%.*s/control", (int)top, where);
	snprintf(t->dir, sizeof(t->dir), "%.*s/%.*s", (int)top, where,
		 (int)strcspn(rest, "/;"), rest);
	rest += strcspn(rest, "/;");
	if (*rest == '/')
		snprintf(t->prefix, sizeof(t->prefix), "%.*s", (int)strcspn(rest + 1, ";"), rest + 1);
	while (t->prefix[0] && t->prefix[strlen(t->prefix) - 1] == '/')
		t->prefix[strlen(t->prefix) - 1] = '\0';
	if (t->prefix[0])
		strcat(t->prefix, "/");
	if (!name || stat(t->dir, &st)) {
		snprintf(err->msg, sizeof(err->msg), "there is no bucket %.400s", t->dir);
		free(t);
		return -ENODEV;
	}
	t->b.ops = &bucket_test_ops;
	t->b.stop = stop;
	*out = &t->b;
	return 0;
}

static void test_close(struct bucket_store *b)
{
	free(b);
}

/* ---- listing -------------------------------------------------------------------- */

struct names {
	char **name;
	size_t n, cap;
};

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All keys below the place that begin with @prefix, in order. */
static int read_keys(const struct test_bucket *t, const char *prefix, struct names *names)
{
	DIR *dir = opendir(t->dir);
	struct dirent *de;
	char *key, *at;

	if (!dir)
		return errno == ENOENT ? -ENODEV : -errno;
	while ((de = readdir(dir))) {
		if (de->d_type != DT_REG)
			continue;
		key = strdup(de->d_name);
		for (at = key; (at = strchr(at, '=')); at++)
			*at = '/';
		if (strncmp(key, t->prefix, strlen(t->prefix)) != 0 ||
		    strncmp(key + strlen(t->prefix), prefix, strlen(prefix)) != 0) {
			free(key);
			continue;
		}
		memmove(key, key + strlen(t->prefix), strlen(key + strlen(t->prefix)) + 1);
		if (names->n == names->cap) {
			names->cap = names->cap ? names->cap * 2 : 64;
			names->name = realloc(names->name, names->cap * sizeof(char *));
		}
		names->name[names->n++] = key;
	}
	closedir(dir);
	if (names->n)
		qsort(names->name, names->n, sizeof(char *), by_bytes);
	return 0;
}

static int open_key(const struct test_bucket *t, const char *key, struct stat *st, char *etag)
{
	char path[PATH_MAX + BUCKET_SOURCE + BUCKET_KEY_MAX], *at;
	int fd;

	snprintf(path, sizeof(path), "%s/%s%s", t->dir, t->prefix, key);
	for (at = path + strlen(t->dir) + 1; (at = strchr(at, '/')); at++)
		*at = '=';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st))
		return -errno;
	snprintf(etag, BUCKET_ETAG_MAX, "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino,
		 (unsigned long long)st->st_mtim.tv_sec, (unsigned long long)st->st_mtim.tv_nsec);
	return fd;
}

static int give(const struct test_bucket *t, const char *key, bool is_prefix,
		bucket_object_fn fn, void *arg)
{
	struct bucket_object o = { .key = key, .etag = "", .is_prefix = is_prefix };
	char etag[BUCKET_ETAG_MAX];
	struct stat st;
	int fd;

	if (is_prefix)
		return fn(arg, &o);
	fd = open_key(t, key, &st, etag);
	/* Gone since the names were read. */
	if (fd < 0)
		return 0;
	close(fd);
	o.etag = etag;
	o.size = (__u64)st.st_size;
	o.mtime = st.st_mtim.tv_sec;
	return fn(arg, &o);
}

static int test_list(struct bucket_store *b, const char *prefix, unsigned int most, char **token,
		     bucket_object_fn fn, void *arg, struct errline *err)
{
	struct test_bucket *t = (struct test_bucket *)b;
	char last[BUCKET_KEY_MAX + 2] = "", group[BUCKET_KEY_MAX + 2], *slash;
	struct names names = { NULL, 0, 0 };
	unsigned int given = 0;
	struct plan p;
	size_t i;
	int ret = obey(t, &p, false);

	if (!ret)
		ret = read_keys(t, prefix, &names);
	if (most)
		p.page = NEXUS_MIN(p.page, most);
	for (i = 0; !ret && i < names.n && given < p.page; i++) {
		snprintf(group, sizeof(group), "%s", names.name[i]);
		slash = strchr(group + strlen(prefix), '/');
		if (slash)
			slash[1] = '\0';
		if ((*token && strcmp(group, *token) <= 0) || !strcmp(group, last))
			continue;
		strcpy(last, group);
		given++;
		ret = give(t, group, slash, fn, arg);
	}
	/* What is left in the last group is none. */
	while (i < names.n && last[0] && last[strlen(last) - 1] == '/' &&
	       !strncmp(names.name[i], last, strlen(last)))
		i++;
	free(*token);
	*token = !ret && i < names.n ? strdup(last) : NULL;
	for (i = 0; i < names.n; i++)
		free(names.name[i]);
	free(names.name);
	if (ret < 0)
		snprintf(err->msg, sizeof(err->msg), "%s", strerror(-ret));
	return ret;
}

/* ---- reading -------------------------------------------------------------------- */

static ssize_t test_get(struct bucket_store *b, const char *key, const char *etag, __u64 offset,
			void *buf, size_t len, struct errline *err)
{
	struct test_bucket *t = (struct test_bucket *)b;
	char now[BUCKET_ETAG_MAX];
	struct plan p;
	struct stat st;
	ssize_t n = obey(t, &p, true);
	int fd = n ? -1 : open_key(t, key, &st, now);

	if (fd >= 0) {
		n = etag[0] && strcmp(etag, now) ? -ESTALE :
						   pread(fd, buf, len, (off_t)offset);
		close(fd);
	} else if (!n) {
		n = fd;
	}
	if (n < 0)
		snprintf(err->msg, sizeof(err->msg), "%s", strerror((int)-n));
	return n;
}

const struct bucket_ops bucket_test_ops = {
	.open = test_open,
	.close = test_close,
	.list = test_list,
	.get = test_get,
};
