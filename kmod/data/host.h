/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of the host: the only place that reads, writes and flushes them.
 *
 * Everything here runs in the module's own workers, between nexus_host_begin()
 * and nexus_host_end(): never in the context of a system call, whose RLIMIT_FSIZE
 * and held locks are not ours.  But for nexus_host_read_begin() and
 * nexus_host_write_here(), which wait for none of the host's inode locks.
 */
#ifndef NEXUS_DATA_HOST_H
#define NEXUS_DATA_HOST_H

#include <linux/bvec.h>
#include <linux/sched.h>

#include "../nexusfs.h"

#define NEXUS_HOST_FLAGS	(PF_LOCAL_THROTTLE | PF_MEMALLOC_NOIO)

/* As the loop driver does: no reclaim that needs us, no throttling against us. */
static inline unsigned int nexus_host_begin(void)
{
	unsigned int flags = current->flags;

	current->flags |= NEXUS_HOST_FLAGS;
	return flags;
}

static inline void nexus_host_end(unsigned int flags)
{
	current_restore_flags(flags, NEXUS_HOST_FLAGS);
}

/*
 * Whether @file can hold a segment or pack of @blocks blocks; the message says
 * what is wrong with it, -EINVAL.  On success it notifies nobody any more and
 * writing does not change its times.
 */
int nexus_host_check(struct nexus_zone *zone, struct file *file,
		     const char *what, u64 id, u32 blocks, bool write);

/* Whether blocks of a pack that was handed over for reading can be overwritten. */
bool nexus_host_writable(const struct file *file);

/*
 * Whole blocks at block @block: @bytes after the first @skip of @bvec.  0, or -errno
 * (-EIO when cut short).
 */
int nexus_host_write_part(struct file *file, const struct bio_vec *bvec,
			  unsigned int nr, size_t skip, size_t bytes, u64 block);
static inline int nexus_host_write(struct file *file, const struct bio_vec *bvec,
				   unsigned int nr, size_t bytes, u64 block)
{
	return nexus_host_write_part(file, bvec, nr, 0, bytes, block);
}

/* Whether this task may try nexus_host_write_here(). */
bool nexus_host_writes_here(const struct file *file);
/*
 * The same in any task's context, between nexus_host_begin() and nexus_host_end(); waits
 * for the disk alone.  False: the host would have to wait for something else, or it
 * failed; a worker is to do it.
 */
bool nexus_host_write_here(struct file *file, const struct bio_vec *bvec,
			   unsigned int nr, size_t skip, size_t bytes, u64 block);
int nexus_host_read(struct file *file, const struct bio_vec *bvec,
		    unsigned int nr, size_t bytes, u64 block);
/*
 * Starts reading in any task's context.  True: @done is called, or was, with the
 * bytes that were read or -errno, in any context; @iocb and @file are looked at until
 * this has returned, all the same.  False: the host would have to wait
 * for something, or it failed; a worker is to try it.
 */
bool nexus_host_read_begin(struct kiocb *iocb, struct file *file,
			   const struct bio_vec *bvec, unsigned int nr,
			   size_t bytes, u64 block,
			   void (*done)(struct kiocb *iocb, long ret));
/* Data, and what is needed to read it, on stable storage. */
int nexus_host_flush(struct file *file);

#endif /* NEXUS_DATA_HOST_H */
