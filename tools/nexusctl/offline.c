// SPDX-License-Identifier: Apache-2.0
/* Dump and load of a zone at rest. */
#include "offline_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump.h"

int offline_failed(struct offline *o, int ret, const struct errline *err)
{
	char buf[128];
	const char *text = err_text(err, ret, buf, sizeof(buf));

	if (strstr(text, o->zone))
		snprintf(o->error, sizeof(o->error), "%s", text);
	else
		snprintf(o->error, sizeof(o->error), "zone %.70s: %s", o->zone, text);
	return ret;
}

bool offline_wait_ms(const char *text, unsigned int *ms)
{
	return atrest_wait_ms(text, ms);
}

int offline_open(struct offline *o, struct atrest *a, const char *owner,
		 struct errline *err)
{
	struct atrest_args args = {
		.zone = o->zone, .data_dir = o->data_dir, .config = o->config,
		.wait_ms = ATREST_WAIT_MS,
	};

	if (o->wait)
		offline_wait_ms(o->wait, &args.wait_ms);
	log_set_level(LOG_L_ERROR);
	return atrest_open(a, &args, owner, err);
}

/* ---- dump ----------------------------------------------------------------- */

/* A file beside @path that takes its place when it is whole. */
static int open_beside(const char *path, char tmp[PATH_MAX], FILE **out,
		       struct errline *err)
{
	int fd;

	if (snprintf(tmp, PATH_MAX, "%s.XXXXXX", path) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "%.200s: name too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	*out = fdopen(fd, "w");
	if (*out)
		return 0;
	close(fd);
	unlink(tmp);
	return -ENOMEM;
}

static int keep(const char *path, const char *tmp, FILE *out, struct errline *err)
{
	int ret = 0;

	if (fsync(fileno(out)) || fclose(out))
		ret = -errno;
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (ret)
		unlink(tmp);
	return ret ? err_set(err, ret, "%s: %s", path, strerror(-ret)) : 0;
}

static int dump_to(struct zone *z, const char *path, uint64_t *keys, struct errline *err)
{
	char tmp[PATH_MAX];
	FILE *out = stdout;
	u64 n = 0;
	int ret = 0;

	if (path)
		ret = open_beside(path, tmp, &out, err);
	if (ret)
		return ret;
	ret = dump_write(z, out, &n, err);
	*keys = n;
	if (ret && !err->msg[0])
		err_set(err, ret, "%s: %s", path ? path : "standard output", strerror(-ret));
	if (!path)
		return ret;
	if (!ret)
		return keep(path, tmp, out, err);
	fclose(out);
	unlink(tmp);
	return ret;
}

int offline_dump(struct offline *o, const char *path, uint64_t *keys)
{
	struct atrest *a = malloc(sizeof(*a));
	struct errline err = { "" };
	int ret;

	if (!a)
		return offline_failed(o, -ENOMEM, &err);
	ret = offline_open(o, a, NULL, &err);
	if (!ret)
		ret = atrest_load(a, true, &err);
	if (!ret)
		ret = atrest_log_ok(a, &err);
	if (!ret)
		ret = dump_to(a->z, path, keys, &err);
	atrest_close(a);
	free(a);
	return ret ? offline_failed(o, ret, &err) : 0;
}

/* ---- load ----------------------------------------------------------------- */

/* A copy of what can be read only once, as a file without a name. */
static int spool(FILE **in, struct errline *err)
{
	const char *base = getenv("TMPDIR");
	char path[PATH_MAX], buf[65536];
	FILE *copy = NULL;
	size_t n;
	int fd;

	snprintf(path, sizeof(path), "%.4000s/nexusctl-XXXXXX", base ? base : "/var/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	unlink(path);
	copy = fdopen(fd, "w+");
	if (!copy) {
		close(fd);
		return -ENOMEM;
	}
	while ((n = fread(buf, 1, sizeof(buf), *in)))
		if (fwrite(buf, 1, n, copy) != n)
			break;
	if (ferror(*in) || ferror(copy) || fflush(copy)) {
		fclose(copy);
		return err_set(err, -EIO, "the dump cannot be read, or not copied to %s", path);
	}
	*in = copy;
	return 0;
}

static int open_dump(const char *path, FILE **in, struct errline *err)
{
	struct stat st;
	FILE *once = stdin;
	int ret;

	if (path)
		once = fopen(path, "re");
	if (!once)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	*in = once;
	if (!fstat(fileno(once), &st) && S_ISREG(st.st_mode))
		return 0;
	ret = spool(in, err);
	if (once != stdin)
		fclose(once);
	if (ret)
		*in = NULL;
	return ret;
}

int offline_load(struct offline *o, const char *path, uint64_t *keys)
{
	struct atrest *a = malloc(sizeof(*a));
	struct errline err = { "" };
	char owner[48];
	FILE *in = NULL;
	u64 n = 0;
	int ret;

	if (!a)
		return offline_failed(o, -ENOMEM, &err);
	snprintf(owner, sizeof(owner), "nexusctl load (pid %d)", (int)getpid());
	ret = offline_open(o, a, owner, &err);
	if (!ret)
		ret = open_dump(path, &in, &err);
	if (!ret)
		ret = dump_load(a, in, &n, &err);
	*keys = n;
	if (in && in != stdin)
		fclose(in);
	atrest_close(a);
	free(a);
	return ret ? offline_failed(o, ret, &err) : 0;
}
