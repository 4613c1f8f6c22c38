#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A disk that is filled, overwritten, emptied and compacted, again and again
# (NEXUS_CYCLES): everything can be deleted from a full one, and the space comes
# back each time.  Scenario A24.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
cycles=${NEXUS_CYCLES:-2}
mib=${NEXUS_CYCLE_MIB:-256}
data=/tmp/nexus-cycle-data
mnt=/tmp/nexus-cycle

used_kib() { df -k --output=used $data | tail -n 1; }
at_most() {
	sync -f $mnt
	[ "$(used_kib)" -le "$1" ]
}

# fill NAME: files of 4 MiB until the disk is full; how many.
fill() {
	python3 - "$mnt/$1" <<- 'END'
		import os, sys
		os.makedirs(sys.argv[1], exist_ok=True)
		block, n = os.urandom(1 << 20), 0
		try:
		    while True:
		        with open("%s/%d" % (sys.argv[1], n), "wb", buffering=0) as f:
		            for i in range(4):
		                f.write(block)
		            os.fsync(f.fileno())
		        n += 1
		except OSError as e:
		    if e.errno != 28:
		        raise
		print(n)
	END
}

# overwrite NAME SEED: every other 16 KiB of half of the files; content follows
# from name and seed.  A full disk waits for what has died to come back.
overwrite() {
	python3 - "$mnt/$1" "$2" <<- 'END'
		import os, sys, time
		top, seed = sys.argv[1], int(sys.argv[2])
		for name in sorted(os.listdir(top), key=int)[::2]:
		    fd = os.open(top + "/" + name, os.O_WRONLY)
		    size = os.fstat(fd).st_size
		    until = time.monotonic() + 60
		    at = 0
		    while at < size:
		        data = (b"%15d\n" % (int(name) * 1000003 + at + seed)) * 1024
		        try:
		            os.pwrite(fd, data[:min(len(data), size - at)], at)
		            at += 32768
		        except OSError as e:
		            if e.errno != 28 or time.monotonic() > until:
		                raise
		            os.fsync(fd)
		            time.sleep(0.2)
		    os.fsync(fd)
		    os.close(fd)
	END
}

sums() { (cd $mnt && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

small_disk() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	umount "$dir"
	"$supervise" stop
	mkdir -p $data $mnt
	/sbin/modprobe brd rd_nr=1 rd_size=$((mib * 1024)) || skip "needs a disk in memory"
	mkfs.ext4 -q -F -m 0 /dev/ram0
	mount -t ext4 /dev/ram0 $data
	"$supervise" start --data-dir $data --set fold_age=1 --set compact_rate=1G
	nexusctl zone create cycle --option pack_size=4M --option segment_size=2M
	mount -t nexusfs cycle $mnt
}

tap_cleanup() {
	umount $mnt 2> /dev/null || true
	"$supervise" stop
	umount $data 2> /dev/null || true
	/sbin/rmmod brd 2> /dev/null || true
	"$supervise" start
	mount -t nexusfs root "$dir"
}

# Scenario A24.
test_cycles() {
	small_disk
	local i n base limit
	# Spares are made, and the first segments.
	echo first > $mnt/first
	sync -f $mnt
	sleep 3
	base=$(used_kib)
	limit=$((base + mib * 1024 / 50))
	for ((i = 1; i <= cycles; i++)); do
		n=$(fill fill)
		echo "cycle $i: $n files, $(used_kib) KiB used"
		[ "$n" -ge $(((mib - 128) / 4)) ]
		# Full: somewhat less is needed for the rest to be overwritten.
		find $mnt/fill -name '*[37]' -delete
		overwrite fill "$i"
		sums > "$tap_tmp/sums"
		nexusctl pack compact cycle
		echo 3 > /proc/sys/vm/drop_caches
		sums | diff "$tap_tmp/sums" -
		n=$(fill more)
		echo "cycle $i: $n files more"
		[ "$n" -ge 1 ]
		# Nothing is left, and everything can go.
		rm -r $mnt/fill $mnt/more
		until_true 60 at_most "$limit"
		nexusctl pack compact cycle --all
		until_true 60 at_most "$limit"
		echo "cycle $i: $(used_kib) KiB used, $base before"
		[ "$(cat $mnt/first)" = first ]
	done
	umount $mnt
	"$supervise" stop
	fsck.nexusfs --data-dir $data cycle
	"$supervise" start --data-dir $data
	mount -t nexusfs cycle $mnt
	[ "$(cat $mnt/first)" = first ]
}

tap_main "$@"
