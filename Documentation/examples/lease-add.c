// SPDX-License-Identifier: Apache-2.0
/*
 * lease-add FILE TIMES: adds one to the number in FILE, so many times, beside others that
 * do the same: each time under a lease.
 *
 *	cc -o lease-add lease-add.c $(pkg-config --cflags --libs libnexus)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/lease.h>

static int failed(const char *what, int err)
{
	fprintf(stderr, "lease-add: %s: %s\n", what, strerror(-err));
	return 1;
}

static int add_one(int fd)
{
	/* Zeros: an id is made up, and with it a holder nobody else is. */
	struct nexus_lease lease = { .id = { 0 } };
	char text[32] = "";
	int err, len;

	/* If this process dies others go on in a minute. */
	err = nexus_lease_acquire(fd, &lease, "lease-add", 60, 1, NEXUS_LEASE_FOREVER);
	if (err)
		return failed("acquire", err);
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return failed("read", -errno);
	len = snprintf(text, sizeof(text), "%lu\n", strtoul(text, NULL, 10) + 1);
	/* It took too long: somebody else may have it by now. */
	err = nexus_lease_check(fd, lease.token);
	if (err)
		return failed("too slow", err);
	if (pwrite(fd, text, len, 0) != len)
		return failed("write", -errno);
	err = nexus_lease_release(fd, &lease);
	return err ? failed("release", err) : 0;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDWR | O_CREAT, 0644) : -1, times;

	if (fd < 0) {
		perror("lease-add FILE TIMES");
		return 1;
	}
	for (times = atoi(argv[2]); times > 0; times--)
		if (add_one(fd))
			return 1;
	return 0;
}
