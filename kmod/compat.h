/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels the module builds for.  No other file
 * looks at the kernel version.  Implementations have the newer kernel's meaning
 * and our own stable signature; the macros emit the prototype the running
 * kernel wants.
 */
#ifndef NEXUS_COMPAT_H
#define NEXUS_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "nexusfs needs Linux 6.12 or later, whose io_uring commands and folios it uses"
#endif

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>

/* mkdir returns a dentry since 6.15; NULL there means "use the one given". */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define NEXUS_DEFINE_MKDIR(op, impl) \
static struct dentry *op(struct mnt_idmap *idmap, struct inode *dir, \
			 struct dentry *dentry, umode_t mode) \
{ \
	return ERR_PTR(impl(idmap, dir, dentry, mode)); \
}
#else
#define NEXUS_DEFINE_MKDIR(op, impl) \
static int op(struct mnt_idmap *idmap, struct inode *dir, \
	      struct dentry *dentry, umode_t mode) \
{ \
	return impl(idmap, dir, dentry, mode); \
}
#endif

/* create lost its excl argument in 7.3. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#define NEXUS_DEFINE_CREATE(op, impl) \
static int op(struct mnt_idmap *idmap, struct inode *dir, \
	      struct dentry *dentry, umode_t mode) \
{ \
	return impl(idmap, dir, dentry, mode); \
}
#else
#define NEXUS_DEFINE_CREATE(op, impl) \
static int op(struct mnt_idmap *idmap, struct inode *dir, \
	      struct dentry *dentry, umode_t mode, bool excl) \
{ \
	return impl(idmap, dir, dentry, mode); \
}
#endif

/* The default dentry operations of a superblock are set by a call since 6.17. */
static inline void nexus_set_default_d_op(struct super_block *sb,
					  const struct dentry_operations *ops)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	set_default_d_op(sb, ops);
#else
	sb->s_d_op = ops;
#endif
}

/* A fault that writes maps all of a folio writable since 6.18, and not one page. */
#define NEXUS_MKWRITE_WHOLE (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0))

/* io_uring_cmd_done lost its second result in 6.18. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define nexus_uring_done(cmd, ret, flags) io_uring_cmd_done(cmd, ret, flags)
#else
#define nexus_uring_done(cmd, ret, flags) io_uring_cmd_done(cmd, ret, 0, flags)
#endif

/*
 * Task work of a command got a token in 6.19.  impl(cmd, flags, dead): flags are
 * for nexus_uring_done(); dead: the task or the ring is going away.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define NEXUS_DEFINE_URING_WORK(op, impl) \
static void op(struct io_tw_req tw_req, io_tw_token_t tw) \
{ \
	impl(io_uring_cmd_from_tw(tw_req), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS, \
	     tw.cancel); \
}
#else
#define NEXUS_DEFINE_URING_WORK(op, impl) \
static void op(struct io_uring_cmd *cmd, unsigned int flags) \
{ \
	impl(cmd, flags, flags & IO_URING_F_TASK_DEAD); \
}
#endif

/* The command bytes of an SQE; valid during the issue call only. */
static inline const void *nexus_uring_data(const struct io_uring_cmd *cmd)
{
	/* io_uring_sqe_cmd() has had two shapes, the member only one. */
	return cmd->sqe->cmd;
}

/* i_state is read through an accessor since 6.19. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define nexus_inode_is_new(inode)	(inode_state_read_once(inode) & I_NEW)
#else
#define nexus_inode_is_new(inode)	(READ_ONCE((inode)->i_state) & I_NEW)
#endif

/* Inode numbers have 64 bits since 7.1; callbacks that get one are declared so. */
#define nexus_ino_t typeof_member(struct inode, i_ino)

/* A file without a name, in memory that is taken as it is written. */
static inline struct file *nexus_shmem_file(const char *name, loff_t size)
{
	/* The flags are a bitmap since 7.0. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	return shmem_file_setup(name, size, mk_vma_flags(VMA_NORESERVE_BIT));
#else
	return shmem_file_setup(name, size, VM_NORESERVE);
#endif
}

/* d_alloc_parallel lost its waitqueue, which must live until d_lookup_done(). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define NEXUS_DECLARE_DENTRY_WAIT(wq)	do { } while (0)
#define nexus_d_alloc_parallel(parent, name, wq) d_alloc_parallel(parent, name)
#else
#define NEXUS_DECLARE_DENTRY_WAIT(wq)	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wq)
#define nexus_d_alloc_parallel(parent, name, wq) \
	d_alloc_parallel(parent, name, &(wq))
#endif

/* What fileattr_get and fileattr_set pass has another name since 6.17. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define NEXUS_FILEATTR	struct file_kattr
#else
#define NEXUS_FILEATTR	struct fileattr
#endif

/*
 * Whose writeback a folio should be is told by folio since 6.13 and some 6.12.y, by page
 * before: that begins at the same place.
 */
#define nexus_wbc_account(wbc, folio, bytes) \
	wbc_account_cgroup_owner(wbc, (void *)(folio), bytes)

/* d_revalidate is told directory and name since 6.14. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define NEXUS_DEFINE_REVALIDATE(op, impl) \
static int op(struct inode *dir, const struct qstr *name, \
	      struct dentry *dentry, unsigned int flags) \
{ \
	return impl(dentry, flags); \
}
#else
#define NEXUS_DEFINE_REVALIDATE(op, impl) \
static int op(struct dentry *dentry, unsigned int flags) \
{ \
	return impl(dentry, flags); \
}
#endif

/*
 * Gives a dentry that nobody else can see yet operations of its own, with
 * d_revalidate alone.
 */
static inline void nexus_dentry_set_ops(struct dentry *dentry,
					const struct dentry_operations *ops)
{
	spin_lock(&dentry->d_lock);
	dentry->d_op = ops;
	dentry->d_flags &= ~DCACHE_OP_PRUNE;
	dentry->d_flags |= DCACHE_OP_REVALIDATE;
	spin_unlock(&dentry->d_lock);
}

/* The name to look up is a qstr since 6.16.  i_rwsem of the directory. */
static inline struct dentry *nexus_lookup_one(struct mnt_idmap *idmap, const char *name,
					      int len, struct dentry *dir)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	return lookup_one(idmap, &QSTR_LEN(name, len), dir);
#else
	return lookup_one(idmap, name, dir, len);
#endif
}

/* Without i_rwsem. */
static inline struct dentry *nexus_lookup_one_unlocked(struct mnt_idmap *idmap, const char *name,
						       int len, struct dentry *dir)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	return lookup_one_unlocked(idmap, &QSTR_LEN(name, len), dir);
#else
	return lookup_one_unlocked(idmap, name, dir, len);
#endif
}

/* Who makes a name may be told of a delegation of the directory since 6.19; we have none. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define nexus_vfs_mknod(idmap, dir, dentry, mode, dev) \
	vfs_mknod(idmap, dir, dentry, mode, dev, NULL)
#else
#define nexus_vfs_mknod(idmap, dir, dentry, mode, dev) \
	vfs_mknod(idmap, dir, dentry, mode, dev)
#endif

/* A write may ask for no SIGPIPE since 6.18. */
static inline bool nexus_iocb_nosignal(const struct kiocb *iocb)
{
#ifdef IOCB_NOSIGNAL
	return iocb->ki_flags & IOCB_NOSIGNAL;
#else
	return false;
#endif
}

/* The name of a symbol namespace is a string since 6.13. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define NEXUS_IMPORT_KUNIT_NS() MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING")
#else
#define NEXUS_IMPORT_KUNIT_NS() MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)
#endif

#endif /* NEXUS_COMPAT_H */
