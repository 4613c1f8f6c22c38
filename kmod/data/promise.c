// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is promised to unwritten extents: a write into each of their blocks finds
 * room, whatever others took meanwhile.
 *
 * Packs to come are kept by the store for that: the helper is told how many
 * blocks (nexus_log_set_keep()), sets the space aside on the host without
 * writing it, and reports it (nexus_packs_set_kept()).  A pack made of it is one
 * less there and one more here.
 *
 * "promised" counts the unwritten blocks of all files.  A dirty folio over one
 * counts as reserved beside it until it is written, which uses up both.
 */
#include <linux/sched/signal.h>

#include "../log/log.h"
#include "data.h"

/* Blocks left of the open packs; lock held. */
static u64 nexus_packs_rest(const struct nexus_packs *packs)
{
	const struct nexus_pack *pack;
	u64 rest = 0;
	int i;

	for (i = 0; i < NEXUS_PACKS_KINDS; i++) {
		pack = packs->open[i];
		if (pack)
			rest += pack->blocks - pack->next;
	}
	return rest;
}

/*
 * The rest of the open packs is not counted on: unmounting, or a crash, ends them.
 * What is reserved goes there first.
 */
bool nexus_promises_hold(const struct nexus_packs *packs, u64 promise,
			 u64 reserve)
{
	u64 rest = nexus_packs_rest(packs);
	u64 spare = packs->free - rest;
	u64 over = packs->reserved + reserve;

	lockdep_assert_held(&packs->lock);
	over = over > rest ? over - rest : 0;
	return spare + packs->kept >=
	       packs->promised + promise + over +
	       min(NEXUS_PACKS_KEPT, packs->pack_blocks / 8);
}

u64 nexus_packs_keep(const struct nexus_packs *packs)
{
	u64 keep = packs->promised + packs->asked;

	/* What is kept back of all packs can only come from them, too. */
	return keep ? keep + NEXUS_PACKS_KEPT : 0;
}

enum nexus_promise { NEXUS_PROMISED, NEXUS_WAIT, NEXUS_REFUSED };

static enum nexus_promise nexus_try_promise(struct nexus_zone *zone, u64 n)
{
	struct nexus_packs *packs = zone->packs;
	enum nexus_promise result = NEXUS_WAIT;
	u64 keep;

	spin_lock(&packs->lock);
	keep = nexus_packs_keep(packs);
	if (nexus_promises_hold(packs, n, 0)) {
		packs->promised += n;
		result = NEXUS_PROMISED;
	} else if (packs->kept_for >= keep) {
		/* It was asked for as much, and this is all there is. */
		result = NEXUS_REFUSED;
	}
	spin_unlock(&packs->lock);
	return result;
}

/* Begins or ends waiting for @n blocks. */
static void nexus_packs_ask(struct nexus_zone *zone, s64 n)
{
	struct nexus_packs *packs = zone->packs;

	spin_lock(&packs->lock);
	packs->asked += n;
	/* What the store could not do before, it may now. */
	if (n > 0)
		packs->kept_for = 0;
	nexus_log_set_keep(zone, nexus_packs_keep(packs));
	spin_unlock(&packs->lock);
}

static int nexus_wait_promise(struct nexus_zone *zone, u64 n)
{
	struct nexus_packs *packs = zone->packs;
	enum nexus_promise result;
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		prepare_to_wait(&packs->wait, &wait, NEXUS_WAIT_STATE);
		result = nexus_try_promise(zone, n);
		if (result == NEXUS_PROMISED)
			break;
		err = nexus_zone_writable(zone);
		if (!err && result == NEXUS_REFUSED)
			err = -ENOSPC;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			break;
		nexus_log_set_flags(zone, NEXUS_LF_WANT_KEEP, 0);
		/* The helper may have come back and not looked. */
		if (!schedule_timeout(HZ))
			nexus_log_nudge(zone);
	}
	finish_wait(&packs->wait, &wait);
	return err;
}

int nexus_packs_promise(struct nexus_zone *zone, u64 n)
{
	int err;

	if (!n)
		return 0;
	nexus_packs_ask(zone, n);
	err = nexus_wait_promise(zone, n);
	nexus_packs_ask(zone, -(s64)n);
	return err;
}

void nexus_packs_promise_late(struct nexus_zone *zone, u64 n)
{
	struct nexus_packs *packs = zone->packs;

	if (!n)
		return;
	spin_lock(&packs->lock);
	packs->promised += n;
	nexus_log_set_keep(zone, nexus_packs_keep(packs));
	spin_unlock(&packs->lock);
}

void nexus_packs_unpromise(struct nexus_zone *zone, u64 n)
{
	struct nexus_packs *packs = zone->packs;

	if (!n || !packs)
		return;
	spin_lock(&packs->lock);
	/* What a store says of its files may be wrong. */
	packs->promised -= min(packs->promised, n);
	nexus_log_set_keep(zone, nexus_packs_keep(packs));
	spin_unlock(&packs->lock);
	if (wq_has_sleeper(&packs->wait))
		wake_up_all(&packs->wait);
}

void nexus_packs_set_kept(struct nexus_zone *zone, u64 kept, u64 kept_for)
{
	struct nexus_packs *packs = zone->packs;
	bool woken;

	if (!packs)
		return;
	spin_lock(&packs->lock);
	woken = kept != packs->kept || kept_for != packs->kept_for;
	packs->kept = kept;
	packs->kept_for = kept_for;
	spin_unlock(&packs->lock);
	if (!woken)
		return;
	/* Set again by whoever is not content. */
	nexus_log_set_flags(zone, 0, NEXUS_LF_WANT_KEEP);
	wake_up_all(&packs->wait);
}
