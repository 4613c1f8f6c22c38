// SPDX-License-Identifier: Apache-2.0
/* nexusctl quota list, get, set, clear. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/quota.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nexusctl.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

#define BLOCK	4096u

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s%s%s; see: nexusctl help\n", what, *arg ? " " : "", arg);
	return EXIT_USAGE;
}

/* ---- whose -------------------------------------------------------------------- */

static const char *kind_name(enum nexus_quota_kind kind)
{
	static const char *const names[] = { "zone", "user", "group", "project" };

	return names[kind];
}

/* A name, or a number whatever is called so. */
static int find_id(const struct ctl *ctl, uint32_t *id)
{
	const struct passwd *pw;
	const struct group *gr;
	uint64_t n;

	if (ctl->quota_kind == NEXUS_QUOTA_OF_ZONE) {
		*id = 0;
		return EXIT_OK;
	}
	if (!ctl->quota_id || !*ctl->quota_id)
		return usage("whose? --user=NAME, --group=NAME, --project=ID", "");
	if (parse_number(ctl->quota_id, 0, UINT64_MAX, &n)) {
		if (n >= UINT32_MAX)
			return usage("no such id:", ctl->quota_id);
		*id = (uint32_t)n;
		return EXIT_OK;
	}
	if (ctl->quota_kind == NEXUS_QUOTA_OF_PROJECT)
		return usage("a project is a number, not", ctl->quota_id);
	if (ctl->quota_kind == NEXUS_QUOTA_OF_USER) {
		pw = getpwnam(ctl->quota_id);
		if (!pw)
			return usage("there is no user", ctl->quota_id);
		*id = pw->pw_uid;
		return EXIT_OK;
	}
	gr = getgrnam(ctl->quota_id);
	if (!gr)
		return usage("there is no group", ctl->quota_id);
	*id = gr->gr_gid;
	return EXIT_OK;
}

static const char *id_name(const struct nexus_quota *q, char buf[32])
{
	const struct passwd *pw = NULL;
	const struct group *gr = NULL;

	if (q->kind == NEXUS_QUOTA_OF_ZONE)
		return "-";
	if (q->kind == NEXUS_QUOTA_OF_USER)
		pw = getpwuid(q->id);
	if (q->kind == NEXUS_QUOTA_OF_GROUP)
		gr = getgrgid(q->id);
	if (pw || gr)
		return pw ? pw->pw_name : gr->gr_name;
	snprintf(buf, 32, "%" PRIu32, q->id);
	return buf;
}

/* ---- out ------------------------------------------------------------------------ */

struct list_arg {
	struct json json;
	bool as_json;
	size_t n;
};

/* Until when it may stay above, 0: it is not. */
static uint64_t expires(uint64_t since, uint64_t grace)
{
	return since ? since + grace : 0;
}

static void size_text(uint64_t blocks, char text[24])
{
	static const char units[] = "KMGTPE";
	uint64_t kib = blocks > UINT64_MAX / 4 ? UINT64_MAX : blocks * 4;
	size_t unit = 0;

	while (kib >= 10240 && unit < sizeof(units) - 2) {
		kib /= 1024;
		unit++;
	}
	if (blocks)
		snprintf(text, 24, "%" PRIu64 "%c", kib, units[unit]);
	else
		snprintf(text, 24, "0");
}

static void limit_text(uint64_t value, bool size, char text[24])
{
	if (!value)
		snprintf(text, 24, "-");
	else if (size)
		size_text(value, text);
	else
		snprintf(text, 24, "%" PRIu64, value);
}

static void print_row(const struct nexus_quota *q)
{
	char name[32], bs[24], bh[24], is[24], ih[24], used[24];

	limit_text(q->blocks_soft, true, bs);
	limit_text(q->blocks_hard, true, bh);
	limit_text(q->inodes_soft, false, is);
	limit_text(q->inodes_hard, false, ih);
	size_text(q->blocks, used);
	printf("%-8s %-16s %8s%c %8s %8s %9" PRIu64 "%c %9s %9s\n", kind_name(q->kind),
	       id_name(q, name), used, q->blocks_time ? '+' : ' ', bs, bh, q->inodes,
	       q->inodes_time ? '+' : ' ', is, ih);
}

static void json_part(struct json *json, const char *key, uint64_t used, uint64_t soft,
		      uint64_t hard, uint64_t since, uint64_t grace)
{
	json_open(json, key, '{');
	json_number(json, "used", used);
	json_number(json, "soft", soft);
	json_number(json, "hard", hard);
	json_number(json, "expires", expires(since, grace));
	json_number(json, "grace", grace);
	json_close(json, '}');
}

static uint64_t bytes(uint64_t blocks)
{
	return blocks > UINT64_MAX / BLOCK ? UINT64_MAX : blocks * BLOCK;
}

static int print_quota(void *arg, const struct nexus_quota *q)
{
	struct list_arg *la = arg;

	if (!la->as_json) {
		if (!la->n++)
			printf("%-8s %-16s %8s  %8s %8s %9s  %9s %9s\n", "KIND", "NAME",
			       "SIZE", "SOFT", "HARD", "INODES", "SOFT", "HARD");
		print_row(q);
		return 0;
	}
	json_open(&la->json, NULL, '{');
	json_string(&la->json, "kind", kind_name(q->kind));
	json_number(&la->json, "id", q->id);
	json_part(&la->json, "bytes", bytes(q->blocks), bytes(q->blocks_soft),
		  bytes(q->blocks_hard), q->blocks_time, q->blocks_grace);
	json_part(&la->json, "inodes", q->inodes, q->inodes_soft, q->inodes_hard,
		  q->inodes_time, q->inodes_grace);
	json_close(&la->json, '}');
	return 0;
}

int cmd_quota_list(struct ctl *ctl)
{
	struct list_arg la = { .json = { .out = stdout }, .as_json = ctl->json };
	int first = NEXUS_QUOTA_OF_ZONE, last = NEXUS_QUOTA_OF_PROJECT, kind;
	int ret = 0;

	if (ctl->quota_given) {
		first = ctl->quota_kind;
		last = first;
	}
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (ctl->json)
		json_open(&la.json, NULL, '[');
	for (kind = first; kind <= last && !ret; kind++)
		ret = nexus_quota_list(ctl->client, ctl->args[0],
				       (enum nexus_quota_kind)kind, print_quota, &la);
	if (ret)
		return ctl_failed(ctl);
	if (ctl->json)
		json_close(&la.json, ']');
	return EXIT_OK;
}

/*
 * Of a mounted filesystem, as the kernel says: everybody may ask for what is their
 * own, and needs no helper for it.
 */
static int get_mounted(const struct ctl *ctl, uint32_t id, struct list_arg *la)
{
	static const int types[] = { -1, USRQUOTA, GRPQUOTA, PRJQUOTA };
	int type = types[ctl->quota_kind], fd, ret;
	struct nexus_quota q = { .kind = ctl->quota_kind, .id = id };
	struct if_dqinfo info;
	struct if_dqblk d;

	if (type < 0)
		return usage("the zone's quota has no path; give its name, not", ctl->args[0]);
	fd = open(ctl->args[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = fd < 0 ? -1 : 0;
	if (!ret)
		ret = (int)syscall(SYS_quotactl_fd, fd, QCMD(Q_GETQUOTA, type), id, &d);
	if (!ret)
		ret = (int)syscall(SYS_quotactl_fd, fd, QCMD(Q_GETINFO, type), 0, &info);
	if (ret)
		fprintf(stderr, "nexusctl: %s: %s\n", ctl->args[0], strerror(errno));
	if (fd >= 0)
		close(fd);
	if (ret)
		return EXIT_FAILED;
	q.inodes = d.dqb_curinodes;
	q.blocks = d.dqb_curspace / BLOCK;
	q.inodes_hard = d.dqb_ihardlimit;
	q.inodes_soft = d.dqb_isoftlimit;
	q.blocks_hard = d.dqb_bhardlimit / (BLOCK / 1024);
	q.blocks_soft = d.dqb_bsoftlimit / (BLOCK / 1024);
	q.inodes_grace = info.dqi_igrace;
	q.blocks_grace = info.dqi_bgrace;
	q.inodes_time = d.dqb_itime ? d.dqb_itime - info.dqi_igrace : 0;
	q.blocks_time = d.dqb_btime ? d.dqb_btime - info.dqi_bgrace : 0;
	print_quota(la, &q);
	return EXIT_OK;
}

int cmd_quota_get(struct ctl *ctl)
{
	struct list_arg la = { .json = { .out = stdout }, .as_json = ctl->json };
	uint32_t id;
	int ret;

	if (!ctl->quota_given)
		return usage("whose? --user, --group, --project or --zone", "");
	ret = find_id(ctl, &id);
	if (ret != EXIT_OK)
		return ret;
	if (strchr(ctl->args[0], '/'))
		return get_mounted(ctl, id, &la);
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_quota_get(ctl->client, ctl->args[0], ctl->quota_kind, id, print_quota, &la))
		return ctl_failed(ctl);
	return EXIT_OK;
}

/* ---- in --------------------------------------------------------------------------- */

/* "10M"; sizes are rounded up to blocks, inodes have decimal suffixes. */
static bool parse_one(const char *text, bool size, uint64_t *value)
{
	static const char units[] = "KMGTPE";
	uint64_t factor = 1, step = size ? 1024 : 1000, n;
	const char *unit;
	char *end;

	if (!strcmp(text, "none") || !strcmp(text, "-")) {
		*value = 0;
		return true;
	}
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *text < '0' || *text > '9')
		return false;
	if (*end) {
		unit = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
		if (!unit || end[1])
			return false;
		for (; unit >= units; unit--)
			factor *= step;
	}
	if (n > UINT64_MAX / factor)
		return false;
	n *= factor;
	*value = size ? n / BLOCK + (n % BLOCK != 0) : n;
	return true;
}

/* "SOFT/HARD", or one value for the hard limit; "": that one stays. */
static int parse_pair(char *text, bool size, uint64_t *soft, uint64_t *hard)
{
	char *slash;

	if (!text)
		return EXIT_OK;
	slash = strchr(text, '/');
	if (slash) {
		*slash = '\0';
		if (*text && !parse_one(text, size, soft))
			return usage("no limit:", text);
		text = slash + 1;
	}
	if (*text && !parse_one(text, size, hard))
		return usage("no limit:", text);
	return EXIT_OK;
}

/* Seconds, or with m, h, d, w. */
static bool parse_time(const char *text, uint64_t *value)
{
	static const struct { char unit; uint64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 },
	};
	size_t i;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *value > UINT32_MAX)
		return false;
	if (!*end)
		return true;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit && !end[1]) {
			*value *= units[i].seconds;
			return true;
		}
	return false;
}

static int keep_quota(void *arg, const struct nexus_quota *q)
{
	*(struct nexus_quota *)arg = *q;
	return 0;
}

static int set_grace(struct ctl *ctl)
{
	uint64_t seconds;

	if (ctl->quota_id || ctl->quota_blocks || ctl->quota_inodes)
		return usage("--grace is of a kind: give --user or another, and no limits", "");
	if (!parse_time(ctl->quota_grace, &seconds))
		return usage("no time:", ctl->quota_grace);
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_quota_grace(ctl->client, ctl->args[0], ctl->quota_kind, seconds, seconds))
		return ctl_failed(ctl);
	return EXIT_OK;
}

int cmd_quota_set(struct ctl *ctl)
{
	struct nexus_quota q;
	uint32_t id;
	int ret;

	if (!ctl->quota_given)
		return usage("whose? --user, --group, --project or --zone", "");
	if (ctl->quota_grace)
		return set_grace(ctl);
	if (!ctl->quota_blocks && !ctl->quota_inodes)
		return usage("which limit? --blocks, --inodes", "");
	ret = find_id(ctl, &id);
	if (ret != EXIT_OK)
		return ret;
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_quota_get(ctl->client, ctl->args[0], ctl->quota_kind, id, keep_quota, &q))
		return ctl_failed(ctl);
	ret = parse_pair(ctl->quota_blocks, true, &q.blocks_soft, &q.blocks_hard);
	if (ret == EXIT_OK)
		ret = parse_pair(ctl->quota_inodes, false, &q.inodes_soft, &q.inodes_hard);
	if (ret != EXIT_OK)
		return ret;
	if (nexus_quota_set(ctl->client, ctl->args[0], &q))
		return ctl_failed(ctl);
	return EXIT_OK;
}

int cmd_quota_clear(struct ctl *ctl)
{
	struct nexus_quota q = { .id = 0 };
	int ret;

	if (!ctl->quota_given)
		return usage("whose? --user, --group, --project or --zone", "");
	q.kind = ctl->quota_kind;
	ret = find_id(ctl, &q.id);
	if (ret != EXIT_OK)
		return ret;
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	if (nexus_quota_set(ctl->client, ctl->args[0], &q))
		return ctl_failed(ctl);
	return EXIT_OK;
}
