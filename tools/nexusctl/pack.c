// SPDX-License-Identifier: Apache-2.0
/*
 * nexusctl pack list, verify: by the helper when it serves the zone, else without
 * it; pack compact: by the helper.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "nexusctl.h"
#include "offline.h"

/* True when the helper is asked; false when the zone is looked at without it. */
static bool ask_helper(struct ctl *ctl)
{
	if (ctl->data_dir || ctl->config)
		return false;
	return !ctl_open(ctl);
}

static struct offline zone_of(const struct ctl *ctl)
{
	return (struct offline){
		.zone = ctl->args[0],
		.data_dir = ctl->data_dir,
		.config = ctl->config,
		.wait = ctl->wait,
	};
}

static int offline_error(const struct offline *o)
{
	fprintf(stderr, "nexusctl: %s\n", o->error);
	return EXIT_FAILED;
}

/* ---- list ------------------------------------------------------------------ */

struct list_arg {
	struct json json;
	bool as_json;
	size_t n;
};

static const char *state_name(uint32_t state)
{
	switch (state) {
	case NEXUS_PACK_IS_SPARE:
		return "spare";
	case NEXUS_PACK_IS_OPEN:
		return "open";
	case NEXUS_PACK_IS_SEALED:
		return "sealed";
	default:
		return "unknown";
	}
}

static void hex(const struct offline_pack *pack, char text[2 * 64 + 1])
{
	size_t i;

	text[0] = '\0';
	for (i = 0; i < pack->hash_len && i < 64; i++)
		sprintf(text + 2 * i, "%02x", pack->hash[i]);
}

/* How much of what was written into it is still in use. */
static uint64_t percent(const struct offline_pack *pack)
{
	if (pack->used <= pack->table_blocks)
		return 0;
	return (uint64_t)pack->live * 100 / (pack->used - pack->table_blocks);
}

static int print_pack(void *arg, const struct offline_pack *pack)
{
	struct list_arg *la = arg;
	char hash[2 * 64 + 1];

	hex(pack, hash);
	if (la->as_json) {
		if (!la->json.depth)
			json_open(&la->json, NULL, '[');
		json_open(&la->json, NULL, '{');
		json_number(&la->json, "pack", pack->pack);
		json_string(&la->json, "state", state_name(pack->state));
		json_number(&la->json, "length", (uint64_t)pack->blocks * 4096);
		json_number(&la->json, "blocks", pack->blocks);
		json_number(&la->json, "table_blocks", pack->table_blocks);
		json_number(&la->json, "used", pack->used);
		json_number(&la->json, "live", pack->live);
		json_number(&la->json, "percent", percent(pack));
		json_string(&la->json, "hash", *hash ? hash : NULL);
		json_close(&la->json, '}');
		return 0;
	}
	if (!la->n++)
		printf("%-8s %-7s %11s %8s %8s %4s  %s\n", "PACK", "STATE", "LENGTH",
		       "USED", "LIVE", "%", "HASH");
	printf("%-8" PRIu64 " %-7s ", pack->pack, state_name(pack->state));
	if (pack->blocks)
		printf("%11" PRIu64, (uint64_t)pack->blocks * 4096);
	else
		printf("%11s", "missing");
	printf(" %8" PRIu32 " %8" PRIu32 " %4" PRIu64 "  %s\n", pack->used, pack->live,
	       percent(pack), *hash ? hash : "-");
	return 0;
}

static int convert_pack(void *arg, const struct nexus_pack *pack)
{
	const struct offline_pack out = {
		.pack = pack->pack,
		.state = pack->state,
		.blocks = pack->blocks,
		.table_blocks = pack->table_blocks,
		.used = pack->used,
		.live = pack->live,
		.hash = pack->hash,
		.hash_len = pack->hash_len,
	};

	return print_pack(arg, &out);
}

int cmd_pack_list(struct ctl *ctl)
{
	struct list_arg la = { .json = { .out = stdout }, .as_json = ctl->json };
	struct offline o = zone_of(ctl);
	int ret = -ENXIO;

	if (ask_helper(ctl)) {
		ret = nexus_pack_list(ctl->client, o.zone, convert_pack, &la);
		if (ret && ret != -ENXIO)
			return ctl_failed(ctl);
	}
	if (ret && offline_pack_list(&o, print_pack, &la))
		return offline_error(&o);
	if (!ctl->json)
		return EXIT_OK;
	if (!la.json.depth)
		json_open(&la.json, NULL, '[');
	json_close(&la.json, ']');
	return EXIT_OK;
}

/* ---- verify ---------------------------------------------------------------- */

struct verify_arg {
	struct json json;
	bool as_json;
	const char *zone;
	uint64_t problems;
};

static void begin_json(struct verify_arg *va)
{
	if (va->json.depth)
		return;
	json_open(&va->json, NULL, '{');
	json_string(&va->json, "zone", va->zone);
	json_open(&va->json, "problems", '[');
}

static void problem_json(struct json *json, const struct offline_problem *p)
{
	json_open(json, NULL, '{');
	json_number(json, "pack", p->pack);
	json_number(json, "block", p->block);
	json_number(json, "inode", p->inode);
	json_number(json, "data_id", p->data_id);
	json_number(json, "offset", p->offset);
	json_string(json, "what", p->what);
	json_close(json, '}');
}

static int print_problem(void *arg, const struct offline_problem *p)
{
	struct verify_arg *va = arg;

	va->problems++;
	if (va->as_json) {
		begin_json(va);
		problem_json(&va->json, p);
		return 0;
	}
	if (!p->data_id)
		printf("pack %" PRIu64 ": %s\n", p->pack, p->what);
	else if (p->inode)
		printf("inode %" PRIu64 ", offset %" PRIu64 ": block %" PRIu32
		       " of pack %" PRIu64 " %s\n", p->inode, p->offset, p->block,
		       p->pack, p->what);
	else
		printf("data id %" PRIu64 ", offset %" PRIu64 ": block %" PRIu32
		       " of pack %" PRIu64 " %s\n", p->data_id, p->offset, p->block,
		       p->pack, p->what);
	return 0;
}

static int convert_problem(void *arg, const struct nexus_pack_problem *p)
{
	const struct offline_problem out = {
		.pack = p->pack, .block = p->block, .inode = p->inode,
		.data_id = p->data_id, .offset = p->offset, .what = p->what,
	};

	return print_problem(arg, &out);
}

static void print_sum(struct verify_arg *va, const struct offline_verified *seen)
{
	if (!va->as_json) {
		printf("zone %s: %" PRIu64 " packs, %" PRIu64 " extents, %" PRIu64
		       " blocks checked, %" PRIu64 " without a checksum: ", va->zone,
		       seen->packs, seen->extents, seen->blocks, seen->unchecked);
		if (seen->away)
			printf("%" PRIu64 " held elsewhere, ", seen->away);
		if (va->problems)
			printf("%" PRIu64 " problems\n", va->problems);
		else
			puts("all right");
		return;
	}
	begin_json(va);
	json_close(&va->json, ']');
	json_number(&va->json, "packs", seen->packs);
	json_number(&va->json, "extents", seen->extents);
	json_number(&va->json, "blocks", seen->blocks);
	json_number(&va->json, "unchecked", seen->unchecked);
	json_number(&va->json, "away", seen->away);
	json_close(&va->json, '}');
}

static int parse_packs(const struct ctl *ctl, uint64_t *packs)
{
	int i;

	for (i = 1; i < ctl->n_args; i++) {
		char *end;

		errno = 0;
		packs[i - 1] = strtoull(ctl->args[i], &end, 10);
		if (*end || errno || !packs[i - 1] || ctl->args[i][0] == '-') {
			fprintf(stderr, "nexusctl: \"%s\" is no number of a pack\n",
				ctl->args[i]);
			return EXIT_USAGE;
		}
	}
	return EXIT_OK;
}

static int verify(struct ctl *ctl, const uint64_t *packs, size_t n)
{
	struct verify_arg va = {
		.json = { .out = stdout }, .as_json = ctl->json, .zone = ctl->args[0],
	};
	struct offline o = zone_of(ctl);
	struct offline_verified seen = { 0 };
	struct nexus_verified served = { 0 };
	int ret = -ENXIO;

	if (ask_helper(ctl)) {
		ret = nexus_pack_verify(ctl->client, o.zone, packs, n, convert_problem,
					&va, &served);
		if (ret && ret != -ENXIO)
			return ctl_failed(ctl);
		seen = (struct offline_verified){
			served.packs, served.extents, served.blocks, served.unchecked,
			served.away,
		};
	}
	if (ret && offline_pack_verify(&o, packs, n, print_problem, &va, &seen))
		return offline_error(&o);
	print_sum(&va, &seen);
	return va.problems ? EXIT_WRONG : EXIT_OK;
}

/* With the numbers of the packs that follow the zone. */
static int with_packs(struct ctl *ctl, int (*fn)(struct ctl *ctl, const uint64_t *packs, size_t n))
{
	size_t n = (size_t)ctl->n_args - 1;
	uint64_t *packs = calloc(n ? n : 1, sizeof(*packs));
	int ret;

	if (!packs) {
		fputs("nexusctl: out of memory\n", stderr);
		return EXIT_FAILED;
	}
	ret = parse_packs(ctl, packs);
	if (ret == EXIT_OK)
		ret = fn(ctl, packs, n);
	free(packs);
	return ret;
}

int cmd_pack_verify(struct ctl *ctl)
{
	return with_packs(ctl, verify);
}

/* ---- compact ----------------------------------------------------------------- */

static void print_compacted(const struct ctl *ctl, const struct nexus_compacted *done)
{
	struct json json = { .out = stdout };

	if (!ctl->json) {
		printf("%" PRIu64 " packs, %" PRIu64 " KiB moved, %" PRIu64 " pieces skipped\n",
		       done->packs, done->blocks * 4, done->skipped);
		return;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "zone", ctl->args[0]);
	json_number(&json, "packs", done->packs);
	json_number(&json, "blocks", done->blocks);
	json_number(&json, "skipped", done->skipped);
	json_close(&json, '}');
}

static int compact(struct ctl *ctl, const uint64_t *packs, size_t n)
{
	struct nexus_compacted done = { 0 };
	int ret = ctl_connect(ctl);

	if (ret != EXIT_OK)
		return ret;
	if (nexus_pack_compact(ctl->client, ctl->args[0], packs, n, ctl->all, &done))
		return ctl_failed(ctl);
	print_compacted(ctl, &done);
	return EXIT_OK;
}

int cmd_pack_compact(struct ctl *ctl)
{
	if (ctl->n_args > 1 && ctl->all) {
		fputs("nexusctl: either packs or --all\n", stderr);
		return EXIT_USAGE;
	}
	return with_packs(ctl, compact);
}

/* ---- evict ------------------------------------------------------------------- */

/* How far it is, on standard error when somebody looks. */
static void evict_progress(size_t done, size_t n, uint64_t blocks)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%zu of %zu packs, %" PRIu64 " KiB given back", done, n, blocks * 4);
	if (done == n)
		fputs("\r\033[K", stderr);
}

static int evict(struct ctl *ctl, const uint64_t *packs, size_t n)
{
	uint64_t blocks = 0;
	struct json json = { .out = stdout };
	size_t i;
	int ret = ctl_connect(ctl);

	if (ret != EXIT_OK)
		return ret;
	for (i = 0; i < n; i++) {
		evict_progress(i, n, blocks);
		if (nexus_pack_evict(ctl->client, ctl->args[0], packs[i], &blocks)) {
			/* What went wrong has a line of its own. */
			if (isatty(STDERR_FILENO))
				fputc('\n', stderr);
			return ctl_failed(ctl);
		}
	}
	evict_progress(n, n, blocks);
	if (!ctl->json) {
		printf("%zu packs, %" PRIu64 " KiB given back\n", n, blocks * 4);
		return EXIT_OK;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "zone", ctl->args[0]);
	json_number(&json, "packs", n);
	json_number(&json, "blocks", blocks);
	json_close(&json, '}');
	return EXIT_OK;
}

int cmd_pack_evict(struct ctl *ctl)
{
	return with_packs(ctl, evict);
}
