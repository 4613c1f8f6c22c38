// SPDX-License-Identifier: Apache-2.0
/* Other users and fewer rights, within one process: the saved user id stays root's. */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "px.h"

const struct px_who px_u1 = { "u1", PX_U1, PX_G1, 0, { 0 }, 0 };
const struct px_who px_u2 = { "u2", PX_U2, PX_G2, 0, { 0 }, 0 };
const struct px_who px_u3 = { "u3", PX_U3, PX_G3, 1, { PX_G1 }, 0 };

static uint64_t permitted(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	px_must(syscall(SYS_capget, &head, data));
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

static void set_effective(uint64_t caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t all = permitted();

	caps &= all;
	data[0].permitted = (uint32_t)all;
	data[1].permitted = (uint32_t)(all >> 32);
	data[0].effective = (uint32_t)caps;
	data[1].effective = (uint32_t)(caps >> 32);
	px_must(syscall(SYS_capset, &head, data));
}

void px_become(const struct px_who *who)
{
	if (geteuid())
		px_root();
	px_must(syscall(SYS_setgroups, who->ngroups, who->groups));
	px_must(syscall(SYS_setresgid, who->gid, who->gid, -1));
	/* The kernel takes the effective capabilities away, and keeps the permitted ones. */
	px_must(syscall(SYS_setresuid, who->uid, who->uid, 0));
	set_effective(who->uid ? who->caps : ~who->caps);
}

void px_root(void)
{
	px_must(syscall(SYS_setresuid, 0, 0, 0));
	set_effective(~0ULL);
	px_must(syscall(SYS_setresgid, 0, 0, 0));
	px_must(syscall(SYS_setgroups, 0, NULL));
}

void px_child(void (*run)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)px_must(fork());
	if (!pid) {
		run(arg);
		fflush(stdout);
		_exit(0);
	}
	px_must(waitpid(pid, &status, 0));
	if (status) {
		errno = ECHILD;
		px_must(-1);
	}
}
