// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink family's table, and its events.
 *
 * Events come from any context and are sent by a worker, in the order of their
 * numbers.  One that could not be allocated leaves a gap in the numbers, and a
 * listener that sees a gap asks for the state again.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "chan.h"
#include "genl.h"

/* ---- policies: what each command takes, nothing else ----------------------------- */

static const struct nla_policy nexus_session_policy[NEXUS_A_MAX + 1] = {
	[NEXUS_A_SESSION] = { .type = NLA_NUL_STRING,
			      .len = NEXUS_SESSION_NAME_MAX },
};

static const struct nla_policy nexus_zone_policy[NEXUS_A_MAX + 1] = {
	[NEXUS_A_SESSION] = { .type = NLA_NUL_STRING,
			      .len = NEXUS_SESSION_NAME_MAX },
	[NEXUS_A_ZONE] = { .type = NLA_NUL_STRING,
			   .len = NEXUS_ZONE_NAME_MAX },
};

static const struct nla_policy nexus_invalidate_policy[NEXUS_A_MAX + 1] = {
	[NEXUS_A_SESSION] = { .type = NLA_NUL_STRING,
			      .len = NEXUS_SESSION_NAME_MAX },
	[NEXUS_A_ZONE] = { .type = NLA_NUL_STRING,
			   .len = NEXUS_ZONE_NAME_MAX },
	[NEXUS_A_INO] = NLA_POLICY_MIN(NLA_U64, 1),
};

static const struct genl_split_ops nexus_genl_ops[] = {
	{
		.cmd	= NEXUS_CMD_SESSION_GET,
		.dumpit	= nexus_genl_session_dump,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= NEXUS_CMD_ZONE_GET,
		.dumpit	= nexus_genl_zone_dump,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= NEXUS_CMD_STATS_GET,
		.dumpit	= nexus_genl_stats_dump,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= NEXUS_CMD_INVALIDATE,
		.doit	= nexus_genl_invalidate,
		.policy	= nexus_invalidate_policy,
		.maxattr = NEXUS_A_MAX,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= NEXUS_CMD_QUIESCE,
		.doit	= nexus_genl_quiesce,
		.policy	= nexus_zone_policy,
		.maxattr = NEXUS_A_MAX,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= NEXUS_CMD_ABORT,
		.doit	= nexus_genl_abort,
		.policy	= nexus_session_policy,
		.maxattr = NEXUS_A_MAX,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
};

enum { NEXUS_MCGRP_EVENTS };

static const struct genl_multicast_group nexus_genl_groups[] = {
	[NEXUS_MCGRP_EVENTS] = {
		.name	= NEXUS_GENL_GROUP_EVENTS,
		.flags	= GENL_MCAST_CAP_NET_ADMIN,
	},
};

struct genl_family nexus_genl_family __ro_after_init = {
	.name		= NEXUS_GENL_NAME,
	.version	= NEXUS_GENL_VERSION,
	.module		= THIS_MODULE,
	.parallel_ops	= true,		/* sessions and zones lock themselves */
	.split_ops	= nexus_genl_ops,
	.n_split_ops	= ARRAY_SIZE(nexus_genl_ops),
	.mcgrps		= nexus_genl_groups,
	.n_mcgrps	= ARRAY_SIZE(nexus_genl_groups),
};

/* ---- events ------------------------------------------------------------------------ */

struct nexus_event_node {
	struct list_head list;
	u64 seq;
	enum nexus_event ev;
	int error;
	char session[NEXUS_SESSION_NAME_MAX + 1];
	char zone[NEXUS_ZONE_NAME_LEN];
	char reason[112];
};

static DEFINE_SPINLOCK(nexus_event_lock);
static LIST_HEAD(nexus_event_list);
static u64 nexus_event_seq;
static unsigned int nexus_event_count;
#define NEXUS_EVENTS_MAX	1024	/* not yet sent */

static void nexus_event_send(const struct nexus_event_node *e)
{
	struct sk_buff *skb;
	void *hdr;

	skb = genlmsg_new(nla_total_size_64bit(sizeof(u64)) +
			  2 * nla_total_size(sizeof(u32)) +
			  nla_total_size(sizeof(e->session)) +
			  nla_total_size(sizeof(e->zone)) +
			  nla_total_size(sizeof(e->reason)), GFP_KERNEL);
	if (!skb)
		return;
	hdr = genlmsg_put(skb, 0, 0, &nexus_genl_family, 0, NEXUS_CMD_EVENT);
	if (!hdr ||
	    nla_put_u64_64bit(skb, NEXUS_A_EVENT_SEQ, e->seq, NEXUS_A_PAD) ||
	    nla_put_u32(skb, NEXUS_A_EVENT, e->ev) ||
	    (e->session[0] &&
	     nla_put_string(skb, NEXUS_A_SESSION, e->session)) ||
	    (e->zone[0] && nla_put_string(skb, NEXUS_A_ZONE, e->zone)) ||
	    (e->error && nla_put_s32(skb, NEXUS_A_ERROR, e->error)) ||
	    (e->reason[0] && nla_put_string(skb, NEXUS_A_REASON, e->reason))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	/* -ESRCH: nobody listens. */
	genlmsg_multicast(&nexus_genl_family, skb, 0, NEXUS_MCGRP_EVENTS,
			  GFP_KERNEL);
}

static void nexus_event_work_fn(struct work_struct *work)
{
	struct nexus_event_node *e;

	for (;;) {
		spin_lock_irq(&nexus_event_lock);
		e = list_first_entry_or_null(&nexus_event_list,
					     struct nexus_event_node, list);
		if (e) {
			list_del(&e->list);
			nexus_event_count--;
		}
		spin_unlock_irq(&nexus_event_lock);
		if (!e)
			return;
		nexus_event_send(e);
		kfree(e);
	}
}

static DECLARE_WORK(nexus_event_work, nexus_event_work_fn);

void nexus_event(enum nexus_event ev, const char *session, const char *zone,
		 int error, const char *reason)
{
	struct nexus_event_node *e;
	unsigned long flags;

	e = kzalloc(sizeof(*e), GFP_ATOMIC | __GFP_NOWARN);
	if (e) {
		e->ev = ev;
		e->error = error;
		strscpy(e->session, session ?: "", sizeof(e->session));
		strscpy(e->zone, zone ?: "", sizeof(e->zone));
		strscpy(e->reason, reason ?: "", sizeof(e->reason));
	}
	spin_lock_irqsave(&nexus_event_lock, flags);
	nexus_event_seq++;
	if (e && nexus_event_count < NEXUS_EVENTS_MAX) {
		e->seq = nexus_event_seq;
		list_add_tail(&e->list, &nexus_event_list);
		nexus_event_count++;
		e = NULL;
	}
	spin_unlock_irqrestore(&nexus_event_lock, flags);
	kfree(e);
	schedule_work(&nexus_event_work);
}

int nexus_genl_init(void)
{
	return genl_register_family(&nexus_genl_family);
}

/* Nothing raises events any more: zones and sessions are gone. */
void nexus_genl_exit(void)
{
	cancel_work_sync(&nexus_event_work);
	/* What is left, so that nobody misses how it ended. */
	nexus_event_work_fn(&nexus_event_work);
	genl_unregister_family(&nexus_genl_family);
}
