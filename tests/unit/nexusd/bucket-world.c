// SPDX-License-Identifier: Apache-2.0
#include "bucket-world.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- the store ------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct key *)a)->key, ((const struct key *)b)->key);
}

static struct key *find(struct world *w, const char *key)
{
	struct key want = { .key = (char *)key };

	return w->n ? bsearch(&want, w->keys, w->n, sizeof(want), by_key) : NULL;
}

void world_put(struct world *w, const char *key, u64 size, const char *etag)
{
	struct key *k = find(w, key);
	bool behind = w->n && strcmp(w->keys[w->n - 1].key, key) < 0;

	if (!k) {
		if (w->n == w->cap) {
			w->cap = w->cap ? w->cap * 2 : 64;
			w->keys = realloc(w->keys, w->cap * sizeof(*w->keys));
			assert_non_null(w->keys);
		}
		k = &w->keys[w->n++];
		k->key = strdup(key);
	}
	snprintf(k->etag, sizeof(k->etag), "%s", etag);
	k->size = size;
	k->mtime = 1000000000;
	if (!behind)
		qsort(w->keys, w->n, sizeof(*w->keys), by_key);
}

void world_del(struct world *w, const char *key)
{
	struct key *k = find(w, key);

	assert_non_null(k);
	free(k->key);
	memmove(k, k + 1, (char *)(w->keys + w->n) - (char *)(k + 1));
	w->n--;
}

static void store_close(struct bucket_store *b)
{
	(void)b;
}

/* The first key behind @after that begins with @prefix. */
static size_t first_behind(struct world *w, const char *after)
{
	size_t low = 0, high = w->n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (strcmp(w->keys[mid].key, after) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int store_list(struct bucket_store *b, const char *prefix, unsigned int most, char **token,
		      bucket_object_fn fn, void *arg, struct errline *err)
{
	struct world *w = (struct world *)b;
	unsigned int page = most && most < w->page ? most : w->page, given = 0;
	char last[BUCKET_KEY_MAX + 2] = "", *slash;
	size_t i, skip = strlen(prefix);
	bool more = false;
	int ret = w->error;

	w->lists++;
	if (ret)
		snprintf(err->msg, sizeof(err->msg), "told to fail");
	i = *token ? first_behind(w, *token) : 0;
	for (; !ret && i < w->n; i++) {
		struct bucket_object o = {
			.key = w->keys[i].key, .etag = w->keys[i].etag,
			.size = w->keys[i].size, .mtime = w->keys[i].mtime,
		};
		char group[BUCKET_KEY_MAX + 2];

		if (strncmp(o.key, prefix, skip) != 0)
			continue;
		snprintf(group, sizeof(group), "%s", o.key);
		slash = strchr(group + skip, '/');
		if (slash) {
			slash[1] = '\0';
			o = (struct bucket_object){ .key = group, .etag = "", .is_prefix = true };
		}
		/* One that was given as a group. */
		if (!strcmp(group, last) || (*token && slash && !strncmp(*token, group, strlen(group))))
			continue;
		if (given == page) {
			more = true;
			break;
		}
		strcpy(last, group);
		given++;
		ret = fn(arg, &o);
	}
	/* Behind all that a group has. */
	if (more && last[0] && last[strlen(last) - 1] == '/')
		strcat(last, "\xff");
	slash = !ret && more ? strdup(last) : NULL;
	free(*token);
	*token = slash;
	if (!ret && w->between)
		w->between(w);
	return ret;
}

u8 world_byte(const char *key, const char *etag, u64 at)
{
	return (u8)(at / 4096 * 7 + at + (u8)key[0] * 3 + (u8)etag[0]);
}

static ssize_t store_get(struct bucket_store *b, const char *key, const char *etag, __u64 offset,
			 void *buf, size_t len, struct errline *err)
{
	struct world *w = (struct world *)b;
	struct key *k = find(w, key);
	size_t i;

	__atomic_fetch_add(&w->gets, 1, __ATOMIC_RELAXED);
	(void)err;
	if (w->error)
		return w->error;
	if (!k)
		return -ENOENT;
	if (strcmp(k->etag, etag) != 0)
		return -ESTALE;
	len = (size_t)NEXUS_MIN((u64)len, k->size > offset ? k->size - offset : 0);
	for (i = 0; i < len; i++)
		((u8 *)buf)[i] = world_byte(key, etag, offset + i);
	__atomic_fetch_add(&w->got, len, __ATOMIC_RELAXED);
	return (ssize_t)len;
}

static const struct bucket_ops store_ops = {
	.close = store_close, .list = store_list, .get = store_get,
};

/* ---- life ----------------------------------------------------------------------- */

static int kernel(struct chan *c, unsigned long cmd, void *arg)
{
	struct world *w = c->ctx;

	return w->ioctl ? w->ioctl(w, cmd, arg) : 0;
}

struct world *world_new(bool with_zone)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->page = 1000;
	w->b = calloc(1, sizeof(*w->b));
	assert_non_null(w->b);
	assert_int_equal(bucket_init(w->b, 3600 * 1000), 0);
	snprintf(w->b->source, sizeof(w->b->source), "s3://test");
	w->store.ops = &store_ops;
	w->store.stop = &w->b->stop;
	w->b->store = &w->store;
	if (!with_zone)
		return w;
	strcpy(w->dir, "/tmp/nexus-bucket-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->b->dirfd = open(w->dir, O_RDONLY | O_DIRECTORY);
	assert_true(w->b->dirfd >= 0);
	w->chan.ioctl = kernel;
	w->chan.ctx = w;
	w->z = zone_new(NULL, &w->cfg, &w->chan, "s3-test");
	assert_non_null(w->z);
	w->z->id = 1;
	w->b->zone = w->z;
	w->b->flight = 64u << 20;
	w->z->bucket = w->b;
	return w;
}

void world_free(struct world *w)
{
	if (w->z)
		zone_put(w->z);
	else
		bucket_free(w->b);
	if (w->dir[0])
		store_remove_tree(w->dir);
	while (w->n)
		free(w->keys[--w->n].key);
	free(w->keys);
	free(w);
}

/* ---- asking --------------------------------------------------------------------- */

int world_ask(struct world *w, u32 op, u64 ino, u64 arg0, u64 arg1, const char *name)
{
	u8 room[NEXUS_REQUEST_SIZE] __attribute__((aligned(8))) = { 0 };
	struct nexus_request *req = (void *)room;
	const char *field = NULL;

	req->op = op;
	req->ino = ino;
	req->arg0 = arg0;
	req->arg1 = arg1;
	req->reply_max = NEXUS_REPLY_DATA_MAX;
	req->len = name ? (u32)strlen(name) : 0;
	if (name)
		memcpy(req->data, name, req->len);
	w->len = bucket_answer(w->b, req, w->reply, false);
	if (w->len == -EAGAIN)
		w->len = bucket_answer(w->b, req, w->reply, true);
	if (w->len >= 0)
		assert_int_equal(nexus_reply_check(req, w->reply, (size_t)w->len, &field), 0);
	return w->len;
}

s64 world_walk(struct world *w, const char *path)
{
	char text[1024], *part, *save = NULL;
	u64 ino = NEXUS_ROOT_INO;

	snprintf(text, sizeof(text), "%s", path);
	for (part = strtok_r(text, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (world_ask(w, NEXUS_OP_LOOKUP, ino, 0, 0, part) < 0)
			return w->len;
		ino = world_entry(w)->attr.ino;
	}
	return (s64)ino;
}

size_t world_read(struct world *w, u64 dir, void (*fn)(void *arg, const char *name, u64 pos),
		  void *arg)
{
	const struct nexus_list_reply *lr = (const void *)w->reply;
	u64 at = NEXUS_FIRST_POS, end;
	const struct nexus_list_ent *e;
	char name[256];
	size_t n = 0;
	u32 i;

	assert_true(world_ask(w, NEXUS_OP_GETATTR, dir, NEXUS_GETATTR_NAMES, 0, NULL) > 0);
	end = world_entry(w)->attr.next_pos;
	while (at < end) {
		assert_true(world_ask(w, NEXUS_OP_LIST, dir, at, end, NULL) > 0);
		e = (const void *)(lr + 1);
		for (i = 0; i < lr->count; i++) {
			assert_true(e->pos >= at);
			at = e->pos + 1;
			memcpy(name, e->name, e->namelen);
			name[e->namelen] = '\0';
			if (fn)
				fn(arg, name, e->pos);
			n++;
			e = (const void *)((const u8 *)e + e->reclen);
		}
		if (lr->flags & NEXUS_LR_END)
			break;
		at = lr->next_pos;
	}
	return n;
}
