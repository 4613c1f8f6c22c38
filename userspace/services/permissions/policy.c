// SPDX-License-Identifier: Apache-2.0
/* Reads a policy: YAML, every fault with its line. */
#include "policy.h"

#include <stdio.h>
#include <yaml.h>

#define NEST_MAX	8	/* expressions in expressions */
#define EXPRS_MAX	4096	/* aliases of YAML can multiply */

struct parser {
	yaml_document_t *doc;
	const char *file;
	struct rebac_policy *policy;
	struct rebac_err *err;
	u32 exprs;
};

static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

#define FAIL(p, line, fmt, ...) \
	rebac_fail((p)->err, -EINVAL, "%s:%zu: " fmt, (p)->file, (size_t)(line), ##__VA_ARGS__)

static yaml_node_t *node_at(struct parser *p, yaml_node_item_t item)
{
	return yaml_document_get_node(p->doc, item);
}

static const char *text_of(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static bool is_text(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE &&
	       !memchr(node->data.scalar.value, 0, node->data.scalar.length);
}

/* What stands behind a colon and is nothing. */
static bool is_empty(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && !node->data.scalar.length;
}

static u32 count_pairs(const yaml_node_t *node)
{
	return (u32)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
}

static u32 count_items(const yaml_node_t *node)
{
	return (u32)(node->data.sequence.items.top - node->data.sequence.items.start);
}

static int read_name(struct parser *p, const yaml_node_t *node, struct rebac_ref *ref)
{
	if (!is_text(node) || !rebac_name_ok(text_of(node), node->data.scalar.length))
		return FAIL(p, line_of(node),
			    "a name is expected: a-z first, then a-z 0-9 _ -, at most %d",
			    REBAC_NAME_MAX);
	memcpy(ref->name, text_of(node), node->data.scalar.length + 1);
	return 0;
}

/* The value of @key in a mapping, or NULL. */
static yaml_node_t *value_of(struct parser *p, const yaml_node_t *map, const char *key)
{
	const yaml_node_pair_t *pair;

	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
		const yaml_node_t *k = node_at(p, pair->key);

		if (is_text(k) && !strcmp(text_of(k), key))
			return node_at(p, pair->value);
	}
	return NULL;
}

/* TYPE, TYPE:*, TYPE#REL or *. */
static int read_allowed(struct parser *p, const yaml_node_t *node, struct rebac_allowed *a)
{
	const char *text, *mark;
	size_t len;

	a->line = line_of(node);
	if (!is_text(node))
		return FAIL(p, a->line, "a subject is expected: TYPE, TYPE:*, TYPE#RELATION or *");
	text = text_of(node);
	if (!strcmp(text, "*")) {
		a->every = true;
		return 0;
	}
	mark = text + strcspn(text, ":#");
	len = (size_t)(mark - text);
	if (!rebac_name_ok(text, len) || (*mark == ':' && strcmp(mark, ":*") != 0) ||
	    (*mark == '#' && !rebac_name_ok(mark + 1, strlen(mark + 1))))
		return FAIL(p, a->line, "\"%.100s\" is no subject: TYPE, TYPE:*, TYPE#RELATION or *",
			    text);
	memcpy(a->type.name, text, len);
	a->every = *mark == ':';
	if (*mark == '#')
		strcpy(a->rel.name, mark + 1);
	return 0;
}

static int read_this(struct parser *p, const yaml_node_t *node, struct rebac_expr *e)
{
	u32 i, n;
	int ret;

	e->op = REBAC_THIS;
	if (node->type != YAML_SEQUENCE_NODE)
		return FAIL(p, line_of(node), "this takes a list of subjects");
	n = count_items(node);
	if (!n || n > REBAC_TYPES_MAX)
		return FAIL(p, line_of(node), "this takes 1 to %d subjects", REBAC_TYPES_MAX);
	e->allowed = calloc(n, sizeof(*e->allowed));
	if (!e->allowed)
		return -ENOMEM;
	e->nallowed = n;
	for (i = 0; i < n; i++) {
		ret = read_allowed(p, node_at(p, node->data.sequence.items.start[i]), &e->allowed[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/* NOLINTBEGIN(misc-no-recursion): no deeper than NEST_MAX */
static int read_expr(struct parser *p, const yaml_node_t *node, struct rebac_expr *e, u32 nest);

static int read_kids(struct parser *p, const yaml_node_t *node, struct rebac_expr *e,
		     enum rebac_op op, u32 nest)
{
	u32 i, n;
	int ret;

	e->op = op;
	if (node->type != YAML_SEQUENCE_NODE)
		return FAIL(p, line_of(node), "a list of expressions is expected");
	n = count_items(node);
	if (!n || n > REBAC_TYPES_MAX || (op == REBAC_EXCLUSION && n != 2))
		return FAIL(p, line_of(node), "%s", op == REBAC_EXCLUSION ?
			    "exclusion takes two: what is there, and what is taken from it" :
			    "a list of 1 to 64 expressions is expected");
	e->kids = calloc(n, sizeof(*e->kids));
	if (!e->kids)
		return -ENOMEM;
	e->nkids = n;
	for (i = 0; i < n; i++) {
		ret = read_expr(p, node_at(p, node->data.sequence.items.start[i]), &e->kids[i],
				nest + 1);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_from(struct parser *p, const yaml_node_t *node, struct rebac_expr *e)
{
	const yaml_node_t *from = value_of(p, node, "from");
	const yaml_node_t *rel = value_of(p, node, "relation");
	int ret;

	e->op = REBAC_FROM;
	if (!from || !rel || count_pairs(node) != 2)
		return FAIL(p, e->line, "{ from: RELATION, relation: RELATION } is expected");
	ret = read_name(p, from, &e->tupleset);
	return ret ? ret : read_name(p, rel, &e->rel);
}

static int read_operator(struct parser *p, const yaml_node_t *node, struct rebac_expr *e, u32 nest)
{
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	const yaml_node_t *key, *value;

	if (count_pairs(node) != 1)
		return FAIL(p, e->line, "one of this, union, intersection, exclusion, or from "
			    "with relation is expected");
	key = node_at(p, pair->key);
	value = node_at(p, pair->value);
	if (!is_text(key))
		return FAIL(p, e->line, "an operator is expected");
	if (!strcmp(text_of(key), "this"))
		return read_this(p, value, e);
	if (!strcmp(text_of(key), "union"))
		return read_kids(p, value, e, REBAC_UNION, nest);
	if (!strcmp(text_of(key), "intersection"))
		return read_kids(p, value, e, REBAC_INTERSECTION, nest);
	if (!strcmp(text_of(key), "exclusion"))
		return read_kids(p, value, e, REBAC_EXCLUSION, nest);
	return FAIL(p, line_of(key), "there is no operator \"%.100s\"; there are: this, union, "
		    "intersection, exclusion, from", text_of(key));
}

static int read_expr(struct parser *p, const yaml_node_t *node, struct rebac_expr *e, u32 nest)
{
	e->line = line_of(node);
	if (nest > NEST_MAX)
		return FAIL(p, e->line, "expressions are nested more than %d deep", NEST_MAX);
	if (++p->exprs > EXPRS_MAX)
		return FAIL(p, e->line, "more than %d expressions", EXPRS_MAX);
	if (node->type == YAML_SEQUENCE_NODE)
		return read_kids(p, node, e, REBAC_UNION, nest);
	if (node->type == YAML_MAPPING_NODE)
		return value_of(p, node, "from") ? read_from(p, node, e) :
			read_operator(p, node, e, nest);
	if (is_text(node) && !strcmp(text_of(node), "this")) {
		e->op = REBAC_THIS;
		return 0;
	}
	e->op = REBAC_COMPUTED;
	return read_name(p, node, &e->rel);
}

static bool has_this(const struct rebac_expr *e)
{
	u32 i;

	for (i = 0; i < e->nkids; i++)
		if (has_this(&e->kids[i]))
			return true;
	return e->op == REBAC_THIS;
}

static int read_relation(struct parser *p, const yaml_node_pair_t *pair, struct rebac_type *t,
			 bool permission)
{
	const yaml_node_t *key = node_at(p, pair->key);
	struct rebac_relation *r = &t->rels[t->nrels];
	struct rebac_ref name = { "", 0 };
	int ret;

	ret = read_name(p, key, &name);
	if (ret)
		return ret;
	if (!strcmp(name.name, "this"))
		return FAIL(p, line_of(key), "this is no name of a relation");
	if (rebac_type_relation(t, name.name))
		return FAIL(p, line_of(key), "%s of %s is there twice, first in line %zu", name.name,
			    t->name.name, rebac_type_relation(t, name.name)->line);
	if (p->policy->nrels == REBAC_RELATIONS_MAX)
		return FAIL(p, line_of(key), "more than %d relations", REBAC_RELATIONS_MAX);
	r->name = name;
	r->line = line_of(key);
	r->index = p->policy->nrels;
	t->nrels++;
	p->policy->all[r->index] = r;
	p->policy->owner[r->index] = t;
	p->policy->nrels++;
	ret = read_expr(p, node_at(p, pair->value), &r->expr, 0);
	if (ret)
		return ret;
	r->direct = has_this(&r->expr);
	if (r->direct && permission)
		return FAIL(p, r->line, "permission %s cannot have tuples of its own: "
			    "what has \"this\" is a relation", name.name);
	return 0;
}

static int read_type(struct parser *p, const yaml_node_t *node, struct rebac_type *t)
{
	const yaml_node_pair_t *pair, *rel;
	u32 n = 0;
	int ret;

	if (is_empty(node))
		return 0;
	if (node->type != YAML_MAPPING_NODE)
		return FAIL(p, line_of(node), "relations: and permissions: are expected");
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = node_at(p, pair->key);
		const yaml_node_t *value = node_at(p, pair->value);

		if (!is_text(key) || (strcmp(text_of(key), "relations") != 0 &&
				      strcmp(text_of(key), "permissions") != 0))
			return FAIL(p, line_of(key), "relations: or permissions: is expected");
		if (value->type != YAML_MAPPING_NODE)
			return FAIL(p, line_of(value), "names with their expressions are expected");
		n += count_pairs(value);
	}
	t->rels = calloc(n ? n : 1, sizeof(*t->rels));
	if (!t->rels)
		return -ENOMEM;
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *value = node_at(p, pair->value);
		bool permission = !strcmp(text_of(node_at(p, pair->key)), "permissions");

		for (rel = value->data.mapping.pairs.start; rel < value->data.mapping.pairs.top; rel++) {
			ret = read_relation(p, rel, t, permission);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static int read_types(struct parser *p, const yaml_node_t *node)
{
	const yaml_node_pair_t *pair;
	u32 n;
	int ret;

	if (node->type != YAML_MAPPING_NODE)
		return FAIL(p, line_of(node), "types: takes names of types");
	n = count_pairs(node);
	if (!n || n > REBAC_TYPES_MAX)
		return FAIL(p, line_of(node), "1 to %d types are expected", REBAC_TYPES_MAX);
	p->policy->types = calloc(n, sizeof(*p->policy->types));
	if (!p->policy->types)
		return -ENOMEM;
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		struct rebac_type *t = &p->policy->types[p->policy->ntypes];
		const yaml_node_t *key = node_at(p, pair->key);
		struct rebac_ref name = { "", 0 };

		ret = read_name(p, key, &name);
		if (ret)
			return ret;
		if (rebac_policy_type(p->policy, name.name))
			return FAIL(p, line_of(key), "type %s is there twice", name.name);
		t->name = name;
		t->line = line_of(key);
		p->policy->ntypes++;
		ret = read_type(p, node_at(p, pair->value), t);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_document(struct parser *p)
{
	yaml_node_t *root = yaml_document_get_root_node(p->doc);
	const yaml_node_t *types;

	if (!root || root->type != YAML_MAPPING_NODE)
		return FAIL(p, root ? line_of(root) : 1, "types: is expected");
	types = value_of(p, root, "types");
	if (!types || count_pairs(root) != 1)
		return FAIL(p, line_of(root), "types: is expected, and nothing beside it");
	return read_types(p, types);
}

static int read_stream(struct parser *p, yaml_parser_t *yaml)
{
	yaml_document_t doc;
	int ret;

	if (!yaml_parser_load(yaml, &doc))
		return FAIL(p, yaml->problem_mark.line + 1, "%s",
			    yaml->problem ? yaml->problem : "cannot be read");
	p->doc = &doc;
	ret = read_document(p);
	yaml_document_delete(&doc);
	if (ret)
		return ret;
	if (!yaml_parser_load(yaml, &doc))
		return FAIL(p, yaml->problem_mark.line + 1, "%s",
			    yaml->problem ? yaml->problem : "cannot be read");
	if (yaml_document_get_root_node(&doc))
		ret = FAIL(p, line_of(yaml_document_get_root_node(&doc)),
			   "a second document, which would be ignored");
	yaml_document_delete(&doc);
	return ret;
}

int rebac_policy_parse(const char *text, size_t len, const char *file,
		       struct rebac_policy **policy, struct rebac_err *err)
{
	struct parser p = { .file = file, .err = err };
	yaml_parser_t yaml;
	int ret;

	if (len > REBAC_POLICY_MAX)
		return rebac_fail(err, -EFBIG, "%s: a policy has at most %u bytes", file,
				  REBAC_POLICY_MAX);
	p.policy = calloc(1, sizeof(*p.policy));
	if (!p.policy || !yaml_parser_initialize(&yaml)) {
		free(p.policy);
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&yaml, (const unsigned char *)text, len);
	ret = read_stream(&p, &yaml);
	yaml_parser_delete(&yaml);
	if (!ret)
		ret = rebac_policy_validate(p.policy, file, err);
	if (ret)
		rebac_policy_free(p.policy);
	else
		*policy = p.policy;
	return ret;
}
/* NOLINTEND(misc-no-recursion) */
