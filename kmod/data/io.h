/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading packs, and direct I/O. */
#ifndef NEXUS_DATA_IO_H
#define NEXUS_DATA_IO_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/wait_bit.h>

struct nexus_rio;

/* ---- reading (io.c) ----------------------------------------------------------- */

struct nexus_reader {
	struct inode *inode;
	struct nexus_rio *rio;
	unsigned int hint;		/* blocks that may follow */
	bool ahead;			/* nobody waits: what is not at hand can wait */
};

/*
 * Adds a locked folio; folios in ascending order.  On success the I/O unlocks
 * it, on failure the caller does.
 */
int nexus_reader_add(struct nexus_reader *r, struct folio *folio);
void nexus_reader_submit(struct nexus_reader *r);
/* Reads somebody waits for, on the stack, or has himself called at the end of. */
struct nexus_read_wait {
	atomic_t left;			/* in flight, and one for who submits */
	int err;			/* the first one */
	struct completion done;
	/* In the place of @done: any context, may free this; NULL: none. */
	void (*end)(struct nexus_read_wait *wait);
};

static inline void nexus_read_wait_init(struct nexus_read_wait *wait,
					void (*end)(struct nexus_read_wait *wait))
{
	atomic_set(&wait->left, 1);
	wait->err = 0;
	wait->end = end;
	init_completion(&wait->done);
}

/*
 * Starts to fill @nr pages with the blocks from @fblock on; waits for nothing.  0, or
 * -errno, -EAGAIN as nexus_read_pages(), with some of them in flight: either way
 * nexus_read_put() or nexus_read_wait() follows.
 */
int nexus_read_begin(struct nexus_read_wait *wait, struct inode *inode, u64 fblock,
		     struct page **pages, u32 nr, bool unstable);
/* One less in flight; the last one ends it.  Any context. */
void nexus_read_put(struct nexus_read_wait *wait, int err);
/* Who submits waits for what is in flight: the first error, which @err may be. */
int nexus_read_wait(struct nexus_read_wait *wait, int err);
/*
 * Fills @nr pages with the blocks from @fblock on; waits for the disk, and not for
 * the helper: -EAGAIN where a pack is not open or a block absent.  @unstable: others may write the
 * pages, so no checksums.
 */
int nexus_read_pages(struct inode *inode, u64 fblock, struct page **pages,
		     u32 nr, bool unstable);
/* The same for blocks of a locked folio, which stays as it is. */
int nexus_read_blocks(struct inode *inode, struct folio *folio, u32 first, u32 nr);
/* So many of @nr pages, from the first on, are one behind the other in a folio. */
u32 nexus_pages_row(struct page **pages, u32 nr);
/* A pack may not be open: loads what is at [pos, pos + len) as nexus_content_load(). */
int nexus_content_reload(struct inode *inode, loff_t pos, size_t len);
/* Waits until no read uses code of the module. */
void nexus_reads_drain(void);

/* ---- around the page cache (direct.c, direct_write.c) ------------------------------- */

/* IOCB_DIRECT, any alignment. */
ssize_t nexus_direct_read(struct kiocb *iocb, struct iov_iter *to);
/*
 * The same for whole blocks; -ENOTBLK when it is something else, and nothing was
 * done.  Takes i_rwsem.  O_DSYNC is the caller's matter.
 */
ssize_t nexus_direct_write(struct kiocb *iocb, struct iov_iter *from);
/*
 * The same for what has an iocb that is told of the end, and waits for the disk alone:
 * -EIOCBQUEUED; -EAGAIN: it must be waited for, and nothing was done.  Waits for nothing.
 */
ssize_t nexus_direct_write_begin(struct kiocb *iocb, struct iov_iter *from);

/*
 * Waits until no direct I/O is under way, killably; i_rwsem held exclusively, so that no
 * write begins meanwhile: 0 or -ERESTARTSYS.  Writes on a frozen host stay until it thaws.
 */
int nexus_dio_wait(struct inode *inode);

/*
 * From hold to release direct reads, which take no lock else, wait for i_rwsem, which the
 * caller has exclusively: else there might be some under way for ever.  For waits by others
 * than nexus_dio_wait(), which does the same.  They nest.
 */
void nexus_dio_hold(struct inode *inode);
void nexus_dio_release(struct inode *inode);

/* The inode may be gone with the last of it.  Any context. */
static inline void nexus_dio_end(struct inode *inode)
{
	inode_dio_end(inode);
	/* inode_dio_wait() cannot be killed, and waits elsewhere; a barrier is above. */
	wake_up_var(&inode->i_dio_count);
}

#endif /* NEXUS_DATA_IO_H */
