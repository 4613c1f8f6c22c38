// SPDX-License-Identifier: Apache-2.0
/*
 * What programs do to keep their files over a crash, each in a loop until killed;
 * and whether what a power cut left is what they may rely on.
 *
 *	idioms record save|inodes|empty|calls|nodatacow|full DIR SEED [DEVICE]
 *	idioms verify save|inodes|empty|calls|nodatacow|full DIR SEED REPORTS
 *
 * save: a temporary file is written and renamed over a file.  The name shows the old
 *	or the new content, whole; all names together what they showed at one moment.
 * inodes: files come and go.  A number that one had is never that of a new one.
 * empty: a file is truncated to nothing and written.  Nothing, the old content or
 *	blocks of the new one; the new one if it was fsynced and not touched since.
 * calls: whole files are written in place, and made durable by every call there is for
 *	it.  Each block is of the version that was acknowledged, or of a later one.
 * nodatacow: the same in files that are overwritten in place, where it is each sector;
 *	and one that grows by less than a block.  What its size says is there was written.
 * full: files are written and fsynced until there is no space, and all removed.  They
 *	can be removed, what was fsynced stays, what was removed and fsynced stays away.
 *
 * On a full disk the others go on with what there is room for.
 *
 * Scenarios A33, B25, B26, E11, M9.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "content.h"
#include "report.h"

enum { FILES = 8, BLOCKS = 6, VERSIONS = 1000000, SECTOR = 512 };

static uint64_t seed;

/* The seed says which file a version belongs to, and how large it is. */
static unsigned int drawn(uint32_t version, uint32_t what, unsigned int below)
{
	uint64_t state = seed ^ (uint64_t)version << 24 ^ what;

	return next_random(&state) % below;
}

static unsigned int file_of(uint32_t version)
{
	return drawn(version, 1, FILES);
}

static size_t size_of(uint32_t version)
{
	/* The last block is long enough to name its version, too. */
	return drawn(version, 2, BLOCKS) * BLOCK + 64 + drawn(version, 3, BLOCK - 64);
}

/* False when there is no space. */
static bool put(int fd, uint32_t id, uint32_t version, size_t size)
{
	char block[BLOCK];
	size_t at, len;
	ssize_t n;

	for (at = 0; at < size; at += len) {
		len = size - at < BLOCK ? size - at : BLOCK;
		fill_block(block, seed, id, at / BLOCK, version);
		n = write(fd, block, len);
		if (n < 0 && errno == ENOSPC)
			return false;
		/* The rest of it finds none. */
		if (n >= 0 && (size_t)n < len)
			return false;
		if (n < 0)
			die("write of version %u", version);
	}
	return true;
}

/* -1 when there is no space. */
static int make(const char *name, int flags)
{
	int fd = open(name, O_WRONLY | O_CREAT | flags, 0644);

	if (fd < 0 && errno != ENOSPC)
		die("%s", name);
	return fd;
}

static void sync_name(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0 || fsync(fd) || close(fd))
		die("fsync of %s", name);
}

static void record_save(void)
{
	/* Renamed to a name that is not there, content is promised nothing. */
	bool there[FILES] = { false };
	char name[16];
	uint32_t v;
	bool whole;
	int fd;

	for (v = 1; v < VERSIONS; v++) {
		snprintf(name, sizeof(name), "s%u", file_of(v));
		fd = make("temporary", O_TRUNC);
		if (fd < 0)
			continue;
		whole = put(fd, file_of(v), v, size_of(v));
		if (whole && (drawn(v, 4, 2) || !there[file_of(v)]) && fsync(fd))
			die("fsync of version %u", v);
		if (close(fd))
			die("close");
		if (!whole)
			continue;
		there[file_of(v)] = true;
		/* The name of the version that is to be seen, for the order. */
		report("save begin %u", v);
		if (rename("temporary", name))
			die("rename to %s", name);
		if (drawn(v, 5, 3))
			continue;
		sync_name(drawn(v, 6, 2) ? name : ".");
		report("save %u", v);
	}
}

static void record_inodes(void)
{
	struct stat st;
	char name[16];
	uint32_t v;
	int fd;

	for (v = 1; v < VERSIONS; v++) {
		snprintf(name, sizeof(name), "i%u", v);
		fd = make(name, O_EXCL);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) || close(fd) || (drawn(v, 4, 2) && unlink(name)))
			die("%s", name);
		report("inodes %u %llu", v, (unsigned long long)st.st_ino);
		usleep(20000);
	}
}

static void record_empty(void)
{
	char name[16];
	bool whole;
	uint32_t v;
	int fd;

	for (v = 1; v < VERSIONS; v++) {
		snprintf(name, sizeof(name), "e%u", file_of(v));
		report("empty begin %u", v);
		fd = make(name, O_TRUNC);
		if (fd < 0)
			continue;
		whole = put(fd, file_of(v), v, size_of(v));
		if (whole && drawn(v, 5, 3) == 0) {
			if (drawn(v, 6, 2) ? fsync(fd) : fdatasync(fd))
				die("fsync of version %u", v);
			report("empty %u", v);
		}
		if (close(fd))
			die("close");
	}
}

enum call { FSYNC, FDATASYNC, SYNC, SYNCFS, MSYNC, WRITE_SYNC, WRITE_DSYNC, RWF, DIRECT, CALLS };

static void make_durable(int fd, enum call call)
{
	if (call == SYNC)
		sync();
	else if ((call == FSYNC && fsync(fd)) || (call == FDATASYNC && fdatasync(fd)) ||
		 (call == SYNCFS && syncfs(fd)))
		die("call %d", call);
}

/* The file is there with its size. */
static void overwrite(const char *name, uint32_t id, uint32_t version, enum call call)
{
	static const int flags[CALLS] = {
		[WRITE_SYNC] = O_SYNC, [WRITE_DSYNC] = O_DSYNC, [DIRECT] = O_DIRECT | O_DSYNC,
	};
	static char text[BLOCKS * BLOCK] __attribute__((aligned(BLOCK)));
	struct iovec vec = { text, sizeof(text) };
	int fd = open(name, O_RDWR | flags[call]), i;
	ssize_t n = sizeof(text);
	char *map;

	for (i = 0; i < BLOCKS; i++)
		fill_block(text + i * BLOCK, seed, id, i, version);
	if (fd < 0)
		die("%s", name);
	if (call == MSYNC) {
		map = mmap(NULL, sizeof(text), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			die("mmap of %s", name);
		memcpy(map, text, sizeof(text));
		if (msync(map, sizeof(text), MS_SYNC) || munmap(map, sizeof(text)))
			die("msync of %s", name);
	} else if (call == RWF) {
		n = pwritev2(fd, &vec, 1, 0, RWF_DSYNC);
	} else {
		n = write(fd, text, sizeof(text));
	}
	if (n != sizeof(text))
		die("write by call %d", call);
	make_durable(fd, call);
	if (close(fd))
		die("close");
}

static void record_calls(void)
{
	char name[16];
	uint32_t v;
	int fd;

	for (v = 0; v < FILES; v++) {
		snprintf(name, sizeof(name), "c%u", v);
		fd = make(name, 0);
		if (fd < 0 || ftruncate(fd, BLOCKS * BLOCK) || fsync(fd) || close(fd))
			die("%s", name);
	}
	for (v = 1; v < VERSIONS; v++) {
		snprintf(name, sizeof(name), "c%u", file_of(v));
		report("calls begin %u", v);
		overwrite(name, file_of(v), v, drawn(v, 7, CALLS));
		report("calls %u", v);
	}
}

static unsigned char grown_byte(size_t at)
{
	uint64_t state = seed + at / 8;

	/* Never zero, which nothing is, too. */
	return next_random(&state) >> at % 8 * 8 | 1;
}

/* The next @len bytes, which may end in a block that has some. */
static void grow(int fd, size_t *size, size_t len)
{
	unsigned char text[512];
	size_t i;

	for (i = 0; i < len; i++)
		text[i] = grown_byte(*size + i);
	if (write(fd, text, len) != (ssize_t)len)
		die("write at %zu", *size);
	*size += len;
}

static void record_nodatacow(void)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY), flags = FS_NOCOW_FL, fd, grown;
	size_t size = 0;
	char name[16];
	uint32_t v;

	if (dir < 0 || ioctl(dir, FS_IOC_SETFLAGS, &flags) || fsync(dir) || close(dir))
		die("directory");
	grown = make("grown", O_APPEND);
	for (v = 0; v < FILES; v++) {
		snprintf(name, sizeof(name), "n%u", v);
		fd = make(name, 0);
		if (fd < 0 || ftruncate(fd, BLOCKS * BLOCK) || fsync(fd) || close(fd))
			die("%s", name);
	}
	for (v = 1; v < VERSIONS; v++) {
		snprintf(name, sizeof(name), "n%u", file_of(v));
		report("nodatacow begin %u", v);
		overwrite(name, file_of(v), v, drawn(v, 7, CALLS));
		report("nodatacow %u", v);
		grow(grown, &size, 1 + drawn(v, 8, 500));
		/* Else it is written back, and others' records are fsynced. */
		if (drawn(v, 9, 2) && sync_file_range(grown, 0, 0, SYNC_FILE_RANGE_WRITE))
			die("grown");
		if (drawn(v, 10, 3))
			continue;
		if (fdatasync(grown))
			die("grown");
		report("nodatacow grown %zu", size);
	}
}

static void record_full(void)
{
	uint32_t v, first = 1, n;
	char name[16];
	bool whole;
	int fd;

	for (v = 1; v < VERSIONS; v++) {
		snprintf(name, sizeof(name), "f%u", v);
		fd = make(name, O_EXCL);
		whole = fd >= 0 && put(fd, v, v, size_of(v) * 64);
		if (whole) {
			if (fsync(fd))
				die("fsync of %s", name);
			report("full %u", v);
		}
		if (fd >= 0 && close(fd))
			die("close");
		if (whole)
			continue;
		report("full remove %u %u", first, v);
		for (n = first; n <= v; n++) {
			snprintf(name, sizeof(name), "f%u", n);
			if (unlink(name) && (n < v || fd >= 0))
				die("removal of %s on a full disk", name);
		}
		sync_name(".");
		report("full removed %u", v);
		first = v + 1;
	}
}

/* ---- verify ---------------------------------------------------------- */

static int wrong;

#define bad(...)							\
	do {								\
		printf("not ok - " __VA_ARGS__);			\
		putchar('\n');						\
		wrong++;						\
	} while (0)

/*
 * The version of a file's content, 0 for none, -1 for what never was written.
 * @holes: blocks may be missing, and the end.
 */
static int64_t content(const char *name, uint32_t want_id, size_t scale, bool holes)
{
	char block[BLOCK], want[BLOCK], zero[BLOCK] = { 0 };
	uint32_t id, version, found = 0;
	size_t size, at, len;
	struct stat st;
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st))
		die("%s", name);
	for (at = 0; at < (size_t)st.st_size; at += len) {
		len = st.st_size - at < BLOCK ? st.st_size - at : BLOCK;
		memset(block, 0, sizeof(block));
		if (pread(fd, block, len, at) != (ssize_t)len)
			goto garbage;
		if (holes && !memcmp(block, zero, len))
			continue;
		if (!block_claims(block, &id, &version) || id != want_id)
			goto garbage;
		fill_block(want, seed, want_id, at / BLOCK, version);
		if (memcmp(block, want, len) || (found && version != found))
			goto garbage;
		found = version;
	}
	close(fd);
	if (!found)
		return 0;
	size = size_of(found) * scale;
	if ((size_t)st.st_size == size || (holes && (size_t)st.st_size < size))
		return found;
	printf("# %s: version %u has %zu bytes, not %lld\n", name, found, size,
	       (long long)st.st_size);
	return -1;
garbage:
	printf("# %s: garbage at %zu of %lld\n", name, at, (long long)st.st_size);
	close(fd);
	return -1;
}

/* Numbers behind @words in the reports, one after the other; 0 at the end. */
static uint32_t next_report(FILE *reports, const char *words, uint64_t *second)
{
	size_t len = strlen(words);
	char line[256], *end;
	uint32_t first;

	while (fgets(line, sizeof(line), reports)) {
		if (strncmp(line, words, len) || line[len] < '0' || line[len] > '9')
			continue;
		first = strtoul(line + len, &end, 10);
		if (second)
			*second = strtoull(end, NULL, 10);
		return first;
	}
	rewind(reports);
	return 0;
}

static void verify_save(FILE *reports)
{
	static bool begun[VERSIONS];
	uint32_t v, acked = 0, latest = 0, last = 0;
	int64_t is[FILES];
	char name[16];
	int i;

	while ((v = next_report(reports, "save ", NULL)))
		acked = v;
	while ((v = next_report(reports, "save begin ", NULL)))
		begun[last = v] = true;
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		is[i] = content(name, i, 1, false);
		if (is[i] < 0)
			bad("save: %s is neither old nor new", name);
		else if (is[i] > latest)
			latest = is[i];
	}
	if (latest > last)
		bad("save: the latest is %u, which nobody had begun", latest);
	if (latest < acked && !wrong)
		bad("save: version %u was acknowledged, %u is the latest", acked, latest);
	for (i = 0; i < FILES && !wrong; i++) {
		for (v = latest; v && (file_of(v) != (uint32_t)i || !begun[v]);)
			v--;
		if (is[i] != v)
			bad("save: s%d is at version %lld, not %u, when another is at %u",
			    i, (long long)is[i], v, latest);
	}
	printf("# save: acknowledged %u, the disk shows %u\n", acked, latest);
}

static void verify_inodes(FILE *reports)
{
	uint64_t ino, newest = 0;
	struct stat st;
	int fd;

	while (next_report(reports, "inodes ", &ino))
		newest = ino > newest ? ino : newest;
	fd = make("new", O_EXCL);
	if (fd >= 0 && (fstat(fd, &st) || close(fd)))
		die("a new file");
	if (fd >= 0 && st.st_ino <= newest)
		bad("inodes: %llu is used again, there was %llu before",
		    (unsigned long long)st.st_ino, (unsigned long long)newest);
	printf("# inodes: up to %llu\n", (unsigned long long)newest);
}

static void verify_empty(FILE *reports)
{
	uint32_t v, acked[FILES] = { 0 }, begun[FILES] = { 0 };
	char name[16];
	int64_t is;
	int i;

	while ((v = next_report(reports, "empty ", NULL)))
		acked[file_of(v)] = v;
	while ((v = next_report(reports, "empty begin ", NULL)))
		begun[file_of(v)] = v;
	for (i = 0; i < FILES; i++) {
		bool untouched = begun[i] == acked[i];

		snprintf(name, sizeof(name), "e%d", i);
		is = content(name, i, 1, true);
		if (is < 0)
			bad("empty: %s is garbage", name);
		else if (is && is < acked[i])
			bad("empty: %s is at version %lld, %u was acknowledged", name,
			    (long long)is, acked[i]);
		else if (!is && untouched && acked[i])
			bad("empty: %s is empty, version %u was acknowledged", name, acked[i]);
		/* All of it, too. */
		else if (untouched && acked[i] && is == acked[i] &&
			 content(name, i, 1, false) != is)
			bad("empty: %s has not all of version %u", name, acked[i]);
	}
	printf("# empty: done\n");
}

/*
 * Stores to a mapping are no write: whoever flushes meanwhile takes the page as it is, some of
 * it old and some new.
 */
static bool half_stored(const char *bytes, int file, int at, int off, int len, uint32_t old,
			uint32_t new)
{
	return old != new && drawn(new, 7, CALLS) == MSYNC &&
	       block_mixed(bytes, off, len, seed, file, at, old, new);
}

static void verify_calls(FILE *reports)
{
	uint32_t v, acked[FILES] = { 0 }, begun[FILES] = { 0 }, id;
	char block[BLOCK], want[BLOCK], name[16];
	int i, at, fd;

	while ((v = next_report(reports, "calls ", NULL)))
		acked[file_of(v)] = v;
	while ((v = next_report(reports, "calls begin ", NULL)))
		begun[file_of(v)] = v;
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		fd = open(name, O_RDONLY);
		for (at = 0; acked[i] && at < BLOCKS; at++) {
			if (pread(fd, block, BLOCK, (off_t)at * BLOCK) != BLOCK) {
				bad("calls: %s: %s", name, strerror(errno));
				continue;
			}
			if (half_stored(block, i, at, 0, BLOCK, acked[i], begun[i]))
				continue;
			if (!block_claims(block, &id, &v) || v < acked[i] || v > begun[i])
				bad("calls: %s is at version %u, %u was acknowledged by call %u",
				    name, v, acked[i], drawn(acked[i], 7, CALLS));
			fill_block(want, seed, i, at, v);
			if (memcmp(block, want, BLOCK))
				bad("calls: %s is garbage at block %d, of file %u and version %u; %u was begun by call %u",
				    name, at, id, v, begun[i], drawn(begun[i], 7, CALLS));
		}
		close(fd);
	}
	printf("# calls: done\n");
}

/* Whether sector @at of block @index is of a version of the file in [first, last]. */
static bool of_version(const char *sector, int id, int index, int at, uint32_t first,
		       uint32_t last)
{
	char want[BLOCK];
	uint32_t v;

	for (v = first; v <= last; v++) {
		if (file_of(v) != (unsigned int)id)
			continue;
		fill_block(want, seed, id, index, v);
		if (!memcmp(sector, want + at * SECTOR, SECTOR))
			return true;
	}
	return false;
}

static void verify_grown(FILE *reports)
{
	uint32_t acked = 0, v;
	struct stat st;
	unsigned char c;
	FILE *f = fopen("grown", "r");
	off_t at;

	while ((v = next_report(reports, "nodatacow grown ", NULL)))
		acked = v;
	if (!f || fstat(fileno(f), &st)) {
		if (acked)
			bad("nodatacow: grown: %s", strerror(errno));
		return;
	}
	if (st.st_size < acked)
		bad("nodatacow: grown has %lld bytes, %u were acknowledged",
		    (long long)st.st_size, acked);
	for (at = 0; at < st.st_size; at++) {
		if (fread(&c, 1, 1, f) == 1 && c == grown_byte(at))
			continue;
		bad("nodatacow: grown has what was not written at %lld of %lld", (long long)at,
		    (long long)st.st_size);
		break;
	}
	fclose(f);
}

static void verify_nodatacow(FILE *reports)
{
	uint32_t v, acked[FILES] = { 0 }, begun[FILES] = { 0 };
	char block[BLOCK], name[16];
	int i, at, s, fd;

	while ((v = next_report(reports, "nodatacow ", NULL)))
		acked[file_of(v)] = v;
	while ((v = next_report(reports, "nodatacow begin ", NULL)))
		begun[file_of(v)] = v;
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fd = open(name, O_RDONLY);
		for (at = 0; acked[i] && at < BLOCKS; at++) {
			if (pread(fd, block, BLOCK, (off_t)at * BLOCK) != BLOCK) {
				bad("nodatacow: %s: %s", name, strerror(errno));
				continue;
			}
			for (s = 0; s < BLOCK / SECTOR; s++)
				if (!of_version(block + s * SECTOR, i, at, s, acked[i], begun[i]) &&
				    !half_stored(block + s * SECTOR, i, at, s * SECTOR, SECTOR,
						 acked[i], begun[i]))
					bad("nodatacow: %s is not at version %u (by call %u), or a later one, in sector %d of block %d",
					    name, acked[i], drawn(acked[i], 7, CALLS), s, at);
		}
		close(fd);
	}
	verify_grown(reports);
	printf("# nodatacow: done\n");
}

static void verify_full(FILE *reports)
{
	static bool acked[VERSIONS], touched[VERSIONS], removed[VERSIONS];
	uint32_t v, n = 0;
	uint64_t upto;
	DIR *dir = opendir(".");
	struct dirent *de;
	char name[16];

	while ((v = next_report(reports, "full ", NULL)))
		acked[v] = true;
	while ((v = next_report(reports, "full remove ", &upto)))
		for (; v <= upto; v++)
			touched[v] = true;
	while ((v = next_report(reports, "full removed ", NULL)))
		for (; v && !removed[v]; v--)
			removed[v] = true;
	for (v = 1; v < VERSIONS; v++) {
		if (!acked[v] || touched[v])
			continue;
		snprintf(name, sizeof(name), "f%u", v);
		n++;
		if (content(name, v, 64, false) != v)
			bad("full: %s was acknowledged and is not whole", name);
	}
	if (!dir)
		die("directory");
	while ((de = readdir(dir))) {
		v = atoi(de->d_name + 1);
		if (de->d_name[0] != 'f' || v >= VERSIONS)
			continue;
		if (removed[v])
			bad("full: %s was removed and is there", de->d_name);
		else if (content(de->d_name, v, 64, true) < 0)
			bad("full: %s is garbage", de->d_name);
	}
	closedir(dir);
	printf("# full: %u files acknowledged and not removed since\n", n);
}

static const struct {
	const char *name;
	void (*record)(void);
	void (*verify)(FILE *reports);
} idiom[] = {
	{ "save", record_save, verify_save },
	{ "inodes", record_inodes, verify_inodes },
	{ "empty", record_empty, verify_empty },
	{ "calls", record_calls, verify_calls },
	{ "nodatacow", record_nodatacow, verify_nodatacow },
	{ "full", record_full, verify_full },
};

int main(int argc, char **argv)
{
	size_t i, n = sizeof(idiom) / sizeof(idiom[0]);
	bool verify = argc > 1 && !strcmp(argv[1], "verify");
	FILE *reports = NULL;

	for (i = 0; argc > 2 && i < n && strcmp(argv[2], idiom[i].name);)
		i++;
	if (argc < 5 + verify || i == n) {
		fprintf(stderr, "usage: idioms record save|inodes|empty|calls|nodatacow|full DIR SEED [DEVICE] | "
			"verify save|inodes|empty|calls|nodatacow|full DIR SEED REPORTS\n");
		return 2;
	}
	seed = strtoull(argv[4], NULL, 0);
	if (verify)
		reports = fopen(argv[5], "r");
	if ((verify && !reports) || (!verify && mkdir(argv[3], 0755)) || chdir(argv[3]))
		die("%s or its reports", argv[3]);
	if (verify) {
		idiom[i].verify(reports);
		return wrong ? 1 : 0;
	}
	sync_name(".");
	report_to(argv[5]);
	report("%s ready", idiom[i].name);
	idiom[i].record();
	return 0;
}
