/* SPDX-License-Identifier: GPL-2.0-only */
/* Generic netlink by hand. */
#ifndef NETLINK_H
#define NETLINK_H

#include <linux/netlink.h>

#include "fake.h"

struct nl_msg {
	char b[1024] __attribute__((aligned(8)));
};

typedef void (*nl_fn)(const struct nlmsghdr *h, void *arg);

int nl_open(void);
/* Family id, or -errno; *@group: of the events. */
int nl_family(int fd, int *group);
void nl_begin(struct nl_msg *m, int family, int cmd, int flags);
void nl_put(struct nl_msg *m, int type, const void *data, size_t len);
void nl_put_string(struct nl_msg *m, int type, const char *s);
/* Sends and takes every answer; ends with an acknowledgement or a dump's end. */
int nl_talk(int fd, struct nl_msg *m, nl_fn fn, void *arg);
const void *nl_attr(const struct nlmsghdr *h, int type);
const void *nl_nested(const void *data, int type);
/* The kernel's words on the last failure. */
extern char nl_why[256];

#endif /* NETLINK_H */
