// SPDX-License-Identifier: Apache-2.0
/* The operations of nexus.namespace. */
#include "names.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SUBJECT_MAX	(NEXUS_PERMISSION_NAME_MAX + 1 + NEXUS_PERMISSION_ID_MAX)

/**
 * struct looking - a question under way
 * @admin: it sees everything
 * @v: what it sees else; NULL: that is not known now
 */
struct looking {
	bool admin;
	struct view *v;
};

static int begin(struct names *n, const struct nexus_namespace_who *who,
		 struct nexus_namespace_read *read, struct looking *l)
{
	const char *subject = who->subject, *colon = subject ? strchr(subject, ':') : NULL;

	*l = (struct looking){ .admin = who->admin || (subject && !strcmp(subject, "user:0")) };
	read->at[0] = '\0';
	read->generation = 0;
	read->unknown = 0;
	read->valid_until_ms = INT64_MAX;
	if (l->admin)
		return 0;
	if (!colon || colon == subject || !colon[1] || strlen(subject) > SUBJECT_MAX)
		return -EINVAL;
	return names_view(n, subject, read, &l->v);
}

static void end(struct looking *l)
{
	view_put(l->v);
}

static bool sees(enum nexus_namespace_why why)
{
	return why != NEXUS_NAMESPACE_NO_GRANT && why != NEXUS_NAMESPACE_ADMIN_ONLY &&
	       why != NEXUS_NAMESPACE_OTHER_ZONE && why != NEXUS_NAMESPACE_UNKNOWN;
}

static enum nexus_namespace_why look(const struct looking *l, const char *key, bool *readonly,
				     const char **entry)
{
	enum nexus_namespace_why why = path_rule(key, readonly);

	*entry = NULL;
	if (l->admin)
		return NEXUS_NAMESPACE_ADMIN;
	if (why != NEXUS_NAMESPACE_NO_GRANT && why != NEXUS_NAMESPACE_ROOT)
		return why;
	*entry = l->v ? view_cover(l->v, key) : NULL;
	if (*entry)
		return NEXUS_NAMESPACE_GRANT;
	if (why == NEXUS_NAMESPACE_ROOT)
		return why;
	if (l->v && view_leads(l->v, key))
		return NEXUS_NAMESPACE_WAY;
	return !l->v || l->v->partial ? NEXUS_NAMESPACE_UNKNOWN : why;
}

static void answer(const struct looking *l, const char *zone, const char *path,
		   struct nexus_namespace_answer *a, const char **entry)
{
	char key[KEY_SIZE];
	int ret = path_key(zone, path, key);

	*a = (struct nexus_namespace_answer){ .error = ret };
	*entry = NULL;
	if (ret)
		return;
	a->why = look(l, key, &a->readonly, entry);
	a->visible = sees(a->why);
	if (!a->visible) {
		a->error = -ENOENT;
		a->readonly = false;
	}
}

/* ZONE:/PATH, in memory of the arguments; NULL without any. */
static char *entry_text(struct names *n, void *args, const char *key)
{
	size_t len = strlen(key);
	char *text = n->more(args, len + 2);

	if (!text)
		return NULL;
	memcpy(text, key, len);
	if (path_is_root(key))
		text[len++] = '/';
	text[len] = '\0';
	return text;
}

static int visible(struct names *n, void *args, struct nexus_namespace_visible_args *a,
		   struct looking *l)
{
	const char *entry;
	int ret;

	memset(&a->answer, 0, sizeof(a->answer));
	ret = begin(n, &a->who, &a->read, l);
	if (ret)
		return ret;
	answer(l, a->zone, a->path, &a->answer, &entry);
	if (!entry)
		return 0;
	a->answer.entry = entry_text(n, args, entry);
	if (a->answer.entry)
		return 0;
	memset(&a->answer, 0, sizeof(a->answer));
	return -ENOMEM;
}

int names_visible(struct names *n, struct nexus_namespace_visible_args *a)
{
	struct looking l = { .v = NULL };
	int ret = visible(n, a, a, &l);

	end(&l);
	return ret;
}

int names_filter(struct names *n, struct nexus_namespace_filter_args *a)
{
	const char *entry;
	struct looking l;
	uint32_t i;
	int ret;

	a->answers = NULL;
	if (!a->count)
		return -EINVAL;
	if (a->count > NEXUS_NAMESPACE_BATCH_MAX)
		return -EMSGSIZE;
	ret = begin(n, &a->who, &a->read, &l);
	if (ret)
		return ret;
	a->answers = n->more(a, a->count * sizeof(*a->answers));
	for (i = 0; a->answers && i < a->count; i++)
		answer(&l, a->zone, a->paths[i], &a->answers[i], &entry);
	end(&l);
	return a->answers ? 0 : -ENOMEM;
}

/* ---- list ------------------------------------------------------------------------- */

static bool of_zone(const char *key, const char *zone)
{
	size_t len = zone ? strlen(zone) : 0;

	return !len || (!strncmp(key, zone, len) && key[len] == ':');
}

static int list_view(struct names *n, struct nexus_namespace_list_args *a, const struct view *v,
		     const char *after)
{
	uint32_t max = a->max ? a->max : NEXUS_NAMESPACE_LIST_MAX, i;

	a->entries = n->more(a, max * sizeof(*a->entries));
	if (!a->entries)
		return -ENOMEM;
	for (i = view_behind(v, after); i < v->n; i++) {
		if (!of_zone(v->keys[i], a->zone))
			continue;
		if (a->count == max) {
			a->more = true;
			break;
		}
		a->entries[a->count] = entry_text(n, a, v->keys[i]);
		if (!a->entries[a->count])
			return -ENOMEM;
		a->count++;
	}
	return 0;
}

int names_list(struct names *n, struct nexus_namespace_list_args *a)
{
	bool from = a->after && a->after[0];
	char after[KEY_SIZE];
	struct looking l;
	int ret = 0;

	a->count = 0;
	a->more = a->all = false;
	if (a->max > NEXUS_NAMESPACE_LIST_MAX)
		return -EMSGSIZE;
	if (from)
		ret = path_id(a->after, after);
	if (!ret)
		ret = begin(n, &a->who, &a->read, &l);
	if (ret)
		return ret;
	a->all = l.admin;
	if (l.v)
		ret = list_view(n, a, l.v, from ? after : NULL);
	end(&l);
	if (ret)
		a->count = 0;
	return ret;
}

/* ---- explain ---------------------------------------------------------------------- */

#define LINE_SIZE	(KEY_SIZE + SUBJECT_MAX + 200)

static int say(struct names *n, struct nexus_namespace_explain_args *a, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int say(struct names *n, struct nexus_namespace_explain_args *a, const char *fmt, ...)
{
	char text[LINE_SIZE];
	va_list ap;
	char *line;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line = n->more(a, strlen(text) + 1);
	if (!line)
		return -ENOMEM;
	strcpy(line, text);
	a->lines[a->nlines++] = line;
	return 0;
}

static const char *reason(uint32_t why)
{
	static const char *const reasons[] = {
		[NEXUS_NAMESPACE_NO_GRANT] = "nothing above or below it is granted",
		[NEXUS_NAMESPACE_GRANT] = "it is granted, or something above it",
		[NEXUS_NAMESPACE_WAY] = "something below it is granted",
		[NEXUS_NAMESPACE_ROOT] = "it is the root of a zone",
		[NEXUS_NAMESPACE_SYS] = "it is not part of the tree",
		[NEXUS_NAMESPACE_ADMIN] = "administrators see everything",
		[NEXUS_NAMESPACE_ADMIN_ONLY] = "/system is for administrators",
		[NEXUS_NAMESPACE_OTHER_ZONE] = "it belongs to another zone",
		[NEXUS_NAMESPACE_UNKNOWN] = "not all grants could be found out",
	};

	return reasons[why];
}

static int explain(struct names *n, struct nexus_namespace_explain_args *a, const struct view *v)
{
	const struct nexus_namespace_answer *to = &a->visible.answer;
	const struct nexus_namespace_read *read = &a->visible.read;
	int ret;

	if (to->error && to->error != -ENOENT)
		return say(n, a, "no: it is no path of a zone");
	ret = say(n, a, "%s: %s", to->visible ? "yes" : "no", reason(to->why));
	if (!ret && to->entry)
		ret = say(n, a, "by %s:%s#%s@%s", NEXUS_NAMESPACE_TYPE, to->entry,
			  NEXUS_NAMESPACE_RELATION, a->visible.who.subject);
	if (!ret && to->visible && to->readonly)
		ret = say(n, a, "nobody writes there");
	if (!ret && v)
		ret = say(n, a, "of %u entries, read at %s, generation %llu", v->n, v->at,
			  (unsigned long long)v->generation);
	if (!ret && v && v->ignored)
		ret = say(n, a, "%u objects are no path of a zone", v->ignored);
	if (!ret && read->unknown)
		ret = say(n, a, "entries may be missing");
	return ret;
}

int names_explain(struct names *n, struct nexus_namespace_explain_args *a)
{
	struct looking l = { .v = NULL };
	int ret;

	a->nlines = 0;
	a->lines = n->more(a, NEXUS_NAMESPACE_LINES_MAX * sizeof(*a->lines));
	if (!a->lines)
		return -ENOMEM;
	ret = visible(n, a, &a->visible, &l);
	if (!ret)
		ret = explain(n, a, l.v);
	end(&l);
	if (ret) {
		a->nlines = 0;
		memset(&a->visible.answer, 0, sizeof(a->visible.answer));
	}
	return ret;
}
