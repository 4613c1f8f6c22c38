// SPDX-License-Identifier: Apache-2.0
/* The loop: which request goes when, and its end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "impl.h"

#define HELD_MS		10	/* between two looks at what the rate holds */
#define CREDS_MS	1000	/* when nobody says that there are new ones */

int64_t s3_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* xorshift128+: pauses need no better one. */
uint64_t s3_random(void *ctx, uint64_t bound)
{
	struct s3 *s3 = ctx;
	uint64_t a = s3->random[0], b = s3->random[1];

	s3->random[0] = b;
	a ^= a << 23;
	s3->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return (s3->random[1] + b) % bound;
}

void s3_note(const struct s3 *s3, const char *fmt, ...)
{
	char line[640];
	va_list ap;

	if (!s3->set.note)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s3->set.note(s3->set.ctx, line);
}

int s3_submit(struct s3_request *req)
{
	struct s3 *s3 = req->s3;
	int ret = req->result.error;

	if (!ret && req->cost > s3->set.memory)
		ret = -EFBIG;
	if (!ret) {
		req->deadline = s3_now_ms() + s3->set.deadline_ms;
		pthread_mutex_lock(&s3->lock);
		if (s3->closing) {
			ret = -ESHUTDOWN;
		} else {
			TAILQ_INSERT_TAIL(&s3->incoming, req, link);
			s3->stats.requests++;
			s3->stats.queued++;
		}
		pthread_mutex_unlock(&s3->lock);
	}
	if (ret)
		s3_request_free(req);
	else
		curl_multi_wakeup(s3->multi);
	return ret;
}

void s3_wake(struct s3 *s3)
{
	pthread_mutex_lock(&s3->lock);
	s3->creds_news = true;
	pthread_mutex_unlock(&s3->lock);
	curl_multi_wakeup(s3->multi);
}

/* The words of an error nobody had any for. */
static void word(struct s3_request *req)
{
	static const struct {
		int error;
		const char *words;
	} known[] = {
		{ -ECANCELED, "the client is being closed" },
		{ -ETIMEDOUT, "no answer before the deadline" },
		{ -EHOSTDOWN, "the server has not answered for a while" },
	};
	size_t i;

	if (req->result.fault.text[0])
		return;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].error == req->result.error) {
			s3_fault_set(&req->result.fault, 0, "%s: %s %s: %s", req->s3->base, req->method,
				     req->path, known[i].words);
			return;
		}
	}
	s3_fault_set(&req->result.fault, 0, "%s: %s %s: %s", req->s3->base, req->method, req->path,
		     strerror(-req->result.error));
}

void s3_finish(struct s3_request *req, int error)
{
	struct s3 *s3 = req->s3;
	struct s3_result *result = &req->result;

	result->error = error;
	result->attempts = req->attempts;
	if (error)
		word(req);
	else
		result->fault.text[0] = '\0';
	pthread_mutex_lock(&s3->lock);
	s3->stats.queued--;
	if (req->state != S3_S_QUEUED)
		s3->stats.memory -= req->cost;
	if (error && error != -ENOENT && error != -EEXIST && error != -ECANCELED) {
		s3->stats.failed++;
		s3->stats.last = result->fault;
	}
	pthread_mutex_unlock(&s3->lock);
	req->end(req, req->ctx, result);
	s3_request_free(req);
}

static bool goes_before(const struct s3_request *req, const struct s3_request *other)
{
	return req->first != other->first ? req->first : req->order < other->order;
}

/*
 * In the order of coming, whichever hasher was the last; what goes first before the others:
 * somebody waits who needs little.
 */
static void enqueue(struct s3_queue *queue, struct s3_request *req)
{
	struct s3_request *at;

	TAILQ_FOREACH_REVERSE(at, queue, s3_queue, link)
		if (!goes_before(req, at))
			break;
	if (at)
		TAILQ_INSERT_AFTER(queue, at, req, link);
	else
		TAILQ_INSERT_HEAD(queue, req, link);
}

static void to_hashers(struct s3_request *req, enum s3_state state)
{
	struct s3 *s3 = req->s3;

	req->state = state;
	pthread_mutex_lock(&s3->lock);
	enqueue(&s3->jobs, req);
	s3->working++;
	pthread_cond_signal(&s3->work);
	pthread_mutex_unlock(&s3->lock);
}

void s3_verify(struct s3_request *req)
{
	req->verify_only = true;
	req->want_hash = true;
	req->cost = 0;
	pthread_mutex_lock(&req->s3->lock);
	req->s3->stats.queued++;
	pthread_mutex_unlock(&req->s3->lock);
	to_hashers(req, S3_S_VERIFYING);
}

static void note_deadline(const struct s3_request *req)
{
	if (req->deadline < req->s3->next_deadline)
		req->s3->next_deadline = req->deadline;
}

static void to_ready(struct s3_request *req)
{
	note_deadline(req);
	req->state = S3_S_READY;
	enqueue(&req->s3->ready, req);
}

/* Takes what fits into the limit, in the order of coming: nobody is passed for ever. */
static void admit(struct s3 *s3)
{
	struct s3_request *req;

	while ((req = TAILQ_FIRST(&s3->queue))) {
		bool fits;

		pthread_mutex_lock(&s3->lock);
		fits = req->cost <= s3->set.memory - s3->stats.memory;
		if (fits) {
			s3->stats.memory += req->cost;
			if (s3->stats.memory > s3->stats.memory_peak)
				s3->stats.memory_peak = s3->stats.memory;
		}
		pthread_mutex_unlock(&s3->lock);
		if (!fits)
			return;
		TAILQ_REMOVE(&s3->queue, req, link);
		if (s3_needs_prepare(req))
			to_hashers(req, S3_S_PREPARING);
		else
			to_ready(req);
	}
}

/* After a failure: a pause, or the end. */
static void again(struct s3_request *req)
{
	struct s3 *s3 = req->s3;
	int64_t now = s3_now_ms();
	int64_t after = s3_retry_after(req->answer.retry_after, time(NULL) + s3->clock_offset);

	req->retry_at = s3_retry_next(&s3->retry, req->attempts, after, now, req->deadline);
	if (req->retry_at < 0) {
		s3_finish(req, req->result.error);
		return;
	}
	pthread_mutex_lock(&s3->lock);
	s3->stats.retries++;
	s3->stats.last = req->result.fault;
	pthread_mutex_unlock(&s3->lock);
	note_deadline(req);
	req->state = S3_S_PAUSED;
	req->order = ++s3->order;
	TAILQ_INSERT_TAIL(&s3->paused, req, link);
}

/* Hands back what the hashers are done with; at the closing, to be cancelled. */
static void take_worked(struct s3 *s3)
{
	struct s3_queue worked = TAILQ_HEAD_INITIALIZER(worked);
	struct s3_request *req;

	pthread_mutex_lock(&s3->lock);
	TAILQ_CONCAT(&worked, &s3->worked, link);
	TAILQ_FOREACH(req, &worked, link)
		s3->working--;
	pthread_mutex_unlock(&s3->lock);
	while ((req = TAILQ_FIRST(&worked))) {
		TAILQ_REMOVE(&worked, req, link);
		if (req->state == S3_S_PREPARING && !req->result.error)
			to_ready(req);
		else if (req->state == S3_S_VERIFYING && req->result.error == -EBADMSG && !req->verify_only)
			again(req);
		else
			s3_finish(req, req->result.error);
	}
}

static void take_incoming(struct s3 *s3)
{
	struct s3_request *req;

	pthread_mutex_lock(&s3->lock);
	while ((req = TAILQ_FIRST(&s3->incoming))) {
		note_deadline(req);
		TAILQ_REMOVE(&s3->incoming, req, link);
		req->order = ++s3->order;
		enqueue(&s3->queue, req);
	}
	if (s3->creds_news)
		s3->creds_at = 0;
	s3->creds_news = false;
	pthread_mutex_unlock(&s3->lock);
}

/* An attempt that libcurl has finished with, or that never got there. */
static void end_attempt(struct s3_request *req, CURLcode curl)
{
	enum s3_verdict verdict;
	enum s3_next next = s3_judge(req, curl, &verdict);
	curl_off_t up = 0, down = 0;
	struct s3 *s3 = req->s3;

	s3_gate_end(&s3->gate, s3_now_ms(), &req->ticket, verdict);
	curl_easy_getinfo(req->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(req->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	pthread_mutex_lock(&s3->lock);
	s3->stats.sent += (uint64_t)up;
	s3->stats.received += (uint64_t)down;
	if ((next == S3_N_FINISH || next == S3_N_VERIFY) && !req->result.error)
		s3->stats.taken += (uint64_t)up;
	pthread_mutex_unlock(&s3->lock);
	s3_attempt_clear(req, !curl);
	switch (next) {
	case S3_N_FINISH:
		s3_finish(req, req->result.error);
		break;
	case S3_N_VERIFY:
		to_hashers(req, S3_S_VERIFYING);
		break;
	case S3_N_RETRY:
		again(req);
		break;
	case S3_N_NOW:
		to_ready(req);
		break;
	}
}

static void begin(struct s3_request *req)
{
	struct s3 *s3 = req->s3;
	int ret = s3_attempt_begin(req);

	if (!ret) {
		req->state = S3_S_ACTIVE;
		req->attempts++;
		TAILQ_INSERT_TAIL(&s3->active, req, link);
		return;
	}
	s3_gate_end(&s3->gate, s3_now_ms(), &req->ticket, S3_VERDICT_NONE);
	if (ret == -EAGAIN) {
		/* The provider says when. */
		s3->creds_at = s3_now_ms() + CREDS_MS;
		TAILQ_INSERT_HEAD(&s3->ready, req, link);
		return;
	}
	req->result.error = ret;
	if (ret == -EIO || ret == -ETIMEDOUT || ret == -EPROTO) {
		req->attempts++;
		again(req);
	} else {
		s3_finish(req, ret);
	}
}

static void start(struct s3 *s3)
{
	struct s3_request *req;

	while ((req = TAILQ_FIRST(&s3->ready))) {
		int64_t now = s3_now_ms();

		if (now < s3->creds_at || !s3_gate_start(&s3->gate, now, &req->ticket))
			return;
		TAILQ_REMOVE(&s3->ready, req, link);
		begin(req);
	}
}

static void reap(struct s3 *s3)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(s3->multi, &left))) {
		CURLcode curl = msg->data.result;
		struct s3_request *req;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&req);
		curl_multi_remove_handle(s3->multi, req->easy);
		TAILQ_REMOVE(&s3->active, req, link);
		end_attempt(req, curl);
	}
}

static void resume(struct s3 *s3)
{
	struct s3_request *req;

	if (!s3->held)
		return;
	TAILQ_FOREACH(req, &s3->active, link) {
		if (!req->held)
			continue;
		req->held = false;
		s3->held--;
		/* What is still too much is held again from within. */
		curl_easy_pause(req->easy, CURLPAUSE_CONT);
	}
}

static void wake_paused(struct s3 *s3, int64_t now)
{
	struct s3_request *req, *next;

	for (req = TAILQ_FIRST(&s3->paused); req; req = next) {
		next = TAILQ_NEXT(req, link);
		if (req->retry_at > now)
			continue;
		TAILQ_REMOVE(&s3->paused, req, link);
		to_ready(req);
	}
}

/*
 * Ends what is past its deadline, and what cannot be tried before it because the
 * circuit is open.  Active ones have libcurl's timeout.
 */
static void expire(struct s3 *s3, int64_t now)
{
	struct s3_queue *queues[] = { &s3->queue, &s3->ready, &s3->paused };
	int64_t probe = s3_gate_wake(&s3->gate, now), next_deadline = INT64_MAX;
	struct s3_request *req, *next;
	size_t i;

	if (probe == INT64_MAX)
		probe = 0;
	if (now < s3->next_deadline && probe < s3->next_deadline)
		return;
	for (i = 0; i < 3; i++) {
		for (req = TAILQ_FIRST(queues[i]); req; req = next) {
			int error = req->result.error ? req->result.error : -ETIMEDOUT;

			next = TAILQ_NEXT(req, link);
			if (now < req->deadline && probe < req->deadline) {
				if (req->deadline < next_deadline)
					next_deadline = req->deadline;
				continue;
			}
			TAILQ_REMOVE(queues[i], req, link);
			if (now < req->deadline && !req->result.error)
				error = -EHOSTDOWN;
			s3_finish(req, error);
		}
	}
	/* Those elsewhere tell theirs when they come back. */
	s3->next_deadline = next_deadline;
}

static int pause_ms(struct s3 *s3, int64_t now)
{
	int64_t until = s3->next_deadline;
	struct s3_request *req;

	if (s3->held)
		return HELD_MS;
	TAILQ_FOREACH(req, &s3->paused, link) {
		if (req->retry_at < until)
			until = req->retry_at;
	}
	if (!TAILQ_EMPTY(&s3->ready)) {
		int64_t wake = s3_gate_wake(&s3->gate, now);

		if (s3->creds_at > now)
			wake = s3->creds_at;
		if (wake < until)
			until = wake;
	}
	if (until <= now)
		return 0;
	return until - now < 60000 ? (int)(until - now) : 60000;
}

static void publish(struct s3 *s3)
{
	static const char *const names[] = { "closed", "open", "half-open" };

	pthread_mutex_lock(&s3->lock);
	s3->stats.active = s3->gate.active;
	s3->stats.limit = s3_gate_limit(&s3->gate);
	s3->stats.slowed = s3->gate.lowered;
	s3->stats.opened = s3->gate.opened;
	s3->stats.circuit = names[s3->gate.circuit];
	pthread_mutex_unlock(&s3->lock);
}

static void cancel(struct s3_queue *queue)
{
	struct s3_request *req;

	while ((req = TAILQ_FIRST(queue))) {
		TAILQ_REMOVE(queue, req, link);
		s3_finish(req, -ECANCELED);
	}
}

/* Ends everything; the functions it calls submit nothing any more. */
static void close_all(struct s3 *s3)
{
	struct s3_request *req;
	bool working;

	while ((req = TAILQ_FIRST(&s3->active))) {
		curl_multi_remove_handle(s3->multi, req->easy);
		TAILQ_REMOVE(&s3->active, req, link);
		s3_gate_end(&s3->gate, s3_now_ms(), &req->ticket, S3_VERDICT_NONE);
		s3_attempt_clear(req, false);
		s3_finish(req, -ECANCELED);
	}
	do {
		take_incoming(s3);
		take_worked(s3);
		cancel(&s3->queue);
		cancel(&s3->ready);
		cancel(&s3->paused);
		pthread_mutex_lock(&s3->lock);
		working = s3->working != 0;
		pthread_mutex_unlock(&s3->lock);
		if (working)
			curl_multi_poll(s3->multi, NULL, 0, 1000, NULL);
	} while (working);
}

void *s3_loop(void *arg)
{
	struct s3 *s3 = arg;
	bool closing;
	int running;

	pthread_setname_np(pthread_self(), "nexusd-s3");
	for (;;) {
		int64_t now;

		pthread_mutex_lock(&s3->lock);
		closing = s3->closing;
		pthread_mutex_unlock(&s3->lock);
		if (closing)
			break;
		take_incoming(s3);
		take_worked(s3);
		now = s3_now_ms();
		wake_paused(s3, now);
		expire(s3, now);
		admit(s3);
		start(s3);
		resume(s3);
		curl_multi_perform(s3->multi, &running);
		reap(s3);
		admit(s3);
		start(s3);
		publish(s3);
		now = s3_now_ms();
		curl_multi_poll(s3->multi, NULL, 0, pause_ms(s3, now), NULL);
	}
	close_all(s3);
	return NULL;
}

void s3_stats(struct s3 *s3, struct s3_stats *stats)
{
	pthread_mutex_lock(&s3->lock);
	*stats = s3->stats;
	pthread_mutex_unlock(&s3->lock);
}
