// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module goes right after the last mount of a helper that was killed.  What a
 * session left behind shows a moment later, in the kernel's log.
 */
#include <sys/syscall.h>

#include "fake.h"

#define ROUNDS	3

static int unload(double seconds)
{
	double end = now() + seconds;
	int err;

	/* The last references go by workers: for @seconds it may be in use. */
	do {
		err = syscall(SYS_delete_module, "nexusfs", O_NONBLOCK) ? -errno : 0;
	} while (err == -EAGAIN && now() < end && !usleep(1000));
	return err;
}

static int load(const char *ko)
{
	int fd = open(ko, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

int main(void)
{
	const char *ko = getenv("NEXUS_KO");
	int i;

	fake_init();
	if (!ko) {
		printf("1..0 # SKIP NEXUS_KO does not say where the module is\n");
		return 0;
	}
	for (i = 0; i < ROUNDS; i++) {
		pid_t helper = fake_start();

		ok_err(fake_mount(NULL), 0, "mount");
		ok_err(unload(0), -EAGAIN, "in use it cannot be unloaded");
		fake_kill(helper);
		/* Its session waits, and looks once a second how long. */
		usleep(200000 + 400000 * i);
		ok_err(fake_umount(), 0, "umount without a helper");
		ok_err(unload(10), 0, "unload");
		usleep(1500000);
		ok_err(load(ko), 0, "and load");
	}
	fake_exit();
	return done();
}
