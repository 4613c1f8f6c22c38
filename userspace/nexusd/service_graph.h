/* SPDX-License-Identifier: Apache-2.0 */
/* Who needs whom, of services.  Pure: descriptors in, an order out. */
#ifndef NEXUSD_SERVICE_GRAPH_H
#define NEXUSD_SERVICE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include <nexus/service.h>

#include "log.h"

struct graph_node {
	const struct nexus_service_desc *desc;	/* NULL: provides and needs nothing */
	bool check;		/* its needs must be met, and its protocols be its own */
	void *data;		/* the caller's */
	int mark;		/* graph_order()'s */
};

/*
 * Puts nodes behind what they need, and otherwise leaves their order.  -ENOENT
 * a need is not met, -EEXIST a protocol has another provider, -ELOOP a cycle;
 * the line says which.  The order is then as it was.
 */
int graph_order(struct graph_node *nodes, size_t n, struct errline *err);

/* Whether a service with this descriptor can serve in place of the other. */
int graph_replaces(const struct nexus_service_desc *old, const struct nexus_service_desc *new_desc,
		   struct errline *err);

/* Its protocol of this name, or NULL. */
const struct nexus_protocol *desc_find(const struct nexus_service_desc *d, const char *protocol);

#endif /* NEXUSD_SERVICE_GRAPH_H */
