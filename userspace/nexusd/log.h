/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the helper: one line each, to stderr, with levels. */
#ifndef NEXUSD_LOG_H
#define NEXUSD_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "drivers/errline.h"

/* "error", "warning", "info", "debug"; -1 for anything else. */
int log_level_parse(const char *name);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)	log_line(LOG_L_ERROR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_L_WARNING, __VA_ARGS__)
#define log_info(...)	log_line(LOG_L_INFO, __VA_ARGS__)
#define log_debug(...)	log_line(LOG_L_DEBUG, __VA_ARGS__)

/* Writes the line, unless @err is NULL, and returns @error. */
int err_set(struct errline *err, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The line, or the text of the errno if there is none. */
const char *err_text(const struct errline *err, int error, char *buf, size_t len)
	__attribute__((returns_nonnull));

#endif /* NEXUSD_LOG_H */
