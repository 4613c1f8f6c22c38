// SPDX-License-Identifier: Apache-2.0
#include "super.h"


#define GROW_MAX	32	/* doublings of the map: more than there is */

static int read_value(struct nexus_metastore *ms, const struct nexus_key *k,
		      void *buf, size_t cap, size_t *len)
{
	struct nexus_ms_snap *snap;
	const void *val;
	int ret;

	ret = ms->drv->begin_read(ms, &snap);
	if (ret)
		return ret;
	ret = ms->drv->get(snap, k->b, k->len, &val, len);
	if (!ret && *len > cap)
		ret = -EUCLEAN;
	if (!ret)
		memcpy(buf, val, *len);
	ms->drv->end_read(snap);
	return ret;
}

static void super_decode(struct super *sb)
{
	struct nexus_zone_val v;

	memcpy(&v, sb->raw, sizeof(v));
	memcpy(sb->uuid, v.uuid, sizeof(sb->uuid));
	sb->format = le32_to_cpu(v.format);
	sb->flags = le32_to_cpu(v.flags);
	sb->compat = le64_to_cpu(v.compat);
	sb->ro_compat = le64_to_cpu(v.ro_compat);
	sb->incompat = le64_to_cpu(v.incompat);
	sb->incarnation = le64_to_cpu(v.incarnation);
	sb->checkpoint = le64_to_cpu(v.checkpoint);
	sb->checkpoint_seg = le64_to_cpu(v.checkpoint_seg);
	sb->next_segment = le64_to_cpu(v.next_segment);
	sb->created_s = le64_to_cpu(v.created_s);
	sb->segment_size = le32_to_cpu(v.segment_size);
	sb->pack_size = le32_to_cpu(v.pack_size);
	sb->log_from = v.log_from ? le64_to_cpu(v.log_from) : sb->checkpoint;
}

static int check_fields(const struct super *sb, struct errline *err)
{
	u64 unknown = sb->incompat & ~NEXUS_INCOMPAT_KNOWN;

	if (sb->format > NEXUS_FORMAT_VERSION)
		return err_set(err, -EPROTONOSUPPORT,
			       "the zone has format %u, this helper knows up to %d; use a newer nexusfs",
			       sb->format, NEXUS_FORMAT_VERSION);
	if (unknown)
		return err_set(err, -EPROTONOSUPPORT,
			       "the zone uses features this helper does not know (incompat 0x%llx); use a newer nexusfs",
			       unknown);
	if (!sb->format || sb->segment_size < 2 * NEXUS_BATCH_BYTES_MAX ||
	    sb->segment_size % NEXUS_BLOCK_SIZE || !sb->pack_size ||
	    sb->pack_size % NEXUS_BLOCK_SIZE ||
	    sb->checkpoint < NEXUS_FIRST_LSN || sb->checkpoint % 8 ||
	    sb->log_from > sb->checkpoint || sb->log_from % 8)
		return err_set(err, -EUCLEAN,
			       "the zone's superblock holds impossible values; run fsck.nexusfs");
	return 0;
}

int super_parse(struct super *sb, bool *rdonly, struct errline *err)
{
	struct nexus_zone_val v;
	int ret;

	/* A foreign or newer format is called so, not damaged. */
	if (sb->rawlen >= sizeof(v)) {
		memcpy(&v, sb->raw, sizeof(v));
		if (le64_to_cpu(v.magic) != NEXUS_ZONE_MAGIC)
			return err_set(err, -EUCLEAN,
				       "the index is not of a nexusfs zone (magic 0x%llx)",
				       le64_to_cpu(v.magic));
	}
	if (nexus_val_check(sb->raw, sb->rawlen, NEXUS_KEY_ZONE, sizeof(v)))
		return err_set(err, -EUCLEAN,
			       "the zone's superblock is damaged; run fsck.nexusfs");
	super_decode(sb);
	ret = check_fields(sb, err);
	if (ret)
		return ret;
	*rdonly = (sb->ro_compat & ~NEXUS_RO_COMPAT_KNOWN) != 0;
	return 0;
}

int super_read(struct nexus_metastore *ms, struct super *sb, bool *rdonly,
	       struct errline *err)
{
	struct nexus_key k;
	int ret;

	nexus_key_zone(&k);
	ret = read_value(ms, &k, sb->raw, sizeof(sb->raw), &sb->rawlen);
	if (ret == -ENOENT)
		return err_set(err, -EUCLEAN, "the index holds no zone superblock");
	if (ret)
		return err_set(err, ret, "the zone's superblock cannot be read: %s",
			       strerror(-ret));
	return super_parse(sb, rdonly, err);
}

int alloc_read(struct nexus_metastore *ms, struct alloc *al, struct errline *err)
{
	struct nexus_alloc_val v;
	struct nexus_key k;
	u8 buf[SUPER_RAW_MAX];
	size_t len;
	int ret;

	nexus_key_alloc(&k);
	ret = read_value(ms, &k, buf, sizeof(buf), &len);
	if (!ret)
		ret = nexus_val_check(buf, len, NEXUS_KEY_ALLOC, sizeof(v));
	if (ret)
		return err_set(err, ret == -ENOENT ? -EUCLEAN : ret,
			       "the zone's allocator record is missing or damaged; run fsck.nexusfs");
	memcpy(&v, buf, sizeof(v));
	al->next_ino = le64_to_cpu(v.next_ino);
	al->next_pack = le64_to_cpu(v.next_pack);
	al->segment_files = le32_to_cpu(v.segment_files);
	return 0;
}

void super_encode(struct super *sb)
{
	struct nexus_zone_val v;

	if (sb->rawlen < sizeof(v)) {
		memset(sb->raw, 0, sizeof(v));
		sb->rawlen = sizeof(v);
	}
	memcpy(&v, sb->raw, sizeof(v));
	v.magic = cpu_to_le64(NEXUS_ZONE_MAGIC);
	v.format = cpu_to_le32(sb->format);
	v.flags = cpu_to_le32(sb->flags);
	v.compat = cpu_to_le64(sb->compat);
	v.ro_compat = cpu_to_le64(sb->ro_compat);
	v.incompat = cpu_to_le64(sb->incompat);
	memcpy(v.uuid, sb->uuid, sizeof(v.uuid));
	v.incarnation = cpu_to_le64(sb->incarnation);
	v.checkpoint = cpu_to_le64(sb->checkpoint);
	v.checkpoint_seg = cpu_to_le64(sb->checkpoint_seg);
	v.next_segment = cpu_to_le64(sb->next_segment);
	v.created_s = cpu_to_le64(sb->created_s);
	v.segment_size = cpu_to_le32(sb->segment_size);
	v.pack_size = cpu_to_le32(sb->pack_size);
	v.log_from = cpu_to_le64(sb->log_from < sb->checkpoint ? sb->log_from : 0);
	memcpy(sb->raw, &v, sizeof(v));
	nexus_val_seal(sb->raw, sb->rawlen, NEXUS_KEY_ZONE);
}

int super_put(struct nexus_metastore *ms, struct nexus_ms_batch *batch, struct super *sb)
{
	struct nexus_key k;

	super_encode(sb);
	nexus_key_zone(&k);
	return ms->drv->put(batch, k.b, k.len, sb->raw, sb->rawlen);
}

int alloc_put(struct nexus_metastore *ms, struct nexus_ms_batch *batch,
	      const struct alloc *al)
{
	struct nexus_alloc_val v = {
		.next_ino = cpu_to_le64(al->next_ino),
		.next_pack = cpu_to_le64(al->next_pack),
		.segment_files = cpu_to_le32(al->segment_files),
	};
	struct nexus_key k;

	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_ALLOC);
	nexus_key_alloc(&k);
	return ms->drv->put(batch, k.b, k.len, &v, sizeof(v));
}

int ms_write(struct nexus_metastore *ms,
	     int (*fill)(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg),
	     void *arg)
{
	struct nexus_ms_batch *batch;
	int i, ret, done;

	for (i = 0; i < GROW_MAX; i++) {
		ret = ms->drv->begin_write(ms, &batch);
		if (ret)
			return ret;
		ret = fill(ms, batch, arg);
		/* A batch that ran out of map is committed to make it grow. */
		if (ret && ret != -ENOSPC) {
			ms->drv->abort(batch);
			return ret;
		}
		done = ms->drv->commit(batch);
		if (done != -EAGAIN)
			return ret ? ret : done;
	}
	return -ENOSPC;
}

static int fill_alloc(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	return alloc_put(ms, batch, arg);
}

int alloc_write(struct nexus_metastore *ms, const struct alloc *al)
{
	return ms_write(ms, fill_alloc, (void *)al);
}
