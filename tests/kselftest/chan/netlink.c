// SPDX-License-Identifier: GPL-2.0-only
/* Generic netlink by hand: what the tests need of the family, nothing more. */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "netlink.h"

static char buf[65536] __attribute__((aligned(8)));

int nl_open(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK };
	struct timeval limit = { .tv_sec = 5 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	int one = 1;

	if (fd < 0 || bind(fd, (void *)&me, sizeof(me)))
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return fd;
}

void nl_begin(struct nl_msg *m, int family, int cmd, int flags)
{
	struct genlmsghdr *g = (void *)(m->b + NLMSG_HDRLEN);
	struct nlmsghdr *h = (void *)m->b;

	memset(m, 0, sizeof(*m));
	h->nlmsg_type = family;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	g->cmd = cmd;
	g->version = 1;
	h->nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
}

void nl_put(struct nl_msg *m, int type, const void *data, size_t len)
{
	struct nlmsghdr *h = (void *)m->b;
	struct nlattr *a = (void *)(m->b + NLMSG_ALIGN(h->nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy(a + 1, data, len);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + NLA_ALIGN(a->nla_len);
}

void nl_put_string(struct nl_msg *m, int type, const char *s)
{
	nl_put(m, type, s, strlen(s) + 1);
}

static const struct nlattr *find(const struct nlattr *a, int len, int type)
{
	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		len -= NLA_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
	}
	return NULL;
}

const void *nl_attr(const struct nlmsghdr *h, int type)
{
	const struct nlattr *a = (const void *)((const char *)h + NLMSG_HDRLEN +
						GENL_HDRLEN);
	const struct nlattr *hit;

	hit = find(a, h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, type);
	return hit ? hit + 1 : NULL;
}

const void *nl_nested(const void *data, int type)
{
	const struct nlattr *a = (const struct nlattr *)data - 1, *hit;

	hit = find(data, a->nla_len - NLA_HDRLEN, type);
	return hit ? hit + 1 : NULL;
}

char nl_why[256];

int nl_talk(int fd, struct nl_msg *m, nl_fn fn, void *arg)
{
	struct nlmsghdr *h = (void *)m->b;

	nl_why[0] = '\0';
	if (send(fd, m->b, h->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		int n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		for (h = (void *)buf; NLMSG_OK(h, (unsigned int)n);
		     h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return *(int *)NLMSG_DATA(h);
			if (h->nlmsg_type == NLMSG_ERROR) {
				struct nlmsgerr *e = NLMSG_DATA(h);
				const struct nlattr *why;

				why = find((void *)(e + 1), h->nlmsg_len -
					   NLMSG_HDRLEN - sizeof(*e),
					   NLMSGERR_ATTR_MSG);
				if (why && h->nlmsg_flags & NLM_F_ACK_TLVS)
					snprintf(nl_why, sizeof(nl_why), "%s",
						 (const char *)(why + 1));
				return e->error;
			}
			if (fn)
				fn(h, arg);
		}
	}
}

struct family {
	int id;
	int group;
};

static void on_family(const struct nlmsghdr *h, void *arg)
{
	const uint16_t *id = nl_attr(h, CTRL_ATTR_FAMILY_ID);
	const void *groups = nl_attr(h, CTRL_ATTR_MCAST_GROUPS), *g;
	struct family *f = arg;

	if (id)
		f->id = *id;
	g = groups ? nl_nested(groups, 1) : NULL;
	if (g)
		f->group = *(const uint32_t *)nl_nested(g, CTRL_ATTR_MCAST_GRP_ID);
}

int nl_family(int fd, int *group)
{
	struct family f = { 0 };
	struct nl_msg m;
	int err;

	nl_begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	nl_put_string(&m, CTRL_ATTR_FAMILY_NAME, NEXUS_GENL_NAME);
	err = nl_talk(fd, &m, on_family, &f);
	if (group)
		*group = f.group;
	return err ? err : f.id;
}

struct want {
	const char *name;
	int64_t value;
};

static void on_counter(const struct nlmsghdr *h, void *arg)
{
	const void *nest = nl_attr(h, NEXUS_A_COUNTER);
	struct want *w = arg;

	if (nest && !strcmp(nl_nested(nest, NEXUS_A_NAME), w->name))
		memcpy(&w->value, nl_nested(nest, NEXUS_A_VALUE), 8);
}

int64_t counter(const char *name)
{
	struct want w = { name, -1 };
	struct nl_msg m;
	int fd = nl_open();

	nl_begin(&m, nl_family(fd, NULL), NEXUS_CMD_STATS_GET, NLM_F_DUMP);
	nl_talk(fd, &m, on_counter, &w);
	close(fd);
	return w.value;
}
