/* SPDX-License-Identifier: Apache-2.0 */
/* Options of nexusctl, and which command takes which. */
#ifndef NEXUSCTL_OPTIONS_H
#define NEXUSCTL_OPTIONS_H

#include "nexusctl.h"

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
	TAKES_SUBJECT		= 1 << 24,	/* whose */
	TAKES_IN_STATE		= 1 << 25,
	TAKES_GENERATION	= 1 << 26,
	TAKES_TEXT		= 1 << 27,	/* what an agent or a task carries */
	TAKES_NAME		= 1 << 28,	/* of an agent */
	TAKES_TASK		= 1 << 29,	/* what one is submitted with */
	TAKES_EXECUTOR		= 1 << 30,
};

/** struct command - a line of the command table */
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

/**
 * usage_error() - say on stderr what is wrong with the command line
 * @what: what is
 * @arg: of which word, or ""
 *
 * Return: EXIT_USAGE.
 */
int usage_error(const char *what, const char *arg);

/**
 * options_parse() - the options, wherever they are between the words
 * @ctl: filled; points into @argv
 * @argc: of main()
 * @argv: likewise; the words are behind optind afterwards
 * @word: set to the command that --help or --version stands for
 *
 * Return: an exit code, said on stderr, or -1: go on.
 */
int options_parse(struct ctl *ctl, int argc, char **argv, const char **word);

/**
 * options_check() - whether a command takes what was given
 * @ctl: the run, with its words
 * @c: the command
 *
 * Return: an exit code, said on stderr, or -1: go on.
 */
int options_check(struct ctl *ctl, const struct command *c);

#endif /* NEXUSCTL_OPTIONS_H */
