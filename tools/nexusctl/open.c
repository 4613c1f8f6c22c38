// SPDX-License-Identifier: Apache-2.0
/* Opening what the user names, without a trace if it is something else than expected. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "nexusctl.h"

int open_plain(const char *path, int flags)
{
	struct stat st;
	int fd;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -ENOTTY;
	/* It may be another by now: then at least nobody waits here. */
	fd = open(path, flags | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}
