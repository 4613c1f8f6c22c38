#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything made read-only by force (sysrq u), also the store below, with files open for
# writing.  Comes last where it is run: nothing can be written afterwards.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"

test_asked_for_with_a_writer() {
	need_nexus
	exec 5> "$dir/writer"
	fails mount -o remount,ro "$dir"
	echo text >&5
	exec 5>&-
	rm "$dir/writer"
}

test_by_force() {
	need_nexus
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	[ -w /proc/sysrq-trigger ] || skip "no sysrq"
	echo before > "$dir/file"
	exec 5>> "$dir/file"
	echo open >&5
	python3 - "$dir/mapped" <<-'PYTHON' &
		import mmap, os, sys, time
		fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
		os.ftruncate(fd, 1 << 20)
		while True:
		    try:
		        os.pwrite(fd, os.urandom(4096), os.urandom(1)[0] << 12)
		        os.fsync(fd)
		    except OSError as e:
		        print("writer:", e, flush=True)
		        os._exit(e.errno)
	PYTHON
	local writer=$! status=0
	sleep 1
	echo 1 > /proc/sys/kernel/sysrq
	echo u > /proc/sysrq-trigger
	# Who was writing is told, and ends.
	until_true 60 dead $writer
	wait $writer || status=$?
	# EROFS, or EIO where the store was first.
	[ "$status" = 30 ] || [ "$status" = 5 ]
	grep -E " $dir nexusfs ro" /proc/mounts
	fails touch "$dir/new"
	fails eval 'echo more >&5'
	fails truncate -s 0 "$dir/file"
	[ "$(cat "$dir/file")" = $'before\nopen' ]
	[ -e "$dir/mapped" ]
	echo 3 > /proc/sys/vm/drop_caches
	ls "$dir"
	exec 5>&-
	umount "$dir"
}

tap_main "$@"
