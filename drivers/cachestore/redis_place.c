// SPDX-License-Identifier: Apache-2.0
#include "drivers/cachestore/redis_link.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static int bad(struct nexus_cache_fault *fault, const char *word, const char *why)
{
	char text[NEXUS_CACHE_FAULT_MAX];

	snprintf(text, sizeof(text), "cachestore_at: %.100s: %s", word, why);
	return cache_fail(fault, -EINVAL, text);
}

/* What is said there can be read on the way, so it goes nowhere. */
static bool on_this_machine(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static bool number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (*text < '0' || *text > '9' || strlen(text) > 6)
		return false;
	*out = strtoul(text, &end, 10);
	return !*end && *out <= max;
}

static bool take(char *to, size_t room, const char *value)
{
	if (!*value || strlen(value) >= room)
		return false;
	strcpy(to, value);
	return true;
}

static int parse_word(char *word, struct redis_place *p, struct nexus_cache_fault *fault)
{
	char *value = strchr(word, '=');
	unsigned long n;

	if (!value)
		return cache_fail(fault, -EINVAL,
				  "cachestore_at: it is words KEY=VALUE with blanks between them");
	*value++ = '\0';
	if (!strcmp(word, "socket"))
		return take(p->socket, sizeof(p->socket), value) && *value == '/' ? 0 :
			bad(fault, word, "it is a path that begins with /, of at most 107 bytes");
	if (!strcmp(word, "passfile"))
		return take(p->passfile, sizeof(p->passfile), value) && *value == '/' ? 0 :
			bad(fault, word, "it is a path that begins with /, of at most 255 bytes");
	if (!strcmp(word, "user"))
		return take(p->user, sizeof(p->user), value) ? 0 :
			bad(fault, word, "it is a name of 1 to 127 bytes");
	if (!strcmp(word, "host")) {
		if (!strcmp(value, "localhost"))
			value = (char *)"127.0.0.1";
		return take(p->host, sizeof(p->host), value) && on_this_machine(value) ? 0 :
			bad(fault, word, "it is an address of this machine: nothing said to a server is secret");
	}
	if (!strcmp(word, "port")) {
		if (!number(value, 65535, &n) || !n)
			return bad(fault, word, "it is a number from 1 to 65535");
		p->port = (uint16_t)n;
		return 0;
	}
	if (!strcmp(word, "db")) {
		if (!number(value, 65535, &n))
			return bad(fault, word, "it is a number from 0 to 65535");
		p->db = (uint32_t)n;
		return 0;
	}
	/* It is not shown: it may be meant for something else, and hold a password. */
	return cache_fail(fault, -EINVAL,
			  "cachestore_at: the words there are: socket, host, port, user, passfile, db");
}

int redis_place_parse(const char *at, struct redis_place *place, struct nexus_cache_fault *fault)
{
	char *copy = strdup(at), *word, *rest = NULL;
	int ret = 0;

	if (!copy)
		return cache_fail(fault, -ENOMEM, "no memory");
	*place = (struct redis_place){ .port = 6379 };
	for (word = strtok_r(copy, " \t", &rest); word && !ret; word = strtok_r(NULL, " \t", &rest))
		ret = parse_word(word, place, fault);
	free(copy);
	if (ret)
		return ret;
	if (!place->socket[0] == !place->host[0])
		return cache_fail(fault, -EINVAL,
				  "cachestore_at: it names a server by socket= or by host=");
	if (place->user[0] && !place->passfile[0])
		return cache_fail(fault, -EINVAL, "cachestore_at: user= needs passfile=");
	return 0;
}
