// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "text.h"

int s3_fault_set(struct s3_fault *fault, int error, const char *fmt, ...)
{
	va_list args;
	char *p;

	if (!fault)
		return error;
	va_start(args, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, args);
	va_end(args);
	for (p = fault->text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	return error;
}

void s3_text_init(struct s3_text *text, char *buf, size_t size)
{
	*text = (struct s3_text) { .p = buf, .size = size };
	*buf = '\0';
}

void s3_text_put(struct s3_text *text, const char *data, size_t len)
{
	if (len >= text->size - text->len) {
		text->full = true;
		return;
	}
	memcpy(text->p + text->len, data, len);
	text->len += len;
	text->p[text->len] = '\0';
}

void s3_text_str(struct s3_text *text, const char *str)
{
	s3_text_put(text, str, strlen(str));
}

/* Not isalnum(): that one asks the locale. */
static bool unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void s3_text_uri(struct s3_text *text, const char *str, bool slash)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *str; str++) {
		unsigned char c = (unsigned char)*str;
		const char code[] = { '%', digits[c >> 4], digits[c & 15] };

		if (unreserved(*str) || (slash && *str == '/'))
			s3_text_put(text, str, 1);
		else
			s3_text_put(text, code, sizeof(code));
	}
}

void s3_text_hex(struct s3_text *text, const unsigned char *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		const char code[] = { digits[data[i] >> 4], digits[data[i] & 15] };

		s3_text_put(text, code, sizeof(code));
	}
}
