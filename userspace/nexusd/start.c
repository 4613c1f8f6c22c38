// SPDX-License-Identifier: Apache-2.0
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot.h"
#include "cachestore.h"
#include "recordstore.h"
#include "service.h"
#include "store.h"

/* ---- drivers and stores ---------------------------------------------------------- */

static void note_driver(struct helper *h, const char *pillar, const char *driver)
{
	char name[BOOT_NAME_MAX];

	snprintf(name, sizeof(name), "%s %s", pillar, driver);
	boot_end(h->boot, boot_begin(h->boot, BOOT_DRIVER, name), BOOT_OK, "built in");
}

static int make_recordstore(struct helper *h)
{
	const struct config *cfg = &h->cfg;
	char dir[PATH_MAX + sizeof("/recordstore")];
	char path[2 * PATH_MAX];
	struct recordstore_opts opts = {
		.driver = cfg->recordstore,
		.at = cfg->recordstore_at,
		.dir = dir,
		.connections = profile_connections(cfg->profile),
		/* Of the time a call into a service has, so that it can say what is wrong. */
		.busy_ms = cfg->service_timeout * 400,
		.reply_ms = cfg->service_timeout * 800,
	};

	if (!strcmp(cfg->recordstore, "none"))
		return 0;
	snprintf(dir, sizeof(dir), "%s/recordstore", cfg->drivers_dir);
	if (!strcmp(cfg->recordstore, "sqlite")) {
		snprintf(path, sizeof(path), "%s/%s", cfg->data_dir, cfg->recordstore_at);
		opts.at = path;
	}
	h->records = recordstore_new(&opts);
	return h->records ? 0 : -ENOMEM;
}

#define CACHE_RETRY_MS		1000

/* Nothing is opened, and no server asked, before somebody has something to keep. */
static int make_cachestore(struct helper *h)
{
	const struct config *cfg = &h->cfg;
	char dir[PATH_MAX + sizeof("/cachestore")], name[BOOT_NAME_MAX];
	const struct cachestore_opts opts = {
		.driver = cfg->cachestore,
		.at = cfg->cachestore_at,
		.dir = dir,
		.bytes = cfg->cachestore_size,
		.entries = cfg->cachestore_entries,
		/* Three of them, at the worst, leave a call into a service time to go on. */
		.reply_ms = cfg->service_timeout * 200,
		.retry_ms = CACHE_RETRY_MS,
	};
	unsigned int step;

	snprintf(dir, sizeof(dir), "%s/cachestore", cfg->drivers_dir);
	snprintf(name, sizeof(name), "cachestore %s", cfg->cachestore);
	step = boot_begin(h->boot, BOOT_STORE, name);
	h->cache = cachestore_new(&opts);
	boot_end(h->boot, step, h->cache ? BOOT_DEFERRED : BOOT_FAILED, NULL);
	return h->cache ? 0 : -ENOMEM;
}

/*
 * A step of the record store, which nobody may ever want: done now only when the start
 * depends on it.
 */
static int records_step(struct helper *h, enum boot_stage stage,
			int (*fn)(struct recordstore *s), struct errline *err)
{
	struct recordstore_info info;
	char name[BOOT_NAME_MAX];
	unsigned int step;
	int ret;

	if (!h->records)
		return 0;
	snprintf(name, sizeof(name), "recordstore %s", h->cfg.recordstore);
	step = boot_begin(h->boot, stage, name);
	if (!boot_wants_records(h->boot)) {
		boot_end(h->boot, step, BOOT_DEFERRED, NULL);
		return 0;
	}
	ret = fn(h->records);
	recordstore_info(h->records, &info);
	boot_end(h->boot, step, ret ? BOOT_FAILED : BOOT_OK, ret ? info.error : NULL);
	return ret ? err_set(err, ret, "recordstore %s, which a service of profile %s cannot do without: %s",
			     h->cfg.recordstore, profile_name(h->cfg.profile), info.error) : 0;
}

static int open_data(struct helper *h, struct errline *err)
{
	unsigned int step = boot_begin(h->boot, BOOT_STORE, "data directory");
	int ret = store_open_data(&h->cfg, &h->data_lock, err);

	boot_end(h->boot, step, ret ? BOOT_FAILED : BOOT_OK, ret ? err->msg : NULL);
	return ret;
}

static int setting_of(const void *cfg, const char *key, uint64_t *value)
{
	__u64 number;
	int ret = config_number(cfg, key, &number);

	if (!ret)
		*value = number;
	return ret;
}

static int make_registry(struct helper *h)
{
	static char *trial[] = { (char *)"/proc/self/exe", (char *)TRY_WORD, NULL };
	static char state[PATH_MAX + sizeof("/services")];
	const struct config *cfg = &h->cfg;
	struct registry_opts opts = {
		.dir = cfg->services_dir,
		.timeout_ms = cfg->service_timeout * 1000,
		.quarantine = cfg->service_quarantine,
		.trial = trial,
		.state = state,
		.setting = setting_of,
		.setting_arg = cfg,
		.records = h->records,
		.cache = h->cache,
	};

	snprintf(state, sizeof(state), "%s/services", cfg->data_dir);
	h->services = registry_new(&opts);
	return h->services ? 0 : -ENOMEM;
}

static int make_plan(struct helper *h)
{
	struct brick_start starts[BRICK_SERVICES_MAX];
	char note[PATH_MAX + sizeof("/starting")];
	const struct boot_plan plan = {
		.starts = starts,
		.n = profile_starts(h->cfg.profile, &h->cfg.set, starts),
		.set = &h->cfg.set,
		.services_dir = h->cfg.services_dir,
		.note = note,
	};

	snprintf(note, sizeof(note), "%s/starting", h->cfg.data_dir);
	return boot_set_plan(h->boot, &plan);
}

int start_build(struct helper *h, struct errline *err)
{
	int ret;

	note_driver(h, "metastore", h->cfg.metastore->name);
	note_driver(h, "objectstore", h->cfg.objectstore->name);
	/* Before anything else of it is looked at: it may be another helper's. */
	ret = open_data(h, err);
	if (!ret)
		store_load_content(&h->cfg);
	if (!ret)
		ret = make_plan(h);
	if (!ret)
		ret = make_recordstore(h);
	if (!ret)
		ret = records_step(h, BOOT_DRIVER, recordstore_load, err);
	if (!ret)
		ret = records_step(h, BOOT_STORE, recordstore_open, err);
	if (!ret)
		ret = make_cachestore(h);
	return ret ? ret : make_registry(h);
}

void start_undo(struct helper *h)
{
	/* Not from under a call that never returned. */
	if (!h->services || registry_free(h->services)) {
		recordstore_free(h->records);
		cachestore_free(h->cache);
	}
	h->services = NULL;
	h->records = NULL;
	h->cache = NULL;
}

/* ---- the background ------------------------------------------------------------------ */

int background_begin(int *ready)
{
	int fds[2], ret;
	pid_t pid;
	char c;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		ret = -errno;
		close(fds[0]);
		close(fds[1]);
		return ret;
	}
	if (pid) {
		close(fds[1]);
		while ((ret = (int)read(fds[0], &c, 1)) < 0 && errno == EINTR)
			;
		_exit(ret == 1 ? 0 : 1);
	}
	close(fds[0]);
	*ready = fds[1];
	return setsid() < 0 ? -errno : 0;
}

void background_ready(int ready)
{
	/* Whoever waits may have gone. */
	if (chdir("/") || write(ready, "", 1) < 0)
		log_debug("into the background: %s", strerror(errno));
	close(ready);
}
