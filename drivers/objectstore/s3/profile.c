// SPDX-License-Identifier: Apache-2.0
/*
 *   [default]			config: [profile NAME], or [default]
 *   name = value		a comment begins the line, or follows a space
 *   s3 =
 *     nested = value		of no interest here
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile.h"
#include "secret.h"

#define FILE_MAX	(256u * 1024)

static const char *const field_names[PROFILE_FIELDS] = {
	[PROFILE_ACCESS_KEY]		= "aws_access_key_id",
	[PROFILE_SECRET_KEY]		= "aws_secret_access_key",
	[PROFILE_TOKEN]			= "aws_session_token",
	[PROFILE_ROLE_ARN]		= "role_arn",
	[PROFILE_SESSION_NAME]		= "role_session_name",
	[PROFILE_TOKEN_FILE]		= "web_identity_token_file",
	[PROFILE_SOURCE]		= "source_profile",
	[PROFILE_CREDENTIAL_SOURCE]	= "credential_source",
	[PROFILE_PROCESS]		= "credential_process",
	[PROFILE_SSO_SESSION]		= "sso_session",
	[PROFILE_SSO_URL]		= "sso_start_url",
};

const char *profile_field_name(enum profile_field field)
{
	return field_names[field];
}

int secret_read_file(const char *path, unsigned int most, const char *what, char **text,
		     bool *others, struct s3_fault *fault)
{
	size_t len = 0, size;
	struct stat st;
	char *buf;
	ssize_t n;
	int fd, ret;

	/* A FIFO would be waited for. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		ret = -errno;
		return s3_fault_set(fault, ret, "%s %s: %s", what, path, strerror(-ret));
	}
	ret = fstat(fd, &st) ? -errno : 0;
	if (ret || !S_ISREG(st.st_mode)) {
		ret = ret ? ret : -EINVAL;
		s3_fault_set(fault, ret, "%s %s is no regular file", what, path);
		close(fd);
		return ret;
	}
	if (st.st_size > most) {
		close(fd);
		return s3_fault_set(fault, -EFBIG, "%s %s has more than %u bytes", what, path, most);
	}
	/* One byte more, to see that it has grown, and a NUL. */
	size = (size_t)st.st_size + 1;
	buf = secret_alloc(size + 1);
	if (!buf) {
		close(fd);
		return s3_fault_set(fault, -ENOMEM, "no memory that can be locked");
	}
	do {
		n = read(fd, buf + len, size - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < size) || (n < 0 && errno == EINTR));
	ret = n < 0 ? -errno : 0;
	close(fd);
	if (ret)
		s3_fault_set(fault, ret, "%s %s: %s", what, path, strerror(-ret));
	else if (len == size)
		ret = s3_fault_set(fault, -EAGAIN, "%s %s changed while it was read", what, path);
	else if (memchr(buf, '\0', len))
		ret = s3_fault_set(fault, -EINVAL, "%s %s has a NUL byte in it", what, path);
	if (ret) {
		secret_free(buf);
		return ret;
	}
	if (others)
		*others = st.st_mode & (S_IRWXG | S_IRWXO);
	*text = buf;
	return 0;
}

/* Where the parser is in a file. */
struct place {
	struct profile_file *file;
	enum profile_kind kind;
	const char *profile;
	unsigned int line;
	bool section;	/* one has begun */
	bool ours;	/* it is the profile's */
	bool property;	/* one of it has been read: what is indented belongs to it */
	int field;	/* the last property's; -1: of no interest */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Without spaces at its ends; what follows its end is overwritten. */
static char *trim(char *p)
{
	char *end;

	while (is_space(*p))
		p++;
	end = p + strlen(p);
	while (end > p && is_space(end[-1]))
		end--;
	*end = '\0';
	return p;
}

/* Never with the line's text: it may be a secret in the wrong place. */
static int bad_line(const struct place *at, struct s3_fault *fault, const char *why)
{
	return s3_fault_set(fault, -EINVAL, "%s:%u: %s", at->file->path, at->line, why);
}

static int read_section(struct place *at, char *p, struct s3_fault *fault)
{
	char *end = strchr(p, ']');
	char *name, *rest;

	if (!end)
		return bad_line(at, fault, "a section without its ']'");
	rest = end + 1;
	while (is_space(*rest))
		rest++;
	if (*rest && *rest != '#' && *rest != ';')
		return bad_line(at, fault, "something follows the ']' of a section");
	*end = '\0';
	name = trim(p + 1);
	if (!*name)
		return bad_line(at, fault, "a section without a name");
	at->section = true;
	at->property = false;
	at->field = -1;
	if (at->kind == PROFILE_CREDENTIALS) {
		at->ours = !strcmp(name, at->profile);
	} else if (!strncmp(name, "profile", 7) && is_space(name[7])) {
		at->ours = !strcmp(trim(name + 7), at->profile);
	} else {
		/* Others without "profile" are sections of another kind. */
		at->ours = !strcmp(name, "default") && !strcmp(at->profile, "default");
	}
	at->file->found |= at->ours;
	return 0;
}

static int read_property(struct place *at, char *p, struct s3_fault *fault)
{
	char *equals = strchr(p, '='), *name, *value, *c;
	int i;

	if (!at->section)
		return bad_line(at, fault, "a line before the first [section]");
	if (!equals)
		return bad_line(at, fault, "neither \"[section]\" nor \"name = value\"");
	*equals = '\0';
	name = trim(p);
	if (!*name)
		return bad_line(at, fault, "a value without a name");
	value = equals + 1;
	for (c = value; *c; c++) {
		if ((*c == '#' || *c == ';') && is_space(c[-1])) {
			*c = '\0';
			break;
		}
	}
	value = trim(value);
	at->property = true;
	at->field = -1;
	if (!at->ours)
		return 0;
	for (i = 0; i < PROFILE_FIELDS; i++) {
		if (strcasecmp(name, field_names[i]))
			continue;
		at->field = i;
		at->file->value[i] = value;
		at->file->line[i] = at->line;
	}
	return 0;
}

static int read_line(struct place *at, char *p, struct s3_fault *fault)
{
	const bool indented = is_space(*p);
	char *text = p;

	while (is_space(*text))
		text++;
	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (indented && at->property) {
		if (at->field < 0)
			return 0;
		return bad_line(at, fault, "the line above goes on here, which its value may not");
	}
	if (indented)
		return bad_line(at, fault, "an indented line that belongs to nothing");
	if (*text == '[')
		return read_section(at, text, fault);
	return read_property(at, text, fault);
}

static int read_file(struct profile *profile, enum profile_kind kind, struct s3_fault *fault)
{
	static const char *const what[] = { "config file", "credentials file" };
	struct profile_file *file = &profile->file[kind];
	struct place at = {
		.file = file, .kind = kind, .profile = profile->name, .field = -1,
	};
	char *line, *next;
	int ret;

	if (!file->path)
		return 0;
	ret = secret_read_file(file->path, FILE_MAX, what[kind], &file->text,
			       &file->open_to_others, fault);
	if (ret == -ENOENT && !file->required)
		return 0;
	if (ret)
		return ret;
	next = file->text;
	if (!strncmp(next, "\xef\xbb\xbf", 3))
		next += 3;
	while (!ret && (line = strsep(&next, "\n"))) {
		at.line++;
		ret = read_line(&at, line, fault);
	}
	return ret;
}

int profile_read(struct profile *profile, struct s3_fault *fault)
{
	int ret = read_file(profile, PROFILE_CONFIG, fault);

	return ret ? ret : read_file(profile, PROFILE_CREDENTIALS, fault);
}

void profile_free(struct profile *profile)
{
	secret_free(profile->file[PROFILE_CONFIG].text);
	secret_free(profile->file[PROFILE_CREDENTIALS].text);
	memset(profile->file, 0, sizeof(profile->file));
}

static bool has_keys(const struct profile_file *file)
{
	return file->value[PROFILE_ACCESS_KEY] || file->value[PROFILE_SECRET_KEY] ||
	       file->value[PROFILE_TOKEN];
}

const char *profile_get(const struct profile *profile, enum profile_field field,
			const struct profile_file **where)
{
	const struct profile_file *file = &profile->file[PROFILE_CREDENTIALS];

	if (field <= PROFILE_TOKEN ? !has_keys(file) : !file->value[field])
		file = &profile->file[PROFILE_CONFIG];
	if (where && file->value[field])
		*where = file;
	return file->value[field];
}
