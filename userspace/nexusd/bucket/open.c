// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a mounted bucket.  DATA/buckets/NAME/ has, for as long as it is mounted:
 *
 *	LOCK		as that of a zone
 *	source		a line: uuid and what was mounted
 *	names		what was listed (keep.c)
 *	cache/		files of the cache
 *	packs/, index/	nothing; what every zone has
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bucket.h"
#include "lib/read.h"
#include "zone.h"

#define LOCK_WAIT_MS	3000u
#define KERNEL_TTL_MS	1000u	/* asking again costs little: the listing is here */
#define UUID_TEXT	((size_t)2 * NEXUS_UUID_SIZE)

/* ---- where it is ---------------------------------------------------------------- */

static int bucket_dir(const struct config *cfg, const char *name, char dir[PATH_MAX])
{
	int n = snprintf(dir, PATH_MAX, "%s/buckets/%s", cfg->data_dir, name);

	return n < PATH_MAX - 64 ? 0 : -ENAMETOOLONG;
}

static void in_dir(const struct zone *z, const char *name, char path[PATH_MAX + 16])
{
	snprintf(path, PATH_MAX + 16, "%s/%s", z->dir, name);
}

bool bucket_known(const struct config *cfg, const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];

	if (bucket_dir(cfg, name, dir))
		return false;
	snprintf(path, sizeof(path), "%s/source", dir);
	return !access(path, F_OK);
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* Its directory with LOCK, and whatever is in it from before. */
static int make_place(struct zone *z, struct errline *err)
{
	char path[PATH_MAX + 16];
	int fd, ret = bucket_dir(z->cfg, z->name, z->dir);

	if (ret)
		return err_set(err, ret, "data_dir is too long a path");
	snprintf(path, sizeof(path), "%s/buckets", z->cfg->data_dir);
	ret = make_dir(path);
	if (!ret)
		ret = make_dir(z->dir);
	if (ret)
		return err_set(err, ret, "%s: %s", z->dir, strerror(-ret));
	ret = store_check_host(z->dir, z->cfg->allow_any_host, err);
	if (ret)
		return ret;
	in_dir(z, STORE_LOCK, path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

/* Of a mount before: nothing of it is used. */
static void clear_place(const struct zone *z)
{
	static const char *const parts[] = { "source", "names", "cache", STORE_PACKS, STORE_INDEX };
	char path[PATH_MAX + 16];
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		in_dir(z, parts[i], path);
		/* A file, or else a folder. */
		if (unlink(path) && errno != ENOENT)
			store_remove_tree(path);
	}
}

static int fill_place(const struct zone *z, struct errline *err)
{
	static const char *const folders[] = { "cache", STORE_PACKS, STORE_INDEX };
	char path[PATH_MAX + 16];
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < sizeof(folders) / sizeof(folders[0]); i++) {
		in_dir(z, folders[i], path);
		ret = make_dir(path);
	}
	return ret ? err_set(err, ret, "%s: %s", path, strerror(-ret)) : 0;
}

/* ---- what is mounted ------------------------------------------------------------ */

static int write_source(const struct zone *z, struct errline *err)
{
	char path[PATH_MAX + 16], uuid[UUID_TEXT + 1];
	size_t i;
	FILE *f;
	int bad;

	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		snprintf(uuid + 2 * i, 3, "%02x", z->sb.uuid[i]);
	in_dir(z, "source", path);
	f = fopen(path, "we");
	if (!f)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	bad = fprintf(f, "%s %s\n", uuid, z->bucket->source) < 0;
	bad |= fclose(f);
	return bad ? err_set(err, -ENOSPC, "%s cannot be written", path) : 0;
}

static int read_source(struct zone *z, struct errline *err)
{
	char path[PATH_MAX + 16], line[UUID_TEXT + 1 + BUCKET_SOURCE] = "", byte[3] = "";
	size_t i, len;
	FILE *f;

	in_dir(z, "source", path);
	f = fopen(path, "re");
	if (!f)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	len = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	if (len < UUID_TEXT + 2 || line[len - 1] != '\n' || line[UUID_TEXT] != ' ')
		return err_set(err, -EUCLEAN, "%s is not what it was", path);
	line[len - 1] = '\0';
	for (i = 0; i < NEXUS_UUID_SIZE; i++) {
		memcpy(byte, line + 2 * i, 2);
		z->sb.uuid[i] = (u8)strtoul(byte, NULL, 16);
	}
	snprintf(z->bucket->source, sizeof(z->bucket->source), "%.511s", line + UUID_TEXT + 1);
	return 0;
}

static int make_bucket(struct zone *z)
{
	struct bucket *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	if (bucket_init(b, (u64)z->cfg->bucket_ttl * 1000)) {
		bucket_free(b);
		return -ENOMEM;
	}
	b->zone = z;
	b->limit = z->cfg->bucket_cache;
	b->ahead = z->cfg->fetch_ahead;
	b->flight = z->cfg->fetch_limit;
	z->bucket = b;
	return 0;
}

/* What is as that of a zone that is read-only, with an index that has nothing. */
static int make_store(struct zone *z, struct errline *err)
{
	const struct nexus_ms_opts opts = { .create = true };
	char path[PATH_MAX + 16];
	int ret;

	z->rdonly = true;
	z->sb.incarnation = 1;
	z->sb.checkpoint = NEXUS_FIRST_LSN;
	z->sb.log_from = NEXUS_FIRST_LSN;
	z->sb.next_segment = 1;
	z->sb.segment_size = NEXUS_SEGMENT_SIZE;
	z->sb.pack_size = NEXUS_PACK_SIZE;
	z->al = (struct alloc){ NEXUS_FIRST_INO, NEXUS_FIRST_PACK, 0 };
	z->replay.tail = NEXUS_FIRST_LSN;
	in_dir(z, STORE_INDEX, path);
	ret = nexus_ms_mem.open(path, &opts, &z->ms, err->msg, sizeof(err->msg));
	if (!ret)
		ret = store_open_packs(z->cfg, z->dir, &z->os, err);
	if (!ret)
		ret = memtable_init(&z->mt, z->ms, NEXUS_FIRST_LSN);
	if (!ret)
		ret = applier_init(&z->applier, &z->mt, NEXUS_FIRST_LSN, ~0ull,
				   &zone_applier_ops, z);
	if (ret)
		return ret;
	atomic_store(&z->checkpoint, NEXUS_FIRST_LSN);
	atomic_store(&z->log_from, NEXUS_FIRST_LSN);
	in_dir(z, "cache", path);
	z->bucket->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return z->bucket->dirfd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
}

static int open_names(struct zone *z, int flags, struct errline *err)
{
	struct btree *t = &z->bucket->tree;
	char path[PATH_MAX + 16];
	int ret = 0;

	in_dir(z, "names", path);
	t->keep_fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | flags, 0600);
	if (t->keep_fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!(flags & O_CREAT))
		ret = btree_keep_read(t, t->keep_fd);
	return ret ? err_set(err, ret, "%s: %s", path, strerror(-ret)) : 0;
}

int bucket_open(struct zone *z, const char *source, u64 ticket, struct errline *err)
{
	char owner[192];
	int ret = make_bucket(z);

	if (ret)
		return ret;
	snprintf(z->bucket->source, sizeof(z->bucket->source), "%s", source);
	ret = bucket_try(z->cfg, source, &z->bucket->stop, err);
	if (!ret)
		ret = bucket_open_store(z->cfg, source, &z->bucket->stop, &z->bucket->store, err);
	if (!ret)
		ret = make_place(z, err);
	snprintf(owner, sizeof(owner), "nexusd of session %s (pid %d), bucket %s",
		 z->cfg->session, (int)getpid(), z->name);
	if (!ret)
		ret = store_lock_zone(z->dir, owner, LOCK_WAIT_MS, &z->lock_fd, err);
	if (ret)
		return ret;
	clear_place(z);
	if (getrandom(z->sb.uuid, sizeof(z->sb.uuid), 0) != (ssize_t)sizeof(z->sb.uuid))
		return -EIO;
	ret = fill_place(z, err);
	if (!ret)
		ret = make_store(z, err);
	if (!ret)
		ret = open_names(z, O_CREAT | O_TRUNC, err);
	if (!ret)
		ret = write_source(z, err);
	if (!ret)
		ret = zone_attach(z, ticket, NEXUS_MIN(z->bucket->ttl, (u64)KERNEL_TTL_MS), err);
	if (ret)
		return ret;
	close(z->lock_fd);
	z->lock_fd = -1;
	zone_report(z);
	ret = zone_apply_start(z);
	if (ret)
		return err_set(err, ret, "threads cannot be started: %s", strerror(-ret));
	log_info("%s is mounted as %s", source, z->name);
	return 0;
}

int bucket_reattach(struct zone *z, const struct nexus_zone_next *zn, struct errline *err)
{
	int ret = make_bucket(z);

	if (!ret)
		ret = bucket_dir(z->cfg, z->name, z->dir);
	if (!ret)
		ret = read_source(z, err);
	if (!ret && memcmp(zn->uuid, z->sb.uuid, sizeof(z->sb.uuid)))
		ret = err_set(err, -ESTALE, "the kernel holds another mount of this bucket; data_dir is not the one it was mounted from");
	if (!ret)
		ret = make_store(z, err);
	if (!ret)
		ret = open_names(z, 0, err);
	/* Nothing is sent to it, so it may be down. */
	if (!ret)
		ret = bucket_open_store(z->cfg, z->bucket->source, &z->bucket->stop,
					&z->bucket->store, err);
	if (!ret)
		ret = zone_attach_again(z, zn, err);
	if (!ret)
		ret = zone_apply_start(z);
	if (ret)
		return ret;
	log_info("%s: taken over as %s, with %llu names", z->bucket->source, z->name,
		 (unsigned long long)z->bucket->tree.files);
	return 0;
}

static bool sweep_one(const char *dir)
{
	struct errline err = { "" };
	int fd;

	/* Who has it locked is another session's mount, or a kernel that we do not know. */
	if (store_lock_zone(dir, NULL, 0, &fd, &err))
		return false;
	store_remove_tree(dir);
	close(fd);
	return true;
}

void bucket_sweep(const struct config *cfg, bool (*in_use)(void *arg, const char *name), void *arg)
{
	char dir[PATH_MAX], all[PATH_MAX];
	struct dirent *de;
	DIR *d;

	snprintf(all, sizeof(all), "%.4000s/buckets", cfg->data_dir);
	d = opendir(all);
	while (d && (de = readdir(d))) {
		if (de->d_name[0] == '.' || in_use(arg, de->d_name) ||
		    bucket_dir(cfg, de->d_name, dir))
			continue;
		if (sweep_one(dir))
			log_info("the cache of bucket %s is gone: nobody has it mounted", de->d_name);
	}
	if (d)
		closedir(d);
}

/* ---- the end -------------------------------------------------------------------- */

void bucket_stop(struct bucket *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	atomic_store(&b->stop, true);
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

void bucket_finish(struct zone *z)
{
	clear_place(z);
	log_info("%s is unmounted", z->bucket->source);
}

void bucket_free(struct bucket *b)
{
	if (!b)
		return;
	bucket_close_packs(b);
	if (b->store)
		b->store->ops->close(b->store);
	if (b->tree.keep_fd >= 0)
		close(b->tree.keep_fd);
	if (b->dirfd >= 0)
		close(b->dirfd);
	btree_free(&b->tree);
	pthread_cond_destroy(&b->cond);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* ---- requests ------------------------------------------------------------------- */

int bucket_answer(struct bucket *b, const struct nexus_request *req, void *out, bool may_block)
{
	size_t cap = req->reply_max ? NEXUS_MIN((size_t)req->reply_max, (size_t)NEXUS_REPLY_DATA_MAX) :
		     NEXUS_REPLY_DATA_MAX;
	struct bview v;
	int ret;

	if (!may_block && (req->op == NEXUS_OP_OPEN_PACK || req->op == NEXUS_OP_ENSURE))
		return -EAGAIN;
	if (req->op == NEXUS_OP_OPEN_PACK)
		return bucket_offer_pack(b, req->arg0);
	if (req->op == NEXUS_OP_ENSURE)
		return bucket_fetch(b, req->arg0, (u32)req->arg1, (u32)(req->arg1 >> 32));
	ret = bucket_look(b, req, may_block);
	if (ret)
		return ret;
	bview_begin(&v, &b->tree);
	ret = req->op == NEXUS_OP_EXTENTS ?
	      bview_extents(&v, req->arg0, req->arg1, out, cap) :
	      nexus_read(&v.kv, req, req->data, out, NEXUS_REPLY_DATA_MAX);
	bview_end(&v);
	return ret;
}
