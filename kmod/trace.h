/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of rings and path locks: /sys/kernel/tracing/events/nexusfs.  Each is a
 * nop until it is switched on.  Documentation/statistics.md says what they mean.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nexusfs

#if !defined(NEXUS_KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NEXUS_KMOD_TRACE_H

#include <linux/tracepoint.h>

#include "nexusfs.h"
#include "ring/ring.h"

DECLARE_EVENT_CLASS(nexus_ring_moved,
	TP_PROTO(const struct nexus_ring *ring, u32 messages, u64 bytes),
	TP_ARGS(ring, messages, bytes),
	TP_STRUCT__entry(
		__string(zone, ring->zone->name)
		__field(u64, ino)
		__field(u64, bytes)
		__field(u32, messages)
	),
	TP_fast_assign(
		__assign_str(zone);
		__entry->ino = ring->ino;
		__entry->bytes = bytes;
		__entry->messages = messages;
	),
	TP_printk("zone %s ino %llu messages %u bytes %llu", __get_str(zone),
		  __entry->ino, __entry->messages, __entry->bytes)
);

DEFINE_EVENT(nexus_ring_moved, ring_send,
	TP_PROTO(const struct nexus_ring *ring, u32 messages, u64 bytes),
	TP_ARGS(ring, messages, bytes)
);

DEFINE_EVENT(nexus_ring_moved, ring_recv,
	TP_PROTO(const struct nexus_ring *ring, u32 messages, u64 bytes),
	TP_ARGS(ring, messages, bytes)
);

TRACE_EVENT(ring_wait,
	TP_PROTO(const struct nexus_ring *ring, const struct nexus_ring_side *side, u64 need),
	TP_ARGS(ring, side, need),
	TP_STRUCT__entry(
		__string(zone, ring->zone->name)
		__field(u64, ino)
		__field(u64, need)
		__field(bool, send)
	),
	TP_fast_assign(
		__assign_str(zone);
		__entry->ino = ring->ino;
		__entry->need = need;
		__entry->send = side == &ring->send;
	),
	TP_printk("zone %s ino %llu to %s %llu", __get_str(zone), __entry->ino,
		  __entry->send ? "send bytes" : "receive messages", __entry->need)
);

TRACE_EVENT(ring_close,
	TP_PROTO(const struct nexus_ring *ring),
	TP_ARGS(ring),
	TP_STRUCT__entry(
		__string(zone, ring->zone->name)
		__field(u64, ino)
	),
	TP_fast_assign(
		__assign_str(zone);
		__entry->ino = ring->ino;
	),
	TP_printk("zone %s ino %llu", __get_str(zone), __entry->ino)
);

#define nexus_show_plock_kind(kind) \
	__print_symbolic(kind, { NEXUS_PLOCK_NONE, "none" }, \
			 { NEXUS_PLOCK_SHARED, "shared" }, \
			 { NEXUS_PLOCK_EXCLUSIVE, "exclusive" })

DECLARE_EVENT_CLASS(nexus_plock_asked,
	TP_PROTO(const struct inode *inode, u32 kind),
	TP_ARGS(inode, kind),
	TP_STRUCT__entry(
		__string(zone, NEXUS_I(inode)->zone->name)
		__field(u64, ino)
		__field(u32, kind)
	),
	TP_fast_assign(
		__assign_str(zone);
		__entry->ino = inode->i_ino;
		__entry->kind = kind;
	),
	TP_printk("zone %s ino %llu %s", __get_str(zone), __entry->ino,
		  nexus_show_plock_kind(__entry->kind))
);

DEFINE_EVENT(nexus_plock_asked, plock_wait,
	TP_PROTO(const struct inode *inode, u32 kind),
	TP_ARGS(inode, kind)
);

DEFINE_EVENT(nexus_plock_asked, plock_granted,
	TP_PROTO(const struct inode *inode, u32 kind),
	TP_ARGS(inode, kind)
);

TRACE_EVENT(plock_refused,
	TP_PROTO(const struct inode *inode, u32 kind, int error),
	TP_ARGS(inode, kind, error),
	TP_STRUCT__entry(
		__string(zone, NEXUS_I(inode)->zone->name)
		__field(u64, ino)
		__field(u32, kind)
		__field(int, error)
	),
	TP_fast_assign(
		__assign_str(zone);
		__entry->ino = inode->i_ino;
		__entry->kind = kind;
		__entry->error = error;
	),
	TP_printk("zone %s ino %llu %s error %d", __get_str(zone), __entry->ino,
		  nexus_show_plock_kind(__entry->kind), __entry->error)
);

/* Also by the end of the open file. */
TRACE_EVENT(plock_released,
	TP_PROTO(const struct inode *inode),
	TP_ARGS(inode),
	TP_STRUCT__entry(
		__string(zone, NEXUS_I(inode)->zone->name)
		__field(u64, ino)
	),
	TP_fast_assign(
		__assign_str(zone);
		__entry->ino = inode->i_ino;
	),
	TP_printk("zone %s ino %llu", __get_str(zone), __entry->ino)
);

#endif /* NEXUS_KMOD_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
