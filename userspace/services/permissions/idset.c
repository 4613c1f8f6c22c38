// SPDX-License-Identifier: Apache-2.0
#include "idset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BITS_BYTES	(65536u / 8)
#define FIRST_LIST	4u

/* Place of the first chunk that is not below @high. */
static u32 chunk_place(const struct idset *s, u32 high)
{
	u32 low = 0, end = s->n, mid;

	while (low < end) {
		mid = low + (end - low) / 2;
		if (s->chunks[mid].high < high)
			low = mid + 1;
		else
			end = mid;
	}
	return low;
}

static u32 list_place(const struct idset_chunk *c, u32 value)
{
	u32 low = 0, end = c->n, mid;

	while (low < end) {
		mid = low + (end - low) / 2;
		if (c->list[mid] < value)
			low = mid + 1;
		else
			end = mid;
	}
	return low;
}

static bool chunk_has(const struct idset_chunk *c, u32 value)
{
	u32 i;

	if (!c->room)
		return c->bits[value / 64] >> value % 64 & 1;
	i = list_place(c, value);
	return i < c->n && c->list[i] == value;
}

bool idset_has(const struct idset *s, u32 id)
{
	u32 i = chunk_place(s, id >> 16);

	return i < s->n && s->chunks[i].high == id >> 16 && chunk_has(&s->chunks[i], id & 0xffff);
}

static int make_bits(struct idset *s, struct idset_chunk *c)
{
	u64 *bits = calloc(1, BITS_BYTES);
	u32 i;

	if (!bits)
		return -ENOMEM;
	for (i = 0; i < c->n; i++)
		bits[c->list[i] / 64] |= 1ull << c->list[i] % 64;
	s->bytes += BITS_BYTES - c->room * sizeof(*c->list);
	free(c->list);
	c->bits = bits;
	c->room = 0;
	return 0;
}

static int grow_list(struct idset *s, struct idset_chunk *c)
{
	u16 *list = realloc(c->list, 2 * (size_t)c->room * sizeof(*list));

	if (!list)
		return -ENOMEM;
	s->bytes += c->room * sizeof(*list);
	c->list = list;
	c->room *= 2;
	return 0;
}

static int chunk_add(struct idset *s, struct idset_chunk *c, u32 value)
{
	u32 i;
	int ret;

	if (chunk_has(c, value))
		return 0;
	if (c->room && c->n == c->room) {
		ret = c->n == IDSET_LIST ? make_bits(s, c) : grow_list(s, c);
		if (ret)
			return ret;
	}
	if (c->room) {
		i = list_place(c, value);
		memmove(c->list + i + 1, c->list + i, (c->n - i) * sizeof(*c->list));
		c->list[i] = (u16)value;
	} else {
		c->bits[value / 64] |= 1ull << value % 64;
	}
	c->n++;
	return 0;
}

static int add_chunk(struct idset *s, u32 place, u32 high)
{
	struct idset_chunk *c;
	u32 room = s->room ? 2 * s->room : 1;
	u16 *list;

	if (s->n == s->room) {
		c = realloc(s->chunks, room * sizeof(*c));
		if (!c)
			return -ENOMEM;
		s->bytes += (room - s->room) * sizeof(*c);
		s->chunks = c;
		s->room = room;
	}
	list = malloc(FIRST_LIST * sizeof(*list));
	if (!list)
		return -ENOMEM;
	s->bytes += FIRST_LIST * sizeof(*list);
	c = s->chunks + place;
	memmove(c + 1, c, (s->n - place) * sizeof(*c));
	*c = (struct idset_chunk){ .high = (u16)high, .room = FIRST_LIST, .list = list };
	s->n++;
	return 0;
}

int idset_add(struct idset *s, u32 id)
{
	u32 i = chunk_place(s, id >> 16);
	int ret = 0;

	if (i == s->n || s->chunks[i].high != id >> 16)
		ret = add_chunk(s, i, id >> 16);
	return ret ? ret : chunk_add(s, &s->chunks[i], id & 0xffff);
}

/* The smallest one that is @from or above, or 65536. */
static u32 chunk_next(const struct idset_chunk *c, u32 from)
{
	u64 word;
	u32 i;

	if (c->room) {
		i = list_place(c, from);
		return i < c->n ? c->list[i] : 65536;
	}
	for (i = from / 64; i < BITS_BYTES / 8; i++) {
		word = c->bits[i] & (i == from / 64 ? ~0ull << from % 64 : ~0ull);
		if (word)
			return i * 64 + (u32)__builtin_ctzll(word);
	}
	return 65536;
}

bool idset_next(const struct idset *s, u32 from, u32 *id)
{
	u32 i, value;

	for (i = chunk_place(s, from >> 16); i < s->n; i++) {
		const struct idset_chunk *c = &s->chunks[i];

		value = chunk_next(c, c->high == from >> 16 ? from & 0xffff : 0);
		if (value < 65536) {
			*id = (u32)c->high << 16 | value;
			return true;
		}
	}
	return false;
}

void idset_free(struct idset *s)
{
	u32 i;

	/* A list or a bitmap: both are at the same place of the union. */
	for (i = 0; i < s->n; i++)
		free(s->chunks[i].list);
	free(s->chunks);
	memset(s, 0, sizeof(*s));
}
