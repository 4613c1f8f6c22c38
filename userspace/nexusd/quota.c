// SPDX-License-Identifier: Apache-2.0
#include "quota.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lib/read.h"

#define APPLY_WAIT_MS	5000u
#define ROOM_TRIES	50
#define ROOM_NAP_MS	20

static int ask(struct memview *v, u64 kind, u32 id, struct nexus_quota_reply *q)
{
	const struct nexus_request req = {
		.op = NEXUS_OP_QUOTA, .arg0 = kind, .arg1 = id,
	};
	int ret = nexus_read(&v->kv, &req, NULL, q, sizeof(*q));

	return ret < 0 ? ret : 0;
}

/* What was logged before the question is in the answer, unless that is much. */
static void catch_up(struct zone *z)
{
	u64 tail;

	if (!z->ring.ctl)
		return;
	tail = __atomic_load_n(&z->ring.ctl->tail, __ATOMIC_ACQUIRE);
	if (memtable_applied(&z->mt) < tail)
		applier_run(&z->applier, tail);
	if (memtable_applied(&z->mt) < tail)
		applier_wait(&z->applier, tail, APPLY_WAIT_MS);
}

int quota_list(struct zone *z, u8 kind, u32 from, quota_fn fn, void *arg)
{
	struct nexus_quota_reply q;
	struct memview v;
	int ret;

	catch_up(z);
	do {
		/* A view each: whoever changes the zone must not wait for the list. */
		ret = memview_begin(&v, &z->mt, NULL);
		if (ret)
			return ret;
		ret = ask(&v, kind | NEXUS_QUOTA_NEXT, from, &q);
		memview_end(&v);
		if (ret)
			return ret == -ENOENT ? 0 : ret;
		if (q.id >= U32_MAX)
			return -EUCLEAN;
		ret = fn(arg, &q);
		from = (u32)q.id + 1;
	} while (!ret && from != U32_MAX);
	return ret;
}

int quota_get(struct zone *z, u8 kind, u32 id, struct nexus_quota_reply *q)
{
	struct memview v;
	int ret;

	catch_up(z);
	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	ret = ask(&v, kind, id, q);
	memview_end(&v);
	return ret;
}

int quota_record(struct zone *z, struct nexus_rec_quota *rec, struct errline *err)
{
	struct nexus_rec_quota want = *rec;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_QUOTA, 0,
		       (struct nexus_time){ .s = ts.tv_sec, .ns = (u32)ts.tv_nsec });
	rec->id = want.id;
	rec->kind = want.kind;
	rec->inodes_hard = want.inodes_hard;
	rec->inodes_soft = want.inodes_soft;
	rec->blocks_hard = want.blocks_hard;
	rec->blocks_soft = want.blocks_soft;
	if (nexus_rec_check(&rec->head, sizeof(*rec)))
		return err_set(err, -EINVAL, "nobody can have such a limit: kind %u, id %llu",
			       le32_to_cpu(rec->kind), le64_to_cpu(rec->id));
	if (le32_to_cpu(rec->kind) >= NEXUS_QUOTA_GRACE &&
	    !(z->sb.incompat & NEXUS_INCOMPAT_GRACE))
		return err_set(err, -EOPNOTSUPP,
			       "the zone is older than grace times; unmount it and use: nexusctl zone upgrade %s",
			       z->name);
	if (z->rdonly)
		return err_set(err, -EROFS, "it is read-only");
	return 0;
}

int quota_submit(struct zone *z, struct nexus_rec_quota *rec, struct errline *err)
{
	struct nexus_submit sub = {
		.zone = z->id,
		.len = sizeof(*rec),
		.record = (u64)(uintptr_t)rec,
	};
	struct timespec nap = { 0, ROOM_NAP_MS * 1000000L };
	int ret, i;

	/* The kernel never waits for room on our behalf. */
	for (i = 0; i < ROOM_TRIES; i++) {
		ret = chan_ioctl(z->chan, NEXUS_IOC_SUBMIT, &sub);
		if (ret != -EAGAIN)
			break;
		nanosleep(&nap, NULL);
	}
	if (ret)
		return err_set(err, ret, "the module did not take it: %s", strerror(-ret));
	/* Whoever asks next sees it, unless applying is far behind. */
	applier_wait(&z->applier, sub.lsn, APPLY_WAIT_MS);
	return 0;
}
