/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the helper. */
#ifndef NEXUSD_STATS_H
#define NEXUSD_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(name, help); shown as nexus_helper_NAME_total. */
#define STATS_COUNTERS(X) \
	X(requests,		"requests answered") \
	X(requests_failed,	"requests answered with an error") \
	X(requests_deferred,	"requests that went to a worker") \
	X(batches,		"turns of queues in which requests were answered") \
	X(commits,		"COMMIT commands") \
	X(waits,		"WAIT commands") \
	X(polls,		"times a queue looked for requests before it slept") \
	X(poll_hits,		"times it found some") \
	X(yields,		"times a queue let callers on its CPU run before it slept") \
	X(yield_hits,		"times they had asked again") \
	X(applied_inline,	"times a request applied records itself") \
	X(zones_opened,		"zones opened for a mount") \
	X(zones_taken_over,	"zones taken over from another helper") \
	X(packs_opened,		"packs handed over for reading") \
	X(scrub_runs,		"scrubs that came to their end") \
	X(scrub_blocks,		"blocks scrubs have read") \
	X(scrub_problems,	"blocks scrubs found damaged or could not read") \
	X(packs_surveyed,	"packs looked through for dead blocks") \
	X(punched_bytes,	"bytes of dead blocks given back to the host") \
	X(compacted_packs,	"packs whose live blocks were moved") \
	X(compacted_bytes,	"bytes of live blocks moved") \
	X(moves,		"records that moved blocks") \
	X(moves_skipped,	"pieces that had changed before they were moved, or are damaged") \
	X(retire_refused,	"times the module refused to give dead blocks up") \
	X(fetches,		"pieces of packs fetched from elsewhere") \
	X(fetched_bytes,	"bytes fetched") \
	X(fetch_shared,		"times a piece was waited for that somebody else was fetching") \
	X(fetch_errors,		"times what was fetched was short, damaged or not to be had") \
	X(evicted_bytes,	"bytes given back to the host that are held elsewhere") \
	X(evictions,		"packs of which something was, to keep cache_limit and cache_free") \
	X(cache_full,		"times those could not be kept, and no pack was left to evict") \
	X(cache_refusals,	"times writers were told so, after origin_timeout") \
	X(bucket_lists,		"pages listed of buckets that are mounted") \
	X(bucket_gets,		"ranges read of their objects") \
	X(bucket_bytes,		"bytes of those") \
	X(bucket_errors,	"times either failed") \
	X(bucket_stale,		"times an object was another one than was listed, or gone") \
	X(bucket_hidden,	"keys found that cannot be shown") \
	X(uploads,		"packs put to what holds copies of them") \
	X(uploaded_bytes,	"bytes of them") \
	X(upload_deletes,	"copies deleted of packs that are gone") \
	X(upload_errors,	"times a pack could not be put, or a copy not deleted") \
	X(gc_runs,		"times content stores were looked through to the end") \
	X(gc_listed,		"objects that gc was told of") \
	X(gc_leaked,		"of them, those that nobody needed") \
	X(gc_deleted,		"of those, deleted") \
	X(gc_missing,		"packs that gc did not find, and should have") \
	X(gc_errors,		"times gc ended early, and objects that could not be deleted") \
	X(service_loads,	"services loaded") \
	X(service_unloads,	"services unloaded") \
	X(service_swaps,	"services replaced by another build") \
	X(service_refusals,	"times loading, unloading or swapping one was refused") \
	X(service_calls,	"calls into services") \
	X(service_overruns,	"calls that did not return in their time") \
	X(service_quarantines,	"services quarantined") \
	X(service_leaks,	"references that services did not give back") \
	X(cache_hits,		"values that services found in the cache store") \
	X(cache_misses,		"values that were not there") \
	X(cache_sets,		"values put there") \
	X(cache_set_errors,	"times that failed") \
	X(cache_deletes,	"values taken away, one or by pattern") \
	X(cache_messages,	"messages published") \
	X(cache_switches,	"times the helper took over from a server that was lost")

enum stats_counter {
#define X(name, help) STATS_##name,
	STATS_COUNTERS(X)
#undef X
	STATS_MAX
};

extern _Atomic uint64_t stats_values[STATS_MAX];

#define stats_add(name, n) \
	atomic_fetch_add_explicit(&stats_values[STATS_##name], n, memory_order_relaxed)
#define stats_inc(name)	stats_add(name, 1)

const char *stats_name(enum stats_counter c);
const char *stats_help(enum stats_counter c);

#endif /* NEXUSD_STATS_H */
