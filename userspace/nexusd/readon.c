// SPDX-License-Identifier: Apache-2.0
#include "readon.h"

#define FIRST_WINDOW	(4 * READON_PIECE)

static u64 to_pieces(u64 blocks)
{
	return (blocks + READON_PIECE - 1) / READON_PIECE * READON_PIECE;
}

/* The one who is there by now: between what he asked for last and the end of what is fetched. */
static struct readon_stream *find(struct readon *ro, const struct readon_ask *ask)
{
	unsigned int i;

	for (i = 0; i < READON_STREAMS; i++) {
		struct readon_stream *s = &ro->stream[i];

		if (s->used && s->id == ask->id && ask->at >= s->at && ask->at <= s->end)
			return s;
	}
	return NULL;
}

/* The last one for whom all was fetched up to an end. */
static struct readon_stream *find_ended(struct readon *ro)
{
	struct readon_stream *best = NULL;
	unsigned int i;

	for (i = 0; i < READON_STREAMS; i++) {
		struct readon_stream *s = &ro->stream[i];

		if (s->window && s->trip == READON_NONE && (!best || s->used > best->used))
			best = s;
	}
	return best;
}

static struct readon_stream *find_oldest(struct readon *ro)
{
	struct readon_stream *best = &ro->stream[0];
	unsigned int i;

	for (i = 1; i < READON_STREAMS; i++)
		if (ro->stream[i].used < best->used)
			best = &ro->stream[i];
	return best;
}

/* How far it is fetched for @s, who has asked for more than was; *@trip within. */
static u64 go_on(struct readon_stream *s, const struct readon_ask *ask, u64 *trip)
{
	u64 to, half, room = NEXUS_MIN(ask->room / READON_PIECE * READON_PIECE, to_pieces(ask->size));

	s->window = s->window ? 2 * s->window : FIRST_WINDOW;
	s->window = NEXUS_MIN(s->window, to_pieces(ask->most));
	to = NEXUS_MIN(ask->end + s->window, s->end + room);
	*trip = READON_NONE;
	if (to >= ask->size)
		return ask->size;
	if (to > s->end) {
		half = NEXUS_MIN(s->window / 2, to);
		*trip = NEXUS_MAX((to - half) / READON_PIECE * READON_PIECE, to_pieces(s->end));
	}
	return to;
}

bool readon_next(struct readon *ro, const struct readon_ask *ask, struct readon_ahead *ahead)
{
	struct readon_stream *s = find(ro, ask);
	bool more;

	if (!s && ask->chained && ask->at < READON_PIECE) {
		s = find_ended(ro);
		if (s)
			s->end = 0;
	}
	if (!s) {
		s = find_oldest(ro);
		*s = (struct readon_stream){
			.id = ask->id, .at = ask->at, .end = ask->end, .trip = READON_NONE,
			.used = ++ro->clock,
		};
		return false;
	}
	more = ask->end > s->end || ask->at >= s->trip;
	s->id = ask->id;
	s->at = ask->at;
	s->end = NEXUS_MAX(s->end, ask->end);
	s->used = ++ro->clock;
	if (!more || !ask->most)
		return false;
	ahead->from = s->end;
	ahead->to = go_on(s, ask, &ahead->trip);
	more = ahead->to > ahead->from;
	if (more)
		s->end = ahead->to;
	/* Else there was no room, and the next to ask tries again. */
	if (more || s->end >= ask->size)
		s->trip = ahead->trip;
	return more;
}
