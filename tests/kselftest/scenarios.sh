#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Ways to lose data that no other program here goes (Documentation/scenarios.md), and
# promises that no other shows (Documentation/durability.md).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
at=/tmp/scenario
store=/var/lib/nexusfs/zones/scenario

begin() {
	need_helper
	mkdir -p $at
	nexusctl zone info scenario > /dev/null 2>&1 || nexusctl zone create scenario
	mount -t nexusfs "$@" scenario $at
}

again() {
	umount $at
	until_true 60 mount -t nexusfs "$@" scenario $at
}

inodes() { stat -f -c '%c - %d' $at; }
as_many_inodes() { [ $(($(inodes))) = "$1" ]; }

# Scenario A5: a helper that finds orphans under a living kernel leaves them alone,
# and they are freed when they are closed.
# Scenario E3.
test_open_orphans_outlive_helpers() {
	begin
	local i before sum
	before=$(($(inodes)))
	head -c 3000000 /dev/urandom > $at/orphan
	sum=$(sha256sum < $at/orphan)
	exec 7< $at/orphan
	rm $at/orphan
	sync -f $at
	for i in 1 2; do
		kill_helper
		until_true 60 nexusctl status
		# It has had its time to clean.
		sleep 3
		echo 3 > /proc/sys/vm/drop_caches
		[ "$(sha256sum < /proc/self/fd/7)" = "$sum" ]
		echo "helper $i: still there"
	done
	exec 7<&-
	until_true 60 as_many_inodes "$before"
	umount $at
	fsck.nexusfs scenario
}

# Scenario A17: extents that were split anyhow still have the checksum of each block.
test_checksums_survive_splitting() {
	begin -o verify=always
	python3 - $at <<- 'END'
		import fcntl, os, random, struct, sys
		os.chdir(sys.argv[1])
		rnd = random.Random(17)
		FICLONERANGE = 0x4020940d
		fd = os.open("split", os.O_RDWR | os.O_CREAT, 0o644)
		other = os.open("other", os.O_RDWR | os.O_CREAT, 0o644)
		os.pwrite(fd, rnd.randbytes(2 << 20), 0)
		os.fsync(fd)
		for i in range(40):
		    os.pwrite(fd, rnd.randbytes(4096 * rnd.randint(1, 3)), 4096 * rnd.randrange(500))
		    if i % 8 == 0:
		        os.fsync(fd)
		for i in range(10):
		    at, n = rnd.randrange(400), rnd.randint(1, 60)
		    fcntl.ioctl(other, FICLONERANGE, struct.pack("qQQQ", fd, at * 4096, n * 4096, rnd.randrange(400) * 4096))
		os.ftruncate(fd, 1234567)
		os.fsync(fd)
		os.fsync(other)
	END
	fallocate -p -o 20480 -l 8192 $at/split
	fallocate -p -o 700000 -l 100000 $at/split
	cp $at/split "$tap_tmp/split"
	cp $at/other "$tap_tmp/other"
	again -o verify=always
	cmp $at/split "$tap_tmp/split"
	cmp $at/other "$tap_tmp/other"
	rm $at/split $at/other
	umount $at
	fsck.nexusfs scenario
}

# Scenarios A20, M7: who changes attributes and who writes back do not undo each
# other; what the log says is what was to be seen.
test_attributes_beside_writeback() {
	begin
	local pids=() pid
	echo x > $at/f
	mkdir $at/one
	python3 - $at <<- 'END' &
		import os, sys, time
		os.chdir(sys.argv[1])
		fd = os.open("f", os.O_RDWR)
		end, i = time.monotonic() + 4, 0
		while time.monotonic() < end:
		    i += 1
		    os.pwrite(fd, b"y" * 5000, i * 3000)
		    os.fsync(fd)
		    if i % 50 == 0:
		        os.ftruncate(fd, 10)
	END
	pids+=($!)
	python3 - $at <<- 'END' &
		import os, sys, time
		os.chdir(sys.argv[1])
		end, i = time.monotonic() + 4, 0
		while time.monotonic() < end:
		    i += 1
		    os.chmod("f", 0o600 + i % 64)
		    os.chown("f", i % 1000, i % 999)
		    os.utime("f", (i, i))
		    os.rename("one", "two")
		    os.rename("two", "one")
	END
	pids+=($!)
	for pid in "${pids[@]}"; do wait "$pid"; done
	stat -c '%n %a %u %g %s %h %b %X %Y %Z' $at/f $at/one > "$tap_tmp/before"
	kill_helper
	until_true 60 nexusctl status
	again
	stat -c '%n %a %u %g %s %h %b %X %Y %Z' $at/f $at/one > "$tap_tmp/after"
	diff "$tap_tmp/before" "$tap_tmp/after"
	rm -r $at/f $at/one
	umount $at
	fsck.nexusfs scenario
}

all_durable() { [ "$(lsn scenario durable)" = "$(lsn scenario tail)" ]; }

# Nobody asked for it.
test_log_is_written_within_seconds() {
	begin
	mkdir $at/d
	(cd $at/d && touch $(seq 100))
	until_true 5 all_durable
	rm -r $at/d
	umount $at
}

# flip WORD: a bit of the byte in front of it, in whichever pack; a second time puts it right.
flip() {
	local file off
	IFS=: read -r file off _ < <(grep -rabo "$1" $store/packs | head -n 1)
	python3 - "$file" "$off" <<- 'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		at = int(sys.argv[2]) - 1
		byte = os.pread(fd, 1, at)[0]
		os.pwrite(fd, bytes([byte ^ 1]), at)
		os.fsync(fd)
	END
}

test_damaged_block_is_an_error() {
	begin -o verify=always
	(head -c 5000 /dev/zero; echo xTheWordInTheBlock; head -c 5000 /dev/zero) > $at/f
	echo whole > $at/g
	sync -f $at
	flip TheWordInTheBlock
	echo 3 > /proc/sys/vm/drop_caches
	fails cat $at/f 2> "$tap_tmp/why" > "$tap_tmp/got"
	grep 'Input/output error' "$tap_tmp/why"
	fails grep -a TheWord "$tap_tmp/got"
	dmesg | tail -n 50 | grep -E "nexusfs \(scenario\): checksum of block [0-9]+ of pack [0-9]+ \(inode $(stat -c %i $at/f)\) is wrong"
	[ "$(cat $at/g)" = whole ]
	flip TheWordInTheBlock
	grep -a TheWord $at/f
	rm $at/f $at/g
	umount $at
	fsck.nexusfs scenario
}

tap_cleanup() {
	fsfreeze -u $at 2> /dev/null || true
	release
	until_true 60 nexusctl status || true
	umount $at 2> /dev/null || true
}
tap_main "$@"
