#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# cache_limit: more is written than may be here; what was used the longest ago goes and
# comes back when it is read; while the store is down writers wait, and then are told.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/mnt/cachelimit
kinds="$here/presence.py"
# MiB, not less than 8 packs; a check has time for little.
if [ -n "${NEXUS_LOOPS:-}" ]; then limit=48; else limit=32; fi

control() {
	mkdir -p "$away"
	printf '%s\n' "$@" > "$away/control.new"
	mv "$away/control.new" "$away/control"
}

# need ZONE [LINE...]: a new one each time; settings of the helper.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	zone=cachelimit-$1
	away=/var/lib/nexusfs/cachelimit/$zone
	packs=/var/lib/nexusfs/zones/$zone/packs
	control
	mkdir -p /etc/nexusfs $mnt
	printf '%s\n' "content: test:$away" "checkpoint_interval: 0" "upload_delay: 1" "cache_limit: ${limit}M" \
		"${@:2}" > /etc/nexusfs/nexusd.yaml
	kill_helper
	until_true 60 nexusctl status
	nexusctl zone create "$zone" --option pack_size=4M
	mount -t nexusfs "$zone" $mnt
}

tap_cleanup() {
	rm -f /var/lib/nexusfs/cachelimit/*/control
	umount $mnt 2> /dev/null || true
	rm -f /etc/nexusfs/nexusd.yaml
}

forget() { echo 3 > /proc/sys/vm/drop_caches; }
fill() { python3 "$kinds" fill "$@"; }
check() { python3 "$kinds" "$@"; }
counter() { nexusctl stats | awk -v n="nexus_helper_$1_total" '$1 == n { print $2 }'; }
gauge() { nexusctl stats | awk -v n="nexus_zone_$1{zone=\"$zone\"}" '$1 == n { print $2 }'; }
host_mib() { du -sm "$packs" | cut -f 1; }
small() { [ "$(host_mib)" -le $limit ]; }
# What the helper says of it follows what it punches.
said_small() { [ "$(gauge content_here_bytes)" -le $((limit << 20)) ]; }
elsewhere() { nexusctl pack verify --json "$zone" | python3 -c 'import json, sys
print(json.load(sys.stdin)["away"])'; }

# Three times as much as may be here, all of it right, twice; never much more than the limit.
test_limit() {
	need limit
	local i before
	before=$(counter evictions)
	for i in 1 2 3 4 5 6; do
		fill $mnt/$i $((limit / 2)) "$i"
		sync -f $mnt
		[ "$(host_mib)" -le $((limit + 12)) ]
	done
	until_true 180 small
	# Packs of 4 MiB, and what is left is within the limit.
	[ $(($(counter evictions) - before)) -ge $((limit * 5 / 12)) ]
	until_true 60 said_small
	forget
	for i in 1 2 3 4 5 6; do
		check read $mnt/$i $((limit / 2)) "$i"
		forget
	done
	until_true 180 small
	umount $mnt
	fsck.nexusfs "$zone"
	mount -t nexusfs "$zone" $mnt
	for i in 6 3 1; do
		check read $mnt/$i $((limit / 2)) "$i"
	done
	nexusctl pack verify "$zone"
}

# Several read more than may be here, each something else: what one has fetched goes before
# another has read it, and comes again.  Nobody is told of it.
test_beside() {
	need beside
	local i pid pids=()
	for i in 1 2 3 4 5 6; do
		fill $mnt/$i $((limit / 2)) "$i"
		sync -f $mnt
	done
	nexusctl flush "$zone"
	until_true 180 small
	forget
	for i in 1 2 3 4 5 6; do
		if [ $((i % 2)) = 0 ]; then
			check read $mnt/$i $((limit / 2)) "$i" &
		else
			check direct $mnt/$i $((limit / 2)) "$i" &
		fi
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
}

# What is read all the time stays, however old it is.
test_used() {
	# More than is written between two reads.
	local limit=96 i fetched
	need used
	fill $mnt/hot 8 1
	sync -f $mnt
	fetched=$(counter fetched_bytes)
	for i in 2 3 4 5 6 7 8 9 10 11 12 13; do
		fill $mnt/$i 8 "$i"
		sync -f $mnt
		nexusctl flush "$zone"
		check direct $mnt/hot 8 1
	done
	until_true 180 small
	check direct $mnt/hot 8 1
	[ "$(counter fetched_bytes)" = "$fetched" ]
	check direct $mnt/2 8 2
	[ "$(counter fetched_bytes)" -gt "$fetched" ]
}

# The store is down: what is here is read, writers go on until it is full, wait, and are told.
test_down() {
	need down "origin_timeout: 4"
	local i begun
	fill $mnt/old 12 1
	sync -f $mnt
	nexusctl flush "$zone"
	control down
	begun=$SECONDS
	i=0
	while fill "$mnt/new$i" 8 $i 2> "$tap_tmp/why"; do
		i=$((i + 1))
		[ $i -lt 20 ]
	done
	grep -q 'No space left' "$tap_tmp/why"
	[ $((SECONDS - begun)) -ge 4 ]
	[ "$(host_mib)" -le $((limit + 12)) ]
	# Nothing went that nobody could bring back; names and what is here are as ever.
	[ "$(elsewhere)" = 0 ]
	forget
	check read $mnt/old 12 1
	mkdir $mnt/d
	mv $mnt/old $mnt/d/old
	check read $mnt/d/old 12 1
	nexusctl status | grep -q "$zone.*to put"
	nexusctl status | grep -q 'full'
	[ "$(gauge cache_full)" = 1 ]
	[ "$(counter cache_refusals)" -ge 1 ]
	# A file of which the end is missing.
	rm "$mnt/new$i"
	control
	until_true 90 fill $mnt/again 8 99
	sync -f $mnt
	nexusctl flush "$zone"
	until_true 180 small
	forget
	check read $mnt/again 8 99
	check read $mnt/d/old 12 1
	check read $mnt/new0 8 0
	until_true 20 works
}

works() { [ "$(gauge cache_full)" = 0 ] && ! nexusctl status | grep -q 'full'; }

# A writer that waits can be killed, and one that waits for less than it takes goes on.
test_waits() {
	need waits "origin_timeout: 600"
	local pid
	control down
	fill $mnt/a 64 1 &
	pid=$!
	until_true 60 waits
	kill -9 $pid
	until_true 5 dead $pid
	wait $pid || true
	fill $mnt/b 24 2 &
	pid=$!
	until_true 60 waits
	control
	wait $pid
	sync -f $mnt
	forget
	check read $mnt/b 24 2
}

# Somebody sleeps in the kernel for a pack.
waits() { grep -q nexus_packs_reserve /proc/[0-9]*/stack 2> /dev/null; }

# A check has time for these; the long part 62-faults runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] || set -- test_limit test_beside test_down
tap_main "$@"
