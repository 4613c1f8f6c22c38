// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of rings.  Each ring counts what it does anyway; here that is added up, so
 * sending and receiving take no part in it.
 */
#include <linux/list.h>
#include <linux/mutex.h>

#include "ring.h"

/* Rings that have memory; held while what one of them did moves to the module's counters. */
static DEFINE_MUTEX(nexus_rings_lock);
static LIST_HEAD(nexus_rings);

static u64 nexus_ring_did(const struct nexus_ring *ring, enum nexus_counter c)
{
	switch (c) {
	case NEXUS_C_ring_sent:
		return READ_ONCE(ring->send.count);
	case NEXUS_C_ring_sent_bytes:
		return READ_ONCE(ring->send.bytes);
	case NEXUS_C_ring_received:
		return READ_ONCE(ring->recv.count);
	case NEXUS_C_ring_received_bytes:
		return READ_ONCE(ring->recv.bytes);
	case NEXUS_C_ring_full:
		return READ_ONCE(ring->send.waits);
	case NEXUS_C_ring_empty:
		return READ_ONCE(ring->recv.waits);
	default:
		return 0;
	}
}

void nexus_ring_count_begin(struct nexus_ring *ring)
{
	mutex_lock(&nexus_rings_lock);
	nexus_count(rings);
	list_add(&ring->list, &nexus_rings);
	mutex_unlock(&nexus_rings_lock);
}

void nexus_ring_count_end(struct nexus_ring *ring)
{
	enum nexus_counter c;

	mutex_lock(&nexus_rings_lock);
	for (c = NEXUS_C_rings; c <= NEXUS_C_ring_empty; c++)
		nexus_count_add(c, nexus_ring_did(ring, c));
	nexus_count(rings_freed);
	list_del(&ring->list);
	mutex_unlock(&nexus_rings_lock);
}

u64 nexus_rings_count(enum nexus_counter c, u64 (*gone)(enum nexus_counter c))
{
	struct nexus_ring *ring;
	u64 sum;

	mutex_lock(&nexus_rings_lock);
	sum = gone(c);
	list_for_each_entry(ring, &nexus_rings, list)
		sum += nexus_ring_did(ring, c);
	mutex_unlock(&nexus_rings_lock);
	return sum;
}
