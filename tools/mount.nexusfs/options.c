// SPDX-License-Identifier: Apache-2.0
/*
 * The words after -o: attributes of the mount, flags of the filesystem, its
 * own options, and what is only meant for fstab.
 */
#include <string.h>
#include <sys/mount.h>

#include "mount.h"

/* Attributes of one mount: what a word sets and clears. */
static const struct {
	const char *word;
	uint64_t set, clear;
} attributes[] = {
	{ "nosuid", MOUNT_ATTR_NOSUID, 0 },
	{ "suid", 0, MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV, 0 },
	{ "dev", 0, MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0 },
	{ "exec", 0, MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
	{ "relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
	{ "nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0 },
	{ "diratime", 0, MOUNT_ATTR_NODIRATIME },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW },
	/* These are of the filesystem as well, see below. */
	{ "ro", MOUNT_ATTR_RDONLY, 0 },
	{ "rw", 0, MOUNT_ATTR_RDONLY },
};

/* Words the kernel knows as flags of any filesystem. */
static const char *const fs_flags[] = {
	"ro", "rw", "sync", "async", "dirsync", "lazytime", "nolazytime",
	"mand", "nomand",
};

/* For mount(8), fstab and systemd; x-... and X-... as well. */
static const char *const ignored[] = {
	"defaults", "auto", "noauto", "user", "nouser", "users", "nousers",
	"owner", "noowner", "group", "nogroup", "nofail", "_netdev", "silent",
	"loud", "iversion", "noiversion", "_rnetdev", "comment",
};

static const struct {
	const char *word;
	uint64_t type;
	bool recursive;
} propagations[] = {
	{ "private", MS_PRIVATE, false },
	{ "rprivate", MS_PRIVATE, true },
	{ "shared", MS_SHARED, false },
	{ "rshared", MS_SHARED, true },
	{ "slave", MS_SLAVE, false },
	{ "rslave", MS_SLAVE, true },
	{ "unbindable", MS_UNBINDABLE, false },
	{ "runbindable", MS_UNBINDABLE, true },
};

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static bool is_ignored(const char *word)
{
	size_t i;

	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2))
		return true;
	for (i = 0; i < COUNT(ignored); i++)
		if (!strcmp(word, ignored[i]))
			return true;
	return false;
}

static int add_fs(struct request *req, const char *key, const char *value)
{
	if (req->n_fs == FS_OPTIONS_MAX) {
		complain("too many options, at %s", key);
		return EXIT_USAGE;
	}
	req->fs[req->n_fs].key = key;
	req->fs[req->n_fs].value = value;
	req->n_fs++;
	return EXIT_OK;
}

/* One word, with @value behind its "=" or NULL. */
static int take_word(struct request *req, char *word, char *value)
{
	bool known = false;
	size_t i;

	if (is_ignored(word))
		return EXIT_OK;
	if (!value && !strcmp(word, "remount")) {
		req->remount = true;
		return EXIT_OK;
	}
	if (!value && !strcmp(word, "bind")) {
		req->bind = true;
		return EXIT_OK;
	}
	for (i = 0; i < COUNT(propagations) && !value; i++) {
		if (strcmp(word, propagations[i].word))
			continue;
		req->propagation = propagations[i].type;
		req->recursive = propagations[i].recursive;
		return EXIT_OK;
	}
	for (i = 0; i < COUNT(attributes) && !value; i++) {
		if (strcmp(word, attributes[i].word))
			continue;
		req->attr_set &= ~attributes[i].clear;
		req->attr_set |= attributes[i].set;
		req->attr_clear &= ~attributes[i].set;
		req->attr_clear |= attributes[i].clear;
		known = true;
	}
	for (i = 0; i < COUNT(fs_flags) && !value; i++)
		if (!strcmp(word, fs_flags[i]))
			return add_fs(req, word, NULL);
	if (known)
		return EXIT_OK;
	if (!value && !strcmp(word, "mem"))
		req->mem = true;
	return add_fs(req, word, value);
}

/* Cut the next word off; commas inside double quotes do not count. */
static char *next_word(char **text)
{
	char *word = *text, *from = word, *to = word;
	bool quoted = false;

	if (!word)
		return NULL;
	for (; *from && (quoted || *from != ','); from++) {
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	*text = *from ? from + 1 : NULL;
	*to = '\0';
	return word;
}

int options_parse(struct request *req, char *text)
{
	char *word, *value;
	int ret;

	while ((word = next_word(&text))) {
		if (!*word)
			continue;
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		ret = take_word(req, word, value);
		if (ret != EXIT_OK)
			return ret;
	}
	return EXIT_OK;
}
