// SPDX-License-Identifier: GPL-2.0-only
/*
 * nexus_splat: one kind of misbehaviour per load, so that the self-test of the
 * virtual machine runner can see that each makes a run fail.
 *
 * insmod nexus_splat.ko kind=warn
 *
 * The deed is done in a kernel thread: one that dies of it takes nothing of
 * the loading process with it.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *kind = "";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "what to do wrong");

static DECLARE_COMPLETION(done);
static struct kmem_cache *cache;
static void *volatile sink;

static void do_warn(void)
{
	WARN(1, "nexus_splat: asked for");
}

static void do_bug(void)
{
	BUG();
}

static void do_null(void)
{
	int *volatile p = (int *)16;

	*p = 1;
}

static void do_gpf(void)
{
	int *volatile p = (int *)0xdead000000000010UL;

	*p = 1;
}

static void do_refcount(void)
{
	refcount_t r = REFCOUNT_INIT(1);

	refcount_dec(&r);
	refcount_dec(&r);
}

static void do_list(void)
{
	struct list_head head, item;

	INIT_LIST_HEAD(&head);
	list_add(&item, &head);
	head.next = (struct list_head *)&done;
	list_del(&item);
}

/* Neither schedules nor lets a grace period end. */
static void do_spin(void)
{
	unsigned long end = jiffies + 9 * HZ;

	rcu_read_lock();
	preempt_disable();
	while (time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
	rcu_read_unlock();
}

/* Three times the limit: the first look only notes that the task stands. */
static void do_hang(void)
{
	unsigned long end = jiffies + 12 * HZ;

	while (time_before(jiffies, end)) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule_timeout(12 * HZ);
	}
}

static void do_schedule_atomic(void)
{
	preempt_disable();
	schedule();
	preempt_enable();
}

static void do_slab(void)
{
	cache = kmem_cache_create("nexus_splat", 200, 0, SLAB_NO_MERGE, NULL);
	if (cache)
		sink = kmem_cache_alloc(cache, GFP_KERNEL);
}

static void do_might_sleep(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
}

static DEFINE_SPINLOCK(lock_a);
static DEFINE_SPINLOCK(lock_b);

static void do_lock_recursion(void)
{
	static spinlock_t two[2];
	int i;

	/* One class, as any lock that is set up in one place. */
	for (i = 0; i < 2; i++)
		spin_lock_init(&two[i]);
	spin_lock(&two[0]);
	spin_lock(&two[1]);
	spin_unlock(&two[1]);
	spin_unlock(&two[0]);
}

static void do_lock_circle(void)
{
	spin_lock(&lock_a);
	spin_lock(&lock_b);
	spin_unlock(&lock_b);
	spin_unlock(&lock_a);
	spin_lock(&lock_b);
	spin_lock(&lock_a);
	spin_unlock(&lock_a);
	spin_unlock(&lock_b);
}

static void do_rcu_usage(void)
{
	static int value;
	static int __rcu *pointer = (int __rcu __force *)&value;

	sink = rcu_dereference(pointer);
}

static void do_kasan(void)
{
	char *volatile p = kmalloc(100, GFP_KERNEL);

	kfree(p);
	WRITE_ONCE(*p, 1);
}

static void do_kasan_vmalloc(void)
{
	char *volatile p = vmalloc(100);

	if (p)
		WRITE_ONCE(p[200], 1);
	vfree(p);
}

static void do_ubsan(void)
{
	volatile int by = 40, one = 1;

	sink = (void *)(long)(one << by);
}

static void never(struct timer_list *timer)
{
}

static void do_odebug(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, never, 0);
	mod_timer(timer, jiffies + 3600 * HZ);
	kfree(timer);
}

static void do_kmemleak(void)
{
	int i;

	for (i = 0; i < 20; i++)
		sink = kmalloc(777, GFP_KERNEL);
	sink = NULL;
}

static int raced;

static int racer(void *stop)
{
	while (!completion_done(stop)) {
		raced++;
		cpu_relax();
		cond_resched();
	}
	return 0;
}

static void do_race(void)
{
	static DECLARE_COMPLETION(stop);
	struct task_struct *other = kthread_run(racer, &stop, "nexus_racer");
	unsigned long end = jiffies + 10 * HZ;

	if (IS_ERR(other))
		return;
	get_task_struct(other);
	while (time_before(jiffies, end)) {
		raced++;
		cpu_relax();
		cond_resched();
	}
	complete_all(&stop);
	while (!READ_ONCE(other->exit_state))
		msleep(20);
	put_task_struct(other);
}

static const struct deed {
	const char *name;
	void (*run)(void);
} deeds[] = {
	{ "warn", do_warn },
	{ "bug", do_bug },
	{ "null", do_null },
	{ "gpf", do_gpf },
	{ "refcount", do_refcount },
	{ "list", do_list },
	{ "spin", do_spin },
	{ "hang", do_hang },
	{ "schedule-atomic", do_schedule_atomic },
	{ "slab", do_slab },
	{ "might-sleep", do_might_sleep },
	{ "lock-recursion", do_lock_recursion },
	{ "lock-circle", do_lock_circle },
	{ "rcu-usage", do_rcu_usage },
	{ "kasan", do_kasan },
	{ "kasan-vmalloc", do_kasan_vmalloc },
	{ "ubsan", do_ubsan },
	{ "odebug", do_odebug },
	{ "kmemleak", do_kmemleak },
	{ "race", do_race },
};

static int doer(void *data)
{
	const struct deed *deed = data;

	deed->run();
	complete(&done);
	return 0;
}

static int __init splat_init(void)
{
	struct task_struct *task;
	int i;

	for (i = 0; i < ARRAY_SIZE(deeds); i++)
		if (!strcmp(kind, deeds[i].name))
			break;
	if (i == ARRAY_SIZE(deeds)) {
		pr_err("nexus_splat: no kind '%s'\n", kind);
		return -EINVAL;
	}
	task = kthread_create(doer, (void *)&deeds[i], "nexus_splat");
	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task_struct(task);
	wake_up_process(task);
	/* It ends by being done or by dying; its text may go after that. */
	while (!READ_ONCE(task->exit_state))
		msleep(20);
	put_task_struct(task);
	return 0;
}

static void __exit splat_exit(void)
{
	kmem_cache_destroy(cache);
}

module_init(splat_init);
module_exit(splat_exit);
MODULE_DESCRIPTION("Misbehaves on request, for the self-test of the runner");
MODULE_LICENSE("GPL");
