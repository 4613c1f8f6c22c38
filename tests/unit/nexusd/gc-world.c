// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "fetch.h"
#include "gc-world.h"
#include "upload.h"

const char *const leaks[LEAKS] = {
	"@checkpoint=0000000000000001-0000000000000001=000000",
	"@checkpoint=0000000000000001-0000000000000001=000123",
	"@checkpoint=0000000000000000-0000000000000007=000000",
	"@log=0000000000000001-0000000000000001=000000",
	"@log=0000000000000000-ffffffffffffff00=000000",
	"@probe-0123456789abcdef0123456789abcdef",
	"@probe",
};

/* ---- the store's directory --------------------------------------------------------- */

void path_of(const struct world *m, const char *file, char path[PATH_MAX])
{
	size_t i, at = (size_t)snprintf(path, PATH_MAX, "%s/elsewhere/", test_dir);

	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		at += (size_t)snprintf(path + at, PATH_MAX - at, "%02x", m->z->sb.uuid[i]);
	snprintf(path + at, PATH_MAX - at, "/%s", file);
}

void age(const struct world *m, const char *file, time_t ago)
{
	const struct timespec t[2] = { { time(NULL) - ago, 0 }, { time(NULL) - ago, 0 } };
	char path[PATH_MAX];

	path_of(m, file, path);
	assert_int_equal(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

void put(const struct world *m, const char *file, size_t bytes, time_t ago)
{
	char path[PATH_MAX];
	int fd;

	path_of(m, file, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
	age(m, file, ago);
}

bool has(const struct world *m, const char *file)
{
	char path[PATH_MAX];

	path_of(m, file, path);
	return !access(path, F_OK);
}

void put_pack(const struct world *m, u64 pack, size_t bytes, time_t ago)
{
	char file[32];

	snprintf(file, sizeof(file), "%016llx", pack);
	put(m, file, bytes, ago);
}

bool has_pack(const struct world *m, u64 pack)
{
	char file[32];

	snprintf(file, sizeof(file), "%016llx", pack);
	return has(m, file);
}

void drop_pack(const struct world *m, u64 pack)
{
	char file[32], path[PATH_MAX];

	snprintf(file, sizeof(file), "%016llx", pack);
	path_of(m, file, path);
	assert_int_equal(unlink(path), 0);
}

/* Everything that is there by now is old. */
u32 age_all(const struct world *m)
{
	char path[PATH_MAX];
	struct dirent *de;
	u32 n = 0;
	DIR *dir;

	path_of(m, "", path);
	dir = opendir(path);
	assert_non_null(dir);
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.') {
			age(m, de->d_name, OLD);
			n++;
		}
	closedir(dir);
	return n;
}

/* ---- a zone that is in use ----------------------------------------------------------- */

u64 sealed[8];	/* packs of the zone that are with the store */
u32 nsealed;

static int note_sealed(void *arg, const struct content_object *o)
{
	(void)arg;
	if (o->is_pack)
		sealed[nsealed++] = o->pack;
	assert_true(nsealed < 8);
	return 0;
}

void flush(struct world *m)
{
	struct upload_status st;

	assert_int_equal(zone_upload_flush(m->z, 60000, &st), 0);
	assert_int_equal(st.packs, 0);
}

void begin(struct world *m)
{
	struct content *c;
	char *token = NULL;
	__s64 now;

	/* One of which two packs are left, however often it is made. */
	rnd_begin();
	make(m);
	/* So that nothing stands on the first checkpoint. */
	m->share = 0;
	m->cfg.upload_delay = 1;
	m->cfg.upload_parallel = 1;
	m->cfg.gc_grace = 86400;
	own(m);
	work(m);
	assert_int_equal(zone_fetch_start(m->z), 0);
	zone_upload_start(m->z);
	flush(m);
	nsealed = 0;
	c = m->z->fetch->content;
	assert_int_equal(c->ops->list_page(c, &token, &now, note_sealed, NULL), 0);
	assert_null(token);
	assert_int_equal(nsealed, 2);
}

void finish(struct world *m)
{
	end_zone(m);
	forget(m);
}

/* An id that was handed out, of which nothing is known any more. */
u64 lost_pack(struct world *m)
{
	u64 pack;

	assert_int_equal(zone_take_packs(m->z, 1, &pack), 0);
	return pack;
}

struct gc *new_gc(struct world *m, bool run)
{
	struct errline err = { "" };
	struct gc *g;

	assert_int_equal(gc_new(m->z, run, &g, &err), 0);
	return g;
}

int finish_gc(struct gc *g)
{
	int ret;

	while ((ret = gc_step(g)) == 1)
		;
	assert_true(g->r.over);
	assert_int_equal(g->r.error, ret);
	assert_int_equal(!ret, !g->r.why[0]);
	return ret;
}

/* All of it; what it found. */
struct gc_report gc(struct world *m, bool run, int error)
{
	struct gc *g = new_gc(m, run);
	struct gc_report r;

	assert_int_equal(finish_gc(g), error);
	r = g->r;
	gc_free(g);
	return r;
}

bool named(const struct gc *g, enum gc_what what, const char *name)
{
	size_t i;

	for (i = 0; i < g->nname[what]; i++)
		if (!strcmp(g->name[what][i].text, name))
			return true;
	return false;
}

/* The index forgets it, and its file goes, as if nothing had ever known of it. */
void forget_pack(struct world *m, u64 pack)
{
	const struct nexus_ms_driver *drv = m->z->ms->drv;
	struct nexus_ms_batch *b;
	struct nexus_key key;

	nexus_key_pack(&key, pack);
	assert_int_equal(drv->begin_write(m->z->ms, &b), 0);
	assert_int_equal(drv->del(b, key.b, key.len), 0);
	assert_int_equal(drv->commit(b), 0);
	assert_int_equal(m->z->os->drv->remove(m->z->os, pack), 0);
}
