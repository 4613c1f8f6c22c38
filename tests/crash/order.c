// SPDX-License-Identifier: Apache-2.0
/*
 *	order DISK DEVICE SECONDS
 *
 * Several at a time write a block of DISK each, make it durable and say so in the log
 * of DEVICE, over and over, for `cutlog order` to see whether the log has it in that
 * order: what is judged by a log that has not is judged wrongly.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "report.h"

enum { WRITERS = 4 };

static void work(const char *disk, uint32_t place, int seconds)
{
	static uint64_t block[BLOCK / 8] __attribute__((aligned(BLOCK)));
	time_t end = time(NULL) + seconds;
	int fd = open(disk, O_RDWR | O_DIRECT);

	if (fd < 0)
		die("%s", disk);
	for (*block = 1; time(NULL) < end; ++*block) {
		if (pwrite(fd, block, BLOCK, place * BLOCK) != BLOCK || fdatasync(fd))
			die("write");
		report("order %u %llu", place, (unsigned long long)*block);
	}
	exit(0);
}

int main(int argc, char **argv)
{
	int status, wrong = 0;
	uint32_t place;

	if (argc != 4) {
		fprintf(stderr, "usage: order DISK DEVICE SECONDS\n");
		return 2;
	}
	report_to(argv[2]);
	for (place = 0; place < WRITERS; place++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			work(argv[1], place, atoi(argv[3]));
	}
	while (wait(&status) > 0)
		wrong |= status;
	return wrong != 0;
}
