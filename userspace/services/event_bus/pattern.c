// SPDX-License-Identifier: Apache-2.0
/*
 * Patterns of paths.
 *
 * Only the last * and the last ** are ever gone back to: a * cannot leave its name,
 * and what a ** before could take, a later one can, too.  So it takes at most the
 * product of both lengths, whatever they are.
 */
#include <errno.h>
#include <string.h>

#include "bus.h"

#define NOWHERE	((size_t)-1)

uint64_t pattern_hash(uint64_t hash, const char *text, size_t len)
{
	while (len--)
		hash = (hash ^ (uint8_t)*text++) * 0x100000001b3ull;
	return hash;
}

/* Where the class that begins at @pos ends, behind its "]"; 0 when it does not. */
static size_t class_end(const char *p, size_t len, size_t pos)
{
	pos++;
	if (pos < len && (p[pos] == '!' || p[pos] == '^'))
		pos++;
	if (pos < len && p[pos] == ']')
		pos++;
	while (pos < len && p[pos] != ']')
		pos++;
	return pos < len ? pos + 1 : 0;
}

static bool in_class(const char *p, size_t pos, size_t end, uint8_t c)
{
	bool no = p[pos + 1] == '!' || p[pos + 1] == '^', yes = false;
	size_t i = pos + 1 + no;

	while (i < end - 1) {
		uint8_t low = (uint8_t)p[i], high = low;

		if (i + 2 < end - 1 && p[i + 1] == '-') {
			high = (uint8_t)p[i + 2];
			i += 2;
		}
		i++;
		if (c >= low && c <= high)
			yes = true;
	}
	return yes != no;
}

int pattern_set(struct bus_pattern *p, uint32_t kind, const char *text, uint32_t len)
{
	size_t i, end, key = 0;
	bool plain = true, meant;	/* itself, for a \ is before it */

	if (kind > NEXUS_EVENT_GLOB || !len || text[0] != '/' || memchr(text, '\0', len))
		return -EINVAL;
	if (len > NEXUS_EVENT_PATTERN_MAX)
		return -EMSGSIZE;
	/* "/a/" is about /a. */
	while (kind == NEXUS_EVENT_PREFIX && len && text[len - 1] == '/')
		len--;
	for (i = 0; kind == NEXUS_EVENT_GLOB && i < len; i++) {
		meant = text[i] == '\\';
		if (meant && ++i == len)
			return -EINVAL;
		end = text[i] == '[' && !meant ? class_end(text, len, i) : i + 1;
		if (!end)
			return -EINVAL;
		if (meant || strchr("*?[", text[i]))
			plain = false;
		if (plain && text[i] == '/')
			key = i;
		i = end - 1;
	}
	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->len = (uint16_t)len;
	memcpy(p->text, text, len);
	p->key_len = (uint16_t)(kind == NEXUS_EVENT_PREFIX || plain ? len : key);
	p->hash = pattern_hash(PATTERN_HASH, text, p->key_len);
	return 0;
}

/* Whether one character goes; *@pos behind what stands for it. */
static bool one(const char *p, size_t len, size_t *pos, char c)
{
	size_t at = *pos, end;
	bool yes;

	if (p[at] == '?') {
		end = at + 1;
		yes = c != '/';
	} else if (p[at] == '[') {
		end = class_end(p, len, at);
		yes = c != '/' && in_class(p, at, end, (uint8_t)c);
	} else {
		if (p[at] == '\\')
			at++;
		end = at + 1;
		yes = p[at] == c;
	}
	if (yes)
		*pos = end;
	return yes;
}

static bool glob(const char *p, size_t plen, const char *s, size_t slen)
{
	size_t pi = 0, si = 0, star = NOWHERE, star_at = 0, deep = NOWHERE, deep_at = 0;
	bool names = false;	/* of **: whole names only */
	const char *slash;

	while (pi < plen || si < slen) {
		if (pi + 1 < plen && p[pi] == '*' && p[pi + 1] == '*') {
			names = pi && p[pi - 1] == '/' && pi + 2 < plen && p[pi + 2] == '/';
			pi += 2 + names;
			deep = pi;
			deep_at = si;
			star = NOWHERE;
			continue;
		}
		if (pi < plen && p[pi] == '*') {
			star = ++pi;
			star_at = si;
			continue;
		}
		if (pi < plen && si < slen && one(p, plen, &pi, s[si])) {
			si++;
			continue;
		}
		if (star != NOWHERE && star_at < slen && s[star_at] != '/') {
			si = ++star_at;
			pi = star;
			continue;
		}
		if (deep == NOWHERE || deep_at >= slen)
			return false;
		deep_at++;
		if (names) {
			slash = memchr(s + deep_at - 1, '/', slen - deep_at + 1);
			if (!slash)
				return false;
			deep_at = (size_t)(slash - s) + 1;
		}
		si = deep_at;
		pi = deep;
		star = NOWHERE;
	}
	return true;
}

bool pattern_match(const struct bus_pattern *p, const char *path, size_t len)
{
	if (p->kind == NEXUS_EVENT_GLOB)
		return glob(p->text, p->len, path, len);
	return len >= p->len && !memcmp(path, p->text, p->len) &&
	       (len == p->len || path[p->len] == '/');
}
