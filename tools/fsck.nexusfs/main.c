// SPDX-License-Identifier: Apache-2.0
/*
 * fsck.nexusfs: checks a zone that is not in use.  It changes nothing: what the
 * log holds above the index is applied in memory only.
 */
#include "fsck.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/check.h"

#define LINES_MAX	1000u

/* As in fsck(8). */
enum {
	EXIT_OK		= 0,
	EXIT_ERRORS	= 4,
	EXIT_OPERATION	= 8,
	EXIT_USAGE	= 16,
};

void fsck_problem(struct fsck *f, const char *fmt, ...)
{
	va_list ap;

	if (f->problems++ >= LINES_MAX)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void on_problem(void *arg, const struct nexus_check_problem *p)
{
	if (p->other)
		fsck_problem(arg, "%c %llu (%llu): %s", p->letter, p->id, p->other, p->what);
	else
		fsck_problem(arg, "%c %llu: %s", p->letter, p->id, p->what);
}

static void usage(FILE *out)
{
	fputs("usage: fsck.nexusfs [OPTION]... ZONE|DIRECTORY\n"
	      "\n"
	      "Checks a zone of nexusfs that is not mounted.  Changes nothing.\n"
	      "\n"
	      "  -n, -a, -p, -y, -f      accepted for fsck(8); the check is the same\n"
	      "  -q, --quick             do not read the data of files\n"
	      "  -v, --verbose           say what is looked at\n"
	      "  -d, --data-dir DIR      where zones are (default /var/lib/nexusfs)\n"
	      "  -c, --config FILE       settings (default " CONFIG_PATH ")\n"
	      "  -V, --version           print the version\n"
	      "  -h, --help              print this\n"
	      "\n"
	      "Exit status: 0 no errors, 4 errors found, 8 the check could not be done\n"
	      "(the zone is in use, or cannot be read), 16 wrong usage.\n", out);
}

static const struct option long_options[] = {
	{ "quick",	no_argument,		NULL, 'q' },
	{ "verbose",	no_argument,		NULL, 'v' },
	{ "data-dir",	required_argument,	NULL, 'd' },
	{ "config",	required_argument,	NULL, 'c' },
	{ "version",	no_argument,		NULL, 'V' },
	{ "help",	no_argument,		NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

struct args {
	const char *zone;
	const char *data_dir;
	const char *config;
	bool quick;
	bool verbose;
};

/* -1: go on; else an exit status. */
static int parse(int argc, char **argv, struct args *a)
{
	int c;

	while ((c = getopt_long(argc, argv, "nafpyqvd:c:Vh", long_options, NULL)) != -1) {
		switch (c) {
		case 'q':
			a->quick = true;
			break;
		case 'v':
			a->verbose = true;
			break;
		case 'd':
			a->data_dir = optarg;
			break;
		case 'c':
			a->config = optarg;
			break;
		case 'V':
			puts("fsck.nexusfs " NEXUS_VERSION);
			return EXIT_OK;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case '?':
			fputs("Try fsck.nexusfs --help.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc - 1) {
		fputs("fsck.nexusfs: one zone is expected; try fsck.nexusfs --help\n", stderr);
		return EXIT_USAGE;
	}
	a->zone = argv[optind];
	return -1;
}

/* A path DATA/zones/NAME is as good as the name. */
static int find_zone(struct config *cfg, const char *arg, char name[NEXUS_ZONE_NAME_LEN],
		     struct errline *err)
{
	char path[PATH_MAX];
	char *slash;

	if (!strchr(arg, '/')) {
		if (strlen(arg) >= NEXUS_ZONE_NAME_LEN)
			return err_set(err, -EINVAL, "\"%.70s\" is no zone name", arg);
		memcpy(name, arg, strlen(arg) + 1);
		return 0;
	}
	if (!realpath(arg, path))
		return err_set(err, -errno, "%s: %s", arg, strerror(errno));
	slash = strrchr(path, '/');
	if (strlen(slash + 1) >= NEXUS_ZONE_NAME_LEN)
		return err_set(err, -EINVAL, "%s is no zone", arg);
	memcpy(name, slash + 1, strlen(slash + 1) + 1);
	*slash = '\0';
	slash = strrchr(path, '/');
	if (!slash || strcmp(slash, "/zones"))
		return err_set(err, -EINVAL, "%s is no zone: DATA/zones/NAME is expected", arg);
	*slash = '\0';
	return config_set(cfg, "data_dir", path, arg, err);
}

static int load_settings(const struct args *a, struct config *cfg,
			 char name[NEXUS_ZONE_NAME_LEN], struct errline *err)
{
	const char *path = a->config ? a->config : CONFIG_PATH;
	int ret;

	config_defaults(cfg);
	ret = config_file(cfg, path, err);
	if (ret == -ENOENT)
		ret = a->config ? err_set(err, ret, "%s: no such file", path) : 0;
	if (!ret)
		ret = config_env(cfg, err);
	if (!ret && a->data_dir)
		ret = config_set(cfg, "data_dir", a->data_dir, "--data-dir", err);
	/* Where it lies does not matter for looking at it. */
	cfg->allow_any_host = true;
	return ret ? ret : find_zone(cfg, a->zone, name, err);
}

static int check(struct fsck *f, struct errline *err)
{
	struct memview v;
	s64 n;
	int ret;

	if (f->z->replay.corrupt)
		fsck_problem(f, "%s", f->z->replay.reason);
	else if (zone_error(f->z, NULL))
		fsck_problem(f, "%s", f->z->reason);
	if (f->verbose)
		printf("log: applied up to LSN %llu, index up to %llu, %llu bytes were never acknowledged\n",
		       memtable_applied(&f->z->mt), f->z->sb.checkpoint, f->z->replay.dropped);
	ret = memview_begin(&v, &f->z->mt, NULL);
	if (ret)
		return err_set(err, ret, "the index cannot be read: %s", strerror(-ret));
	n = nexus_store_check(&v.kv, on_problem, f);
	ret = n < 0 ? (int)n : fsck_content(f, &v.kv);
	memview_end(&v);
	return ret ? err_set(err, ret, "the store cannot be read: %s", strerror(-ret)) : 0;
}

static int run(const struct args *a, struct config *cfg, const char *name,
	       struct errline *err)
{
	struct chan chan = { .fd = -1 };
	struct fsck f = { .data = !a->quick, .verbose = a->verbose };
	char dir[PATH_MAX];
	int ret, lock_fd;

	ret = store_find_zone(cfg, name, dir, err);
	if (!ret)
		ret = store_lock_zone(dir, NULL, 0, &lock_fd, err);
	if (ret)
		return ret;
	f.z = zone_new(NULL, cfg, &chan, name);
	if (!f.z)
		return -ENOMEM;
	f.z->lock_fd = lock_fd;
	ret = zone_load(f.z, true, false, err);
	/* What is written wrong is a finding, not a failure of the check. */
	if (ret == -EUCLEAN) {
		fsck_problem(&f, "%s", err->msg[0] ? err->msg : "the zone cannot be opened");
		ret = 0;
	} else if (!ret) {
		ret = check(&f, err);
	}
	zone_put(f.z);
	if (ret)
		return ret;
	printf("%s: %llu inodes, %llu extents, %llu blocks read, %llu packs: ", name, f.inodes,
	       f.extents, f.blocks, f.packs);
	if (f.problems)
		printf("%llu problems\n", f.problems);
	else
		puts("clean");
	return f.problems ? EXIT_ERRORS : EXIT_OK;
}

int main(int argc, char **argv)
{
	struct args a = { .zone = NULL };
	struct errline err = { "" };
	char name[NEXUS_ZONE_NAME_LEN], buf[128];
	struct config cfg;
	int ret;

	ret = parse(argc, argv, &a);
	if (ret >= 0)
		return ret;
	log_set_level(a.verbose ? LOG_L_INFO : LOG_L_ERROR);
	ret = load_settings(&a, &cfg, name, &err);
	if (!ret)
		ret = run(&a, &cfg, name, &err);
	if (ret < 0) {
		fprintf(stderr, "fsck.nexusfs: %s: %s\n", a.zone,
			err_text(&err, ret, buf, sizeof(buf)));
		return EXIT_OPERATION;
	}
	return ret;
}
