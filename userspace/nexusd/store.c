// SPDX-License-Identifier: Apache-2.0
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "content.h"

_Static_assert(STORE_CONTENT_MAX == CONTENT_SPEC_MAX, "a line of the one is the other's");

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC	0x65735546
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC	0xff534d42
#endif

int store_check_host(const char *path, bool allow_any, struct errline *err)
{
	static const struct {
		u32 magic;
		const char *name;
		bool tried;
	} hosts[] = {
		{ EXT4_SUPER_MAGIC,	"ext4",		true },
		{ XFS_SUPER_MAGIC,	"xfs",		true },
		{ TMPFS_MAGIC,		"tmpfs",	false },
		{ RAMFS_MAGIC,		"ramfs",	false },
		{ NFS_SUPER_MAGIC,	"nfs",		false },
		{ FUSE_SUPER_MAGIC,	"fuse",		false },
		{ V9FS_MAGIC,		"9p",		false },
		{ OVERLAYFS_SUPER_MAGIC, "overlay",	false },
		{ SMB_SUPER_MAGIC,	"smb",		false },
		{ SMB2_SUPER_MAGIC,	"smb2",		false },
		{ CIFS_SUPER_MAGIC,	"cifs",		false },
		{ CEPH_SUPER_MAGIC,	"ceph",		false },
		{ NEXUS_SUPER_MAGIC,	"nexusfs",	false },
	};
	struct statfs st;
	size_t i;

	if (statfs(path, &st))
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		if (hosts[i].magic != (u32)st.f_type)
			continue;
		if (hosts[i].tried)
			return 0;
		if (!allow_any)
			return err_set(err, -EOPNOTSUPP,
				       "%s is on %s; a store needs a local disk filesystem (ext4 or xfs), see allow_any_host",
				       path, hosts[i].name);
	}
	log_warn("%s is on a filesystem (type 0x%lx) that nexusfs was not tested on; ext4 and xfs are",
		 path, (unsigned long)st.f_type);
	return 0;
}

int store_path(const struct config *cfg, const char *zone, const char *sub,
	       char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/zones/%s%s%s", cfg->data_dir, zone,
			 sub ? "/" : "", sub ? sub : "");

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- the data directory ---------------------------------------------- */

static int make_dirs(const char *path)
{
	char buf[PATH_MAX];
	char *p;

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return -ENAMETOOLONG;
	for (p = buf + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(buf, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(buf, 0700) && errno != EEXIST ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	/* What cannot be removed stays, and the folder it is in. */
	remove(path);
	return 0;
}

void store_remove_tree(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

bool store_remove_left(const char *dir, bool unlocked)
{
	char path[PATH_MAX + 8];
	bool left = unlocked;
	int fd;

	snprintf(path, sizeof(path), "%s/" STORE_LOCK, dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		left = !flock(fd, LOCK_EX | LOCK_NB);
	if (left) {
		log_info("removing the half-made zone %s", dir);
		store_remove_tree(dir);
	}
	if (fd >= 0)
		close(fd);
	return left;
}

/*
 * Zones whose making was interrupted.  A restore beside the helper before this one may be at
 * it still.
 */
static void clear_leftovers(const char *zones)
{
	DIR *dir = opendir(zones);
	char path[PATH_MAX];
	struct dirent *de;

	if (!dir)
		return;
	while ((de = readdir(dir))) {
		if (strncmp(de->d_name, ".new-", 5))
			continue;
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", zones, de->d_name) < sizeof(path))
			store_remove_left(path, true);
	}
	closedir(dir);
}

/* Who holds a lock file, as he wrote it himself. */
static void read_holder(int fd, char *buf, size_t len)
{
	ssize_t n = pread(fd, buf, len - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

static void write_holder(int fd, const char *owner)
{
	if (ftruncate(fd, 0) || dprintf(fd, "%s\n", owner) < 0)
		log_debug("a lock file cannot be written: %s", strerror(errno));
}

int store_open_data(const struct config *cfg, int *lock_fd, struct errline *err)
{
	char path[PATH_MAX], holder[128];
	int ret, fd;

	ret = make_dirs(cfg->data_dir);
	if (ret)
		return err_set(err, ret, "data_dir %s cannot be made: %s",
			       cfg->data_dir, strerror(-ret));
	if (snprintf(path, sizeof(path), "%s/" STORE_LOCK, cfg->data_dir) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "data_dir is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "data_dir %s cannot be used: %s: %s",
			       cfg->data_dir, path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ret = -errno;
		read_holder(fd, holder, sizeof(holder));
		close(fd);
		return err_set(err, ret == -EWOULDBLOCK ? -EBUSY : ret,
			       "data_dir %s is in use by another nexusd%s%s", cfg->data_dir,
			       holder[0] ? ": " : "", holder);
	}
	snprintf(holder, sizeof(holder), "session %.64s pid %d", cfg->session, (int)getpid());
	write_holder(fd, holder);
	snprintf(path, sizeof(path), "%.4000s/zones", cfg->data_dir);
	ret = make_dirs(path);
	if (ret) {
		close(fd);
		return err_set(err, ret, "%s cannot be made: %s", path, strerror(-ret));
	}
	clear_leftovers(path);
	*lock_fd = fd;
	return 0;
}

/* ---- locks and names -------------------------------------------------- */

int store_lock_zone(const char *dir, const char *owner, unsigned int wait_ms,
		    int *lock_fd, struct errline *err)
{
	char path[PATH_MAX + 8], holder[128];
	unsigned int waited = 0;
	int fd, ret;

	snprintf(path, sizeof(path), "%s/" STORE_LOCK, dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EROFS || errno == EACCES))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		ret = -errno;
		if (ret == -EINTR)
			continue;
		if (ret == -EWOULDBLOCK && waited < wait_ms) {
			usleep(20000);
			waited += 20;
			continue;
		}
		read_holder(fd, holder, sizeof(holder));
		close(fd);
		if (ret != -EWOULDBLOCK)
			return err_set(err, ret, "%s: %s", path, strerror(-ret));
		return err_set(err, -EBUSY, "the zone is in use%s%s", holder[0] ? ": by " : "",
			       holder);
	}
	if (owner)
		write_holder(fd, owner);
	*lock_fd = fd;
	return 0;
}

int store_find_zone(const struct config *cfg, const char *name, char path[PATH_MAX],
		    struct errline *err)
{
	struct stat st;
	int ret;

	if (!nexus_label_ok(name, strlen(name)))
		return err_set(err, -EINVAL,
			       "\"%.70s\" is no zone name: 1 to 63 of a-z, 0-9 and -, not beginning with -",
			       name);
	ret = store_path(cfg, name, NULL, path);
	if (ret)
		return err_set(err, ret, "data_dir is too long");
	if (stat(path, &st))
		return err_set(err, -errno, errno == ENOENT ?
			       "there is no zone %s in %s; nexusctl zone create %s makes it" :
			       "zone %s in %s: %s", name, cfg->data_dir,
			       errno == ENOENT ? name : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is no directory", path);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_list_zones(const struct config *cfg, char ***names, size_t *count)
{
	size_t n = 0, cap = 0;
	char path[PATH_MAX];
	struct dirent *de;
	char **list = NULL;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%.4000s/zones", cfg->data_dir);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((de = readdir(dir))) {
		if (!nexus_label_ok(de->d_name, strlen(de->d_name)))
			continue;
		if (n == cap) {
			char **more = realloc(list, (cap + 32) * sizeof(*list));

			if (!more) {
				ret = -ENOMEM;
				break;
			}
			list = more;
			cap += 32;
		}
		list[n] = strdup(de->d_name);
		if (!list[n]) {
			ret = -ENOMEM;
			break;
		}
		n++;
	}
	closedir(dir);
	if (ret) {
		while (n)
			free(list[--n]);
		free(list);
		return ret;
	}
	if (n)
		qsort(list, n, sizeof(*list), compare_names);
	*names = list;
	*count = n;
	return 0;
}

/* ---- content elsewhere ------------------------------------------------------ */

int store_read_content(const char *dir, char spec[STORE_CONTENT_MAX], struct errline *err)
{
	char path[PATH_MAX + 16];
	ssize_t n;
	int fd, ret;

	snprintf(path, sizeof(path), "%s/" STORE_CONTENT, dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	n = read(fd, spec, CONTENT_SPEC_MAX - 1);
	ret = n < 0 ? -errno : 0;
	close(fd);
	if (n < 0)
		return err_set(err, ret, "%s: %s", path, strerror(-ret));
	spec[n] = '\0';
	if (n && spec[n - 1] == '\n')
		spec[--n] = '\0';
	return content_spec_ok(spec) && strlen(spec) == (size_t)n ? 0 :
	       err_set(err, -EINVAL, "%s is damaged: it names nothing that holds content", path);
}

int store_write_content(int dirfd, const char *spec)
{
	int fd = openat(dirfd, STORE_CONTENT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -errno : 0;

	if (!ret && dprintf(fd, "%s\n", spec) < 0)
		ret = -errno;
	if (!ret && fsync(fd))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

int store_open_content(const struct config *cfg, const char *dir, const __u8 zone[NEXUS_UUID_SIZE],
		       const atomic_bool *stop, struct content **c, struct errline *err)
{
	char spec[STORE_CONTENT_MAX];
	int ret = store_read_content(dir, spec, err);

	*c = NULL;
	if (ret && ret != -ENOENT)
		return ret;
	err->msg[0] = '\0';
	return content_open(ret ? cfg->content : spec, zone, stop, c, err);
}

static void load_content(const char *spec)
{
	struct errline err = { "" };
	int ret = content_load(spec, &err);

	if (ret)
		log_error("%s", err.msg[0] ? err.msg : strerror(-ret));
}

void store_load_content(const struct config *cfg)
{
	static const char *const secrets[] = {
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
	};
	char spec[STORE_CONTENT_MAX], dir[PATH_MAX];
	char **names = NULL;
	size_t n = 0, i;

	content_set_dir(cfg->drivers_dir);
	load_content(cfg->content);
	/* What is not hidden now would have to be with threads around. */
	for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (getenv(secrets[i]) && getenv(secrets[i])[0])
			load_content("s3://any");
	if (store_list_zones(cfg, &names, &n))
		return;
	for (i = 0; i < n; i++) {
		if (!store_path(cfg, names[i], NULL, dir) && !store_read_content(dir, spec, NULL))
			load_content(spec);
		free(names[i]);
	}
	free(names);
}

/* ---- opening what is inside -------------------------------------------- */

int store_open_index(const struct config *cfg, const char *dir, bool rdonly,
		     struct nexus_metastore **ms, struct errline *err)
{
	struct nexus_ms_opts opts = { .rdonly = rdonly, .map_size = cfg->map_size };
	char path[PATH_MAX + 8], line[384] = "";
	int ret;

	snprintf(path, sizeof(path), "%s/" STORE_INDEX, dir);
	ret = cfg->metastore->open(path, &opts, ms, line, sizeof(line));
	if (ret)
		return err_set(err, ret == -ENOENT ? -EUCLEAN : ret, "the index: %s",
			       line[0] ? line : strerror(-ret));
	return 0;
}

int store_open_packs(const struct config *cfg, const char *dir,
		     struct nexus_objectstore **os, struct errline *err)
{
	char path[PATH_MAX + 8];
	int ret;

	snprintf(path, sizeof(path), "%s/" STORE_PACKS, dir);
	ret = cfg->objectstore->open(path, os);
	if (ret)
		return err_set(err, ret, "%s: %s", path, strerror(-ret));
	return 0;
}
