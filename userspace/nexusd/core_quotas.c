// SPDX-License-Identifier: Apache-2.0
/* The control operations: quotas, of zones that are served and of those at rest. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_impl.h"
#include "helper.h"
#include "quota.h"

struct place {
	struct helper *h;
	const char *name;
	struct zone *z;
	bool served;		/* the kernel has it; else we opened it, under its lock */
};

static int open_at_rest(struct place *p, bool change, struct errline *err)
{
	char reason[112];
	int ret;

	ret = helper_claim(p->h, p->name);
	if (ret == -EBUSY)
		return err_set(err, ret, "the zone is being opened or closed; ask again");
	if (ret)
		return ret;
	p->z = zone_new(NULL, &p->h->cfg, &p->h->chan, p->name);
	ret = p->z ? store_find_zone(&p->h->cfg, p->name, p->z->dir, err) : -ENOMEM;
	if (!ret)
		ret = store_lock_zone(p->z->dir, change ? "nexusd, setting a quota" : NULL, 0,
				      &p->z->lock_fd, err);
	if (!ret)
		ret = zone_load(p->z, !change, false, err);
	if (!ret && change && zone_error(p->z, reason))
		ret = err_set(err, -EUCLEAN, "%s; fsck.nexusfs tells more", reason);
	if (ret) {
		zone_put(p->z);
		helper_release(p->h, p->name);
	}
	return ret;
}

static int place_open(struct place *p, struct helper *h, const char *name, bool change,
		      struct control_err *cerr)
{
	struct errline err = { "" };
	char dir[PATH_MAX], buf[128];
	int ret;

	p->h = h;
	p->name = name;
	ret = store_find_zone(&h->cfg, name, dir, &err);
	if (ret)
		return control_err(cerr, ret, "%s", err_text(&err, ret, buf, sizeof(buf)));
	p->z = helper_zone_by_name(h, name);
	p->served = p->z;
	if (p->served)
		return 0;
	ret = open_at_rest(p, change, &err);
	if (ret)
		return control_err(cerr, ret, "zone %s: %s", name,
				   err_text(&err, ret, buf, sizeof(buf)));
	return 0;
}

static void place_close(struct place *p)
{
	zone_put(p->z);
	if (!p->served)
		helper_release(p->h, p->name);
}

static void to_control(struct control_quota *q, const struct nexus_quota_reply *r)
{
	q->id = (uint32_t)r->id;
	q->inodes = r->inodes;
	q->blocks = r->blocks;
	q->inodes_hard = r->inodes_hard;
	q->inodes_soft = r->inodes_soft;
	q->blocks_hard = r->blocks_hard;
	q->blocks_soft = r->blocks_soft;
	q->inodes_time = r->inodes_time;
	q->blocks_time = r->blocks_time;
	q->inodes_grace = r->inodes_grace;
	q->blocks_grace = r->blocks_grace;
}

struct list_arg {
	uint32_t kind;
	control_quota_fn fn;
	void *arg;
};

static int give(void *arg, const struct nexus_quota_reply *r)
{
	const struct list_arg *la = arg;
	struct control_quota q = { .kind = la->kind };

	to_control(&q, r);
	return la->fn(la->arg, &q);
}

int core_quota_list(void *ctx, const char *zone, uint32_t kind, uint32_t from,
		    control_quota_fn fn, void *arg, struct control_err *err)
{
	struct list_arg la = { kind, fn, arg };
	struct place p = { .z = NULL };
	int ret = place_open(&p, ctx, zone, false, err);

	if (ret)
		return ret;
	ret = quota_list(p.z, (u8)kind, from, give, &la);
	place_close(&p);
	return ret;
}

int core_quota_get(void *ctx, const char *zone, struct control_quota *q,
		   struct control_err *err)
{
	struct nexus_quota_reply r;
	struct place p = { .z = NULL };
	int ret = place_open(&p, ctx, zone, false, err);

	if (ret)
		return ret;
	ret = quota_get(p.z, (u8)q->kind, q->id, &r);
	if (!ret)
		to_control(q, &r);
	place_close(&p);
	return ret;
}

static int change(void *ctx, const char *zone, struct nexus_rec_quota *rec,
		  struct control_err *cerr)
{
	struct errline err = { "" };
	struct place p = { .z = NULL };
	char buf[128];
	int ret = place_open(&p, ctx, zone, true, cerr);

	if (ret)
		return ret;
	ret = quota_record(p.z, rec, &err);
	if (!ret && p.served)
		ret = quota_submit(p.z, rec, &err);
	else if (!ret)
		ret = zone_append(p.z, &rec->head, &err);
	if (ret)
		control_err(cerr, ret, "zone %s: %s", zone, err_text(&err, ret, buf, sizeof(buf)));
	place_close(&p);
	return ret;
}

int core_quota_set(void *ctx, const char *zone, const struct control_quota *q,
		   struct control_err *err)
{
	struct nexus_rec_quota rec = {
		.id = cpu_to_le64(q->id),
		.kind = cpu_to_le32(q->kind),
		.inodes_hard = cpu_to_le64(q->inodes_hard),
		.inodes_soft = cpu_to_le64(q->inodes_soft),
		.blocks_hard = cpu_to_le64(q->blocks_hard),
		.blocks_soft = cpu_to_le64(q->blocks_soft),
	};

	return change(ctx, zone, &rec, err);
}

int core_quota_grace(void *ctx, const char *zone, uint32_t kind, uint64_t inodes,
		     uint64_t blocks, struct control_err *err)
{
	struct nexus_rec_quota rec = {
		.kind = cpu_to_le32(NEXUS_QUOTA_GRACE + kind),
		.inodes_soft = cpu_to_le64(inodes),
		.blocks_soft = cpu_to_le64(blocks),
	};

	return change(ctx, zone, &rec, err);
}
