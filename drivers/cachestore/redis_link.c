// SPDX-License-Identifier: Apache-2.0
#include "drivers/cachestore/redis_link.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/port.h"

#define READ_BYTES	16384
#define SMALL_REPLY	65536u		/* of what is asked when connecting */
#define ARRAY_MAX	65536u		/* what SCAN gives is far less */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

int64_t redis_now_ms(void)
{
	return (int64_t)(nexus_now_ns() / 1000000);
}

static int broken(struct nexus_cache_fault *fault, const char *words)
{
	return cache_fail(fault, -ENOTCONN, words);
}

static int silent(struct nexus_cache_fault *fault)
{
	return broken(fault, "the server does not answer in time");
}

/* Of the system's or the library's: one line that can be shown. */
static int broken_by(struct nexus_cache_fault *fault, const char *words, const char *why)
{
	char text[NEXUS_CACHE_FAULT_MAX];

	snprintf(text, sizeof(text), "%s: %.150s", words, why);
	return broken(fault, text);
}

/* Until there is something to read, or room to write; false: not in time. */
static bool wait_link(const struct redis_link *link, short events, int64_t until)
{
	struct pollfd fd = { .fd = link->c->fd, .events = events };
	int64_t left;
	int ret;

	do {
		left = until - redis_now_ms();
		ret = poll(&fd, 1, left > 0 ? (int)left : 0);
	} while (ret < 0 && errno == EINTR);
	return ret > 0;
}

/* ---- answers -------------------------------------------------------------------------- */

/* One array, and one in it as its second: more is in no answer, but could take all memory. */
static bool may_be(const redisReadTask *task, unsigned long long elements)
{
	return elements <= ARRAY_MAX &&
	       (!task->parent || (!task->parent->parent && task->idx == 1));
}

static void *(*library_array)(const redisReadTask *task, array_size elements);

static void *make_array(const redisReadTask *task, array_size elements)
{
	return may_be(task, (unsigned long long)elements) ? library_array(task, elements) : NULL;
}

static redisReplyObjectFunctions functions;
static pthread_once_t functions_once = PTHREAD_ONCE_INIT;

static void make_functions(void)
{
	redisReader *reader = redisReaderCreate();

	if (!reader)
		return;
	functions = *reader->fn;
	library_array = functions.createArray;
	functions.createArray = make_array;
	redisReaderFree(reader);
}

int redis_link_parse(struct redis_link *link, redisReply **reply, struct nexus_cache_fault *fault)
{
	void *got = NULL;

	*reply = NULL;
	if (redisReaderGetReply(link->c->reader, &got) != REDIS_OK)
		return broken(fault, "the server's answer makes no sense");
	*reply = got;
	return 0;
}

int redis_link_read(struct redis_link *link, size_t *got, struct nexus_cache_fault *fault)
{
	char buf[READ_BYTES];
	ssize_t n;

	*got = 0;
	do {
		n = recv(link->c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 :
			broken_by(fault, "the connection to the server is broken", strerror(errno));
	if (!n)
		return broken(fault, "the server has closed the connection");
	*got = (size_t)n;
	if (redisReaderFeed(link->c->reader, buf, (size_t)n) != REDIS_OK)
		return broken(fault, "no memory for the server's answer");
	return 0;
}

int redis_link_write(struct redis_link *link, bool *all, struct nexus_cache_fault *fault)
{
	int done = 0;

	if (redisBufferWrite(link->c, &done) != REDIS_OK)
		return broken_by(fault, "the connection to the server is broken", link->c->errstr);
	*all = done;
	return 0;
}

int redis_link_reply(struct redis_link *link, int64_t until, size_t limit,
		     struct nexus_cache_fault *fault, redisReply **reply)
{
	size_t total = 0, got;
	bool all = false;
	int ret;

	for (;;) {
		ret = redis_link_parse(link, reply, fault);
		if (ret || *reply)
			return ret;
		if (!all)
			ret = redis_link_write(link, &all, fault);
		if (ret)
			return ret;
		if (redis_now_ms() >= until ||
		    !wait_link(link, all ? POLLIN : POLLIN | POLLOUT, until))
			return silent(fault);
		ret = redis_link_read(link, &got, fault);
		if (ret)
			return ret;
		total += got;
		if (total > limit)
			return broken(fault, "the server's answer is too large");
	}
}

int redis_error(const redisReply *reply, struct nexus_cache_fault *fault)
{
	static const struct {
		const char *word;
		int error;
	} known[] = {
		{ "OOM ", -ENOSPC },
		{ "NOAUTH ", -EACCES },
		{ "WRONGPASS ", -EACCES },
		{ "NOPERM ", -EACCES },
	};
	char words[200];
	size_t i, n = 0;
	int error = -EIO;

	for (i = 0; i < reply->len && n < sizeof(words) - 1; i++)
		words[n++] = isprint((unsigned char)reply->str[i]) ? reply->str[i] : '?';
	words[n] = '\0';
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(words, known[i].word, strlen(known[i].word)))
			error = known[i].error;
	return cache_fail(fault, error, n ? words : "the server refuses without a word");
}

/* ---- connecting ------------------------------------------------------------------------- */

bool redis_link_send(struct redis_link *link, int argc, const char **argv, const size_t *sizes)
{
	return redisAppendCommandArgv(link->c, argc, argv, sizes) == REDIS_OK;
}

bool redis_link_idle(const struct redis_link *link)
{
	struct pollfd fd = { .fd = link->c->fd, .events = POLLIN };
	const redisReader *reader = link->c->reader;

	return reader->pos == reader->len && poll(&fd, 1, 0) == 0;
}

void redis_link_close(struct redis_link *link)
{
	if (!link)
		return;
	if (link->c)
		redisFree(link->c);
	free(link);
}

/* The first line of a file that is nobody else's to read. */
static int read_password(const char *path, char password[REDIS_PASSWORD_MAX + 2],
			 struct nexus_cache_fault *fault)
{
	char text[NEXUS_CACHE_FAULT_MAX];
	const char *why = NULL;
	struct stat st;
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st))
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "it is no file";
	else if (st.st_uid && st.st_uid != geteuid())
		why = "it belongs to somebody else";
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		why = "others can read or write it: chmod 600";
	else
		n = read(fd, password, REDIS_PASSWORD_MAX + 1);
	if (!why && n < 0)
		why = strerror(errno);
	if (fd >= 0)
		close(fd);
	if (!why) {
		password[n] = '\0';
		password[strcspn(password, "\r\n")] = '\0';
		if (!password[0] || strlen(password) > REDIS_PASSWORD_MAX)
			why = "its first line is to be a password of at most 512 bytes";
	}
	if (!why)
		return 0;
	explicit_bzero(password, REDIS_PASSWORD_MAX + 2);
	snprintf(text, sizeof(text), "passfile: %s", why);
	return cache_fail(fault, -EACCES, text);
}

/* A command whose answer says no more than that it was done */
static int ask_ok(struct redis_link *link, int argc, const char **argv, int64_t until,
		  struct nexus_cache_fault *fault)
{
	redisReply *reply;
	int ret;

	if (!redis_link_send(link, argc, argv, NULL))
		return cache_fail(fault, -ENOMEM, "no memory");
	ret = redis_link_reply(link, until, SMALL_REPLY, fault, &reply);
	if (ret)
		return ret;
	if (reply->type == REDIS_REPLY_ERROR)
		ret = redis_error(reply, fault);
	else if (reply->type != REDIS_REPLY_STATUS)
		ret = broken(fault, "the server's answer makes no sense");
	freeReplyObject(reply);
	return ret;
}

static int log_in(struct redis_link *link, const struct redis_place *place, int64_t until,
		  struct nexus_cache_fault *fault)
{
	char password[REDIS_PASSWORD_MAX + 2];
	const char *argv[3] = { "AUTH" };
	int argc = 1, ret;

	ret = read_password(place->passfile, password, fault);
	if (ret)
		return ret;
	if (place->user[0])
		argv[argc++] = place->user;
	argv[argc++] = password;
	ret = ask_ok(link, argc, argv, until, fault);
	explicit_bzero(password, sizeof(password));
	/* Its words may have what was sent in them. */
	if (ret && ret != -ENOTCONN)
		ret = cache_fail(fault, -EACCES, "the server refuses user or password");
	return ret;
}

static int select_db(struct redis_link *link, uint32_t db, int64_t until,
		     struct nexus_cache_fault *fault)
{
	const char *argv[2] = { "SELECT" };
	char text[16];

	snprintf(text, sizeof(text), "%u", db);
	argv[1] = text;
	return ask_ok(link, 2, argv, until, fault);
}

/* Which process it is: the next one may have forgotten what this one was told. */
static int ask_run_id(struct redis_link *link, int64_t until, struct nexus_cache_fault *fault,
		      char run_id[41])
{
	static const char *argv[] = { "INFO", "server" };
	redisReply *reply;
	const char *at;
	int ret;

	if (!redis_link_send(link, 2, argv, NULL))
		return cache_fail(fault, -ENOMEM, "no memory");
	ret = redis_link_reply(link, until, SMALL_REPLY, fault, &reply);
	if (ret)
		return ret;
	at = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, "run_id:") : NULL;
	if (reply->type == REDIS_REPLY_ERROR)
		ret = redis_error(reply, fault);
	else if (!at || strcspn(at + 7, "\r\n") != 40)
		ret = broken(fault, "the server does not say which one it is: INFO has no run_id");
	else
		snprintf(run_id, 41, "%s", at + 7);
	freeReplyObject(reply);
	return ret;
}

static int connect_link(struct redis_link *link, const struct redis_place *place, int64_t until,
			struct nexus_cache_fault *fault)
{
	socklen_t size = sizeof(int);
	int error = 0;

	link->c = place->socket[0] ? redisConnectUnixNonBlock(place->socket) :
		redisConnectNonBlock(place->host, place->port);
	if (!link->c)
		return cache_fail(fault, -ENOMEM, "no memory");
	if (link->c->err)
		return broken_by(fault, "the server cannot be reached", link->c->errstr);
	fcntl(link->c->fd, F_SETFD, FD_CLOEXEC);
	if (!wait_link(link, POLLOUT, until))
		return silent(fault);
	if (getsockopt(link->c->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
		return broken_by(fault, "the server cannot be reached", strerror(error));
	link->c->reader->fn = &functions;
	return 0;
}

int redis_link_open(const struct redis_place *place, int64_t until,
		    struct nexus_cache_fault *fault, struct redis_link **link, char run_id[41])
{
	struct redis_link *made = calloc(1, sizeof(*made));
	int ret;

	pthread_once(&functions_once, make_functions);
	if (!made || !library_array) {
		free(made);
		return cache_fail(fault, -ENOMEM, "no memory");
	}
	ret = connect_link(made, place, until, fault);
	if (!ret && place->passfile[0])
		ret = log_in(made, place, until, fault);
	if (!ret && place->db)
		ret = select_db(made, place->db, until, fault);
	if (!ret)
		ret = ask_run_id(made, until, fault, run_id);
	if (ret)
		redis_link_close(made);
	else
		*link = made;
	/* Nothing was to be kept. */
	if (ret == -ENOSPC)
		fault->error = ret = -EIO;
	return ret;
}
