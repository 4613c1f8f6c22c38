/* SPDX-License-Identifier: GPL-2.0-only */
/* Sharing blocks between files, as the programs here ask for it. */
#ifndef NX_CLONE_H
#define NX_CLONE_H

#include "nx.h"

#include <linux/fs.h>

#define BS 4096ul

static inline int clone_range(int in, uint64_t from, int out, uint64_t to, uint64_t len)
{
	struct file_clone_range r = {
		.src_fd = in, .src_offset = from, .src_length = len,
		.dest_offset = to,
	};

	return ioctl(out, FICLONERANGE, &r);
}

/* Status of FIDEDUPERANGE, or -1 with errno. */
static inline int dedupe(int in, uint64_t from, int out, uint64_t to, uint64_t len)
{
	union {
		struct file_dedupe_range r;
		char room[sizeof(struct file_dedupe_range) +
			  sizeof(struct file_dedupe_range_info)];
	} u = {};

	u.r.src_offset = from;
	u.r.src_length = len;
	u.r.dest_count = 1;
	u.r.info[0].dest_fd = out;
	u.r.info[0].dest_offset = to;
	if (ioctl(in, FIDEDUPERANGE, &u.r))
		return -1;
	if (u.r.info[0].status < 0) {
		errno = -u.r.info[0].status;
		return -1;
	}
	return u.r.info[0].status;
}

static inline off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

/* Whether the filesystem of the current directory shares blocks. */
static inline bool nx_shares(void)
{
	int a = open("probe", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int b = open("probe2", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	bool shares = write(a, "x", 1) == 1 && !ioctl(b, FICLONE, a);

	/* Of ours it is a failure, not a reason to skip. */
	if (!shares && errno != EOPNOTSUPP)
		shares = true;
	close(a);
	close(b);
	return !unlink("probe") && !unlink("probe2") && (shares || nx_is_nexus("."));
}

#endif
