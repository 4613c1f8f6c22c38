// SPDX-License-Identifier: Apache-2.0
/*
 * Puts a disk into the states that a power cut may have left it in, from the log
 * of a dm-log-writes device (its format: drivers/md/dm-log-writes.c).
 *
 *	cutlog index LOG INDEX			what is where in it, for the others
 *	cutlog cuts INDEX MARK N SEED		N entries to cut at, of those behind
 *						the first MARK, evenly, and behind
 *						what each workload was told in turn
 *	cutlog replay INDEX DISK FROM TO	entries [FROM, TO), in order
 *	cutlog lose INDEX DISK CUT SEED		behind CUT: some of what was written
 *						until the next flush, whole or in part
 *	cutlog marks INDEX CUT			what was reported until then, a line each
 *	cutlog order INDEX			is what tests/crash/order wrote in it in front
 *						of what was reported then?
 *
 * The target logs a write when a later flush completes, or at once when it bypasses
 * the disk's cache.  So everything in front of a flush or FUA entry was durable when
 * that entry was, and a write up to the next one may have got there or not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "content.h"
#include "report.h"

#define LOG_MAGIC	0x6a736677736872ull
#define LOG_VERSION	1

enum { FLUSH = 1, FUA = 2, DISCARD = 4, MARK = 8, BARRIER = FLUSH | FUA };

struct entry {
	uint64_t sector, sectors, flags, len;
	uint64_t at;		/* its data, in the log */
};

static struct head {
	char log[256];
	uint64_t entries, sector_size;
} head;

static struct entry *entry;
static int log_fd;

static uint64_t le64(const unsigned char *p)
{
	uint64_t v = 0;
	int i;

	for (i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static void get(void *to, size_t len, uint64_t at)
{
	ssize_t n;

	for (; len; len -= n, at += n, to = (char *)to + n) {
		n = pread(log_fd, to, len, at);
		if (n <= 0)
			die("log at %llu", (unsigned long long)at);
	}
}

static void open_log(void)
{
	log_fd = open(head.log, O_RDONLY);
	if (log_fd < 0)
		die("%s", head.log);
}

/* Takes a look at each entry, and a second or two in an emulated machine. */
static void write_index(const char *log, const char *index)
{
	FILE *f = fopen(index, "w");
	unsigned char raw[32];
	struct entry e;
	uint64_t at, i;

	snprintf(head.log, sizeof(head.log), "%s", log);
	open_log();
	/* What is between the heads is not wanted. */
	posix_fadvise(log_fd, 0, 0, POSIX_FADV_RANDOM);
	get(raw, sizeof(raw), 0);
	if (le64(raw) != LOG_MAGIC || le64(raw + 8) != LOG_VERSION)
		die("%s is no log", log);
	head.entries = le64(raw + 16);
	head.sector_size = le64(raw + 24) & 0xffffffff;
	if (!f || fwrite(&head, sizeof(head), 1, f) != 1)
		die("%s", index);
	for (i = 0, at = head.sector_size; i < head.entries; i++) {
		get(raw, sizeof(raw), at);
		e = (struct entry){
			.sector = le64(raw), .sectors = le64(raw + 8),
			.flags = le64(raw + 16), .len = le64(raw + 24),
			.at = at + (le64(raw + 16) & MARK ? sizeof(raw) : head.sector_size),
		};
		at += head.sector_size;
		if (!(e.flags & DISCARD))
			at += e.sectors * head.sector_size;
		if (fwrite(&e, sizeof(e), 1, f) != 1)
			die("%s", index);
	}
	if (fclose(f))
		die("%s", index);
}

static void read_index(const char *index)
{
	FILE *f = fopen(index, "r");

	if (!f || fread(&head, sizeof(head), 1, f) != 1)
		die("%s", index);
	entry = calloc(head.entries + 1, sizeof(*entry));
	if (!entry || fread(entry, sizeof(*entry), head.entries, f) != head.entries)
		die("%s", index);
	fclose(f);
	open_log();
}

static const char *mark_text(const struct entry *e)
{
	static char text[512];
	size_t len = e->len < sizeof(text) ? e->len : sizeof(text) - 1;
	char *c;

	get(text, len, e->at);
	text[len] = 0;
	for (c = text; *c; c++)
		if (*c == ',')
			*c = ' ';
	return text;
}

/* ---- where to cut -------------------------------------------------------------- */

enum { WORDS = 16 };

/* The first words of reports that acknowledge something, as bits by order of appearance. */
static uint32_t word_of(const char *text)
{
	static char words[WORDS][32];
	size_t len = strcspn(text, " ");
	int i;

	if (!text[len] || len >= sizeof(words[0]) || !strncmp(text, "op ", 3) ||
	    strstr(text, " begin ") || strstr(text, " remove ") ||
	    strstr(text, " ready"))
		return 0;
	for (i = 0; i < WORDS; i++) {
		if (!words[i][0])
			memcpy(words[i], text, len);
		if (!strncmp(words[i], text, len) && !words[i][len])
			return 1u << i;
	}
	return 0;
}

struct cut {
	uint64_t at;		/* the first entry that is not there */
	uint32_t acked;		/* words of what was acknowledged before the next barrier */
};

/* One of [cut, cut + n), with @words if there is such a one. */
static uint64_t choose(const struct cut *cut, uint64_t n, uint32_t words, uint64_t *seed)
{
	uint64_t i, first = next_random(seed) % n;

	for (i = 0; i < n; i++)
		if (cut[(first + i) % n].acked & words)
			return cut[(first + i) % n].at;
	return cut[first].at;
}

/*
 * Evenly over the time, and in turn behind acknowledgements of each kind that no later
 * barrier covers: those of one workload are rare among the flushes of all.
 */
static void cuts(const char *word, uint64_t wanted, uint64_t seed)
{
	struct cut *cut = calloc(head.entries + 1, sizeof(*cut));
	uint32_t words = 0, turn = 0, w;
	uint64_t n = 0, i, from, to;
	bool begun = false;

	if (!cut)
		die("cuts");
	for (i = 0; i < head.entries; i++) {
		if (entry[i].flags & MARK) {
			const char *text = mark_text(&entry[i]);

			if (!strcmp(text, word))
				begun = true;
			w = word_of(text);
			words |= w;
			if (n)
				cut[n - 1].acked |= w;
		}
		if (begun && entry[i].flags & BARRIER)
			cut[n++].at = i + 1;
	}
	if (wanted > n)
		wanted = n;
	for (i = 0; i < wanted; i++) {
		from = i * n / wanted;
		to = (i + 1) * n / wanted;
		turn <<= 1;
		if (!(turn & words))
			turn = 1;
		printf("%llu\n", (unsigned long long)choose(cut + from, to - from, turn, &seed));
	}
	fprintf(stderr, "# %llu entries, %llu flushes and FUA writes behind '%s'\n",
		(unsigned long long)head.entries, (unsigned long long)n, word);
	free(cut);
}

static void put(int disk, const struct entry *e, uint64_t from, uint64_t len)
{
	static char buffer[1 << 20];
	uint64_t n;

	for (; len; len -= n, from += n) {
		n = len < sizeof(buffer) ? len : sizeof(buffer);
		get(buffer, n, e->at + from);
		if (pwrite(disk, buffer, n, e->sector * head.sector_size + from) != (ssize_t)n)
			die("disk at %llu", (unsigned long long)(e->sector * head.sector_size + from));
	}
}

static void discard(int disk, const struct entry *e)
{
	/* What is read there afterwards is nobody's business; here it is zeros. */
	if (fallocate(disk, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		      e->sector * head.sector_size, e->sectors * head.sector_size))
		die("discard");
}

static void replay(int disk, uint64_t from, uint64_t to)
{
	for (; from < to; from++) {
		if (entry[from].flags & MARK)
			continue;
		if (entry[from].flags & DISCARD)
			discard(disk, &entry[from]);
		else
			put(disk, &entry[from], 0, entry[from].sectors * head.sector_size);
	}
}

/* Up to the next barrier, which itself is a write that may have got there. */
static void lose(int disk, uint64_t cut, uint64_t seed)
{
	uint64_t state = seed ^ cut << 20, kept = 0, torn = 0, lost = 0, at, len, share;
	bool last = false;
	struct entry *e;

	/* Nearly all, nearly nothing or anything between; a block is never torn. */
	share = next_random(&state) % 101;
	for (; cut < head.entries && !last; cut++) {
		e = &entry[cut];
		last = e->flags & BARRIER;
		/* One with a flush in front is begun when that is done. */
		if (e->flags & FLUSH || e->flags & MARK)
			continue;
		len = e->sectors * head.sector_size;
		if (next_random(&state) % 100 >= share) {
			lost++;
		} else if (e->flags & DISCARD) {
			discard(disk, e);
			kept++;
		} else if (len > BLOCK && next_random(&state) % 4 == 0) {
			for (at = 0; at < len; at += BLOCK)
				if (next_random(&state) % 2)
					put(disk, e, at, len - at < BLOCK ? len - at : BLOCK);
			torn++;
		} else {
			put(disk, e, 0, len);
			kept++;
		}
	}
	printf("%llu more writes, %llu torn, %llu lost\n", (unsigned long long)kept,
	       (unsigned long long)torn, (unsigned long long)lost);
}

/* What was reported before the next barrier rests on those in front of it. */
static void marks(uint64_t cut)
{
	uint64_t i;

	for (i = 0; i < head.entries && (i < cut || !(entry[i].flags & BARRIER)); i++)
		if (entry[i].flags & MARK)
			puts(mark_text(&entry[i]));
}

/* A mark "order PLACE NUMBER" stands behind the write of NUMBER to block PLACE. */
static int order(void)
{
	uint64_t there[64] = { 0 }, count = 0, wrong = 0, i, at, place, number;
	unsigned char raw[8];

	for (i = 0; i < head.entries; i++) {
		const struct entry *e = &entry[i];

		if (e->flags & MARK) {
			if (sscanf(mark_text(e), "order %llu %llu", (unsigned long long *)&place,
				   (unsigned long long *)&number) != 2 || place >= 64)
				continue;
			count++;
			wrong += there[place] < number;
			continue;
		}
		for (at = 0; !(e->flags & DISCARD) && at < e->sectors * head.sector_size; at += BLOCK) {
			place = (e->sector * head.sector_size + at) / BLOCK;
			if (place >= 64)
				break;
			get(raw, sizeof(raw), e->at + at);
			there[place] = le64(raw);
		}
	}
	if (wrong || !count)
		printf("not ok - the log has %llu of %llu reports in front of what they rest on\n",
		       (unsigned long long)wrong, (unsigned long long)count);
	else
		printf("# order: %llu reports\n", (unsigned long long)count);
	return wrong || !count;
}

int main(int argc, char **argv)
{
	uint64_t number[2] = { 0, 0 };
	int disk;

	if (argc < 4 && (argc != 3 || strcmp(argv[1], "order"))) {
		fprintf(stderr, "usage: cutlog index LOG INDEX | cuts INDEX MARK N SEED | "
			"replay INDEX DISK FROM TO | lose INDEX DISK CUT SEED | marks INDEX CUT | "
			"order INDEX\n");
		return 2;
	}
	if (!strcmp(argv[1], "index")) {
		write_index(argv[2], argv[3]);
		return 0;
	}
	read_index(argv[2]);
	if (!strcmp(argv[1], "order"))
		return order();
	if (argc > 5) {
		number[0] = strtoull(argv[4], NULL, 0);
		number[1] = strtoull(argv[5], NULL, 0);
	}
	if (!strcmp(argv[1], "cuts")) {
		cuts(argv[3], number[0], number[1]);
		return 0;
	}
	if (!strcmp(argv[1], "marks")) {
		marks(strtoull(argv[3], NULL, 0));
		return 0;
	}
	disk = open(argv[3], O_WRONLY);
	if (disk < 0)
		die("%s", argv[3]);
	if (!strcmp(argv[1], "replay"))
		replay(disk, number[0], number[1] < head.entries ? number[1] : head.entries);
	else
		lose(disk, number[0], number[1]);
	if (fsync(disk) || close(disk))
		die("%s", argv[3]);
	return 0;
}
