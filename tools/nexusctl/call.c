// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

int no_memory(void)
{
	fputs("nexusctl: out of memory\n", stderr);
	return EXIT_FAILED;
}

void *call_pack(const ProtobufCMessage *req, size_t *len)
{
	uint8_t *buf = malloc(protobuf_c_message_get_packed_size(req) + 1);

	if (buf)
		*len = protobuf_c_message_pack(req, buf);
	return buf;
}

int call_service(struct ctl *ctl, const char *service, const char *method,
		 const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
		 ProtobufCMessage **answer)
{
	size_t len, reply_len;
	void *reply, *buf = call_pack(req, &len);
	int ret = buf ? nexus_call(ctl->client, service, method, buf, len, &reply, &reply_len) :
			-ENOMEM;

	free(buf);
	if (ret)
		return ret;
	*answer = protobuf_c_message_unpack(desc, NULL, reply_len, reply);
	free(reply);
	return *answer ? 0 : -EBADMSG;
}

void *call(struct ctl *ctl, const struct call_target *to, const char *method,
	   const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc)
{
	ProtobufCMessage *msg = NULL;
	int ret;

	if (ctl_connect(ctl))
		return NULL;
	ret = call_service(ctl, to->service, method, req, desc, &msg);
	if (ret)
		call_failed(ctl, to->name, ret);
	return msg;
}

void release(void *msg)
{
	protobuf_c_message_free_unpacked(msg, NULL);
}

int wrong(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s, not %s; see: nexusctl help\n", what, arg);
	return EXIT_USAGE;
}

/* It is the helper's table that has no such method; else the service has words of its own. */
static bool no_method(const struct ctl *ctl)
{
	const char *text = nexus_error(ctl->client);

	return !strncmp(text, "unknown method ", 15) || strstr(text, " is not there any more");
}

int call_failed(const struct ctl *ctl, const char *name, int err)
{
	switch (err) {
	case -ENOMEM:
		return no_memory();
	case -EBADMSG:
		fputs("nexusctl: the answer cannot be read; are helper and tools of one version?\n",
		      stderr);
		return EXIT_FAILED;
	case -EOPNOTSUPP:
		if (!no_method(ctl))
			break;
		fprintf(stderr, "nexusctl: service %s is not loaded; see: nexusctl service load %s\n",
			name, name);
		return EXIT_FAILED;
	}
	return ctl_failed(ctl);
}
