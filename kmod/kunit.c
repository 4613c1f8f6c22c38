// SPDX-License-Identifier: GPL-2.0-only
/* What the KUnit module uses of this one; only built when the kernel has KUnit. */
#include <kunit/visibility.h>

#include "chan/chan.h"
#include "lease.h"
#include "log/log.h"
#include "ring/ring.h"
#include "stream/stream.h"
#include "../lib/omap.h"
#include "../lib/plock.h"

/* Here and not beside each function: lib/ is compiled for userspace, too. */
#define NEXUS_SHOW(symbol)	EXPORT_SYMBOL_IF_KUNIT(symbol)

NEXUS_SHOW(nexus_fs_type);
NEXUS_SHOW(nexus_count_read);
NEXUS_SHOW(nexus_opts_differ);

NEXUS_SHOW(nexus_zone_alloc);
NEXUS_SHOW(nexus_zone_put);
NEXUS_SHOW(nexus_zone_fail);
NEXUS_SHOW(nexus_zone_grab_sb);
NEXUS_SHOW(nexus_zone_new_ino);
NEXUS_SHOW(nexus_zone_add_ino_range);
NEXUS_SHOW(nexus_lock_inodes);
NEXUS_SHOW(nexus_unlock_inodes);

NEXUS_SHOW(nexus_log_start);
NEXUS_SHOW(nexus_log_stop);
NEXUS_SHOW(nexus_log_append);
NEXUS_SHOW(nexus_log_reserve);
NEXUS_SHOW(nexus_log_reserve_late);
NEXUS_SHOW(nexus_log_may_batch);
NEXUS_SHOW(nexus_log_has_data);
NEXUS_SHOW(nexus_log_plenty);
NEXUS_SHOW(nexus_log_unreserve);
NEXUS_SHOW(nexus_log_report);
NEXUS_SHOW(nexus_log_flush);
NEXUS_SHOW(nexus_log_tail);
NEXUS_SHOW(nexus_log_durable);
NEXUS_SHOW(nexus_log_applied);
NEXUS_SHOW(nexus_resv_move);
NEXUS_SHOW(nexus_mutate);

NEXUS_SHOW(nexus_att_alloc);
NEXUS_SHOW(nexus_att_free);
NEXUS_SHOW(nexus_att_send);
NEXUS_SHOW(nexus_att_requests);
NEXUS_SHOW(nexus_queue_drain);
NEXUS_SHOW(nexus_queue_drop);
NEXUS_SHOW(nexus_rq_end);
NEXUS_SHOW(nexus_rq_put);
NEXUS_SHOW(nexus_session_attach);
NEXUS_SHOW(nexus_session_find);
NEXUS_SHOW(nexus_session_is_own);
NEXUS_SHOW(nexus_session_lookup);
NEXUS_SHOW(nexus_session_lost);
NEXUS_SHOW(nexus_session_put);

NEXUS_SHOW(nexus_plock_init);
NEXUS_SHOW(nexus_plock_fini);
NEXUS_SHOW(nexus_plock_place);
NEXUS_SHOW(nexus_plock_unplace);
NEXUS_SHOW(nexus_plock_take);
NEXUS_SHOW(nexus_plock_waits);
NEXUS_SHOW(nexus_plock_leave);
NEXUS_SHOW(nexus_plock_release);

NEXUS_SHOW(nexus_leases_max);
NEXUS_SHOW(nexus_leases_load);
NEXUS_SHOW(nexus_lease_change);
NEXUS_SHOW(nexus_lease_copy);
NEXUS_SHOW(nexus_leases_sweep);

NEXUS_SHOW(nexus_credit_init);
NEXUS_SHOW(nexus_credit_take);
NEXUS_SHOW(nexus_credit_return);
NEXUS_SHOW(nexus_credit_enqueue);
NEXUS_SHOW(nexus_credit_waits);
NEXUS_SHOW(nexus_credit_leave);
NEXUS_SHOW(nexus_credit_give);
NEXUS_SHOW(nexus_credit_given);
NEXUS_SHOW(nexus_credit_shrink);
NEXUS_SHOW(nexus_credit_break);
NEXUS_SHOW(nexus_credit_mend);
NEXUS_SHOW(nexus_credit_ready);
NEXUS_SHOW(nexus_ring_fops);
NEXUS_SHOW(nexus_ring_resize);
NEXUS_SHOW(nexus_rings_free);

NEXUS_SHOW(nexus_stream_set);
NEXUS_SHOW(nexus_stream_pack_opts);
NEXUS_SHOW(nexus_stream_record_max);
NEXUS_SHOW(nexus_stream_append);
NEXUS_SHOW(nexus_stream_trim);
NEXUS_SHOW(nexus_stream_wait);
NEXUS_SHOW(nexus_stream_next);
NEXUS_SHOW(nexus_stream_end);

NEXUS_SHOW(nexus_crc32c);
NEXUS_SHOW(nexus_crc32c_table);
NEXUS_SHOW(nexus_crc32c_fast);
NEXUS_SHOW(nexus_get_be64);
NEXUS_SHOW(nexus_key_inode);
NEXUS_SHOW(nexus_key_dirent);
NEXUS_SHOW(nexus_key_name);
NEXUS_SHOW(nexus_val_seal);
NEXUS_SHOW(nexus_val_check);
NEXUS_SHOW(nexus_name_ok);
NEXUS_SHOW(nexus_label_ok);

NEXUS_SHOW(nexus_rec_create_len);
NEXUS_SHOW(nexus_rec_name_len);
NEXUS_SHOW(nexus_rec_rename_len);
NEXUS_SHOW(nexus_rec_init);
NEXUS_SHOW(nexus_rec_create_body);
NEXUS_SHOW(nexus_rec_link);
NEXUS_SHOW(nexus_rec_unlink);
NEXUS_SHOW(nexus_rec_rename);
NEXUS_SHOW(nexus_rec_setxattr);
NEXUS_SHOW(nexus_rec_removexattr);
NEXUS_SHOW(nexus_rec_forget);
NEXUS_SHOW(nexus_rec_bulk);
NEXUS_SHOW(nexus_rec_check);
NEXUS_SHOW(nexus_rec_name);
NEXUS_SHOW(nexus_batch_size);
NEXUS_SHOW(nexus_batch_crc);
NEXUS_SHOW(nexus_batch_check);

NEXUS_SHOW(nexus_omap_init);
NEXUS_SHOW(nexus_omap_destroy);
NEXUS_SHOW(nexus_omap_lower);
NEXUS_SHOW(nexus_apply);
NEXUS_SHOW(nexus_apply_mkfs);
NEXUS_SHOW(nexus_read);
NEXUS_SHOW(nexus_reply_check);
