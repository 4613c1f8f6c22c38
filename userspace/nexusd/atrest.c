// SPDX-License-Identifier: Apache-2.0
#include "atrest.h"

#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MAX_S	86400u
#define SILENT_MS	2000u	/* of a wait, before it is said */

bool atrest_wait_ms(const char *text, unsigned int *ms)
{
	unsigned long seconds;
	char *end;

	errno = 0;
	seconds = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || seconds > WAIT_MAX_S)
		return false;
	if (ms)
		*ms = seconds * 1000;
	return true;
}

/* A path DATA/zones/NAME is as good as the name. */
static int find_name(struct atrest *a, const char *arg, struct errline *err)
{
	char path[PATH_MAX];
	char *slash;

	if (!strchr(arg, '/')) {
		if (strlen(arg) >= sizeof(a->name))
			return err_set(err, -EINVAL, "\"%.70s\" is no zone name", arg);
		memcpy(a->name, arg, strlen(arg) + 1);
		return 0;
	}
	if (!realpath(arg, path))
		return err_set(err, -errno, "%s: %s", arg, strerror(errno));
	slash = strrchr(path, '/');
	if (strlen(slash + 1) >= sizeof(a->name))
		return err_set(err, -EINVAL, "%s is no zone", arg);
	memcpy(a->name, slash + 1, strlen(slash + 1) + 1);
	*slash = '\0';
	slash = strrchr(path, '/');
	if (!slash || strcmp(slash, "/zones"))
		return err_set(err, -EINVAL, "%s is no zone: DATA/zones/NAME is expected", arg);
	*slash = '\0';
	return config_set(&a->cfg, "data_dir", path, arg, err);
}

int atrest_settings(struct config *cfg, const struct atrest_args *args, struct errline *err)
{
	const char *path = args->config ? args->config : CONFIG_PATH;
	int ret;

	config_defaults(cfg);
	ret = config_file(cfg, path, err);
	if (ret == -ENOENT)
		ret = args->config ? err_set(err, ret, "%s: no such file", path) : 0;
	if (!ret)
		ret = config_env(cfg, err);
	if (!ret && args->data_dir)
		ret = config_set(cfg, "data_dir", args->data_dir, "--data-dir", err);
	return ret;
}

static int load_settings(struct atrest *a, const struct atrest_args *args,
			 struct errline *err)
{
	int ret = atrest_settings(&a->cfg, args, err);

	/* Where it lies does not matter for looking at it. */
	a->cfg.allow_any_host = true;
	return ret ? ret : find_name(a, args->zone, err);
}

/* Seen from here; what another namespace has mounted is waited for in vain. */
static bool is_mounted(const char *name)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	bool found = false;
	struct mntent *m;

	if (!mounts)
		return false;
	while (!found && (m = getmntent(mounts)))
		found = !strcmp(m->mnt_type, "nexusfs") && !strcmp(m->mnt_fsname, name);
	endmntent(mounts);
	return found;
}

static int lock(struct atrest *a, unsigned int wait_ms, const char *owner, struct errline *err)
{
	unsigned int first = wait_ms < SILENT_MS ? wait_ms : SILENT_MS;
	int ret;

	if (is_mounted(a->name))
		return store_lock_zone(a->dir, owner, 0, &a->lock_fd, err);
	ret = store_lock_zone(a->dir, owner, first, &a->lock_fd, err);
	if (ret != -EBUSY || wait_ms == first)
		return ret;
	fprintf(stderr, "zone %s: %s; waiting\n", a->name, err->msg);
	err->msg[0] = '\0';
	return store_lock_zone(a->dir, owner, wait_ms - first, &a->lock_fd, err);
}

int atrest_open(struct atrest *a, const struct atrest_args *args, const char *owner,
		struct errline *err)
{
	int ret;

	memset(a, 0, sizeof(*a));
	a->chan.fd = -1;
	a->lock_fd = -1;
	ret = load_settings(a, args, err);
	if (!ret)
		ret = store_find_zone(&a->cfg, a->name, a->dir, err);
	if (!ret)
		ret = lock(a, args->wait_ms, owner, err);
	return ret;
}

int atrest_load(struct atrest *a, bool rdonly, struct errline *err)
{
	a->z = zone_new(NULL, &a->cfg, &a->chan, a->name);
	if (!a->z)
		return -ENOMEM;
	return zone_load(a->z, rdonly, false, err);
}

void atrest_unload(struct atrest *a)
{
	zone_put(a->z);
	a->z = NULL;
}

void atrest_close(struct atrest *a)
{
	atrest_unload(a);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	a->lock_fd = -1;
}

int atrest_log_ok(struct atrest *a, struct errline *err)
{
	char reason[112];

	if (a->z->replay.corrupt)
		return err_set(err, -EUCLEAN, "%s", a->z->replay.reason);
	if (zone_error(a->z, reason))
		return err_set(err, -EUCLEAN, "%s", reason);
	return 0;
}
