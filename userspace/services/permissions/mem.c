// SPDX-License-Identifier: Apache-2.0
/*
 * Tuples in memory: an ordered map of keys that sort as they are to be read.
 *
 *	F obj rel srel subj	a tuple: expiry, condition
 *	R subj srel rel obj	the same from its other end: expiry, is there a condition
 *	S name, T symbol	symbols, both ways
 *	I type id, J node	numbers of ids, both ways
 *	E expires F...		a tuple that expires, by its time
 *	Z type rel		the last write of a relation: revision, mark
 *	V, P			revisions, policy
 */
#include "rebac.h"

#include <pthread.h>
#include <sys/random.h>

#include "lib/omap.h"

#define KEY_MAX	(1 + 4 + REBAC_ID_MAX)

struct undo {
	struct undo *next;
	u32 klen, vlen;
	bool was;
	u8 data[];	/* key, then the value it had */
};

struct mem {
	struct rebac_store store;
	pthread_rwlock_t lock;
	struct nexus_omap map;
	u64 identity;
	u8 secret[REBAC_SECRET];
	u32 symbols;
	u32 numbers;
	bool broken;		/* something could not be undone */
};

struct mem_txn {
	struct rebac_txn txn;
	struct mem *mem;
	bool write;
	struct undo *undo;
	u32 symbols, numbers;	/* as they were */
};

static struct mem *mem_of(struct rebac_txn *txn)
{
	return NEXUS_CONTAINER(txn, struct mem_txn, txn)->mem;
}

/* ---- keys ------------------------------------------------------------- */

static u8 *put32(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 24);
	p[1] = (u8)(v >> 16);
	p[2] = (u8)(v >> 8);
	p[3] = (u8)v;
	return p + 4;
}

static u8 *put64(u8 *p, u64 v)
{
	return put32(put32(p, (u32)(v >> 32)), (u32)v);
}

static u32 get32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static u64 get64(const u8 *p)
{
	return (u64)get32(p) << 32 | get32(p + 4);
}

#define TUPLE_KEY	25u

static void forward_key(u8 *k, u64 obj, u32 rel, u32 srel, u64 subj)
{
	*k = 'F';
	put64(put32(put32(put64(k + 1, obj), rel), srel), subj);
}

static void reverse_key(u8 *k, u64 subj, u32 srel, u32 rel, u64 obj)
{
	*k = 'R';
	put64(put32(put32(put64(k + 1, subj), srel), rel), obj);
}

/* ---- changes that can be undone --------------------------------------- */

static int note(struct mem_txn *t, const u8 *key, size_t klen)
{
	const struct nexus_omap_entry *e = nexus_omap_find(&t->mem->map, key, klen);
	u32 vlen = e ? e->vlen : 0;
	struct undo *u = malloc(sizeof(*u) + klen + vlen);

	if (!u)
		return -ENOMEM;
	u->klen = (u32)klen;
	u->vlen = vlen;
	u->was = e != NULL;
	memcpy(u->data, key, klen);
	if (e)
		memcpy(u->data + klen, nexus_omap_val(e), vlen);
	u->next = t->undo;
	t->undo = u;
	return 0;
}

static int change(struct mem_txn *t, const u8 *key, size_t klen, const void *val, size_t vlen)
{
	int ret;

	if (!t->write)
		return -EROFS;
	ret = note(t, key, klen);
	if (ret)
		return ret;
	return nexus_omap_put(&t->mem->map, key, klen, val, vlen);
}

static int take(struct mem_txn *t, const u8 *key, size_t klen)
{
	int ret = t->write ? note(t, key, klen) : -EROFS;

	if (!ret)
		nexus_omap_remove(&t->mem->map, key, klen);
	return ret;
}

static int mem_begin(struct rebac_store *s, bool write, struct rebac_txn **txn)
{
	struct mem *m = NEXUS_CONTAINER(s, struct mem, store);
	struct mem_txn *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (write)
		pthread_rwlock_wrlock(&m->lock);
	else
		pthread_rwlock_rdlock(&m->lock);
	if (m->broken) {
		pthread_rwlock_unlock(&m->lock);
		free(t);
		return -EIO;
	}
	t->txn.ops = s->ops;
	t->mem = m;
	t->write = write;
	t->symbols = m->symbols;
	t->numbers = m->numbers;
	*txn = &t->txn;
	return 0;
}

static void end(struct mem_txn *t)
{
	struct undo *u;

	while ((u = t->undo)) {
		t->undo = u->next;
		free(u);
	}
	pthread_rwlock_unlock(&t->mem->lock);
	free(t);
}

static int mem_commit(struct rebac_txn *txn)
{
	end(NEXUS_CONTAINER(txn, struct mem_txn, txn));
	return 0;
}

static void mem_abort(struct rebac_txn *txn)
{
	struct mem_txn *t = NEXUS_CONTAINER(txn, struct mem_txn, txn);
	const struct undo *u;

	for (u = t->undo; u; u = u->next) {
		if (!u->was)
			nexus_omap_remove(&t->mem->map, u->data, u->klen);
		else if (nexus_omap_put(&t->mem->map, u->data, u->klen, u->data + u->klen, u->vlen))
			t->mem->broken = true;
	}
	if (t->write) {
		t->mem->symbols = t->symbols;
		t->mem->numbers = t->numbers;
	}
	end(t);
}

/* ---- revision, policy, names ------------------------------------------ */

static int mem_state(struct rebac_txn *txn, struct rebac_state *st)
{
	const struct nexus_omap_entry *e = nexus_omap_find(&mem_of(txn)->map, "V", 1);
	const u8 *p = e ? nexus_omap_val(e) : NULL;

	*st = (struct rebac_state){ .store = mem_of(txn)->identity };
	if (p) {
		st->revision = get64(p);
		st->policy = get64(p + 8);
		st->stamped = get64(p + 16);
		st->mark = get64(p + 24);
	}
	return 0;
}

static int set_state(struct rebac_txn *txn, const struct rebac_state *st)
{
	u8 val[32];

	put64(put64(put64(put64(val, st->revision), st->policy), st->stamped), st->mark);
	return change(NEXUS_CONTAINER(txn, struct mem_txn, txn), (const u8 *)"V", 1, val,
		      sizeof(val));
}

static int mem_set_revision(struct rebac_txn *txn, u64 revision, u64 mark)
{
	struct rebac_state st;

	mem_state(txn, &st);
	st.revision = st.stamped = revision;
	st.mark = mark;
	return set_state(txn, &st);
}

/* The next behind @key; false: there is none. */
static bool next_stamp(struct mem *m, u8 *key, struct rebac_stamp *s)
{
	const struct nexus_omap_entry *e = nexus_omap_lower(&m->map, key, 9, true);
	const u8 *p = e ? nexus_omap_key(e) : NULL;

	if (!e || e->klen != 9 || p[0] != 'Z')
		return false;
	memcpy(key, p, 9);
	p = nexus_omap_val(e);
	*s = (struct rebac_stamp){ get32(key + 1), get32(key + 5), get64(p), get64(p + 8) };
	return true;
}

static int mem_stamp(struct rebac_txn *txn, const struct rebac_stamp *s)
{
	struct mem_txn *t = NEXUS_CONTAINER(txn, struct mem_txn, txn);
	struct rebac_stamp old;
	u8 key[9] = "Z", val[16];
	int ret = 0;

	while (!ret && !s->type && next_stamp(t->mem, key, &old))
		ret = take(t, key, sizeof(key));
	if (ret)
		return ret;
	put32(put32(key + 1, s->type), s->rel);
	put64(put64(val, s->revision), s->mark);
	return change(t, key, sizeof(key), val, sizeof(val));
}

static int mem_stamps(struct rebac_txn *txn, struct rebac_stamp *stamps, u32 max)
{
	struct mem *m = mem_of(txn);
	const struct nexus_omap_entry *e;
	struct rebac_stamp more;
	u8 key[9] = "Z";
	u32 n = 0;

	/* That of all is the first there can be, and not behind itself. */
	e = nexus_omap_find(&m->map, key, sizeof(key));
	if (e && max)
		stamps[n++] = (struct rebac_stamp){ 0, 0, get64(nexus_omap_val(e)),
						    get64((const u8 *)nexus_omap_val(e) + 8) };
	while (n < max && next_stamp(m, key, &stamps[n]))
		n++;
	return next_stamp(m, key, &more) ? -EFBIG : (int)n;
}

static int mem_secret(struct rebac_txn *txn, u8 *secret)
{
	memcpy(secret, mem_of(txn)->secret, REBAC_SECRET);
	return 0;
}

static int mem_policy(struct rebac_txn *txn, char **text, size_t *len)
{
	const struct nexus_omap_entry *e = nexus_omap_find(&mem_of(txn)->map, "P", 1);

	if (!e)
		return -ENOENT;
	*len = e->vlen;
	*text = malloc(*len + 1);
	if (!*text)
		return -ENOMEM;
	memcpy(*text, nexus_omap_val(e), *len);
	(*text)[*len] = '\0';
	return 0;
}

static int mem_set_policy(struct rebac_txn *txn, const char *text, size_t len, u64 revision)
{
	struct rebac_state st;
	int ret;

	mem_state(txn, &st);
	st.policy = revision;
	ret = set_state(txn, &st);
	if (ret)
		return ret;
	return change(NEXUS_CONTAINER(txn, struct mem_txn, txn), (const u8 *)"P", 1, text, len);
}

/* Two entries: from @key to the number @n, and from @back, which ends in it, to the name. */
static int both_ways(struct mem_txn *t, const u8 *key, size_t klen, u32 n, u8 *back, size_t blen,
		     const void *name, size_t len)
{
	u8 val[4];
	int ret;

	put32(val, n);
	ret = change(t, key, klen, val, sizeof(val));
	if (ret)
		return ret;
	put32(back + blen - 4, n);
	return change(t, back, blen, name, len);
}

static int mem_symbol(struct rebac_txn *txn, const char *name, bool create)
{
	struct mem_txn *t = NEXUS_CONTAINER(txn, struct mem_txn, txn);
	size_t len = strlen(name);
	const struct nexus_omap_entry *e;
	u8 key[1 + REBAC_NAME_MAX], back[5] = "T";
	int ret;

	if (len > REBAC_NAME_MAX)
		return -EINVAL;
	key[0] = 'S';
	memcpy(key + 1, name, len);	/* NOLINT(bugprone-not-null-terminated-result): a key */
	e = nexus_omap_find(&t->mem->map, key, len + 1);
	if (e)
		return (int)get32(nexus_omap_val(e));
	if (!create)
		return -ENOENT;
	if (t->mem->symbols == REBAC_SYMBOLS_MAX)
		return -ENOSPC;
	ret = both_ways(t, key, len + 1, t->mem->symbols + 1, back, sizeof(back), name, len);
	return ret ? ret : (int)++t->mem->symbols;
}

static int copy_out(const struct nexus_omap_entry *e, char *buf)
{
	if (!e)
		return -ENOENT;
	memcpy(buf, nexus_omap_val(e), e->vlen);
	buf[e->vlen] = '\0';
	return (int)e->vlen;
}

static int mem_symbol_name(struct rebac_txn *txn, u32 symbol, char *buf)
{
	u8 key[5] = "T";

	put32(key + 1, symbol);
	return copy_out(nexus_omap_find(&mem_of(txn)->map, key, sizeof(key)), buf);
}

static int mem_number(struct rebac_txn *txn, u32 type, const char *id, size_t len, bool create,
		      u32 *number)
{
	struct mem_txn *t = NEXUS_CONTAINER(txn, struct mem_txn, txn);
	const struct nexus_omap_entry *e;
	u8 key[KEY_MAX], back[9] = "J";

	if (len > REBAC_ID_MAX)
		return -EINVAL;
	key[0] = 'I';
	memcpy(put32(key + 1, type), id, len);
	e = nexus_omap_find(&t->mem->map, key, len + 5);
	if (e) {
		*number = get32(nexus_omap_val(e));
		return 0;
	}
	if (!create)
		return -ENOENT;
	if (t->mem->numbers == REBAC_NUMBER_MAX)
		return -ENOSPC;
	*number = ++t->mem->numbers;
	put32(back + 1, type);
	return both_ways(t, key, len + 5, *number, back, sizeof(back), id, len);
}

static int mem_id(struct rebac_txn *txn, u64 node, char *buf)
{
	u8 key[9] = "J";

	put64(key + 1, node);
	return copy_out(nexus_omap_find(&mem_of(txn)->map, key, sizeof(key)), buf);
}

/* ---- tuples ----------------------------------------------------------- */

static void value_row(const struct nexus_omap_entry *e, struct rebac_row *row)
{
	row->expires = (s64)get64(nexus_omap_val(e));
	row->conditional = e->vlen > 8;
}

/* Entries behind @from that begin with its first @common bytes. */
static int entries(struct mem *m, const u8 *from, u32 common, struct rebac_row *rows, u32 max)
{
	const struct nexus_omap_entry *e;
	u8 key[TUPLE_KEY];
	u32 n;

	memcpy(key, from, TUPLE_KEY);
	for (n = 0; n < max; n++) {
		e = nexus_omap_lower(&m->map, key, TUPLE_KEY, true);
		if (!e || e->klen != TUPLE_KEY || memcmp(nexus_omap_key(e), from, common) != 0)
			break;
		memcpy(key, nexus_omap_key(e), TUPLE_KEY);
		rows[n].node = get64(key + 17);
		rows[n].rel = get32(key + (key[0] == 'F' ? 9 : 13));
		rows[n].srel = get32(key + (key[0] == 'F' ? 13 : 9));
		value_row(e, &rows[n]);
	}
	return (int)n;
}

/* Strictly behind what sorts before all: there is no relation 0. */
static int mem_scan(struct rebac_txn *txn, u64 obj, u32 rel, const struct rebac_row *after,
		    struct rebac_row *rows, u32 max)
{
	const struct nexus_omap_entry *e = NULL;
	u8 key[TUPLE_KEY];

	forward_key(key, obj, after ? after->rel : rel, after ? after->srel : 0,
		    after ? after->node : 0);
	/* A tuple of everybody is the first of its relation, and not behind itself. */
	if (!after && rel && max)
		e = nexus_omap_find(&mem_of(txn)->map, key, TUPLE_KEY);
	if (e) {
		rows[0] = (struct rebac_row){ .rel = rel };
		value_row(e, &rows[0]);
		rows++;
		max--;
	}
	return entries(mem_of(txn), key, rel ? 13 : 9, rows, max) + (e ? 1 : 0);
}

static int mem_reverse(struct rebac_txn *txn, u64 subj, u32 srel, const struct rebac_row *after,
		       struct rebac_row *rows, u32 max)
{
	u8 key[TUPLE_KEY];

	reverse_key(key, subj, srel, after ? after->rel : 0, after ? after->node : 0);
	return entries(mem_of(txn), key, 13, rows, max);
}

static int mem_find(struct rebac_txn *txn, const struct rebac_key *k, struct rebac_row *row)
{
	const struct nexus_omap_entry *e;
	u8 key[TUPLE_KEY];

	forward_key(key, k->obj, k->rel, k->srel, k->subj);
	e = nexus_omap_find(&mem_of(txn)->map, key, TUPLE_KEY);
	if (!e)
		return -ENOENT;
	row->node = k->subj;
	row->rel = k->rel;
	row->srel = k->srel;
	value_row(e, row);
	return 0;
}

static int mem_condition(struct rebac_txn *txn, const struct rebac_key *k, char *buf)
{
	const struct nexus_omap_entry *e;
	u8 key[TUPLE_KEY];
	u32 len;

	forward_key(key, k->obj, k->rel, k->srel, k->subj);
	e = nexus_omap_find(&mem_of(txn)->map, key, TUPLE_KEY);
	if (!e)
		return -ENOENT;
	len = e->vlen - 8;
	memcpy(buf, nexus_omap_val(e) + 8, len);
	buf[len] = '\0';
	return (int)len;
}

#define TIME_KEY	(9u + TUPLE_KEY)

static void time_key(u8 *k, s64 expires, const u8 *forward)
{
	*k = 'E';
	memcpy(put64(k + 1, (u64)expires), forward, TUPLE_KEY);
}

/* The tuple at @forward no longer expires when it did. */
static int forget_time(struct mem_txn *t, const u8 *forward)
{
	const struct nexus_omap_entry *e = nexus_omap_find(&t->mem->map, forward, TUPLE_KEY);
	s64 expires = e ? (s64)get64(nexus_omap_val(e)) : 0;
	u8 key[TIME_KEY];

	if (!expires)
		return 0;
	time_key(key, expires, forward);
	return take(t, key, TIME_KEY);
}

static int mem_put(struct rebac_txn *txn, const struct rebac_key *k, s64 expires, const char *cond)
{
	struct mem_txn *t = NEXUS_CONTAINER(txn, struct mem_txn, txn);
	u8 key[TUPLE_KEY], timed[TIME_KEY], val[8 + REBAC_COND_MAX];
	size_t len = cond ? strlen(cond) : 0;
	int ret;

	if (len > REBAC_COND_MAX || expires < 0)
		return -EINVAL;
	put64(val, (u64)expires);
	if (len)
		memcpy(val + 8, cond, len);	/* NOLINT(bugprone-not-null-terminated-result) */
	forward_key(key, k->obj, k->rel, k->srel, k->subj);
	ret = forget_time(t, key);
	if (!ret && expires) {
		time_key(timed, expires, key);
		ret = change(t, timed, TIME_KEY, NULL, 0);
	}
	if (!ret)
		ret = change(t, key, TUPLE_KEY, val, 8 + len);
	if (ret)
		return ret;
	reverse_key(key, k->subj, k->srel, k->rel, k->obj);
	return change(t, key, TUPLE_KEY, val, len ? 9 : 8);
}

static int mem_del(struct rebac_txn *txn, const struct rebac_key *k)
{
	struct mem_txn *t = NEXUS_CONTAINER(txn, struct mem_txn, txn);
	u8 key[TUPLE_KEY];
	int ret;

	forward_key(key, k->obj, k->rel, k->srel, k->subj);
	if (!nexus_omap_find(&t->mem->map, key, TUPLE_KEY))
		return -ENOENT;
	ret = forget_time(t, key);
	if (!ret)
		ret = take(t, key, TUPLE_KEY);
	if (ret)
		return ret;
	reverse_key(key, k->subj, k->srel, k->rel, k->obj);
	return take(t, key, TUPLE_KEY);
}

static int mem_expired(struct rebac_txn *txn, s64 now, struct rebac_key *keys, u32 max)
{
	const struct nexus_omap_entry *e;
	u8 key[TIME_KEY] = "E";
	const u8 *p;
	u32 n;

	for (n = 0; n < max; n++) {
		e = nexus_omap_lower(&mem_of(txn)->map, key, TIME_KEY, true);
		if (!e || e->klen != TIME_KEY)
			break;
		p = nexus_omap_key(e);
		if (p[0] != 'E' || (s64)get64(p + 1) > now)
			break;
		memcpy(key, p, TIME_KEY);
		p += 10;
		keys[n] = (struct rebac_key){ get64(p), get32(p + 8), get32(p + 12), get64(p + 16) };
	}
	return (int)n;
}

static void mem_close(struct rebac_store *s)
{
	struct mem *m = NEXUS_CONTAINER(s, struct mem, store);

	nexus_omap_destroy(&m->map);
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

static const struct rebac_store_ops mem_ops = {
	.begin = mem_begin,
	.commit = mem_commit,
	.abort = mem_abort,
	.state = mem_state,
	.set_revision = mem_set_revision,
	.stamp = mem_stamp,
	.stamps = mem_stamps,
	.secret = mem_secret,
	.policy = mem_policy,
	.set_policy = mem_set_policy,
	.symbol = mem_symbol,
	.symbol_name = mem_symbol_name,
	.number = mem_number,
	.id = mem_id,
	.scan = mem_scan,
	.reverse = mem_reverse,
	.find = mem_find,
	.condition = mem_condition,
	.put = mem_put,
	.del = mem_del,
	.expired = mem_expired,
	.close = mem_close,
};

/* Readers that come one behind the other do not keep a writer out. */
static int lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int ret;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	ret = pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return ret;
}

struct rebac_store *rebac_mem_new(void)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	if (getrandom(&m->identity, sizeof(m->identity), 0) != (ssize_t)sizeof(m->identity) ||
	    getrandom(m->secret, sizeof(m->secret), 0) != (ssize_t)sizeof(m->secret) ||
	    lock_init(&m->lock)) {
		free(m);
		return NULL;
	}
	m->identity >>= 1;
	m->store.ops = &mem_ops;
	nexus_omap_init(&m->map);
	return &m->store;
}
