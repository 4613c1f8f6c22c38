// SPDX-License-Identifier: Apache-2.0
#include "content.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct content_ops *const drivers[] = { &content_test };

/* The driver of @spec, and what follows its name in *@where. */
static const struct content_ops *find(const char *spec, const char **where)
{
	const char *colon = strchr(spec, ':');
	size_t i, len = colon ? (size_t)(colon - spec) : 0;

	for (i = 0; colon && i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (strlen(drivers[i]->name) != len || strncmp(drivers[i]->name, spec, len))
			continue;
		*where = colon + 1;
		return drivers[i];
	}
	return NULL;
}

bool content_spec_ok(const char *spec)
{
	const char *where;

	return !strcmp(spec, "none") || (find(spec, &where) && where[0] == '/');
}

bool content_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len && len <= CONTENT_NAME_MAX && name[0] != '/' && name[len - 1] != '/' &&
	       !strstr(name, "//") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == len;
}

int content_open(const char *spec, const __u8 *zone, const atomic_bool *stop,
		 struct content **c, struct errline *err)
{
	const struct content_ops *ops;
	const char *where;

	*c = NULL;
	if (!strcmp(spec, "none"))
		return 0;
	ops = find(spec, &where);
	if (!ops)
		return err_set(err, -EINVAL, "content: there is no driver for \"%s\"", spec);
	if (ops->version != CONTENT_OPS_VERSION)
		return err_set(err, -EPROTO, "content: driver %s is of version %u, not %u",
			       ops->name, ops->version, CONTENT_OPS_VERSION);
	return ops->open(where, zone, stop, c, err);
}

void content_close(struct content *c)
{
	if (c)
		c->ops->close(c);
}
