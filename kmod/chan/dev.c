// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/nexusfs: one open file is one attachment of a helper.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "chan.h"

struct workqueue_struct *nexus_chan_wq;

/* private_data while ATTACH is at it. */
#define NEXUS_ATTACHING		((void *)1)

struct nexus_att *nexus_chan_att(struct file *file)
{
	/* Pairs with the store-release in nexus_ioc_attach(). */
	void *p = smp_load_acquire(&file->private_data);

	return p == NEXUS_ATTACHING ? NULL : p;
}

static int nexus_chan_open(struct inode *inode, struct file *file)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* misc_open() left its own pointer here. */
	file->private_data = NULL;
	return nonseekable_open(inode, file);
}

/* No command and no mapping: each of them holds the file.  The helper is gone. */
static int nexus_chan_release(struct inode *inode, struct file *file)
{
	struct nexus_att *att = nexus_chan_att(file);

	if (att)
		nexus_session_lost(att);
	return 0;
}

/* ---- ATTACH -------------------------------------------------------------- */

static int nexus_ioc_attach(struct file *file, struct nexus_attach *a)
{
	unsigned int queues = a->queues ?: num_online_cpus();
	struct nexus_att *att;
	size_t len;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (a->abi != NEXUS_ABI_VERSION) {
		pr_err_ratelimited("nexusfs: helper %d speaks version %u of the interface, the module %u; install the two from one release\n",
				   task_tgid_nr(current), a->abi,
				   NEXUS_ABI_VERSION);
		return -EPROTO;
	}
	len = strnlen(a->session, sizeof(a->session));
	if (a->reserved || a->epoch || len == sizeof(a->session) ||
	    !nexus_label_ok(a->session, len))
		return -EINVAL;

	att = nexus_att_alloc(min(queues, NEXUS_QUEUES_MAX));
	if (!att)
		return -ENOMEM;
	att->owner = get_pid(task_tgid(current));

	/* Of two ATTACHes of one file one goes on. */
	err = -EALREADY;
	if (cmpxchg(&file->private_data, NULL, NEXUS_ATTACHING))
		goto out_att;
	err = nexus_session_attach(a->session, att);
	/* A whole attachment before its pointer: pairs with nexus_chan_att(). */
	smp_store_release(&file->private_data, err ? NULL : att);
	if (err)
		goto out_att;
	a->queues = att->nr_queues;
	a->epoch = att->epoch;
	return 0;

out_att:
	nexus_att_free(att);
	return err;
}

/* ---- ioctl --------------------------------------------------------------- */

/* Every argument has a fixed size: one copy in, one out. */
union nexus_ioc_arg {
	struct nexus_attach attach;
	struct nexus_zone_attach zone_attach;
	struct nexus_zone_next zone_next;
	struct nexus_hand_over hand_over;
	struct nexus_ino_range ino_range;
	struct nexus_report report;
	struct nexus_submit submit;
	struct nexus_retire retire;
	struct nexus_pack_use pack_use;
	struct nexus_zone_fail zone_fail;
	u32 id;
};

static int nexus_ioc_zone(struct nexus_att *att, unsigned int cmd,
			  union nexus_ioc_arg *a)
{
	switch (cmd) {
	case NEXUS_IOC_ZONE_ATTACH:
		return nexus_zone_attach(att, &a->zone_attach);
	case NEXUS_IOC_ZONE_NEXT:
		return nexus_zone_next(att, &a->zone_next);
	case NEXUS_IOC_ZONE_DETACH:
		return nexus_zone_detach(att, a->id);
	case NEXUS_IOC_ZONE_FAIL:
		return nexus_hand_zone_fail(att, &a->zone_fail);
	case NEXUS_IOC_SEGMENT:
		return nexus_hand_segment(att, &a->hand_over);
	case NEXUS_IOC_PACK:
		return nexus_hand_pack(att, &a->hand_over);
	case NEXUS_IOC_INO_RANGE:
		return nexus_hand_ino_range(att, &a->ino_range);
	case NEXUS_IOC_REPORT:
		return nexus_hand_report(att, &a->report);
	case NEXUS_IOC_SUBMIT:
		return nexus_hand_submit(att, &a->submit);
	case NEXUS_IOC_RETIRE:
		return nexus_hand_retire(att, &a->retire, true);
	case NEXUS_IOC_PRESENT:
		return nexus_hand_retire(att, &a->retire, false);
	case NEXUS_IOC_PACK_USE:
		return nexus_hand_pack_use(att, &a->pack_use, false);
	case NEXUS_IOC_PACK_SEAL:
		return nexus_hand_pack_use(att, &a->pack_use, true);
	default:
		return -ENOTTY;
	}
}

static long nexus_chan_ioctl(struct file *file, unsigned int cmd,
			     unsigned long arg)
{
	struct nexus_att *att = nexus_chan_att(file);
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);
	union nexus_ioc_arg a;
	int err;

	/* The size is part of the number; what does not fit is none of ours. */
	if (_IOC_TYPE(cmd) != 0xE6 || !size || size > sizeof(a))
		return -ENOTTY;
	if (copy_from_user(&a, uarg, size))
		return -EFAULT;

	if (cmd == NEXUS_IOC_ATTACH)
		err = nexus_ioc_attach(file, &a.attach);
	else if (!att)
		err = -ENOTCONN;
	else
		err = nexus_ioc_zone(att, cmd, &a);
	if (err)
		return err;
	/*
	 * A fault here leaves the deed done: a helper that passes memory it
	 * cannot read has to close the file.
	 */
	if (_IOC_DIR(cmd) & _IOC_READ && copy_to_user(uarg, &a, size))
		return -EFAULT;
	return 0;
}

/* ---- mmap ---------------------------------------------------------------- */

static int nexus_mmap_log(struct nexus_att *att, u32 id,
			  struct vm_area_struct *vma)
{
	struct nexus_czone *cz = nexus_czone_get(att->session, id);
	int err;

	if (!cz)
		return -ENOENT;
	if (READ_ONCE(cz->epoch) != att->epoch)
		err = -ESTALE;
	else
		err = nexus_log_mmap(cz->zone, vma);
	nexus_czone_put(cz);
	return err;
}

/*
 * Only shared, never executable, and read-only where the kernel relies on what it
 * wrote: then mprotect() must not lift that either.
 */
static int nexus_chan_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct nexus_att *att = nexus_chan_att(file);
	u64 off = (u64)vma->vm_pgoff << PAGE_SHIFT;
	size_t len = vma->vm_end - vma->vm_start;
	u32 index = NEXUS_MMAP_INDEX(off);
	unsigned int kind = NEXUS_MMAP_KIND(off);
	struct nexus_queue *q = NULL;

	if (!att)
		return -ENOTCONN;
	if (off & ((1u << 28) - 1))
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EPERM;
	vm_flags_clear(vma, VM_MAYEXEC);
	if (kind != 1) {
		if (vma->vm_flags & VM_WRITE)
			return -EPERM;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	/* Not into core dumps, not larger by mremap(); a child asks for itself. */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);

	switch (kind) {
	case 0:
	case 1:
		if (index >= att->nr_queues)
			return -EINVAL;
		q = &att->queue[array_index_nospec(index, att->nr_queues)];
		if (len > PAGE_ALIGN(kind ? sizeof(*q->rep) : sizeof(*q->req)))
			return -EINVAL;
		/* The areas live until ->release, the mapping holds the file. */
		return remap_vmalloc_range(vma, kind ? (void *)q->rep :
						       (void *)q->req, 0);
	case 2:
		return nexus_mmap_log(att, index, vma);
	default:
		return -EINVAL;
	}
}

static const struct file_operations nexus_chan_fops = {
	.owner		= THIS_MODULE,
	.open		= nexus_chan_open,
	.release	= nexus_chan_release,
	.unlocked_ioctl	= nexus_chan_ioctl,
	/* Fixed-width members, every size a multiple of 8: the same for 32 bits. */
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= nexus_chan_mmap,
	.uring_cmd	= nexus_chan_uring_cmd,
};

static struct miscdevice nexus_chan_dev = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= NEXUS_DEVICE_NAME,
	.fops	= &nexus_chan_fops,
	.mode	= 0600,
};

int nexus_chan_init(void)
{
	int err;

	/* Unbound: its work waits for others, never for long on a CPU. */
	nexus_chan_wq = alloc_workqueue("nexusfs_chan", WQ_UNBOUND, 0);
	if (!nexus_chan_wq)
		return -ENOMEM;
	err = nexus_rq_init();
	if (err)
		goto out_wq;
	err = misc_register(&nexus_chan_dev);
	if (err)
		goto out_rq;
	return 0;

out_rq:
	nexus_rq_exit();
out_wq:
	destroy_workqueue(nexus_chan_wq);
	return err;
}

/* No file is open and nothing is mounted: both hold the module. */
void nexus_chan_exit(void)
{
	misc_deregister(&nexus_chan_dev);
	/*
	 * Zones of the last session may still be on their way out: their
	 * callbacks queue work, that work may free the session.
	 */
	rcu_barrier();
	destroy_workqueue(nexus_chan_wq);
	nexus_rq_exit();
}
