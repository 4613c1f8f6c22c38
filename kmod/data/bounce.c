// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of ours for direct I/O.
 *
 * They come as folios of 64 KiB, where there are such, and single ones: the fewer
 * pieces a request to a disk has, the better.  Of both kinds some are kept when they
 * are free, for as long as nobody needs the memory.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "bounce.h"

#define NEXUS_BOUNCE_PAGES	8192	/* in all direct I/O, about */
#define NEXUS_BOUNCE_MIN	16	/* of one that finds them used up */
#define NEXUS_BOUNCE_KEPT	2048	/* free ones */
#define NEXUS_BOUNCE_ORDER	4
#define NEXUS_BOUNCE_ROW	BIT(NEXUS_BOUNCE_ORDER)

static atomic_t nexus_bounce_left = ATOMIC_INIT(NEXUS_BOUNCE_PAGES);

static DEFINE_SPINLOCK(nexus_bounce_lock);
static LIST_HEAD(nexus_bounce_rows);	/* free folios of NEXUS_BOUNCE_ORDER */
static LIST_HEAD(nexus_bounce_ones);	/* of one page */
static unsigned long nexus_bounce_kept;	/* pages in both */
static struct shrinker *nexus_bounce_shrinker;

static struct folio *nexus_bounce_reuse(unsigned int order)
{
	struct list_head *list = order ? &nexus_bounce_rows : &nexus_bounce_ones;
	struct folio *folio;

	spin_lock(&nexus_bounce_lock);
	folio = list_first_entry_or_null(list, struct folio, lru);
	if (folio) {
		list_del(&folio->lru);
		nexus_bounce_kept -= 1u << order;
	}
	spin_unlock(&nexus_bounce_lock);
	return folio;
}

static struct folio *nexus_bounce_folio(unsigned int order)
{
	struct folio *folio = nexus_bounce_reuse(order);

	if (folio)
		return folio;
	return folio_alloc(order ? GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN :
			   GFP_KERNEL, order);
}

static void nexus_bounce_put(struct folio *folio)
{
	unsigned int order = folio_order(folio);
	bool keep;

	spin_lock(&nexus_bounce_lock);
	keep = nexus_bounce_kept + (1u << order) <= NEXUS_BOUNCE_KEPT;
	if (keep) {
		/* What was used last is in the processor's caches. */
		list_add(&folio->lru, order ? &nexus_bounce_rows :
			 &nexus_bounce_ones);
		nexus_bounce_kept += 1u << order;
	}
	spin_unlock(&nexus_bounce_lock);
	if (!keep)
		folio_put(folio);
}

static bool nexus_bounce_add(struct nexus_bounce *b, unsigned int order)
{
	struct folio *folio = nexus_bounce_folio(order);
	u32 i;

	for (i = 0; folio && i < 1u << order; i++)
		b->pages[b->nr++] = folio_page(folio, i);
	return folio;
}

struct nexus_bounce *nexus_bounce_new(u32 n)
{
	int left = max(atomic_read(&nexus_bounce_left), NEXUS_BOUNCE_MIN);
	struct nexus_bounce *b;

	n = min_t(u32, n, left);
	b = kvmalloc(struct_size(b, pages, n), GFP_KERNEL);
	if (!b)
		return NULL;
	b->taken = n;
	b->nr = 0;
	atomic_sub(n, &nexus_bounce_left);
	while (b->nr + NEXUS_BOUNCE_ROW <= n &&
	       nexus_bounce_add(b, NEXUS_BOUNCE_ORDER))
		;
	while (b->nr < n && nexus_bounce_add(b, 0))
		;
	if (b->nr)
		return b;
	nexus_bounce_free(b);
	return NULL;
}

void nexus_bounce_free(struct nexus_bounce *b)
{
	struct folio *folio;
	u32 i, n;

	for (i = 0; i < b->nr; i += n) {
		folio = page_folio(b->pages[i]);
		n = folio_nr_pages(folio);
		nexus_bounce_put(folio);
	}
	atomic_add(b->taken, &nexus_bounce_left);
	kvfree(b);
}

/* ---- giving back ----------------------------------------------------------- */

static unsigned long nexus_bounce_count(struct shrinker *s,
					struct shrink_control *sc)
{
	return READ_ONCE(nexus_bounce_kept) ?: SHRINK_EMPTY;
}

static unsigned long nexus_bounce_scan(struct shrinker *s,
				       struct shrink_control *sc)
{
	unsigned long freed = 0;
	struct folio *folio;

	while (freed < sc->nr_to_scan) {
		folio = nexus_bounce_reuse(NEXUS_BOUNCE_ORDER) ?:
			nexus_bounce_reuse(0);
		if (!folio)
			break;
		freed += folio_nr_pages(folio);
		folio_put(folio);
	}
	return freed ?: SHRINK_STOP;
}

int nexus_bounce_init(void)
{
	nexus_bounce_shrinker = shrinker_alloc(0, "nexusfs-bounce");
	if (!nexus_bounce_shrinker)
		return -ENOMEM;
	nexus_bounce_shrinker->count_objects = nexus_bounce_count;
	nexus_bounce_shrinker->scan_objects = nexus_bounce_scan;
	shrinker_register(nexus_bounce_shrinker);
	return 0;
}

void nexus_bounce_exit(void)
{
	struct shrink_control sc = { .nr_to_scan = NEXUS_BOUNCE_KEPT };

	if (!nexus_bounce_shrinker)
		return;
	shrinker_free(nexus_bounce_shrinker);
	nexus_bounce_shrinker = NULL;
	nexus_bounce_scan(NULL, &sc);
}
