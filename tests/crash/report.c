// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

static char mapped[DM_NAME_LEN];

void report_to(const char *device)
{
	snprintf(mapped, sizeof(mapped), "%s", device ? device : "");
}

/* A message is split at blanks, so the words of a mark have commas between them. */
static void mark(const char *words)
{
	static int control = -1;
	static union {
		struct dm_ioctl head;
		char bytes[sizeof(struct dm_ioctl) + sizeof(struct dm_target_msg) + 112];
	} message;
	struct dm_ioctl *head = &message.head;
	struct dm_target_msg *target = (void *)(head + 1);
	char *c = target->message;

	if (control < 0)
		control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	memset(&message, 0, sizeof(message));
	head->version[0] = DM_VERSION_MAJOR;
	head->data_size = sizeof(message);
	head->data_start = sizeof(*head);
	snprintf(head->name, sizeof(head->name), "%s", mapped);
	sprintf(c, "mark %.100s", words);
	for (c += strlen("mark "); *c; c++)
		if (*c == ' ')
			*c = ',';
	if (ioctl(control, DM_TARGET_MSG, &message))
		die("mark in the log of %s", mapped);
}

void report(const char *format, ...)
{
	char line[100];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (*mapped) {
		mark(line);
		return;
	}
	line[len++] = '\n';
	if (write(1, line, len) != len)
		exit(1);
}

void record_by(uint32_t n, void (*record)(uint32_t worker))
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			record(i);
		}
	}
	while (wait(NULL) > 0)
		;
	for (;;)
		pause();
}
