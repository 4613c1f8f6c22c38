// SPDX-License-Identifier: Apache-2.0
/*
 * bench meta FILES ONLY PLACE...: names and small files, by one process and by four, which
 * have a directory and a part of FILES each.  "-cold" is after pages, dentries and inodes
 * were dropped.  The steps of one tree need each other: those that change it are done
 * also when ONLY does not ask for them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum {
	COLD	= 1,
	CHANGES	= 2,
	TWICE	= 4,	/* once before the clock starts */
	FIRST	= 8,	/* the first half of the files */
	SECOND	= 16,
	LISTS	= 32,	/* work is a listing, not a call for each file */
	WARM	= 64,	/* every file looked at before */
};

struct step {
	const char *name;
	void (*one)(char letter, int i);
	int flags;
	char letter;	/* beginning of the names */
};

enum { LISTINGS = 4 };	/* of a warm directory */

static char block[4096];
static int *apart;	/* directories of one file each, open so that they stay cached */

static const char *name_of(char letter, int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "%c-%d", letter, i);
	return name;
}

static void go_to(const struct job *job, int proc)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/p%d", job->place->dir, proc);
	if (chdir(path))
		die("chdir");
}

/* Tiny files are kept in the index. */
static size_t size_of(char letter)
{
	return letter == 't' ? 1024 : sizeof(block);
}

static void create(char letter, int i)
{
	ssize_t size = size_of(letter);
	int fd = open(name_of(letter, i), O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, block, size) != size || close(fd))
		die("create");
}

static void look(char letter, int i)
{
	struct stat st;

	if (stat(name_of(letter, i), &st))
		die("stat");
	if (st.st_size != sizeof(block)) {
		errno = EIO;
		die("size");
	}
}

static void miss(char letter, int i)
{
	struct stat st;

	if (!stat(name_of(letter, i), &st) || errno != ENOENT)
		die("a name that is not there");
}

static void get(char letter, int i)
{
	int fd = open(name_of(letter, i), O_RDONLY);

	if (fd < 0 || read(fd, block, sizeof(block)) != (ssize_t)size_of(letter) || close(fd))
		die("open and read");
}

static void move(char letter, int i)
{
	char to[32];

	snprintf(to, sizeof(to), "%s", name_of(letter == 'f' ? 'g' : 'f', i));
	if (rename(name_of(letter, i), to))
		die("rename");
}

static void take(char letter, int i)
{
	if (unlink(name_of(letter, i)))
		die("unlink");
}

static void list(size_t expected)
{
	size_t seen = 0;
	DIR *dir = opendir(".");

	if (!dir)
		die("opendir");
	while (readdir(dir))
		seen++;
	if (closedir(dir))
		die("closedir");
	if (seen != expected + 2) {
		errno = EIO;
		die("a listing");
	}
}

static const struct step steps[] = {
	{ "create",		create,	CHANGES,		'f' },
	{ "stat",		look,	0,			'f' },
	{ "open-read",		get,	0,			'f' },
	{ "negative",		miss,	TWICE,			'n' },
	{ "readdir",		NULL,	LISTS,			'f' },
	{ "rename",		move,	CHANGES,		'f' },
	{ "stat-cold",		look,	COLD,			'g' },
	{ "open-read-cold",	get,	COLD,			'g' },
	{ "negative-cold",	miss,	COLD,			'n' },
	{ "readdir-cold",	NULL,	LISTS | COLD,		'g' },
	{ "rename-cold",	move,	COLD | CHANGES,		'g' },
	{ "unlink",		take,	CHANGES | FIRST | WARM,	'f' },
	{ "unlink-cold",	take,	CHANGES | SECOND | COLD, 'f' },
	{ "create-cold",	create,	CHANGES | FIRST | COLD,	'f' },
	{ NULL,			take,	CHANGES | FIRST,	'f' },
	{ "create-1k",		create,	CHANGES,		't' },
	{ "open-read-1k-cold",	get,	COLD,			't' },
	{ "unlink-1k",		take,	CHANGES,		't' },
};

static const struct step warm_up = { "warming up", look, 0, 'f' };

static void do_step(const struct job *job, int proc)
{
	const struct step *step = job->op;
	size_t from = step->flags & SECOND ? job->n / 2 : 0, i;
	size_t to = step->flags & FIRST ? job->n / 2 : job->n;

	go_to(job, proc);
	if (step->flags & LISTS)
		for (i = 0; i < (step->flags & COLD ? 1 : LISTINGS); i++)
			list(job->n);
	else
		for (i = from; i < to; i++)
			step->one(step->letter, (int)i);
}

/* Four processes in the directory of the first one. */
static void look_shared(const struct job *job, int proc)
{
	size_t i;

	go_to(job, 0);
	for (i = (size_t)proc; i < job->n; i += (size_t)job->procs)
		look('f', (int)i);
}

static void look_apart(const struct job *job, int proc)
{
	struct stat st;
	size_t i;

	(void)proc;
	for (i = 0; i < job->n; i++)
		if (fstatat(apart[i], "file", &st, 0))
			die("stat");
}

static void make_dirs(const struct job *job, int proc)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/p%d", job->place->dir, proc);
	if (mkdir(path, 0755))
		die("mkdir");
}

static void take_dirs(const struct job *job, int proc)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/p%d", job->place->dir, proc);
	if (rmdir(path))
		die("rmdir");
}

static void make_apart(const struct job *job, int proc)
{
	char path[4096];
	size_t i;

	(void)proc;
	for (i = 0; i < job->n; i++) {
		snprintf(path, sizeof(path), "%s/d%zu", job->place->dir, i);
		if (mkdir(path, 0755) || chdir(path))
			die("mkdir");
		create('f', 0);
		if (rename("f-0", "file"))
			die("rename");
	}
}

static void take_apart(const struct job *job, int proc)
{
	char path[4096];
	size_t i;

	(void)proc;
	for (i = 0; i < job->n; i++) {
		snprintf(path, sizeof(path), "%s/d%zu/file", job->place->dir, i);
		if (unlink(path))
			die("unlink");
		*strrchr(path, '/') = '\0';
		if (rmdir(path))
			die("rmdir");
	}
}

static void must(int bad, const char *what)
{
	if (!bad)
		return;
	fprintf(stderr, "bench: %s failed\n", what);
	exit(1);
}

static void shared_and_apart(const struct place *place, size_t n, const char *only)
{
	struct job job = { .place = place, .procs = 1, .n = n };
	char path[4096];
	size_t i;

	if (chosen("stat-shared-cold-4p", only)) {
		job.work = look_shared;
		job.procs = 4;
		forget("3");
		run_job("stat-shared-cold-4p", &job, (double)n);
		job.procs = 1;
	}
	if (!chosen("stat-apart-cold", only))
		return;
	must(in_process(make_apart, &job), "making directories");
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/d%zu", place->dir, i);
		apart[i] = open(path, O_RDONLY | O_DIRECTORY);
	}
	forget("3");
	job.work = look_apart;
	run_job("stat-apart-cold", &job, (double)n);
	for (i = 0; i < n; i++)
		close(apart[i]);
	must(in_process(take_apart, &job), "removing directories");
}

static void tree(const struct place *places, int count, int procs, size_t n, const char *only)
{
	struct job job = { .procs = procs, .n = n, .work = do_step };
	const struct step *step;
	char line[64];
	int i;

	for (i = 0; i < count; i++) {
		job.place = &places[i];
		must(in_process(make_dirs, &job), "making directories");
	}
	for (step = steps; step < steps + sizeof(steps) / sizeof(*steps); step++) {
		double units = (double)(step->flags & (FIRST | SECOND) ? n / 2 : n) * procs;
		bool wanted;

		if (step->flags & LISTS && !(step->flags & COLD))
			units *= LISTINGS;
		snprintf(line, sizeof(line), "%s%s", step->name ? step->name : "", procs > 1 ? "-4p" : "");
		wanted = step->name && chosen(line, only);
		job.op = step;
		job.changes = step->flags & CHANGES;
		for (i = 0; i < count && (wanted || job.changes); i++) {
			job.place = &places[i];
			if (procs == 1 && step->flags & FIRST && step->name && !(step->flags & COLD))
				shared_and_apart(job.place, n, only);
			if (step->flags & WARM) {
				job.op = &warm_up;
				must(in_process(do_step, &job), warm_up.name);
				job.op = step;
			}
			if (step->flags & TWICE)
				must(in_process(do_step, &job), step->name);
			if (step->flags & COLD)
				forget("3");
			run_job(wanted ? line : NULL, &job, units);
		}
	}
	for (i = 0; i < count; i++) {
		job.place = &places[i];
		must(in_process(take_dirs, &job), "removing directories");
	}
}

int meta_main(int argc, char **argv)
{
	size_t n = strtoul(argv[0], NULL, 10);
	struct place *places = places_of(argc - 2, argv + 2);

	if (n < 8 || n % 8) {
		fprintf(stderr, "bench: FILES: a multiple of 8\n");
		return 2;
	}
	apart = calloc(n, sizeof(*apart));
	if (!apart)
		return 1;
	memset(block, 'b', sizeof(block));
	tree(places, argc - 2, 1, n, argv[1]);
	tree(places, argc - 2, 4, n / 4, argv[1]);
	free(apart);
	free(places);
	return 0;
}
