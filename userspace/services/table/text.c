// SPDX-License-Identifier: Apache-2.0
/* Texts that come in.  That they are UTF-8 the record store looks after, and RPC before it. */
#include "table.h"

#include <errno.h>
#include <string.h>

int text_ok(const char *text, size_t max)
{
	const unsigned char *p;

	if (!text)
		return 0;
	if (strnlen(text, max + 1) > max)
		return -ENAMETOOLONG;
	for (p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return -EINVAL;
	return 0;
}

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int text_name(const char *name, size_t max)
{
	int ret = text_ok(name, max);
	const char *p;

	if (ret)
		return ret;
	if (!name || !alnum(name[0]))
		return -EINVAL;
	for (p = name; *p; p++)
		if (!alnum(*p) && !strchr("._@-", *p))
			return -EINVAL;
	return 0;
}

int text_subject(const char *subject, size_t max)
{
	int ret = text_ok(subject, max);
	const char *p;

	if (ret)
		return ret;
	if (!subject || subject[0] < 'a' || subject[0] > 'z')
		return -EINVAL;
	for (p = subject; *p && *p != ':'; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') && *p != '_' && *p != '-')
			return -EINVAL;
	return p[0] && p[1] ? 0 : -EINVAL;
}
