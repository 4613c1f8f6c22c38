// SPDX-License-Identifier: Apache-2.0
/* What the checkpoints in a zone's manifest name, and whose the zone is: by the store. */
#include "gc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "origin_delta.h"

#define TRIES	3	/* the manifest may change while a checkpoint is read */

/* ---- sets -------------------------------------------------------------------------- */

static size_t slot_of(const struct gc_set *s, u64 id)
{
	size_t at = (size_t)((id * 0x9e3779b97f4a7c15ull) >> 20) & (s->cap - 1);

	while (s->slot[at] && s->slot[at] != id)
		at = (at + 1) & (s->cap - 1);
	return at;
}

static int set_grow(struct gc_set *s)
{
	struct gc_set more = { .cap = s->cap ? s->cap * 2 : 1024, .n = s->n };
	size_t i;

	more.slot = calloc(more.cap, sizeof(*more.slot));
	if (!more.slot)
		return -ENOMEM;
	for (i = 0; i < s->cap; i++)
		if (s->slot[i])
			more.slot[slot_of(&more, s->slot[i])] = s->slot[i];
	free(s->slot);
	*s = more;
	return 0;
}

int gc_set_add(struct gc_set *s, u64 id)
{
	size_t at;
	int ret = s->n * 2 >= s->cap ? set_grow(s) : 0;

	if (ret)
		return ret;
	at = slot_of(s, id);
	if (s->slot[at])
		return 0;
	s->slot[at] = id;
	s->n++;
	return 1;
}

bool gc_set_has(const struct gc_set *s, u64 id)
{
	return s->n && s->slot[slot_of(s, id)];
}

void gc_set_free(struct gc_set *s)
{
	free(s->slot);
	*s = (struct gc_set){ .slot = NULL };
}

/* ---- one checkpoint ----------------------------------------------------------------- */

static void checkpoint_free(struct gc_checkpoint *c)
{
	gc_set_free(&c->packs);
	gc_set_free(&c->sealed);
	*c = (struct gc_checkpoint){ .cp = { .parts = 0 } };
}

static int note_item(void *arg, const struct origin_stream_item *it)
{
	struct gc_checkpoint *c = arg;
	struct nexus_pack_val val;
	u64 pack;
	int ret;

	if (it->type == NEXUS_ITEM_PACK) {
		ret = gc_set_add(&c->packs, it->arg);
		if (ret >= 0)
			ret = gc_set_add(&c->sealed, it->arg);
		return ret < 0 ? ret : 0;
	}
	if (it->type != NEXUS_ITEM_KEY || it->arg != 9 || it->data[0] != NEXUS_KEY_PACK)
		return 0;
	pack = nexus_get_be64(it->data + 1);
	if (!pack || it->len - it->arg < sizeof(val))
		return -EUCLEAN;
	memcpy(&val, it->data + it->arg, sizeof(val));
	ret = gc_set_add(&c->packs, pack);
	if (ret >= 0 && le32_to_cpu(val.state) == NEXUS_PACK_SEALED && val.live)
		ret = gc_set_add(&c->sealed, pack);
	return ret < 0 ? ret : 0;
}

static int checkpoint_read(struct gc_checkpoint *c, const struct origin_manifest *m, u32 i,
			   struct zone *z, struct errline *err)
{
	const struct origin_checkpoint *cp = &m->checkpoint[i];
	char folder[ORIGIN_FOLDER];
	FILE *spool;
	int ret = origin_chain_get(z->fetch->content, m, i, z->dir, &spool, err);

	if (!ret) {
		ret = origin_stream_each(spool, note_item, c);
		origin_checkpoint_folder(cp->epoch, cp->number, folder);
		if (ret)
			err_set(err, ret, "objects %s: %s", folder, strerror(-ret));
		fclose(spool);
	}
	c->cp = *cp;
	if (ret)
		checkpoint_free(c);
	return ret;
}

/* ---- the manifest -------------------------------------------------------------------- */

static int read_manifest(struct origin_manifest *m, struct zone *z, struct errline *err)
{
	u8 buf[ORIGIN_MANIFEST_BYTES + 1];
	struct content *c = z->fetch->content;
	ssize_t n = c->ops->get_named(c, ORIGIN_MANIFEST, 0, buf, sizeof(buf), NULL);
	int ret;

	memset(m, 0, sizeof(*m));
	/* A store that says so of what it had may say it of anything. */
	if (n == -ENOENT && atomic_load(&z->origin->manifested))
		return err_set(err, -EUCLEAN, "object " ORIGIN_MANIFEST ": it is gone; the next checkpoint makes another");
	if (n == -ENOENT)
		return 0;
	ret = n < 0 ? (int)n : origin_manifest_parse(buf, (size_t)n, m);
	if (ret)
		return err_set(err, ret, "object " ORIGIN_MANIFEST ": %s", ret == -EUCLEAN ?
			       "it is damaged; the next checkpoint makes another" : strerror(-ret));
	if (memcmp(m->zone, z->sb.uuid, sizeof(m->zone)))
		return err_set(err, -EXDEV, "object " ORIGIN_MANIFEST ": the content store is another zone's");
	if (m->epoch > atomic_load(&z->origin->epoch))
		return err_set(err, -ESTALE, "another owner: the manifest is of epoch %llu, this machine's is %llu",
			       m->epoch, atomic_load(&z->origin->epoch));
	return 0;
}

static bool same(const struct origin_checkpoint *a, const struct origin_checkpoint *b)
{
	return a->epoch == b->epoch && a->number == b->number && a->crc == b->crc &&
	       a->parts == b->parts && a->bytes == b->bytes;
}

/* @g becomes that of @m; what was read of it before stays. */
static int read_checkpoints(struct gc_named *g, const struct origin_manifest *m, struct zone *z,
			    struct errline *err)
{
	struct gc_named new = { .m = *m };
	u32 i, j;
	int ret = 0;

	for (i = 0; i < m->count; i++)
		for (j = 0; j < g->m.count; j++)
			if (g->at[j].cp.parts && same(&g->at[j].cp, &m->checkpoint[i])) {
				new.at[i] = g->at[j];
				g->at[j] = (struct gc_checkpoint){ .cp = { .parts = 0 } };
			}
	gc_named_free(g);
	for (i = 0; !ret && i < m->count; i++)
		if (!new.at[i].cp.parts)
			ret = checkpoint_read(&new.at[i], m, i, z, err);
	*g = new;
	return ret;
}

int gc_named_read(struct gc_named *g, struct zone *z, struct errline *err)
{
	struct origin_manifest m;
	int i, ret = -ENOENT;

	/* A store without named objects has no checkpoints. */
	if (!z->origin)
		return 0;
	/* The older checkpoint may just have gone, with a newer manifest. */
	for (i = 0; ret == -ENOENT && i < TRIES; i++) {
		ret = read_manifest(&m, z, err);
		if (!ret)
			ret = read_checkpoints(g, &m, z, err);
	}
	return ret;
}

void gc_named_free(struct gc_named *g)
{
	size_t i;

	for (i = 0; i < NEXUS_MANIFEST_MAX; i++)
		checkpoint_free(&g->at[i]);
	memset(&g->m, 0, sizeof(g->m));
}

bool gc_named_pack(const struct gc_named *g, u64 pack, u64 epoch)
{
	u32 i;

	for (i = 0; i < g->m.count; i++)
		if (gc_set_has(&g->at[i].packs, pack) || g->m.checkpoint[i].epoch != epoch)
			return true;
	return false;
}

int gc_owner_check(struct zone *z, struct errline *err)
{
	u8 buf[sizeof(struct nexus_origin_owner) + 1];
	struct content *c = z->fetch->content;
	struct origin_owner o;
	ssize_t n;
	int ret;

	if (!origin_owns(z))
		return err_set(err, -ESTALE, "another owner: this machine does not own the zone any more");
	if (!z->origin)
		return 0;
	n = c->ops->get_named(c, ORIGIN_OWNER, 0, buf, sizeof(buf), NULL);
	ret = n < 0 ? (int)n : origin_owner_parse(buf, (size_t)n, &o);
	if (ret)
		return err_set(err, ret, "object " ORIGIN_OWNER ": %s", ret == -EUCLEAN ?
			       "it is damaged" : strerror(-ret));
	if (o.state != NEXUS_OWNER_HELD || o.epoch != atomic_load(&z->origin->epoch) ||
	    memcmp(o.token, z->origin->owner.token, sizeof(o.token)))
		return err_set(err, -ESTALE, "another owner: %.64s (machine %.64s), epoch %llu", o.host,
			       o.machine, o.epoch);
	return 0;
}
