// SPDX-License-Identifier: Apache-2.0
/*
 * ring-send RING < LINES: each line becomes a message, many of them with one call.
 *
 *	cc -o ring-send ring-send.c $(pkg-config --cflags --libs libnexus)
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <nexus/ring.h>

static char buf[65536];
static uint32_t lens[NEXUS_RING_BATCH_MAX];

/* All of them, however many calls it takes. */
static int send_all(int ring, unsigned int count)
{
	const uint32_t *len = lens;
	const char *from = buf;
	int i, n;

	while (count) {
		n = nexus_ring_send_batch(ring, from, len, count, 0);
		if (n < 0) {
			fprintf(stderr, "ring-send: %s\n", strerror(-n));
			return 1;
		}
		count -= n;
		for (i = 0; i < n; i++)
			from += *len++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int count = 0;
	size_t used = 0, len;
	char line[4096];
	int ring;

	ring = argc == 2 ? open(argv[1], O_WRONLY) : -1;
	if (ring < 0) {
		perror("ring-send RING");
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		len = strcspn(line, "\n");
		if (!len)
			continue;	/* nothing is no message */
		if (count == NEXUS_RING_BATCH_MAX || used + len > sizeof(buf)) {
			if (send_all(ring, count))
				return 1;
			count = 0;
			used = 0;
		}
		memcpy(buf + used, line, len);
		lens[count++] = len;
		used += len;
	}
	return send_all(ring, count);
}
