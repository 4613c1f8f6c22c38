// SPDX-License-Identifier: Apache-2.0
#include "service_graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARK_NEW, MARK_OPEN, MARK_DONE };

const struct nexus_protocol *desc_find(const struct nexus_service_desc *d, const char *protocol)
{
	const struct nexus_protocol *p;

	for (p = d ? d->provides : NULL; p && p->name; p++)
		if (!strcmp(p->name, protocol))
			return p;
	return NULL;
}

/* Index of the provider, or n. */
static size_t provider(const struct graph_node *nodes, size_t n, const char *protocol)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (desc_find(nodes[i].desc, protocol))
			break;
	return i;
}

static int check_provides(const struct graph_node *nodes, size_t n, size_t i, struct errline *err)
{
	const struct nexus_protocol *p;
	size_t j;

	for (p = nodes[i].desc->provides; p && p->name; p++)
		for (j = 0; j < n; j++)
			if (j != i && desc_find(nodes[j].desc, p->name))
				return err_set(err, -EEXIST,
					       "service %s: protocol %s is provided by service %s already",
					       nodes[i].desc->name, p->name, nodes[j].desc->name);
	return 0;
}

static int check_needs(const struct graph_node *nodes, size_t n, size_t i, struct errline *err)
{
	const struct nexus_service_desc *d = nodes[i].desc;
	const struct nexus_protocol *p;
	const struct nexus_need *need;
	size_t j;

	for (need = d->needs; need && need->name; need++) {
		j = provider(nodes, n, need->name);
		if (j == n)
			return err_set(err, -ENOENT,
				       "service %s needs protocol %s, which no loaded service provides",
				       d->name, need->name);
		p = desc_find(nodes[j].desc, need->name);
		if (p->version < need->min_version)
			return err_set(err, -ENOENT,
				       "service %s needs protocol %s in version %u; service %s provides version %u",
				       d->name, need->name, need->min_version, nodes[j].desc->name,
				       p->version);
	}
	return 0;
}

struct walk {
	struct graph_node *nodes;
	size_t n;
	size_t *path, depth;		/* nodes that are open */
	size_t *out, done;
	struct errline *err;
};

static int report_cycle(const struct walk *w, size_t i)
{
	char names[400];
	size_t k, len = 0;

	for (k = 0; k < w->depth && w->path[k] != i; k++)
		;
	for (; k < w->depth && len < sizeof(names); k++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s -> ",
					w->nodes[w->path[k]].desc->name);
	if (len >= sizeof(names))
		len = sizeof(names) - 1;
	names[len] = '\0';
	return err_set(w->err, -ELOOP, "services need each other: %s%s", names,
		       w->nodes[i].desc->name);
}

/* Depth is bounded by the number of services, SERVICES_MAX. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int visit(struct walk *w, size_t i)
{
	const struct nexus_need *need;
	size_t j;
	int ret;

	if (w->nodes[i].mark == MARK_DONE)
		return 0;
	if (w->nodes[i].mark == MARK_OPEN)
		return report_cycle(w, i);
	w->nodes[i].mark = MARK_OPEN;
	w->path[w->depth++] = i;
	for (need = w->nodes[i].desc ? w->nodes[i].desc->needs : NULL; need && need->name; need++) {
		j = provider(w->nodes, w->n, need->name);
		ret = j < w->n ? visit(w, j) : 0;
		if (ret)
			return ret;
	}
	w->depth--;
	w->nodes[i].mark = MARK_DONE;
	w->out[w->done++] = i;
	return 0;
}

static int sort(struct graph_node *nodes, size_t n, struct errline *err)
{
	struct graph_node *copy = calloc(n, sizeof(*copy));
	size_t *room = calloc(2 * n, sizeof(*room));
	struct walk w = { .nodes = nodes, .n = n, .path = room, .out = room + n, .err = err };
	int ret = copy && room ? 0 : -ENOMEM;
	size_t i;

	for (i = 0; i < n; i++)
		nodes[i].mark = MARK_NEW;
	for (i = 0; i < n && !ret; i++)
		ret = visit(&w, i);
	if (!ret) {
		for (i = 0; i < n; i++)
			copy[i] = nodes[w.out[i]];
		memcpy(nodes, copy, n * sizeof(*copy));
	}
	free(copy);
	free(room);
	return ret;
}

int graph_order(struct graph_node *nodes, size_t n, struct errline *err)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++) {
		if (!nodes[i].check)
			continue;
		ret = check_provides(nodes, n, i, err);
		if (!ret)
			ret = check_needs(nodes, n, i, err);
	}
	return ret || !n ? ret : sort(nodes, n, err);
}

int graph_replaces(const struct nexus_service_desc *old, const struct nexus_service_desc *new_desc,
		   struct errline *err)
{
	const struct nexus_protocol *p, *q;

	for (p = old->provides; p && p->name; p++) {
		q = desc_find(new_desc, p->name);
		if (!q)
			return err_set(err, -EPROTO,
				       "service %s %s does not provide protocol %s any more, which %s does",
				       new_desc->name, new_desc->version, p->name, old->version);
		if (q->version < p->version)
			return err_set(err, -EPROTO,
				       "service %s %s provides protocol %s in version %u, %s in version %u",
				       new_desc->name, new_desc->version, p->name, q->version,
				       old->version, p->version);
	}
	return 0;
}
