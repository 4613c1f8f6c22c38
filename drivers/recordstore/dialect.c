// SPDX-License-Identifier: Apache-2.0
/* The common dialect of SQL, and what a store takes as a parameter. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "drivers/recordstore/common.h"

/* All else ends transactions, or reaches beyond the service's tables. */
static bool may_run(const char *sql)
{
	static const char *const verbs[] = {
		"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER",
	};
	size_t i, length;

	sql += strspn(sql, " \t\n");
	for (length = 0; isalpha((unsigned char)sql[length]); length++)
		;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strlen(verbs[i]) == length && !strncasecmp(sql, verbs[i], length))
			return true;
	return false;
}

/* Bytes of the quoted text or comment that @sql begins with; 0: it is neither, -1: no end */
static long untouched(const char *sql)
{
	const char *end;

	if (*sql == '\'' || *sql == '"') {
		end = strchr(sql + 1, *sql);
		return end ? end - sql + 1 : -1;
	}
	if (!strncmp(sql, "--", 2))
		return (long)strcspn(sql, "\n");
	if (!strncmp(sql, "/*", 2)) {
		end = strstr(sql + 2, "*/");
		return end ? end - sql + 2 : -1;
	}
	return 0;
}

/* What stands for the word in braces at @sql, NULL: there is none such */
static const char *replacement(const struct record_dialect *dialect, const char *sql,
			       size_t length)
{
	const struct {
		const char *word, *text;
	} words[] = {
		{ "{id}", dialect->id },
		{ "{blob}", dialect->blob },
		{ "{real}", dialect->real },
		{ "{text}", dialect->text },
		{ "{forupdate}", dialect->forupdate },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].word) == length && !strncmp(sql, words[i].word, length))
			return words[i].text;
	return NULL;
}

int record_translate(const struct record_dialect *dialect, const char *sql, char *out,
		     struct nexus_record_fault *fault)
{
	size_t used = 0, length;
	const char *text;
	long skip;

	if (!may_run(sql))
		return record_fail(fault, -EINVAL, "not a statement that services may run");
	while (*sql) {
		skip = untouched(sql);
		if (skip < 0)
			return record_fail(fault, -EINVAL, "a quote or comment has no end");
		text = sql;
		length = skip ? (size_t)skip : 1;
		if (skip) {
			skip = (long)length;
		} else if (*sql == '$' || *sql == '?') {
			if (!isdigit((unsigned char)sql[1]))
				return record_fail(fault, -EINVAL, "a parameter without number");
			text = &dialect->parameter;
			skip = 1;
		} else if (*sql == ';') {
			return record_fail(fault, -EINVAL, "more than one statement");
		} else if (*sql == '{') {
			skip = (long)strcspn(sql, "}") + 1;
			text = replacement(dialect, sql, (size_t)skip);
			if (!text)
				return record_fail(fault, -EINVAL, "unknown word in braces");
			length = strlen(text);
		} else {
			skip = 1;
		}
		if (used + length >= NEXUS_RECORD_SQL_MAX)
			return record_fail(fault, -EINVAL, "the statement is too long");
		memcpy(out + used, text, length);
		used += length;
		sql += skip;
	}
	out[used] = '\0';
	return 0;
}

/* UTF-8 as RFC 3629 has it, without NUL: what PostgreSQL takes as a text */
static bool good_text(const unsigned char *s, size_t size)
{
	size_t i = 0, more, k;
	uint32_t c;

	while (i < size) {
		c = s[i++];
		if (c < 0x80) {
			if (!c)
				return false;
			continue;
		}
		more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		if (c < 0xc2 || c > 0xf4 || more > size - i)
			return false;
		c &= 0x3fu >> more;
		for (k = 0; k < more; k++, i++) {
			if ((s[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (s[i] & 0x3f);
		}
		if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ||
		    (more == 2 && c < 0x800) || (more == 3 && c < 0x10000))
			return false;
	}
	return true;
}

int record_check_params(const struct nexus_record_value *params, size_t count,
			struct nexus_record_fault *fault)
{
	size_t i;

	if (count > NEXUS_RECORD_PARAMS_MAX)
		return record_fail(fault, -EINVAL, "too many parameters");
	for (i = 0; i < count; i++)
		if (params[i].type == NEXUS_RECORD_TEXT &&
		    !good_text(params[i].data, params[i].size))
			return record_fail(fault, -EINVAL, "a text is not UTF-8, or has a NUL");
	return 0;
}
