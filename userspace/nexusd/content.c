// SPDX-License-Identifier: Apache-2.0
#include "content.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "presence.h"
#include "service_object.h"

static const struct content_ops *const drivers[] = { &content_test };

/* What needs libraries that not everybody has use for. */
static const char *const objects[] = { "s3" };

static const struct object_kind object_driver_kind = {
	.noun = "content driver",
	.setting = "drivers_dir",
	.symbol = CONTENT_DRIVER_SYMBOL,
	.abi = CONTENT_OPS_VERSION,
};

/* Mapped once, and until the process ends. */
static struct {
	pthread_mutex_t lock;
	char dir[PATH_MAX];
	struct object object;
	const struct content_ops *ops;	/* lock; NULL: not loaded */
} loaded = { .lock = PTHREAD_MUTEX_INITIALIZER, .object = OBJECT_NONE };

static bool is_named(const char *spec, size_t len, const char *name)
{
	return strlen(name) == len && !strncmp(name, spec, len);
}

/* The name of the driver of @spec, and what follows it in *@where; or NULL. */
static const char *find(const char *spec, const struct content_ops **built_in,
			const char **where)
{
	const char *colon = strchr(spec, ':');
	size_t i, len = colon ? (size_t)(colon - spec) : 0;

	*built_in = NULL;
	*where = colon ? colon + 1 : NULL;
	for (i = 0; colon && i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		*built_in = drivers[i];
		if (is_named(spec, len, drivers[i]->name))
			return drivers[i]->name;
	}
	*built_in = NULL;
	for (i = 0; colon && i < sizeof(objects) / sizeof(objects[0]); i++)
		if (is_named(spec, len, objects[i]))
			return objects[i];
	return NULL;
}

bool content_spec_ok(const char *spec)
{
	const struct content_ops *ops;
	const char *where, *name;

	if (!strcmp(spec, "none"))
		return true;
	name = find(spec, &ops, &where);
	if (!name || strlen(spec) >= CONTENT_SPEC_MAX || strchr(spec, '\n'))
		return false;
	return ops ? where[0] == '/' :
		     !strncmp(where, "//", 2) && where[2] && where[2] != '/' && where[2] != ';';
}

void content_set_dir(const char *drivers_dir)
{
	snprintf(loaded.dir, sizeof(loaded.dir), "%.4000s/content", drivers_dir);
}

/* lock held. */
static int load(const char *name, struct errline *err)
{
	const struct content_ops *ops;
	int ret = 0;

	if (loaded.ops)
		return 0;
	if (!loaded.object.symbol)
		ret = object_driver(&loaded.object, &object_driver_kind, loaded.dir, name, 0,
				    err);
	if (ret)
		return ret;
	ops = loaded.object.symbol;
	ret = ops->begin ? ops->begin(log_line, err) : 0;
	if (!ret)
		loaded.ops = ops;
	return ret;
}

/* As content_load(), and which driver that is. */
static int get_driver(const char *spec, const struct content_ops **ops, const char **where,
		      struct errline *err)
{
	const char *name = find(spec, ops, where);
	int ret = 0;

	if (!name)
		return err_set(err, -EINVAL, "content: there is no driver for \"%s\"", spec);
	if (*ops)
		return 0;
	pthread_mutex_lock(&loaded.lock);
	ret = load(name, err);
	*ops = loaded.ops;
	pthread_mutex_unlock(&loaded.lock);
	return ret;
}

int content_load(const char *spec, struct errline *err)
{
	const struct content_ops *ops;
	const char *where;

	return strcmp(spec, "none") ? get_driver(spec, &ops, &where, err) : 0;
}

int content_open(const char *spec, const __u8 *zone, const atomic_bool *stop,
		 struct content **c, struct errline *err)
{
	const struct content_ops *ops;
	const char *where;
	int ret;

	*c = NULL;
	if (!strcmp(spec, "none"))
		return 0;
	ret = get_driver(spec, &ops, &where, err);
	if (ret)
		return ret;
	if (ops->version != CONTENT_OPS_VERSION)
		return err_set(err, -EPROTO, "content: driver %s is of version %u, not %u",
			       ops->name, ops->version, CONTENT_OPS_VERSION);
	return ops->open(where, zone, stop, c, err);
}

int content_open_bucket(const char *spec, const atomic_bool *stop, struct bucket_store **b,
			struct errline *err)
{
	const struct content_ops *ops;
	const char *where;
	int ret = get_driver(spec, &ops, &where, err);

	if (ret)
		return ret;
	if (!ops->bucket)
		return err_set(err, -EOPNOTSUPP, "content: driver %s shows no buckets", ops->name);
	return ops->bucket->open(where, stop, b, err);
}

void content_close(struct content *c)
{
	if (c)
		c->ops->close(c);
}

const char *content_why(struct content *c, int error, char *buf, size_t size)
{
	struct content_state st = { .error = "" };

	if (c->ops->state)
		c->ops->state(c, &st);
	if (!st.error[0])
		return strerror(-error);
	snprintf(buf, size, "%s: %s", strerror(-error), st.error);
	return buf;
}

int content_put_pack(struct content *c, const struct pack_image *img, bool *put)
{
	__u64 bytes = pack_image_bytes(img), there;
	int ret = c->ops->head(c, img->pack, &there);

	*put = false;
	if (!ret && there >= bytes && there <= pack_image_full(img))
		return 0;
	if (ret && ret != -ENOENT)
		return ret;
	if (pack_image_away(img))
		return -ENODATA;
	ret = c->ops->put(c, img->pack, img->fd, bytes);
	*put = !ret;
	return ret;
}

bool content_put_local(int error)
{
	return error == -ENODATA || error == -EBADFD;
}

const char *content_put_why(int error)
{
	if (error == -ENODATA)
		return "it is neither here, whole, nor there";
	return error == -EBADFD ? "its file cannot be read" : strerror(-error);
}
