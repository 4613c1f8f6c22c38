// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUCKET_MAX	63u

static int wrong(char *words, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(char *words, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, NEXUS_MOUNT_WORDS_MAX, fmt, ap);
	va_end(ap);
	return error;
}

/* Bytes of the character at @p; 0: it is none. */
static size_t character(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 :
		   p[0] < 0xf5 ? 4 : 0;
	uint32_t c = n > 1 ? p[0] & (0x7fu >> n) : p[0];
	size_t i;

	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (n == 1)
		return c < 0x20 || c == 0x7f ? 0 : 1;
	return !n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

bool text_plain(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	for (; *p; p += n) {
		n = character(p);
		if (!n)
			return false;
	}
	return true;
}

static int check_text(const char *what, const char *text, size_t max, char *words)
{
	if (!text || !text[0])
		return wrong(words, -EINVAL, "the %s is missing", what);
	if (strnlen(text, max + 1) > max)
		return wrong(words, -ENAMETOOLONG, "the %s has more than %zu bytes", what, max);
	if (!text_plain(text))
		return wrong(words, -EINVAL, "the %s has a control character, or is no UTF-8", what);
	return 0;
}

/* ---- sources --------------------------------------------------------------------- */

/* What a bucket's driver can be told (Documentation/s3.md): names and numbers, no secrets. */
static const char *const settings[] = {
	"endpoint", "region", "profile", "style", "sse", "sse_key", "sse_key_file",
	"requester_pays", "ca_file", "proxy", "concurrency", "memory", "part", "up", "down",
	"attempts", "deadline",
};

static bool known_setting(const char *key, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strlen(settings[i]) == len && !memcmp(settings[i], key, len))
			return true;
	return false;
}

/* "KEY=VALUE", of @len bytes. */
static int check_setting(const char *text, size_t len, char *words)
{
	const char *equals = memchr(text, '=', len);
	size_t key = equals ? (size_t)(equals - text) : len;

	/* A key that is none may be a secret in the wrong place. */
	if (!equals || !known_setting(text, key))
		return wrong(words, -EINVAL,
			     "behind \";\" is something that is no setting of a bucket; see Documentation/s3.md, and credentials belong into a profile");
	if (equals + 1 == text + len)
		return wrong(words, -EINVAL, "setting %.*s has no value", (int)key, text);
	/* "https://USER:PASSWORD@HOST" */
	if (memchr(equals, '@', len - key) && (text[0] == 'e' || !strncmp(text, "proxy", 5)))
		return wrong(words, -EINVAL,
			     "setting %.*s has an \"@\": user and password do not belong there",
			     (int)key, text);
	return 0;
}

static bool bucket_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_';
}

int check_source(const char *source, char *words)
{
	const char *p;
	size_t len;
	int ret;

	ret = check_text("source", source, NEXUS_MOUNT_SOURCE_MAX, words);
	if (ret)
		return ret;
	if (strncmp(source, "s3://", 5) != 0)
		return wrong(words, -EINVAL,
			     "the source is no object store: s3://BUCKET/PREFIX is expected");
	p = source + 5;
	for (len = 0; bucket_char(p[len]); len++)
		;
	if (!len || len > BUCKET_MAX || (p[len] && p[len] != '/' && p[len] != ';'))
		return wrong(words, -EINVAL,
			     "the source names no bucket: 1 to %u of a-z A-Z 0-9 . _ - stand behind s3://",
			     BUCKET_MAX);
	for (p += len + strcspn(p + len, ";"); *p; p += len) {
		p++;
		len = strcspn(p, ";");
		ret = check_setting(p, len, words);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- directories ----------------------------------------------------------------- */

int check_directory(const char *given, char directory[NEXUS_MOUNT_DIRECTORY_MAX + 1],
		    char *words)
{
	size_t len, n;
	const char *p;
	int ret;

	ret = check_text("directory", given, NEXUS_MOUNT_DIRECTORY_MAX, words);
	if (ret)
		return ret;
	if (given[0] != '/')
		return wrong(words, -EINVAL, "the directory must be absolute, beginning with \"/\"");
	len = strlen(given);
	while (len && given[len - 1] == '/')
		len--;
	if (!len)
		return wrong(words, -EINVAL, "nothing is mounted on the root of the machine");
	memcpy(directory, given, len);
	directory[len] = '\0';
	for (p = directory; *p; p += n) {
		p++;
		n = strcspn(p, "/");
		if (!n || (n == 1 && p[0] == '.') || (n == 2 && !memcmp(p, "..", 2)))
			return wrong(words, -EINVAL,
				     "the directory has an empty name, \".\" or \"..\" in it");
	}
	return 0;
}

/* ---- options --------------------------------------------------------------------- */

/* All of a bucket's mount: it is read-only, so what is about writing is not among them. */
static const char *const flags[] = {
	"ro", "nosuid", "nodev", "noexec", "noatime", "relatime", "strictatime", "nodiratime",
	"nosymfollow", "verify=remote", "verify=always",
};

static bool known_option(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strlen(flags[i]) == len && !memcmp(flags[i], word, len))
			return true;
	if (len < 7 || len > 11 || memcmp(word, "grace=", 6) != 0)
		return false;
	for (i = 6; i < len; i++)
		if (word[i] < '0' || word[i] > '9')
			return false;
	return true;
}

int check_options(const char *options, char *words)
{
	size_t len;
	int ret;

	if (!options || !options[0])
		return 0;
	ret = check_text("list of options", options, NEXUS_MOUNT_OPTIONS_MAX, words);
	for (; !ret && *options; options += len + (options[len] == ',')) {
		len = strcspn(options, ",");
		if (!known_option(options, len) || (options[len] == ',' && !options[len + 1]))
			return wrong(words, -EINVAL,
				     "an option is none of ro, nosuid, nodev, noexec, noatime, relatime, strictatime, nodiratime, nosymfollow, verify=remote, verify=always, grace=SECONDS");
	}
	return ret;
}

void options_known(const char *from, char *to, size_t room)
{
	size_t len, have = 0;

	to[0] = '\0';
	for (; *from; from += len + (from[len] == ',')) {
		len = strcspn(from, ",");
		if (!known_option(from, len) || have + len + 2 > room)
			continue;
		have += (size_t)snprintf(to + have, room - have, "%s%.*s", have ? "," : "",
					 (int)len, from);
	}
}
