// SPDX-License-Identifier: Apache-2.0
/* nexusctl lease: leases of files and directories, by ioctl on what is mounted. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/nexusfs.h>
#include <nexus/lease.h>

#include "lease.h"

#define ID_DIGITS	LEASE_ID_DIGITS

_Static_assert(NEXUS_LEASE_FOREVER == INT64_MAX, "as parse_timeout() says");
_Static_assert(ID_DIGITS == 2 * NEXUS_LEASE_ID_LEN, "two a byte");

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s %s; see: nexusctl help\n", what, arg);
	return EXIT_USAGE;
}

int lease_failed(const char *path, int err)
{
	fprintf(stderr, "nexusctl: %s: %s\n", path,
		err == -ENOTTY ? "no file or directory on nexusfs" :
		err == -EAGAIN || err == -ETIMEDOUT ? "others have the lease" :
		err == -EBUSY ? "others have the lease with another number of holders" :
		err == -ESTALE ? "the lease is not held by that one, or not any more" :
		err == -EOPNOTSUPP ? "the zone has no leases; see nexusctl zone upgrade" :
		err == -ENOLCK ? "the zone has too many leases" :
		strerror(-err));
	return EXIT_FAILED;
}

static bool parse_id(const char *text, uint8_t id[NEXUS_LEASE_ID_LEN])
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	if (strlen(text) != ID_DIGITS || strspn(text, digits) != strlen(text) ||
	    strspn(text, "0") == strlen(text))
		return false;
	for (i = 0; i < NEXUS_LEASE_ID_LEN; i++)
		id[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
				  (strchr(digits, text[2 * i + 1]) - digits));
	return true;
}

void lease_id_text(const uint8_t id[NEXUS_LEASE_ID_LEN], char text[ID_DIGITS + 1])
{
	size_t i;

	for (i = 0; i < NEXUS_LEASE_ID_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

/* The options that say who and for how long: EXIT_OK, EXIT_USAGE. */
static int parse(const struct ctl *ctl, struct nexus_lease *lease, uint64_t *ttl, bool want_id)
{
	memset(lease, 0, sizeof(*lease));
	*ttl = 30;
	if (want_id && !ctl->lease_id)
		return usage("missing option:", "--id");
	if (ctl->lease_id && !parse_id(ctl->lease_id, lease->id))
		return usage("--id: 32 hexadecimal digits, not", ctl->lease_id);
	if (ctl->lease_ttl && !parse_number(ctl->lease_ttl, 1, NEXUS_LEASE_SECONDS_MAX, ttl))
		return usage("--ttl: 1 to 86400 seconds, not", ctl->lease_ttl);
	return EXIT_OK;
}

static int open_path(const char *path)
{
	int fd = open_plain(path, O_RDONLY | O_CLOEXEC);
	struct statfs fs;

	if (fd >= 0 && (fstatfs(fd, &fs) || fs.f_type != NEXUS_SUPER_MAGIC)) {
		close(fd);
		fd = -ENOTTY;
	}
	if (fd < 0)
		lease_failed(path, fd);
	return fd;
}

/* The options, and the path opened in *@fd: EXIT_OK, EXIT_USAGE, EXIT_FAILED. */
static int begin(const struct ctl *ctl, struct nexus_lease *lease, uint64_t *ttl, bool want_id,
		 int *fd)
{
	if (parse(ctl, lease, ttl, want_id))
		return EXIT_USAGE;
	*fd = open_path(ctl->args[0]);
	return *fd < 0 ? EXIT_FAILED : EXIT_OK;
}

static void print_lease(const struct ctl *ctl, const struct nexus_lease *lease)
{
	struct json json = { .out = stdout };
	char id[ID_DIGITS + 1];

	lease_id_text(lease->id, id);
	if (!ctl->json) {
		printf("%s %" PRIu64 "\n", id, lease->token);
		return;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "id", id);
	json_number(&json, "token", lease->token);
	json_number(&json, "expires", lease->expires / 1000000000);
	json_close(&json, '}');
}

int lease_take(const struct ctl *ctl, struct nexus_lease *lease, uint32_t *ttl, int *fd)
{
	uint64_t seconds, max = 1;
	int64_t ms;
	int err;

	if (parse(ctl, lease, &seconds, false))
		return EXIT_USAGE;
	if (!ctl->lease_name || !*ctl->lease_name || strlen(ctl->lease_name) > NEXUS_LEASE_NAME_LEN)
		return usage("--name: 1 to 64 bytes, not",
			     ctl->lease_name ? ctl->lease_name : "none");
	if (ctl->lease_holders && !parse_number(ctl->lease_holders, 1, NEXUS_LEASE_COUNT_MAX, &max))
		return usage("--holders: 1 to 128, not", ctl->lease_holders);
	if (!parse_timeout(ctl->timeout, &ms))
		return usage("--timeout: 0 to 2147483 seconds, not", ctl->timeout);
	*fd = open_path(ctl->args[0]);
	if (*fd < 0)
		return EXIT_FAILED;
	*ttl = (uint32_t)seconds;
	err = nexus_lease_acquire(*fd, lease, ctl->lease_name, *ttl, (uint32_t)max, ms);
	if (!err)
		return EXIT_OK;
	close(*fd);
	return lease_failed(ctl->args[0], err);
}

int cmd_lease_acquire(struct ctl *ctl)
{
	struct nexus_lease lease;
	uint32_t ttl;
	int fd, ret;

	ret = lease_take(ctl, &lease, &ttl, &fd);
	if (ret)
		return ret;
	close(fd);
	print_lease(ctl, &lease);
	return EXIT_OK;
}

int cmd_lease_extend(struct ctl *ctl)
{
	struct nexus_lease lease;
	uint64_t ttl;
	int fd, err;

	err = begin(ctl, &lease, &ttl, true, &fd);
	if (err)
		return err;
	err = nexus_lease_extend(fd, &lease, (uint32_t)ttl);
	close(fd);
	if (err)
		return lease_failed(ctl->args[0], err);
	print_lease(ctl, &lease);
	return EXIT_OK;
}

int cmd_lease_release(struct ctl *ctl)
{
	struct nexus_lease lease;
	uint64_t ttl;
	int fd, err;

	err = begin(ctl, &lease, &ttl, true, &fd);
	if (err)
		return err;
	err = nexus_lease_release(fd, &lease);
	close(fd);
	return err ? lease_failed(ctl->args[0], err) : EXIT_OK;
}

int cmd_lease_break(struct ctl *ctl)
{
	struct nexus_lease lease;
	uint64_t ttl;
	int fd, err;

	err = begin(ctl, &lease, &ttl, false, &fd);
	if (err)
		return err;
	err = nexus_lease_break(fd, ctl->lease_id ? lease.id : NULL);
	close(fd);
	if (err == -ENOENT) {
		fprintf(stderr, "nexusctl: %s: nobody has a lease\n", ctl->args[0]);
		return EXIT_FAILED;
	}
	return err ? lease_failed(ctl->args[0], err) : EXIT_OK;
}

int cmd_lease_check(struct ctl *ctl)
{
	uint64_t token;
	int fd, err;

	if (!parse_number(ctl->args[1], 1, UINT64_MAX, &token))
		return usage("a token is a number, not", ctl->args[1]);
	fd = open_path(ctl->args[0]);
	if (fd < 0)
		return EXIT_FAILED;
	err = nexus_lease_check(fd, token);
	close(fd);
	return err ? lease_failed(ctl->args[0], err) : EXIT_OK;
}

static void print_info(const struct ctl *ctl, const struct nexus_lease_info *info,
		       const struct nexus_lease_who *who)
{
	struct json json = { .out = stdout };
	char id[ID_DIGITS + 1], name[NEXUS_LEASE_NAME_LEN + 1] = "";
	uint64_t left;
	uint32_t i;

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "max_holders", info->max_holders);
		json_number(&json, "waiting", info->waiting);
		json_open(&json, "holders", '[');
	} else if (!info->count) {
		puts("free");
	} else {
		printf("%u of %u, %u waiting\n", info->count, info->max_holders, info->waiting);
	}
	for (i = 0; i < info->count && i < NEXUS_LEASE_COUNT_MAX; i++) {
		lease_id_text(who[i].id, id);
		memcpy(name, who[i].name, NEXUS_LEASE_NAME_LEN);
		left = (who[i].expires - info->now + 999999999) / 1000000000;
		if (ctl->json) {
			json_open(&json, NULL, '{');
			json_string(&json, "name", name);
			json_string(&json, "id", id);
			json_number(&json, "token", who[i].token);
			json_number(&json, "acquired", who[i].acquired / 1000000000);
			json_number(&json, "expires", who[i].expires / 1000000000);
			json_close(&json, '}');
		} else {
			printf("%s: id %s, token %" PRIu64 ", %" PRIu64 " seconds left\n", name, id,
			       (uint64_t)who[i].token, left);
		}
	}
	if (ctl->json) {
		json_close(&json, ']');
		json_close(&json, '}');
	}
}

int cmd_lease_info(struct ctl *ctl)
{
	struct nexus_lease_who who[NEXUS_LEASE_COUNT_MAX];
	struct nexus_lease_info info;
	int fd, err;

	fd = open_path(ctl->args[0]);
	if (fd < 0)
		return EXIT_FAILED;
	err = nexus_lease_get(fd, &info, who, NEXUS_LEASE_COUNT_MAX);
	close(fd);
	if (err)
		return lease_failed(ctl->args[0], err);
	print_info(ctl, &info, who);
	return EXIT_OK;
}

/* Takes back what the module does to blanks in names: \040 and the like. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
				     (text[3] - '0'));
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* Of a line: mutex|semaphore:N NAME TOKEN END INODE PATH. */
enum { WORD_MODE, WORD_NAME, WORD_TOKEN, WORD_END, WORD_INODE, WORD_PATH, WORDS };

/* Takes @line apart; false: it is of another form. */
static bool split(char *line, char *word[WORDS])
{
	char *save = NULL;
	size_t i;

	for (i = 0; i < WORDS; i++) {
		word[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!word[i])
			return false;
	}
	unescape(word[WORD_NAME]);
	unescape(word[WORD_PATH]);
	return true;
}

/* A path that is not known matches no pattern. */
static bool matches(const char *pattern, const char *path)
{
	return !pattern || (strcmp(path, "?") && !fnmatch(pattern, path, 0));
}

static void print_json(struct json *json, char *const word[WORDS])
{
	const char *mode = word[WORD_MODE];

	json_open(json, NULL, '{');
	json_number(json, "max_holders",
		    strncmp(mode, "semaphore:", 10) ? 1 : strtoull(mode + 10, NULL, 10));
	json_string(json, "name", word[WORD_NAME]);
	json_number(json, "token", strtoull(word[WORD_TOKEN], NULL, 10));
	json_number(json, "expires", strtoull(word[WORD_END], NULL, 10));
	json_number(json, "inode", strtoull(word[WORD_INODE], NULL, 10));
	json_string(json, "path", strcmp(word[WORD_PATH], "?") ? word[WORD_PATH] : NULL);
	json_close(json, '}');
}

/* Those of @f that are asked for, at most @limit; @name: for messages. */
static int print_list(const struct ctl *ctl, FILE *f, const char *name, uint64_t limit)
{
	const char *pattern = ctl->n_args > 1 ? ctl->args[1] : NULL;
	char *line = NULL, *copy = NULL, *word[WORDS];
	struct json json = { .out = stdout };
	size_t room = 0;
	int ret = EXIT_OK;

	if (ctl->json)
		json_open(&json, NULL, '[');
	while (limit && getline(&line, &room, f) >= 0) {
		if (strncmp(line, "lease ", 6))
			continue;
		line[strcspn(line, "\n")] = '\0';
		free(copy);
		copy = strdup(line + 6);
		if (!copy) {
			ret = lease_failed(name, -ENOMEM);
			break;
		}
		if (!split(copy, word) || !matches(pattern, word[WORD_PATH]))
			continue;
		limit--;
		if (ctl->json)
			print_json(&json, word);
		else
			puts(line + 6);
	}
	if (ferror(f))
		ret = lease_failed(name, -errno);
	if (ctl->json)
		json_close(&json, ']');
	free(copy);
	free(line);
	return ret;
}

/* What /__sys__/locks of the mount says of them. */
int cmd_lease_list(struct ctl *ctl)
{
	size_t cap = strlen(ctl->args[0]) + sizeof("/__sys__/locks");
	uint64_t limit = UINT64_MAX;
	char *name;
	FILE *f;
	int ret;

	if (ctl->lease_limit && !parse_number(ctl->lease_limit, 1, UINT32_MAX, &limit))
		return usage("--limit: 1 or more, not", ctl->lease_limit);
	name = malloc(cap);
	if (!name)
		return lease_failed(ctl->args[0], -ENOMEM);
	snprintf(name, cap, "%s/__sys__/locks", ctl->args[0]);
	f = fopen(name, "re");
	if (!f) {
		fprintf(stderr, "nexusctl: %s: %s\n", name, errno == ENOENT ?
			"not where a nexusfs is mounted" : strerror(errno));
		free(name);
		return EXIT_FAILED;
	}
	ret = print_list(ctl, f, name, limit);
	fclose(f);
	free(name);
	return ret;
}
