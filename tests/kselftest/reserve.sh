#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What fallocate reserved is there when everything else is full, after remounts and
# dead helpers too; and given back when the file goes.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
host=/var/lib/nexusfs
kept=$host/zones/root/packs/kept

down() {
	umount "$dir"
	"$supervise" stop
}

up() {
	"$supervise" start
	mount -t nexusfs root "$dir"
}

need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
}

packs_kept() { find $kept -type f 2> /dev/null | wc -l; }
none_kept() { [ "$(packs_kept)" = 0 ]; }
free_mib() { stat -f -c %a "$dir" | awk '{ print int($1 / 256) }'; }

# Sizes, blocks, holes and content of what is in a directory.
picture() {
	(cd "$1" && stat -c '%n %s %b' -- * && sha256sum -- * &&
		for f in *; do
			python3 - "$f" <<- 'END'
				import os, sys
				fd, at = os.open(sys.argv[1], os.O_RDONLY), 0
				try:
				    while True:
				        at = os.lseek(fd, at, os.SEEK_DATA)
				        end = os.lseek(fd, at, os.SEEK_HOLE)
				        print(sys.argv[1], at, end)
				        at = end
				except OSError as e:
				    print(sys.argv[1], e.errno)
			END
		done)
}

# put FILE FIRST N STEP: N MiB of data, one every STEP MiB from FIRST on, fsynced.
put() {
	python3 - "$@" <<- 'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_WRONLY)
		first, n, step = map(int, sys.argv[2:])
		for i in range(n):
		    block = bytes([65 + i % 26]) * (1 << 20)
		    if os.pwrite(fd, block, (first + i * step) << 20) != len(block):
		        sys.exit("short write")
		os.fsync(fd)
	END
}

make_files() {
	rm -rf "$1"
	mkdir "$1"
	fallocate -l 300M "$1/reserved"
	head -c 100000 /dev/urandom | dd of="$1/reserved" bs=1000 seek=5000 conv=notrunc status=none
	head -c 3000000 /dev/urandom > "$1/punched"
	fallocate -p -o 5000 -l 1000000 "$1/punched"
	fallocate -p -o 2000000 -l 4096 "$1/punched"
	head -c 3000000 /dev/urandom > "$1/zeroed"
	fallocate -z -o 5000 -l 1000000 "$1/zeroed"
	head -c 5000 /dev/urandom > "$1/behind"
	fallocate -n -o 100000 -l 100000 "$1/behind"
	truncate -s 1T "$1/large"
	fallocate -o 500G -l 1M "$1/large"
	truncate -s 1G "$1/large"
}

test_same_over_a_remount() {
	need
	make_files "$dir/sparse"
	sync -f "$dir"
	picture "$dir/sparse" > "$tap_tmp/before"
	[ "$(packs_kept)" -ge 5 ]
	down
	fsck.nexusfs root
	[ "$(packs_kept)" -ge 5 ]
	up
	picture "$dir/sparse" > "$tap_tmp/after"
	diff "$tap_tmp/before" "$tap_tmp/after"
	echo 3 > /proc/sys/vm/drop_caches
	picture "$dir/sparse" > "$tap_tmp/after"
	diff "$tap_tmp/before" "$tap_tmp/after"
	rm -r "$dir/sparse"
	until_true 60 none_kept
}

test_helper_killed() {
	need
	make_files "$dir/sparse"
	take_helper_away
	# What is known needs none; what was promised neither.
	fallocate -p -o 1M -l 1M "$dir/sparse/reserved"
	put "$dir/sparse/reserved" 10 5 3
	[ "$(stat -c %b "$dir/sparse/reserved")" = $((299 * 2048)) ]
	bring_helper_back
	picture "$dir/sparse" > "$tap_tmp/before"
	grep -q "^reserved $((22 << 20)) $((23 << 20))" "$tap_tmp/before"
	down
	fsck.nexusfs root
	up
	picture "$dir/sparse" > "$tap_tmp/after"
	diff "$tap_tmp/before" "$tap_tmp/after"
	rm -r "$dir/sparse"
	until_true 60 none_kept
}

# Scenario B25.
test_full_zone() {
	need
	local before size blocks
	sync -f "$dir"
	# A smaller disk: writing until it is full takes minutes in emulation.
	fallocate -l $(($(free_mib) - 1400))M $host/hog
	until_true 20 eval "[ \$(free_mib) -le 1450 ]"
	before=$(free_mib)
	# What is handed over already, and what packs need for themselves, is not.
	size=$((before - 400))
	fallocate -l ${size}M "$dir/mine"
	blocks=$(stat -c %b "$dir/mine")
	[ "$blocks" -ge $((size * 2048)) ]
	# Somebody else takes what there is.
	fails dd if=/dev/zero of="$dir/other" bs=1M count=1500 2> "$tap_tmp/dd"
	grep -q 'No space' "$tap_tmp/dd"
	fails fallocate -l 400M "$dir/more" 2> "$tap_tmp/dd"
	grep -q 'No space' "$tap_tmp/dd"
	put "$dir/mine" 1 150 2
	fails dd if=/dev/zero of="$dir/other" bs=1M count=300 oflag=append conv=notrunc 2> /dev/null
	down
	# Reading all of it would take minutes in emulation.
	fsck.nexusfs -q root
	up
	fails dd if=/dev/zero of="$dir/another" bs=1M count=300 2> /dev/null
	put "$dir/mine" 400 100 2
	kill_helper
	until_true 60 nexusctl status
	put "$dir/mine" 700 70 2
	[ "$(stat -c %b "$dir/mine")" = "$blocks" ]
	# A full zone can be emptied, by punching too.
	fallocate -p -o 100 -l 500M "$dir/mine"
	rm -f "$dir/mine" "$dir/other" "$dir/another" "$dir/more"
	until_true 60 none_kept
	until_true 60 eval "[ \$(free_mib) -ge $((before - 500)) ]"
}

tap_cleanup() {
	release
	rm -f $host/hog
}
tap_main "$@"
