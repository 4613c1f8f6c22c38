// SPDX-License-Identifier: Apache-2.0
/*
 * Where credentials are looked for, in the order of the AWS SDK for Go v2: an explicit
 * profile, keys in the environment, web identity in the environment, the shared
 * files, the container's agent, the instance's metadata.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "creds_impl.h"
#include "profile.h"
#include "secret.h"

#define CONTAINER_HOST	"http://169.254.170.2"
#define INSTANCE_4	"http://169.254.169.254"
#define INSTANCE_6	"http://[fd00:ec2::254]"

static int no_memory(struct s3_fault *fault)
{
	return s3_fault_set(fault, -ENOMEM, "no memory, or none that may be locked");
}

/* A copy, or NULL for NULL; false: no memory. */
static bool copy(char **to, const char *from)
{
	if (!from)
		return true;
	*to = strdup(from);
	return *to;
}

void creds_source_free(struct creds_source *source)
{
	free(source->name);
	free(source->profile);
	free(source->config_path);
	free(source->credentials_path);
	free(source->role);
	free(source->session_name);
	free(source->ca_file);
	free(source->url);
	free(source->token_file);
	secret_free(source->token);
	memset(source, 0, sizeof(*source));
}

/* ---- profiles --------------------------------------------------------------------- */

/* The path of a variable, else the file of the home directory; false: no memory. */
static bool file_path(const struct s3_creds_settings *settings, const char *variable,
		      const char *in_home, char **path, bool *named)
{
	const char *value = creds_env(settings, variable);
	const char *home = creds_env(settings, "HOME");

	*named = value;
	if (value)
		return copy(path, value);
	return !home || asprintf(path, "%s/.aws/%s", home, in_home) >= 0;
}

static int open_profile(const struct creds_source *source, struct profile *profile,
			struct s3_fault *fault)
{
	*profile = (struct profile) { .name = source->profile };
	profile->file[PROFILE_CONFIG].path = source->config_path;
	profile->file[PROFILE_CONFIG].required = source->config_named;
	profile->file[PROFILE_CREDENTIALS].path = source->credentials_path;
	profile->file[PROFILE_CREDENTIALS].required = source->credentials_named;
	return profile_read(profile, fault);
}

static bool profile_has_keys(const struct profile *profile)
{
	return profile_get(profile, PROFILE_ACCESS_KEY, NULL) ||
	       profile_get(profile, PROFILE_SECRET_KEY, NULL) ||
	       profile_get(profile, PROFILE_TOKEN, NULL);
}

static int keys_of(const struct profile *profile, const struct s3_creds **creds, bool *others,
		   const char *name, struct s3_fault *fault)
{
	static const enum profile_field both[] = { PROFILE_ACCESS_KEY, PROFILE_SECRET_KEY };
	const struct profile_file *file = NULL;
	struct s3_fault why;
	const char *value;
	unsigned int i;
	int ret;

	for (i = 0; i < 2; i++) {
		value = profile_get(profile, both[i], NULL);
		if (value && *value)
			continue;
		profile_get(profile, both[!i], &file);
		if (!file)
			profile_get(profile, PROFILE_TOKEN, &file);
		return s3_fault_set(fault, -EINVAL, "%s: profile %s has no %s",
				    file ? file->path : "?", profile->name,
				    profile_field_name(both[i]));
	}
	profile_get(profile, PROFILE_ACCESS_KEY, &file);
	ret = creds_new(name, profile_get(profile, PROFILE_ACCESS_KEY, NULL),
			profile_get(profile, PROFILE_SECRET_KEY, NULL),
			profile_get(profile, PROFILE_TOKEN, NULL), INT64_MAX, creds, &why);
	if (ret)
		return s3_fault_set(fault, ret, "%s:%u: %s", file->path,
				    file->line[PROFILE_ACCESS_KEY], why.text);
	*others = file->open_to_others;
	return 0;
}

int creds_read_profile(const struct creds_source *source, const struct s3_creds **creds,
		       bool *others, struct s3_fault *fault)
{
	struct profile profile;
	int ret = open_profile(source, &profile, fault);

	if (!ret)
		ret = keys_of(&profile, creds, others, source->name, fault);
	profile_free(&profile);
	return ret;
}

/* What a profile may ask for that is not done here. */
static int check_unsupported(const struct profile *profile, struct s3_fault *fault)
{
	static const enum profile_field fields[] = {
		PROFILE_SOURCE, PROFILE_CREDENTIAL_SOURCE, PROFILE_PROCESS,
		PROFILE_SSO_SESSION, PROFILE_SSO_URL,
	};
	const struct profile_file *file;
	unsigned int i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (profile_get(profile, fields[i], &file))
			return s3_fault_set(fault, -EOPNOTSUPP, "%s:%u: %s is not supported",
					    file->path, file->line[fields[i]],
					    profile_field_name(fields[i]));
	}
	return 0;
}

/* ---- the token service ------------------------------------------------------------ */

static int token_service(const struct s3_creds_settings *settings, struct creds_source *source,
			 struct s3_fault *fault)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *url = creds_env(settings, "AWS_ENDPOINT_URL_STS");
	const char *region = settings->region;

	if (!region || !*region)
		region = creds_env(settings, "AWS_REGION");
	if (!region)
		region = creds_env(settings, "AWS_DEFAULT_REGION");
	if (url) {
		if (!creds_url_allowed(url))
			return s3_fault_set(fault, -EINVAL,
					    "AWS_ENDPOINT_URL_STS is neither https nor on this machine");
		return copy(&source->url, url) ? 0 : no_memory(fault);
	}
	if (!region)
		return copy(&source->url, "https://sts.amazonaws.com/") ? 0 : no_memory(fault);
	if (strlen(region) > 63 || region[strspn(region, letters)])
		return s3_fault_set(fault, -EINVAL, "\"%s\" is no name of a region", region);
	if (asprintf(&source->url, "https://sts.%s.amazonaws.com%s/", region,
		     strncmp(region, "cn-", 3) ? "" : ".cn") < 0) {
		source->url = NULL;
		return no_memory(fault);
	}
	return 0;
}

static int use_web_identity(const struct s3_creds_settings *settings,
			    struct creds_source *source, const char *where,
			    const char *token_file, const char *role, const char *session,
			    struct s3_fault *fault)
{
	const char *ca = settings->ca_file ? settings->ca_file : creds_env(settings, "AWS_CA_BUNDLE");

	source->kind = SOURCE_WEB_IDENTITY;
	if (!role || !*role)
		return s3_fault_set(fault, -EINVAL, "%s: a web identity token without a role", where);
	if (asprintf(&source->name, "web identity of %s", where) < 0) {
		source->name = NULL;
		return no_memory(fault);
	}
	if (!copy(&source->token_file, token_file) || !copy(&source->role, role) ||
	    !copy(&source->session_name, session && *session ? session : "nexusfs") ||
	    !copy(&source->ca_file, ca))
		return no_memory(fault);
	return token_service(settings, source, fault);
}

/* ---- the places, in their order --------------------------------------------------- */

/* 1: found, 0: not set up here. */
static int from_environment(const struct s3_creds_settings *settings,
			    struct creds_source *source, const struct s3_creds **creds,
			    struct s3_fault *fault)
{
	const char *access = creds_env(settings, "AWS_ACCESS_KEY_ID");
	const char *secret = creds_env(settings, "AWS_SECRET_ACCESS_KEY");
	int ret;

	if (!access && !secret)
		return 0;
	source->kind = SOURCE_STATIC;
	if (!access || !secret)
		return s3_fault_set(fault, -EINVAL, "%s is set, but %s is not",
				    access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
				    access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (!copy(&source->name, "environment"))
		return no_memory(fault);
	ret = creds_new(source->name, access, secret, creds_env(settings, "AWS_SESSION_TOKEN"),
			INT64_MAX, creds, fault);
	return ret ? ret : 1;
}

static int from_profile(const struct s3_creds_settings *settings, struct creds_source *source,
			const char *name, bool named, const struct s3_creds **creds,
			struct s3_fault *fault)
{
	const struct profile_file *file;
	struct profile profile = { 0 };
	const char *token_file;
	bool others = false;
	int ret;

	if (!copy(&source->profile, name) ||
	    !file_path(settings, "AWS_CONFIG_FILE", "config", &source->config_path,
		       &source->config_named) ||
	    !file_path(settings, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
		       &source->credentials_path, &source->credentials_named))
		return no_memory(fault);
	ret = open_profile(source, &profile, fault);
	if (ret)
		goto out;
	if (!profile.file[PROFILE_CONFIG].found && !profile.file[PROFILE_CREDENTIALS].found) {
		if (named)
			ret = s3_fault_set(fault, -EINVAL, "there is no profile %s in %s or %s", name,
					   source->config_path ? source->config_path : "a config file",
					   source->credentials_path ? source->credentials_path :
					   "a credentials file");
		goto out;
	}
	ret = check_unsupported(&profile, fault);
	if (ret)
		goto out;
	token_file = profile_get(&profile, PROFILE_TOKEN_FILE, &file);
	if (profile_has_keys(&profile)) {
		source->kind = SOURCE_PROFILE;
		if (asprintf(&source->name, "profile %s", name) < 0) {
			source->name = NULL;
			ret = no_memory(fault);
			goto out;
		}
		ret = keys_of(&profile, creds, &others, source->name, fault);
		if (!ret && others && settings->note)
			settings->note(settings->ctx, true,
				       "others than its owner can read the file the S3 keys are in");
		ret = ret ? ret : 1;
	} else if (token_file && *token_file) {
		struct s3_fault where;

		s3_fault_set(&where, 0, "%s:%u", file->path, file->line[PROFILE_TOKEN_FILE]);
		ret = use_web_identity(settings, source, where.text, token_file,
				       profile_get(&profile, PROFILE_ROLE_ARN, NULL),
				       profile_get(&profile, PROFILE_SESSION_NAME, NULL), fault);
		ret = ret ? ret : 1;
	}
out:
	profile_free(&profile);
	return ret;
}

static int from_container(const struct s3_creds_settings *settings, struct creds_source *source,
			  struct s3_fault *fault)
{
	const char *relative = creds_env(settings, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = creds_env(settings, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *file = creds_env(settings, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = creds_env(settings, "AWS_CONTAINER_AUTHORIZATION_TOKEN");

	if (!relative && !full)
		return 0;
	source->kind = SOURCE_CONTAINER;
	if (relative && *relative != '/')
		return s3_fault_set(fault, -EINVAL,
				    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
	if (relative) {
		if (asprintf(&source->url, CONTAINER_HOST "%s", relative) < 0) {
			source->url = NULL;
			return no_memory(fault);
		}
	} else if (!creds_url_allowed(full)) {
		return s3_fault_set(fault, -EINVAL,
				    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine");
	} else if (!copy(&source->url, full)) {
		return no_memory(fault);
	}
	if (!copy(&source->name, "container agent") || !copy(&source->token_file, file))
		return no_memory(fault);
	if (token && !file) {
		source->token = secret_alloc(strlen(token) + 1);
		if (!source->token)
			return no_memory(fault);
		strcpy(source->token, token);
	}
	return 1;
}

static int from_instance(const struct s3_creds_settings *settings, struct creds_source *source,
			 struct s3_fault *fault)
{
	const char *disabled = creds_env(settings, "AWS_EC2_METADATA_DISABLED");
	const char *endpoint = creds_env(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = creds_env(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

	if (disabled && !strcasecmp(disabled, "true"))
		return 0;
	source->kind = SOURCE_INSTANCE;
	if (mode && strcasecmp(mode, "IPv4") && strcasecmp(mode, "IPv6"))
		return s3_fault_set(fault, -EINVAL,
				    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is neither IPv4 nor IPv6");
	if (!endpoint)
		endpoint = mode && !strcasecmp(mode, "IPv6") ? INSTANCE_6 : INSTANCE_4;
	if (strncasecmp(endpoint, "http://", 7) && strncasecmp(endpoint, "https://", 8))
		return s3_fault_set(fault, -EINVAL,
				    "AWS_EC2_METADATA_SERVICE_ENDPOINT is no http address");
	if (!copy(&source->url, endpoint) || !copy(&source->name, "instance metadata"))
		return no_memory(fault);
	/* Paths are put behind it. */
	if (source->url[strlen(source->url) - 1] == '/')
		source->url[strlen(source->url) - 1] = '\0';
	return 1;
}

static int look(const struct s3_creds_settings *settings, struct creds_source *source,
		const struct s3_creds **creds, struct s3_fault *fault)
{
	const char *file = creds_env(settings, "AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *named = creds_env(settings, "AWS_PROFILE");
	int ret;

	if (settings->profile && *settings->profile) {
		ret = from_profile(settings, source, settings->profile, true, creds, fault);
		if (!ret)
			ret = s3_fault_set(fault, -EINVAL, "profile %s has no credentials",
					   settings->profile);
		return ret;
	}
	ret = from_environment(settings, source, creds, fault);
	if (ret)
		return ret;
	if (file) {
		ret = use_web_identity(settings, source, "the environment", file,
				       creds_env(settings, "AWS_ROLE_ARN"),
				       creds_env(settings, "AWS_ROLE_SESSION_NAME"), fault);
		return ret ? ret : 1;
	}
	if (!named)
		named = creds_env(settings, "AWS_DEFAULT_PROFILE");
	ret = from_profile(settings, source, named ? named : "default", named, creds, fault);
	if (!ret)
		ret = from_container(settings, source, fault);
	if (!ret)
		ret = from_instance(settings, source, fault);
	return ret;
}

int creds_find(const struct s3_creds_settings *settings, struct creds_source *source,
	       const struct s3_creds **creds, struct s3_fault *fault)
{
	int ret;

	memset(source, 0, sizeof(*source));
	*creds = NULL;
	ret = look(settings, source, creds, fault);
	if (ret < 0)
		return ret;
	if (!ret)
		return s3_fault_set(fault, -ENOENT,
				    "no S3 credentials: not in the environment, not in the shared files, no container, and the instance metadata is disabled");
	source->attempts = settings->attempts ? settings->attempts : 2;
	source->timeout_ms = settings->timeout_ms;
	if (!source->timeout_ms)
		source->timeout_ms = source->kind == SOURCE_INSTANCE ? 1000 : 5000;
	return 0;
}
