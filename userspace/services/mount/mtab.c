// SPDX-License-Identifier: Apache-2.0
#include "mtab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE		((size_t)64 << 10)
#define TEXT_MAX	(64u << 20)

/* All of it, with a NUL behind. */
static int read_all(const char *path, char **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = 0;
	size_t len = 0, room = 0;
	char *buf = NULL, *more;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && !ret) {
		if (room - len < PIECE) {
			room += 2 * PIECE;
			more = room > TEXT_MAX ? NULL : realloc(buf, room);
			if (!more) {
				ret = -ENOMEM;
				break;
			}
			buf = more;
		}
		n = read(fd, buf + len, room - len - 1);
		if (n < 0)
			ret = -errno;
		else
			len += (size_t)n;
	}
	close(fd);
	if (ret) {
		free(buf);
		return ret;
	}
	buf[len] = '\0';
	*text = buf;
	return 0;
}

/* "\040" and the like, in place. */
static char *plain(char *text)
{
	char *from = text, *to = text;

	while (*from) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return text;
}

/* ID PARENT MAJOR:MINOR ROOT DIRECTORY OPTIONS [FIELD]... - TYPE SOURCE OPTIONS */
static bool parse_line(char *line, struct mtab_entry *e)
{
	char *words[6], *save = NULL, *word, *end, *more;
	size_t i;

	for (i = 0; i < 6; i++) {
		words[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!words[i])
			return false;
	}
	do
		word = strtok_r(NULL, " ", &save);
	while (word && strcmp(word, "-") != 0);
	e->id = (uint32_t)strtoul(words[0], &end, 10);
	e->type = strtok_r(NULL, " ", &save);
	e->source = strtok_r(NULL, " ", &save);
	more = strtok_r(NULL, " ", &save);
	if (*end || !e->type || !e->source)
		return false;
	e->whole = !strcmp(words[3], "/");
	e->directory = plain(words[4]);
	plain(e->source);
	e->options = words[5];
	e->fs_options = more ? more : words[5] + strlen(words[5]);
	return true;
}

int mtab_read(struct mtab *t, const char *path)
{
	char *line, *save = NULL;
	struct mtab_entry *more;
	size_t room = 0;
	int ret;

	*t = (struct mtab){ .count = 0 };
	ret = read_all(path, &t->text);
	if (ret)
		return ret;
	for (line = strtok_r(t->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (t->count == room) {
			room = room ? 2 * room : 64;
			more = realloc(t->entries, room * sizeof(*more));
			if (!more) {
				mtab_free(t);
				return -ENOMEM;
			}
			t->entries = more;
		}
		if (parse_line(line, &t->entries[t->count]))
			t->count++;
	}
	return 0;
}

void mtab_free(struct mtab *t)
{
	free(t->entries);
	free(t->text);
	*t = (struct mtab){ .count = 0 };
}

const struct mtab_entry *mtab_at(const struct mtab *t, const char *directory)
{
	size_t i = t->count;

	while (i--)
		if (!strcmp(t->entries[i].directory, directory))
			return &t->entries[i];
	return NULL;
}

bool mtab_is_store(const struct mtab_entry *e)
{
	return e->whole && !strcmp(e->type, "nexusfs") && !strncmp(e->source, "s3://", 5);
}

uint32_t mtab_first_id(const char *path)
{
	struct mtab t;
	uint32_t id;

	if (mtab_read(&t, path))
		return 0;
	id = t.count ? t.entries[0].id : 0;
	mtab_free(&t);
	return id;
}
