// SPDX-License-Identifier: Apache-2.0
/*
 * Making a zone: everything in a sibling directory, durable, renamed at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "drivers/hostfile.h"
#include "lib/apply.h"
#include "lib/omap.h"
#include "pack.h"
#include "seglog.h"
#include "store.h"

#define PROBE_SETTINGS	";attempts=3;deadline=10"

struct making {
	const struct config *cfg;
	const struct store_create *sc;
	struct store_new new;
	struct super sb;
	struct alloc al;
	struct nexus_omap map;		/* the empty zone */
};

static int make_uuid(u8 uuid[NEXUS_UUID_SIZE])
{
	if (getrandom(uuid, NEXUS_UUID_SIZE, 0) != NEXUS_UUID_SIZE)
		return -errno;
	uuid[6] = (u8)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (u8)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

static int fill(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	struct making *m = arg;
	const struct nexus_omap_entry *e;
	int ret = 0;

	for (e = nexus_omap_lower(&m->map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(&m->map, e->data, e->klen, true))
		ret = ms->drv->put(batch, e->data, e->klen, nexus_omap_val(e), e->vlen);
	if (!ret)
		ret = alloc_put(ms, batch, &m->al);
	return ret ? ret : super_put(ms, batch, &m->sb);
}

static int make_index(struct making *m, struct errline *err)
{
	struct nexus_ms_opts opts = { .create = true, .map_size = m->cfg->map_size };
	struct nexus_metastore *ms;
	char path[PATH_MAX + 8], line[256] = "";
	struct timespec now;
	int ret;

	clock_gettime(CLOCK_REALTIME, &now);
	m->sb = (struct super){
		.format = NEXUS_FORMAT_VERSION,
		.flags = NEXUS_ZF_CLEAN,
		.incompat = NEXUS_INCOMPAT_KNOWN,
		.checkpoint = NEXUS_FIRST_LSN,
		.checkpoint_seg = 1,
		.log_from = NEXUS_FIRST_LSN,
		.next_segment = 1,
		.created_s = (u64)now.tv_sec,
		.segment_size = (u32)m->sc->segment_size,
		.pack_size = (u32)m->sc->pack_size,
	};
	m->al.next_ino = NEXUS_FIRST_INO;
	m->al.next_pack = NEXUS_FIRST_PACK + m->sc->packs;
	ret = make_uuid(m->sb.uuid);
	if (!ret)
		ret = nexus_apply_mkfs(&m->map.kv, 0755, 0, 0,
				       (struct nexus_time){ now.tv_sec, (u32)now.tv_nsec });
	if (ret)
		return err_set(err, ret, "an empty zone cannot be made: %s", strerror(-ret));
	snprintf(path, sizeof(path), "%s/" STORE_INDEX, m->new.dir);
	ret = m->cfg->metastore->open(path, &opts, &ms, line, sizeof(line));
	if (ret)
		return err_set(err, ret, "the index: %s", line[0] ? line : strerror(-ret));
	ret = ms_write(ms, fill, m);
	ms->drv->close(ms);
	return ret ? err_set(err, ret, "the index cannot be written: %s", strerror(-ret)) : 0;
}

static int make_files(struct making *m, struct errline *err)
{
	struct nexus_objectstore *os;
	char name[32], seg[16];
	u32 i, blocks = super_pack_blocks(&m->sb);
	int ret = 0;

	for (i = 0; i < m->sc->segments && !ret; i++) {
		seglog_name(seg, i);
		snprintf(name, sizeof(name), STORE_LOG "/%s", seg);
		ret = hostfile_create(m->new.dirfd, name, m->sb.segment_size);
	}
	if (ret)
		return err_set(err, ret, "a segment of %u bytes cannot be written: %s",
			       m->sb.segment_size, strerror(-ret));
	ret = store_open_packs(m->cfg, m->new.dir, &os, err);
	if (ret)
		return ret;
	for (i = 0; i < m->sc->packs && !ret; i++)
		ret = pack_create(os, NEXUS_FIRST_PACK + i, blocks, m->sb.uuid);
	os->drv->close(os);
	return ret ? err_set(err, ret, "a pack of %u bytes cannot be written: %s",
			     m->sb.pack_size, strerror(-ret)) : 0;
}

static int busy(const struct store_new *n, struct errline *err)
{
	return err_set(err, -EEXIST, "zone %s is being made by someone else", n->name);
}

static int make_dir(struct store_new *n, struct errline *err)
{
	int ret = mkdir(n->dir, 0700) ? -errno : 0;

	/* One without a lock is being made right now. */
	if (ret == -EEXIST && store_remove_left(n->dir, false))
		ret = mkdir(n->dir, 0700) ? -errno : 0;
	if (ret == -EEXIST)
		return busy(n, err);
	return ret ? err_set(err, ret, "%s cannot be made: %s", n->dir, strerror(-ret)) : 0;
}

static int make_skeleton(struct store_new *n, struct errline *err)
{
	static const char *const dirs[] = { STORE_INDEX, STORE_LOG, STORE_PACKS };
	size_t i;
	int ret;

	n->lockfd = openat(n->dirfd, STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (n->lockfd < 0) {
		ret = -errno;
		return err_set(err, ret, "%s/" STORE_LOCK ": %s", n->dir, strerror(-ret));
	}
	/* Another took it for left: it is that one's. */
	if (flock(n->lockfd, LOCK_EX | LOCK_NB)) {
		ret = busy(n, err);
		n->dir[0] = '\0';
		return ret;
	}
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (mkdirat(n->dirfd, dirs[i], 0700)) {
			ret = -errno;
			return err_set(err, ret, "%s/%s: %s", n->dir, dirs[i], strerror(-ret));
		}
	}
	return 0;
}

/* What shall hold the content does, or says why not. */
static int make_content(struct making *m, struct errline *err)
{
	atomic_bool stop = false;
	char spec[CONTENT_SPEC_MAX];
	struct errline why = { "" };
	struct content *c = NULL;
	int ret, n;

	if (!m->sc->content)
		return 0;
	/* Whoever waits is told soon. */
	n = snprintf(spec, sizeof(spec), "%s" PROBE_SETTINGS, m->sc->content);
	ret = n < (int)sizeof(spec) && content_spec_ok(spec) ? 0 : -EINVAL;
	if (!ret)
		ret = content_open(spec, m->sb.uuid, &stop, &c, &why);
	if (!ret && c && c->ops->probe)
		ret = c->ops->probe(c, &why);
	content_close(c);
	if (!ret)
		return store_write_content(m->new.dirfd, m->sc->content);
	return err_set(err, ret, "store %.*s: %.300s", (int)strcspn(m->sc->content, ";"),
		       m->sc->content, why.msg[0] ? why.msg : strerror(-ret));
}

static int check_name(const struct config *cfg, struct store_new *n, struct errline *err)
{
	struct stat st;

	if (!nexus_label_ok(n->name, strlen(n->name)))
		return err_set(err, -EINVAL,
			       "\"%.70s\" is no zone name: 1 to 63 of a-z, 0-9 and -, not beginning with -",
			       n->name);
	if (store_path(cfg, n->name, NULL, n->path) ||
	    snprintf(n->dir, sizeof(n->dir), "%.3800s/zones/.new-%s", cfg->data_dir, n->name) < 0)
		return err_set(err, -ENAMETOOLONG, "data_dir is too long");
	if (!lstat(n->path, &st))
		return err_set(err, -EEXIST, "zone %s exists", n->name);
	return 0;
}

static int check_sizes(const struct store_create *sc, struct errline *err)
{
	if (sc->segment_size % NEXUS_BLOCK_SIZE || sc->segment_size < 2u << 20 ||
	    sc->segment_size > 1u << 30)
		return err_set(err, -EINVAL, "segment_size must be 2M to 1G");
	if (sc->pack_size % NEXUS_BLOCK_SIZE || sc->pack_size < 1u << 20 ||
	    sc->pack_size > 2ull << 30)
		return err_set(err, -EINVAL, "pack_size must be 1M to 2G");
	return 0;
}

int store_new_begin(struct store_new *n, const struct config *cfg, const char *name,
		    struct errline *err)
{
	int ret;

	n->name = name;
	n->dirfd = -1;
	n->lockfd = -1;
	n->dir[0] = '\0';
	ret = check_name(cfg, n, err);
	if (!ret)
		ret = make_dir(n, err);
	if (ret) {
		n->dir[0] = '\0';
		return ret;
	}
	ret = store_check_host(n->dir, cfg->allow_any_host, err);
	if (ret)
		return ret;
	n->dirfd = open(n->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return n->dirfd < 0 ? -errno : make_skeleton(n, err);
}

int store_new_end(struct store_new *n, int ret, struct errline *err)
{
	if (!ret)
		ret = hostfile_sync_dir(n->dirfd, STORE_INDEX);
	if (!ret)
		ret = hostfile_sync_dir(n->dirfd, ".");
	if (!ret && renameat2(AT_FDCWD, n->dir, AT_FDCWD, n->path, RENAME_NOREPLACE)) {
		ret = -errno;
		if (ret == -EEXIST)
			err_set(err, ret, "zone %s exists", n->name);
	}
	if (!ret)
		ret = hostfile_sync_dir(n->dirfd, "..");
	if (ret && n->dir[0])
		store_remove_tree(n->dir);
	if (n->lockfd >= 0)
		close(n->lockfd);
	if (n->dirfd >= 0)
		close(n->dirfd);
	return ret;
}

int store_create_zone(const struct config *cfg, const struct store_create *sc,
		      struct errline *err)
{
	struct making m = { .cfg = cfg, .sc = sc };
	int ret = check_sizes(sc, err);

	if (ret)
		return ret;
	nexus_omap_init(&m.map);
	ret = store_new_begin(&m.new, cfg, sc->name, err);
	if (!ret)
		ret = make_index(&m, err);
	if (!ret)
		ret = make_content(&m, err);
	if (!ret)
		ret = make_files(&m, err);
	ret = store_new_end(&m.new, ret, err);
	nexus_omap_destroy(&m.map);
	return ret;
}
