#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Space that dies inside of packs comes back to the host, while files are read,
# written and cloned, while the helper dies, and over remounts.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zone=space
mnt=/mnt/space

# A zone of small packs, made once.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	mkdir -p $mnt
	[ -e /var/lib/nexusfs/zones/$zone ] || nexusctl zone create $zone --option pack_size=4M
	mountpoint -q $mnt || mount -t nexusfs $zone $mnt
	rm -rf ${mnt:?}/*
}

tap_cleanup() {
	umount $mnt 2> /dev/null || true
}

at_most() { [ "$(sealed_kib $zone)" -le "$1" ]; }
counter() { nexusctl stats | awk -v n="nexus_helper_$1_total" '$1 == n { print $2 }'; }

# scatter FILE MIB EACH STEP SEED: writes EACH KiB at every STEP KiB, or all of it
# in order where they are equal; what it writes follows from place and seed.
scatter() {
	python3 - "$@" <<- 'END'
		import os, random, sys
		name, (mib, each, step, seed) = sys.argv[1], map(int, sys.argv[2:])
		fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
		at = list(range(0, mib << 10, step))
		if each != step:
		    random.Random(seed).shuffle(at)
		for k in at:
		    os.pwrite(fd, (b"%15d\n" % (k + seed)) * (each << 6), k << 10)
		    if each != step and k % 64 == 0:
		        os.sync_file_range(fd, 0, 0, 2) if hasattr(os, "sync_file_range") else None
		os.fsync(fd)
	END
}

sums() { (cd $mnt && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

same() {
	sums > "$tap_tmp/after"
	diff "$tap_tmp/sums" "$tap_tmp/after"
}

same_everywhere() {
	same
	echo 3 > /proc/sys/vm/drop_caches
	same
	umount $mnt
	# The helper may be in the middle of a pack.
	fsck.nexusfs $zone
	mount -t nexusfs $zone $mnt
	same
	echo 3 > /proc/sys/vm/drop_caches
	same
}

# Much is left of each pack, so it is not moved.  What is overwritten a second time was
# in packs of its own, which go as a whole.
# Scenario A21.
test_punch() {
	need
	local punched
	scatter $mnt/file 24 64 64 1
	sync -f $mnt
	punched=$(counter punched_bytes)
	scatter $mnt/file 24 16 64 2
	scatter $mnt/file 24 16 64 3
	sums > "$tap_tmp/sums"
	until_true 60 punched_since $((punched + (4 << 20)))
	until_true 60 at_most $((25 * 1024 + 512))
	same_everywhere
	nexusctl pack verify $zone
	rm $mnt/file
	until_true 60 at_most 1024
}

punched_since() { [ "$(counter punched_bytes)" -ge "$1" ]; }

# Little is left of each pack, in pieces: it is moved.
# Scenario A21.
test_compact() {
	need
	local moves
	scatter $mnt/file 24 64 64 1
	echo small > $mnt/small
	sync -f $mnt
	moves=$(counter moves)
	# Three of four blocks, and never in one piece.
	scatter $mnt/file 24 12 16 2
	sums > "$tap_tmp/sums"
	until_true 60 moved_since "$moves"
	until_true 60 at_most $((25 * 1024 + 512))
	same_everywhere
	nexusctl pack verify $zone
}

moved_since() { [ "$(counter moves)" -gt "$1" ]; }

# Files that nobody has looked at since the mount: the kernel asks for them.
test_compact_unknown() {
	need
	local moved i
	scatter $mnt/file 12 64 64 1
	for i in $(seq 40); do
		scatter $mnt/small"$i" 1 64 1024 "$i"
	done
	sync -f $mnt
	scatter $mnt/file 12 12 16 2
	sums > "$tap_tmp/sums"
	moved=$(counter compacted_bytes)
	umount $mnt
	mount -t nexusfs $zone $mnt
	nexusctl pack compact $zone --all
	[ "$(counter compacted_bytes)" -ge $((moved + (2 << 20))) ]
	same_everywhere
	nexusctl pack verify $zone
}

sealed() { nexusctl pack list $zone | awk '$2 == "sealed" && $5 { print $1, $5 }'; }
# Those of which less is alive than their tables take.
small_at_most() { [ "$(sealed | awk '$2 <= 9' | wc -l)" -le "$1" ]; }

# Nothing was looked at for longer than a pass takes to come.
settled() {
	local n
	n=$(counter packs_surveyed)
	sleep 9
	[ "$(counter packs_surveyed)" = "$n" ]
}

# Six changes after which nothing of $zone or another zone is looked at, or moves.
quiet_round() {
	local moves looked before
	moves=$(counter moves)
	looked=$(counter packs_surveyed)
	before=$(sealed)
	for _ in 1 2 3 4 5 6; do
		changes=$((changes + 1))
		mkdir $mnt/d$changes
		sync -f $mnt
		sleep 1
	done
	[ "$(counter moves) $(counter packs_surveyed) $(sealed)" = "$moves $looked $before" ]
}

# a_mount N: with one more pack, of two blocks.
a_mount() {
	umount $mnt
	mount -t nexusfs $zone $mnt
	head -c 8192 /dev/urandom > $mnt/"$1"
	sync -f $mnt
}

# What can be no smaller is left alone, whatever else happens; several are made one.
test_small() {
	need
	local i moves changes=0
	for i in 1 2 3 4; do
		a_mount "$i"
	done
	a_mount 5
	sums > "$tap_tmp/sums"
	# What there was before is looked at first.
	until_true 60 settled
	# Packs of other zones come back after ever longer.
	until_true 6 quiet_round
	moves=$(counter moves)
	for i in 6 7 8 9 10 11 12; do
		a_mount "$i"
	done
	sums > "$tap_tmp/sums"
	# Nobody has looked at most of them since.
	umount $mnt
	mount -t nexusfs $zone $mnt
	until_true 60 moved_since "$moves"
	mkdir $mnt/last
	sync -f $mnt
	until_true 60 small_at_most 7
	same_everywhere
	nexusctl pack verify $zone
}

# Asked for, of everything, while files are written, read, cloned and cut.
test_compact_under_load() {
	need
	local i pids=()
	scatter $mnt/still 12 64 64 5
	scatter $mnt/still 12 16 32 6
	for i in 1 2; do
		scatter $mnt/busy$i 6 64 64 "$i"
	done
	sync -f $mnt
	sums | grep still > "$tap_tmp/still"
	(
		n=10
		while [ ! -e "$tap_tmp/stop" ]; do
			n=$((n + 1))
			scatter $mnt/busy1 6 8 32 $n
			cp --reflink=always $mnt/busy1 $mnt/clone
			cmp $mnt/busy1 $mnt/clone || echo "clone differs"
			truncate -s 3M $mnt/busy2
			scatter $mnt/busy2 6 8 32 $n
		done
	) > "$tap_tmp/writer" 2>&1 &
	pids+=($!)
	(
		while [ ! -e "$tap_tmp/stop" ]; do
			echo 3 > /proc/sys/vm/drop_caches
			sums | grep still | diff "$tap_tmp/still" -
		done
	) > "$tap_tmp/reader" 2>&1 &
	pids+=($!)
	for i in 1 2 3; do
		nexusctl pack compact $zone --all
	done
	touch "$tap_tmp/stop"
	wait "${pids[@]}"
	diff /dev/null "$tap_tmp/writer"
	diff /dev/null "$tap_tmp/reader"
	moved_since 0
	sums > "$tap_tmp/sums"
	same_everywhere
	nexusctl pack verify $zone
}

# The helper dies while it moves, again and again; the next one goes on.
test_compact_killed() {
	need
	local i
	scatter $mnt/file 16 64 64 7
	cp --reflink=always $mnt/file $mnt/clone
	scatter $mnt/file 16 12 16 8
	sync -f $mnt
	sums > "$tap_tmp/sums"
	for i in 0.2 0.7 1.5; do
		nexusctl pack compact $zone --all > /dev/null 2>&1 &
		sleep "$i"
		kill_helper
		wait $! || true
		until_true 60 nexusctl status
		same
	done
	until_true 60 nexusctl pack compact $zone --all
	same_everywhere
	nexusctl pack verify $zone
}

# A check has time for the first two; the long part 56 runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] || set -- test_punch test_compact test_compact_unknown test_small
tap_main "$@"
