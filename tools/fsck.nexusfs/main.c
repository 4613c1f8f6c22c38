// SPDX-License-Identifier: Apache-2.0
/*
 * fsck.nexusfs: checks a zone that is not in use.  Without --repair it changes
 * nothing: what the log holds above the index is applied in memory only.
 */
#include "fsck.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/check.h"

#define LINES_MAX	1000u

/* As in fsck(8). */
enum {
	EXIT_OK		= 0,
	EXIT_REPAIRED	= 1,
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
	      "Checks a zone of nexusfs that is not mounted.  Changes nothing, unless told to.\n"
	      "\n"
	      "  -y, --repair            mend what can be mended, and say each change\n"
	      "  -n                      change nothing (the default)\n"
	      "  -a, -p, -f              accepted for fsck(8), and change nothing either: what\n"
	      "                          is mended may be lost, and that is for a person to say\n"
	      "  -q, --quick             do not read the data of files\n"
	      "  -v, --verbose           say what is looked at\n"
	      "  -w, --wait SECONDS      how long to wait for a helper that still writes what was\n"
	      "                          unmounted (default 60); what is mounted is refused\n"
	      "  -d, --data-dir DIR      where zones are (default /var/lib/nexusfs)\n"
	      "  -c, --config FILE       settings (default " CONFIG_PATH ")\n"
	      "  -V, --version           print the version\n"
	      "  -h, --help              print this\n"
	      "\n"
	      "Exit status: 0 no errors, 1 all errors were mended, 4 errors are left (5: others\n"
	      "were mended), 8 the check could not be done (the zone is in use, or cannot be\n"
	      "read), 16 wrong usage.\n", out);
}

static const struct option long_options[] = {
	{ "repair",	no_argument,		NULL, 'y' },
	{ "quick",	no_argument,		NULL, 'q' },
	{ "verbose",	no_argument,		NULL, 'v' },
	{ "wait",	required_argument,	NULL, 'w' },
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
	bool repair;
	bool no_change;
};

/* -1: go on; else an exit status. */
static int parse(int argc, char **argv, struct args *a)
{
	int c;

	while ((c = getopt_long(argc, argv, "nafpyqvw:d:c:Vh", long_options, NULL)) != -1) {
		switch (c) {
		case 'y':
			a->repair = true;
			break;
		case 'n':
			a->no_change = true;
			break;
		case 'q':
			a->quick = true;
			break;
		case 'v':
			a->verbose = true;
			break;
		case 'w':
			if (!atrest_wait_ms(optarg, &a->zone.wait_ms)) {
				fputs("fsck.nexusfs: --wait: 0 to 86400 seconds\n", stderr);
				return EXIT_USAGE;
			}
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
	if (a->repair && a->no_change) {
		fputs("fsck.nexusfs: only one of -n and --repair\n", stderr);
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
	/* Whole, or the log would be damaged. */
	if (nexus_logdata_count(&f->z->applier.data))
		printf("log: %llu blocks of content go to packs with the next mount\n",
		       nexus_logdata_count(&f->z->applier.data));
	ret = memview_begin(&v, &f->z->mt, NULL);
	if (ret)
		return err_set(err, ret, "the index cannot be read: %s", strerror(-ret));
	n = nexus_store_check(&v.kv, on_problem, f);
	ret = n < 0 ? (int)n : fsck_content(f, &v.kv);
	memview_end(&v);
	return ret ? err_set(err, ret, "the store cannot be read: %s", strerror(-ret)) : 0;
}

/* One look at the zone; what is written wrong is a finding, not a failure. */
static int look(struct fsck *f, struct atrest *a, struct errline *err)
{
	int ret;

	f->problems = 0;
	f->inodes = 0;
	err->msg[0] = '\0';
	ret = atrest_load(a, true, err);
	f->z = a->z;
	if (ret == -EUCLEAN) {
		fsck_problem(f, "%s", err->msg[0] ? err->msg : "the zone cannot be opened");
		err->msg[0] = '\0';
		return 0;
	}
	return ret ? ret : check(f, err);
}

/* Mends what look() found, and looks again. */
static int repair(struct fsck *f, struct atrest *a, struct errline *err)
{
	int ret;

	/* It could not even be loaded. */
	if (f->z->applog.dirfd < 0)
		return 0;
	/*
	 * What a damaged log held is nobody's guess, and a record that does not
	 * apply belongs to another index than this one.
	 */
	if (atrest_log_ok(a, err)) {
		err->msg[0] = '\0';
		puts("not repaired: the log is damaged or does not belong to the index");
		return 0;
	}
	atrest_unload(a);
	ret = atrest_load(a, false, err);
	f->z = a->z;
	if (!ret)
		ret = fsck_repair(f, err);
	atrest_unload(a);
	return ret ? ret : look(f, a, err);
}

static int run(const struct args *args, struct atrest *a, struct errline *err)
{
	struct fsck f = { .data = !args->quick, .verbose = args->verbose };
	char owner[64];
	int ret;

	snprintf(owner, sizeof(owner), "fsck.nexusfs (pid %d)", (int)getpid());
	ret = atrest_open(a, &args->zone, args->repair ? owner : NULL, err);
	if (!ret && args->repair)
		ret = fsck_repair_super(&f, a, err);
	if (!ret)
		ret = look(&f, a, err);
	if (!ret && args->repair && f.problems)
		ret = repair(&f, a, err);
	if (ret)
		return ret;
	printf("%s: %llu inodes, %llu extents, %llu blocks read, %llu packs: ", a->name, f.inodes,
	       f.extents, f.blocks, f.packs);
	if (f.changes)
		printf("%llu changes, ", f.changes);
	if (f.problems)
		printf("%llu problems\n", f.problems);
	else
		puts("clean");
	return (f.changes ? EXIT_REPAIRED : EXIT_OK) | (f.problems ? EXIT_ERRORS : EXIT_OK);
}

int main(int argc, char **argv)
{
	struct args args = { .zone.wait_ms = ATREST_WAIT_MS };
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
