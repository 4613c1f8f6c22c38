#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Content that is not here: evicted, fetched again by every kind of read, held back,
# delayed, cut short, damaged; while the helper dies, and over remounts.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zone=presence
mnt=/mnt/presence
packs=/var/lib/nexusfs/zones/$zone/packs
away=/var/lib/nexusfs/elsewhere
settings=/etc/nexusfs/nexusd.yaml
kinds="$here/presence.py"

# A helper that keeps content in a directory, and a zone of small packs.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	control
	if ! grep -qs "$away" $settings; then
		mkdir -p /etc/nexusfs $away
		printf 'content: test:%s\ncheckpoint_interval: 0\nfetch_limit: 4M\nfetch_ahead: 2M\n' $away > $settings
		kill_helper
		until_true 60 nexusctl status
	fi
	mkdir -p $mnt
	[ -e /var/lib/nexusfs/zones/$zone ] || nexusctl zone create $zone --option pack_size=4M
	mountpoint -q $mnt || mount -t nexusfs $zone $mnt
	rm -rf ${mnt:?}/*
}

tap_cleanup() {
	control
	umount $mnt 2> /dev/null || true
}

# control [LINE...]: what goes wrong from now on.
control() {
	mkdir -p $away
	printf '%s\n' "$@" > $away/control.new
	mv $away/control.new $away/control
}

sealed() {
	nexusctl pack list --json $zone | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["state"] == "sealed" and p["live"]:
        print(p["pack"])'
}

# Everything that is sealed goes, from memory, too.
evict() {
	local list
	until_true 60 has_sealed $zone $mnt 1
	mapfile -t list < <(sealed)
	[ ${#list[@]} -gt 0 ]
	nexusctl pack evict $zone "${list[@]}"
	echo 3 > /proc/sys/vm/drop_caches
}

forget() { echo 3 > /proc/sys/vm/drop_caches; }

host_kib() { du -sk $packs | cut -f 1; }
counter() { nexusctl stats | awk -v n="nexus_helper_$1_total" '$1 == n { print $2 }'; }
gauge() { nexusctl stats | awk -v n="nexus_zone_$1{zone=\"$zone\"}" '$1 == n { print $2 }'; }
elsewhere() { nexusctl pack verify --json $zone | python3 -c 'import json, sys
print(json.load(sys.stdin)["away"])'; }

fill() { python3 "$kinds" fill "$@"; }
check() { python3 "$kinds" "$@"; }

# Evicted, and read again.
# Scenario A21.
test_evict() {
	need
	fill $mnt/file 9 1
	until_true 60 has_sealed $zone $mnt 1900
	until_true 60 unchanged host_kib
	local full
	full=$(host_kib)
	evict
	[ "$(host_kib)" -lt $((full - 7 * 1024)) ]
	[ "$(elsewhere)" -gt 1800 ]
	nexusctl pack verify $zone
	check read $mnt/file 9 1
	[ "$(elsewhere)" = 0 ]
	# All of it is here, and stays.
	control fail
	forget
	check read $mnt/file 9 1
}

# Each kind of read has what it reads fetched.
test_kinds() {
	need
	local kind
	fill $mnt/file 5 2
	for kind in read mmap direct bounce splice sendfile copy random; do
		evict
		check $kind $mnt/file 5 2
	done
}

# What was missing is no reason to read ahead less from then on.
test_ahead() {
	need
	fill $mnt/file 6 2
	evict
	check ahead $mnt/file 6 2
}

# What is changed in part is fetched first.
test_changes() {
	need
	local kind
	fill $mnt/file 5 3
	evict
	check patch $mnt/file 5 3
	rm $mnt/file
	fill $mnt/file 5 3
	evict
	check cut $mnt/file 5 3
	rm $mnt/file
	fill $mnt/file 5 3
	fill $mnt/same 5 3
	evict
	check dedupe $mnt/file 5 3 $mnt/same
}

# Who waits for what is held back can be killed, and others go on.
test_killed() {
	need
	local pid kind
	fill $mnt/file 5 4
	evict
	control hold
	for kind in read mmap direct; do
		python3 "$kinds" $kind $mnt/file 5 4 &
		pid=$!
		until_true 20 fetching
		sleep 0.5
		kill -9 $pid
		until_true 60 dead $pid
		wait $pid || true
	done
	echo more > $mnt/other
	sync -f $mnt
	[ "$(cat $mnt/other)" = more ]
	control
	check read $mnt/file 5 4
}

fetching() { [ "$(gauge fetching_bytes)" -gt 0 ]; }

# waiting PID N: so many threads of it sleep where only a signal that kills ends that.
waiting() { [ "$(grep -lE '^State:.D' /proc/"$1"/task/*/status | wc -l)" -ge "$2" ]; }

# More who wait for a store that is silent than there are slots for: all else goes on.
test_crowd() {
	need
	local pid i
	fill $mnt/file 12 5
	echo here > $mnt/before
	evict
	control hold
	python3 "$kinds" crowd $mnt/file 12 5 300 &
	pid=$!
	until_true 60 waiting $pid 290
	for i in 1 2 3; do
		forget
		timeout -s KILL 60 cat $mnt/before > "$tap_tmp/out"
		[ "$(cat "$tap_tmp/out")" = here ]
		timeout -s KILL 60 sh -c "mkdir $mnt/d$i && echo more > $mnt/d$i/f && sync -f $mnt"
	done
	waiting $pid 290
	control
	wait $pid
	check read $mnt/file 12 5
}

# Many readers of slow content: what is in flight has a bound, and nothing comes twice.
test_many() {
	need
	local i pids=() fetched
	fill $mnt/file 12 5
	evict
	fetched=$(counter fetched_bytes)
	control "delay 200"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		check random $mnt/file 12 5 "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	check read $mnt/file 12 5
	[ "$(gauge fetching_max_bytes)" -le $((4 << 20)) ]
	[ "$(gauge fetching_max_bytes)" -gt $((1 << 20)) ]
	[ $(($(counter fetched_bytes) - fetched)) -le $((13 << 20)) ]
}

# The kernel says which inode, pack and offset; what is read is right or an error.
said() {
	dmesg | grep -q "nexusfs ($zone): inode $1: offset [0-9]* is in block [0-9]* of pack [0-9]*, which cannot be fetched"
}

broken() {
	local kind
	fill $mnt/file 5 "$1"
	evict
	control "$2"
	dmesg -C
	for kind in read mmap direct bounce splice sendfile; do
		check eio $kind $mnt/file 5 "$1"
		until_true 60 said "$(stat -c %i $mnt/file)"
	done
	control
	for kind in read mmap direct; do
		forget
		check $kind $mnt/file 5 "$1"
	done
	rm $mnt/file
}

test_corrupt() {
	need
	broken 6 corrupt
}

test_short() {
	need
	local kind
	broken 7 "end 6000"
	broken 7 "short 0"
	# Asked again, it gives some more, so who asks twice may get all.
	fill $mnt/file 5 7
	evict
	control "short 6000"
	for kind in read mmap direct bounce splice sendfile; do
		check right $kind $mnt/file 5 7
	done
	control
	forget
	check read $mnt/file 5 7
}

test_fail() {
	need
	broken 8 fail
}

# One bad block: all others of the file are read.
test_one_block() {
	need
	local pack block
	fill $mnt/file 6 9
	evict
	read -r pack block < <(check place $mnt/file 500)
	control "corrupt $pack $block"
	check but $mnt/file 6 9 500
	control
	check read $mnt/file 6 9
}

# The next helper fetches what the one before did not.
test_helper_dies() {
	need
	local pid
	fill $mnt/file 5 10
	evict
	control hold
	check read $mnt/file 5 10 &
	pid=$!
	until_true 20 fetching
	kill_helper
	until_true 60 nexusctl status
	until_true 20 fetching
	kill -TERM "$(cat $run/nexusd.pid)"
	until_true 60 fetching
	control
	wait $pid
	forget
	check read $mnt/file 5 10
}

# Over remounts, in order and not, some of it here.
test_remount() {
	need
	fill $mnt/file 5 11
	evict
	check some $mnt/file 5 11
	umount $mnt
	fsck.nexusfs $zone
	mount -t nexusfs $zone $mnt
	check some $mnt/file 5 11
	forget
	take_helper_away
	umount $mnt
	bring_helper_back
	mount -t nexusfs $zone $mnt
	[ "$(elsewhere)" -gt 0 ]
	check read $mnt/file 5 11
	umount $mnt
	fsck.nexusfs $zone
	mount -t nexusfs $zone $mnt
	nexusctl scrub start $zone
	until_true 60 scrubbed
	nexusctl scrub status $zone | grep -q ' 0 problems'
}

scrubbed() { ! nexusctl scrub status $zone | grep -q running; }

# What is compacted is fetched; what is dead is not.
test_compact() {
	need
	fill $mnt/file 5 12
	sync -f $mnt
	evict
	check punch $mnt/file 5 12
	nexusctl pack compact $zone --all
	control fail
	forget
	check punched $mnt/file 5 12
	control
	nexusctl pack verify $zone
}

# Nothing goes that is not held, and right.
test_refused() {
	need
	local list
	# Before it is sealed: what is, is put by itself.
	control refuse
	fill $mnt/file 5 13
	sync -f $mnt
	mapfile -t list < <(sealed)
	fails nexusctl pack evict $zone "${list[@]}"
	control corrupt
	fails nexusctl pack evict $zone "${list[@]}"
	control "short 100000"
	fails nexusctl pack evict $zone "${list[@]}"
	fails nexusctl pack evict $zone 999999
	[ "$(elsewhere)" = 0 ]
	control fail
	forget
	check read $mnt/file 5 13
}

# What is overwritten in place stays, whatever else is in its pack.
# Scenario B25.
test_in_place_stays() {
	need
	local list pack stayed=0
	mkdir $mnt/d
	chattr +C $mnt/d
	fill $mnt/file 3 14
	fill $mnt/d/file 9 15
	sync -f $mnt
	mapfile -t list < <(sealed)
	for pack in "${list[@]}"; do
		nexusctl pack evict $zone "$pack" 2> "$tap_tmp/why" || stayed=$((stayed + 1))
		[ ! -s "$tap_tmp/why" ] || grep nodatacow "$tap_tmp/why"
	done
	[ $stayed -ge 2 ]
	control fail
	forget
	check read $mnt/d/file 9 15
	control
	check read $mnt/file 3 14
}

# A check has time for these; the long part 62-faults runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] ||
	set -- test_evict test_ahead test_killed test_corrupt test_in_place_stays
tap_main "$@"
