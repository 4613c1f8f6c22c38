// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <expat.h>
#include <jansson.h>

#include "parse.h"
#include "secret.h"

/*
 * Both libraries ask for memory without saying for what: it is taken from the
 * thread's arena, as long as one is in use.  Nothing is given back before its end,
 * so an answer of any shape uses so much and no more.
 */
#define ARENA_SIZE	((size_t)512 * 1024)

struct creds_arena {
	size_t used;	/* of data */
	max_align_t data[];
};

struct piece {
	size_t size;
	max_align_t data[];
};

static __thread struct creds_arena *current;

struct creds_arena *creds_arena_open(void)
{
	return secret_alloc(sizeof(struct creds_arena) + ARENA_SIZE);
}

void creds_arena_close(struct creds_arena *arena)
{
	secret_free(arena);
}

static void *arena_alloc(struct creds_arena *arena, size_t size)
{
	struct piece *piece;
	size_t len;

	if (size > ARENA_SIZE)
		return NULL;
	len = sizeof(*piece) + (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if (len > ARENA_SIZE - arena->used)
		return NULL;
	piece = (struct piece *)((char *)arena->data + arena->used);
	arena->used += len;
	piece->size = size;
	return piece->data;
}

static bool in_arena(const void *p)
{
	return current && (const char *)p >= (const char *)current->data &&
	       (const char *)p < (const char *)current->data + ARENA_SIZE;
}

static void *take(size_t size)
{
	return current ? arena_alloc(current, size) : malloc(size);
}

static void give(void *p)
{
	if (!in_arena(p))
		free(p);
}

static void *take_again(void *p, size_t size)
{
	const struct piece *piece;
	void *new;

	if (!in_arena(p))
		return p || !current ? realloc(p, size) : take(size);
	piece = (const struct piece *)((const char *)p - offsetof(struct piece, data));
	new = take(size);
	if (new)
		memcpy(new, p, piece->size < size ? piece->size : size);
	return new;
}

void creds_parse_library(void)
{
	json_set_alloc_funcs(take, give);
}

/* ---- JSON ------------------------------------------------------------------------- */

/* A string of an object, which may not have a NUL in it: the parser refuses that. */
static const char *string_of(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value && *value ? value : NULL;
}

int creds_parse_json(struct creds_arena *arena, const char *text, size_t len,
		     struct creds_fields *fields)
{
	json_t *root;
	int ret = 0;

	memset(fields, 0, sizeof(*fields));
	current = arena;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root)) {
		ret = -EPROTO;
	} else {
		fields->access_key = string_of(root, "AccessKeyId");
		fields->secret_key = string_of(root, "SecretAccessKey");
		fields->token = string_of(root, "Token");
		fields->expiration = string_of(root, "Expiration");
		fields->code = string_of(root, "Code");
	}
	/* The fields lie in the arena until its end, the library is done with them. */
	json_decref(root);
	current = NULL;
	return ret;
}

/* ---- XML -------------------------------------------------------------------------- */

static const XML_Memory_Handling_Suite memory = { take, take_again, give };

struct xml {
	XML_Parser parser;
	struct creds_arena *arena;
	struct creds_fields *fields;
	const char **field;	/* that is being read; NULL: none */
	char *text;		/* of it */
	size_t len, size;
	int depth;
	bool bad;
};

/* Elements of this name, however deep: of the answers no other one has them. */
static const char **field_of(struct creds_fields *fields, const char *name)
{
	const struct { const char *name; const char **field; } known[] = {
		{ "AccessKeyId", &fields->access_key },
		{ "SecretAccessKey", &fields->secret_key },
		{ "SessionToken", &fields->token },
		{ "Expiration", &fields->expiration },
		{ "Code", &fields->code },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcmp(name, known[i].name))
			return known[i].field;
	}
	return NULL;
}

static void refuse(struct xml *x)
{
	x->bad = true;
	XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL begin(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct xml *x = arg;

	(void)attributes;
	if (++x->depth > 16 || x->field) {
		refuse(x);
		return;
	}
	x->field = field_of(x->fields, name);
	/* Twice: whose is it? */
	if (x->field && *x->field)
		refuse(x);
	x->len = 0;
}

static void XMLCALL characters(void *arg, const XML_Char *text, int len)
{
	struct xml *x = arg;

	if (!x->field || x->bad)
		return;
	if ((size_t)len >= x->size - x->len) {
		refuse(x);
		return;
	}
	memcpy(x->text + x->len, text, (size_t)len);
	x->len += (size_t)len;
}

static void XMLCALL end(void *arg, const XML_Char *name)
{
	struct xml *x = arg;
	char *copy;

	(void)name;
	x->depth--;
	if (!x->field || x->bad)
		return;
	if (x->len) {
		copy = arena_alloc(x->arena, x->len + 1);
		if (!copy) {
			refuse(x);
			return;
		}
		memcpy(copy, x->text, x->len);
		copy[x->len] = '\0';
		*x->field = copy;
	}
	x->field = NULL;
}

static void XMLCALL doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
			    const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	refuse(arg);
}

int creds_parse_xml(struct creds_arena *arena, const char *text, size_t len,
		    struct creds_fields *fields)
{
	struct xml x = { .arena = arena, .fields = fields, .size = 32768 };
	int ret = -EPROTO;

	memset(fields, 0, sizeof(*fields));
	current = arena;
	x.text = arena_alloc(arena, x.size);
	x.parser = XML_ParserCreate_MM(NULL, &memory, NULL);
	if (!x.text || !x.parser)
		goto out;
	XML_SetUserData(x.parser, &x);
	XML_SetElementHandler(x.parser, begin, end);
	XML_SetCharacterDataHandler(x.parser, characters);
	XML_SetStartDoctypeDeclHandler(x.parser, doctype);
	if (XML_Parse(x.parser, text, (int)len, 1) == XML_STATUS_OK && !x.bad)
		ret = 0;
out:
	if (x.parser)
		XML_ParserFree(x.parser);
	current = NULL;
	return ret;
}

int creds_parse_time(const char *text, int64_t *seconds)
{
	struct tm tm = { 0 };
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (p && *p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (!p || strcmp(p, "Z"))
		return -EPROTO;
	*seconds = timegm(&tm);
	return 0;
}
