// SPDX-License-Identifier: Apache-2.0
/* What the content driver "test" has: a directory's files, as names of objects. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content_test.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **name;
	size_t n;
};

static int add_name(struct names *l, const char *file)
{
	char **more = realloc(l->name, (l->n + 1) * sizeof(*more));
	char *at;

	if (!more)
		return -ENOMEM;
	l->name = more;
	more[l->n] = strdup(file + 1);
	if (!more[l->n])
		return -ENOMEM;
	for (at = more[l->n]; (at = strchr(at, '=')); at++)
		*at = '/';
	l->n++;
	return 0;
}

int test_list_named(struct content *c, const char *prefix,
		    int (*fn)(void *arg, const char *name, __u64 bytes), void *arg)
{
	struct test_content *t = (struct test_content *)c;
	char file[CONTENT_NAME_MAX + 2];
	struct names l = { 0 };
	struct dirent *de;
	struct stat st;
	size_t i;
	int ret = 0, fd = openat(t->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return -errno;
	while (!ret && (de = readdir(dir)))
		if (de->d_name[0] == '@')
			ret = add_name(&l, de->d_name);
	closedir(dir);
	if (l.n)
		qsort(l.name, l.n, sizeof(*l.name), by_name);
	for (i = 0; i < l.n; i++) {
		if (!ret && !strncmp(l.name[i], prefix, strlen(prefix)) &&
		    !test_file_name(l.name[i], file) && !fstatat(t->dirfd, file, &st, 0))
			ret = fn(arg, l.name[i], (u64)st.st_size);
		free(l.name[i]);
	}
	free(l.name);
	return ret;
}

/* ---- everything ------------------------------------------------------------------- */

#define PARTS	".parts-"	/* and "ID-FILE": an upload of that file that is not finished */

/* The files of a page: those that come first behind @after. */
struct page {
	bool parts;		/* uploads, not objects */
	const char *after;	/* NULL: all */
	char **name;		/* in order */
	size_t n, most;
	bool more;
};

static int page_add(struct page *p, const char *name)
{
	size_t at = p->n;

	if (p->after && strcmp(name, p->after) <= 0)
		return 0;
	while (at && strcmp(p->name[at - 1], name) > 0)
		at--;
	p->more |= p->n == p->most;
	if (at == p->most)
		return 0;
	if (p->n == p->most)
		free(p->name[--p->n]);
	memmove(p->name + at + 1, p->name + at, (p->n++ - at) * sizeof(*p->name));
	p->name[at] = strdup(name);
	return p->name[at] ? 0 : -ENOMEM;
}

static int page_read(struct page *p, int dirfd)
{
	int ret = 0, fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir)
		return -errno;
	/* What is being written has a dot before its name. */
	while (!ret && (de = readdir(dir)))
		if (p->parts ? !strncmp(de->d_name, PARTS, strlen(PARTS)) : de->d_name[0] != '.')
			ret = page_add(p, de->d_name);
	closedir(dir);
	return ret;
}

struct giving {
	content_object_fn object;
	content_upload_fn upload;	/* NULL: objects */
	void *arg;
};

/* @st: of its file.  @key: room for the name. */
static void object_of(const char *file, const struct stat *st, char key[NAME_MAX + 1],
		      struct content_object *o)
{
	char again[32], *at;

	*o = (struct content_object){ .key = key, .bytes = (__u64)st->st_size, .mtime = st->st_mtime };
	o->pack = strtoull(file, NULL, 16);
	snprintf(again, sizeof(again), "%016" PRIx64, (uint64_t)o->pack);
	o->is_pack = !strcmp(file, again);
	snprintf(key, NAME_MAX + 1, "%s", file + (file[0] == '@'));
	for (at = key; file[0] == '@' && (at = strchr(at, '=')); at++)
		*at = '/';
}

static int give_file(struct test_content *t, const char *file, const struct giving *g)
{
	char key[NAME_MAX + 1], id[NAME_MAX + 1], *end;
	struct content_object o;
	struct stat st;

	/* Gone by now. */
	if (fstatat(t->dirfd, file, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	if (!g->upload) {
		object_of(file, &st, key, &o);
		return g->object(g->arg, &o);
	}
	snprintf(id, sizeof(id), "%s", file + strlen(PARTS));
	end = strchr(id, '-');
	if (!end)
		return -EPROTO;
	*end = '\0';
	st.st_size = 0;
	object_of(end + 1, &st, key, &o);
	return g->upload(g->arg, &o, id);
}

static int list_page(struct content *c, char **token, __s64 *now, const struct giving *g)
{
	struct test_content *t = (struct test_content *)c;
	struct page p = { .parts = g->upload, .after = *token };
	struct plan plan;
	size_t i;
	int ret;

	test_plan(t, &plan);
	p.most = (size_t)NEXUS_MIN(NEXUS_MAX(plan.page, 1ull), 1000ull);
	p.name = calloc(p.most + 1, sizeof(*p.name));
	ret = p.name ? 0 : -ENOMEM;
	if (!ret && atomic_load(c->stop))
		ret = -ESHUTDOWN;
	if (!ret && (plan.fail || atomic_fetch_add(&t->pages, 1) >= plan.unlist))
		ret = -EIO;
	if (!ret)
		ret = page_read(&p, t->dirfd);
	*now = time(NULL);
	for (i = 0; !ret && i < p.n; i++)
		ret = give_file(t, p.name[i], g);
	free(*token);
	*token = NULL;
	if (!ret && p.more) {
		*token = p.name[p.n - 1];
		p.name[p.n - 1] = NULL;
	}
	for (i = 0; p.name && i < p.n; i++)
		free(p.name[i]);
	free(p.name);
	return ret;
}

int test_list_page(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	return list_page(c, token, now, &(struct giving){ .object = fn, .arg = arg });
}

int test_uploads_page(struct content *c, char **token, __s64 *now, content_upload_fn fn, void *arg)
{
	return list_page(c, token, now, &(struct giving){ .upload = fn, .arg = arg });
}

int test_abort_upload(struct content *c, const char *key, const char *id)
{
	struct test_content *t = (struct test_content *)c;
	char file[CONTENT_NAME_MAX + 2], path[PATH_MAX];
	struct plan plan;

	test_plan(t, &plan);
	if (plan.refuse)
		return -EIO;
	/* A pack's file has no '@'. */
	snprintf(path, sizeof(path), PARTS "%s-%s", id, key);
	if (!unlinkat(t->dirfd, path, 0) || test_file_name(key, file))
		return 0;
	snprintf(path, sizeof(path), PARTS "%s-%s", id, file);
	return unlinkat(t->dirfd, path, 0) && errno != ENOENT ? -errno : 0;
}
