/* SPDX-License-Identifier: GPL-2.0-only */
/* The netlink family: its table (event.c) and its commands (genl.c). */
#ifndef NEXUS_CHAN_GENL_H
#define NEXUS_CHAN_GENL_H

#include <net/genetlink.h>

extern struct genl_family nexus_genl_family;

int nexus_genl_session_dump(struct sk_buff *skb, struct netlink_callback *cb);
int nexus_genl_zone_dump(struct sk_buff *skb, struct netlink_callback *cb);
int nexus_genl_stats_dump(struct sk_buff *skb, struct netlink_callback *cb);
int nexus_genl_invalidate(struct sk_buff *skb, struct genl_info *info);
int nexus_genl_quiesce(struct sk_buff *skb, struct genl_info *info);
int nexus_genl_abort(struct sk_buff *skb, struct genl_info *info);

#endif /* NEXUS_CHAN_GENL_H */
