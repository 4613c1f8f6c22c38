// SPDX-License-Identifier: Apache-2.0
/* A zone made again out of its content store. */
#include "offline_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "restore.h"

/*
 * Half-made zones are cleared by whoever takes the lock of the data directory: so it is held,
 * unless a helper has it, which has done that.
 */
static int lock_data(const struct config *cfg, int *lock, struct errline *err)
{
	int ret = store_open_data(cfg, lock, err);

	if (ret != -EBUSY)
		return ret;
	*lock = -1;
	err->msg[0] = '\0';
	return 0;
}

/*
 * Who ends it does not want what is half-made here, nor that this machine stays the owner of
 * the store.
 */
static atomic_bool stopped;

static void on_signal(int sig)
{
	(void)sig;
	atomic_store(&stopped, true);
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old, act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		/* As nohup(1) wants it, or a shell of what is in the background. */
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
}

int offline_restore(struct offline *o, const char *spec, bool take_over, bool unfenced,
		    struct offline_restored *done)
{
	const struct atrest_args args = { .data_dir = o->data_dir, .config = o->config };
	const struct restore_args ra = { .spec = spec, .name = o->zone, .take_over = take_over,
					.stop = &stopped };
	struct config *cfg = malloc(sizeof(*cfg));
	struct errline err = { "" };
	struct restored r = { 0 };
	int lock = -1, ret;

	log_set_level(LOG_L_ERROR);
	ret = cfg ? atrest_settings(cfg, &args, &err) : -ENOMEM;
	if (!ret && !content_spec_ok(spec))
		ret = err_set(&err, -EINVAL, "\"%.200s\" names no content store", spec);
	if (!ret)
		ret = lock_data(cfg, &lock, &err);
	if (!ret) {
		cfg->content_unfenced |= unfenced;
		content_set_dir(cfg->drivers_dir);
		catch_signals();
		ret = zone_restore(cfg, &ra, &r, &err);
	}
	if (lock >= 0)
		close(lock);
	free(cfg);
	*done = (struct offline_restored){
		.epoch = r.epoch, .checkpoint = r.checkpoint, .end = r.end, .time_s = r.time_s,
		.packs = r.packs,
	};
	memcpy(done->note, r.note, sizeof(done->note));
	return ret ? offline_failed(o, ret, &err) : 0;
}
