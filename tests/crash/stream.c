// SPDX-License-Identifier: Apache-2.0
/*
 * Records appended to a stream that persists, by several at once, until killed; and
 * whether what a power cut left is what they may rely on.
 *
 *	stream record DIR SEED [DEVICE]
 *	stream verify DIR SEED REPORTS
 *
 * Each record that was acknowledged is there, and nothing is in front of one of the same
 * writer but those that it appended before; but for what was trimmed, of which there is
 * none between two that are there.  All are whole.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/nexusfs_stream.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content.h"
#include "report.h"

enum { WRITERS = 3, LEN_MAX = 65536, KEPT = 2 << 20 };

static uint64_t seed;

/* Record @n of a writer begins with who and which it is. */
static size_t make(unsigned char *buf, uint32_t writer, uint32_t n)
{
	uint64_t state = seed ^ (uint64_t)writer << 56 ^ n;
	size_t len = 8 + next_random(&state) % (next_random(&state) % 16 ? 3000 : LEN_MAX - 8), i;

	memcpy(buf, &writer, 4);
	memcpy(buf + 4, &n, 4);
	for (i = 8; i < len; i++)
		buf[i] = (unsigned char)(state + i * 13);
	return len;
}

static void record(uint32_t writer)
{
	static unsigned char buf[LEN_MAX];
	int fd = open("stream", O_WRONLY);
	uint32_t n;

	if (fd < 0)
		die("stream");
	for (n = 1;; n++) {
		size_t len = make(buf, writer, n);
		ssize_t ret = write(fd, buf, len);

		if (ret < 0 && errno == ENOSPC)
			exit(0);
		if (ret != (ssize_t)len)
			die("write of record %u", n);
		report("stream %u %u", writer, n);
	}
}

static void record_all(const char *device)
{
	struct nexus_stream_create sc = {
		.max_bytes = KEPT,
		.mode = 0600,
		.flags = NEXUS_STREAM_PERSIST,
		.name = "stream",
	};
	int dir = open(".", O_RDONLY | O_DIRECTORY);

	report_to(device);
	if (dir < 0 || ioctl(dir, NEXUS_IOC_STREAM_CREATE, &sc) || fsync(dir))
		die("stream");
	report("stream ready");
	record_by(WRITERS, record);
}

static int verify(FILE *reports)
{
	static unsigned char buf[LEN_MAX + 1], want[LEN_MAX];
	uint32_t acked[WRITERS] = { 0 }, last[WRITERS] = { 0 }, writer, n, i;
	struct nexus_stream_stat st;
	int fd = open("stream", O_RDONLY), wrong = 0, count = 0;
	char line[256];
	ssize_t len;

	while (fgets(line, sizeof(line), reports))
		if (sscanf(line, "stream %u %u", &writer, &n) == 2 && writer < WRITERS)
			acked[writer] = n;
	if (fd < 0 || ioctl(fd, NEXUS_IOC_STREAM_STAT, &st))
		die("stream");
	while ((len = read(fd, buf, sizeof(buf))) > 0) {
		memcpy(&writer, buf, 4);
		memcpy(&n, buf + 4, 4);
		if (len < 8 || writer >= WRITERS || (size_t)len != make(want, writer, n) ||
		    memcmp(buf, want, len)) {
			printf("not ok - stream: a record of %zd bytes is garbage\n", len);
			return 1;
		}
		if (n != last[writer] + 1 && (last[writer] || !st.start)) {
			printf("not ok - stream: of %u, %u comes behind %u\n", writer, n, last[writer]);
			wrong++;
		}
		last[writer] = n;
		count++;
	}
	if (len < 0)
		die("read behind %d records", count);
	if (st.records != (uint64_t)count) {
		printf("not ok - stream: %d records of %llu\n", count, (unsigned long long)st.records);
		wrong++;
	}
	for (i = 0; i < WRITERS; i++) {
		if (last[i] >= acked[i])
			continue;
		printf("not ok - stream: of %u, %u was acknowledged and %u is the last\n", i,
		       acked[i], last[i]);
		wrong++;
	}
	printf("# stream: %d records from %llu to %llu, %u %u %u acknowledged\n", count,
	       (unsigned long long)st.start, (unsigned long long)st.tail, acked[0], acked[1], acked[2]);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	bool judge = argc > 1 && !strcmp(argv[1], "verify");
	FILE *reports = NULL;

	if (argc < 4 + judge) {
		fprintf(stderr, "usage: stream record DIR SEED [DEVICE] | verify DIR SEED REPORTS\n");
		return 2;
	}
	seed = strtoull(argv[3], NULL, 0);
	if (judge)
		reports = fopen(argv[4], "r");
	if ((judge && !reports) || (!judge && mkdir(argv[2], 0755)) || chdir(argv[2]))
		die("%s or its reports", argv[2]);
	if (judge)
		return verify(reports);
	record_all(argv[4]);
	return 0;
}
