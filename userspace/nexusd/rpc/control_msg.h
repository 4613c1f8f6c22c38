/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the control services, made from the shapes of control.h. */
#ifndef NEXUSD_RPC_CONTROL_MSG_H
#define NEXUSD_RPC_CONTROL_MSG_H

#include "control.h"
#include "nexus-proto.h"

/** struct msg_list - a growing array of messages, each freed with free() */
struct msg_list {
	void **items;
	size_t n, cap;
};

/**
 * msg_list_add() - append a message
 * @list: the list
 * @item: the message, or NULL when there was no memory for it; taken over
 *
 * Return: 0 or -ENOMEM.
 */
int msg_list_add(struct msg_list *list, void *item);

/** msg_list_free() - free the list and its messages */
void msg_list_free(struct msg_list *list);

#define MSG_PAGE_MAX	8192u	/* of one answer: well below 4 MiB */

/** struct msg_page - one answer of a list that may be longer; zeroed at first */
struct msg_page {
	struct msg_list list;
	bool more;		/* there are others behind */
};

/**
 * msg_page_full() - whether nothing more fits
 * @page: the page
 *
 * A visitor asks before it makes the next message, and ends the walk if so.
 *
 * Return: 0, or -ECANCELED with @page->more set.
 */
int msg_page_full(struct msg_page *page);

/** msg_zone() - a Zone message in one allocation, or NULL */
Nexus__Control__V1__Zone *msg_zone(const struct control_zone_info *info);

/** msg_stat() - a Stat message in one allocation, or NULL */
Nexus__Control__V1__Stat *msg_stat(const struct control_stat *stat);

/** msg_pack() - a Pack message in one allocation, or NULL */
Nexus__Control__V1__Pack *msg_pack(const struct control_pack *pack);

/** msg_problem() - a PackProblem message in one allocation, or NULL */
Nexus__Control__V1__PackProblem *
msg_problem(const struct control_pack_problem *problem);

#endif /* NEXUSD_RPC_CONTROL_MSG_H */
