#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two packs are open: one for what is small and fsynced, in blocks that were written
# before, one for what is written in bulk.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
zone=packs
mnt=/mnt/packs
packs=/var/lib/nexusfs/zones/$zone/packs

# A zone of small packs, made once; and two new packs.  Where one of them is used up and
# the next comes too late, the other is taken: 7 MiB may be written before that.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	mkdir -p $mnt
	[ -e /var/lib/nexusfs/zones/$zone ] || nexusctl zone create $zone --option pack_size=8M
	! mountpoint -q $mnt || umount $mnt
	mount -t nexusfs $zone $mnt
	rm -rf ${mnt:?}/*
}

tap_cleanup() {
	umount $mnt 2> /dev/null || true
}

host_kib() { du -sk $packs | cut -f 1; }
at_most() { [ "$(host_kib)" -le "$1" ]; }
file_of() { printf '%s/%02x/%016x.pack' $packs $(($1 & 255)) "$1"; }

# both NAME MIB: a stream of MIB MiB, whose writeback nobody waits for, and after each of
# them 20 KiB that are fsynced: too much for the log.
both() {
	python3 - "$@" <<- 'END'
		import ctypes, os, sys
		name, mib = sys.argv[1], int(sys.argv[2])
		libc = ctypes.CDLL(None, use_errno=True)
		libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
		stream = os.open(name + ".stream", os.O_WRONLY | os.O_CREAT, 0o600)
		small = os.open(name + ".small", os.O_WRONLY | os.O_CREAT, 0o600)
		for i in range(mib):
		    os.pwrite(stream, (b"%15d\n" % i) * 65536, i << 20)
		    assert not libc.sync_file_range(stream, i << 20, 1 << 20, 2)
		    os.pwrite(small, (b"%15d\n" % -i) * 1280, i * 20480)
		    os.fsync(small)
		os.fsync(stream)
	END
}

# extents FILE: "pack block blocks" a line, of what FIEMAP says.
extents() {
	python3 - "$1" <<- 'END'
		import fcntl, os, struct, sys
		fd, at = os.open(sys.argv[1], os.O_RDONLY), 0
		while True:
		    buf = bytearray(32 + 56 * 64)
		    struct.pack_into("=QQIIII", buf, 0, at, (1 << 63) - 1 - at, 1, 0, 64, 0)
		    fcntl.ioctl(fd, 0xc020660b, buf)
		    n = struct.unpack_from("=I", buf, 20)[0]
		    for i in range(n):
		        at, place, length = struct.unpack_from("=QQQ", buf, 32 + 56 * i)
		        print(place >> 32, (place & 0xffffffff) >> 12, length >> 12)
		        at += length
		    if n < 64:
		        break
	END
}

packs_of() { extents "$1" | cut -d ' ' -f 1 | sort -u; }
sums() { (cd $mnt && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

same() {
	sums > "$tap_tmp/after"
	diff "$tap_tmp/sums" "$tap_tmp/after"
}

none_open() { ! nexusctl pack list $zone | grep -w open; }

# Neither lies between pieces of the other, and small writes need nothing of the host.
test_apart() {
	need
	local pack runs stream
	both $mnt/a 6
	packs_of $mnt/a.small > "$tap_tmp/small"
	packs_of $mnt/a.stream > "$tap_tmp/stream"
	[ -s "$tap_tmp/small" ] && [ -s "$tap_tmp/stream" ]
	[ -z "$(comm -12 "$tap_tmp/small" "$tap_tmp/stream")" ]
	# A run in each pack: what was written in between lies elsewhere.
	runs=$(extents $mnt/a.stream | wc -l)
	stream=$(wc -l < "$tap_tmp/stream")
	[ "$runs" -le $((stream + 2)) ] || {
		echo "$runs runs of the stream in $stream packs"
		return 1
	}
	while read -r pack; do
		filefrag -v "$(file_of "$pack")" > "$tap_tmp/frag"
		if grep unwritten "$tap_tmp/frag"; then
			echo "the pack of small writes is not written everywhere"
			return 1
		fi
	done < "$tap_tmp/small"
}

# Many small writes: packs of zeros come when one is used up, beside streams.
test_many_small() {
	need
	local pack
	python3 - $mnt/many <<- 'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
		for i in range(96):
		    os.pwrite(fd, bytes([i]) * 262144, i << 18)
		    os.fdatasync(fd)
	END
	sums > "$tap_tmp/sums"
	# Most of 24 MiB in packs of 8: a pack that comes too late is no mistake.
	extents $mnt/many | while read -r pack _ n; do
		filefrag -v "$(file_of "$pack")" | grep -q unwritten || echo "$n"
	done | awk '{ n += $1 } END { print n, "of 6144 blocks"; exit n < 2048 }'
	echo 3 > /proc/sys/vm/drop_caches
	same
}

# Both are sealed at the end, and whole.
test_remount() {
	need
	both $mnt/b 6
	sums > "$tap_tmp/sums"
	umount $mnt
	fsck.nexusfs $zone
	mount -t nexusfs $zone $mnt
	until_true 60 none_open
	same
	both $mnt/c 6
	echo 3 > /proc/sys/vm/drop_caches
	sums | grep ./b > "$tap_tmp/after"
	grep ./b "$tap_tmp/sums" | diff - "$tap_tmp/after"
	nexusctl pack verify $zone
}

# Who comes after a dead helper finds both open, and they go on.
test_helper_killed() {
	need
	both $mnt/d 3
	take_helper_away
	both $mnt/e 2
	bring_helper_back
	both $mnt/f 1
	packs_of $mnt/d.small > "$tap_tmp/small"
	packs_of $mnt/d.stream > "$tap_tmp/stream"
	cat "$tap_tmp/small" "$tap_tmp/stream"
	[ "$(wc -l < "$tap_tmp/small") $(wc -l < "$tap_tmp/stream")" = '1 1' ]
	fails diff "$tap_tmp/small" "$tap_tmp/stream"
	packs_of $mnt/f.small | diff "$tap_tmp/small" -
	packs_of $mnt/f.stream | diff "$tap_tmp/stream" -
	both $mnt/g 12
	sums > "$tap_tmp/sums"
	echo 3 > /proc/sys/vm/drop_caches
	same
	umount $mnt
	fsck.nexusfs $zone
	mount -t nexusfs $zone $mnt
	same
}

# Of what is deleted nothing stays but what is open or made in advance.
test_space() {
	need
	local i
	for i in 1 2 3; do
		both $mnt/g$i 8
		umount $mnt
		mount -t nexusfs $zone $mnt
	done
	rm $mnt/*
	until_true 60 at_most $((6 * 8 * 1024))
}

# A check has time for these; the long part 56 runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] || set -- test_apart test_helper_killed
tap_main "$@"
