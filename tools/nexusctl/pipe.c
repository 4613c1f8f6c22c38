// SPDX-License-Identifier: Apache-2.0
/*
 * nexusctl pipe: rings, without the helper.  Looking at them and closing them opens
 * nothing, so that nobody is let through who waits for somebody to talk to.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/nexusfs.h>
#include <nexus/ring.h>

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

/* Of a ring, or what was taken for one; @err negative. */
static int failed(const char *path, int err)
{
	if (err == -ENOTTY)
		return say(path, on_nexusfs(path) ? "not a ring" : "not on a nexusfs");
	return say(path, strerror(-err));
}

/* ---- create ---------------------------------------------------------------- */

static int create_failed(const char *path, int err)
{
	switch (err) {
	case -ENOTTY:
		return say(path, "not on a nexusfs");
	case -EINVAL:
		return say(path, "this is no name of a ring");
	case -EPERM:
		return say(path, "only an administrator makes rings above the module's ring_max");
	default:
		return say(path, strerror(-err));
	}
}

int cmd_pipe_create(struct ctl *ctl)
{
	static const uint64_t sizes[] = { 1u << 10, 1u << 20, 1u << 10, 1u << 20 };
	uint64_t capacity = NEXUS_RING_CAPACITY;
	mode_t mode = 0666;
	int err;

	if (ctl->capacity &&
	    (!parse_units(ctl->capacity, "KMkm", sizes, NEXUS_RING_CAPACITY_MAX, &capacity) ||
	     !capacity))
		return usage("--capacity: 1 to 16777216 bytes, or K or M of them, not",
			     ctl->capacity);
	if (ctl->mode) {
		if (!parse_mode(ctl->mode, &mode))
			return usage("--mode: an octal number up to 7777, not", ctl->mode);
		umask(0);
	}
	err = nexus_ring_create(AT_FDCWD, ctl->args[0], capacity, mode);
	return err ? create_failed(ctl->args[0], err) : EXIT_OK;
}

/* ---- list, stat ------------------------------------------------------------ */

static void json_stat(struct json *json, const char *path, const struct nexus_ring_stat *st)
{
	json_open(json, NULL, '{');
	json_string(json, "path", path);
	json_number(json, "capacity", st->capacity);
	json_number(json, "bytes", st->bytes);
	json_number(json, "messages", st->messages);
	json_number(json, "next", st->next);
	json_number(json, "readers", st->readers);
	json_number(json, "writers", st->writers);
	json_bool(json, "closed", st->flags & NEXUS_RING_CLOSED);
	json_bool(json, "mapped_to_send", st->flags & NEXUS_RING_MAPPED_SEND);
	json_bool(json, "mapped_to_receive", st->flags & NEXUS_RING_MAPPED_RECV);
	json_number(json, "sent", st->sent);
	json_number(json, "sent_bytes", st->sent_bytes);
	json_number(json, "received", st->received);
	json_number(json, "received_bytes", st->received_bytes);
	json_number(json, "full", st->full);
	json_number(json, "empty", st->empty);
	json_close(json, '}');
}

static const char *mapped_sides(const struct nexus_ring_stat *st)
{
	static const char * const text[] = {
		"", ", mapped to send", ", mapped to receive", ", mapped by both sides"
	};

	return text[(st->flags & NEXUS_RING_MAPPED_SEND ? 1 : 0) +
		    (st->flags & NEXUS_RING_MAPPED_RECV ? 2 : 0)];
}

static void print_stat(const struct nexus_ring_stat *st)
{
	printf("capacity:  %" PRIu64 " bytes\n", (uint64_t)st->capacity);
	printf("waiting:   %" PRIu64 " messages, %" PRIu64 " bytes", (uint64_t)st->messages,
	       (uint64_t)st->bytes);
	if (st->next)
		printf(", the next of %" PRIu32, st->next);
	printf("\nopen:      %" PRIu32 " readers, %" PRIu32 " writers%s%s\n", st->readers,
	       st->writers, st->flags & NEXUS_RING_CLOSED ? ", closed" : "", mapped_sides(st));
	printf("sent:      %" PRIu64 " messages, %" PRIu64 " bytes, full %" PRIu64 " times\n",
	       (uint64_t)st->sent, (uint64_t)st->sent_bytes, (uint64_t)st->full);
	printf("received:  %" PRIu64 " messages, %" PRIu64 " bytes, empty %" PRIu64 " times\n",
	       (uint64_t)st->received, (uint64_t)st->received_bytes, (uint64_t)st->empty);
}

struct list {
	struct json json;
	bool as_json;
	size_t n;
	int ret;
};

static void list_one(struct list *list, const char *path)
{
	struct nexus_ring_stat st;
	int err = nexus_ring_stat_at(AT_FDCWD, path, &st);

	/* A FIFO of mkfifo, or gone meanwhile. */
	if (err == -ENOTTY || err == -ENOENT)
		return;
	if (err) {
		list->ret = failed(path, err);
		return;
	}
	if (list->as_json) {
		json_stat(&list->json, path, &st);
		return;
	}
	if (!list->n++)
		printf("%9s %9s %9s %7s %7s  %s\n", "CAPACITY", "BYTES", "MESSAGES", "READERS",
		       "WRITERS", "PATH");
	printf("%9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %7" PRIu32 " %7" PRIu32 "  %s%s\n",
	       (uint64_t)st.capacity, (uint64_t)st.bytes, (uint64_t)st.messages, st.readers,
	       st.writers, path, st.flags & NEXUS_RING_CLOSED ? " (closed)" : "");
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void walk(struct list *list, FTS *fts, bool recursive)
{
	FTSENT *e;

	while ((e = fts_read(fts))) {
		switch (e->fts_info) {
		case FTS_D:
			if (e->fts_level > 0 && !recursive)
				fts_set(fts, e, FTS_SKIP);
			break;
		case FTS_DEFAULT:
			if (S_ISFIFO(e->fts_statp->st_mode))
				list_one(list, e->fts_path);
			break;
		case FTS_DNR:
		case FTS_ERR:
			list->ret = failed(e->fts_path, -e->fts_errno);
			break;
		default:
			break;
		}
	}
}

int cmd_pipe_list(struct ctl *ctl)
{
	char here[] = ".", *paths[] = { ctl->n_args ? ctl->args[0] : here, NULL };
	struct list list = { .json = { .out = stdout }, .as_json = ctl->json };
	struct stat st;
	FTS *fts;

	if (stat(paths[0], &st))
		return failed(paths[0], -errno);
	if (!S_ISDIR(st.st_mode))
		return failed(paths[0], -ENOTDIR);
	if (!on_nexusfs(paths[0]))
		return failed(paths[0], -ENOTTY);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, by_name);
	if (!fts)
		return failed(paths[0], -errno);
	if (list.as_json)
		json_open(&list.json, NULL, '[');
	walk(&list, fts, ctl->recursive);
	fts_close(fts);
	if (list.as_json)
		json_close(&list.json, ']');
	return list.ret;
}

/* Links are followed, as open(2) does; the ioctls take the name itself. */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);

	if (!real)
		failed(path, -errno);
	return real;
}

int cmd_pipe_stat(struct ctl *ctl)
{
	struct json json = { .out = stdout };
	struct nexus_ring_stat st;
	char *path = resolve(ctl->args[0]);
	int err;

	if (!path)
		return EXIT_FAILED;
	err = nexus_ring_stat_at(AT_FDCWD, path, &st);
	free(path);
	if (err)
		return failed(ctl->args[0], err);
	if (ctl->json)
		json_stat(&json, ctl->args[0], &st);
	else
		print_stat(&st);
	return EXIT_OK;
}

int cmd_pipe_close(struct ctl *ctl)
{
	char *path = resolve(ctl->args[0]);
	int err;

	if (!path)
		return EXIT_FAILED;
	err = nexus_ring_close_at(AT_FDCWD, path);
	free(path);
	if (err == -ENXIO)
		return say(ctl->args[0], "nobody has it open");
	return err ? failed(ctl->args[0], err) : EXIT_OK;
}

/* ---- peek, recv ------------------------------------------------------------ */

void base64(const unsigned char *data, size_t len, char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t v;
	size_t i;

	for (i = 0; i < len; i += 3) {
		v = (uint32_t)data[i] << 16;
		v |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
		v |= i + 2 < len ? data[i + 2] : 0;
		*text++ = digits[v >> 18];
		*text++ = digits[v >> 12 & 63];
		*text++ = digits[v >> 6 & 63];
		*text++ = digits[v & 63];
	}
	/* What is beyond the end. */
	for (; i > len; i--)
		text[-(ptrdiff_t)(i - len)] = '=';
	*text = '\0';
}

/* Its bytes and no more; people get a new line behind them. */
static int print_message(const struct ctl *ctl, const void *data, size_t len)
{
	struct json json = { .out = stdout };
	char *text;

	if (!ctl->json) {
		fwrite(data, 1, len, stdout);
		if (isatty(STDOUT_FILENO))
			putchar('\n');
		return EXIT_OK;
	}
	text = malloc(len / 3 * 4 + 5);
	if (!text)
		return failed(ctl->args[0], -ENOMEM);
	base64(data, len, text);
	json_open(&json, NULL, '{');
	json_string(&json, "path", ctl->args[0]);
	json_number(&json, "bytes", len);
	json_string(&json, "base64", text);
	json_close(&json, '}');
	free(text);
	return EXIT_OK;
}

/* Any message fits. */
static void *message_room(const char *path)
{
	void *buf = malloc(NEXUS_RING_CAPACITY_MAX);

	if (!buf)
		failed(path, -ENOMEM);
	return buf;
}

static int peek(struct ctl *ctl, const char *path, void *buf)
{
	ssize_t len = nexus_ring_peek_at(AT_FDCWD, path, buf, NEXUS_RING_CAPACITY_MAX);

	if (len == -EAGAIN)
		return say(ctl->args[0], "no message");
	if (len < 0)
		return failed(ctl->args[0], (int)len);
	return print_message(ctl, buf, (size_t)len);
}

int cmd_pipe_peek(struct ctl *ctl)
{
	char *path = resolve(ctl->args[0]);
	void *buf = path ? message_room(ctl->args[0]) : NULL;
	int ret = buf ? peek(ctl, path, buf) : EXIT_FAILED;

	free(buf);
	free(path);
	return ret;
}

/*
 * The length of a message; 0: the end.  A message is taken whether or not there is a
 * sender; before the first comes there is no end.
 */
static ssize_t receive(int fd, void *buf)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, -1) < 0)
			return -errno;
		n = read(fd, buf, NEXUS_RING_CAPACITY_MAX);
		if (n > 0)
			return n;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		/* Somebody else was first, unless there is nobody left to send. */
		if (n == 0 && p.revents & POLLHUP)
			return 0;
	}
}

static int recv_from(struct ctl *ctl, int fd)
{
	struct nexus_ring_stat st;
	int ret = nexus_ring_stat(fd, &st);
	ssize_t len;
	void *buf;

	if (ret)
		return failed(ctl->args[0], ret);
	buf = message_room(ctl->args[0]);
	if (!buf)
		return EXIT_FAILED;
	len = receive(fd, buf);
	if (len > 0)
		ret = print_message(ctl, buf, (size_t)len);
	else if (len < 0)
		ret = failed(ctl->args[0], (int)len);
	else
		ret = say(ctl->args[0], "no message, and nobody sends any more");
	free(buf);
	return ret;
}

int cmd_pipe_recv(struct ctl *ctl)
{
	int fd = open(ctl->args[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return failed(ctl->args[0], -errno);
	ret = recv_from(ctl, fd);
	close(fd);
	return ret;
}

/* ---- send ------------------------------------------------------------------ */

/* Standard input as one message; one byte more than any can have is enough to see. */
static int read_message(char *buf, size_t *len)
{
	*len = fread(buf, 1, NEXUS_RING_CAPACITY_MAX + 1, stdin);
	return ferror(stdin) ? say("standard input", strerror(errno)) : EXIT_OK;
}

static int send_failed(const char *path, int err)
{
	if (err == -EMSGSIZE)
		return say(path, "the message is larger than the ring's capacity");
	if (err == -EPIPE)
		return say(path, "nobody receives, or it was closed");
	return failed(path, err);
}

static int send_to(const char *path, const char *data, size_t len)
{
	struct nexus_ring_stat st;
	int fd, err = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(path, -errno);
	err = nexus_ring_stat(fd, &st);
	if (!err && write(fd, data, len) < 0)
		err = -errno;
	close(fd);
	return err ? send_failed(path, err) : EXIT_OK;
}

/* Before open(2) waits for a reader of something else; who may only write is not asked. */
static int is_ring(const char *given)
{
	char *path = resolve(given);
	struct nexus_ring_stat st;
	int err;

	if (!path)
		return EXIT_FAILED;
	err = nexus_ring_stat_at(AT_FDCWD, path, &st);
	free(path);
	return err && err != -EACCES ? failed(given, err) : EXIT_OK;
}

int cmd_pipe_send(struct ctl *ctl)
{
	const char *data = ctl->n_args > 1 ? ctl->args[1] : NULL;
	int ret = is_ring(ctl->args[0]);
	char *buf = NULL;
	size_t len = 0;

	signal(SIGPIPE, SIG_IGN);
	if (ret == EXIT_OK && !data) {
		buf = malloc(NEXUS_RING_CAPACITY_MAX + 1);
		ret = buf ? read_message(buf, &len) : failed(ctl->args[0], -ENOMEM);
		data = buf;
	} else if (data) {
		len = strlen(data);
	}
	if (ret == EXIT_OK && !len)
		ret = usage("nothing is no message:", ctl->args[0]);
	if (ret == EXIT_OK)
		ret = send_to(ctl->args[0], data, len);
	free(buf);
	return ret;
}
