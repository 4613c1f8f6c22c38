// SPDX-License-Identifier: Apache-2.0
#include "owner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/hostfile.h"

#define TRIES	3	/* others may write in between */

/* What the file holds: a copy of it has another inode, and is no token. */
struct token_file {
	u8 token[NEXUS_UUID_SIZE];
	__le64 ino;
	__le64 taken;		/* 1: when it was last asked, the store had it as the owner's */
	/* Of the manifest that this copy has all of: a copy of the file says so, too. */
	__le64 seen_epoch, seen_number;
};

/* What it was before a manifest was noted. */
#define TOKEN_BYTES_MIN	offsetof(struct token_file, seen_epoch)

static int make_token(int at, struct owner *o)
{
	struct token_file f = {
		.seen_epoch = cpu_to_le64(o->seen_epoch),
		.seen_number = cpu_to_le64(o->seen_number),
	};
	struct stat st;
	int fd, ret = 0;

	if (getrandom(f.token, sizeof(f.token), 0) != (ssize_t)sizeof(f.token))
		return -EIO;
	fd = openat(at, OWNER_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st)) {
		ret = -errno;
		goto out;
	}
	f.ino = cpu_to_le64(st.st_ino);
	if (write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f) || fsync(fd))
		ret = -EIO;
	else if (renameat(at, OWNER_FILE ".new", at, OWNER_FILE))
		ret = -errno;
	else
		ret = hostfile_sync_dir(at, ".");
	memcpy(o->token, f.token, sizeof(f.token));
out:
	if (fd >= 0)
		close(fd);
	return ret;
}

int owner_token(const char *dir, struct owner *o, bool *known)
{
	struct token_file f = { .taken = 0 };
	bool have = false;
	struct stat st;
	int at, fd, ret = 0;

	*known = false;
	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	fd = openat(at, OWNER_FILE, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		have = !fstat(fd, &st) && read(fd, &f, sizeof(f)) >= (ssize_t)TOKEN_BYTES_MIN &&
		       le64_to_cpu(f.ino) == st.st_ino;
		close(fd);
	}
	o->seen_epoch = le64_to_cpu(f.seen_epoch);
	o->seen_number = le64_to_cpu(f.seen_number);
	if (have) {
		memcpy(o->token, f.token, sizeof(f.token));
		*known = f.taken == cpu_to_le64(1);
	} else {
		ret = make_token(at, o);
	}
	close(at);
	return ret;
}

static int write_part(const char *dir, const void *part, size_t len, size_t at)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/" OWNER_FILE, dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, part, len, (off_t)at) != (ssize_t)len || fsync(fd))
		ret = -EIO;
	close(fd);
	return ret;
}

int owner_keep(const char *dir, bool taken)
{
	const __le64 val = cpu_to_le64(taken);

	return write_part(dir, &val, sizeof(val), offsetof(struct token_file, taken));
}

int owner_saw(const char *dir, struct owner *o, u64 epoch, u64 number)
{
	const __le64 val[2] = { cpu_to_le64(epoch), cpu_to_le64(number) };
	int ret;

	if (epoch == o->seen_epoch && number == o->seen_number)
		return 0;
	ret = write_part(dir, val, sizeof(val), offsetof(struct token_file, seen_epoch));
	if (!ret) {
		o->seen_epoch = epoch;
		o->seen_number = number;
	}
	return ret;
}

/* ---- conditions --------------------------------------------------------------- */

static int put_probe(struct owner *o, const char *name, char byte, enum content_cond cond, char *etag)
{
	u8 body[NEXUS_UUID_SIZE + 1];

	memcpy(body, o->token, NEXUS_UUID_SIZE);
	body[NEXUS_UUID_SIZE] = (u8)byte;
	return o->c->ops->put_named(o->c, name, body, sizeof(body), cond, etag);
}

int owner_probe(struct owner *o)
{
	char first[CONTENT_ETAG_SIZE] = "", etag[CONTENT_ETAG_SIZE] = "";
	char name[2 * NEXUS_UUID_SIZE + 8] = "probe-";
	bool kept = true;
	size_t i;
	int ret;

	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		snprintf(name + 6 + 2 * i, 3, "%02x", o->token[i]);
	ret = put_probe(o, name, 1, CONTENT_ANY, first);
	if (ret)
		return ret;
	ret = put_probe(o, name, 2, CONTENT_ABSENT, etag);
	kept = ret == -EEXIST;
	if (kept) {
		ret = put_probe(o, name, 3, CONTENT_ANY, etag);
		if (!ret) {
			ret = put_probe(o, name, 4, CONTENT_MATCH, first);
			kept = ret == -EEXIST;
		}
	}
	o->c->ops->del_named(o->c, name);
	if (kept && ret == -EEXIST)
		return 0;
	return !ret || ret == -EINVAL ? -EOPNOTSUPP : ret;
}

/* ---- the object ---------------------------------------------------------------- */

/* As far as it can be shown; "-" for nothing. */
static void keep_name(char text[NEXUS_ORIGIN_TEXT])
{
	size_t i;

	for (i = 0; i < NEXUS_ORIGIN_TEXT - 1 && text[i] > ' ' && text[i] <= '~'; i++)
		;
	text[i] = '\0';
	if (!i)
		strcpy(text, "-");
}

static void machine_id(char out[NEXUS_ORIGIN_TEXT])
{
	FILE *f = fopen("/etc/machine-id", "re");

	if (!f || !fgets(out, 33, f))
		strcpy(out, "-");
	if (f)
		fclose(f);
	keep_name(out);
}

static int write_owner(struct owner *o, u64 epoch, u32 state, enum content_cond cond, u64 now_s)
{
	struct origin_owner w = {
		.epoch = epoch, .turn = o->turn + 1, .time_s = now_s, .state = state,
	};
	struct nexus_origin_owner raw;
	int ret;

	memcpy(w.zone, o->zone, sizeof(w.zone));
	memcpy(w.token, o->token, sizeof(w.token));
	if (gethostname(w.host, sizeof(w.host) - 1))
		w.host[0] = '\0';
	keep_name(w.host);
	machine_id(w.machine);
	origin_owner_encode(&w, &raw);
	ret = o->c->ops->put_named(o->c, ORIGIN_OWNER, &raw, sizeof(raw),
				   o->unfenced ? CONTENT_ANY : cond, o->etag);
	if (ret)
		return ret;
	o->epoch = epoch;
	o->turn = w.turn;
	return 0;
}

static int read_owner(struct owner *o, struct origin_owner *w)
{
	u8 buf[sizeof(struct nexus_origin_owner) + 1];
	ssize_t n = o->c->ops->get_named(o->c, ORIGIN_OWNER, 0, buf, sizeof(buf), o->etag);

	return n < 0 ? (int)n : origin_owner_parse(buf, (size_t)n, w);
}

static bool is_ours(const struct owner *o, const struct origin_owner *w)
{
	char machine[NEXUS_ORIGIN_TEXT];

	machine_id(machine);
	return !memcmp(o->token, w->token, sizeof(w->token)) && !strcmp(machine, w->machine);
}

static int say_other(const struct origin_owner *w, int error, struct errline *err)
{
	return err_set(err, error, "%s (machine %s) owns the zone's content store, epoch %llu",
		       w->host, w->machine, w->epoch);
}

/* Whether all that was put until it was released is in this copy. */
static bool is_current(const struct owner *o, const struct origin_owner *w, u64 epoch, u64 number)
{
	if (!number)
		return true;
	if (!o->seen_number)
		return is_ours(o, w);
	return epoch <= o->seen_epoch && number <= o->seen_number;
}

static int take_once(struct owner *o, u64 floor, u64 number, bool take_over, u64 now_s,
		     struct errline *err)
{
	struct origin_owner w;
	int ret = read_owner(o, &w);

	if (ret == -ENOENT)
		return write_owner(o, floor + 1, NEXUS_OWNER_HELD, CONTENT_ABSENT, now_s);
	if (ret == -EPROTONOSUPPORT)
		return err_set(err, ret, "object " ORIGIN_OWNER " is of a newer nexusfs");
	if (ret == -EUCLEAN && !take_over)
		return err_set(err, ret, "object " ORIGIN_OWNER " is damaged: nobody knows who owns the zone; --take-over makes a new one");
	/* What it said is not known: far above whatever it was. */
	if (ret == -EUCLEAN)
		return write_owner(o, floor + (1u << 20), NEXUS_OWNER_HELD, CONTENT_MATCH, now_s);
	/* Which is said by the caller. */
	if (ret)
		return ret;
	if (memcmp(w.zone, o->zone, sizeof(w.zone)))
		return err_set(err, -EXDEV, "the content store is another zone's, of %s", w.host);
	o->turn = w.turn;
	if (w.state == NEXUS_OWNER_HELD && is_ours(o, &w))
		return write_owner(o, w.epoch, NEXUS_OWNER_HELD, CONTENT_MATCH, now_s);
	if (w.state == NEXUS_OWNER_HELD && !take_over)
		return say_other(&w, -EBUSY, err);
	if (!take_over && !is_current(o, &w, floor, number))
		return err_set(err, -ESTALE, "this copy of the zone is older than what %s (machine %s) left in the content store: zone restore makes one that is not",
			       w.host, w.machine);
	return write_owner(o, NEXUS_MAX(w.epoch, floor) + 1, NEXUS_OWNER_HELD, CONTENT_MATCH,
			   now_s);
}

int owner_take(struct owner *o, u64 floor, u64 number, bool take_over, u64 now_s,
	       struct errline *err)
{
	int i, ret = -EEXIST;
	char why[320];

	for (i = 0; ret == -EEXIST && i < TRIES; i++)
		ret = take_once(o, floor, number, take_over, now_s, err);
	if (ret && (!err || !err->msg[0]))
		err_set(err, ret, "object " ORIGIN_OWNER ": %s", ret == -EEXIST ?
			"others write it all the time" : content_why(o->c, ret, why, sizeof(why)));
	return ret;
}

static int write_again(struct owner *o, u32 state, u64 now_s, struct errline *err)
{
	struct origin_owner w;
	int i, ret = -EEXIST;

	/* Without conditions another's is seen before it is written over, not prevented. */
	for (i = 0; ret == -EEXIST && i < TRIES; i++) {
		if (i || o->unfenced) {
			ret = read_owner(o, &w);
			if (!ret && (!is_ours(o, &w) || w.epoch != o->epoch))
				return say_other(&w, -ESTALE, err);
			if (ret == -ENOENT || ret == -EUCLEAN)
				return err_set(err, -ESTALE, "object " ORIGIN_OWNER " is gone, or damaged");
			if (ret)
				return err_set(err, ret, "object " ORIGIN_OWNER ": %s", strerror(-ret));
			o->turn = NEXUS_MAX(o->turn, w.turn);
		}
		ret = write_owner(o, o->epoch, state, CONTENT_MATCH, now_s);
	}
	return ret ? err_set(err, ret, "object " ORIGIN_OWNER ": %s", strerror(-ret)) : 0;
}

int owner_renew(struct owner *o, u64 now_s, struct errline *err)
{
	return write_again(o, NEXUS_OWNER_HELD, now_s, err);
}

int owner_release(struct owner *o, u64 now_s, struct errline *err)
{
	return write_again(o, NEXUS_OWNER_RELEASED, now_s, err);
}
