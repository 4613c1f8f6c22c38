// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN	1024

static _Atomic int max_level = LOG_L_INFO;

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{ "error",	LOG_L_ERROR },
	{ "warning",	LOG_L_WARNING },
	{ "info",	LOG_L_INFO },
	{ "debug",	LOG_L_DEBUG },
};

#define NLEVELS	(sizeof(levels) / sizeof(levels[0]))

int log_level_parse(const char *name)
{
	size_t i;

	for (i = 0; i < NLEVELS; i++)
		if (!strcmp(name, levels[i].name))
			return (int)levels[i].level;
	return -1;
}

void log_set_level(enum log_level level)
{
	max_level = (int)level;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= max_level;
}

/* The variable says which file the journal reads: it is inherited by whoever writes elsewhere. */
static bool to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev;
	struct stat st;
	char *rest;

	if (!stream || fstat(STDERR_FILENO, &st))
		return false;
	dev = strtoull(stream, &rest, 10);
	return *rest == ':' && st.st_dev == dev && st.st_ino == strtoull(rest + 1, NULL, 10);
}

/* The journal knows time and name itself and wants the level. */
static int prefix(char *buf, size_t len, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	if (to_journal())
		return snprintf(buf, len, "<%d>", level);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	n = strftime(buf, len, "%F %T", &tm);
	return (int)n + snprintf(buf + n, len - n, ".%03ld nexusd[%d]: %s",
				 now.tv_nsec / 1000000, (int)getpid(),
				 level == LOG_L_ERROR ? "error: " :
				 level == LOG_L_WARNING ? "warning: " : "");
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;
	char *p;
	int n, m;

	if (!log_enabled(level))
		return;
	n = prefix(line, sizeof(line), level);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	/* Whatever was put in, it stays one line. */
	for (p = line; p < line + n; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	line[n++] = '\n';
	/* Best effort: there is nobody to tell when this fails. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

int err_set(struct errline *err, int error, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return error;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return error;
}

const char *err_text(const struct errline *err, int error, char *buf, size_t len)
{
	if (err && err->msg[0])
		return err->msg;
	return strerror_r(-error, buf, len);
}
