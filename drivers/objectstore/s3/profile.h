/* SPDX-License-Identifier: Apache-2.0 */
/* One profile out of Amazon's shared config and credentials files. */
#ifndef NEXUS_S3_PROFILE_H
#define NEXUS_S3_PROFILE_H

#include <stdbool.h>

#include "fault.h"

enum profile_field {
	/* The keys: all from one file. */
	PROFILE_ACCESS_KEY,
	PROFILE_SECRET_KEY,
	PROFILE_TOKEN,
	PROFILE_ROLE_ARN,
	PROFILE_SESSION_NAME,
	PROFILE_TOKEN_FILE,
	/* What is not supported, to be able to say so. */
	PROFILE_SOURCE,
	PROFILE_CREDENTIAL_SOURCE,
	PROFILE_PROCESS,
	PROFILE_SSO_SESSION,
	PROFILE_SSO_URL,
	PROFILE_FIELDS,
};

enum profile_kind {
	PROFILE_CONFIG,
	PROFILE_CREDENTIALS,
	PROFILE_KINDS,
};

/** struct profile_file - one of the files; text and values lie in locked memory */
struct profile_file {
	const char *path;	/* the caller's; NULL: there is none */
	bool required;		/* it was named: -ENOENT when it is not there */
	char *text;
	bool found;		/* it has the profile */
	bool open_to_others;	/* its mode lets others read it */
	const char *value[PROFILE_FIELDS];	/* NULL: not set; "" is kept */
	unsigned int line[PROFILE_FIELDS];
};

struct profile {
	const char *name;	/* the caller's */
	struct profile_file file[PROFILE_KINDS];
};

/**
 * profile_read() - read both files
 *
 * @profile: name, paths and "required" are set, the rest is zero
 *
 * Return: 0, also when no file has the profile; -EINVAL: a file is no such file, the
 * words have its name and line; -EFBIG; -ENOMEM; why one cannot be read.  In any
 * case profile_free() is to follow.
 */
int profile_read(struct profile *profile, struct s3_fault *fault);
void profile_free(struct profile *profile);

/**
 * profile_get() - a field: of the credentials file, when that has it, else of the
 *	other; the keys are of one file
 *
 * @where: set to where it was found, unless NULL or not found
 */
const char *profile_get(const struct profile *profile, enum profile_field field,
			const struct profile_file **where);
/** profile_field_name() - as it is written in a file */
const char *profile_field_name(enum profile_field field);

/**
 * secret_read_file() - a whole file into locked memory, with a NUL behind it
 *
 * @what: what it is, for the words
 * @others: set to whether its mode lets others than its owner read it; may be NULL
 *
 * Return: 0; -EINVAL: no regular file, or with a NUL byte in it; -EFBIG: over @most
 * bytes; -EAGAIN: somebody writes it just now; -ENOMEM; why it cannot be read.
 */
int secret_read_file(const char *path, unsigned int most, const char *what, char **text,
		     bool *others, struct s3_fault *fault);

#endif /* NEXUS_S3_PROFILE_H */
