// SPDX-License-Identifier: Apache-2.0
#include "eval_impl.h"

#define FIRST_ROOM	64u

static u64 mix(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

int memory_init(struct memory *m)
{
	memset(m, 0, sizeof(*m));
	m->room = m->page_room = FIRST_ROOM;
	m->memos = calloc(m->room, sizeof(*m->memos));
	m->pages = calloc(m->page_room, sizeof(*m->pages));
	if (m->memos && m->pages)
		return 0;
	memory_free(m);
	return -ENOMEM;
}

void memory_free(struct memory *m)
{
	free(m->memos);
	free(m->pages);
	free(m->rows);
	free(m->provisional);
	memset(m, 0, sizeof(*m));
}

/* No relation has the symbol 0, so such a place is free. */
static u32 memo_place(const struct memo *memos, u32 room, u64 node, u32 rel)
{
	u32 i = (u32)mix(node ^ (u64)rel << 48) & (room - 1);

	while (memos[i].rel && (memos[i].node != node || memos[i].rel != rel))
		i = (i + 1) & (room - 1);
	return i;
}

/* Provisional ones are named by their place. */
static int grow_memos(struct memory *m)
{
	struct memo *memos = calloc((size_t)m->room * 2, sizeof(*memos));
	u32 i, to;

	if (!memos)
		return -ENOMEM;
	for (i = 0; i < m->room; i++) {
		if (!m->memos[i].rel)
			continue;
		to = memo_place(memos, m->room * 2, m->memos[i].node, m->memos[i].rel);
		memos[to] = m->memos[i];
	}
	for (i = 0; i < m->prov_n; i++) {
		const struct memo *old = &m->memos[m->provisional[i]];

		m->provisional[i] = memo_place(memos, m->room * 2, old->node, old->rel);
	}
	free(m->memos);
	m->memos = memos;
	m->room *= 2;
	return 0;
}

int memory_memo(struct memory *m, u64 node, u32 rel)
{
	struct memo *memo;
	u32 place;

	if (m->used * 2 >= m->room && grow_memos(m))
		return -ENOMEM;
	place = memo_place(m->memos, m->room, node, rel);
	memo = &m->memos[place];
	if (!memo->rel) {
		memo->node = node;
		memo->rel = rel;
		m->used++;
	}
	return (int)place;
}

const struct memo *memory_find(const struct memory *m, u64 node, u32 rel)
{
	const struct memo *memo = &m->memos[memo_place(m->memos, m->room, node, rel)];

	return memo->rel ? memo : NULL;
}

static int grow(void **array, u32 *room, u32 need, size_t size)
{
	u32 more = *room ? *room : FIRST_ROOM;
	void *p;

	while (more < need)
		more *= 2;
	if (more == *room)
		return 0;
	p = realloc(*array, more * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*room = more;
	return 0;
}

int memory_provisional(struct memory *m, u32 place)
{
	if (grow((void **)&m->provisional, &m->prov_room, m->prov_n + 1, sizeof(*m->provisional)))
		return -ENOMEM;
	m->provisional[m->prov_n++] = place;
	return 0;
}

static u32 page_place(const struct page *pages, u32 room, u64 node)
{
	u32 i = (u32)mix(node) & (room - 1);

	while (pages[i].used && pages[i].node != node)
		i = (i + 1) & (room - 1);
	return i;
}

static int grow_pages(struct memory *m)
{
	struct page *pages = calloc((size_t)m->page_room * 2, sizeof(*pages));
	u32 i;

	if (!pages)
		return -ENOMEM;
	for (i = 0; i < m->page_room; i++)
		if (m->pages[i].used)
			pages[page_place(pages, m->page_room * 2, m->pages[i].node)] = m->pages[i];
	free(m->pages);
	m->pages = pages;
	m->page_room *= 2;
	return 0;
}

struct page *memory_page(struct memory *m, u64 node)
{
	if (m->page_used * 2 >= m->page_room && grow_pages(m))
		return NULL;
	return &m->pages[page_place(m->pages, m->page_room, node)];
}

int memory_rows(struct memory *m, struct page *p, const struct rebac_row *rows, u32 n)
{
	if (grow((void **)&m->rows, &m->row_room, m->row_used + n, sizeof(*m->rows)))
		return -ENOMEM;
	if (n)
		memcpy(m->rows + m->row_used, rows, n * sizeof(*rows));
	p->first = m->row_used;
	p->n = n;
	m->row_used += n;
	return 0;
}
