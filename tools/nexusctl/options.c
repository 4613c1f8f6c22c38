// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "offline.h"
#include "options.h"

int usage_error(const char *what, const char *arg)
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
       OPT_FACT, OPT_CONDITION, OPT_AT_LEAST, OPT_AFTER,
       OPT_OWNER, OPT_STATE, OPT_GENERATION,
       OPT_PRIORITY, OPT_EXECUTOR, OPT_ONCE, OPT_DEADLINE, OPT_SERVICE,
       OPT_CA, OPT_CERT, OPT_KEY, OPT_TAKE_OVER, OPT_UNFENCED, OPT_DRY_RUN, OPT_RUN, OPT_CACHED,
       OPT_LAZY };

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
	{ "take-over", no_argument, NULL, OPT_TAKE_OVER },
	{ "unfenced", no_argument, NULL, OPT_UNFENCED },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "run", no_argument, NULL, OPT_RUN },
	{ "cached", no_argument, NULL, OPT_CACHED },
	{ "lazy", no_argument, NULL, OPT_LAZY },
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
	{ "owner", required_argument, NULL, OPT_OWNER },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "generation", required_argument, NULL, OPT_GENERATION },
	{ "priority", required_argument, NULL, OPT_PRIORITY },
	{ "executor", required_argument, NULL, OPT_EXECUTOR },
	{ "once", required_argument, NULL, OPT_ONCE },
	{ "deadline", required_argument, NULL, OPT_DEADLINE },
	{ "service", required_argument, NULL, OPT_SERVICE },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
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

/* How many words there are in front of the command. */
static int words_before(int argc, char **argv)
{
	int n;

	while (getopt_long(argc, argv, "+:o:frhV", long_options, NULL) >= 0)
		;
	n = optind;
	optind = 0;	/* from the beginning again */
	return n;
}

int options_parse(struct ctl *ctl, int argc, char **argv, const char **word)
{
	int c, before, ret = EXIT_OK;

	opterr = 0;
	before = words_before(argc, argv);
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
			if (optind <= before)
				ctl->endpoint = optarg;
			else
				ctl->late_endpoint = optarg;
			break;
		case OPT_CA:
			ctl->ca = optarg;
			break;
		case OPT_CERT:
			ctl->cert = optarg;
			break;
		case OPT_KEY:
			ctl->key = optarg;
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
		case OPT_TAKE_OVER:
			ctl->take_over = true;
			break;
		case OPT_UNFENCED:
			ctl->unfenced = true;
			break;
		case OPT_DRY_RUN:
			ctl->dry_run = true;
			break;
		case OPT_RUN:
			ctl->really = true;
			break;
		case OPT_CACHED:
			ctl->cached = true;
			break;
		case OPT_LAZY:
			ctl->lazy = true;
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
		case OPT_OWNER:
			ctl->owner = optarg;
			break;
		case OPT_STATE:
			ctl->in_state = optarg;
			break;
		case OPT_GENERATION:
			ctl->generation = optarg;
			break;
		case OPT_PRIORITY:
			ctl->priority = optarg;
			break;
		case OPT_EXECUTOR:
			ctl->executor = optarg;
			break;
		case OPT_ONCE:
			ctl->once = optarg;
			break;
		case OPT_DEADLINE:
			ctl->deadline = optarg;
			break;
		case OPT_SERVICE:
			ctl->service = optarg;
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

/* Behind zone create it is the store's, as it ever was. */
static int place_endpoint(struct ctl *ctl, const struct command *c)
{
	if (ctl->late_endpoint && (c->takes & TAKES_STORE))
		return add_option(ctl, "endpoint", ctl->late_endpoint);
	if (ctl->late_endpoint)
		ctl->endpoint = ctl->late_endpoint;
	if (ctl->endpoint && ctl->socket)
		return usage_error("only one of --endpoint and --socket", "");
	if ((ctl->ca || ctl->cert || ctl->key) && !ctl->endpoint)
		return usage_error("--ca, --cert and --key are only with --endpoint", "");
	return EXIT_OK;
}

int options_check(struct ctl *ctl, const struct command *c)
{
	int ret = place_endpoint(ctl, c);

	if (ret != EXIT_OK)
		return ret;
	if (ctl->n_args < c->min_args)
		return usage_error("missing argument:", c->args);
	if (c->max_args >= 0 && ctl->n_args > c->max_args)
		return usage_error("one argument too many:",
				   ctl->args[c->max_args]);
	if ((ctl->store || ctl->n_options) && !(c->takes & TAKES_STORE))
		return usage_error("a store's settings are only for zone create and restore, not for",
				   c->name);
	if (((ctl->data_dir || ctl->config) && !(c->takes & TAKES_DATA)) ||
	    (ctl->wait && !(c->takes & (TAKES_DATA | TAKES_FILTER))))
		return usage_error("--data-dir, --config and --wait are only for what needs no helper (and --wait for events tail), not for",
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
	if (ctl->cached && c->run != cmd_du)
		return usage_error("--cached is only for du, not for", c->name);
	if (ctl->lazy && c->run != cmd_mount_detach)
		return usage_error("--lazy is only for mount detach, not for", c->name);
	if (ctl->all && !(c->takes & TAKES_ALL))
		return usage_error("--all is only for pack compact, not for",
				   c->name);
	if ((ctl->shared || ctl->exclusive) && !(c->takes & TAKES_LOCK))
		return usage_error("--shared and --exclusive are only for lock, not for",
				   c->name);
	if (ctl->timeout && !(c->takes & TAKES_TIMEOUT))
		return usage_error("--timeout is only for lock, lease acquire and lease run, not for",
				   c->name);
	if ((ctl->lease_name && !(c->takes & (TAKES_LEASE_NAME | TAKES_NAME))) ||
	    (ctl->lease_holders && !(c->takes & TAKES_LEASE_NAME)))
		return usage_error("--name and --holders are only for lease acquire and lease run (and --name for agent add), not for",
				   c->name);
	if ((ctl->lease_id && !(c->takes & TAKES_LEASE_ID)) ||
	    (ctl->lease_ttl && !(c->takes & TAKES_LEASE_TTL)))
		return usage_error("--id and --ttl are only for leases (and --ttl for rebac write, sched and cache set), not for", c->name);
	if (ctl->lease_limit && !(c->takes & TAKES_LIMIT))
		return usage_error("--limit is only for lists and rebac expand, not for", c->name);
	if ((ctl->n_facts || ctl->at_least) && !(c->takes & TAKES_FACTS))
		return usage_error("--fact and --at-least are only for questions of rebac, not for",
				   c->name);
	if (ctl->condition && !(c->takes & TAKES_CONDITION))
		return usage_error("--condition is only for rebac write, not for", c->name);
	if (ctl->after && !(c->takes & TAKES_AFTER))
		return usage_error("--after is only for the lists of rebac, namespace, agent and sched, not for", c->name);
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
	if ((ctl->data && !(c->takes & (TAKES_EVENT | TAKES_TEXT))) ||
	    (ctl->durable && !(c->takes & TAKES_EVENT)))
		return usage_error("--data and --durable are only for events publish (and --data for agent add and sched submit), not for",
				   c->name);
	if ((ctl->owner && !(c->takes & TAKES_SUBJECT)) ||
	    (ctl->in_state && !(c->takes & TAKES_IN_STATE)) ||
	    (ctl->generation && !(c->takes & TAKES_GENERATION)))
		return usage_error("--owner, --state and --generation are only for agents and tasks (and --owner for namespace), not for", c->name);
	if (((ctl->priority || ctl->once || ctl->deadline || ctl->service) && !(c->takes & TAKES_TASK)) ||
	    (ctl->executor && !(c->takes & TAKES_EXECUTOR)))
		return usage_error("--priority, --executor, --once, --deadline and --service are only for sched submit (and --executor for sched claim), not for",
				   c->name);
	if ((ctl->take_over || ctl->unfenced) && c->run != cmd_zone_restore)
		return usage_error("--take-over and --unfenced are only for zone restore, not for",
				   c->name);
	if ((ctl->dry_run || ctl->really) && c->run != cmd_gc)
		return usage_error("--dry-run and --run are only for gc, not for", c->name);
	if (ctl->raw && !(c->takes & TAKES_RAW))
		return usage_error("--raw is only for events replay and sched, not for", c->name);
	if (ctl->capacity && !(c->takes & TAKES_CAPACITY))
		return usage_error("--capacity is only for pipe create, not for",
				   c->name);
	if (ctl->mode && !(c->takes & TAKES_MODE))
		return usage_error("--mode is only for pipe create and stream create, not for",
				   c->name);
	if (ctl->recursive && !(c->takes & TAKES_RECURSIVE))
		return usage_error("--recursive is only for pipe list and warm, not for", c->name);
	if (ctl->prometheus && ctl->json)
		return usage_error("only one of --json and --prometheus", "");
	return -1;
}
