/* SPDX-License-Identifier: Apache-2.0 */
/* What services and front ends hand each other. */
#ifndef NEXUSD_RPC_FEED_H
#define NEXUSD_RPC_FEED_H

#include <stddef.h>
#include <stdint.h>

/** struct stream_msg - a message of a stream on its way to the reader; free() */
struct stream_msg {
	struct stream_msg *next;
	size_t len;
	uint8_t data[];
};

#endif /* NEXUSD_RPC_FEED_H */
