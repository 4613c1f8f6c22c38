// SPDX-License-Identifier: Apache-2.0
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define HEAD	"nexusfs-mounts 1"
#define NEW	KEEP_FILE ".new"

/* "saved|now TAB SINCE TAB SOURCE TAB DIRECTORY TAB OPTIONS", and "end COUNT" as the last one */

static bool parse_line(char *line, struct kept *k)
{
	char directory[NEXUS_MOUNT_DIRECTORY_MAX + 1], words[NEXUS_MOUNT_WORDS_MAX];
	char *fields[5], *end, *p = line;
	size_t i;

	for (i = 0; i < 5; i++) {
		fields[i] = p;
		if (i == 4)
			break;
		p = strchr(p, '\t');
		if (!p)
			return false;
		*p++ = '\0';
	}
	k->saved = !strcmp(fields[0], "saved");
	if (!k->saved && strcmp(fields[0], "now") != 0)
		return false;
	errno = 0;
	k->since_ms = strtoll(fields[1], &end, 10);
	if (errno || *end || end == fields[1] || k->since_ms < 0)
		return false;
	k->source = fields[2];
	k->directory = fields[3];
	k->options = fields[4];
	/* It is what the next mount is made of: whoever wrote it. */
	return !check_source(k->source, words) && !check_options(k->options, words) &&
	       !check_directory(k->directory, directory, words) && !strcmp(directory, k->directory);
}

static int damaged(char words[128], unsigned int line)
{
	snprintf(words, 128, "line %u of the file is damaged", line);
	return -EUCLEAN;
}

static int read_lines(FILE *file, keep_each each, void *arg, char words[128])
{
	unsigned int line = 1, count = 0;
	bool ended = false;
	char *text = NULL;
	size_t room = 0;
	struct kept k;
	char end[32];
	ssize_t len;
	int ret = 0;

	for (; !ret && (len = getline(&text, &room, file)) >= 0; line++) {
		if (ended || !len || text[len - 1] != '\n' || strlen(text) != (size_t)len) {
			ret = damaged(words, line);
			break;
		}
		text[len - 1] = '\0';
		snprintf(end, sizeof(end), "end %u", count);
		if (line == 1) {
			ret = strcmp(text, HEAD) ? damaged(words, line) : 0;
		} else if (!strcmp(text, end)) {
			ended = true;
		} else if (count == NEXUS_MOUNTS_MAX || !parse_line(text, &k)) {
			ret = damaged(words, line);
		} else {
			count++;
			ret = each(arg, &k);
		}
	}
	if (!ret && ferror(file))
		ret = -EIO;
	if (!ret && !ended)
		ret = damaged(words, line);
	free(text);
	return ret;
}

static void mark_of(const struct stat *st, struct keep_mark *mark)
{
	mark->inode = st->st_ino;
	mark->changed = st->st_mtim;
}

static bool same(const struct keep_mark *mark, const struct stat *st)
{
	return mark->inode == st->st_ino && mark->changed.tv_sec == st->st_mtim.tv_sec &&
	       mark->changed.tv_nsec == st->st_mtim.tv_nsec;
}

int keep_read(int dirfd, struct keep_mark *mark, keep_each each, void *arg, char words[128])
{
	struct stat st;
	FILE *file;
	int fd, ret;

	words[0] = '\0';
	fd = openat(dirfd, KEEP_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		ret = errno == ENOENT ? mark->inode != 0 : -errno;
		*mark = (struct keep_mark){ .inode = 0 };
		return ret;
	}
	ret = fstat(fd, &st) ? -errno : same(mark, &st);
	if (ret) {
		close(fd);
		return ret < 0 ? ret : 0;
	}
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	ret = read_lines(file, each, arg, words);
	fclose(file);
	if (ret)
		return ret;
	mark_of(&st, mark);
	return 1;
}

static int write_lines(int fd, const struct kept *lines, size_t count)
{
	FILE *file;
	int ret = 0, copy = dup(fd);
	size_t i;

	file = copy < 0 ? NULL : fdopen(copy, "w");
	if (!file) {
		if (copy >= 0)
			close(copy);
		return -ENOMEM;
	}
	fprintf(file, HEAD "\n");
	for (i = 0; i < count; i++)
		fprintf(file, "%s\t%" PRId64 "\t%s\t%s\t%s\n", lines[i].saved ? "saved" : "now",
			lines[i].since_ms, lines[i].source, lines[i].directory, lines[i].options);
	fprintf(file, "end %zu\n", count);
	errno = 0;
	if (fflush(file) || ferror(file))
		ret = errno ? -errno : -EIO;
	fclose(file);
	return ret;
}

int keep_write(int dirfd, struct keep_mark *mark, const struct kept *lines, size_t count)
{
	struct stat st = { .st_ino = 0 };
	int fd, ret;

	fd = openat(dirfd, NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = write_lines(fd, lines, count);
	if (!ret && (fsync(fd) || fstat(fd, &st) || renameat(dirfd, NEW, dirfd, KEEP_FILE)))
		ret = -errno;
	close(fd);
	if (ret) {
		unlinkat(dirfd, NEW, 0);
		return ret;
	}
	mark_of(&st, mark);
	return fsync(dirfd) ? -errno : 0;
}
