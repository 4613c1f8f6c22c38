// SPDX-License-Identifier: GPL-2.0-only
/* The helper that can misbehave. */
#include <stdarg.h>
#include <sys/random.h>
#include <sys/prctl.h>

#include "fake.h"
#include "reply.h"

struct ctl *ctl;

struct queue {
	struct nexus_req_area *req;
	struct nexus_rep_area *rep;
	uint32_t head;		/* taken of sq */
	uint32_t last_seq;
	uint32_t held[NEXUS_SLOTS];	/* slots not answered, HOLD */
	unsigned int nheld;
};

struct fake {
	int dev;
	struct nexus_attach at;
	struct io_uring ring;
	struct queue q[4];
	uint32_t zone;
	const struct nexus_log_ctl *log;
	int lock;
	uint64_t ticket;	/* of the OPEN_ZONE that is being answered */
};

static void die_at(enum step step)
{
	if (ctl->die_at == step)
		raise(SIGKILL);
}

/* ---- setting up ------------------------------------------------------------ */

int dev_open(void)
{
	int fd = open(DEV, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int dev_attach(int dev, const char *session, unsigned int queues, uint32_t abi,
	       struct nexus_attach *a)
{
	memset(a, 0, sizeof(*a));
	a->abi = abi;
	a->queues = queues;
	memcpy(a->session, session, strnlen(session, sizeof(a->session)));
	return ioctl(dev, NEXUS_IOC_ATTACH, a) ? -errno : 0;
}

int host_file(const char *name, unsigned int blocks, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", ctl->dir, name);
	fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (blocks && posix_fallocate(fd, 0, (off_t)blocks * 4096)) {
		close(fd);
		return -ENOSPC;
	}
	return fd;
}

void zone_params(struct nexus_zone_attach *za, int lock_fd)
{
	memset(za, 0, sizeof(*za));
	strcpy(za->name, ZONE);
	if (getrandom(za->uuid, sizeof(za->uuid), 0) != sizeof(za->uuid))
		za->uuid[0] = 1;
	za->incarnation = ctl->incarnation + 1;
	za->tail = FIRST_LSN;
	za->checkpoint = FIRST_LSN;
	za->applied = FIRST_LSN;
	za->segment = 1;
	za->ino_first = 1 << 20;
	za->ino_end = za->ino_first + ctl->inos;
	za->lock_fd = lock_fd;
	za->pack_blocks = 1024;
	za->segment_blocks = 1024;
	/* NEXUS_INCOMPAT_MOVES, _RANGES and _SHARED */
	za->features = ctl->unshared ? 0x2060 : 0x2062;
	za->ttl = ctl->ttl;
	za->flags = ctl->ttl ? NEXUS_ZA_RDONLY : 0;
}

static int hand_over(struct fake *f, unsigned long cmd, const char *name,
		     uint64_t id, uint32_t flags)
{
	struct nexus_hand_over ho = {
		.zone = f->zone, .id = id, .blocks = 1024, .flags = flags,
	};
	int err = 0;

	ho.fd = host_file(name, 1024, O_RDWR | O_DIRECT);
	if (ho.fd < 0)
		return ho.fd;
	if (ioctl(f->dev, cmd, &ho))
		err = -errno;
	close(ho.fd);
	return err;
}

static void wait_log(struct fake *f);

static int map_log(struct fake *f)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, f->dev,
		       NEXUS_MMAP_LOG(f->zone));

	if (p == MAP_FAILED)
		return -errno;
	f->log = p;
	wait_log(f);
	return 0;
}

/* Every field that ZONE_ATTACH must refuse. */
static void try_wrong_attaches(struct fake *f)
{
	struct nexus_zone_attach za;
	int i = 0;

#define TRY(change) do {						\
	zone_params(&za, f->lock);					\
	za.ticket = f->ticket;						\
	change;								\
	ctl->attach_errors[i++] =					\
		ioctl(f->dev, NEXUS_IOC_ZONE_ATTACH, &za) ? -errno : 0;	\
} while (0)
	TRY(strcpy(za.name, "other"));
	TRY(strcpy(za.name, "UPPER"));
	TRY(memset(za.name, 'a', sizeof(za.name)));
	TRY(za.name[0] = 0);
	TRY(za.flags = 1 << 9);
	TRY(za.reserved[2] = 1);
	TRY(za.incarnation = 0);
	TRY(za.tail = 8);
	TRY(za.tail = FIRST_LSN + 1);
	TRY(za.tail = ~0ull << 3);
	TRY(za.applied = za.tail + 8);
	TRY(za.checkpoint = za.applied + 8);
	TRY(za.segment = 0);
	TRY(za.pack_blocks = 0);
	TRY(za.pack_blocks = ~0u);
	TRY(za.segment_blocks = 1);
	TRY(za.segment_blocks = ~0u);
	TRY(memset(za.uuid, 0, sizeof(za.uuid)));
	TRY(za.ino_first = 2);
	TRY(za.ino_end = za.ino_first - 1);
	TRY(za.ino_end = ~0ull);
	TRY(za.lock_fd = -1);
	TRY(za.lock_fd = f->dev);
	TRY((za.flags = NEXUS_ZA_REATTACH, za.id = 77));
	TRY(za.ticket--);
	TRY(za.ticket++);
	TRY(za.ticket = 0);
	TRY(za.unwritten = ~0ull);
	TRY(za.limits = 1 << 4);
	TRY(za.ttl = 1000);
	TRY((za.flags = NEXUS_ZA_RDONLY, za.ttl = ~0ull));
#undef TRY
}

static int open_zone(struct fake *f)
{
	struct nexus_zone_attach za;
	int err, i;

	if (ctl->open_fails)
		return ctl->open_fails;
	if (ctl->no_attach)
		return 0;
	if (ctl->try_attach)
		try_wrong_attaches(f);
	zone_params(&za, f->lock);
	za.ticket = f->ticket;
	if (ioctl(f->dev, NEXUS_IOC_ZONE_ATTACH, &za))
		return -errno;
	ctl->incarnation++;
	f->zone = ctl->zone = za.id;
	die_at(STEP_ATTACHED);
	for (i = 0; i < (int)ctl->segments; i++) {
		char name[16];

		snprintf(name, sizeof(name), "seg.%d", i);
		err = hand_over(f, NEXUS_IOC_SEGMENT, name, i, 0);
		if (err)
			return err;
	}
	die_at(STEP_SEGMENTS);
	for (i = 1; i <= (int)ctl->packs; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pack.%d", i);
		err = hand_over(f, NEXUS_IOC_PACK, name, i, NEXUS_HF_SPARE);
		if (err)
			return err;
	}
	die_at(STEP_PACKS);
	return map_log(f);
}

/* A helper that comes after another: finds the zones that live. */
static int take_over(struct fake *f)
{
	struct nexus_zone_next zn = { 0 };

	while (!ioctl(f->dev, NEXUS_IOC_ZONE_NEXT, &zn)) {
		struct nexus_zone_attach za;
		uint32_t id = zn.id;

		zone_params(&za, f->lock);
		za.flags |= NEXUS_ZA_REATTACH;
		za.id = id;
		memcpy(za.uuid, zn.uuid, sizeof(za.uuid));
		memcpy(za.name, zn.name, sizeof(za.name));
		za.incarnation = zn.incarnation;
		if (ioctl(f->dev, NEXUS_IOC_ZONE_ATTACH, &za))
			return -errno;
		f->zone = ctl->zone = id;
		ctl->reattached++;
		if (map_log(f))
			return -EIO;
		memset(&zn, 0, sizeof(zn));
		zn.id = id;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* ---- commands ------------------------------------------------------------------ */

static void submit(struct fake *f, uint32_t op, uint32_t index, uint32_t seen,
		   uint64_t user)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&f->ring);
	struct nexus_uring_cmd c = { .index = index, .seen = seen };

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, f->dev, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &c, sizeof(c));
	sqe->user_data = user;
	io_uring_submit(&f->ring);
}

#define USER_WAIT	100	/* + queue */
#define USER_COMMIT	200
#define USER_LOG	300

static void wait_log(struct fake *f)
{
	submit(f, NEXUS_URING_LOGWAIT, f->zone, f->log->events, USER_LOG);
}

/* ---- answering ------------------------------------------------------------------ */

static void put_cqe(struct queue *q, uint32_t slot, uint32_t seq)
{
	uint32_t tail = q->rep->cq_tail;

	q->rep->cq[tail % NEXUS_SLOTS] = (struct nexus_cqe){ slot, seq };
	__atomic_store_n(&q->rep->cq_tail, tail + 1, __ATOMIC_RELEASE);
}

static void apply_patch(struct nexus_reply *r)
{
	const struct patch *p = &ctl->patch;
	uint8_t *at = (uint8_t *)r + p->off;

	if (p->where == LENGTH) {
		r->len += p->value;
	} else {
		if (p->where == DATA)
			at += sizeof(*r);
		memcpy(at, &p->value, p->size);
	}
	ctl->patched++;
}

/* As many settings as fit, and there are always more. */
static void endless(struct nexus_reply *r)
{
	static const struct nexus_setting_ent e = {
		.reclen = 16, .pathlen = 1, .vallen = 1
	};

	r->status = 0;
	for (r->len = 0; r->len + 16 <= NEXUS_REPLY_DATA_MAX; r->len += 16) {
		memset(r->data + r->len, 'a', 16);
		memcpy(r->data + r->len, &e, sizeof(e));
	}
}

/* As many as can be of each inode, and of so many inodes. */
static void endless_leases(struct nexus_reply *r, uint64_t from)
{
	const uint32_t each = 128 * sizeof(struct lease_holder) + 64;

	r->status = 0;
	for (r->len = 0; r->len + each <= NEXUS_REPLY_DATA_MAX; from++)
		r->len += put_lease(r->data + r->len, from, 128, 128, LEASE_TOKEN);
}

static void answer(struct fake *f, struct queue *q, uint32_t slot)
{
	static uint64_t versions = 1000;
	const struct nexus_request *req = (const void *)q->req->slot[slot];
	struct nexus_reply *r = (void *)q->rep->slot[slot];
	uint32_t seq = req->seq;
	int manner = ctl->manner;

	memset(r, 0, sizeof(*r));
	r->seq = seq;
	/* The newest there is: never older than what is asked for. */
	r->applied = f->log ? __atomic_load_n(&f->log->tail, __ATOMIC_ACQUIRE) : 0;
	if (req->op == NEXUS_OP_OPEN_ZONE) {
		die_at(STEP_OPEN_SEEN);
		f->ticket = req->arg1;
		r->status = open_zone(f);
		if (r->status < 0 && ctl->reason_len) {
			r->len = ctl->reason_len;
			memcpy(r->data, ctl->reason, r->len);
		}
		die_at(STEP_REPLIED);
		put_cqe(q, slot, seq);
		return;
	}
	make_reply(req, r);

	switch (manner) {
	case ENDLESS:
		if (req->op == NEXUS_OP_SETTINGS)
			endless(r);
		if (req->op == NEXUS_OP_LEASES)
			endless_leases(r, req->ino ? req->ino : 1);
		break;
	case HOLD_LISTS:
		if (req->op == NEXUS_OP_GETATTR)
			((struct nexus_entry_reply *)r->data)->attr.version = ++versions;
		break;
	case PATCH:
		if (req->op == ctl->patch.op)
			apply_patch(r);
		break;
	case WRONG_SEQ:
		put_cqe(q, slot, seq + 1000);
		put_cqe(q, slot, seq - 1);
		break;
	case WRONG_SLOT:
		put_cqe(q, (slot + 1) % NEXUS_SLOTS, seq);
		put_cqe(q, NEXUS_SLOTS, seq);
		put_cqe(q, ~0u, seq);
		break;
	case OLD_SEQ:
		put_cqe(q, slot, q->last_seq);
		break;
	case RING_JUMP:
		__atomic_store_n(&q->rep->cq_tail, q->rep->cq_tail + 100000,
				 __ATOMIC_RELEASE);
		submit(f, NEXUS_URING_COMMIT, q - f->q, 0, USER_COMMIT);
		break;
	case RING_BACK:
		__atomic_store_n(&q->rep->cq_tail, q->rep->cq_tail - 3,
				 __ATOMIC_RELEASE);
		submit(f, NEXUS_URING_COMMIT, q - f->q, 0, USER_COMMIT);
		__atomic_store_n(&q->rep->cq_tail, q->rep->cq_tail + 3,
				 __ATOMIC_RELEASE);
		break;
	}
	put_cqe(q, slot, seq);
	if (manner == TWICE)
		put_cqe(q, slot, seq);
	q->last_seq = seq;
	ctl->answered++;
}

/* All that is new in the ring. */
static void serve(struct fake *f, struct queue *q)
{
	uint32_t tail = __atomic_load_n(&q->req->sq_tail, __ATOMIC_ACQUIRE);

	for (; q->head != tail; q->head++) {
		uint32_t slot = q->req->sq[q->head % NEXUS_SLOTS];
		const struct nexus_request *req =
			(const void *)q->req->slot[slot];

		if (req->op == NEXUS_OP_OPEN_ZONE) {
			if (ctl->hold_open)
				continue;
		} else {
			ctl->seen++;
			if (req->op == NEXUS_OP_LOOKUP)
				die_at(STEP_REQUEST);
			if (ctl->manner == SILENT)
				continue;
			if (ctl->manner == HOLD || (ctl->manner == HOLD_LISTS &&
						    req->op == NEXUS_OP_LIST)) {
				q->held[q->nheld++] = slot;
				continue;
			}
		}
		answer(f, q, slot);
	}
	q->rep->sq_head = q->head;
}

static void release_held(struct fake *f)
{
	unsigned int i, j;

	for (i = 0; i < f->at.queues; i++) {
		struct queue *q = &f->q[i];

		if (!q->nheld)
			continue;
		for (j = 0; j < q->nheld; j++)
			answer(f, q, q->held[j]);
		q->nheld = 0;
		submit(f, NEXUS_URING_COMMIT, i, 0, USER_COMMIT);
	}
}

/*
 * Keeps CPU 0 busy for a second; on CPU 1 the caller goes on.  An idle-class
 * process that is woken on CPU 0 meanwhile runs late, the kernel's own do not.
 */
static void hog(struct fake *f)
{
	double until;

	if (!fork()) {
		close(f->dev);
		close(f->ring.ring_fd);
		until = now() + 1;
		if (cpu_only(0))
			_exit(1);
		ctl->hogging = 1;
		while (now() < until)
			;
		_exit(0);
	}
	cpu_only(1);
	until = now() + 5;
	while (!ctl->hogging && now() < until)
		usleep(1000);
}

static void completion(struct fake *f, struct io_uring_cqe *cqe)
{
	uint32_t i = cqe->user_data % 100;

	if (cqe->user_data >= USER_LOG) {
		if (cqe->res < 0)
			return;
		if (f->log->flags & NEXUS_LF_DETACHED && !ctl->no_detach &&
		    !ioctl(f->dev, NEXUS_IOC_ZONE_DETACH, &f->zone)) {
			munmap((void *)f->log, 4096);
			f->log = NULL;
			ctl->detached++;
			return;
		}
		/* What flags say stays true; do not spin on it. */
		usleep(1000);
		wait_log(f);
		return;
	}
	if (cqe->user_data >= USER_COMMIT)
		return;
	if (cqe->res == -EBUSY) {
		ctl->waits_refused++;
		return;
	}
	if (cqe->res < 0)
		exit(cqe->res == -ESHUTDOWN ? 0 : 9);
	ctl->doorbells++;
	serve(f, &f->q[i]);
	if (f->zone && ctl->die_at == STEP_COMMITTED)
		hog(f);
	submit(f, NEXUS_URING_WAIT, i, f->q[i].head, USER_WAIT + i);
	if (f->zone)
		die_at(STEP_COMMITTED);
}

static int helper(void)
{
	struct fake f = { 0 };
	double end = now() + 5;
	unsigned int i;
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ctl->on_0 && cpu_only(0))
		return -EINVAL;
	f.dev = dev_open();
	if (f.dev < 0)
		return f.dev;
	/* The file of a killed helper goes a little after its process. */
	do {
		err = dev_attach(f.dev, SESSION, ctl->queues, NEXUS_ABI_VERSION,
				 &f.at);
	} while (err == -EBUSY && now() < end && !usleep(10000));
	if (err)
		return err;
	if (io_uring_queue_init(256, &f.ring, 0))
		return -EIO;
	for (i = 0; i < f.at.queues; i++) {
		f.q[i].req = mmap(NULL, sizeof(*f.q[i].req), PROT_READ,
				  MAP_SHARED, f.dev, NEXUS_MMAP_REQ(i));
		f.q[i].rep = mmap(NULL, sizeof(*f.q[i].rep),
				  PROT_READ | PROT_WRITE, MAP_SHARED, f.dev,
				  NEXUS_MMAP_REP(i));
		if (f.q[i].req == MAP_FAILED || f.q[i].rep == MAP_FAILED)
			return -errno;
		if (ctl->manner == POLLING)
			f.q[i].rep->polling = 1;
	}
	f.lock = host_file("LOCK", 0, O_RDWR);
	err = take_over(&f);
	if (err)
		return err;
	for (i = 0; i < f.at.queues; i++)
		submit(&f, NEXUS_URING_WAIT, i, 0, USER_WAIT + i);
	ctl->ready = 1;

	while (!ctl->stop) {
		struct __kernel_timespec ts = { .tv_nsec = 20000000 };
		struct io_uring_cqe *cqe;

		if (!io_uring_wait_cqe_timeout(&f.ring, &cqe, &ts)) {
			struct io_uring_cqe copy = *cqe;

			io_uring_cqe_seen(&f.ring, cqe);
			completion(&f, &copy);
			ctl->elsewhere = f.q[0].req->elsewhere;
		}
		if (ctl->manner != HOLD && ctl->manner != HOLD_LISTS &&
		    ctl->manner != SILENT)
			release_held(&f);
		if (ctl->do_call) {
			ctl->call_result = ctl->call(f.dev, f.zone, &f);
			ctl->do_call = 0;
		}
	}
	return 0;
}

/* ---- for the parent ------------------------------------------------------------- */

pid_t fake_start(void)
{
	double end = now() + 10;
	pid_t pid;

	ctl->ready = 0;
	ctl->stop = 0;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int err = helper();

		if (!ctl->ready)
			ctl->ready = err;
		_exit(err ? 8 : 0);
	}
	while (!ctl->ready && now() < end)
		usleep(2000);
	if (ctl->ready != 1)
		note("the helper did not start: %d", ctl->ready);
	return pid;
}

int fake_stop(pid_t pid)
{
	ctl->stop = 1;
	return op_wait(pid, 5);
}

void fake_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int fake_call(int (*fn)(int dev, uint32_t zone, void *arg))
{
	double end = now() + 10;

	ctl->call = fn;
	ctl->do_call = 1;
	while (ctl->do_call && now() < end)
		usleep(2000);
	return ctl->do_call ? HANGS : ctl->call_result;
}

static const char *mount_options;

static int op_mount(const char *path)
{
	return mount(SESSION ":" ZONE, path, "nexusfs", 0, mount_options) ?
	       -errno : 0;
}

int fake_mount(const char *options)
{
	mount_options = options;
	return op_run(op_mount, ctl->mnt);
}

int fake_umount(void)
{
	return op_run(op_umount, ctl->mnt);
}

void fake_init(void)
{
	const char *base = getenv("NEXUS_CHAN_DIR") ?: "/var/lib/nexusfs";

	ctl = mmap(NULL, sizeof(*ctl), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ctl == MAP_FAILED)
		exit(1);
	ctl->queues = 2;
	ctl->segments = 3;
	ctl->packs = 2;
	ctl->inos = 1 << 20;
	if (access(DEV, F_OK)) {
		printf("1..0 # SKIP no " DEV ": the module is not loaded\n");
		exit(0);
	}
	snprintf(ctl->dir, sizeof(ctl->dir), "%s/hostile.%d", base, getpid());
	snprintf(ctl->mnt, sizeof(ctl->mnt), "/tmp/hostile.%d", getpid());
	if (mkdir(ctl->dir, 0700) || mkdir(ctl->mnt, 0700)) {
		printf("Bail out! %s: %s\n", ctl->dir, strerror(errno));
		exit(1);
	}
}

void fake_exit(void)
{
	char command[256];

	umount2(ctl->mnt, MNT_DETACH);
	rmdir(ctl->mnt);
	snprintf(command, sizeof(command), "rm -rf '%s'", ctl->dir);
	if (system(command))
		note("%s stays", ctl->dir);
}
