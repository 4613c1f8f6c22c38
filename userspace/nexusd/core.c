// SPDX-License-Identifier: Apache-2.0
/* The control operations: zones. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "core_impl.h"
#include "genl.h"
#include "helper.h"
#include "upgrade.h"
#include "zone.h"

static int to_control(struct control_err *err, int ret, const struct errline *line,
		      const char *name)
{
	char buf[128];

	return control_err(err, ret, "zone %s: %s", name,
			   err_text(line, ret, buf, sizeof(buf)));
}

/* ---- create ------------------------------------------------------------------ */

/* One more setting behind the address of a store. */
static int add_setting(char spec[CONTENT_SPEC_MAX], const struct control_option *opt,
		       struct control_err *err)
{
	size_t at = strlen(spec);

	if (strpbrk(opt->key, ";=\n") || strpbrk(opt->value, ";\n"))
		return control_err(err, -EINVAL, "option \"%s\" has one of ; = or the end of a line",
				   opt->key);
	if (snprintf(spec + at, CONTENT_SPEC_MAX - at, ";%s=%s", opt->key, opt->value) >=
	    (int)(CONTENT_SPEC_MAX - at))
		return control_err(err, -ENAMETOOLONG, "the store and its options are too long");
	return 0;
}

/* @spec: of a store elsewhere, or NULL. */
static int set_option(struct store_create *sc, const struct control_option *opt, char *spec,
		      struct control_err *err)
{
	u64 value;

	if (strcmp(opt->key, "segment_size") && strcmp(opt->key, "pack_size"))
		return spec ? add_setting(spec, opt, err) : control_err(err, -EINVAL,
				   "there is no option \"%s\" of a localdisk zone; there are: segment_size, pack_size",
				   opt->key);
	if (config_parse_size(opt->value, &value))
		return control_err(err, -EINVAL, "%s is \"%s\"; a size such as 64M is expected",
				   opt->key, opt->value);
	if (opt->key[0] == 's')
		sc->segment_size = value;
	else
		sc->pack_size = value;
	return 0;
}

static int core_zone_create(void *ctx, const char *name, const char *store,
			    const struct control_option *opts, size_t nopts,
			    struct control_err *err)
{
	struct helper *h = ctx;
	struct store_create sc = {
		.name = name,
		.segment_size = h->cfg.segment_size,
		.pack_size = h->cfg.pack_size,
		.segments = h->cfg.segments,
		.packs = ZONE_SPARE_PACKS,
	};
	struct errline line = { "" };
	char buf[128], spec[CONTENT_SPEC_MAX];
	bool away = !strncmp(store, "s3:", 3);
	size_t i;
	int ret;

	if (store[0] && strcmp(store, h->cfg.objectstore->name) && !away)
		return control_err(err, -EOPNOTSUPP,
				   "store \"%s\": there are \"%s\" and s3://BUCKET/PREFIX",
				   store, h->cfg.objectstore->name);
	if (away && (strlen(store) >= sizeof(spec) || !content_spec_ok(store) || strchr(store, ';')))
		return control_err(err, -EINVAL,
				   "store \"%.200s\": it must be s3://BUCKET or s3://BUCKET/PREFIX",
				   store);
	snprintf(spec, sizeof(spec), "%s", away ? store : "");
	sc.content = away ? spec : NULL;
	for (i = 0; i < nopts; i++) {
		ret = set_option(&sc, &opts[i], away ? spec : NULL, err);
		if (ret)
			return ret;
	}
	ret = store_create_zone(&h->cfg, &sc, &line);
	if (ret)
		return control_err(err, ret, "%s", err_text(&line, ret, buf, sizeof(buf)));
	log_info("zone %s was made", name);
	return 0;
}

/* ---- list and info ------------------------------------------------------------- */

static void fill_super(struct control_zone_info *info, const struct super *sb)
{
	memcpy(info->uuid, sb->uuid, sizeof(info->uuid));
	info->format_version = sb->format;
	info->compat = sb->compat;
	info->ro_compat = sb->ro_compat;
	info->incompat = sb->incompat;
}

static int count_pack(void *arg, u64 pack)
{
	(void)pack;
	(*(u64 *)arg)++;
	return 0;
}

static void fill_open(struct control_zone_info *info, struct zone *z)
{
	u64 inodes = 0, blocks = 0, packs = 0;
	char reason[112];

	fill_super(info, &z->sb);
	info->state = CONTROL_ZONE_MOUNTED;
	if (zone_error(z, reason)) {
		info->state = CONTROL_ZONE_READ_ONLY;
		memcpy(info->reason, reason, sizeof(reason));
	} else if (zone_flags(z) & NEXUS_LF_READONLY) {
		info->state = CONTROL_ZONE_READ_ONLY;
		if (genl_zone_reason(z->cfg->session, z->name, info->reason,
				     sizeof(info->reason)))
			snprintf(info->reason, sizeof(info->reason),
				 "the module made it read-only; the kernel log says why");
	} else if (z->rdonly) {
		info->state = CONTROL_ZONE_READ_ONLY;
		snprintf(info->reason, sizeof(info->reason), "mounted read-only");
	}
	if (z->ring.ctl)
		info->lsn_tail = __atomic_load_n(&z->ring.ctl->tail, __ATOMIC_ACQUIRE);
	info->lsn_durable = zone_durable(z);
	info->lsn_applied = memtable_applied(&z->mt);
	info->lsn_checkpoint = atomic_load(&z->checkpoint);
	zone_usage(z, &inodes, &blocks);
	info->inodes = inodes;
	info->bytes = blocks * NEXUS_BLOCK_SIZE;
	z->os->drv->list(z->os, count_pack, &packs);
	info->packs = packs;
	info->segments = core_count_segments(z->dir);
}

/* Counts of the zone's totals, straight out of the index. */
static void read_totals(struct nexus_metastore *ms, struct control_zone_info *info)
{
	struct nexus_ms_snap *snap;
	struct nexus_quota_val q;
	struct nexus_key k;
	const void *val;
	size_t len;

	nexus_key_quota(&k, NEXUS_QUOTA_ZONE, 0);
	if (ms->drv->begin_read(ms, &snap))
		return;
	if (!ms->drv->get(snap, k.b, k.len, &val, &len) && len >= sizeof(q)) {
		memcpy(&q, val, sizeof(q));
		info->inodes = le64_to_cpu(q.inodes);
		info->bytes = le64_to_cpu(q.blocks) * NEXUS_BLOCK_SIZE;
	}
	ms->drv->end_read(snap);
}

/* Looks into a store that nobody has open; changes nothing. */
static int fill_closed(struct helper *h, const char *name, const char *dir,
		       struct control_zone_info *info, struct errline *line)
{
	struct nexus_objectstore *os;
	struct nexus_metastore *ms;
	struct super *sb;
	bool ro_feature;
	u64 packs = 0;
	int ret;

	ret = store_open_index(&h->cfg, dir, true, &ms, line);
	if (ret)
		return ret;
	sb = malloc(sizeof(*sb));
	ret = sb ? super_read(ms, sb, &ro_feature, line) : -ENOMEM;
	if (!ret) {
		fill_super(info, sb);
		info->state = CONTROL_ZONE_IDLE;
		info->lsn_checkpoint = sb->checkpoint;
		info->lsn_applied = sb->checkpoint;
		if (sb->flags & NEXUS_ZF_CLEAN) {
			info->lsn_tail = sb->checkpoint;
			info->lsn_durable = sb->checkpoint;
		}
		read_totals(ms, info);
		info->segments = core_count_segments(dir);
		if (!store_open_packs(&h->cfg, dir, &os, NULL)) {
			os->drv->list(os, count_pack, &packs);
			info->packs = packs;
			os->drv->close(os);
		}
	}
	free(sb);
	ms->drv->close(ms);
	(void)name;
	return ret;
}

static int fill_zone(struct helper *h, const char *name, struct control_zone_info *info,
		     struct errline *line)
{
	char dir[PATH_MAX], spec[CONTENT_SPEC_MAX];
	struct zone *z;
	int fd, ret;

	snprintf(info->name, sizeof(info->name), "%s", name);
	snprintf(info->store, sizeof(info->store), "%s", h->cfg.objectstore->name);
	ret = store_find_zone(&h->cfg, name, dir, line);
	if (ret)
		return ret;
	snprintf(info->data_dir, sizeof(info->data_dir), "%s", dir);
	/* Its address: the settings behind it are in the file. */
	if (!store_read_content(dir, spec, NULL))
		snprintf(info->store, sizeof(info->store), "%.*s", (int)strcspn(spec, ";"), spec);
	z = helper_zone_by_name(h, name);
	if (z) {
		fill_open(info, z);
		zone_put(z);
		return 0;
	}
	ret = helper_claim(h, name);
	if (ret == -EBUSY)
		return err_set(line, ret, "the zone is being opened or closed; ask again");
	if (ret)
		return ret;
	ret = store_lock_zone(dir, NULL, 0, &fd, line);
	if (!ret) {
		ret = fill_closed(h, name, dir, info, line);
		close(fd);
	} else if (ret == -EBUSY && !genl_zone_reason(h->cfg.session, name, info->reason,
						      sizeof(info->reason))) {
		/* Mounted, and we could not take it over. */
		info->state = CONTROL_ZONE_READ_ONLY;
		ret = 0;
	}
	helper_release(h, name);
	return ret;
}

static int core_zone_info(void *ctx, const char *name, struct control_zone_info *info,
			  struct control_err *err)
{
	struct errline line = { "" };
	int ret = fill_zone(ctx, name, info, &line);
	char buf[128];

	if (ret == -ENOENT || ret == -EINVAL)
		return control_err(err, ret, "%s", err_text(&line, ret, buf, sizeof(buf)));
	return ret ? to_control(err, ret, &line, name) : 0;
}

static int core_zone_list(void *ctx, control_zone_fn fn, void *arg,
			  struct control_err *err)
{
	struct control_zone_info *info = malloc(sizeof(*info));
	struct helper *h = ctx;
	char **names = NULL;
	size_t n = 0, i;
	char buf[128];
	int ret;

	if (!info)
		return -ENOMEM;
	ret = store_list_zones(&h->cfg, &names, &n);
	if (ret)
		control_err(err, ret, "%s/zones: %s", h->cfg.data_dir, strerror(-ret));
	for (i = 0; i < n && !ret; i++) {
		struct errline line = { "" };
		int bad;

		memset(info, 0, sizeof(*info));
		bad = fill_zone(h, names[i], info, &line);
		if (bad == -ENOENT)
			continue;
		/* One that cannot be read is in the list nevertheless. */
		if (bad) {
			info->state = CONTROL_ZONE_UNKNOWN;
			snprintf(info->reason, sizeof(info->reason), "%.255s",
				 err_text(&line, bad, buf, sizeof(buf)));
		}
		ret = fn(arg, info);
	}
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	free(info);
	return ret;
}

static int core_zone_upgrade(void *ctx, const char *name, struct control_err *err)
{
	struct errline line = { "" };
	struct helper *h = ctx;
	char dir[PATH_MAX];
	struct zone *z;
	char buf[128];
	int ret;

	z = helper_zone_by_name(h, name);
	if (z) {
		zone_put(z);
		return control_err(err, -EBUSY, "zone %s is mounted; unmount it first", name);
	}
	ret = store_find_zone(&h->cfg, name, dir, &line);
	if (ret)
		return control_err(err, ret, "%s", err_text(&line, ret, buf, sizeof(buf)));
	ret = helper_claim(h, name);
	if (ret == -EBUSY)
		return control_err(err, ret, "zone %s is being opened or closed; ask again", name);
	if (ret)
		return ret;
	ret = upgrade_zone(&h->cfg, name, dir, &line);
	helper_release(h, name);
	if (ret)
		ret = control_err(err, ret, "zone %s: %s", name,
				  err_text(&line, ret, buf, sizeof(buf)));
	return ret;
}

const struct control_ops core_ops = {
	.zone_create	= core_zone_create,
	.zone_list	= core_zone_list,
	.zone_info	= core_zone_info,
	.zone_upgrade	= core_zone_upgrade,
	.pack_list	= core_pack_list,
	.pack_verify	= core_pack_verify,
	.pack_compact	= core_pack_compact,
	.pack_evict	= core_pack_evict,
	.quota_list	= core_quota_list,
	.quota_get	= core_quota_get,
	.quota_set	= core_quota_set,
	.quota_grace	= core_quota_grace,
	.uploads	= core_uploads,
	.gc		= core_gc,
	.refresh	= core_refresh,
	.scrub		= core_scrub,
	.service_list	= core_service_list,
	.service_load	= core_service_load,
	.service_swap	= core_service_swap,
	.service_unload	= core_service_unload,
	.stats		= core_stats,
	.status		= core_status,
	.boot		= core_boot,
	.profile	= core_profile,
	.version	= core_version,
};
