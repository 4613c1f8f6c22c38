// SPDX-License-Identifier: Apache-2.0
/*
 * Making a zone: everything in a sibling directory, durable, renamed at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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
	char dir[PATH_MAX];		/* of the half-made zone */
	int dirfd;
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
	snprintf(path, sizeof(path), "%s/" STORE_INDEX, m->dir);
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
		ret = hostfile_create(m->dirfd, name, m->sb.segment_size);
	}
	if (ret)
		return err_set(err, ret, "a segment of %u bytes cannot be written: %s",
			       m->sb.segment_size, strerror(-ret));
	ret = store_open_packs(m->cfg, m->dir, &os, err);
	if (ret)
		return ret;
	for (i = 0; i < m->sc->packs && !ret; i++)
		ret = pack_create(os, NEXUS_FIRST_PACK + i, blocks, m->sb.uuid);
	os->drv->close(os);
	return ret ? err_set(err, ret, "a pack of %u bytes cannot be written: %s",
			     m->sb.pack_size, strerror(-ret)) : 0;
}

static int make_skeleton(struct making *m, struct errline *err)
{
	static const char *const dirs[] = { STORE_INDEX, STORE_LOG, STORE_PACKS };
	size_t i;
	int fd, ret;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (mkdirat(m->dirfd, dirs[i], 0700)) {
			ret = -errno;
			return err_set(err, ret, "%s/%s: %s", m->dir, dirs[i], strerror(-ret));
		}
	}
	fd = openat(m->dirfd, STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		ret = -errno;
		return err_set(err, ret, "%s/" STORE_LOCK ": %s", m->dir, strerror(-ret));
	}
	close(fd);
	return 0;
}

static int write_content(struct making *m, struct errline *err)
{
	int fd = openat(m->dirfd, STORE_CONTENT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -errno : 0;

	if (!ret && dprintf(fd, "%s\n", m->sc->content) < 0)
		ret = -errno;
	if (!ret && fsync(fd))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret ? err_set(err, ret, "%s/" STORE_CONTENT ": %s", m->dir, strerror(-ret)) : 0;
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
		return write_content(m, err);
	return err_set(err, ret, "store %.*s: %.300s", (int)strcspn(m->sc->content, ";"),
		       m->sc->content, why.msg[0] ? why.msg : strerror(-ret));
}

static int check_request(const struct config *cfg, const struct store_create *sc,
			 struct errline *err)
{
	struct stat st;
	char path[PATH_MAX];

	if (!nexus_label_ok(sc->name, strlen(sc->name)))
		return err_set(err, -EINVAL,
			       "\"%.70s\" is no zone name: 1 to 63 of a-z, 0-9 and -, not beginning with -",
			       sc->name);
	if (sc->segment_size % NEXUS_BLOCK_SIZE || sc->segment_size < 2u << 20 ||
	    sc->segment_size > 1u << 30)
		return err_set(err, -EINVAL, "segment_size must be 2M to 1G");
	if (sc->pack_size % NEXUS_BLOCK_SIZE || sc->pack_size < 1u << 20 ||
	    sc->pack_size > 2ull << 30)
		return err_set(err, -EINVAL, "pack_size must be 1M to 2G");
	if (store_path(cfg, sc->name, NULL, path))
		return err_set(err, -ENAMETOOLONG, "data_dir is too long");
	if (!lstat(path, &st))
		return err_set(err, -EEXIST, "zone %s exists", sc->name);
	return 0;
}

int store_create_zone(const struct config *cfg, const struct store_create *sc,
		      struct errline *err)
{
	struct making m = { .cfg = cfg, .sc = sc, .dirfd = -1 };
	char path[PATH_MAX];
	int ret;

	ret = check_request(cfg, sc, err);
	if (ret)
		return ret;
	store_path(cfg, sc->name, NULL, path);
	if (snprintf(m.dir, sizeof(m.dir), "%.3800s/zones/.new-%s", cfg->data_dir, sc->name) < 0)
		return -ENAMETOOLONG;
	if (mkdir(m.dir, 0700)) {
		ret = -errno;
		return err_set(err, ret, ret == -EEXIST ?
			       "zone %s is being made by someone else" :
			       "%s cannot be made", ret == -EEXIST ? sc->name : m.dir);
	}
	nexus_omap_init(&m.map);
	ret = store_check_host(m.dir, cfg->allow_any_host, err);
	if (ret)
		goto out;
	m.dirfd = open(m.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m.dirfd < 0) {
		ret = -errno;
		goto out;
	}
	ret = make_skeleton(&m, err);
	if (!ret)
		ret = make_index(&m, err);
	if (!ret)
		ret = make_content(&m, err);
	if (!ret)
		ret = make_files(&m, err);
	if (!ret)
		ret = hostfile_sync_dir(m.dirfd, STORE_INDEX);
	if (!ret)
		ret = hostfile_sync_dir(m.dirfd, ".");
	if (!ret && renameat2(AT_FDCWD, m.dir, AT_FDCWD, path, RENAME_NOREPLACE)) {
		ret = -errno;
		if (ret == -EEXIST)
			err_set(err, ret, "zone %s exists", sc->name);
	}
	if (!ret)
		ret = hostfile_sync_dir(m.dirfd, "..");
out:
	nexus_omap_destroy(&m.map);
	if (ret)
		store_remove_tree(m.dir);
	if (m.dirfd >= 0)
		close(m.dirfd);
	return ret;
}
