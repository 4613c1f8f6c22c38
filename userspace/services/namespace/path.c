// SPDX-License-Identifier: Apache-2.0
#include "path.h"

#include <errno.h>
#include <string.h>

#include "lib/key.h"

#define NAME_MAX_BYTES	255u

static const char *rest_of(const char *key)
{
	return strchr(key, ':') + 1;
}

static bool control(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 && name[i] != '\t' && name[i] != '\n')
			return true;
	return false;
}

/* One name behind @end, from @root on, where the path begins; its end now. */
static int add_name(char *root, char **end, const char *name, size_t len)
{
	if (!len || (len == 1 && name[0] == '.'))
		return 0;
	if (len > NAME_MAX_BYTES)
		return -ENAMETOOLONG;
	if (control(name, len))
		return -EINVAL;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		char *last = *end;

		while (last > root && *--last != '/')
			;
		/* The first name decides what is allowed. */
		if (last == root)
			return -EINVAL;
		*end = last;
		return 0;
	}
	*(*end)++ = '/';
	memcpy(*end, name, len);
	*end += len;
	return 0;
}

int path_key(const char *zone, const char *path, char key[KEY_SIZE])
{
	size_t zone_len = zone ? strnlen(zone, NEXUS_NAMESPACE_ZONE_MAX + 1) : 0, len;
	char *root, *end;
	int ret = 0;

	if (!nexus_label_ok(zone, zone_len) || !path || path[0] != '/')
		return -EINVAL;
	if (strnlen(path, NEXUS_NAMESPACE_PATH_MAX + 1) > NEXUS_NAMESPACE_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(key, zone, zone_len);
	root = end = key + zone_len + 1;
	root[-1] = ':';
	while (*path && !ret) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		ret = add_name(root, &end, path, len);
		path += len;
	}
	*end = '\0';
	return ret;
}

int path_id(const char *id, char key[KEY_SIZE])
{
	char zone[NEXUS_NAMESPACE_ZONE_MAX + 1];
	const char *colon = strchr(id, ':');
	int ret;

	if (!colon || (size_t)(colon - id) >= sizeof(zone))
		return -EINVAL;
	memcpy(zone, id, (size_t)(colon - id));
	zone[colon - id] = '\0';
	ret = path_key(zone, colon + 1, key);
	if (ret)
		return -EINVAL;
	/* Written in one way only, for permissions compares ids byte by byte. */
	return strcmp(path_is_root(key) ? "/" : rest_of(key), colon + 1) ? -EINVAL : 0;
}

/* '/' is lower than what names have in them. */
static unsigned int weight(char c)
{
	return c == '/' ? 1 : (unsigned char)c;
}

int path_cmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)weight(*a) - (int)weight(*b);
}

bool path_at_or_below(const char *top, const char *key)
{
	size_t len = strlen(top);

	return !strncmp(top, key, len) && (!key[len] || key[len] == '/');
}

bool path_is_root(const char *key)
{
	return !rest_of(key)[0];
}

/* Is the name at @path, behind its '/', this one?  What follows it, or NULL. */
static const char *behind(const char *path, const char *name, size_t len)
{
	return path[0] == '/' && !strncmp(path + 1, name, len) &&
	       (!path[1 + len] || path[1 + len] == '/') ? path + 1 + len : NULL;
}

#define BEHIND(path, name)	behind(path, name, sizeof(name) - 1)

enum nexus_namespace_why path_rule(const char *key, bool *readonly)
{
	const char *path = rest_of(key), *below, *archives;

	*readonly = false;
	if (!path[0])
		return NEXUS_NAMESPACE_ROOT;
	if (BEHIND(path, "__sys__"))
		return NEXUS_NAMESPACE_SYS;
	if (BEHIND(path, "system")) {
		*readonly = true;
		return NEXUS_NAMESPACE_ADMIN_ONLY;
	}
	archives = BEHIND(path, "archives");
	*readonly = archives != NULL;
	below = archives ? archives : BEHIND(path, "shared");
	if (below && below[0] && !behind(below, key, (size_t)(path - 1 - key)))
		return NEXUS_NAMESPACE_OTHER_ZONE;
	return NEXUS_NAMESPACE_NO_GRANT;
}
