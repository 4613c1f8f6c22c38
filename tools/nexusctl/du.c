// SPDX-License-Identifier: Apache-2.0
/*
 * nexusctl du: how much space files take, and how much of that is here.
 *
 * It counts as du(1) does: a file with several names once, blocks that several files share
 * with each of them, and stays on the filesystem of each argument.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/nexusfs.h>
#include <nexus/content.h>

#include "nexusctl.h"

struct du {
	struct json json;
	const struct ctl *ctl;
	void *seen;		/* tsearch(3): files with several names */
	int ret;
	uint64_t apparent, allocated, here;	/* bytes, of one argument */
};

struct name {
	dev_t dev;
	ino_t ino;
};

bool on_nexusfs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == NEXUS_SUPER_MAGIC;
}

static void failed(struct du *du, const char *path, const char *why)
{
	fprintf(stderr, "nexusctl: %s: %s\n", path, why);
	du->ret = EXIT_FAILED;
}

static int by_file(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* True: it has been counted under another name. */
static bool counted(struct du *du, const FTSENT *e)
{
	struct name **at, *name;

	if (e->fts_statp->st_nlink < 2 || e->fts_info == FTS_D)
		return false;
	name = malloc(sizeof(*name));
	if (!name)
		return false;
	*name = (struct name){ e->fts_statp->st_dev, e->fts_statp->st_ino };
	at = tsearch(name, &du->seen, by_file);
	if (at && *at == name)
		return false;
	free(name);
	return at;
}

/* Bytes of a file that are away. */
static uint64_t away(struct du *du, const FTSENT *e)
{
	int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	struct nexus_content_state st = { .away = 0 };
	int fd, err;

	fd = open(e->fts_accpath, e->fts_level ? flags | O_NOFOLLOW : flags);
	if (fd < 0) {
		if (errno != ENOENT || !e->fts_level)
			failed(du, e->fts_path, content_error(-errno));
		return 0;
	}
	err = nexus_content_look(fd, 0, NEXUS_CONTENT_ALL, &st);
	close(fd);
	/* Of a stream all is here. */
	if (err && err != -ENOTTY)
		failed(du, e->fts_path, content_error(err));
	return st.away;
}

static void count(struct du *du, const FTSENT *e)
{
	const struct stat *st = e->fts_statp;
	uint64_t taken = (uint64_t)st->st_blocks * 512, gone = 0;

	if (counted(du, e))
		return;
	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		du->apparent += (uint64_t)st->st_size;
	if (du->ctl->cached && S_ISREG(st->st_mode) && taken)
		gone = away(du, e);
	du->allocated += taken;
	du->here += taken > gone ? taken - gone : 0;
}

/* False: nothing of it can be said. */
static bool walk(struct du *du, FTS *fts)
{
	FTSENT *e;

	while ((e = fts_read(fts))) {
		switch (e->fts_info) {
		case FTS_DP:
		case FTS_DC:
			break;
		case FTS_NS:
		case FTS_DNR:
		case FTS_ERR:
			/* Removed since it was listed. */
			if (e->fts_errno == ENOENT && e->fts_level)
				break;
			failed(du, e->fts_path, content_error(-e->fts_errno));
			if (!e->fts_level && e->fts_info != FTS_DNR)
				return false;
			break;
		default:
			if (!e->fts_level && du->ctl->cached && !on_nexusfs(e->fts_accpath)) {
				failed(du, e->fts_path, "not on a nexusfs");
				return false;
			}
			count(du, e);
		}
	}
	return true;
}

static const char *human(char text[16], uint64_t n)
{
	static const char units[] = "BKMGTPE";
	double v = (double)n;
	size_t unit = 0;

	for (; v >= 1024 && unit + 2 < sizeof(units); unit++)
		v /= 1024;
	if (!unit)
		snprintf(text, 16, "%" PRIu64, n);
	else
		snprintf(text, 16, v < 9.95 ? "%.1f%c" : "%.0f%c", v, units[unit]);
	return text;
}

static void print(struct du *du, const char *path)
{
	char a[16], b[16], c[16];

	if (du->ctl->json) {
		json_open(&du->json, NULL, '{');
		json_string(&du->json, "path", path);
		json_number(&du->json, "apparent", du->apparent);
		json_number(&du->json, "allocated", du->allocated);
		if (du->ctl->cached)
			json_number(&du->json, "here", du->here);
		json_close(&du->json, '}');
		return;
	}
	printf("%9s %9s ", human(a, du->apparent), human(b, du->allocated));
	if (du->ctl->cached)
		printf("%9s ", human(c, du->here));
	printf(" %s\n", path);
}

static void one(struct du *du, char *path)
{
	char *paths[] = { path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);

	if (!fts) {
		failed(du, path, strerror(errno));
		return;
	}
	du->apparent = 0;
	du->allocated = 0;
	du->here = 0;
	if (walk(du, fts))
		print(du, path);
	fts_close(fts);
}

int cmd_du(struct ctl *ctl)
{
	struct du du = { .json = { .out = stdout }, .ctl = ctl };
	int i;

	if (ctl->json)
		json_open(&du.json, NULL, '[');
	else
		printf("%9s %9s %s PATH\n", "APPARENT", "ALLOCATED",
		       ctl->cached ? "     HERE " : "");
	for (i = 0; i < ctl->n_args; i++)
		one(&du, ctl->args[i]);
	if (ctl->json)
		json_close(&du.json, ']');
	tdestroy(du.seen, free);
	return du.ret;
}
