// SPDX-License-Identifier: Apache-2.0
/* What the tests of lib/ share: random numbers, stores, reads. */
#include "util.h"

static u64 state;

u64 seed_init(u64 seed)
{
	const char *env = getenv("NEXUS_TEST_SEED");

	if (env)
		seed = strtoull(env, NULL, 0);
	state = seed * 2654435761u + 88172645463325252ull;
	printf("# seed %llu\n", (unsigned long long)seed);
	return seed;
}

u64 rnd64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull;
}

u32 rnd(u32 below)
{
	return (u32)(rnd64() >> 33) % below;
}

/* ---- the store ------------------------------------------------------ */

static struct store *of(struct nexus_kv *kv)
{
	return NEXUS_CONTAINER(kv, struct store, kv);
}

static int s_get(struct nexus_kv *kv, const void *key, size_t klen, void *buf,
		 size_t cap)
{
	return nexus_kv_get(&of(kv)->map.kv, key, klen, buf, cap);
}

static bool s_fails(struct store *s)
{
	s->writes++;
	return s->fail_after >= 0 && !s->fail_after--;
}

static int s_put(struct nexus_kv *kv, const void *key, size_t klen,
		 const void *val, size_t vlen)
{
	if (s_fails(of(kv)))
		return -ENOMEM;
	return nexus_kv_put(&of(kv)->map.kv, key, klen, val, vlen);
}

static int s_del(struct nexus_kv *kv, const void *key, size_t klen)
{
	if (s_fails(of(kv)))
		return -ENOMEM;
	return nexus_kv_del(&of(kv)->map.kv, key, klen);
}

static int s_seek(struct nexus_kv *kv, void *key, size_t *klen, void *buf,
		  size_t cap)
{
	return nexus_kv_seek(&of(kv)->map.kv, key, klen, buf, cap);
}

static const struct nexus_kv_ops s_ops = {
	.get = s_get, .put = s_put, .del = s_del, .seek = s_seek,
};

void store_init(struct store *s)
{
	s->kv.ops = &s_ops;
	nexus_omap_init(&s->map);
	s->writes = 0;
	s->fail_after = -1;
}

void store_mkfs(struct store *s)
{
	store_init(s);
	assert_int_equal(nexus_apply_mkfs(&s->kv, 0755, 0, 0, NOW), 0);
}

void store_destroy(struct store *s)
{
	nexus_omap_destroy(&s->map);
	assert_true(s->map.bytes == 0);
}

void store_copy(struct store *to, const struct store *from)
{
	const struct nexus_omap_entry *e = nexus_omap_lower(&from->map, "", 0, false);

	store_init(to);
	for (; e; e = nexus_omap_lower(&from->map, e->data, e->klen, true))
		assert_int_equal(nexus_omap_put(&to->map, e->data, e->klen,
						nexus_omap_val(e), e->vlen), 0);
}

bool store_equal(const struct store *a, const struct store *b)
{
	const struct nexus_omap_entry *x = nexus_omap_lower(&a->map, "", 0, false);
	const struct nexus_omap_entry *y = nexus_omap_lower(&b->map, "", 0, false);

	while (x && y) {
		if (x->klen != y->klen || x->vlen != y->vlen ||
		    x->tombstone != y->tombstone ||
		    memcmp(x->data, y->data, x->klen + x->vlen))
			return false;
		x = nexus_omap_lower(&a->map, x->data, x->klen, true);
		y = nexus_omap_lower(&b->map, y->data, y->klen, true);
	}
	return !x && !y;
}

void store_same(const struct store *a, const struct store *b)
{
	assert_true(store_equal(a, b));
}

static void print_problem(void *arg, const struct nexus_check_problem *p)
{
	if (*(bool *)arg)
		printf("# problem: %c %llu (%llu): %s\n", p->letter,
		       (unsigned long long)p->id, (unsigned long long)p->other,
		       p->what);
}

s64 store_problems(struct store *s, bool print)
{
	return nexus_store_check(&s->kv, print_problem, &print);
}

u32 store_live(struct store *s, u64 pack, u32 *refs)
{
	static u8 seen[NEXUS_PACK_BLOCKS_MAX];
	const struct nexus_omap_entry *e;
	u32 n = 0, i;

	memset(seen, 0, sizeof(seen));
	*refs = 0;
	for (e = nexus_omap_lower(&s->map, "E", 1, false); e;
	     e = nexus_omap_lower(&s->map, e->data, e->klen, true)) {
		struct nexus_extent_val v;

		if (e->data[0] == NEXUS_KEY_SHARED)
			*refs += nexus_get_be64(e->data + 1) == pack;
		if (e->data[0] != NEXUS_KEY_EXTENT)
			continue;
		memcpy(&v, nexus_omap_val(e), sizeof(v));
		if (le64_to_cpu(v.pack) != pack)
			continue;
		for (i = 0; i < le32_to_cpu(v.nblocks); i++) {
			n += !seen[le32_to_cpu(v.block) + i];
			seen[le32_to_cpu(v.block) + i] = 1;
		}
	}
	return n;
}

u32 store_said_live(struct store *s, u64 pack)
{
	struct nexus_pack_val v = { 0 };
	struct nexus_key k;
	const void *val;

	nexus_key_pack(&k, pack);
	val = store_get(s, &k, NULL);
	if (val)
		memcpy(&v, val, sizeof(v));
	return le32_to_cpu(v.live);
}

const void *store_get(struct store *s, const struct nexus_key *k, size_t *len)
{
	const struct nexus_omap_entry *e = nexus_omap_find(&s->map, k->b, k->len);

	if (e && len)
		*len = e->vlen;
	return e ? nexus_omap_val(e) : NULL;
}

const struct nexus_inode_val *store_inode(struct store *s, u64 ino)
{
	/* Values in the map are not aligned; the tests want to look at fields. */
	static struct nexus_inode_val copy[4];
	static unsigned int turn;
	struct nexus_key k;
	const void *v;

	nexus_key_inode(&k, ino);
	v = store_get(s, &k, NULL);
	if (!v)
		return NULL;
	turn = (turn + 1) % 4;
	memcpy(&copy[turn], v, sizeof(copy[0]));
	return &copy[turn];
}

void must(struct store *s, const void *rec)
{
	const struct nexus_rec_head *head = rec;
	struct nexus_apply_error err;
	int ret;

	ret = nexus_rec_check(head, le32_to_cpu(head->len));
	if (ret)
		fail_msg("%s is malformed", nexus_rec_name(le16_to_cpu(head->type)));
	ret = nexus_apply(&s->kv, head, &err);
	if (ret)
		fail_msg("%s: %d, inode %llu: %s", nexus_rec_name(err.type), ret,
			 (unsigned long long)err.ino, err.what);
}

void refused(struct store *s, const void *rec, const char *what)
{
	const struct nexus_rec_head *head = rec;
	struct nexus_apply_error err = { .what = "" };
	u64 writes = s->writes;

	assert_int_equal(nexus_rec_check(head, le32_to_cpu(head->len)), 0);
	assert_int_equal(nexus_apply(&s->kv, head, &err), -EUCLEAN);
	assert_int_equal(err.type, le16_to_cpu(head->type));
	if (what)
		assert_string_equal(err.what, what);
	assert_true(s->writes == writes);
}

int do_read(struct store *s, u32 op, u64 ino, u64 arg0, u64 arg1,
	    const char *name, void *out)
{
	struct nexus_request req = {
		.op = op, .ino = ino, .arg0 = arg0, .arg1 = arg1,
		.len = name ? (u32)strlen(name) : 0,
		.reply_max = NEXUS_REPLY_DATA_MAX,
	};
	const char *field;
	int len;

	len = nexus_read(&s->kv, &req, name, out, NEXUS_REPLY_DATA_MAX);
	if (len >= 0 && nexus_reply_check(&req, out, (size_t)len, &field))
		fail_msg("reply to op %u of inode %llu: %s", op,
			 (unsigned long long)ino, field);
	return len;
}
