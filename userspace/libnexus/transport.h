/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another way to the helper than the control socket: an object that is loaded when somebody
 * asks for it, so that libnexus does not need the libraries it needs.
 */
#ifndef LIBNEXUS_TRANSPORT_H
#define LIBNEXUS_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSPORT_ABI		1u
#define TRANSPORT_SYMBOL	"nexus_transport"
#define TRANSPORT_ERROR_MAX	512

/**
 * struct transport_peer - where to, and who one is
 * @endpoint: unix:PATH or HOST:PORT
 * @ca: file with who is believed to be the helper; NULL with unix:
 * @cert: file with one's certificate, likewise
 * @key: file with its key, likewise
 */
struct transport_peer {
	const char *endpoint;
	const char *ca;
	const char *cert;
	const char *key;
};

/**
 * struct transport_answer - what has come
 * @last: the outcome; else a message of a stream
 * @code: of the outcome: google.rpc.Code
 * @error: its line, not encoded in @status
 * @status: google.rpc.Status with details, or NULL; free()
 * @data: encoded message, or NULL; free()
 */
struct transport_answer {
	bool last;
	int code;
	char error[TRANSPORT_ERROR_MAX];
	uint8_t *status;
	size_t status_len;
	uint8_t *data;
	size_t len;
};

/**
 * struct transport - what an object exports as nexus_transport
 * @abi: TRANSPORT_ABI
 * @open: connect, within @timeout_ms (0: no limit).  0, or a negative errno with its line.
 * @close: it, and whatever is under way
 * @call: a unary call.  0 when there is an outcome, or -ENOMEM.
 * @begin: a call that answers with a stream; one at a time.  0 or -ENOMEM.
 * @next: what comes of it; -ETIMEDOUT: nothing within @timeout_ms, and the stream is over.
 */
struct transport {
	uint32_t abi;
	int (*open)(const struct transport_peer *peer, unsigned int timeout_ms, void **conn,
		    char error[TRANSPORT_ERROR_MAX]);
	void (*close)(void *conn);
	int (*call)(void *conn, const char *path, const void *request, size_t len,
		    unsigned int timeout_ms, struct transport_answer *answer);
	int (*begin)(void *conn, const char *path, const void *request, size_t len);
	int (*next)(void *conn, unsigned int timeout_ms, struct transport_answer *answer);
};

#endif /* LIBNEXUS_TRANSPORT_H */
