// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quotas as programs see them: quotactl_fd(2), and statfs.  There is no block
 * device and so no quotactl(2) by its name, and there are no quota files: usage
 * is always counted, limits are always looked at.  Limits become records of the
 * log, durable as all others.
 */
#include <linux/fs.h>
#include <linux/quota.h>	/* needs the types of fs.h */
#include <linux/statfs.h>

#include "quota.h"

#ifdef CONFIG_QUOTACTL

#define NEXUS_QC_LIMITS	(QC_INO_SOFT | QC_INO_HARD | QC_SPC_SOFT | QC_SPC_HARD)
#define NEXUS_QC_TIMERS	(QC_SPC_TIMER | QC_INO_TIMER)

static unsigned int nexus_quota_kind(int type)
{
	switch (type) {
	case USRQUOTA:
		return NEXUS_QUOTA_USER;
	case GRPQUOTA:
		return NEXUS_QUOTA_GROUP;
	default:
		return NEXUS_QUOTA_PROJECT;
	}
}

/* Of which kind and id @qid is; -EINVAL: of none. */
static int nexus_quota_qid(struct kqid qid, unsigned int *kind, u32 *id)
{
	qid_t n = from_kqid(&init_user_ns, qid);

	*kind = nexus_quota_kind(qid.type);
	*id = n;
	return n == (qid_t)-1 ? -EINVAL : 0;
}

static u64 nexus_qc_bytes(u64 blocks)
{
	return min(blocks, U64_MAX >> NEXUS_BLOCK_SHIFT) << NEXUS_BLOCK_SHIFT;
}

/* When the grace time is over, 0: it does not run. */
static s64 nexus_qc_timer(struct nexus_zone *zone, unsigned int kind, int what,
			  const struct nexus_quota_use *u)
{
	if (!u->since || u->since > S64_MAX - S32_MAX)
		return 0;
	return u->since + nexus_quota_grace(zone, kind, what);
}

static int nexus_quota_fill(struct nexus_zone *zone, unsigned int kind, u32 id,
			    struct qc_dqblk *d)
{
	struct nexus_quota_use use[NEXUS_Q_WHAT];
	const struct nexus_quota_use *inodes = &use[NEXUS_Q_INODES];
	const struct nexus_quota_use *blocks = &use[NEXUS_Q_BLOCKS];
	int err = nexus_quota_get(zone, kind, id, use);

	if (err)
		return err;
	memset(d, 0, sizeof(*d));
	d->d_spc_hardlimit = nexus_qc_bytes(blocks->hard);
	d->d_spc_softlimit = nexus_qc_bytes(blocks->soft);
	d->d_ino_hardlimit = inodes->hard;
	d->d_ino_softlimit = inodes->soft;
	d->d_space = nexus_qc_bytes(blocks->used + blocks->reserved);
	d->d_ino_count = inodes->used + inodes->reserved;
	d->d_spc_timer = nexus_qc_timer(zone, kind, NEXUS_Q_BLOCKS, blocks);
	d->d_ino_timer = nexus_qc_timer(zone, kind, NEXUS_Q_INODES, inodes);
	return 0;
}

static int nexus_get_dqblk(struct super_block *sb, struct kqid qid,
			   struct qc_dqblk *d)
{
	unsigned int kind;
	u32 id;
	int err = nexus_quota_qid(qid, &kind, &id);

	return err ?: nexus_quota_fill(nexus_sb_zone(sb), kind, id, d);
}

static int nexus_get_nextdqblk(struct super_block *sb, struct kqid *qid,
			       struct qc_dqblk *d)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	struct nexus_quota_reply r;
	unsigned int kind;
	u64 applied;
	u32 id;
	int ret;

	ret = nexus_quota_qid(*qid, &kind, &id);
	if (ret)
		return ret;
	ret = nexus_ms_read(zone, NEXUS_OP_QUOTA, 0, kind | NEXUS_QUOTA_NEXT, id,
			    NULL, 0, nexus_log_tail(zone), &r, sizeof(r),
			    &applied);
	if (ret < 0)
		return ret;
	*qid = make_kqid(&init_user_ns, qid->type, r.id);
	if (!qid_valid(*qid))
		return -ENOENT;
	return nexus_quota_fill(zone, kind, r.id, d);
}

static void nexus_quota_record(struct nexus_rec_quota *rec, unsigned int kind,
			       u32 id)
{
	struct timespec64 now;

	ktime_get_real_ts64(&now);
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_QUOTA, 0,
		       nexus_ts(now));
	rec->kind = cpu_to_le32(kind);
	rec->id = cpu_to_le64(id);
}

/* Appends @rec; durable with the next sync, or in a second. */
static int nexus_quota_append(struct super_block *sb, struct nexus_rec_quota *rec)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	struct nexus_resv resv = {};
	u64 lsn;
	int err;

	err = nexus_log_reserve(zone, &resv, sizeof(*rec), 0);
	if (err)
		return err;
	err = nexus_quota_mutate(zone, &resv, rec, &lsn);
	nexus_log_unreserve(&resv);
	return err;
}

static u64 nexus_qc_blocks(u64 bytes)
{
	return DIV_ROUND_UP_ULL(min(bytes, U64_MAX - NEXUS_BLOCK_SIZE),
				NEXUS_BLOCK_SIZE);
}

/*
 * What @d does not mention stays.  Two that set limits of one id at a time: as with
 * other filesystems, the later one may have seen what was before the first.
 */
static int nexus_set_dqblk(struct super_block *sb, struct kqid qid,
			   struct qc_dqblk *d)
{
	struct nexus_quota_use use[NEXUS_Q_WHAT];
	struct nexus_rec_quota rec;
	unsigned int kind;
	u32 id;
	int err;

	/* When usage got above a limit is a fact, not a setting. */
	if (d->d_fieldmask & ~NEXUS_QC_LIMITS)
		return -EINVAL;
	err = nexus_quota_qid(qid, &kind, &id);
	if (err)
		return err;
	if (kind == NEXUS_QUOTA_PROJECT && !id)
		return -EINVAL;
	err = nexus_quota_get(nexus_sb_zone(sb), kind, id, use);
	if (err)
		return err;
	if (d->d_fieldmask & QC_INO_HARD)
		use[NEXUS_Q_INODES].hard = d->d_ino_hardlimit;
	if (d->d_fieldmask & QC_INO_SOFT)
		use[NEXUS_Q_INODES].soft = d->d_ino_softlimit;
	if (d->d_fieldmask & QC_SPC_HARD)
		use[NEXUS_Q_BLOCKS].hard = nexus_qc_blocks(d->d_spc_hardlimit);
	if (d->d_fieldmask & QC_SPC_SOFT)
		use[NEXUS_Q_BLOCKS].soft = nexus_qc_blocks(d->d_spc_softlimit);
	nexus_quota_record(&rec, kind, id);
	rec.inodes_hard = cpu_to_le64(use[NEXUS_Q_INODES].hard);
	rec.inodes_soft = cpu_to_le64(use[NEXUS_Q_INODES].soft);
	rec.blocks_hard = cpu_to_le64(use[NEXUS_Q_BLOCKS].hard);
	rec.blocks_soft = cpu_to_le64(use[NEXUS_Q_BLOCKS].soft);
	return nexus_quota_append(sb, &rec);
}

/* Grace times are known with any id of the kind. */
static int nexus_quota_know(struct super_block *sb, unsigned int kind)
{
	struct nexus_quota_use use[NEXUS_Q_WHAT];

	return nexus_quota_get(nexus_sb_zone(sb), kind, 0, use);
}

static int nexus_quota_get_state(struct super_block *sb, struct qc_state *state)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	int type, err;

	memset(state, 0, sizeof(*state));
	for (type = 0; type < MAXQUOTAS; type++) {
		struct qc_type_state *s = &state->s_state[type];
		unsigned int kind = nexus_quota_kind(type);

		err = nexus_quota_know(sb, kind);
		if (err)
			return err;
		s->flags = QCI_ACCT_ENABLED | QCI_LIMITS_ENFORCED | QCI_SYSFILE;
		s->spc_timelimit = nexus_quota_grace(zone, kind, NEXUS_Q_BLOCKS);
		s->ino_timelimit = nexus_quota_grace(zone, kind, NEXUS_Q_INODES);
	}
	return 0;
}

static int nexus_quota_set_info(struct super_block *sb, int type,
				struct qc_info *info)
{
	struct nexus_zone *zone = nexus_sb_zone(sb);
	unsigned int kind = nexus_quota_kind(type);
	struct nexus_rec_quota rec;
	u32 inodes, blocks;
	int err;

	if (info->i_fieldmask & ~NEXUS_QC_TIMERS)
		return -EINVAL;
	err = nexus_quota_know(sb, kind);
	if (err)
		return err;
	inodes = nexus_quota_grace(zone, kind, NEXUS_Q_INODES);
	blocks = nexus_quota_grace(zone, kind, NEXUS_Q_BLOCKS);
	if (info->i_fieldmask & QC_INO_TIMER)
		inodes = info->i_ino_timelimit;
	if (info->i_fieldmask & QC_SPC_TIMER)
		blocks = info->i_spc_timelimit;
	if (inodes > S32_MAX || blocks > S32_MAX)
		return -ERANGE;
	nexus_quota_record(&rec, NEXUS_QUOTA_GRACE + kind, 0);
	rec.inodes_soft = cpu_to_le64(inodes);
	rec.blocks_soft = cpu_to_le64(blocks);
	return nexus_quota_append(sb, &rec);
}

/* Usage is never behind; this is for limits just set. */
static int nexus_quota_sync(struct super_block *sb, int type)
{
	return nexus_log_sync(nexus_sb_zone(sb));
}

static const struct quotactl_ops nexus_quotactl_ops = {
	.quota_sync	= nexus_quota_sync,
	.set_info	= nexus_quota_set_info,
	.get_dqblk	= nexus_get_dqblk,
	.get_nextdqblk	= nexus_get_nextdqblk,
	.set_dqblk	= nexus_set_dqblk,
	.get_state	= nexus_quota_get_state,
};

void nexus_quota_setup_sb(struct super_block *sb)
{
	sb->s_qcop = &nexus_quotactl_ops;
	sb->s_quota_types = QTYPE_MASK_USR | QTYPE_MASK_GRP | QTYPE_MASK_PRJ;
}

#else

void nexus_quota_setup_sb(struct super_block *sb)
{
}

#endif /* CONFIG_QUOTACTL */

/* ---- statfs ------------------------------------------------------------------ */

/* *@total and *@left are bound by the limit, the soft one if there is one. */
static void nexus_quota_bound(const struct nexus_quota_use *u, u64 *total,
			      u64 *left)
{
	u64 limit = u->soft ?: u->hard, used = u->used + u->reserved;

	if (!limit)
		return;
	*left = min(*left, limit > used ? limit - used : 0);
	*total = min(*total, limit);
}

static int nexus_quota_bound_by(struct nexus_zone *zone, unsigned int kind,
				u32 id, struct kstatfs *buf)
{
	struct nexus_quota_use use[NEXUS_Q_WHAT];
	int err = nexus_quota_get(zone, kind, id, use);

	if (err)
		return err;
	nexus_quota_bound(&use[NEXUS_Q_BLOCKS], &buf->f_blocks, &buf->f_bfree);
	nexus_quota_bound(&use[NEXUS_Q_INODES], &buf->f_files, &buf->f_ffree);
	buf->f_bavail = buf->f_bfree;
	return 0;
}

int nexus_quota_statfs_load(struct nexus_zone *zone)
{
	struct nexus_quota_use use[NEXUS_Q_WHAT];

	if (!nexus_quota_limited(zone, NEXUS_QUOTA_ZONE))
		return 0;
	return nexus_quota_get(zone, NEXUS_QUOTA_ZONE, 0, use);
}

int nexus_quota_statfs(struct inode *inode, struct kstatfs *buf)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 projid = READ_ONCE(ni->projid);
	int err = 0;

	if (nexus_quota_limited(ni->zone, NEXUS_QUOTA_ZONE))
		err = nexus_quota_bound_by(ni->zone, NEXUS_QUOTA_ZONE, 0, buf);
	if (!err && projid && READ_ONCE(ni->iflags) & NEXUS_IF_PROJINHERIT &&
	    nexus_quota_limited(ni->zone, NEXUS_QUOTA_PROJECT))
		err = nexus_quota_bound_by(ni->zone, NEXUS_QUOTA_PROJECT, projid,
					   buf);
	return err;
}
