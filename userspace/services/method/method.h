/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the methods of a service have around their operation: memory for arguments and
 * answer, which ends with the method, who is meant, and words for what went wrong.
 */
#ifndef SERVICES_METHOD_H
#define SERVICES_METHOD_H

#include <errno.h>
#include <stddef.h>

#include <nexus/rpc.h>
#include <nexus/service.h>

/** METHOD_NO_STORE - words for -ENOTCONN of a service that keeps tables */
#define METHOD_NO_STORE	"the record store cannot be used now; the log of the helper says why"

/** struct method - a method under way; all memory of it is freed with @args */
struct method {
	const struct nexus_service_host *host;
	struct nexus_rpc_call *call;
	void *args;
};

/** method_begin() - with zeroed arguments of @size bytes; 0 or -ENOMEM */
static inline int method_begin(struct method *m, const struct nexus_service_host *host,
			       void *call, size_t size)
{
	m->host = host;
	m->call = call;
	m->args = host->args_new(size);
	return m->args ? 0 : -ENOMEM;
}

/** method_room() - more zeroed memory, @n times @size; NULL without any */
static inline void *method_room(const struct method *m, size_t n, size_t size)
{
	return m->host->args_more(m->args, n ? n * size : 1);
}

/**
 * refuse() - an error of a method in words
 * @call: the call
 * @error: negative errno
 * @fmt: the words, as of printf(3)
 *
 * Return: @error.
 */
int refuse(struct nexus_rpc_call *call, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * method_end() - frees its memory
 * @m: the method
 * @ret: 0 or a negative errno
 * @words: for the user, when nothing was said yet; or NULL
 *
 * Return: @ret.
 */
int method_end(const struct method *m, int ret, const char *words);

/** method_subject() - whom a request names, or else who calls */
const char *method_subject(const struct method *m, const char *named);

/** method_as() - who acts; NULL: an administrator that names nobody and may do everything */
const char *method_as(const struct method *m, const char *named);

#endif /* SERVICES_METHOD_H */
