// SPDX-License-Identifier: GPL-2.0-only
/* Mount source and options: reading, refusing with a reason, showing. */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "foreign.h"

#define NEXUS_GRACE_DEFAULT	60u
#define NEXUS_GRACE_MAX		86400u

enum nexus_param {
	NEXUS_OPT_GRACE,
	NEXUS_OPT_DURABILITY,
	NEXUS_OPT_VERIFY,
	NEXUS_OPT_MEM,
	NEXUS_OPT_GATE,
};

static const struct fs_parameter_spec nexus_params[] = {
	fsparam_u32("grace", NEXUS_OPT_GRACE),
	fsparam_string("durability", NEXUS_OPT_DURABILITY),
	fsparam_string("verify", NEXUS_OPT_VERIFY),
	fsparam_flag("mem", NEXUS_OPT_MEM),
	fsparam_flag("gate", NEXUS_OPT_GATE),
	{}
};

static int nexus_parse_durability(struct fs_context *fc,
				  struct nexus_opts *opts, const char *value)
{
	if (!strcmp(value, "local")) {
		opts->durability = NEXUS_DURABLE_LOCAL;
		return 0;
	}
	if (!strcmp(value, "origin")) {
		opts->durability = NEXUS_DURABLE_ORIGIN;
		return 0;
	}
	errorfc(fc, "durability=%s: must be local or origin", value);
	return -EINVAL;
}

static int nexus_parse_verify(struct fs_context *fc, struct nexus_opts *opts,
			      const char *value)
{
	if (!strcmp(value, "remote")) {
		opts->verify = NEXUS_VERIFY_REMOTE;
		return 0;
	}
	if (!strcmp(value, "always")) {
		opts->verify = NEXUS_VERIFY_ALWAYS;
		return 0;
	}
	errorfc(fc, "verify=%s: must be remote or always", value);
	return -EINVAL;
}

static int nexus_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct nexus_sb *nsb = fc->s_fs_info;
	struct fs_parse_result result;
	int opt;

	opt = fs_parse(fc, nexus_params, param, &result);
	if (opt < 0)
		return opt;

	switch (opt) {
	case NEXUS_OPT_GRACE:
		if (result.uint_32 > NEXUS_GRACE_MAX) {
			errorfc(fc, "grace=%u: must be at most %u seconds",
				result.uint_32, NEXUS_GRACE_MAX);
			return -EINVAL;
		}
		nsb->opts.grace = result.uint_32;
		return 0;
	case NEXUS_OPT_DURABILITY:
		return nexus_parse_durability(fc, &nsb->opts, param->string);
	case NEXUS_OPT_VERIFY:
		return nexus_parse_verify(fc, &nsb->opts, param->string);
	case NEXUS_OPT_MEM:
		nsb->opts.mem = true;
		return 0;
	case NEXUS_OPT_GATE:
		errorfc(fc,
			"gate: this version has no permission gate service; mount without it");
		return -EOPNOTSUPP;
	}
	return -EINVAL;
}

/* "s3://BUCKET/PREFIX;KEY=VALUE", as the helper knows it: to be mounted by a name made of it. */
static int nexus_parse_bucket(struct fs_context *fc, struct nexus_sb *nsb)
{
	if (nsb->opts.mem || nsb->opts.durability == NEXUS_DURABLE_ORIGIN) {
		errorfc(fc, "%s: a bucket is shown as it is; mount it without %s", fc->source,
			nsb->opts.mem ? "mem" : "durability=origin");
		return -EINVAL;
	}
	if (strlen(fc->source) > NEXUS_BUCKET_MAX) {
		errorfc(fc, "%.32s...: more than %zu bytes; see the helper's setting buckets",
			fc->source, NEXUS_BUCKET_MAX);
		return -ENAMETOOLONG;
	}
	nexus_foreign_name(fc->source, nsb->name);
	nsb->bucket = fc->source;
	strscpy(nsb->session, "default", sizeof(nsb->session));
	return 0;
}

int nexus_parse_source(struct fs_context *fc, struct nexus_sb *nsb)
{
	const char *source = fc->source, *name, *colon;
	size_t len;

	if (!source || !*source) {
		errorfc(fc, "no zone named; use: mount -t nexusfs ZONE DIR");
		return -EINVAL;
	}
	if (!strncmp(source, "s3://", 5))
		return nexus_parse_bucket(fc, nsb);

	if (nsb->opts.mem && nsb->opts.durability == NEXUS_DURABLE_ORIGIN) {
		errorfc(fc, "durability=origin: a mem zone has no content store");
		return -EOPNOTSUPP;
	}

	colon = strchr(source, ':');
	name = colon ? colon + 1 : source;
	if (nsb->opts.mem && colon) {
		errorfc(fc, "%s: a mem zone belongs to no session; name the zone alone", source);
		return -EINVAL;
	}
	if (colon) {
		len = colon - source;
		/* The same rule as for zones. */
		if (!nexus_label_ok(source, len)) {
			errorfc(fc,
				"%s: bad session name before the colon; 1 to %u of a-z 0-9 -, not beginning with -",
				source, NEXUS_SESSION_NAME_MAX);
			return -EINVAL;
		}
		memcpy(nsb->session, source, len);
		nsb->session[len] = '\0';
	} else if (!nsb->opts.mem) {
		strscpy(nsb->session, "default", sizeof(nsb->session));
	}

	len = strlen(name);
	if (!nexus_label_ok(name, len)) {
		errorfc(fc, "%s: bad zone name; 1 to %u of a-z 0-9 -, not beginning with -",
			name, NEXUS_ZONE_NAME_MAX);
		return -EINVAL;
	}
	memcpy(nsb->name, name, len + 1);
	return 0;
}

const char *nexus_opts_differ(const struct nexus_opts *a,
			      const struct nexus_opts *b)
{
	if (a->mem != b->mem)
		return "mem";
	if (a->durability != b->durability)
		return "durability";
	if (a->gate != b->gate)
		return "gate";
	if (a->verify != b->verify)
		return "verify";
	if (a->grace != b->grace)
		return "grace";
	return NULL;
}

int nexus_show_options(struct seq_file *m, struct dentry *root)
{
	const struct nexus_opts *opts = &nexus_sb_zone(root->d_sb)->opts;
	unsigned int grace = READ_ONCE(opts->grace);

	if (opts->mem)
		seq_puts(m, ",mem");
	if (grace != NEXUS_GRACE_DEFAULT)
		seq_printf(m, ",grace=%u", grace);
	if (opts->durability == NEXUS_DURABLE_ORIGIN)
		seq_puts(m, ",durability=origin");
	if (READ_ONCE(opts->verify) == NEXUS_VERIFY_ALWAYS)
		seq_puts(m, ",verify=always");
	if (opts->gate)
		seq_puts(m, ",gate");
	return 0;
}

/* A context that was not consumed by sget_fc(). */
static void nexus_fc_free(struct fs_context *fc)
{
	kfree(fc->s_fs_info);
}

static const struct fs_context_operations nexus_fc_ops = {
	.free		= nexus_fc_free,
	.parse_param	= nexus_parse_param,
	.get_tree	= nexus_super_get_tree,
	.reconfigure	= nexus_super_reconfigure,
};

int nexus_init_fs_context(struct fs_context *fc)
{
	struct nexus_sb *nsb;

	nsb = kzalloc(sizeof(*nsb), GFP_KERNEL);
	if (!nsb)
		return -ENOMEM;
	INIT_LIST_HEAD(&nsb->busy);
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		nsb->opts = nexus_sb_zone(fc->root->d_sb)->opts;
	else
		nsb->opts.grace = NEXUS_GRACE_DEFAULT;
	fc->s_fs_info = nsb;
	fc->ops = &nexus_fc_ops;
	return 0;
}
