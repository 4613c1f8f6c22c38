#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Files that are overwritten in place: over remounts, in sealed packs, without a helper,
# under a compaction; and their space comes back.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zone=inplace
mnt=/mnt/inplace
packs=/var/lib/nexusfs/zones/$zone/packs

# A zone of small packs, and a directory that marks what is made in it.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	command -v chattr > /dev/null || skip "needs chattr"
	mkdir -p $mnt
	[ -e /var/lib/nexusfs/zones/$zone ] || nexusctl zone create $zone --option pack_size=4M
	mountpoint -q $mnt || mount -t nexusfs $zone $mnt
	rm -rf ${mnt:?}/*
	mkdir $mnt/d
	chattr +C $mnt/d
}

tap_cleanup() {
	umount $mnt 2> /dev/null || true
}

in_place() { nexusctl stats | awk '$1 == "nexus_module_pack_write_inplace_blocks_total" { print $2 }'; }
host_kib() { du -sk $packs | cut -f 1; }
at_most() { [ "$(host_kib)" -le "$1" ]; }

# over FILE SEED: every other 4 KiB of it, in some order, in file and model.
over() {
	python3 - "$mnt/d/$1" "$tap_tmp/$1" "$2" <<- 'END'
		import os, random, sys
		r = random.Random(int(sys.argv[3]))
		fds = [os.open(name, os.O_RDWR) for name in sys.argv[1:3]]
		at = list(range(0, os.fstat(fds[1]).st_size >> 12, 2))
		r.shuffle(at)
		for n, block in enumerate(at):
		    data = r.randbytes(4096)
		    for fd in fds:
		        os.pwrite(fd, data, block << 12)
		    if n % 100 == 0:
		        os.fdatasync(fds[0])
		os.fsync(fds[0])
	END
}

same() {
	cmp "$tap_tmp/$1" "$mnt/d/$1"
	echo 3 > /proc/sys/vm/drop_caches
	cmp "$tap_tmp/$1" "$mnt/d/$1"
}

remount() {
	umount $mnt
	fsck.nexusfs $zone
	mount -t nexusfs $zone $mnt
}

# Scenario B25.
test_sealed_packs() {
	need
	local before places
	head -c 6M /dev/urandom | tee "$tap_tmp/f" > $mnt/d/f
	sync -f $mnt
	[ "$(lsattr $mnt/d/f | cut -c 1-22 | tr -d -)" = C ]
	places=$(filefrag -v $mnt/d/f | awk '$1 ~ /^[0-9]+:$/ { print $2, $4, $5 }')
	before=$(in_place)
	over f 1
	[ $(($(in_place) - before)) = 768 ]
	same f
	remount
	same f
	before=$(in_place)
	over f 2
	[ $(($(in_place) - before)) = 768 ]
	[ "$(filefrag -v $mnt/d/f | awk '$1 ~ /^[0-9]+:$/ { print $2, $4, $5 }')" = "$places" ]
	same f
	nexusctl pack verify $zone
	# Which packs they are in is known, and that is all it takes.
	hold
	kill -9 "$(cat /run/nexusfs/nexusd.pid)"
	over f 3
	cmp "$tap_tmp/f" $mnt/d/f
	release
	until_true 60 nexusctl status
	over f 4
	remount
	same f
}

# Little is left of the packs, and they are not emptied: what is there may change.
test_left_by_compaction() {
	need
	local i writer
	for i in f g; do
		head -c 8M /dev/urandom | tee "$tap_tmp/$i" > $mnt/d/$i
	done
	head -c 4M /dev/urandom > $mnt/plain
	sync -f $mnt
	for i in $(seq 0 64 2047); do
		fallocate -p -o $((i * 4096)) -l $((60 * 4096)) "$tap_tmp/f"
		fallocate -p -o $((i * 4096)) -l $((60 * 4096)) $mnt/d/f
	done
	for i in $(seq 0 16 1023); do
		fallocate -p -o $((i * 4096)) -l $((12 * 4096)) $mnt/plain
	done
	sha256sum $mnt/plain > "$tap_tmp/plain"
	sync -f $mnt
	(
		for i in 1 2; do over g "$i"; done
	) &
	writer=$!
	until ! kill -0 $writer 2> /dev/null; do
		nexusctl pack compact $zone --all
	done
	wait $writer
	nexusctl pack compact $zone --all
	same f
	same g
	sha256sum -c "$tap_tmp/plain"
	nexusctl pack verify $zone
	remount
	same f
	same g
	sha256sum -c "$tap_tmp/plain"
}

# Also of what was overwritten and never flushed.
test_space_comes_back() {
	need
	local before
	sync -f $mnt
	until_true 60 unchanged host_kib
	before=$(host_kib)
	head -c 24M /dev/urandom | tee "$tap_tmp/f" > $mnt/d/f
	sync $mnt/d/f
	dd if=/dev/urandom of=$mnt/d/f bs=1M count=24 conv=notrunc oflag=direct status=none
	[ "$(host_kib)" -ge $((before + 14000)) ]
	rm $mnt/d/f
	until_true 60 at_most $((before + 8192))
}

# A check has time for this one; the long part 62-faults runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] || set -- test_sealed_packs
tap_main "$@"
