/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.echo, version 1: gives back what it is given.
 *
 * It shows how a protocol is written, and that a service answers.
 */
#ifndef NEXUS_SERVICES_ECHO_H
#define NEXUS_SERVICES_ECHO_H

#include <nexus/service.h>

#define NEXUS_ECHO		"nexus.echo"
#define NEXUS_ECHO_VERSION	1
#define NEXUS_ECHO_MAX		256

/**
 * struct nexus_echo_args - of echo
 * @len: of @in and @out, at most NEXUS_ECHO_MAX, else -EMSGSIZE
 * @in: from the caller
 * @out: from the service
 */
struct nexus_echo_args {
	uint32_t len;
	char in[NEXUS_ECHO_MAX];
	char out[NEXUS_ECHO_MAX];
};

/** struct nexus_echo_ops - the operations */
struct nexus_echo_ops {
	nexus_op echo;		/* struct nexus_echo_args */
};

#endif /* NEXUS_SERVICES_ECHO_H */
