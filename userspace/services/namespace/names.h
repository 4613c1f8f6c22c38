/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What subjects may see, kept between questions.
 *
 * Every question begins with a look at the revision of the permissions.  Entries that
 * are kept are used only when they were read at that revision, or when reading them
 * began after the question did: that is why a question that begins after the answer to
 * a revocation is never answered by what was there before.
 */
#ifndef NAMESPACE_NAMES_H
#define NAMESPACE_NAMES_H

#include <pthread.h>

#include "view.h"

#define NAMES_BUCKETS	1024u
#define NAMES_BUILDERS	4u	/* subjects whose entries are read at a time */
#define NAMES_WAIT_MS	2000u	/* for the revision, for others, and for one's own */

/**
 * struct names_piece - of a subject's objects
 * @at: state that was read
 * @unknown: NEXUS_PERMISSION_
 * @more: there are more behind the last one
 */
struct names_piece {
	char at[NEXUS_PERMISSION_TOKEN_SIZE];
	uint32_t unknown;
	bool more;
	int64_t valid_until;
};

/** typedef names_each - one object's id; not 0 ends it */
typedef int (*names_each)(void *arg, const char *id);

/**
 * struct names_source - the permissions
 * @revision: sets read->at; -ESTALE, -EINVAL for what is asked; -ENODATA without a policy
 * @objects: paths the subject may read, behind @after (NULL: from the beginning), in @p
 *
 * -EAGAIN and -ETIMEDOUT of them: not now.
 */
struct names_source {
	int (*revision)(void *arg, struct nexus_permission_read *read, uint32_t timeout_ms);
	int (*objects)(void *arg, const char *subject, const char *after, uint32_t timeout_ms,
		       names_each each, void *each_arg, struct names_piece *p);
};

struct names_slot;

/**
 * struct names - all of the service
 * @source: with @arg
 * @more: memory that lives as long as the arguments, NULL without
 * @now_ms: Unix time; @mono_ms: of waits, each of @wait_ms
 * @lock: of what follows
 * @changed: a builder is through
 * @ticket: of the last one that began
 * @building: how many there are
 * @first, @last: slots by last use
 */
struct names {
	const struct names_source *source;
	void *arg;
	void *(*more)(void *args, size_t size);
	int64_t (*now_ms)(void);
	int64_t (*mono_ms)(void);
	uint32_t wait_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t ticket;
	uint32_t building;
	struct names_slot *buckets[NAMES_BUCKETS];
	struct names_slot *first, *last;
	struct nexus_namespace_state stats;
};

/** names_init() - @limit: bytes that may be kept; -ENOMEM */
int names_init(struct names *n, uint64_t limit);
/** names_end() - nobody asks any more */
void names_end(struct names *n);

/**
 * names_view() - the entries of a subject, as the permissions are now or later
 * @n: the service
 * @subject: TYPE:ID
 * @read: what is wanted; the rest is set
 * @v: set to a reference; NULL: they could not be read now
 *
 * Return: 0 or a negative errno: nothing is visible.
 */
int names_view(struct names *n, const char *subject, struct nexus_namespace_read *read,
	       struct view **v);

/* The operations, see <nexus/services/namespace.h>. */
int names_visible(struct names *n, struct nexus_namespace_visible_args *a);
int names_filter(struct names *n, struct nexus_namespace_filter_args *a);
int names_list(struct names *n, struct nexus_namespace_list_args *a);
int names_explain(struct names *n, struct nexus_namespace_explain_args *a);
int names_state(struct names *n, struct nexus_namespace_state *a);

#endif /* NAMESPACE_NAMES_H */
