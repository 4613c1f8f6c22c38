// SPDX-License-Identifier: Apache-2.0
#include "method.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(struct nexus_rpc_call *call, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call->error, sizeof(call->error), fmt, ap);
	va_end(ap);
	return error;
}

int method_end(const struct method *m, int ret, const char *words)
{
	if (ret && words && !m->call->error[0])
		refuse(m->call, ret, "%s", words);
	m->host->args_free(m->args);
	return ret;
}

const char *method_subject(const struct method *m, const char *named)
{
	return named[0] ? named : m->call->caller.subject;
}

const char *method_as(const struct method *m, const char *named)
{
	return named[0] || !m->call->caller.admin ? method_subject(m, named) : NULL;
}
