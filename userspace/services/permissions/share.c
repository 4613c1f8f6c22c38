// SPDX-License-Identifier: Apache-2.0
#include "share.h"

#include <pthread.h>
#include <stdatomic.h>

#include "seal.h"

#define FORMAT		1u	/* changes with all below */
#define HEAD		(1u + 8 + 8)		/* format and value, from, until */
#define TAG		8u
#define KEY_ANSWER	(1u + 8 + 8 + 8 + 4 + 4 + 4 + 4)
#define KEY_MAX		KEY_ANSWER
#define LIST_BYTES	(HEAD + 4u * SHARE_LIST_MAX + TAG)

_Static_assert(LIST_BYTES <= NEXUS_CACHE_VALUE_MAX, "a value");

/**
 * struct share - see share.h
 * @lock: of a switch
 * @how: enum nexus_permission_how
 */
struct share {
	struct nexus_cache *cache;
	void (*say)(void *arg, bool shared);
	void *arg;
	pthread_mutex_t lock;
	atomic_uint how;
	atomic_ullong since;
	atomic_ullong hits, misses, put, failed, refused;
};

/* ---- how it is -------------------------------------------------------- */

static u32 how_now(struct share *s)
{
	return nexus_cache_reach(s->cache) == NEXUS_CACHE_SHARED ? NEXUS_PERMISSION_SHARED :
		NEXUS_PERMISSION_CUT_OFF;
}

/* Is there a server?  The first who sees it otherwise says so. */
static bool there(struct share *s)
{
	u32 how = how_now(s);

	if (how == atomic_load(&s->how))
		return how == NEXUS_PERMISSION_SHARED;
	pthread_mutex_lock(&s->lock);
	how = how_now(s);
	if (how != atomic_load(&s->how)) {
		atomic_store(&s->since, (unsigned long long)time(NULL));
		atomic_store(&s->how, how);
		s->say(s->arg, how == NEXUS_PERMISSION_SHARED);
	}
	pthread_mutex_unlock(&s->lock);
	return how == NEXUS_PERMISSION_SHARED;
}

struct share *share_new(struct nexus_cache *cache, void (*say)(void *arg, bool shared), void *arg,
			int *ret)
{
	struct share *s;

	*ret = 0;
	if (nexus_cache_reach(cache) == NEXUS_CACHE_ALONE)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s) {
		*ret = -ENOMEM;
		return NULL;
	}
	s->cache = cache;
	s->say = say;
	s->arg = arg;
	atomic_init(&s->how, NEXUS_PERMISSION_ALONE);
	pthread_mutex_init(&s->lock, NULL);
	there(s);
	return s;
}

void share_free(struct share *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* So that a loss is met here, when nobody asks anything else. */
static void look(struct share *s)
{
	const struct nexus_cache_part part = NEXUS_CACHE_P("?", 1);
	const struct nexus_cache_key key = { &part, 1, false };
	uint64_t ms;

	if (there(s))
		(void)nexus_cache_ttl(s->cache, &key, &ms);
	there(s);
}

void share_state(struct share *s, struct nexus_permission_sharing *to)
{
	*to = (struct nexus_permission_sharing){ .how = NEXUS_PERMISSION_ALONE };
	if (!s)
		return;
	look(s);
	to->how = atomic_load(&s->how);
	to->since = atomic_load(&s->since);
	to->hits = atomic_load(&s->hits);
	to->misses = atomic_load(&s->misses);
	to->put = atomic_load(&s->put);
	to->failed = atomic_load(&s->failed);
	to->refused = atomic_load(&s->refused);
}

/* ---- bytes ------------------------------------------------------------ */

static u8 *put32(u8 *p, u32 v)
{
	__le32 le = cpu_to_le32(v);

	memcpy(p, &le, sizeof(le));
	return p + sizeof(le);
}

static u8 *put64(u8 *p, u64 v)
{
	__le64 le = cpu_to_le64(v);

	memcpy(p, &le, sizeof(le));
	return p + sizeof(le);
}

static u32 get32(const u8 *p)
{
	__le32 v;

	memcpy(&v, p, sizeof(v));
	return le32_to_cpu(v);
}

static u64 get64(const u8 *p)
{
	__le64 v;

	memcpy(&v, p, sizeof(v));
	return le64_to_cpu(v);
}

/* @number: of an object; REBAC_EVERY: the list of them. */
static void make_key(const struct cache_place *p, u32 number, u8 *key)
{
	*key = FORMAT;
	key = put64(put64(put64(key + 1, p->store), p->mark), p->subj);
	put32(put32(put32(put32(key, p->srel), p->type), p->rel), number);
}

/* Over key and value: two of the same value are not one. */
static u64 tag_of(const struct cache_place *p, const u8 *key, const u8 *value, size_t size)
{
	u8 both[KEY_MAX + HEAD + 8];

	/* A long value is sealed by itself, and that with its key. */
	memcpy(both, key, KEY_MAX);
	if (size <= HEAD) {
		memcpy(both + KEY_MAX, value, size);
		return seal(p->secret, both, KEY_MAX + size);
	}
	put64(both + KEY_MAX, (u64)size);
	put64(both + KEY_MAX + 8, seal(p->secret, value, size));
	return seal(p->secret, both, KEY_MAX + 16);
}

/* ---- the store -------------------------------------------------------- */

static struct nexus_cache_key key_of(const u8 *key, struct nexus_cache_part *part)
{
	*part = (struct nexus_cache_part)NEXUS_CACHE_P(key, KEY_MAX);
	return (struct nexus_cache_key){ part, 1, false };
}

/* What is there and was put by one of ours, for free(3), without its tag; or NULL. */
static u8 *fetch(struct share *s, const struct cache_place *p, u32 number, size_t *size)
{
	struct nexus_cache_part part;
	u8 key[KEY_MAX];
	void *data = NULL;
	struct nexus_cache_key k;

	make_key(p, number, key);
	k = key_of(key, &part);
	if (nexus_cache_get(s->cache, &k, &data, size))
		return NULL;
	if (*size >= HEAD + TAG && *size <= LIST_BYTES &&
	    tag_of(p, key, data, *size - TAG) == get64((u8 *)data + *size - TAG)) {
		*size -= TAG;
		return data;
	}
	atomic_fetch_add(&s->refused, 1);
	free(data);
	return NULL;
}

/* @data has room for a tag behind @size. */
static void store(struct share *s, const struct cache_place *p, u32 number, u8 *data, size_t size,
		  u64 ttl)
{
	struct nexus_cache_part part;
	struct nexus_cache_key k;
	u8 key[KEY_MAX];

	make_key(p, number, key);
	k = key_of(key, &part);
	put64(data + size, tag_of(p, key, data, size));
	atomic_fetch_add(nexus_cache_set(s->cache, &k, data, size + TAG, ttl) ? &s->failed : &s->put, 1);
}

static void put_head(u8 *data, bool yes, s64 from, s64 until)
{
	data[0] = yes;
	put64(put64(data + 1, (u64)from), (u64)until);
}

static bool good(const u8 *data, s64 now, s64 *from, s64 *until)
{
	*from = (s64)get64(data + 1);
	*until = (s64)get64(data + 9);
	return *from <= now && now < *until;
}

/* No longer than it is true. */
static u64 ttl_of(u64 most, s64 now, s64 until)
{
	return until - now < (s64)most ? (u64)(until - now) : most;
}

/* ---- answers ---------------------------------------------------------- */

bool share_find(struct share *s, const struct cache_place *p, u32 number, s64 now,
		struct rebac_answer *a)
{
	s64 from, until;
	size_t size;
	u8 *data;
	bool ok;

	if (!s || !there(s))
		return false;
	data = fetch(s, p, number, &size);
	ok = data && size == HEAD && good(data, now, &from, &until);
	if (ok)
		*a = (struct rebac_answer){
			.value = data[0] ? REBAC_YES : REBAC_NO, .valid_from = from,
			.valid_until = until,
		};
	atomic_fetch_add(ok ? &s->hits : &s->misses, 1);
	free(data);
	return ok;
}

void share_put(struct share *s, const struct cache_place *p, u32 number, s64 now,
	       const struct rebac_answer *a)
{
	bool yes = a->value == REBAC_YES;
	u8 data[HEAD + TAG];

	if (!s || a->value == REBAC_UNKNOWN || a->contextual || a->valid_until <= now || !there(s))
		return;
	put_head(data, yes, a->valid_from, a->valid_until);
	store(s, p, number, data, HEAD, ttl_of(yes ? SHARE_YES_MS : SHARE_NO_MS, now, a->valid_until));
}

/* ---- lists ------------------------------------------------------------ */

static bool read_list(const u8 *data, size_t size, struct rebac_listing *l)
{
	u32 i, number, last = REBAC_EVERY;

	if ((size - HEAD) % 4)
		return false;
	l->n = l->max = (u32)(size - HEAD) / 4;
	l->found = calloc(l->n + 1, sizeof(*l->found));
	if (!l->found)
		return false;
	for (i = 0; i < l->n; i++) {
		number = get32(data + HEAD + 4 * (size_t)i);
		if (number <= last || number > REBAC_NUMBER_MAX)
			break;
		l->found[i].number = last = number;
	}
	if (i == l->n)
		return true;
	free(l->found);
	return false;
}

bool share_find_list(struct share *s, const struct cache_place *p, s64 now, struct rebac_listing *l)
{
	s64 from, until;
	size_t size;
	u8 *data;
	bool ok;

	memset(l, 0, sizeof(*l));
	if (!s || !there(s))
		return false;
	data = fetch(s, p, REBAC_EVERY, &size);
	ok = data && good(data, now, &from, &until) && read_list(data, size, l);
	if (ok) {
		l->valid_from = from;
		l->valid_until = until;
	}
	atomic_fetch_add(ok ? &s->hits : &s->misses, 1);
	free(data);
	return ok;
}

void share_put_list(struct share *s, const struct cache_place *p, s64 now,
		    const struct rebac_listing *l)
{
	u8 *data, *at;
	u32 i;

	if (!s || l->why || l->more || l->contextual || l->n > SHARE_LIST_MAX ||
	    l->valid_until <= now || !there(s))
		return;
	data = malloc(HEAD + 4 * (size_t)l->n + TAG);
	if (!data)
		return;
	put_head(data, true, l->valid_from, l->valid_until);
	for (i = 0, at = data + HEAD; i < l->n; i++)
		at = put32(at, l->found[i].number);
	store(s, p, REBAC_EVERY, data, HEAD + 4 * (size_t)l->n,
	      ttl_of(SHARE_LIST_MS, now, l->valid_until));
	free(data);
}
