// SPDX-License-Identifier: Apache-2.0
/* nexusctl: looks at nexusfs, and makes zones. The command table. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "nexusctl.h"
#include "options.h"

static int cmd_help(struct ctl *ctl);

static const struct command commands[] = {
	{ NULL, "status", "", "the helper, its session and the module",
	  0, 0, 0, cmd_status },
	{ NULL, "boot", "", "how the helper started, step by step", 0, 0, 0, cmd_boot },
	{ "profile", "show", "[NAME]", "the bricks of the helper's profile, or another", 0, 1, 0,
	  cmd_profile_show },
	{ "zone", "create", "NAME [--store ADDRESS] [--option KEY=VALUE]...",
	  "make a zone", 1, 1, TAKES_STORE, cmd_zone_create },
	{ "zone", "list", "", "all zones", 0, 0, 0, cmd_zone_list },
	{ "zone", "info", "NAME", "one zone", 1, 1, 0, cmd_zone_info },
	{ "zone", "upgrade", "NAME", "bring its on-disk format up to date",
	  1, 1, 0, cmd_zone_upgrade },
	{ "zone", "restore", "STORE NAME [--option KEY=VALUE]... [--take-over] [--unfenced]",
	  "make it again out of its content store", 2, 2,
	  TAKES_DATA | TAKES_STORE, cmd_zone_restore },
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
	{ "upload", "status", "ZONE", "how far its content is where copies are held", 1, 1, 0,
	  cmd_upload_status },
	{ NULL, "flush", "ZONE", "wait until all that is sealed is there", 1, 1, 0, cmd_flush },
	{ NULL, "gc", "ZONE --dry-run|--run", "what its store has too much, and too little", 1, 1, 0,
	  cmd_gc },
	{ NULL, "warm", "[-r] PATH...", "bring content that is away here, ahead of use", 1, -1,
	  TAKES_RECURSIVE, cmd_warm },
	{ NULL, "du", "[--cached] PATH...", "how much space files take, and how much of it is here",
	  1, -1, 0, cmd_du },
	{ NULL, "refresh", "PATH", "list a directory of a mounted bucket now", 1, 1, 0, cmd_refresh },
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
	{ "cache", "get", "PART...", "the value under a key", 1, -1, 0, cmd_cache_get },
	{ "cache", "set", "PART... VALUE [--ttl SECONDS]", "put one there", 2, -1, TAKES_LEASE_TTL,
	  cmd_cache_set },
	{ "cache", "delete", "PART...", "take it away", 1, -1, 0, cmd_cache_delete },
	{ "cache", "clear", "PATTERN... [...]", "take all away whose keys match", 1, -1, 0,
	  cmd_cache_clear },
	{ "cache", "state", "", "of service cache", 0, 0, 0, cmd_cache_state },
	{ "mount", "attach", "SOURCE DIRECTORY [OPTIONS]", "mount an object store", 2, 3, 0,
	  cmd_mount_attach },
	{ "mount", "detach", "DIRECTORY [--lazy]", "unmount it, and save it no longer", 1, 1, 0,
	  cmd_mount_detach },
	{ "mount", "list", "", "what is mounted, and what is to be", 0, 0, 0, cmd_mount_list },
	{ "mount", "save", "", "mount it again when a helper starts", 0, 0, 0, cmd_mount_save },
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
	{ "rebac", "state", "", "what is kept between questions", 0, 0, 0, cmd_rebac_state },
	{ "namespace", "check", "ZONE:/PATH [--owner SUBJECT]", "may it be seen?", 1, 1,
	  TAKES_SUBJECT, cmd_namespace_check },
	{ "namespace", "explain", "ZONE:/PATH [--owner SUBJECT]", "and why?", 1, 1, TAKES_SUBJECT,
	  cmd_namespace_explain },
	{ "namespace", "filter", "ZONE PATH... [--owner SUBJECT]", "those that may be seen", 2, 1001,
	  TAKES_SUBJECT, cmd_namespace_filter },
	{ "namespace", "list", "[ZONE] [--owner SUBJECT] [--limit N] [--after ENTRY]",
	  "what a subject sees", 0, 1, TAKES_SUBJECT | TAKES_LIMIT | TAKES_AFTER, cmd_namespace_list },
	{ "namespace", "state", "", "what is kept of it", 0, 0, 0, cmd_namespace_state },
	{ "agent", "add", "ID [ZONE] [--owner SUBJECT] [--name NAME] ...", "register an agent", 1, 2,
	  TAKES_SUBJECT | TAKES_NAME | TAKES_TEXT, cmd_agent_add },
	{ "agent", "get", "ID", "one agent", 1, 1, 0, cmd_agent_get },
	{ "agent", "set", "ID STATE [--generation N]", "connected, idle or suspended", 2, 2,
	  TAKES_GENERATION, cmd_agent_set },
	{ "agent", "beat", "ID GENERATION", "it lives", 2, 2, 0, cmd_agent_beat },
	{ "agent", "list", "[ZONE] [--owner SUBJECT] [--state STATE] ...", "the agents", 0, 1,
	  TAKES_SUBJECT | TAKES_IN_STATE | TAKES_LIMIT | TAKES_AFTER, cmd_agent_list },
	{ "agent", "remove", "ID [--generation N]", "it is no more", 1, 1, TAKES_GENERATION,
	  cmd_agent_remove },
	{ "agent", "state", "", "how many there are, and heartbeats", 0, 0, 0, cmd_agent_state },
	{ "sched", "submit", "TYPE [--data TEXT] [--priority PRIORITY] ...", "work for somebody", 1, 1,
	  TAKES_SUBJECT | TAKES_TEXT | TAKES_TASK | TAKES_EXECUTOR, cmd_sched_submit },
	{ "sched", "claim", "[TYPE] [--executor SUBJECT] [--ttl SECONDS]", "the next task, to do it",
	  0, 1, TAKES_EXECUTOR | TAKES_LEASE_TTL | TAKES_RAW, cmd_sched_claim },
	{ "sched", "renew", "ID CLAIM [--ttl SECONDS]", "it takes longer", 2, 2, TAKES_LEASE_TTL,
	  cmd_sched_renew },
	{ "sched", "done", "ID CLAIM", "it is done", 2, 2, 0, cmd_sched_done },
	{ "sched", "fail", "ID CLAIM WHY", "it is not, and cannot be", 3, 3, 0, cmd_sched_fail },
	{ "sched", "cancel", "ID | --owner SUBJECT", "nobody has to do it any more", 0, 1,
	  TAKES_SUBJECT, cmd_sched_cancel },
	{ "sched", "get", "ID [--raw]", "one task", 1, 1, TAKES_RAW, cmd_sched_get },
	{ "sched", "list", "[--owner SUBJECT] [--state STATE] ...", "the tasks", 0, 0,
	  TAKES_SUBJECT | TAKES_IN_STATE | TAKES_LIMIT | TAKES_AFTER, cmd_sched_list },
	{ "sched", "state", "", "how many wait, and how long", 0, 0, 0, cmd_sched_state },
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
	      "  --endpoint unix:PATH|HOST:PORT\n"
	      "                    of the helper's gRPC, instead of its control socket; of zone\n"
	      "                    create only in front of the command\n"
	      "  --ca, --cert, --key FILE\n"
	      "                    whom to believe, and who one is, over TCP\n"
	      "  --store ADDRESS   object store of the new zone, e.g. s3://bucket/prefix;\n"
	      "                    default localdisk\n"
	      "  --endpoint, --region, --profile VALUE\n"
	      "                    settings of the store, as --option endpoint=VALUE\n"
	      "  --data-dir DIR    where zones are that are looked at without the helper;\n"
	      "                    default as in the helper's settings\n"
	      "  --config FILE     these settings\n"
	      "  --wait SECONDS    how long to wait for a helper that still writes what was\n"
	      "                    unmounted, or (events tail) for the next one; default 60\n"
	      "  --take-over       restore a zone that another machine owns, which ends there\n"
	      "  --unfenced        also where the store has no conditional writes\n"
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
	      "  --name NAME       of the holder of a lease, or of an agent, for others to see\n"
	      "  --ttl SECONDS     how long a lease is held, 1 to 86400, default 30; or how long\n"
	      "                    a relation lasts, default for ever\n"
	      "  --holders N       how many may hold it, up to 128; default 1\n"
	      "  --id ID           who holds it, as lease acquire printed it\n"
	      "  --limit N         of how many leases to tell at most, default all; of rebac, agents\n"
	      "                    and tasks at most and by default 1000\n"
	      "  --fact NAME=VALUE for conditions: a number, true, false or a text\n"
	      "  --condition TEXT  the tuple holds only where this does\n"
	      "  --at-least TOKEN  of a state that has at least what this one has\n"
	      "  --after ID        go on behind this one\n"
	      "  --owner SUBJECT   whose agent or task, or who sees, TYPE:ID; default user:UID\n"
	      "  --state STATE     only agents in it: unknown, connected, idle, suspended; or tasks:\n"
	      "                    queued, running, completed, failed, cancelled\n"
	      "  --priority PRIORITY\n"
	      "                    critical, high, normal, low, best_effort; default normal\n"
	      "  --executor SUBJECT\n"
	      "                    the only worker that may have it; of sched claim, who claims\n"
	      "  --once KEY        the same task when it is submitted again\n"
	      "  --deadline TIME   seconds since 1970, when it is too late\n"
	      "  --service SECONDS how long it is likely to take; default 30\n"
	      "  --generation N    only if the agent has it\n"
	      "  --capacity BYTES  how much a ring holds: 4096, 64K, 1M; default 64K\n"
	      "  --mode OCTAL      permissions of a ring or stream; default 666 less the umask\n"
	      "  -r, --recursive   what is in directories below, too\n"
	      "  --cached          also how much of it is here, which needs to read the files\n"
	      "  --lazy            unmount also what is in use: it is gone when nobody uses it\n"
	      "  --persist         records of the stream are on disk, not in memory\n"
	      "  --max-bytes BYTES how much a stream keeps: 64K, 1M, 10G; default 1M\n"
	      "  --max-age TIME    how long it keeps records: 7d, 12h, 90s; default for ever\n"
	      "  -f, --follow      wait for records\n"
	      "  --from POSITION   where to begin, or \"end\"; default with what there is. Of\n"
	      "                    events a number; events tail begins with what is to come\n"
	      "  --filter PATTERN  events of this path and all below, or of paths that match if\n"
	      "                    it has * ? [ or \\ in it; any of several\n"
	      "  --count N         of how many events to tell; default all\n"
	      "  --raw             records of the event log, whatever they are; or what is in a task\n"
	      "  --data TEXT       what an event carries, \"-\": standard input; or what is to be\n"
	      "                    known of an agent; or of a task, as of an event\n"
	      "  --durable         wait until the event is on disk\n"
	      "\nexit status: 0 done, 1 failed, 2 wrong usage, 3 pack verify or a scrub\n"
	      "found something wrong, or rebac or namespace check says no; see nexusctl(1)\n",
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

int ctl_open(struct ctl *ctl)
{
	if (ctl->endpoint)
		return nexus_connect_grpc(ctl->client, ctl->endpoint, ctl->ca, ctl->cert, ctl->key);
	return nexus_connect(ctl->client, ctl->socket);
}

int ctl_connect(struct ctl *ctl)
{
	if (ctl_open(ctl))
		return ctl_failed(ctl);
	return EXIT_OK;
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

int main(int argc, char **argv)
{
	struct ctl ctl = { .n_args = 0 };
	const struct command *command;
	const char *word = NULL;
	char *words[2];
	int ret, used;

	ret = options_parse(&ctl, argc, argv, &word);
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
	ret = options_check(&ctl, command);
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
