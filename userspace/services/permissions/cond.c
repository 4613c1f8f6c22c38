// SPDX-License-Identifier: Apache-2.0
/*
 * Conditions of tuples: comparisons of facts that the caller gives with
 * literals, and && || ! ().
 *
 *	hour >= 8 && hour < 18 && (net == "office" || !guest)
 *
 * A fact that was not given, or has another type than what it is compared
 * with, leaves its comparison unknown.  The text is read at each use: it is
 * short, and nothing has to be kept.
 */
#include "rebac.h"

#define NEST_MAX	16

struct cond {
	const char *text;
	const char *at;
	const struct rebac_fact *facts;
	u32 nfacts;
	u32 nest;
	const char *fault;	/* what is wrong at @at */
};

struct literal {
	bool is_text;
	const char *text;
	size_t len;
	s64 number;
};

static enum rebac_value fault(struct cond *c, const char *what)
{
	if (!c->fault)
		c->fault = what;
	return REBAC_UNKNOWN;
}

static void blanks(struct cond *c)
{
	while (*c->at == ' ' || *c->at == '\t')
		c->at++;
}

static bool word(struct cond *c, const char *w)
{
	blanks(c);
	if (strncmp(c->at, w, strlen(w)) != 0)
		return false;
	c->at += strlen(w);
	return true;
}

static bool is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

static bool is_letter(char ch)
{
	return (ch >= 'a' && ch <= 'z') || ch == '_';
}

static bool read_number(struct cond *c, struct literal *l)
{
	char *end;

	errno = 0;
	l->number = strtoll(c->at, &end, 10);
	if (errno) {
		fault(c, "a number that is too large");
		return false;
	}
	c->at = end;
	return true;
}

static bool read_literal(struct cond *c, struct literal *l)
{
	memset(l, 0, sizeof(*l));
	blanks(c);
	if (*c->at == '"') {
		l->is_text = true;
		l->text = ++c->at;
		l->len = strcspn(c->at, "\"");
		if (c->at[l->len] != '"') {
			fault(c, "a text without its end");
			return false;
		}
		c->at += l->len + 1;
		return true;
	}
	if (is_digit(*c->at) || (*c->at == '-' && is_digit(c->at[1])))
		return read_number(c, l);
	if (word(c, "true")) {
		l->number = 1;
		return true;
	}
	if (word(c, "false"))
		return true;
	fault(c, "a number, a \"text\", true or false is expected");
	return false;
}

static const struct rebac_fact *read_fact(struct cond *c, bool *ok)
{
	const char *name;
	size_t len = 0;
	u32 i;

	blanks(c);
	name = c->at;
	while (is_letter(name[len]) || (len && is_digit(name[len])))
		len++;
	*ok = len && len <= REBAC_NAME_MAX;
	if (!*ok) {
		fault(c, "the name of a fact is expected: a-z _ first, then also 0-9");
		return NULL;
	}
	c->at += len;
	for (i = 0; i < c->nfacts; i++)
		if (strlen(c->facts[i].name) == len && !memcmp(c->facts[i].name, name, len))
			return &c->facts[i];
	return NULL;
}

enum cmp { EQ, NE, LE, GE, LT, GT };

/* -1, 0, 1; of one type. */
static int compare(const struct rebac_fact *f, const struct literal *l)
{
	size_t len;
	int ret;

	if (!l->is_text)
		return f->number < l->number ? -1 : f->number > l->number;
	len = strlen(f->text);
	ret = memcmp(f->text, l->text, len < l->len ? len : l->len);
	return ret ? ret : len < l->len ? -1 : len > l->len;
}

static enum rebac_value holds(enum cmp op, const struct rebac_fact *f, const struct literal *l)
{
	int c;

	if (!f || l->is_text != (f->text != NULL))
		return REBAC_UNKNOWN;
	c = compare(f, l);
	switch (op) {
	case EQ:
		return c == 0 ? REBAC_YES : REBAC_NO;
	case NE:
		return c != 0 ? REBAC_YES : REBAC_NO;
	case LE:
		return c <= 0 ? REBAC_YES : REBAC_NO;
	case GE:
		return c >= 0 ? REBAC_YES : REBAC_NO;
	case LT:
		return c < 0 ? REBAC_YES : REBAC_NO;
	case GT:
		return c > 0 ? REBAC_YES : REBAC_NO;
	}
	return REBAC_UNKNOWN;
}

/* NOLINTBEGIN(misc-no-recursion): no deeper than NEST_MAX */
static enum rebac_value either(struct cond *c);

static enum rebac_value one(struct cond *c)
{
	static const char *const ops[] = { "==", "!=", "<=", ">=", "<", ">" };
	const struct rebac_fact *f;
	enum rebac_value v;
	struct literal l;
	u32 i;
	bool ok;

	if (c->nest >= NEST_MAX)
		return fault(c, "nested too deep");
	blanks(c);
	if (*c->at == '!' && c->at[1] != '=') {
		c->at++;
		c->nest++;
		v = one(c);
		c->nest--;
		return v == REBAC_UNKNOWN ? v : v == REBAC_YES ? REBAC_NO : REBAC_YES;
	}
	if (word(c, "(")) {
		c->nest++;
		v = either(c);
		c->nest--;
		return word(c, ")") ? v : fault(c, "a ) is expected");
	}
	f = read_fact(c, &ok);
	if (!ok)
		return REBAC_UNKNOWN;
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (word(c, ops[i]))
			return read_literal(c, &l) ? holds((enum cmp)i, f, &l) : REBAC_UNKNOWN;
	/* A truth value by itself. */
	return !f || f->text ? REBAC_UNKNOWN : f->number ? REBAC_YES : REBAC_NO;
}

static enum rebac_value both(struct cond *c)
{
	enum rebac_value v = one(c), w;

	while (!c->fault && word(c, "&&")) {
		w = one(c);
		if (v == REBAC_NO || w == REBAC_NO)
			v = REBAC_NO;
		else if (w == REBAC_UNKNOWN)
			v = w;
	}
	return v;
}

static enum rebac_value either(struct cond *c)
{
	enum rebac_value v = both(c), w;

	while (!c->fault && word(c, "||")) {
		w = both(c);
		if (v == REBAC_YES || w == REBAC_YES)
			v = REBAC_YES;
		else if (w == REBAC_UNKNOWN)
			v = w;
	}
	return v;
}

static enum rebac_value whole(struct cond *c)
{
	enum rebac_value v = either(c);

	blanks(c);
	if (!c->fault && *c->at)
		fault(c, "the end, && or || is expected");
	return c->fault ? REBAC_UNKNOWN : v;
}

int rebac_cond_check(const char *text, struct rebac_err *err)
{
	struct cond c = { .text = text, .at = text };

	if (strlen(text) > REBAC_COND_MAX)
		return rebac_fail(err, -EINVAL, "a condition has at most %d bytes", REBAC_COND_MAX);
	whole(&c);
	return c.fault ? rebac_fail(err, -EINVAL, "condition, byte %zu: %s",
				    (size_t)(c.at - text) + 1, c.fault) : 0;
}

enum rebac_value rebac_cond_eval(const char *text, const struct rebac_fact *facts, u32 nfacts)
{
	struct cond c = { .text = text, .at = text, .facts = facts, .nfacts = nfacts };

	return whole(&c);
}
/* NOLINTEND(misc-no-recursion) */
