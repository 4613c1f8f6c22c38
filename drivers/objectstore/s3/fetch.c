// SPDX-License-Identifier: Apache-2.0
/* Credentials that have an expiry: from the token service, an agent, the metadata. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "creds_impl.h"
#include "parse.h"
#include "profile.h"
#include "secret.h"
#include "text.h"

#define TOKEN_MAX	20000	/* bytes of a token in a file; the service takes no longer ones */
#define HEADER_TOKEN	"X-aws-ec2-metadata-token: "
#define ROLE_PATH	"/latest/meta-data/iam/security-credentials/"

/* One fetch. */
struct fetch {
	const struct creds_source *source;
	struct creds_http *http;
	int64_t now;
	struct s3_fault *fault;
};

/*
 * Words of the other side are not shown, they may hold what was sent; but its name
 * for an error is, when it looks like one.
 */
static const char *code_of(const struct creds_fields *fields)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.";
	const char *code = fields->code;

	return code && strlen(code) <= 48 && !code[strspn(code, letters)] ? code : "no reason";
}

static int ask(const struct fetch *f, const struct creds_request *request, const char *who,
	       struct creds_answer *answer)
{
	unsigned int i;
	int ret = -EIO;

	for (i = 0; i < f->source->attempts; i++) {
		ret = creds_http_request(f->http, request, who, answer, f->fault);
		if (!ret && answer->status >= 500 && i + 1 < f->source->attempts)
			secret_free(answer->body);
		else if (ret != -EIO && ret != -ETIMEDOUT)
			break;
	}
	return ret;
}

/* What a status other than 200 means. */
static int refusal(const struct fetch *f, const char *who, long status, const char *why)
{
	const int error = status == 404 ? -ENOENT : status >= 400 && status < 500 ? -EACCES :
			  status >= 500 ? -EIO : -EPROTO;

	return s3_fault_set(f->fault, error, "%s answered %ld (%s)", who, status, why);
}

/* The snapshot of an answer that was parsed; @expires: it has to say when. */
static int accept(const struct fetch *f, const struct creds_fields *fields, const char *who,
		  bool expires, const struct s3_creds **creds)
{
	int64_t expiry = INT64_MAX;
	struct s3_fault why;
	int ret;

	if (!fields->access_key || !fields->secret_key || (expires && !fields->expiration) ||
	    (fields->expiration && creds_parse_time(fields->expiration, &expiry)))
		return s3_fault_set(f->fault, -EPROTO, "%s answered without credentials (%s)", who,
				    code_of(fields));
	if (expiry <= f->now)
		return s3_fault_set(f->fault, -EPROTO,
				    "%s gave out credentials that have expired: is the clock right?", who);
	ret = creds_new(f->source->name, fields->access_key, fields->secret_key, fields->token,
			expiry, creds, &why);
	return ret ? s3_fault_set(f->fault, ret == -EINVAL ? -EPROTO : ret, "%s: %s", who, why.text) : 0;
}

/* A token out of a file, without the line end most have. */
static int read_token(const struct fetch *f, const char *what, char **token)
{
	char *p, *end;
	int ret = secret_read_file(f->source->token_file, TOKEN_MAX, what, token, NULL, f->fault);

	if (ret)
		return ret;
	end = *token + strlen(*token);
	while (end > *token && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	for (p = *token; p < end && (unsigned char)*p > 0x20 && *p != 0x7f; p++)
		;
	if (p < end || p == *token) {
		secret_free(*token);
		return s3_fault_set(f->fault, -EINVAL, "%s %s holds no token", what,
				    f->source->token_file);
	}
	return 0;
}

/* ---- the token service ------------------------------------------------------------ */

static int web_identity(const struct fetch *f, struct creds_arena *arena,
			const struct s3_creds **creds)
{
	static const char who[] = "the token service";
	const struct creds_source *source = f->source;
	struct creds_request request = {
		.url = source->url, .ca_file = source->ca_file, .timeout_ms = source->timeout_ms,
		.headers = { "Content-Type: application/x-www-form-urlencoded", "Accept: text/xml" },
	};
	struct creds_answer answer = { 0 };
	struct creds_fields fields;
	char *token = NULL, *body = NULL;
	struct s3_text text;
	size_t size;
	int ret;

	ret = read_token(f, "web identity token", &token);
	if (ret)
		return ret;
	size = 3 * (strlen(token) + strlen(source->role) + strlen(source->session_name)) + 256;
	body = secret_alloc(size);
	if (!body) {
		ret = s3_fault_set(f->fault, -ENOMEM, "no memory that can be locked");
		goto out;
	}
	s3_text_init(&text, body, size);
	s3_text_str(&text, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	s3_text_uri(&text, source->role, false);
	s3_text_str(&text, "&RoleSessionName=");
	s3_text_uri(&text, source->session_name, false);
	s3_text_str(&text, "&WebIdentityToken=");
	s3_text_uri(&text, token, false);
	request.body = body;
	ret = ask(f, &request, who, &answer);
	if (ret)
		goto out;
	ret = creds_parse_xml(arena, answer.body, answer.len, &fields);
	if (answer.status != 200)
		ret = refusal(f, who, answer.status, ret ? "no reason" : code_of(&fields));
	else if (ret)
		s3_fault_set(f->fault, ret, "%s answered what is no XML of its kind", who);
	else
		ret = accept(f, &fields, who, true, creds);
out:
	secret_free(answer.body);
	secret_free(body);
	secret_free(token);
	return ret;
}

/* ---- agents that answer JSON ------------------------------------------------------ */

static int accept_json(const struct fetch *f, const struct creds_answer *answer,
		       const char *who, bool expires, struct creds_arena *arena,
		       const struct s3_creds **creds)
{
	struct creds_fields fields;
	int ret = creds_parse_json(arena, answer->body, answer->len, &fields);

	if (answer->status != 200)
		return refusal(f, who, answer->status, ret ? "no reason" : code_of(&fields));
	if (ret)
		return s3_fault_set(f->fault, ret, "%s answered what is no JSON object", who);
	return accept(f, &fields, who, expires, creds);
}

static int container(const struct fetch *f, struct creds_arena *arena,
		     const struct s3_creds **creds)
{
	static const char who[] = "the container agent";
	const struct creds_source *source = f->source;
	struct creds_request request = {
		.url = source->url, .timeout_ms = source->timeout_ms, .local = true,
	};
	struct creds_answer answer = { 0 };
	char *file = NULL, *header = NULL;
	const char *token = source->token;
	size_t size;
	int ret = 0;

	if (source->token_file) {
		ret = read_token(f, "authorization token", &file);
		if (ret)
			return ret;
		token = file;
	}
	if (token) {
		size = sizeof("Authorization: ") + strlen(token);
		header = secret_alloc(size);
		if (!header) {
			ret = s3_fault_set(f->fault, -ENOMEM, "no memory that can be locked");
			goto out;
		}
		snprintf(header, size, "Authorization: %s", token);
		/* It would end the header. */
		if (strpbrk(token, "\r\n")) {
			ret = s3_fault_set(f->fault, -EINVAL,
					   "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line end in it");
			goto out;
		}
		request.headers[0] = header;
	}
	ret = ask(f, &request, who, &answer);
	if (!ret)
		ret = accept_json(f, &answer, who, false, arena, creds);
out:
	secret_free(answer.body);
	secret_free(header);
	secret_free(file);
	return ret;
}

/* ---- the instance metadata, version 2 --------------------------------------------- */

/* One request for a single word: a token, the name of a role.  *@word is its body. */
static int ask_word(const struct fetch *f, const struct creds_request *request,
		    const char *who, char **word)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_/-";
	struct creds_answer answer = { 0 };
	int ret = ask(f, request, who, &answer);

	if (ret)
		return ret;
	if (answer.status != 200) {
		ret = refusal(f, who, answer.status, answer.status == 404 ? "there is none" : "no reason");
	} else {
		/* Of several lines the first. */
		answer.body[strcspn(answer.body, "\r\n")] = '\0';
		if (!*answer.body || answer.body[strspn(answer.body, letters)] ||
		    strlen(answer.body) > 1024)
			ret = s3_fault_set(f->fault, -EPROTO, "%s answered no name or token", who);
	}
	if (ret) {
		secret_free(answer.body);
		return ret;
	}
	*word = answer.body;
	return 0;
}

static int instance(const struct fetch *f, struct creds_arena *arena,
		    const struct s3_creds **creds)
{
	struct creds_request request = { .timeout_ms = f->source->timeout_ms, .local = true };
	struct creds_answer answer = { 0 };
	char *token = NULL, *role = NULL, *header = NULL;
	char url[2048];
	int ret, n;

	snprintf(url, sizeof(url), "%s/latest/api/token", f->source->url);
	request.url = url;
	request.method = "PUT";
	request.headers[0] = "X-aws-ec2-metadata-token-ttl-seconds: 300";
	ret = ask_word(f, &request, "the instance metadata's token", &token);
	if (ret)
		return ret;
	ret = -ENOMEM;
	header = secret_alloc(sizeof(HEADER_TOKEN) + strlen(token));
	if (!header) {
		s3_fault_set(f->fault, ret, "no memory that can be locked");
		goto out;
	}
	strcpy(header, HEADER_TOKEN);
	strcat(header, token);
	snprintf(url, sizeof(url), "%s" ROLE_PATH, f->source->url);
	request.method = NULL;
	request.headers[0] = header;
	ret = ask_word(f, &request, "the instance metadata's role", &role);
	if (ret)
		goto out;
	n = snprintf(url, sizeof(url), "%s" ROLE_PATH "%s", f->source->url, role);
	if (n >= (int)sizeof(url)) {
		ret = s3_fault_set(f->fault, -EPROTO, "the instance metadata's role has too long a name");
		goto out;
	}
	ret = ask(f, &request, "the instance metadata", &answer);
	if (!ret)
		ret = accept_json(f, &answer, "the instance metadata", true, arena, creds);
out:
	secret_free(answer.body);
	secret_free(header);
	secret_free(role);
	secret_free(token);
	return ret;
}

int creds_fetch(const struct creds_source *source, struct creds_http *http, int64_t now,
		const struct s3_creds **creds, struct s3_fault *fault)
{
	const struct fetch f = { source, http, now, fault };
	struct creds_arena *arena = creds_arena_open();
	int ret = -EINVAL;

	if (!arena)
		return s3_fault_set(fault, -ENOMEM, "no memory that can be locked");
	switch (source->kind) {
	case SOURCE_WEB_IDENTITY:
		ret = web_identity(&f, arena, creds);
		break;
	case SOURCE_CONTAINER:
		ret = container(&f, arena, creds);
		break;
	case SOURCE_INSTANCE:
		ret = instance(&f, arena, creds);
		break;
	case SOURCE_STATIC:
	case SOURCE_PROFILE:
		break;
	}
	creds_arena_close(arena);
	/* The JSON library reads by way of it. */
	secret_wipe_stack();
	return ret;
}
