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
	struct atrest_args zone;
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
			a->zone.data_dir = optarg;
			break;
		case 'c':
			a->zone.config = optarg;
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
	a->zone.zone = argv[optind];
	return -1;
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

static int run(const struct args *args, struct atrest *a, struct errline *err)
{
	struct fsck f = { .data = !args->quick, .verbose = args->verbose };
	int ret;

	ret = atrest_open(a, &args->zone, NULL, err);
	if (ret)
		return ret;
	ret = atrest_load(a, true, err);
	f.z = a->z;
	/* What is written wrong is a finding, not a failure of the check. */
	if (ret == -EUCLEAN) {
		fsck_problem(&f, "%s", err->msg[0] ? err->msg : "the zone cannot be opened");
		ret = 0;
	} else if (!ret) {
		ret = check(&f, err);
	}
	if (ret)
		return ret;
	printf("%s: %llu inodes, %llu extents, %llu blocks read, %llu packs: ", a->name, f.inodes,
	       f.extents, f.blocks, f.packs);
	if (f.problems)
		printf("%llu problems\n", f.problems);
	else
		puts("clean");
	return f.problems ? EXIT_ERRORS : EXIT_OK;
}

int main(int argc, char **argv)
{
	struct args args = { .quick = false };
	struct errline err = { "" };
	static struct atrest a;
	char buf[128];
	int ret;

	ret = parse(argc, argv, &args);
	if (ret >= 0)
		return ret;
	log_set_level(args.verbose ? LOG_L_INFO : LOG_L_ERROR);
	ret = run(&args, &a, &err);
	atrest_close(&a);
	if (ret < 0) {
		fprintf(stderr, "fsck.nexusfs: %s: %s\n", args.zone.zone,
			err_text(&err, ret, buf, sizeof(buf)));
		return EXIT_OPERATION;
	}
	return ret;
}
