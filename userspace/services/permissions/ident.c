// SPDX-License-Identifier: Apache-2.0
#include "rebac.h"

#include <stdarg.h>
#include <stdio.h>

int rebac_fail(struct rebac_err *err, int error, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, args);
		va_end(args);
	}
	return error;
}

bool rebac_name_ok(const char *name, size_t len)
{
	size_t i;

	if (!len || len > REBAC_NAME_MAX || name[0] < 'a' || name[0] > 'z')
		return false;
	for (i = 1; i < len; i++)
		if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
		    name[i] != '_' && name[i] != '-')
			return false;
	return true;
}

/* Bytes of the character at @s, 0 when it is none: too long a form, a surrogate, too large. */
static size_t utf8_length(const u8 *s, size_t len)
{
	size_t n, i;
	u32 c;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
		return 0;
	c = s[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff) || c < 0xa0)
		return 0;
	return n;
}

bool rebac_id_ok(const char *id, size_t len)
{
	const u8 *s = (const u8 *)id;
	size_t i, n;

	if (!len || len > REBAC_ID_MAX || (len == 1 && id[0] == '*'))
		return false;
	for (i = 0; i < len; i += n) {
		n = utf8_length(s + i, len - i);
		if (!n || s[i] < 0x20 || s[i] == 0x7f)
			return false;
	}
	return true;
}
