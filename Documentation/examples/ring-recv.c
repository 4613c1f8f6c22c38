// SPDX-License-Identifier: Apache-2.0
/*
 * ring-recv RING: writes each message as a line, until the last sender is gone.
 *
 *	cc -o ring-recv ring-recv.c $(pkg-config --cflags --libs libnexus)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/ring.h>

int main(int argc, char **argv)
{
	uint32_t lens[NEXUS_RING_BATCH_MAX];
	struct nexus_ring_stat stat;
	int ring, err, i, n;
	char *buf, *message;

	ring = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (ring < 0) {
		perror("ring-recv RING");
		return 1;
	}
	/* With room for its capacity, every message fits. */
	err = nexus_ring_stat(ring, &stat);
	buf = err ? NULL : malloc(stat.capacity);
	if (!buf) {
		fprintf(stderr, "ring-recv: %s: %s\n", argv[1], err ? strerror(-err) : "no memory");
		return 1;
	}
	while ((n = nexus_ring_recv_batch(ring, buf, stat.capacity, lens, NEXUS_RING_BATCH_MAX, 0)) > 0) {
		message = buf;
		for (i = 0; i < n; i++) {
			printf("%.*s\n", (int)lens[i], message);
			message += lens[i];
		}
	}
	if (n < 0) {
		fprintf(stderr, "ring-recv: %s\n", strerror(-n));
		return 1;
	}
	return 0;
}
