#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nexusctl warm and du: what is away comes back ahead of use, as much as there is room
# for; how much of what is here.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/mnt/warm
zone=warm
away=/var/lib/nexusfs/warm
kinds="$here/presence.py"
limit=96	# MiB

control() {
	mkdir -p "$away"
	printf '%s\n' "$@" > "$away/control.new"
	mv "$away/control.new" "$away/control"
}

# A zone of small packs, of which $limit MiB may be here.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	control
	if ! grep -qs "$away" /etc/nexusfs/nexusd.yaml; then
		mkdir -p /etc/nexusfs $mnt
		printf '%s\n' "content: test:$away" "checkpoint_interval: 0" "upload_delay: 1" \
			"cache_limit: ${limit}M" > /etc/nexusfs/nexusd.yaml
		kill_helper
		until_true 60 nexusctl status
	fi
	[ -e /var/lib/nexusfs/zones/$zone ] || nexusctl zone create $zone --option pack_size=4M
	mountpoint -q $mnt || mount -t nexusfs -o grace=3 $zone $mnt
	rm -rf ${mnt:?}/*
}

# The settings are removed at the end, below.
tap_cleanup() { control; }

fill() { python3 "$kinds" fill "$@"; }
check() { python3 "$kinds" "$@"; }
forget() { echo 3 > /proc/sys/vm/drop_caches; }
counter() { nexusctl stats | awk -v n="nexus_helper_$1_total" '$1 == n { print $2 }'; }
gauge() { nexusctl stats | awk -v n="nexus_zone_$1{zone=\"$zone\"}" '$1 == n { print $2 }'; }
fetching() { [ "$(gauge fetching_bytes)" -gt 0 ]; }

# What is sealed and alive: of what is dead nothing can go.
packs() {
	nexusctl pack list --json $zone | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["state"] == "sealed" and p["live"]:
        print(p["pack"])'
}

# All of that goes, from memory, too.
evict() {
	local list
	until_true 60 has_sealed $zone $mnt 1
	mapfile -t list < <(packs)
	nexusctl pack evict $zone "${list[@]}"
	forget
}

# used FIELD PATH...: of the sums, of all paths.
used() {
	nexusctl du --cached --json "${@:2}" | python3 -c 'import json, sys
print(sum(one[sys.argv[1]] for one in json.load(sys.stdin)))' "$1"
}
here() { used here "$@"; }
all_here() { [ "$(here "$@")" = "$(used allocated "$@")" ]; }

test_du() {
	need
	local all
	mkdir $mnt/d
	fill $mnt/d/file 6 1
	ln $mnt/d/file $mnt/d/link
	echo small > $mnt/d/small
	truncate -s 1G $mnt/d/sparse
	ln -s file $mnt/d/symlink
	sync -f $mnt
	[ "$(used apparent $mnt/d)" = $((6291456 + 6 + 1073741824 + 4)) ]
	all=$(used allocated $mnt/d)
	[ "$all" = $(($(du -s --block-size=1 $mnt/d | cut -f 1))) ]
	all_here $mnt/d
	evict
	[ "$(here $mnt/d/file)" -lt $((4 << 20)) ]
	[ $((all - $(here $mnt/d))) = $((6291456 - $(here $mnt/d/file))) ]
	all_here $mnt/d/small $mnt/d/sparse
	# A clone is away as far as what it is of is, and counts as in du.
	cp --reflink=always $mnt/d/file $mnt/clone
	sync -f $mnt
	[ "$(here $mnt/clone)" = "$(here $mnt/d/file)" ]
	[ "$(used allocated $mnt/clone $mnt/d/file)" = $((2 * 6291456)) ]
	nexusctl du $mnt/d | grep -q "^ *1.0G *6.0M  $mnt/d$"
	nexusctl du --cached $mnt/d | grep -q '^ APPARENT ALLOCATED      HERE  PATH$'
	# What cannot be looked at is said, and the rest counts.
	chmod 0 $mnt/d/file
	chmod 755 $mnt $mnt/d
	fails setpriv --reuid 1000 --clear-groups nexusctl du --cached $mnt/d $mnt/none $mnt/clone \
		> "$tap_tmp/out" 2> "$tap_tmp/why"
	grep -q "$mnt/d/file: Permission denied" "$tap_tmp/why"
	grep -q "$mnt/none: No such file" "$tap_tmp/why"
	grep -q "  $mnt/clone$" "$tap_tmp/out"
	setpriv --reuid 1000 --clear-groups nexusctl du $mnt/d
	fails nexusctl du --cached /etc 2> "$tap_tmp/why"
	grep -q 'not on a nexusfs' "$tap_tmp/why"
	# Nothing came by looking.
	[ "$(here $mnt/d/file)" -lt $((4 << 20)) ]
}

test_warm() {
	need
	local fetched
	mkdir -p $mnt/d/e
	fill $mnt/d/file 5 2
	fill $mnt/d/e/other 5 3
	cp --reflink=always $mnt/d/file $mnt/d/clone
	truncate -s 1G $mnt/d/e/other
	echo small > $mnt/d/small
	mkfifo $mnt/d/fifo
	chmod 600 $mnt/d/e/other
	chmod 755 $mnt $mnt/d $mnt/d/e
	evict
	fails nexusctl warm $mnt/d 2> "$tap_tmp/why"
	grep -q 'a directory' "$tap_tmp/why"
	fails nexusctl warm /etc/passwd 2> "$tap_tmp/why"
	grep -q 'not on a nexusfs' "$tap_tmp/why"
	fetched=$(counter fetched_bytes)
	# To read it is what one needs, and other files come all the same.
	fails setpriv --reuid 1000 --clear-groups nexusctl warm -r $mnt/d $mnt/none 2> "$tap_tmp/why"
	grep -q "$mnt/d/e/other: Permission denied" "$tap_tmp/why"
	grep -q "$mnt/none: No such file" "$tap_tmp/why"
	all_here $mnt/d/file $mnt/d/clone
	fails all_here $mnt/d/e/other
	nexusctl warm -r --json $mnt/d > "$tap_tmp/out"
	python3 -c 'import json, sys
w = json.load(sys.stdin)
assert w["files"] == 4 and w["failed"] == 0 and 0 < w["brought"] <= 5 << 20, w' < "$tap_tmp/out"
	all_here $mnt/d
	# Each piece once, whoever shares it.
	[ $(($(counter fetched_bytes) - fetched)) -le $((12 << 20)) ]
	# It is all there: nothing is fetched.
	control fail
	forget
	check read $mnt/d/file 5 2
	[ "$(nexusctl warm -r $mnt/d)" = "4 files, 0 MiB brought" ]
}

# Files go while it walks.
test_removed() {
	need
	local i
	mkdir $mnt/d
	for i in $(seq 40); do
		head -c 100000 /dev/urandom > "$mnt/d/$i"
	done
	evict
	control "delay 20"
	rm -r $mnt/d/?? &
	nexusctl warm -r $mnt/d
	wait $!
}

# full N: content that takes less time to make.
full() { head -c 20M /dev/zero | tr '\0' "$1"; }

# More than may be here: what has come is not given up for what does not fit.
test_room() {
	need
	local i after
	for i in 1 2 3 4 5; do
		mkdir $mnt/$i
		full "$i" > $mnt/$i/file
		sync -f $mnt
		nexusctl flush $zone
	done
	evict
	fails nexusctl warm -r --json $mnt/? > "$tap_tmp/out" 2> "$tap_tmp/why"
	cat "$tap_tmp/out" "$tap_tmp/why"
	grep -q 'no room for it here' "$tap_tmp/why"
	[ "$(grep -c nexusctl: "$tap_tmp/why")" = 1 ]
	grep -q '"brought": [1-9]' "$tap_tmp/out"
	# Nothing of what came first has gone, nor goes when room is looked for.
	all_here $mnt/1
	sleep 3
	all_here $mnt/1
	control fail
	forget
	full 1 | cmp - $mnt/1/file
	control
	# It goes for what is wanted now, and that comes whole.
	nexusctl warm -r $mnt/5
	all_here $mnt/5
	forget
	after=$(counter fetched_bytes)
	full 5 | cmp - $mnt/5/file
	[ "$(counter fetched_bytes)" = "$after" ]
}

on_terminal() {
	python3 -c 'import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$@" < /dev/null
}

# How far they are is shown to who looks, and to nobody else.
test_progress() {
	need
	local pack flush
	# Or all of it may have been put by the time it is looked at.
	control refuse
	fill $mnt/file 9 7
	sync -f $mnt
	on_terminal nexusctl flush $zone > "$tap_tmp/out" &
	flush=$!
	until_true 30 grep 'packs (.* MiB) to put, .* to delete' "$tap_tmp/out"
	control
	wait $flush
	pack=$(packs | head -n 1)
	on_terminal nexusctl pack evict $zone "$pack" > "$tap_tmp/out"
	grep -q '0 of 1 packs, 0 KiB given back' "$tap_tmp/out"
	evict
	on_terminal nexusctl warm $mnt/file > "$tap_tmp/out"
	grep -q '1 files, .* MiB looked at, .* MiB brought' "$tap_tmp/out"
	all_here $mnt/file
	evict
	nexusctl warm $mnt/file > "$tap_tmp/out" 2>&1
	[ "$(wc -l < "$tap_tmp/out")" = 1 ]
}

test_down() {
	need
	fill $mnt/file 9 5
	evict
	control fail
	fails nexusctl warm $mnt/file 2> "$tap_tmp/why"
	grep -q "$mnt/file: " "$tap_tmp/why"
	fails all_here $mnt/file
	control
	nexusctl warm $mnt/file
	all_here $mnt/file
}

# Ended by the user while it waits; by a helper that goes, and comes, or does not.
test_ended() {
	need
	local pid
	fill $mnt/file 9 6
	evict
	control hold
	nexusctl warm $mnt/file &
	pid=$!
	until_true 20 fetching
	kill -TERM $pid
	until_true 5 dead $pid
	wait $pid || true
	nexusctl warm $mnt/file &
	pid=$!
	until_true 20 fetching
	kill_helper
	control
	wait $pid
	all_here $mnt/file
	evict
	take_helper_away
	fails nexusctl warm $mnt/file 2> "$tap_tmp/why"
	bring_helper_back
	grep -q 'the helper does not run' "$tap_tmp/why"
	nexusctl warm $mnt/file
}

# A check has time for these; the long part 62-faults runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] || set -- test_du test_warm
tap_main "$@"
umount $mnt 2> /dev/null || true
rm -f /etc/nexusfs/nexusd.yaml
