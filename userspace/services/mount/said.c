// SPDX-License-Identifier: Apache-2.0
#include "said.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/services/mount.h>

#include "check.h"

/* Cuts the last line off and returns it; NULL when there is none. */
static char *last_line(char *text)
{
	size_t len = strlen(text);
	char *line;

	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		text[--len] = '\0';
	if (!len)
		return NULL;
	line = strrchr(text, '\n');
	if (!line)
		return text;
	*line = '\0';
	return line + 1;
}

static const char *without(const char *line, const char *program)
{
	size_t len = strlen(program);

	return strncmp(line, program, len) ? line : line + len;
}

int said_error(char *text, char *words)
{
	char *line = last_line(text), *end, *p;
	int ret = -EIO;
	long number;

	if (line && !strncmp(line, "errno ", 6)) {
		number = strtol(line + 6, &end, 10);
		if (!*end && number > 0 && number < 4096) {
			ret = (int)-number;
			line = line == text ? NULL : last_line(text);
		}
	}
	if (!line) {
		snprintf(words, NEXUS_MOUNT_WORDS_MAX, "%s", strerror(-ret));
		return ret;
	}
	/* Those of util-linux, in the C locale. */
	if (ret == -EIO && strstr(line, "target is busy"))
		ret = -EBUSY;
	else if (ret == -EIO && strstr(line, "not mounted"))
		ret = -ENOENT;
	snprintf(words, NEXUS_MOUNT_WORDS_MAX, "%s",
		 without(without(line, "mount.nexusfs: "), "umount: "));
	/* It goes into a log, and to whoever asked. */
	if (!text_plain(words))
		for (p = words; *p; p++)
			if (*p < 0x20 || *p == 0x7f)
				*p = '?';
	return ret;
}
