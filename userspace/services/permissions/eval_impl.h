/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation remembers: answers, and tuples it has read. */
#ifndef PERMISSIONS_EVAL_IMPL_H
#define PERMISSIONS_EVAL_IMPL_H

#include "eval.h"

static inline u64 question_ns(const struct rebac_question *q)
{
	return q->clock ? q->clock(q->clock_arg) : nexus_now_ns();
}

/* A time in a tuple, behind @now or not: how long what was found out is so. */
static inline void rebac_span_narrow(s64 *from, s64 *until, s64 now, s64 expires)
{
	if (now >= expires && expires > *from)
		*from = expires;
	else if (now < expires && expires < *until)
		*until = expires;
}

#define PAGE_ROWS	32u	/* objects with no more tuples are read in one go */

enum memo_state {
	MEMO_NEW,		/* nothing is known */
	MEMO_OPEN,		/* being asked, at @depth */
	MEMO_PROVISIONAL,	/* no, while all of @taint are being asked */
	MEMO_DONE,
};

/*
 * A question asked: does the subject have @rel to @node.  @taint is a set of
 * depths: the open questions that this answer took for "no".
 */
struct memo {
	u64 node;
	u32 rel;
	u8 state;
	u8 depth;
	u8 value;
	u32 why;
	u64 taint;
};

/* The tuples of an object; @whole: all of them. */
struct page {
	u64 node;
	u32 first;
	u32 n;
	bool used;
	bool whole;
};

struct memory {
	struct memo *memos;	/* open addressing; a power of two */
	u32 room, used;
	struct page *pages;
	u32 page_room, page_used;
	struct rebac_row *rows;
	u32 row_room, row_used;
	u32 *provisional;	/* places of memos */
	u32 prov_room, prov_n;
};

int memory_init(struct memory *m);
void memory_free(struct memory *m);
/* Place of the memo, made if it is not there, or -ENOMEM.  Places change when more are made. */
int memory_memo(struct memory *m, u64 node, u32 rel);
/* The memo, or NULL. */
const struct memo *memory_find(const struct memory *m, u64 node, u32 rel);
/* Those that are provisional move along.  -ENOMEM */
int memory_provisional(struct memory *m, u32 place);
/* The page of @node, to be filled when its @used is not set; NULL without memory. */
struct page *memory_page(struct memory *m, u64 node);
/* Keeps @n rows for a page. */
int memory_rows(struct memory *m, struct page *p, const struct rebac_row *rows, u32 n);

#endif /* PERMISSIONS_EVAL_IMPL_H */
