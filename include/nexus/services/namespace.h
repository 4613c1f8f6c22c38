/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.namespace, version 1: what a subject may see at all.
 *
 * A path that a subject may not see is for it as if it were not there, whatever it
 * may do with it.  What it may see follows from its permissions: objects of type
 * "file" it has "read" to, whose ids are ZONE:/PATH.
 * Documentation/services/namespace.md.
 */
#ifndef NEXUS_SERVICES_NAMESPACE_H
#define NEXUS_SERVICES_NAMESPACE_H

#include <nexus/service.h>
#include <nexus/services/permissions.h>

#define NEXUS_NAMESPACE			"nexus.namespace"
#define NEXUS_NAMESPACE_VERSION		1

#define NEXUS_NAMESPACE_TYPE		"file"	/* of objects that are paths */
#define NEXUS_NAMESPACE_RELATION	"read"	/* that makes them visible */
#define NEXUS_NAMESPACE_ZONE_MAX	63u	/* bytes of a zone's name */
#define NEXUS_NAMESPACE_PATH_MAX	4095u	/* of a path */
#define NEXUS_NAMESPACE_BATCH_MAX	1000u	/* paths of one question */
#define NEXUS_NAMESPACE_LIST_MAX	1000u	/* entries of a piece */
#define NEXUS_NAMESPACE_ENTRIES_MAX	10000u	/* of one subject */
#define NEXUS_NAMESPACE_LINES_MAX	64u	/* of an explanation */

/* All text ends with a NUL, and belongs to the arguments (args_more()). */

/** enum nexus_namespace_why - what makes a path visible, or not */
enum nexus_namespace_why {
	NEXUS_NAMESPACE_NO_GRANT = 0,	/* not visible: nothing leads to it */
	NEXUS_NAMESPACE_GRANT,		/* it is granted, or something above it */
	NEXUS_NAMESPACE_WAY,		/* something below it is granted */
	NEXUS_NAMESPACE_ROOT,		/* the root of a zone, which all mounts have */
	NEXUS_NAMESPACE_SYS,		/* /__sys__, which is no part of the tree */
	NEXUS_NAMESPACE_ADMIN,		/* administrators see everything */
	NEXUS_NAMESPACE_ADMIN_ONLY,	/* not visible: below /system */
	NEXUS_NAMESPACE_OTHER_ZONE,	/* not visible: /shared or /archives of another zone */
	NEXUS_NAMESPACE_UNKNOWN,	/* not visible: it could not be found out */
};

/**
 * struct nexus_namespace_who - who looks
 * @subject: TYPE:ID; "user:0" is an administrator
 * @admin: it is one, whoever it is
 */
struct nexus_namespace_who {
	const char *subject;
	bool admin;
};

/**
 * struct nexus_namespace_read - of which state
 * @freshness: enum nexus_permission_freshness
 * @token: of nexus.permissions; for NEXUS_PERMISSION_AT_LEAST
 * @at: set: the state that was read; empty for administrators, of whom nothing is read
 * @generation: set: of the entries of the subject.  It is another one when they are
 *	others; 0: they could not all be found out, or it is an administrator
 * @unknown: set: NEXUS_PERMISSION_, why entries may be missing, which are not visible
 * @valid_until_ms: set: no time in a tuple changes them before (Unix time)
 *
 * -ESTALE, -EINVAL: as of nexus.permissions.
 */
struct nexus_namespace_read {
	uint32_t freshness;
	char token[NEXUS_PERMISSION_TOKEN_SIZE];
	char at[NEXUS_PERMISSION_TOKEN_SIZE];
	uint64_t generation;
	uint32_t unknown;
	int64_t valid_until_ms;
};

/**
 * struct nexus_namespace_answer - about a path
 * @visible: yes
 * @readonly: nobody may write there: /system and /archives
 * @error: 0; -ENOENT: not visible, which is to look as if it were not there; -EINVAL,
 *	-ENAMETOOLONG: no path of a zone, not visible
 * @why: enum nexus_namespace_why
 * @entry: of NEXUS_NAMESPACE_GRANT, by which; else NULL
 */
struct nexus_namespace_answer {
	bool visible;
	bool readonly;
	int error;
	uint32_t why;
	const char *entry;
};

/**
 * struct nexus_namespace_visible_args - of visible: one path
 * @zone: name of a zone
 * @path: from its root on
 */
struct nexus_namespace_visible_args {
	struct nexus_namespace_who who;
	struct nexus_namespace_read read;
	const char *zone;
	const char *path;
	struct nexus_namespace_answer answer;
};

/**
 * struct nexus_namespace_filter_args - of filter: many paths, of one state
 * @paths: @count, 1 to NEXUS_NAMESPACE_BATCH_MAX
 * @answers: set, as many; without @entry
 */
struct nexus_namespace_filter_args {
	struct nexus_namespace_who who;
	struct nexus_namespace_read read;
	const char *zone;
	const char *const *paths;
	uint32_t count;
	struct nexus_namespace_answer *answers;
};

/**
 * struct nexus_namespace_list_args - of list: the entries of a subject
 * @zone: of this one; NULL or empty: of all
 * @after: the last one of the piece before; NULL or empty: from the beginning
 * @max: entries, up to NEXUS_NAMESPACE_LIST_MAX; 0: that
 * @entries: set: ZONE:/PATH, @count of them, none below another one, in an order in
 *	which what is below something follows it
 * @more: set: there are more.  Pieces with the same @read.generation are of one list
 * @all: set: there is no list, for an administrator sees everything
 */
struct nexus_namespace_list_args {
	struct nexus_namespace_who who;
	struct nexus_namespace_read read;
	const char *zone;
	const char *after;
	uint32_t max;
	const char **entries;
	uint32_t count;
	bool more;
	bool all;
};

/**
 * struct nexus_namespace_explain_args - of explain: the same, and how it comes about
 * @lines: set: @nlines, at most NEXUS_NAMESPACE_LINES_MAX
 */
struct nexus_namespace_explain_args {
	struct nexus_namespace_visible_args visible;
	char **lines;
	uint32_t nlines;
};

/**
 * struct nexus_namespace_state - of state
 * @limit: bytes that may be kept; 0: nothing is
 * @bytes: are; of @subjects with @entries
 * @generation: the last one that was given
 * @hits: questions whose entries were there; @misses: that were not
 * @built: times that the entries of a subject were read, @same: that they were as before
 * @evicted: subjects given up because of the limit
 * @partial: times that not all could be found out
 * @busy: questions denied because too many were being read
 * @ignored: objects that are no path of a zone
 *
 * Since the service was loaded, but for the first five.
 */
struct nexus_namespace_state {
	uint64_t limit, bytes;
	uint64_t subjects, entries;
	uint64_t generation;
	uint64_t hits, misses;
	uint64_t built, same;
	uint64_t evicted, partial, busy, ignored;
};

/** struct nexus_namespace_ops - the operations */
struct nexus_namespace_ops {
	nexus_op visible;	/* struct nexus_namespace_visible_args */
	nexus_op filter;	/* struct nexus_namespace_filter_args */
	nexus_op list;		/* struct nexus_namespace_list_args */
	nexus_op explain;	/* struct nexus_namespace_explain_args */
	nexus_op state;		/* struct nexus_namespace_state */
};

#endif /* NEXUS_SERVICES_NAMESPACE_H */
