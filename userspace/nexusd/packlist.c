// SPDX-License-Identifier: Apache-2.0
/* Which packs there are: those of the index, and files it does not name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify.h"

#define BATCH	256u	/* records taken out of one view */

struct listing {
	struct pack_info *info;
	size_t n, cap;
	u64 after;
};

static int add(struct listing *l, const struct pack_info *p)
{
	if (p->pack <= l->after)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct pack_info *more = realloc(l->info, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->info = more;
		l->cap = cap;
	}
	l->info[l->n++] = *p;
	return 0;
}

/* Up to BATCH records from @key on; 1: there may be more. */
static int add_records(struct listing *l, struct zone *z, struct nexus_key *key)
{
	struct memview v;
	union {
		struct nexus_pack_val b;
		u64 raw[64];
	} val;
	u32 i;
	int ret = memview_begin(&v, &z->mt, NULL);

	if (ret)
		return ret;
	for (i = 0; i < BATCH; i++) {
		struct pack_info p = { .pack = 0 };

		ret = nexus_kv_seek(&v.kv, key->b, &key->len, &val, sizeof(val));
		if (ret < 0 || key->b[0] != NEXUS_KEY_PACK)
			break;
		if (key->len == 9 && ret >= (int)sizeof(val.b)) {
			p.pack = nexus_get_be64(key->b + 1);
			p.state = le32_to_cpu(val.b.state);
			p.used = le32_to_cpu(val.b.used);
			p.live = le32_to_cpu(val.b.live);
			p.hash_alg = val.b.hash_alg;
			memcpy(p.hash, val.b.hash, sizeof(p.hash));
			ret = add(l, &p);
			if (ret)
				break;
		}
		key->b[key->len++] = 0;
		ret = 1;
	}
	memview_end(&v);
	return ret < 0 && ret != -ENOENT ? ret : i == BATCH;
}

static int add_file(void *arg, u64 pack)
{
	const struct pack_info p = { .pack = pack };

	return add(arg, &p);
}

static int by_id(const void *a, const void *b)
{
	const struct pack_info *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	/* What the index says comes first. */
	return x->state < y->state ? 1 : x->state > y->state ? -1 : 0;
}

int pack_list(struct zone *z, u64 after, int (*fn)(void *arg, const struct pack_info *p),
	      void *arg)
{
	struct listing l = { .after = after };
	struct nexus_key key;
	size_t i;
	int fd, ret;

	nexus_key_pack(&key, after);
	while ((ret = add_records(&l, z, &key)) == 1)
		;
	if (!ret)
		ret = z->os->drv->list(z->os, add_file, &l);
	if (!ret && l.n)
		qsort(l.info, l.n, sizeof(*l.info), by_id);
	for (i = 0; i < l.n && !ret; i++) {
		struct pack_info *p = &l.info[i];

		if (i && p->pack == p[-1].pack)
			continue;
		fd = z->os->drv->open_pack(z->os, p->pack, false, &p->blocks);
		if (fd < 0)
			p->blocks = 0;
		else
			close(fd);
		ret = fn(arg, p);
	}
	free(l.info);
	return ret;
}
