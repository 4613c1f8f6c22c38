// SPDX-License-Identifier: Apache-2.0
/*
 * bench fill DIR FILES: directories of a thousand files with one block each.
 * bench visit DIR FILES stat|read: a stat, or an open and a read, of each of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum { EACH = 1000 };

static char block[4 * KIB];

static int stop(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	return 1;
}

static const char *path_of(const char *dir, size_t i)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%zu/file-%zu", dir, i / EACH, i);
	return path;
}

int fill_main(char **argv)
{
	size_t files = strtoul(argv[1], NULL, 10), i;
	char dir[4096];
	int fd;

	for (i = 0; i < files; i++) {
		snprintf(dir, sizeof(dir), "%s/%zu", argv[0], i / EACH);
		if (i % EACH == 0 && mkdir(dir, 0755))
			return stop("mkdir");
		fd = open(path_of(argv[0], i), O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block) || close(fd))
			return stop("create");
	}
	return 0;
}

int visit_main(char **argv)
{
	size_t files = strtoul(argv[1], NULL, 10), i;
	struct stat st;
	int fd;

	for (i = 0; i < files; i++) {
		if (stat(path_of(argv[0], i), &st) || st.st_size != sizeof(block))
			return stop("stat");
		if (strcmp(argv[2], "read"))
			continue;
		fd = open(path_of(argv[0], i), O_RDONLY);
		if (fd < 0 || read(fd, block, sizeof(block)) != sizeof(block) || close(fd))
			return stop("read");
	}
	return 0;
}
