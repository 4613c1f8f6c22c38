// SPDX-License-Identifier: Apache-2.0
#include "dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump_text.h"
#include "lib/apply.h"
#include "pack.h"

/* ---- out ------------------------------------------------------------------ */

/*
 * The superblock of what is dumped: the log is in it, so that the zone it is loaded
 * into begins where this one ended.
 */
static struct super *clean_super(struct zone *z)
{
	struct super *sb = malloc(sizeof(*sb));

	if (!sb)
		return NULL;
	*sb = z->sb;
	sb->checkpoint = memtable_applied(&z->mt);
	sb->log_from = sb->checkpoint;
	sb->flags |= NEXUS_ZF_CLEAN;
	super_encode(sb);
	return sb;
}

static int write_all(struct dump_out *o, struct nexus_kv *kv, const struct super *sb,
		     struct errline *err)
{
	u8 key[NEXUS_KEY_MAX + 1] = { 0 };
	u64 *val = malloc(NEXUS_VALUE_MAX);
	size_t klen = 1;
	int len, ret = 0;

	if (!val)
		return -ENOMEM;
	while ((len = nexus_kv_seek(kv, key, &klen, val, NEXUS_VALUE_MAX)) >= 0 && !ret) {
		if (len > (int)NEXUS_VALUE_MAX ||
		    nexus_val_check(val, (size_t)len, key[0], sizeof(struct nexus_val_head)))
			ret = err_set(err, -EUCLEAN,
				      "the index holds a damaged value (%c); fsck.nexusfs tells more",
				      key[0]);
		else if (key[0] == NEXUS_KEY_ZONE && klen == 1)
			ret = dump_out_entry(o, key, klen, sb->raw, sb->rawlen);
		else
			ret = dump_out_entry(o, key, klen, val, (size_t)len);
		key[klen++] = 0;
	}
	free(val);
	if (!ret && len != -ENOENT)
		ret = err_set(err, len, "the index cannot be read: %s", strerror(-len));
	return ret;
}

int dump_write(struct zone *z, FILE *out, u64 *count, struct errline *err)
{
	struct super *sb = clean_super(z);
	struct dump_out o;
	struct memview v;
	u64 lines = 0;
	int ret;

	if (!sb)
		return -ENOMEM;
	/* The index is the same before and after, and content is not dumped. */
	if (nexus_logdata_count(&z->applier.data)) {
		ret = err_set(err, -EBUSY, "content of files is in the log only; mount the zone once, and it is in packs");
		goto free_sb;
	}
	/* The log does not travel: what only it knows goes where it belongs. */
	ret = z->unclean ? replay_tables(&z->replay, z->sb.uuid, &lines) : 0;
	if (ret) {
		err_set(err, ret, "the tables of packs cannot be completed: %s", strerror(-ret));
		goto free_sb;
	}
	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		goto free_sb;
	ret = dump_out_begin(&o, out);
	if (!ret)
		ret = write_all(&o, &v.kv, sb, err);
	if (!ret)
		ret = dump_out_end(&o);
	*count = o.count;
	dump_out_free(&o);
	memview_end(&v);
free_sb:
	free(sb);
	return ret;
}

/* ---- in ------------------------------------------------------------------- */

struct loading {
	struct atrest *a;
	struct dump_in in;
	struct errline *err;
	struct nexus_omap old;	/* keys of the new zone, which go */
	struct super sb;	/* of the dump */
	bool has_super, has_alloc;
	u64 *packs;		/* that the dump names */
	size_t npacks;
};

/* Every key into @old; one that zone create does not make is -ENOTEMPTY. */
static int list_keys(struct loading *l, struct nexus_kv *kv, const struct nexus_omap *fresh)
{
	u8 key[NEXUS_KEY_MAX + 1] = { 0 };
	size_t klen = 1;
	u64 val[8];
	int len, ret;

	while ((len = nexus_kv_seek(kv, key, &klen, val, sizeof(val))) >= 0) {
		if (key[0] != NEXUS_KEY_ZONE && key[0] != NEXUS_KEY_ALLOC &&
		    !nexus_omap_find(fresh, key, klen))
			return -ENOTEMPTY;
		ret = nexus_omap_put(&l->old, key, klen, "", 0);
		if (ret)
			return ret;
		key[klen++] = 0;
	}
	return len == -ENOENT ? 0 : len;
}

/* Nothing but what zone create makes, and no kernel ever wrote to it. */
static int check_empty(struct loading *l)
{
	struct zone *z = l->a->z;
	struct nexus_omap fresh;
	struct memview v;
	int ret;

	nexus_omap_init(&fresh);
	ret = nexus_apply_mkfs(&fresh.kv, 0755, 0, 0, (struct nexus_time){ 0, 0 });
	if (!ret && (z->sb.incarnation || !(z->sb.flags & NEXUS_ZF_CLEAN) ||
		     z->al.next_ino != NEXUS_FIRST_INO))
		ret = -ENOTEMPTY;
	if (!ret)
		ret = memview_begin(&v, &z->mt, NULL);
	if (!ret) {
		ret = list_keys(l, &v.kv, &fresh);
		memview_end(&v);
	}
	nexus_omap_destroy(&fresh);
	if (ret == -ENOTEMPTY)
		err_set(l->err, ret,
			"zone %s is not new: a dump goes into a zone that was just made and never mounted",
			l->a->name);
	return ret;
}

static int note_entry(struct loading *l)
{
	struct dump_in *in = &l->in;
	u64 *more;

	switch (in->key.b[0]) {
	case NEXUS_KEY_ZONE:
		if (in->vlen > sizeof(l->sb.raw))
			return err_set(l->err, -EUCLEAN, "the dump is damaged: its superblock");
		memcpy(l->sb.raw, in->val, in->vlen);
		l->sb.rawlen = in->vlen;
		l->has_super = true;
		return 0;
	case NEXUS_KEY_ALLOC:
		l->has_alloc = true;
		return 0;
	case NEXUS_KEY_PACK:
		if (in->key.len != 9)
			return 0;
		if (l->npacks % 64 == 0) {
			more = realloc(l->packs, (l->npacks + 64) * sizeof(*more));
			if (!more)
				return -ENOMEM;
			l->packs = more;
		}
		l->packs[l->npacks++] = nexus_get_be64(in->key.b + 1);
		return 0;
	}
	return 0;
}

static int check_super(struct loading *l)
{
	const struct super *z = &l->a->z->sb;
	bool rdonly = false;
	int ret;

	if (!l->has_super || !l->has_alloc)
		return err_set(l->err, -EUCLEAN,
			       "the dump is damaged: it has no superblock or no allocators");
	ret = super_parse(&l->sb, &rdonly, l->err);
	if (ret)
		return ret;
	if (rdonly)
		return err_set(l->err, -EPROTONOSUPPORT,
			       "the dumped zone uses features this program can only read (ro_compat 0x%llx); use a newer nexusfs",
			       l->sb.ro_compat);
	if (!(l->sb.flags & NEXUS_ZF_CLEAN))
		return err_set(l->err, -EUCLEAN, "the dump is damaged: it is of no clean zone");
	if (l->sb.segment_size != z->segment_size || l->sb.pack_size != z->pack_size)
		return err_set(l->err, -EINVAL,
			       "the dumped zone has other sizes; make zone %s with --option segment_size=%u --option pack_size=%u",
			       l->a->name, l->sb.segment_size, l->sb.pack_size);
	return 0;
}

static int check_pack(struct loading *l, u64 pack)
{
	struct nexus_objectstore *os = l->a->z->os;
	struct nexus_pack_head head;
	struct pack_reader *r;
	u32 blocks = 0;
	void *block;
	int fd, ret;

	fd = os->drv->open_pack(os, pack, false, &blocks);
	if (fd < 0)
		return fd;
	close(fd);
	r = pack_reader_new(os);
	block = malloc(NEXUS_BLOCK_SIZE);
	ret = r && block ? pack_read_block(r, pack, 0, block) : -ENOMEM;
	if (!ret) {
		memcpy(&head, block, sizeof(head));
		ret = pack_check_head(&head, l->sb.uuid, pack, blocks);
	}
	free(block);
	pack_reader_free(r);
	return ret;
}

static int check_packs(struct loading *l)
{
	char buf[64];
	size_t i;
	int ret;

	for (i = 0; i < l->npacks; i++) {
		ret = check_pack(l, l->packs[i]);
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			return err_set(l->err, -ENODATA,
				       "pack %llu, which the dump names, is %s; copy the packs of the dumped zone to %.200s/packs first",
				       l->packs[i], ret == -ENOENT ? "not there" :
				       ret == -ESTALE ? "of another zone" :
				       ret == -EUCLEAN ? "damaged in its head" :
				       strerror_r(-ret, buf, sizeof(buf)), l->a->dir);
	}
	return 0;
}

static int check_all(struct loading *l)
{
	int ret = dump_in_begin(&l->in, l->in.file, l->err);

	while (!ret) {
		ret = dump_in_next(&l->in);
		if (ret <= 0)
			break;
		ret = note_entry(l);
	}
	if (!ret)
		ret = check_super(l);
	return ret ? ret : check_packs(l);
}

/* Again from the start: it is called twice when the index had to grow. */
static int fill(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	struct loading *l = arg;
	const struct nexus_omap_entry *e;
	FILE *file = l->in.file;
	int ret = 0;

	for (e = nexus_omap_lower(&l->old, "", 0, false); e && !ret;
	     e = nexus_omap_lower(&l->old, e->data, e->klen, true))
		ret = ms->drv->del(batch, e->data, e->klen);
	dump_in_free(&l->in);
	if (!ret)
		ret = dump_in_begin(&l->in, file, l->err);
	while (!ret && (ret = dump_in_next(&l->in)) == 1)
		ret = ms->drv->put(batch, l->in.key.b, l->in.key.len, l->in.val, l->in.vlen);
	return ret;
}

static int write_index(struct loading *l)
{
	struct nexus_metastore *ms;
	int ret = store_open_index(&l->a->cfg, l->a->dir, false, &ms, l->err);

	if (ret)
		return ret;
	ret = ms_write(ms, fill, l);
	ms->drv->close(ms);
	if (ret && !l->err->msg[0])
		err_set(l->err, ret, "the index cannot be written: %s", strerror(-ret));
	return ret;
}

int dump_load(struct atrest *a, FILE *in, u64 *count, struct errline *err)
{
	struct loading *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return -ENOMEM;
	l->a = a;
	l->err = err;
	l->in.file = in;
	nexus_omap_init(&l->old);
	ret = atrest_load(a, true, err);
	if (!ret)
		ret = check_empty(l);
	if (!ret)
		ret = check_all(l);
	atrest_unload(a);
	if (!ret)
		ret = write_index(l);
	*count = l->in.count;
	dump_in_free(&l->in);
	nexus_omap_destroy(&l->old);
	free(l->packs);
	free(l);
	return ret;
}
