// SPDX-License-Identifier: GPL-2.0-only
/*
 * What NEXUS_IOC_RING_MAP opens: one side of a mapped ring, to be mapped, waited on and
 * polled.  A file of its own, as the consumer writes to its page, which the ring's file,
 * open for reading, does not let it.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "map.h"

/* ---- mapping -------------------------------------------------------------------- */

/* MADV_DOFORK takes VM_DONTCOPY away: of such a one the child has the addresses only. */
static bool nexus_map_is_copy(const struct nexus_map_file *mf, const struct vm_area_struct *vma)
{
	return vma->vm_mm != mf->mm;
}

static void nexus_map_vm_open(struct vm_area_struct *vma)
{
	struct nexus_map_file *mf = vma->vm_file->private_data;

	if (nexus_map_is_copy(mf, vma)) {
		/* No page is copied, and none can be had by a fault: SIGBUS. */
		vm_flags_set(vma, VM_WIPEONFORK);
		return;
	}
	mutex_lock(&mf->ring->open_mutex);
	mf->vmas++;
	mutex_unlock(&mf->ring->open_mutex);
}

/* Also when a process ends, however it does: with the last mapping it has left. */
static void nexus_map_vm_close(struct vm_area_struct *vma)
{
	struct nexus_map_file *mf = vma->vm_file->private_data;

	if (nexus_map_is_copy(mf, vma))
		return;
	mutex_lock(&mf->ring->open_mutex);
	if (!--mf->vmas)
		nexus_map_leave(mf);
	mutex_unlock(&mf->ring->open_mutex);
}

static const struct vm_operations_struct nexus_map_vm_ops = {
	.open	= nexus_map_vm_open,
	.close	= nexus_map_vm_close,
};

/* Of these pages all are for @side to write. */
static bool nexus_map_may_write(unsigned int side, unsigned long first, unsigned long n)
{
	if (first == NEXUS_MAP_WORDS + side && n == 1)
		return true;
	return side == NEXUS_MAP_SEND && first >= NEXUS_MAP_DATA;
}

/* The side is still @mf's, and this process the one that maps it. */
static int nexus_map_may_map(struct nexus_map_file *mf)
{
	if (!nexus_map_owns(mf))
		return -ENOTCONN;
	if (mf->mm && mf->mm != current->mm)
		return -EBUSY;
	if (!mf->mm) {
		mf->mm = current->mm;
		mmgrab(mf->mm);
	}
	return 0;
}

static int nexus_map_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct nexus_map_file *mf = file->private_data;
	unsigned long n = vma_pages(vma), first = vma->vm_pgoff, left = n;
	struct nexus_map *map = mf->map;
	bool may_write;
	int err;

	if (first >= map->n_mapped || n > map->n_mapped - first || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	may_write = nexus_map_may_write(mf->side, first, n);
	if ((vma->vm_flags & VM_WRITE && !may_write) || vma->vm_flags & VM_EXEC)
		return -EACCES;
	mutex_lock(&mf->ring->open_mutex);
	err = nexus_map_may_map(mf);
	if (!err)
		mf->vmas++;
	mutex_unlock(&mf->ring->open_mutex);
	if (err)
		return err;
	/* No larger by mremap(); a child has no side. */
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY,
		     VM_MAYEXEC | (may_write ? 0 : VM_MAYWRITE));
	vma->vm_ops = &nexus_map_vm_ops;
	err = vm_insert_pages(vma, vma->vm_start, &map->pages[first], &left);
	if (err) {
		/* Of what fails here nothing is closed. */
		vma->vm_ops = NULL;
		nexus_map_vm_close(vma);
	}
	return err;
}

/* ---- waiting -------------------------------------------------------------------- */

static u64 nexus_map_other(const struct nexus_map_file *mf)
{
	return nexus_load(&nexus_map_words(mf->map, !mf->side)->at);
}

/* Whether the other side is; to be asked before where it is, as nothing follows then. */
static bool nexus_map_gone(const struct nexus_map_file *mf)
{
	/* Its pair is in nexus_map_update(). */
	u32 flags = smp_load_acquire(&mf->map->flags);

	return flags & (mf->side == NEXUS_MAP_SEND ? NEXUS_RING_NO_RECEIVER : NEXUS_RING_NO_SENDER);
}

/*
 * Whether there is something to wake up for, and then *@result: 0: the other side is
 * elsewhere than @at; -EPIPE, -ENODATA: it never will be; -ENOTCONN.  Else -EAGAIN.
 */
static bool nexus_map_wait_over(const struct nexus_map_file *mf, u64 at, int *result)
{
	bool gone = nexus_map_gone(mf);

	if (nexus_map_other(mf) != at)
		*result = 0;
	else if (!nexus_map_owns(mf))
		*result = -ENOTCONN;
	else if (gone)
		*result = mf->side == NEXUS_MAP_SEND ? -EPIPE : -ENODATA;
	else
		*result = -EAGAIN;
	return *result != -EAGAIN;
}

static long nexus_map_wait(struct nexus_map_file *mf, unsigned long arg)
{
	wait_queue_head_t *wait = &mf->map->wait[mf->side];
	struct nexus_ring_wait w;
	int err, result;

	if (copy_from_user(&w, (void __user *)arg, sizeof(w)))
		return -EFAULT;
	if (!w.timeout) {
		WRITE_ONCE(mf->armed, w.at);
		WRITE_ONCE(mf->is_armed, true);
		nexus_map_wait_over(mf, w.at, &result);
		return result;
	}
	if (w.timeout < 0) {
		err = wait_event_interruptible(*wait, nexus_map_wait_over(mf, w.at, &result));
		return err ?: result;
	}
	err = wait_event_interruptible_hrtimeout(*wait, nexus_map_wait_over(mf, w.at, &result),
						 ns_to_ktime(w.timeout));
	if (err == -ETIME)
		return -ETIMEDOUT;
	/* It would begin anew. */
	return err == -ERESTARTSYS ? -EINTR : err ?: result;
}

static long nexus_map_wake(struct nexus_map_file *mf)
{
	bool sends = mf->side == NEXUS_MAP_SEND;
	wait_queue_head_t *wait = &mf->map->wait[!mf->side];

	if (!nexus_map_owns(mf))
		return -ENOTCONN;
	if (wq_has_sleeper(wait))
		wake_up_interruptible_poll(wait, sends ? EPOLLIN | EPOLLRDNORM :
							 EPOLLOUT | EPOLLWRNORM);
	return 0;
}

static long nexus_map_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct nexus_map_file *mf = file->private_data;

	switch (cmd) {
	case NEXUS_IOC_RING_WAIT:
		return nexus_map_wait(mf, arg);
	case NEXUS_IOC_RING_WAKE:
		return nexus_map_wake(mf);
	default:
		return -ENOTTY;
	}
}

static __poll_t nexus_map_poll(struct file *file, poll_table *wait)
{
	struct nexus_map_file *mf = file->private_data;
	struct nexus_map *map = mf->map;
	u64 mine, other;
	bool gone;

	poll_wait(file, &map->wait[mf->side], wait);
	if (!nexus_map_owns(mf))
		return EPOLLERR;
	gone = nexus_map_gone(mf);
	other = nexus_map_other(mf);
	mine = nexus_load(&nexus_map_words(map, mf->side)->at);
	if (mf->side == NEXUS_MAP_RECV)
		return (other != mine ? EPOLLIN | EPOLLRDNORM : 0) |
			(gone ? EPOLLHUP : 0);
	return (!READ_ONCE(mf->is_armed) || other != READ_ONCE(mf->armed) ?
		EPOLLOUT | EPOLLWRNORM : 0) |
		(gone ? EPOLLERR : 0);
}

/* ---- opening -------------------------------------------------------------------- */

static int nexus_map_release(struct inode *inode, struct file *file)
{
	struct nexus_map_file *mf = file->private_data;

	if (mf->map) {
		mutex_lock(&mf->ring->open_mutex);
		nexus_map_leave(mf);
		mutex_unlock(&mf->ring->open_mutex);
		nexus_map_put(mf->map);
	}
	if (mf->mm)
		mmdrop(mf->mm);
	fput(mf->ring_file);
	kfree(mf);
	return 0;
}

static const struct file_operations nexus_map_fops = {
	.owner		= THIS_MODULE,
	.release	= nexus_map_release,
	.mmap		= nexus_map_mmap,
	.poll		= nexus_map_poll,
	.unlocked_ioctl	= nexus_map_file_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/* The side that is asked for, if the file is open for it. */
static int nexus_map_side(const struct file *file, u32 asked)
{
	fmode_t mode = file->f_mode & (FMODE_READ | FMODE_WRITE);

	switch (asked) {
	case 0:
		if (mode == (FMODE_READ | FMODE_WRITE))
			return -EINVAL;
		return mode == FMODE_WRITE ? NEXUS_MAP_SEND : NEXUS_MAP_RECV;
	case NEXUS_RING_SENDS:
		return mode & FMODE_WRITE ? NEXUS_MAP_SEND : -EBADF;
	case NEXUS_RING_RECEIVES:
		return mode & FMODE_READ ? NEXUS_MAP_RECV : -EBADF;
	default:
		return -EINVAL;
	}
}

/* A file for @side of the ring that @ring_file is; its release undoes all. */
static struct file *nexus_map_open(struct file *ring_file, unsigned int side)
{
	struct nexus_map_file *mf = kzalloc(sizeof(*mf), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!mf)
		return ERR_PTR(-ENOMEM);
	mf->side = side;
	mf->ring = ((struct nexus_ring_file *)ring_file->private_data)->ring;
	file = anon_inode_getfile("[nexusfs-ring]", &nexus_map_fops, mf, O_RDWR);
	if (IS_ERR(file))
		kfree(mf);
	else
		mf->ring_file = get_file(ring_file);
	return file;
}

static int nexus_map_give(struct file *file, struct nexus_ring_mapping __user *user)
{
	struct nexus_map_file *mf = file->private_data;
	int err = nexus_map_join(mf);
	struct nexus_ring_mapping m;

	if (err)
		return err;
	m = (struct nexus_ring_mapping){
		.side		= mf->side == NEXUS_MAP_SEND ? NEXUS_RING_SENDS :
							       NEXUS_RING_RECEIVES,
		.capacity	= mf->map->capacity,
		.size		= mf->map->size,
		.status		= NEXUS_MAP_STATUS * PAGE_SIZE,
		.sender		= (NEXUS_MAP_WORDS + NEXUS_MAP_SEND) * PAGE_SIZE,
		.receiver	= (NEXUS_MAP_WORDS + NEXUS_MAP_RECV) * PAGE_SIZE,
		.data		= NEXUS_MAP_DATA * PAGE_SIZE,
	};
	return copy_to_user(user, &m, sizeof(m)) ? -EFAULT : 0;
}

long nexus_map_ioctl(struct file *ring_file, unsigned long arg)
{
	struct nexus_ring_mapping __user *user = (void __user *)arg;
	struct nexus_ring_mapping m;
	struct file *file;
	int side, fd, err;

	static_assert(sizeof(struct nexus_spsc_side) == sizeof(struct nexus_ring_words) &&
		      offsetof(struct nexus_spsc_side, dozes) ==
		      offsetof(struct nexus_ring_words, dozes));
	if (copy_from_user(&m, user, sizeof(m)))
		return -EFAULT;
	if (m.flags)
		return -EINVAL;
	side = nexus_map_side(ring_file, m.side);
	if (side < 0)
		return side;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = nexus_map_open(ring_file, side);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	err = nexus_map_give(file, user);
	if (err) {
		put_unused_fd(fd);
		fput(file);
		return err;
	}
	fd_install(fd, file);
	return fd;
}
