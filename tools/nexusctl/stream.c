// SPDX-License-Identifier: Apache-2.0
/* nexusctl stream: streams, without the helper. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/nexusfs.h>
#include <nexus/stream.h>

#include "nexusctl.h"

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s %s; see: nexusctl help\n", what, arg);
	return EXIT_USAGE;
}

static int say(const char *path, const char *why)
{
	fprintf(stderr, "nexusctl: %s: %s\n", path, why);
	return EXIT_FAILED;
}

static int failed(const char *path, int err)
{
	struct statfs fs;

	if (err != -ENOTTY)
		return say(path, strerror(-err));
	return say(path, !statfs(path, &fs) && fs.f_type == NEXUS_SUPER_MAGIC ?
		   "not a stream" : "not on a nexusfs");
}

/* ---- create ---------------------------------------------------------------- */

static int create_failed(const char *path, int err)
{
	switch (err) {
	case -ENOTTY:
		return say(path, "not on a nexusfs");
	case -EINVAL:
		return say(path, "this is no name of a stream");
	case -EPERM:
		return say(path, "only an administrator makes streams in memory above the module's stream_max");
	case -EOPNOTSUPP:
		return say(path, "the zone's format is too old for streams that persist; see: nexusctl zone upgrade");
	default:
		return say(path, strerror(-err));
	}
}

int cmd_stream_create(struct ctl *ctl)
{
	static const uint64_t sizes[] = { 1u << 10, 1u << 20, 1u << 30, 1ull << 40 };
	static const uint64_t times[] = { 1, 60, 3600, 86400 };
	uint64_t bytes = NEXUS_STREAM_BYTES, age = 0;
	mode_t mode = 0666;
	int err;

	if (ctl->max_bytes &&
	    (!parse_units(ctl->max_bytes, "KMGT", sizes, NEXUS_STREAM_BYTES_MAX, &bytes) ||
	     bytes < NEXUS_STREAM_BYTES_MIN))
		return usage("--max-bytes: 8192 bytes to 1T, not", ctl->max_bytes);
	if (ctl->max_age &&
	    (!parse_units(ctl->max_age, "smhd", times, NEXUS_STREAM_AGE_MAX, &age) || !age))
		return usage("--max-age: seconds, or m, h or d, not", ctl->max_age);
	if (ctl->mode) {
		if (!parse_mode(ctl->mode, &mode))
			return usage("--mode: an octal number up to 7777, not", ctl->mode);
		umask(0);
	}
	err = nexus_stream_create(AT_FDCWD, ctl->args[0], bytes, (uint32_t)age,
				  ctl->persist ? NEXUS_STREAM_PERSIST : 0, mode);
	return err ? create_failed(ctl->args[0], err) : EXIT_OK;
}

/* ---- of one that is there ------------------------------------------------------ */

/* Opened, or -1 and *@ret; anything else than a stream is not written to. */
static int open_stream(const char *path, int flags, struct nexus_stream_stat *st, int *ret)
{
	int fd = open_plain(path, flags | O_CLOEXEC), err;

	if (fd < 0) {
		*ret = failed(path, fd);
		return -1;
	}
	err = nexus_stream_stat(fd, st);
	if (!err)
		return fd;
	close(fd);
	*ret = failed(path, err);
	return -1;
}

int cmd_stream_stat(struct ctl *ctl)
{
	struct json json = { .out = stdout };
	struct nexus_stream_stat st;
	int ret, fd = open_stream(ctl->args[0], O_RDONLY, &st, &ret);

	if (fd < 0)
		return ret;
	close(fd);
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "path", ctl->args[0]);
		json_number(&json, "start", st.start);
		json_number(&json, "tail", st.tail);
		json_number(&json, "records", st.records);
		json_number(&json, "bytes", st.bytes);
		json_number(&json, "max_bytes", st.max_bytes);
		json_number(&json, "max_age", st.max_age);
		json_number(&json, "record_max", st.record_max);
		json_bool(&json, "persist", st.flags & NEXUS_STREAM_PERSIST);
		json_number(&json, "id", st.id);
		json_close(&json, '}');
		return EXIT_OK;
	}
	printf("start:     %" PRIu64 "\n", (uint64_t)st.start);
	printf("tail:      %" PRIu64 "\n", (uint64_t)st.tail);
	printf("records:   %" PRIu64 ", in %" PRIu64 " bytes %s\n", (uint64_t)st.records,
	       (uint64_t)st.bytes, st.flags & NEXUS_STREAM_PERSIST ? "on disk" : "of memory");
	printf("limits:    %" PRIu64 " bytes", (uint64_t)st.max_bytes);
	if (st.max_age)
		printf(", %" PRIu32 " seconds", st.max_age);
	printf(", records of %" PRIu32 "\n", st.record_max);
	return EXIT_OK;
}

/* A position; "end": @tail. */
static bool parse_position(const char *text, uint64_t tail, uint64_t *pos)
{
	static const uint64_t none[] = { 1 };

	*pos = tail;
	return !strcmp(text, "end") || parse_units(text, "", none, INT64_MAX, pos);
}

int cmd_stream_trim(struct ctl *ctl)
{
	struct nexus_stream_stat st;
	int ret, err, fd = open_stream(ctl->args[0], O_WRONLY, &st, &ret);
	uint64_t pos;

	if (fd < 0)
		return ret;
	if (!parse_position(ctl->args[1], st.tail, &pos)) {
		close(fd);
		return usage("a position or \"end\" is wanted, not", ctl->args[1]);
	}
	err = nexus_stream_trim(fd, pos);
	close(fd);
	if (err == -ESTALE)
		return say(ctl->args[0], "it begins behind that already");
	if (err == -EINVAL)
		return say(ctl->args[0], "no record begins there");
	return err ? failed(ctl->args[0], err) : EXIT_OK;
}

/* ---- append ----------------------------------------------------------------- */

static int append(const char *path, const char *data, size_t len)
{
	struct nexus_stream_stat st;
	int ret, err, fd = open_stream(path, O_WRONLY, &st, &ret);

	if (fd < 0)
		return ret;
	err = nexus_stream_append(fd, data, len, NULL);
	close(fd);
	if (err == -EMSGSIZE)
		return say(path, "the record is longer than the stream takes");
	return err ? failed(path, err) : EXIT_OK;
}

int cmd_stream_append(struct ctl *ctl)
{
	const char *data = ctl->n_args > 1 ? ctl->args[1] : NULL;
	char *buf = NULL;
	size_t len;
	int ret;

	if (data) {
		len = strlen(data);
	} else {
		/* One byte more than any can have is enough to see. */
		buf = malloc(NEXUS_STREAM_RECORD_MAX + 1);
		if (!buf)
			return failed(ctl->args[0], -ENOMEM);
		len = fread(buf, 1, NEXUS_STREAM_RECORD_MAX + 1, stdin);
		data = buf;
		if (ferror(stdin)) {
			free(buf);
			return say("standard input", strerror(errno));
		}
	}
	ret = len ? append(ctl->args[0], data, len) :
		    usage("nothing is no record:", ctl->args[0]);
	free(buf);
	return ret;
}

/* ---- tail -------------------------------------------------------------------- */

#define TAIL_RECORDS	64

struct tail {
	const struct ctl *ctl;
	int fd;
	uint64_t pos;
	unsigned char *buf;
	struct nexus_stream_record records[TAIL_RECORDS];
};

/* As lines, for people and their tools. */
static int print_record(const struct tail *tail, const struct nexus_stream_record *r,
			const unsigned char *data)
{
	struct json json = { .out = stdout };
	char *text;

	if (!tail->ctl->json) {
		fwrite(data, 1, r->len, stdout);
		if (data[r->len - 1] != '\n')
			putchar('\n');
		return EXIT_OK;
	}
	text = malloc(r->len / 3 * 4 + 5);
	if (!text)
		return failed(tail->ctl->args[0], -ENOMEM);
	base64(data, r->len, text);
	json_open(&json, NULL, '{');
	json_number(&json, "position", r->pos);
	json_number(&json, "time", r->time);
	json_number(&json, "bytes", r->len);
	json_string(&json, "base64", text);
	json_close(&json, '}');
	free(text);
	return EXIT_OK;
}

static int print_records(const struct tail *tail, int n)
{
	const unsigned char *data = tail->buf;
	int i, ret = EXIT_OK;

	for (i = 0; i < n && ret == EXIT_OK; i++) {
		ret = print_record(tail, &tail->records[i], data);
		data += tail->records[i].len;
	}
	if (fflush(stdout))
		ret = say("standard output", strerror(errno));
	return ret;
}

/* What has gone meanwhile is said, and it goes on with what there is. */
static int overtaken(struct tail *tail)
{
	const char *path = tail->ctl->args[0];
	struct nexus_stream_stat st;
	int err = nexus_stream_stat(tail->fd, &st);

	if (err)
		return failed(path, err);
	fprintf(stderr, "nexusctl: %s: the records from %" PRIu64 " to %" PRIu64 " are gone\n",
		path, tail->pos, (uint64_t)st.start);
	tail->pos = st.start;
	return EXIT_OK;
}

static int tail_all(struct tail *tail)
{
	const char *path = tail->ctl->args[0];
	int n, ret;

	for (;;) {
		n = nexus_stream_read_batch(tail->fd, &tail->pos, tail->buf,
					    NEXUS_STREAM_RECORD_MAX, tail->records, TAIL_RECORDS);
		if (!n || n == -EAGAIN)
			return EXIT_OK;
		if (n == -EINVAL)
			return say(path, "no record begins there");
		if (n == -ESTALE)
			ret = overtaken(tail);
		else
			ret = n < 0 ? failed(path, n) : print_records(tail, n);
		if (ret != EXIT_OK)
			return ret;
	}
}

static int tail_from(struct tail *tail, const struct nexus_stream_stat *st)
{
	const struct ctl *ctl = tail->ctl;
	int ret;

	tail->pos = st->start;
	if (ctl->from && !parse_position(ctl->from, st->tail, &tail->pos))
		return usage("--from: a position or \"end\", not", ctl->from);
	if (ctl->follow) {
		ret = nexus_stream_set_wait(tail->fd, true);
		if (!ret && fcntl(tail->fd, F_SETFL, 0))
			ret = -errno;
		if (ret)
			return failed(ctl->args[0], ret);
	}
	tail->buf = malloc(NEXUS_STREAM_RECORD_MAX);
	if (!tail->buf)
		return failed(ctl->args[0], -ENOMEM);
	ret = tail_all(tail);
	free(tail->buf);
	return ret;
}

int cmd_stream_tail(struct ctl *ctl)
{
	struct tail tail = { .ctl = ctl };
	struct nexus_stream_stat st;
	int ret;

	tail.fd = open_stream(ctl->args[0], O_RDONLY, &st, &ret);
	if (tail.fd < 0)
		return ret;
	ret = tail_from(&tail, &st);
	close(tail.fd);
	return ret;
}
