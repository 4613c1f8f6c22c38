/* SPDX-License-Identifier: GPL-2.0-only */
/* Mount options, and what a mount is of. */
#ifndef NEXUS_KMOD_OPTIONS_H
#define NEXUS_KMOD_OPTIONS_H

#include <linux/types.h>

struct dentry;
struct fs_context;
struct nexus_sb;
struct seq_file;

enum nexus_durability { NEXUS_DURABLE_LOCAL, NEXUS_DURABLE_ORIGIN };
enum nexus_verify { NEXUS_VERIFY_REMOTE, NEXUS_VERIFY_ALWAYS };

struct nexus_opts {
	unsigned int grace;		/* seconds a LOST session may take, 60 */
	enum nexus_durability durability;
	enum nexus_verify verify;
	bool mem;			/* in-memory store, no helper */
	bool gate;			/* permission gate service required */
};

int nexus_init_fs_context(struct fs_context *fc);
int nexus_show_options(struct seq_file *m, struct dentry *root);
/*
 * Splits fc->source into session and zone name; refuses what is no zone, with
 * its reason.  0 or -EINVAL.
 */
int nexus_parse_source(struct fs_context *fc, struct nexus_sb *nsb);
/* Name of the first option that differs, or NULL. */
const char *nexus_opts_differ(const struct nexus_opts *a,
			      const struct nexus_opts *b);

#endif /* NEXUS_KMOD_OPTIONS_H */
