// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "creds-server.h"

#define RULES		16
#define REQUESTS	256
#define REQUEST_MAX	32768

struct creds_server {
	int fd, port;
	int stop[2];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t seen;
	struct {
		char request[128];
		const char *answer;
	} rule[RULES];
	unsigned int n_rules;
	char *request[REQUESTS];
	unsigned int n_requests;
	int held[REQUESTS];	/* connections nobody answers */
	unsigned int n_held;
};

/* Head and body, NUL at the end; false when the connection broke before. */
static bool read_request(int fd, char *buf)
{
	size_t len = 0, body = 0;
	const char *head = NULL, *length;
	ssize_t n;

	while (!head || len < (size_t)(head - buf) + 4 + body) {
		n = read(fd, buf + len, REQUEST_MAX - 1 - len);
		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		head = strstr(buf, "\r\n\r\n");
		length = strcasestr(buf, "\r\nContent-Length:");
		if (head && length && length < head)
			body = strtoul(length + 17, NULL, 10);
	}
	return true;
}

static const char *find_answer(const struct creds_server *s, const char *request)
{
	unsigned int i;

	for (i = 0; i < s->n_rules; i++) {
		if (!strncmp(request, s->rule[i].request, strlen(s->rule[i].request)))
			return s->rule[i].answer;
	}
	return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
}

static void serve(struct creds_server *s, int fd)
{
	char *buf = malloc(REQUEST_MAX);
	const char *answer;
	size_t left;
	ssize_t n;

	if (!buf || !read_request(fd, buf)) {
		free(buf);
		close(fd);
		return;
	}
	pthread_mutex_lock(&s->lock);
	answer = find_answer(s, buf);
	if (s->n_requests == REQUESTS)
		abort();
	s->request[s->n_requests++] = buf;
	if (!answer)
		s->held[s->n_held++] = fd;
	pthread_cond_broadcast(&s->seen);
	pthread_mutex_unlock(&s->lock);
	if (!answer)
		return;
	for (left = strlen(answer); left; answer += n, left -= (size_t)n) {
		n = send(fd, answer, left, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	close(fd);
}

static void *run(void *arg)
{
	struct creds_server *s = arg;
	struct pollfd p[] = { { s->fd, POLLIN, 0 }, { s->stop[0], POLLIN, 0 } };
	int fd;

	while (poll(p, 2, -1) >= 0 && !p[1].revents) {
		fd = accept(s->fd, NULL, NULL);
		if (fd >= 0)
			serve(s, fd);
	}
	return NULL;
}

struct creds_server *creds_server_start(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct creds_server *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(addr);

	if (!s || pipe(s->stop))
		abort();
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(s->fd, 16) ||
	    getsockname(s->fd, (struct sockaddr *)&addr, &len))
		abort();
	s->port = ntohs(addr.sin_port);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->seen, NULL);
	if (pthread_create(&s->thread, NULL, run, s))
		abort();
	return s;
}

void creds_server_stop(struct creds_server *s)
{
	unsigned int i;

	if (write(s->stop[1], "", 1) != 1)
		abort();
	pthread_join(s->thread, NULL);
	for (i = 0; i < s->n_held; i++)
		close(s->held[i]);
	for (i = 0; i < s->n_requests; i++)
		free(s->request[i]);
	close(s->fd);
	close(s->stop[0]);
	close(s->stop[1]);
	pthread_cond_destroy(&s->seen);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int creds_server_port(const struct creds_server *s)
{
	return s->port;
}

void creds_server_answer(struct creds_server *s, const char *request, const char *answer)
{
	unsigned int i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_rules && strcmp(s->rule[i].request, request); i++)
		;
	if (i == RULES)
		abort();
	if (i == s->n_rules)
		s->n_rules++;
	snprintf(s->rule[i].request, sizeof(s->rule[i].request), "%s", request);
	s->rule[i].answer = answer;
	pthread_mutex_unlock(&s->lock);
}

static unsigned int count(const struct creds_server *s, const char *text)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->n_requests; i++)
		n += !!strstr(s->request[i], text);
	return n;
}

unsigned int creds_server_count(struct creds_server *s, const char *text)
{
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	n = count(s, text);
	pthread_mutex_unlock(&s->lock);
	return n;
}

void creds_server_wait(struct creds_server *s, const char *text, unsigned int n)
{
	pthread_mutex_lock(&s->lock);
	while (count(s, text) < n)
		pthread_cond_wait(&s->seen, &s->lock);
	pthread_mutex_unlock(&s->lock);
}
