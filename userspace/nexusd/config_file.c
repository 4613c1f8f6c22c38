// SPDX-License-Identifier: Apache-2.0
/* The file of settings: one mapping of scalars, and one of bricks within. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* What is behind one would be ignored. */
static bool has_nul(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE &&
	       memchr(node->data.scalar.value, 0, node->data.scalar.length);
}

static const char *text_of(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

/* libyaml lets a key stand twice; the second would win without a word. */
static int check_twice(yaml_document_t *doc, const yaml_node_t *root,
		       const yaml_node_pair_t *pair, const char *path,
		       struct errline *err)
{
	yaml_node_t *key = yaml_document_get_node(doc, pair->key);
	const yaml_node_pair_t *p;

	for (p = root->data.mapping.pairs.start; p < pair; p++) {
		yaml_node_t *k = yaml_document_get_node(doc, p->key);

		if (k->type == YAML_SCALAR_NODE && key->type == YAML_SCALAR_NODE &&
		    !strcmp((char *)k->data.scalar.value,
			    (char *)key->data.scalar.value))
			return err_set(err, -EINVAL, "%s:%zu: %s is set twice, first in line %zu",
				       path, key->start_mark.line + 1,
				       (char *)key->data.scalar.value,
				       k->start_mark.line + 1);
	}
	return 0;
}

/* "bricks:", and a line for each beneath it. */
static int load_bricks(struct config *cfg, yaml_document_t *doc, const yaml_node_t *map,
		       const char *path, const char *section, struct errline *err)
{
	const yaml_node_pair_t *pair;
	char where[PATH_MAX + 16];
	int ret = 0;

	if (map->type == YAML_SCALAR_NODE && !map->data.scalar.length)
		return 0;
	if (map->type != YAML_MAPPING_NODE)
		return err_set(err, -EINVAL,
			       "%s: bricks takes lines of the form \"NAME: true\" beneath it", section);
	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top && !ret;
	     pair++) {
		const yaml_node_t *key = yaml_document_get_node(doc, pair->key);
		const yaml_node_t *val = yaml_document_get_node(doc, pair->value);

		snprintf(where, sizeof(where), "%s:%zu", path, key->start_mark.line + 1);
		if (key->type != YAML_SCALAR_NODE || val->type != YAML_SCALAR_NODE ||
		    has_nul(key) || has_nul(val))
			return err_set(err, -EINVAL, "%s: the name of a brick and one value are expected",
				       where);
		ret = check_twice(doc, map, pair, path, err);
		if (!ret)
			ret = brick_wish_set(&cfg->bricks, text_of(key), text_of(val), where, err);
	}
	return ret;
}

static int load_pair(struct config *cfg, yaml_document_t *doc,
		     const yaml_node_pair_t *pair, const char *path,
		     struct errline *err)
{
	yaml_node_t *key = yaml_document_get_node(doc, pair->key);
	yaml_node_t *val = yaml_document_get_node(doc, pair->value);
	char where[PATH_MAX + 16];

	snprintf(where, sizeof(where), "%s:%zu", path, key->start_mark.line + 1);
	if (key->type != YAML_SCALAR_NODE)
		return err_set(err, -EINVAL, "%s: the name of a setting is expected", where);
	if (has_nul(key) || has_nul(val))
		return err_set(err, -EINVAL, "%s: NUL is no character of a setting", where);
	if (!strcmp(text_of(key), "bricks"))
		return load_bricks(cfg, doc, val, path, where, err);
	if (val->type != YAML_SCALAR_NODE) {
		struct errline unknown = { "" };
		struct config scratch = *cfg;

		/* What is unknown is called so, whatever stands behind it. */
		if (config_set(&scratch, (char *)key->data.scalar.value, "", where,
			       &unknown) && strstr(unknown.msg, "there is no setting"))
			return err_set(err, -EINVAL, "%s", unknown.msg);
		return err_set(err, -EINVAL, "%s: %s takes one value", where,
			       (char *)key->data.scalar.value);
	}
	return config_set(cfg, (char *)key->data.scalar.value,
			  (char *)val->data.scalar.value, where, err);
}

static int load_document(struct config *cfg, yaml_document_t *doc, const char *path,
			 struct errline *err)
{
	yaml_node_t *root = yaml_document_get_root_node(doc);
	const yaml_node_pair_t *pair;
	int ret;

	if (!root)
		return 0;
	if (root->type == YAML_SCALAR_NODE && !root->data.scalar.length)
		return 0;
	if (root->type != YAML_MAPPING_NODE)
		return err_set(err, -EINVAL, "%s:%zu: lines of the form \"name: value\" are expected",
			       path, root->start_mark.line + 1);
	for (pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++) {
		ret = check_twice(doc, root, pair, path, err);
		if (!ret)
			ret = load_pair(cfg, doc, pair, path, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int load_next(yaml_parser_t *parser, yaml_document_t *doc, const char *path,
		     struct errline *err)
{
	if (yaml_parser_load(parser, doc))
		return 0;
	return err_set(err, -EINVAL, "%s:%zu: %s", path, parser->problem_mark.line + 1,
		       parser->problem ? parser->problem : "cannot be read");
}

/* A file may hold several documents; settings in the second would be ignored. */
static int check_end(yaml_parser_t *parser, const char *path, struct errline *err)
{
	yaml_document_t doc;
	int ret = load_next(parser, &doc, path, err);

	if (ret)
		return ret;
	if (yaml_document_get_root_node(&doc))
		ret = err_set(err, -EINVAL, "%s:%zu: one document of settings is expected",
			      path, doc.start_mark.line + 1);
	yaml_document_delete(&doc);
	return ret;
}

static int load(struct config *cfg, yaml_parser_t *parser, const char *path,
		struct errline *err)
{
	yaml_document_t doc;
	int ret = load_next(parser, &doc, path, err);

	if (!ret) {
		ret = load_document(cfg, &doc, path, err);
		yaml_document_delete(&doc);
	}
	return ret ? ret : check_end(parser, path, err);
}

int config_file(struct config *cfg, const char *path, struct errline *err)
{
	yaml_parser_t parser;
	int ret;
	FILE *f;

	f = fopen(path, "re");
	if (!f) {
		ret = -errno;
		return ret == -ENOENT ? ret :
			err_set(err, ret, "%s: %s", path, strerror(-ret));
	}
	if (!yaml_parser_initialize(&parser)) {
		fclose(f);
		return -ENOMEM;
	}
	yaml_parser_set_input_file(&parser, f);
	ret = load(cfg, &parser, path, err);
	yaml_parser_delete(&parser);
	fclose(f);
	return ret;
}

int config_text(struct config *cfg, const char *text, size_t len, const char *path,
		struct errline *err)
{
	yaml_parser_t parser;
	int ret;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	ret = load(cfg, &parser, path, err);
	yaml_parser_delete(&parser);
	return ret;
}
