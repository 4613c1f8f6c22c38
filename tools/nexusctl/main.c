// SPDX-License-Identifier: Apache-2.0
/* nexusctl: looks at nexusfs, and makes zones. Options and the command table. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "nexusctl.h"
#include "offline.h"

/* Which options a command takes, beside --socket and --json. */
enum {
	TAKES_STORE		= 1 << 0,
	TAKES_PROMETHEUS	= 1 << 1,
	TAKES_DATA		= 1 << 2,	/* it can do without the helper */
	TAKES_OWNER		= 1 << 3,	/* of a quota */
	TAKES_LIMITS		= 1 << 4,
	TAKES_ALL		= 1 << 5,
	TAKES_LOCK		= 1 << 6,
	TAKES_CAPACITY		= 1 << 7,
	TAKES_RECURSIVE		= 1 << 8,
	TAKES_TIMEOUT		= 1 << 9,
	TAKES_LEASE_ID		= 1 << 10,
	TAKES_LEASE_TTL		= 1 << 11,
	TAKES_LEASE_NAME	= 1 << 12,	/* and how many */
	TAKES_MODE		= 1 << 13,
	TAKES_STREAM		= 1 << 14,	/* what one is made with */
	TAKES_FOLLOW		= 1 << 15,
	TAKES_LIMIT		= 1 << 16,
	TAKES_FROM		= 1 << 17,
	TAKES_FILTER		= 1 << 18,	/* of events, and how many */
	TAKES_EVENT		= 1 << 19,	/* what is published */
	TAKES_RAW		= 1 << 20,
	TAKES_FACTS		= 1 << 21,	/* and from which state */
	TAKES_CONDITION		= 1 << 22,
	TAKES_AFTER		= 1 << 23,
};

struct command {
	const char *group;	/* first word, or NULL */
	const char *name;
	const char *args;	/* for the help */
	const char *help;
	int min_args;
	int max_args;
	unsigned int takes;
	int (*run)(struct ctl *ctl);
};

static int cmd_help(struct ctl *ctl);

static const struct command commands[] = {
	{ NULL, "status", "", "the helper, its session and the module",
	  0, 0, 0, cmd_status },
	{ "zone", "create", "NAME [--store ADDRESS] [--option KEY=VALUE]...",
	  "make a zone", 1, 1, TAKES_STORE, cmd_zone_create },
	{ "zone", "list", "", "all zones", 0, 0, 0, cmd_zone_list },
	{ "zone", "info", "NAME", "one zone", 1, 1, 0, cmd_zone_info },
	{ "zone", "upgrade", "NAME", "bring its on-disk format up to date",
	  1, 1, 0, cmd_zone_upgrade },
	{ "pack", "list", "ZONE", "the files its content lies in", 1, 1,
	  TAKES_DATA, cmd_pack_list },
	{ "pack", "verify", "ZONE [PACK...]",
	  "check their blocks against checksums and index", 1, -1, TAKES_DATA,
	  cmd_pack_verify },
	{ "pack", "compact", "ZONE [PACK...|--all]",
	  "move what is alive out of those mostly dead", 1, -1, TAKES_ALL,
	  cmd_pack_compact },
	{ "pack", "evict", "ZONE PACK...",
	  "keep their content elsewhere, not on this disk", 2, -1, 0, cmd_pack_evict },
	{ "scrub", "status", "ZONE", "how far its regular check is", 1, 1, 0,
	  cmd_scrub_status },
	{ "scrub", "start", "ZONE", "check all of it now", 1, 1, 0, cmd_scrub_start },
	{ "scrub", "stop", "ZONE", "end that", 1, 1, 0, cmd_scrub_stop },
	{ "quota", "list", "ZONE [--user|--group|--project|--zone]",
	  "who uses and may use how much", 1, 1, TAKES_OWNER, cmd_quota_list },
	{ "quota", "get", "ZONE|PATH --user=NAME|...", "the same of one", 1, 1,
	  TAKES_OWNER, cmd_quota_get },
	{ "quota", "set", "ZONE --user=NAME|... --blocks=SOFT/HARD ...",
	  "set limits, or --grace", 1, 1, TAKES_OWNER | TAKES_LIMITS, cmd_quota_set },
	{ "quota", "clear", "ZONE --user=NAME|...", "no limits any more", 1, 1,
	  TAKES_OWNER, cmd_quota_clear },
	{ NULL, "lock", "[--shared|--exclusive] PATH [-- COMMAND...]",
	  "run a command with a path locked", 1, -1, TAKES_LOCK | TAKES_TIMEOUT, cmd_lock },
	{ "lease", "acquire", "PATH --name NAME [--ttl SECONDS] [--holders N] ...",
	  "hold a file or directory for some time", 1, 1,
	  TAKES_TIMEOUT | TAKES_LEASE_ID | TAKES_LEASE_TTL | TAKES_LEASE_NAME,
	  cmd_lease_acquire },
	{ "lease", "extend", "PATH --id ID [--ttl SECONDS]", "hold it for longer", 1, 1,
	  TAKES_LEASE_ID | TAKES_LEASE_TTL, cmd_lease_extend },
	{ "lease", "release", "PATH --id ID", "give it up", 1, 1, TAKES_LEASE_ID,
	  cmd_lease_release },
	{ "lease", "info", "PATH", "who holds it", 1, 1, 0, cmd_lease_info },
	{ "lease", "check", "PATH TOKEN", "whether that one still holds it", 2, 2, 0,
	  cmd_lease_check },
	{ "lease", "break", "PATH [--id ID]", "end what others hold", 1, 1, TAKES_LEASE_ID,
	  cmd_lease_break },
	{ "lease", "list", "MOUNTPOINT [PATTERN] [--limit N]", "those of a mounted zone", 1, 2,
	  TAKES_LIMIT, cmd_lease_list },
	{ "lease", "run", "PATH --name NAME [--ttl SECONDS] ... -- COMMAND...",
	  "run a command while it is held", 2, -1,
	  TAKES_TIMEOUT | TAKES_LEASE_ID | TAKES_LEASE_TTL | TAKES_LEASE_NAME, cmd_lease_run },
	{ "pipe", "create", "PATH [--capacity BYTES] [--mode OCTAL]",
	  "make a ring, a FIFO of messages", 1, 1, TAKES_CAPACITY | TAKES_MODE,
	  cmd_pipe_create },
	{ "pipe", "list", "[DIR] [-r]", "the rings in a directory", 0, 1, TAKES_RECURSIVE,
	  cmd_pipe_list },
	{ "pipe", "stat", "PATH", "what is in a ring, and who has it open", 1, 1, 0,
	  cmd_pipe_stat },
	{ "pipe", "peek", "PATH", "its next message, which stays", 1, 1, 0, cmd_pipe_peek },
	{ "pipe", "close", "PATH", "nothing more is sent", 1, 1, 0, cmd_pipe_close },
	{ "pipe", "send", "PATH [MESSAGE]", "send a message, or standard input as one", 1, 2, 0,
	  cmd_pipe_send },
	{ "pipe", "recv", "PATH", "receive a message", 1, 1, 0, cmd_pipe_recv },
	{ "stream", "create", "PATH [--persist] [--max-bytes BYTES] ...",
	  "make a stream, a log of records", 1, 1, TAKES_MODE | TAKES_STREAM,
	  cmd_stream_create },
	{ "stream", "append", "PATH [RECORD]", "append a record, or standard input as one",
	  1, 2, 0, cmd_stream_append },
	{ "stream", "tail", "PATH [-f] [--from POSITION]", "its records, and those to come",
	  1, 1, TAKES_FOLLOW | TAKES_FROM, cmd_stream_tail },
	{ "stream", "stat", "PATH", "where it begins and ends, and its limits", 1, 1, 0,
	  cmd_stream_stat },
	{ "stream", "trim", "PATH POSITION", "records before that one go", 2, 2, 0,
	  cmd_stream_trim },
	{ "service", "load", "NAME...", "load services into the helper, all or none", 1, -1, 0,
	  cmd_service_load },
	{ "service", "unload", "NAME...", "stop them, one after the other, and unload them", 1, -1,
	  0, cmd_service_unload },
	{ "service", "swap", "NAME", "replace it by the build its file has now", 1, 1, 0,
	  cmd_service_swap },
	{ "service", "list", "", "what is loaded", 0, 0, 0, cmd_service_list },
	{ "service", "info", "NAME", "one of them", 1, 1, 0, cmd_service_info },
	{ "service", "graph", "", "which needs which", 0, 0, 0, cmd_service_graph },
	{ "events", "publish", "ZONE TYPE PATH [NEW_PATH] [--data TEXT] ...",
	  "tell all who want it", 3, 4, TAKES_EVENT, cmd_events_publish },
	{ "events", "tail", "[--from SEQ] [--filter PATTERN]... [--count N]",
	  "events as they come", 0, 0, TAKES_FROM | TAKES_FILTER, cmd_events_tail },
	{ "events", "replay", "[--from SEQ] [--filter PATTERN]... ...",
	  "those that are in the event log", 0, 0, TAKES_FROM | TAKES_FILTER | TAKES_RAW,
	  cmd_events_replay },
	{ "events", "state", "", "of event log and event bus", 0, 0, 0, cmd_events_state },
	{ "events", "truncate", "SEQ", "what is before it in the event log goes", 1, 1, 0,
	  cmd_events_truncate },
	{ "rebac", "policy", "[FILE|-]", "the policy of permissions, or set it", 0, 1, 0,
	  cmd_rebac_policy },
	{ "rebac", "write", "OBJECT RELATION SUBJECT [--ttl SECONDS] ...",
	  "say that a subject has a relation", 3, 3, TAKES_LEASE_TTL | TAKES_CONDITION,
	  cmd_rebac_write },
	{ "rebac", "delete", "OBJECT RELATION SUBJECT", "say so no longer", 3, 3, 0,
	  cmd_rebac_delete },
	{ "rebac", "check", "OBJECT RELATION SUBJECT [--fact NAME=VALUE] ...", "has it?", 3, 3,
	  TAKES_FACTS, cmd_rebac_check },
	{ "rebac", "explain", "OBJECT RELATION SUBJECT [--fact ...] ...", "and why?", 3, 3,
	  TAKES_FACTS, cmd_rebac_explain },
	{ "rebac", "expand", "OBJECT RELATION [--limit N]", "who has it, as a tree", 2, 2,
	  TAKES_FACTS | TAKES_LIMIT, cmd_rebac_expand },
	{ "rebac", "list", "TYPE RELATION SUBJECT | OBJECT RELATION TYPE ...",
	  "objects it has, or subjects", 3, 3, TAKES_FACTS | TAKES_LIMIT | TAKES_AFTER,
	  cmd_rebac_list },
	{ NULL, "dump", "ZONE [FILE] [--data-dir DIR]",
	  "the index of a zone at rest, as text", 1, 2, TAKES_DATA, cmd_dump },
	{ NULL, "load", "ZONE [FILE] [--data-dir DIR]",
	  "make a dump the index of a new zone", 1, 2, TAKES_DATA, cmd_load },
	{ NULL, "stats", "[--json|--prometheus]",
	  "counters of helper and module", 0, 0, TAKES_PROMETHEUS, cmd_stats },
	{ NULL, "version", "", "versions of tool, helper and module",
	  0, 0, 0, cmd_version },
	{ NULL, "help", "", "this text", 0, -1, 0, cmd_help },
};

#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
	const struct command *c;
	char words[96];

	fputs("usage: nexusctl [--socket PATH] [--json] COMMAND\n\n", out);
	for (c = commands; c < commands + COMMANDS; c++) {
		snprintf(words, sizeof(words), "%s%s%s %s",
			 c->group ? c->group : "", c->group ? " " : "",
			 c->name, c->args);
		fprintf(out, "  %-58s %s\n", words, c->help);
	}
	fputs("\n"
	      "  --socket PATH     control socket of the helper; default $NEXUS_SOCKET,\n"
	      "                    else " NEXUS_SOCKET "\n"
	      "  --json            print data as JSON\n"
	      "  --store ADDRESS   object store of the new zone, e.g. s3://bucket/prefix;\n"
	      "                    default localdisk\n"
	      "  --endpoint, --region, --profile VALUE\n"
	      "                    settings of the store, as --option endpoint=VALUE\n"
	      "  --data-dir DIR    where zones are that are looked at without the helper;\n"
	      "                    default as in the helper's settings\n"
	      "  --config FILE     these settings\n"
	      "  --wait SECONDS    how long to wait for a helper that still writes what was\n"
	      "                    unmounted; default 60\n"
	      "  --user, --group, --project[=NAME|ID], --zone\n"
	      "                    whose quota; without a name (quota list, set --grace)\n"
	      "                    everybody's of the kind\n"
	      "  --blocks, --inodes [SOFT/]HARD\n"
	      "                    limits: 10G, 500K, none; an empty one stays\n"
	      "  --grace TIME      how long a soft limit may be exceeded: 7d, 12h\n"
	      "  --shared, --exclusive\n"
	      "                    what others are kept from: to write, or anything\n"
	      "  --timeout SECONDS how long to wait for a lock or lease, 0 not at all; default\n"
	      "                    forever\n"
	      "  --name NAME       of the holder of a lease, for others to see\n"
	      "  --ttl SECONDS     how long a lease is held, 1 to 86400, default 30; or how long\n"
	      "                    a relation lasts, default for ever\n"
	      "  --holders N       how many may hold it, up to 128; default 1\n"
	      "  --id ID           who holds it, as lease acquire printed it\n"
	      "  --limit N         of how many leases to tell at most, default all; of rebac\n"
	      "                    at most and by default 1000\n"
	      "  --fact NAME=VALUE for conditions: a number, true, false or a text\n"
	      "  --condition TEXT  the tuple holds only where this does\n"
	      "  --at-least TOKEN  of a state that has at least what this one has\n"
	      "  --after ID        go on behind this one\n"
	      "  --capacity BYTES  how much a ring holds: 4096, 64K, 1M; default 64K\n"
	      "  --mode OCTAL      permissions of a ring or stream; default 666 less the umask\n"
	      "  -r, --recursive   rings in directories below, too\n"
	      "  --persist         records of the stream are on disk, not in memory\n"
	      "  --max-bytes BYTES how much a stream keeps: 64K, 1M, 10G; default 1M\n"
	      "  --max-age TIME    how long it keeps records: 7d, 12h, 90s; default for ever\n"
	      "  -f, --follow      wait for records\n"
	      "  --from POSITION   where to begin, or \"end\"; default with what there is. Of\n"
	      "                    events a number; events tail begins with what is to come\n"
	      "  --filter PATTERN  events of this path and all below, or of paths that match if\n"
	      "                    it has * ? [ or \\ in it; any of several\n"
	      "  --count N         of how many events to tell; default all\n"
	      "  --raw             records of the event log, whatever they are\n"
	      "  --data TEXT       what an event carries; \"-\": standard input\n"
	      "  --durable         wait until the event is on disk\n"
	      "\nexit status: 0 done, 1 failed, 2 wrong usage, 3 pack verify or a scrub\n"
	      "found something wrong, or rebac check says no; see nexusctl(1)\n",
	      out);
}

static int cmd_help(struct ctl *ctl)
{
	(void)ctl;
	print_usage(stdout);
	return EXIT_OK;
}

int ctl_failed(const struct ctl *ctl)
{
	fprintf(stderr, "nexusctl: %s\n", nexus_error(ctl->client));
	return EXIT_FAILED;
}

int ctl_call_failed(const struct ctl *ctl, const char *service, int err)
{
	if (err != -EOPNOTSUPP)
		return ctl_failed(ctl);
	fprintf(stderr, "nexusctl: service %s is not loaded; see: nexusctl service load %s\n",
		service, service);
	return EXIT_FAILED;
}

int ctl_connect(struct ctl *ctl)
{
	if (nexus_connect(ctl->client, ctl->socket))
		return ctl_failed(ctl);
	return EXIT_OK;
}

static int usage_error(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s%s%s; see: nexusctl help\n", what,
		*arg ? " " : "", arg);
	return EXIT_USAGE;
}

static int add_option(struct ctl *ctl, const char *key, const char *value)
{
	size_t i;

	for (i = 0; i < ctl->n_options; i++)
		if (!strcmp(ctl->options[i].key, key))
			return usage_error("given twice: option", key);
	if (ctl->n_options == OPTIONS_MAX)
		return usage_error("too many options at", key);
	ctl->options[ctl->n_options].key = key;
	ctl->options[ctl->n_options].value = value;
	ctl->n_options++;
	return EXIT_OK;
}

static int add_key_value(struct ctl *ctl, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return usage_error("--option wants KEY=VALUE, not", text);
	*equals = '\0';
	return add_option(ctl, text, equals + 1);
}

static int add_fact(struct ctl *ctl, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return usage_error("--fact wants NAME=VALUE, not", text);
	if (ctl->n_facts == OPTIONS_MAX)
		return usage_error("too many facts at", text);
	*equals = '\0';
	ctl->facts[ctl->n_facts].key = text;
	ctl->facts[ctl->n_facts++].value = equals + 1;
	return EXIT_OK;
}

enum { OPT_SOCKET = 256, OPT_JSON, OPT_PROMETHEUS, OPT_STORE, OPT_ENDPOINT,
       OPT_REGION, OPT_PROFILE, OPT_DATA_DIR, OPT_CONFIG, OPT_WAIT, OPT_USER, OPT_GROUP, OPT_PROJECT, OPT_ZONE,
       OPT_BLOCKS, OPT_INODES, OPT_GRACE, OPT_ALL,
       OPT_SHARED, OPT_EXCLUSIVE, OPT_TIMEOUT, OPT_CAPACITY, OPT_MODE,
       OPT_NAME, OPT_ID, OPT_TTL, OPT_HOLDERS, OPT_LIMIT,
       OPT_PERSIST, OPT_MAX_BYTES, OPT_MAX_AGE, OPT_FROM,
       OPT_FILTER, OPT_COUNT, OPT_DATA, OPT_DURABLE, OPT_RAW,
       OPT_FACT, OPT_CONDITION, OPT_AT_LEAST, OPT_AFTER };

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "prometheus", no_argument, NULL, OPT_PROMETHEUS },
	{ "store", required_argument, NULL, OPT_STORE },
	{ "option", required_argument, NULL, 'o' },
	{ "endpoint", required_argument, NULL, OPT_ENDPOINT },
	{ "region", required_argument, NULL, OPT_REGION },
	{ "profile", required_argument, NULL, OPT_PROFILE },
	{ "data-dir", required_argument, NULL, OPT_DATA_DIR },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "user", optional_argument, NULL, OPT_USER },
	{ "group", optional_argument, NULL, OPT_GROUP },
	{ "project", optional_argument, NULL, OPT_PROJECT },
	{ "zone", no_argument, NULL, OPT_ZONE },
	{ "blocks", required_argument, NULL, OPT_BLOCKS },
	{ "inodes", required_argument, NULL, OPT_INODES },
	{ "grace", required_argument, NULL, OPT_GRACE },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "shared", no_argument, NULL, OPT_SHARED },
	{ "exclusive", no_argument, NULL, OPT_EXCLUSIVE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "id", required_argument, NULL, OPT_ID },
	{ "ttl", required_argument, NULL, OPT_TTL },
	{ "holders", required_argument, NULL, OPT_HOLDERS },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "capacity", required_argument, NULL, OPT_CAPACITY },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "recursive", no_argument, NULL, 'r' },
	{ "persist", no_argument, NULL, OPT_PERSIST },
	{ "max-bytes", required_argument, NULL, OPT_MAX_BYTES },
	{ "max-age", required_argument, NULL, OPT_MAX_AGE },
	{ "follow", no_argument, NULL, 'f' },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "filter", required_argument, NULL, OPT_FILTER },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "data", required_argument, NULL, OPT_DATA },
	{ "durable", no_argument, NULL, OPT_DURABLE },
	{ "raw", no_argument, NULL, OPT_RAW },
	{ "fact", required_argument, NULL, OPT_FACT },
	{ "condition", required_argument, NULL, OPT_CONDITION },
	{ "at-least", required_argument, NULL, OPT_AT_LEAST },
	{ "after", required_argument, NULL, OPT_AFTER },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* The name comes with a "=", as it may be missing. */
static int set_owner(struct ctl *ctl, enum nexus_quota_kind kind)
{
	if (ctl->quota_given)
		return usage_error("only one of --user, --group, --project and --zone", "");
	ctl->quota_given = true;
	ctl->quota_kind = kind;
	ctl->quota_id = optarg;
	return EXIT_OK;
}

/* Returns an exit code, or -1 to go on. @word is set by --help, --version. */
static int parse_options(struct ctl *ctl, int argc, char **argv,
			 const char **word)
{
	int c, ret = EXIT_OK;

	opterr = 0;
	while (ret == EXIT_OK &&
	       (c = getopt_long(argc, argv, ":o:frhV", long_options, NULL)) >= 0) {
		switch (c) {
		case OPT_SOCKET:
			ctl->socket = optarg;
			break;
		case OPT_JSON:
			ctl->json = true;
			break;
		case OPT_PROMETHEUS:
			ctl->prometheus = true;
			break;
		case OPT_ALL:
			ctl->all = true;
			break;
		case OPT_SHARED:
			ctl->shared = true;
			break;
		case OPT_EXCLUSIVE:
			ctl->exclusive = true;
			break;
		case OPT_TIMEOUT:
			ctl->timeout = optarg;
			break;
		case OPT_STORE:
			ctl->store = optarg;
			break;
		case OPT_ENDPOINT:
			ret = add_option(ctl, "endpoint", optarg);
			break;
		case OPT_REGION:
			ret = add_option(ctl, "region", optarg);
			break;
		case OPT_PROFILE:
			ret = add_option(ctl, "profile", optarg);
			break;
		case OPT_DATA_DIR:
			ctl->data_dir = optarg;
			break;
		case OPT_CONFIG:
			ctl->config = optarg;
			break;
		case OPT_WAIT:
			ctl->wait = optarg;
			break;
		case OPT_USER:
			ret = set_owner(ctl, NEXUS_QUOTA_OF_USER);
			break;
		case OPT_GROUP:
			ret = set_owner(ctl, NEXUS_QUOTA_OF_GROUP);
			break;
		case OPT_PROJECT:
			ret = set_owner(ctl, NEXUS_QUOTA_OF_PROJECT);
			break;
		case OPT_ZONE:
			ret = set_owner(ctl, NEXUS_QUOTA_OF_ZONE);
			break;
		case OPT_BLOCKS:
			ctl->quota_blocks = optarg;
			break;
		case OPT_INODES:
			ctl->quota_inodes = optarg;
			break;
		case OPT_GRACE:
			ctl->quota_grace = optarg;
			break;
		case OPT_NAME:
			ctl->lease_name = optarg;
			break;
		case OPT_ID:
			ctl->lease_id = optarg;
			break;
		case OPT_TTL:
			ctl->lease_ttl = optarg;
			break;
		case OPT_HOLDERS:
			ctl->lease_holders = optarg;
			break;
		case OPT_LIMIT:
			ctl->lease_limit = optarg;
			break;
		case OPT_CAPACITY:
			ctl->capacity = optarg;
			break;
		case OPT_MODE:
			ctl->mode = optarg;
			break;
		case OPT_PERSIST:
			ctl->persist = true;
			break;
		case OPT_MAX_BYTES:
			ctl->max_bytes = optarg;
			break;
		case OPT_MAX_AGE:
			ctl->max_age = optarg;
			break;
		case OPT_FROM:
			ctl->from = optarg;
			break;
		case OPT_FILTER:
			if (ctl->n_filters == FILTERS_MAX)
				ret = usage_error("more than 16 filters at", optarg);
			else
				ctl->filters[ctl->n_filters++] = optarg;
			break;
		case OPT_COUNT:
			ctl->count = optarg;
			break;
		case OPT_DATA:
			ctl->data = optarg;
			break;
		case OPT_DURABLE:
			ctl->durable = true;
			break;
		case OPT_RAW:
			ctl->raw = true;
			break;
		case OPT_FACT:
			ret = add_fact(ctl, optarg);
			break;
		case OPT_CONDITION:
			ctl->condition = optarg;
			break;
		case OPT_AT_LEAST:
			ctl->at_least = optarg;
			break;
		case OPT_AFTER:
			ctl->after = optarg;
			break;
		case 'f':
			ctl->follow = true;
			break;
		case 'r':
			ctl->recursive = true;
			break;
		case 'o':
			ret = add_key_value(ctl, optarg);
			break;
		case 'h':
			*word = "help";
			break;
		case 'V':
			*word = "version";
			break;
		case ':':
			ret = usage_error("a value is missing after",
					  argv[optind - 1]);
			break;
		default:
			ret = usage_error("unknown option", argv[optind - 1]);
		}
	}
	return ret == EXIT_OK ? -1 : ret;
}

/* The command the words name; @used is how many of them. */
static const struct command *find_command(char **words, int n, int *used)
{
	const struct command *c;

	for (c = commands; c < commands + COMMANDS; c++) {
		*used = c->group ? 2 : 1;
		if (n < *used)
			continue;
		if (c->group && strcmp(words[0], c->group))
			continue;
		if (!strcmp(words[*used - 1], c->name))
			return c;
	}
	return NULL;
}

static bool is_group(const char *word)
{
	const struct command *c;

	for (c = commands; c < commands + COMMANDS; c++)
		if (c->group && !strcmp(c->group, word))
			return true;
	return false;
}

static int check_command(const struct ctl *ctl, const struct command *c)
{
	if (ctl->n_args < c->min_args)
		return usage_error("missing argument:", c->args);
	if (c->max_args >= 0 && ctl->n_args > c->max_args)
		return usage_error("one argument too many:",
				   ctl->args[c->max_args]);
	if ((ctl->store || ctl->n_options) && !(c->takes & TAKES_STORE))
		return usage_error("a store's settings are only for zone create, not for",
				   c->name);
	if ((ctl->data_dir || ctl->config || ctl->wait) && !(c->takes & TAKES_DATA))
		return usage_error("--data-dir, --config and --wait are only for what needs no helper, not for",
				   c->name);
	if (ctl->wait && !offline_wait_ms(ctl->wait, NULL))
		return usage_error("--wait: 0 to 86400 seconds, not", ctl->wait);
	if (ctl->quota_given && !(c->takes & TAKES_OWNER))
		return usage_error("--user, --group, --project and --zone are only for quota, not for",
				   c->name);
	if ((ctl->quota_blocks || ctl->quota_inodes || ctl->quota_grace) &&
	    !(c->takes & TAKES_LIMITS))
		return usage_error("--blocks, --inodes and --grace are only for quota set, not for",
				   c->name);
	if (ctl->prometheus && !(c->takes & TAKES_PROMETHEUS))
		return usage_error("--prometheus is only for stats, not for",
				   c->name);
	if (ctl->all && !(c->takes & TAKES_ALL))
		return usage_error("--all is only for pack compact, not for",
				   c->name);
	if ((ctl->shared || ctl->exclusive) && !(c->takes & TAKES_LOCK))
		return usage_error("--shared and --exclusive are only for lock, not for",
				   c->name);
	if (ctl->timeout && !(c->takes & TAKES_TIMEOUT))
		return usage_error("--timeout is only for lock, lease acquire and lease run, not for",
				   c->name);
	if ((ctl->lease_name || ctl->lease_holders) && !(c->takes & TAKES_LEASE_NAME))
		return usage_error("--name and --holders are only for lease acquire and lease run, not for",
				   c->name);
	if ((ctl->lease_id && !(c->takes & TAKES_LEASE_ID)) ||
	    (ctl->lease_ttl && !(c->takes & TAKES_LEASE_TTL)))
		return usage_error("--id and --ttl are only for leases (and --ttl for rebac write), not for", c->name);
	if (ctl->lease_limit && !(c->takes & TAKES_LIMIT))
		return usage_error("--limit is only for lease list, rebac list and rebac expand, not for", c->name);
	if ((ctl->n_facts || ctl->at_least) && !(c->takes & TAKES_FACTS))
		return usage_error("--fact and --at-least are only for questions of rebac, not for",
				   c->name);
	if (ctl->condition && !(c->takes & TAKES_CONDITION))
		return usage_error("--condition is only for rebac write, not for", c->name);
	if (ctl->after && !(c->takes & TAKES_AFTER))
		return usage_error("--after is only for rebac list, not for", c->name);
	if ((ctl->persist || ctl->max_bytes || ctl->max_age) && !(c->takes & TAKES_STREAM))
		return usage_error("--persist, --max-bytes and --max-age are only for stream create, not for",
				   c->name);
	if (ctl->follow && !(c->takes & TAKES_FOLLOW))
		return usage_error("--follow is only for stream tail, not for", c->name);
	if (ctl->from && !(c->takes & TAKES_FROM))
		return usage_error("--from is only for stream tail, events tail and events replay, not for",
				   c->name);
	if ((ctl->n_filters || ctl->count) && !(c->takes & TAKES_FILTER))
		return usage_error("--filter and --count are only for events tail and events replay, not for",
				   c->name);
	if ((ctl->data || ctl->durable) && !(c->takes & TAKES_EVENT))
		return usage_error("--data and --durable are only for events publish, not for", c->name);
	if (ctl->raw && !(c->takes & TAKES_RAW))
		return usage_error("--raw is only for events replay, not for", c->name);
	if (ctl->capacity && !(c->takes & TAKES_CAPACITY))
		return usage_error("--capacity is only for pipe create, not for",
				   c->name);
	if (ctl->mode && !(c->takes & TAKES_MODE))
		return usage_error("--mode is only for pipe create and stream create, not for",
				   c->name);
	if (ctl->recursive && !(c->takes & TAKES_RECURSIVE))
		return usage_error("--recursive is only for pipe list, not for", c->name);
	if (ctl->prometheus && ctl->json)
		return usage_error("only one of --json and --prometheus", "");
	return -1;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .n_args = 0 };
	const struct command *command;
	const char *word = NULL;
	char *words[2];
	int ret, used;

	ret = parse_options(&ctl, argc, argv, &word);
	if (ret >= 0)
		return ret;
	ctl.args = argv + optind;
	ctl.n_args = argc - optind;
	if (word) {
		words[0] = (char *)word;
		command = find_command(words, 1, &used);
		ctl.n_args = 0;
	} else if (!ctl.n_args) {
		print_usage(stderr);
		return EXIT_USAGE;
	} else {
		command = find_command(ctl.args, ctl.n_args, &used);
		if (!command)
			return usage_error("unknown command",
					   ctl.n_args > 1 &&
					   is_group(ctl.args[0]) ?
					   ctl.args[1] : ctl.args[0]);
		ctl.args += used;
		ctl.n_args -= used;
	}
	ret = check_command(&ctl, command);
	if (ret >= 0)
		return ret;

	ctl.client = nexus_new();
	if (!ctl.client)
		return ctl_failed(&ctl);
	ret = command->run(&ctl);
	nexus_free(ctl.client);
	if (fflush(stdout) || ferror(stdout)) {
		perror("nexusctl: stdout");
		return EXIT_FAILED;
	}
	return ret;
}
