// SPDX-License-Identifier: Apache-2.0
/* mmap(2) and its kin: protections by access, edges, coherence with read and write. */
#include <sys/mman.h>

#include "px.h"

static const struct {
	const char *name;
	int flags;
} accesses[] = { { "rdonly", O_RDONLY }, { "wronly", O_WRONLY }, { "rdwr", O_RDWR } };

static void protections(void)
{
	static const struct {
		const char *name;
		int flag;
	} kinds[] = { { "shared", MAP_SHARED }, { "private", MAP_PRIVATE }, { "validate", MAP_SHARED_VALIDATE } };
	unsigned int a, k;
	int prot, fd;
	char *map;

	for (a = 0; a < PX_COUNT(accesses); a++)
	for (k = 0; k < PX_COUNT(kinds); k++)
	for (prot = 0; prot < 8; prot++) {
		bool shared = kinds[k].flag != MAP_PRIVATE;
		bool fails = accesses[a].flags == O_WRONLY ||
			     (shared && (prot & PROT_WRITE) && accesses[a].flags != O_RDWR);

		fd = (int)px_must(open("f", accesses[a].flags));
		map = mmap(NULL, 4096, prot, kinds[k].flag, fd, 0);
		px_err(fails ? EACCES : 0, map == MAP_FAILED ? -1 : 0, "prot/%s/%s/%d", accesses[a].name, kinds[k].name,
		       prot);
		close(fd);
		if (map == MAP_FAILED)
			continue;
		px_err(shared && accesses[a].flags != O_RDWR ? EACCES : 0, mprotect(map, 4096, PROT_READ | PROT_WRITE),
		       "mprotect/%s/%s/%d", accesses[a].name, kinds[k].name, prot);
		px_must(mprotect(map, 4096, prot));
		px_str(prot & PROT_WRITE ? "fine" : "SIGSEGV", px_poke(map, true), "write/%s/%s/%d", accesses[a].name,
		       kinds[k].name, prot);
		munmap(map, 4096);
	}
}

static void edges(void)
{
	static const long sizes[] = { 1, 4095, 4096, 4097, 8192, 10000 };
	static const long pages[] = { 0, 1, 2, 3 };
	unsigned int s, p;
	char *map, seen[4096];
	int fd;

	for (s = 0; s < PX_COUNT(sizes); s++) {
		fd = (int)px_must(open("g", O_RDWR | O_CREAT | O_TRUNC, 0644));
		px_must(ftruncate(fd, sizes[s]));
		map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		for (p = 0; p < PX_COUNT(pages); p++) {
			const char *want = pages[p] * 4096 < sizes[s] ? "fine" : "SIGBUS";

			px_str(want, px_poke(map + pages[p] * 4096, false), "edge/%ld/read-page-%ld", sizes[s], pages[p]);
			px_str(want, px_poke(map + pages[p] * 4096 + 4095, true), "edge/%ld/write-page-%ld", sizes[s],
			       pages[p]);
		}
		/* What was written behind the end stays out of the file. */
		px_must(msync(map, 16384, MS_SYNC));
		px_num(sizes[s], px_size_of("g"), "edge/%ld/size", sizes[s]);
		px_must(ftruncate(fd, 16384));
		px_num(1, pread(fd, seen, 1, ((sizes[s] + 4095) & ~4095L) - 1), "edge/%ld/grown", sizes[s]);
		px_num(sizes[s] & 4095 ? 0 : 'w', seen[0], "edge/%ld/grown-content", sizes[s]);
		/* Cut under the mapping. */
		px_must(ftruncate(fd, 0));
		px_str("SIGBUS", px_poke(map, false), "edge/%ld/cut", sizes[s]);
		px_must(ftruncate(fd, 4096));
		px_str("fine", px_poke(map, false), "edge/%ld/grown-again", sizes[s]);
		px_num(0, map[0], "edge/%ld/grown-again-content", sizes[s]);
		munmap(map, 16384);
		close(fd);
	}
}

static void coherence(void)
{
	char *shared, *private, *other, byte;
	int fd;

	px_file("g", 0644, "0123456789");
	fd = (int)px_must(open("g", O_RDWR));
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared[0] = 'A';
	px_must(pread(fd, &byte, 1, 0));
	px_num('A', byte, "coherent/store-read");
	px_num('A', other[0], "coherent/store-other-mapping");
	px_num('A', private[0], "coherent/store-private");
	px_must(pwrite(fd, "B", 1, 1));
	px_num('B', shared[1], "coherent/write-mapping");
	private[2] = 'P';
	px_num('2', shared[2], "coherent/private-stays-private");
	px_must(pread(fd, &byte, 1, 2));
	px_num('2', byte, "coherent/private-not-in-file");
	px_must(pwrite(fd, "C", 1, 3));
	px_num('3', private[3], "coherent/private-page-is-a-copy");
	shared[20] = 'Z';
	px_num(10, px_size_of("g"), "coherent/store-behind-end");
	close(fd);
	shared[4] = 'D';
	px_must(msync(shared, 4096, MS_SYNC));
	px_str("AB2CD56789", px_content("g"), "coherent/after-close");
	px_must(unlink("g"));
	shared[5] = 'E';
	px_num('E', other[5], "coherent/unlinked");
	munmap(shared, 4096);
	px_num('E', other[5], "coherent/one-unmapped");
	munmap(other, 4096);
	munmap(private, 4096);
}

PX_OPERATION(mmap)
{
	static const int syncs[] = { MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_INVALIDATE };
	unsigned int i;
	char *map;
	int fd, type;

	fd = (int)px_must(open("f", O_RDWR | O_CREAT, 0777));
	px_must(ftruncate(fd, 16384));
	protections();
	edges();
	coherence();
	px_err(EINVAL, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 1) == MAP_FAILED ? -1 : 0, "offset-misaligned");
	px_err(EINVAL, mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, "length-0");
	px_err(EINVAL, mmap(NULL, 4096, PROT_READ, 0, fd, 0) == MAP_FAILED ? -1 : 0, "no-kind");
	px_err(EBADF, mmap(NULL, 4096, PROT_READ, MAP_SHARED, -1, 0) == MAP_FAILED ? -1 : 0, "bad");
	px_err(EOVERFLOW, mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, LLONG_MAX & ~4095LL) == MAP_FAILED ? -1 : 0,
	       "offset-overflow");
	px_err(EOPNOTSUPP, mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | 0x200000, fd, 0) == MAP_FAILED ? -1 : 0,
	       "validate-unknown");
	px_err(EOPNOTSUPP, mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0) == MAP_FAILED ? -1 : 0,
	       "validate-map-sync");
	map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (i = 0; i < PX_COUNT(syncs); i++)
		px_err(0, msync(map, 16384, syncs[i]), "msync/%d", syncs[i]);
	px_err(EINVAL, msync(map, 4096, MS_SYNC | MS_ASYNC), "msync/both");
	px_err(EINVAL, msync(map + 1, 4096, MS_SYNC), "msync/misaligned");
	px_err(ENOMEM, msync((void *)(1L << 44), 4096, MS_SYNC), "msync/unmapped");
	px_err(0, madvise(map, 16384, MADV_DONTNEED), "madvise/dontneed");
	px_err(0, madvise(map, 16384, MADV_WILLNEED), "madvise/willneed");
	px_err(0, madvise(map, 16384, MADV_SEQUENTIAL), "madvise/sequential");
	map[0] = 'x';
	px_err(0, madvise(map, 8192, MADV_REMOVE), "madvise/remove");
	px_num(0, map[0], "madvise/remove/content");
	px_err(0, mlock(map, 16384), "mlock");
	px_err(0, munlock(map, 16384), "munlock");
	munmap(map, 16384);
	close(fd);
	for (type = PX_DIR; type <= PX_FIFO; type++) {
		if (type == PX_FULL)
			continue;
		px_make(type, "x", 0644);
		fd = (int)px_must(open("x", type == PX_DIR ? O_RDONLY : O_RDWR));
		px_err(ENODEV, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, "type/%s",
		       px_type_name[type]);
		close(fd);
		px_remove("x");
	}
}
