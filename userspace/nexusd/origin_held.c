// SPDX-License-Identifier: Apache-2.0
/*
 * Content that is with the store once: a pack that is sealed and an object there is named in
 * the stream, and its blocks are not in it.
 *
 * Only what a record of the same stretch seals: then the end of the stretch is a zone that has
 * it sealed, as the object is.  The index has it still, so if it dies, that is after the last
 * checkpoint was begun, and its object stays until no checkpoint of the manifest has this
 * stretch behind it (origin_forget()).
 *
 * An open pack with much of the stretch in it is sealed for that: else its blocks would go
 * with the stretch now, and once more with the pack when it is full.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lib/record.h"
#include "chan.h"
#include "origin.h"
#include "space.h"
#include "upload.h"

/* Who waits for an fsync waits for a pack of which the stretch has that many, not for less. */
#define WORTH_WAITING(blocks)	((blocks) / 2)
/*
 * A pack is sealed early with that much in it, which bounds how many more packs there are.  The
 * rest of its file goes back to the disk as what is dead in a pack does (space.c).
 */
#define WORTH_SEALING(blocks)	((blocks) / 4)
#define SEAL_MS			3000	/* for the kernel to end the writes to it, and to flush */
#define SEAL_ROOM_MS		500	/* for the helper to make a pack that is needed beside it */
#define SEAL_LOOK_MS		20

static struct held_pack *find(const struct taking *t, u64 pack, size_t *place)
{
	size_t lo = 0, hi = t->nheld;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->held[mid].pack < pack)
			lo = mid + 1;
		else
			hi = mid;
	}
	*place = lo;
	return lo < t->nheld && t->held[lo].pack == pack ? &t->held[lo] : NULL;
}

bool taking_names(const struct taking *t, u64 pack)
{
	size_t place;
	const struct held_pack *h = t->naming ? find(t, pack, &place) : NULL;

	return h && h->named;
}

/* The one of that number, made if it was not there.  NULL: no memory. */
static struct held_pack *get(struct taking *t, u64 pack)
{
	struct held_pack *h, *more;
	size_t place, i;

	h = find(t, pack, &place);
	if (h)
		return h;
	if (t->nheld % 64 == 0) {
		more = realloc(t->held, (t->nheld + 64) * sizeof(*more));
		if (!more)
			return NULL;
		t->held = more;
	}
	for (i = t->nheld++; i > place; i--)
		t->held[i] = t->held[i - 1];
	t->held[place] = (struct held_pack){ .pack = pack };
	return &t->held[place];
}

static int note_lines(struct taking *t, u64 pack, u32 n)
{
	struct held_pack *h = pack ? get(t, pack) : NULL;

	if (h)
		h->lines += n;
	return !pack || h ? 0 : -ENOMEM;
}

static int note_seal(struct taking *t, const struct nexus_rec_pack *rec)
{
	struct held_pack *h;

	if (le32_to_cpu(rec->state) != NEXUS_PACK_SEALED)
		return 0;
	h = get(t, le64_to_cpu(rec->pack));
	if (!h)
		return -ENOMEM;
	h->sealed = true;
	h->used = le32_to_cpu(rec->used);
	return 0;
}

static int note_record(struct taking *t, const struct nexus_rec_head *rec)
{
	const struct nexus_rec_extent *ext = (const void *)rec;
	const struct nexus_rec_truncate *tr = (const void *)rec;
	const struct nexus_rec_move *mv = (const void *)rec;

	switch (le16_to_cpu(rec->type)) {
	case NEXUS_REC_EXTENT:
		return note_lines(t, le64_to_cpu(ext->pack), le32_to_cpu(ext->nblocks));
	case NEXUS_REC_TRUNCATE:
		return note_lines(t, le64_to_cpu(tr->tail_pack), 1);
	case NEXUS_REC_MOVE:
		return note_lines(t, le64_to_cpu(mv->to_pack), le32_to_cpu(mv->nblocks));
	case NEXUS_REC_PACK:
		return note_seal(t, (const void *)rec);
	default:
		return 0;
	}
}

static int note_batch(struct taking *t, const struct seg_batch *b)
{
	size_t off = 0;
	int ret = 0;

	while (!ret && off < b->length) {
		const struct nexus_rec_head *rec = (const void *)(b->records + off);

		if (nexus_rec_check(rec, b->length - off))
			return -EUCLEAN;
		off += le32_to_cpu(rec->len);
		ret = note_record(t, rec);
	}
	return ret;
}

/* Where looking ahead has come to. */
struct ahead {
	struct seg_cursor c;
	u64 end;
};

static int look_ahead(struct taking *t, struct ahead *a, u64 target)
{
	struct seg_batch b;
	int ret = 0;

	while (!ret && a->end < target) {
		ret = seg_cursor_next(&a->c, &b);
		if (ret != 1)
			return ret ? ret : -ESTALE;
		ret = 0;
		if (b.end <= a->end)
			continue;
		ret = note_batch(t, &b);
		a->end = b.end;
	}
	return ret;
}

/* ---- open ones ------------------------------------------------------------------- */

/* True: it is on the way, or, with @again, the kernel is to be asked once more. */
static bool ask_to_seal(struct taking *t, struct held_pack *h, bool again)
{
	struct nexus_pack_use u = { .zone = t->z->id, .pack = h->pack };
	int ret;

	if (h->sealed || h->lines < WORTH_SEALING(super_pack_blocks(&t->z->sb)))
		return false;
	ret = h->asked ? 0 : chan_ioctl(t->z->chan, NEXUS_IOC_PACK_SEAL, &u);
	h->asked = !ret;
	return !ret || (ret == -EAGAIN && again);
}

/* What is worth it; how many there are that were not seen to be sealed. */
static unsigned int seal_some(struct taking *t, bool again)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < t->nheld; i++)
		n += ask_to_seal(t, &t->held[i], again);
	return n;
}

/* Who seals them writes a record, which is waited for for a while; *@target is behind it. */
static int seal_open(struct taking *t, struct ahead *a, u64 *target)
{
	const struct timespec look = { 0, SEAL_LOOK_MS * 1000000L };
	u64 begun = space_clock(), ns = 0;
	int ret = 0;

	while (!ret && seal_some(t, ns < SEAL_ROOM_MS * 1000000ull) &&
	       ns < SEAL_MS * 1000000ull && !atomic_load(&t->z->origin->stop)) {
		nanosleep(&look, NULL);
		ns = space_clock() - begun;
		/* Until then it is not known here, either, and would not be put. */
		if (memtable_applied(&t->z->mt) < zone_durable(t->z))
			continue;
		*target = NEXUS_MAX(*target, zone_durable(t->z));
		ret = seglog_scan(&t->log);
		if (!ret)
			ret = look_ahead(t, a, *target);
	}
	return ret;
}

/* ---- sealed ones ------------------------------------------------------------------ */

/* Those that are worth it are put. */
static int put_first(struct taking *t)
{
	bool awaited = origin_awaited(t->z->origin);
	u64 *pack = calloc(t->nheld + 1, sizeof(*pack));
	size_t i, n = 0;

	if (!pack)
		return -ENOMEM;
	for (i = 0; i < t->nheld; i++) {
		const struct held_pack *h = &t->held[i];

		if (h->sealed && h->lines >= (awaited ? WORTH_WAITING(h->used) : 1) &&
		    !taking_open(t, h->pack) &&
		    !zone_upload_held(t->z, h->pack))
			pack[n++] = h->pack;
	}
	zone_upload_first(t->z, pack, n);
	free(pack);
	return 0;
}

/* 1: it is with the store, and stays there; 0; or an error. */
static int is_lasting(struct zone *z, u64 pack)
{
	struct nexus_pack_val val;
	int ret = zone_upload_held(z, pack) ? survey_knows(&z->mt, pack, &val) : 0;

	return ret > 0 ? le32_to_cpu(val.state) == NEXUS_PACK_SEALED : ret;
}

int take_held(struct taking *t, const struct seg_cursor *c, u64 *target)
{
	struct ahead a = { .c = *c, .end = t->end };
	size_t i;
	int ret;

	if (!t->z->upload)
		return 0;
	ret = look_ahead(t, &a, *target);
	if (!ret)
		ret = seal_open(t, &a, target);
	if (!ret && t->nheld)
		ret = put_first(t);
	for (i = 0; !ret && i < t->nheld; i++) {
		struct held_pack *h = &t->held[i];

		/* What the index has open has to be taken from here in any case. */
		if (!h->sealed || taking_open(t, h->pack))
			continue;
		ret = is_lasting(t->z, h->pack);
		if (ret <= 0)
			continue;
		h->named = true;
		t->naming = true;
		origin_stream_item(&t->out, NEXUS_ITEM_PACK, h->pack, 0, NULL, 0, NULL, 0);
		ret = t->out.ret;
	}
	return ret;
}
