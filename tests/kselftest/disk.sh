#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What can happen to the disk under a store: it cannot read or write packs, segments
# or the index; its filesystem is frozen, or full of what others wrote; and memory is
# short.  Clear errors, nothing acknowledged is lost, and all goes on when the cause
# is gone.
#
# The store's disk is put behind the device mapper first, which then fails what
# belongs to chosen files.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
host=/var/lib/nexusfs
store=$host/zones/disk
at=/tmp/disk
group=/sys/fs/cgroup/nexus-disk
# There is no udev.
export DM_DISABLE_UDEV=1

sectors() { blockdev --getsz /dev/vda; }

# The filesystem of the store goes on, on another device.
on_mapper() {
	[ ! -e /dev/mapper/disk ] || return 0
	/sbin/modprobe dm-mod
	umount "$dir"
	"$supervise" stop
	umount $host
	dmsetup create disk --table "0 $(sectors) linear /dev/vda 0"
	mount -t ext4 -o discard /dev/mapper/disk $host
	"$supervise" start
	mount -t nexusfs root "$dir"
}

# table FILE...: the disk with errors where the files are.
table() {
	filefrag -e -b512 -v "$@" | python3 -c '
import re, sys
size = int(sys.argv[1])
spans = sorted((int(m[1]), int(m[2]) + 1) for m in
               (re.match(r" *\d+: +\d+\.\. *\d+: +(\d+)\.\. *(\d+):", line) for line in sys.stdin) if m)
assert spans
at = 0
for start, end in spans:
    if start > at:
        print(at, start - at, "linear /dev/vda", at)
    if end > max(at, start):
        print(max(at, start), end - max(at, start), "error")
    at = max(at, end)
print(at, size - at, "linear /dev/vda", at)' "$(sectors)"
}

load() {
	dmsetup reload disk
	dmsetup suspend --nolockfs disk
	dmsetup resume disk
}

break_files() {
	# An error of before is reported once.
	sync -f $host || sync -f $host
	table "$@" > "$tap_tmp/table"
	load < "$tap_tmp/table"
}

mend() { echo "0 $(sectors) linear /dev/vda 0" | load; }

# A zone of its own, new for each test, mounted at $at; all is known about $at/d.
begin() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	on_mapper
	mkdir -p $at
	nexusctl zone create disk
	mount -t nexusfs disk $at
	mkdir $at/d
}

# Too long to be kept in the index.
# Too much to go to the log when it is fsynced.
content() { printf 'content of %s%20000s' "$1" .; }

write_synced() {
	for name; do
		content "$name" > $at/d/"$name"
		sync $at/d/"$name"
	done
}

all_there() {
	for name; do
		[ "$(cat $at/d/"$name")" = "$(content "$name")" ]
	done
}

count() { find "$1" -mindepth 1 | wc -l; }
packs() { find $store/packs -name '*.pack'; }

again() {
	umount $at
	until_true 60 mount -t nexusfs disk $at
}

end() {
	umount $at
	fsck.nexusfs disk
}

# Said to the one who wrote, to everybody, and in the log of the kernel.
read_only() {
	dmesg | tail -n 200 | grep -E "nexusfs \(disk\): the zone is read-only from now on: .*$1"
	nexusctl zone info disk | grep -E "$1"
	fails touch $at/d/more 2> "$tap_tmp/why"
	grep -q "${2:-Read-only file system}" "$tap_tmp/why"
}

# Every fsync that failed says so, and what was fsynced before is there.
test_segments_cannot_be_written() {
	begin
	write_synced one two
	break_files $store/log/*.seg
	echo lost > $at/d/three
	fails sync $at/d/three 2> "$tap_tmp/why"
	grep -q 'Input/output error\|Read-only' "$tap_tmp/why"
	read_only 'writing segment file [0-9]+ failed'
	# Also to the next who asks.
	fails sync $at/d/three 2> /dev/null
	all_there one two
	mend
	# It may have lost what it said it had: not before it was opened anew.
	fails touch $at/d/more 2> /dev/null
	again
	all_there one two
	write_synced four
	end
}

test_packs_cannot_be_written() {
	begin
	write_synced one two old
	# shellcheck disable=SC2046
	break_files $(packs)
	content new | dd of=$at/d/old conv=notrunc status=none
	content lost > $at/d/three
	fails sync -d $at/d/old
	fails sync $at/d/three 2> "$tap_tmp/why"
	grep -q 'Input/output error\|Read-only' "$tap_tmp/why"
	read_only 'writing pack [0-9]+ failed'
	# What is lost is never called written, whoever asks, and how.
	for _ in 1 2 3; do
		fails sync -d $at/d/old
		fails sync $at/d/old
		fails sync -d $at/d/three
		echo 3 > /proc/sys/vm/drop_caches
	done
	mend
	again
	all_there one two old
	[ ! -s $at/d/three ]
	write_synced four
	end
}

test_packs_cannot_be_read() {
	begin
	write_synced one two
	ls $at/d > /dev/null
	# shellcheck disable=SC2046
	break_files $(packs)
	echo 3 > /proc/sys/vm/drop_caches
	fails cat $at/d/one 2> "$tap_tmp/why"
	grep -q 'Input/output error' "$tap_tmp/why"
	dmesg | tail -n 100 | grep -E 'nexusfs \(disk\): inode [0-9]+: reading pack [0-9]+ at block [0-9]+ failed'
	mend
	# Nothing has changed, so nothing has failed.
	all_there one two
	write_synced three
	again
	all_there one two three
	end
}

index_behind() { [ "$(lsn disk checkpoint)" -lt "$1" ]; }
indexed() { [ "$(lsn disk checkpoint)" -ge "$1" ]; }

# The log holds what the index cannot take.
# Scenario A9.
test_index_cannot_be_written() {
	local tail
	begin
	write_synced one
	until_true 60 indexed "$(lsn disk tail)"
	break_files $store/index/data.mdb
	write_synced two
	tail=$(lsn disk tail)
	until_true 60 grep -q 'zone disk: the index cannot be written' $run/nexusd.log
	index_behind "$tail"
	# Nobody notices: changes, fsync and what is in memory.
	write_synced three
	all_there one two three
	mend
	until_true 120 indexed "$tail"
	write_synced four
	again
	all_there one two three four
	end
}

# A helper that finds it so says why and leaves the zone alone; it serves the others.
# Scenario C16.
test_index_cannot_be_read() {
	local names=()
	begin
	mapfile -t names < <(seq 1 300)
	for name in "${names[@]}"; do content "$name" > $at/d/"$name"; done
	sync -f $at
	again
	take_helper_away
	break_files $store/index/data.mdb
	echo 3 > /proc/sys/vm/drop_caches
	bring_helper_back
	# Whether there is such a name cannot be found out.
	read_only 'Input/output error' 'Input/output error'
	fails cat $at/d/200 2> "$tap_tmp/why"
	echo goes on > "$dir/beside"
	sync "$dir/beside"
	rm "$dir/beside"
	umount $at
	fails mount -t nexusfs disk $at 2> "$tap_tmp/why"
	grep -q 'Input/output error' "$tap_tmp/why"
	mend
	mount -t nexusfs disk $at
	all_there "${names[@]}"
	write_synced more
	end
}

# The end of a log, or what it needs, gives no answer at a mount: that it was never written
# is not known, so nothing is changed, and with the disk all is there.
# Scenario M2.
test_log_cannot_be_read() {
	begin
	write_synced one
	again
	echo > $at/d/two
	echo > $at/d/three
	take_helper_away
	echo three > $at/d/three
	sync $at/d/three
	write_synced two
	umount $at
	for files in "$store/log/*.seg" "$store/packs/*/*.pack"; do
		# shellcheck disable=SC2086
		break_files $files
		bring_helper_back
		fails mount -t nexusfs disk $at 2> "$tap_tmp/why"
		grep -E 'cannot be (read at block|completed).*: Input/output error' "$tap_tmp/why"
		fails fsck.nexusfs disk > "$tap_tmp/said" 2>&1
		grep -E 'cannot be read.*: Input/output error' "$tap_tmp/said"
		hold
		mend
	done
	bring_helper_back
	mount -t nexusfs disk $at
	all_there one two
	[ "$(cat $at/d/three)" = three ]
	write_synced four
	end
}

# stores_to FILE: through a mapping.
# stores_to FILE: through a mapping.
stores_to() {
	python3 - "$1" <<- 'END'
		import mmap, sys
		with open(sys.argv[1], "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
		    m[0] = m[0]
	END
}

# overwrites FILE: its first block, by a direct write that is under way when this says so;
# it ends when the write does.
overwrites() {
	python3 - "$1" <<- 'END'
		import ctypes, mmap, os, struct, sys
		libc = ctypes.CDLL(None, use_errno=True)
		SETUP, GETEVENTS, SUBMIT, PWRITE = 206, 208, 209, 1
		fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DIRECT)
		block = mmap.mmap(-1, 4096)
		block.write(b"n" * 4096)
		at = ctypes.addressof(ctypes.c_char.from_buffer(block))
		context = ctypes.c_ulong(0)
		iocb = ctypes.create_string_buffer(
		    struct.pack("<QIiHhIQQqQII", 0, 0, 0, PWRITE, 0, fd, at, 4096, 0, 0, 0, 0))
		which = ctypes.c_void_p(ctypes.addressof(iocb))
		assert libc.syscall(SETUP, 1, ctypes.byref(context)) == 0
		assert libc.syscall(SUBMIT, context, 1, ctypes.byref(which)) == 1
		open(sys.argv[1] + ".under-way", "w").close()
		event = ctypes.create_string_buffer(32)
		assert libc.syscall(GETEVENTS, context, 1, 1, event, None) == 1
		assert struct.unpack("<QQqq", event.raw)[2] == 4096
	END
}

# All that wait for the disk can be killed.  What is known here goes on.
# Scenarios C28, E7.
test_host_is_frozen() {
	local killed=() waiter writers=() pid i
	begin
	write_synced one two under
	for i in 1 2 3 4; do head -c 8192 /dev/zero > $at/direct-$i; done
	sync -f $at
	mkdir $at/d/dirs
	fsfreeze -f $host
	(cd $at/d/dirs && mkdir $(seq 200))
	sync $at/d/dirs &
	killed+=($!)
	content three > $at/d/three
	sync $at/d/three &
	waiter=$!
	# Its writeback does not end, and it may not change meanwhile.
	content under > $at/d/under
	sync $at/d/under &
	killed+=($!)
	sleep 3
	sync $at/d/under &
	killed+=($!)
	echo more >> $at/d/under &
	killed+=($!)
	stores_to $at/d/under &
	killed+=($!)
	truncate -s 3 $at/d/under &
	killed+=($!)
	for i in 1 2 3 4; do
		overwrites $at/direct-$i &
		writers+=($!)
		until_true 20 [ -e $at/direct-$i.under-way ]
	done
	truncate -s 5000 $at/direct-1 &
	killed+=($!)
	fallocate -p -o 0 -l 4096 $at/direct-2 &
	killed+=($!)
	cp --reflink=always $at/direct-3 $at/copy &
	killed+=($!)
	chattr +i $at/direct-4 &
	killed+=($!)
	sleep 3
	fails dead $waiter
	for pid in "${writers[@]}"; do fails dead "$pid"; done
	for pid in "${killed[@]}"; do
		fails dead "$pid"
		kill -9 "$pid"
		until_true 20 dead "$pid"
	done
	mv $at/d/dirs/1 $at/d/dirs/first
	all_there one two three under
	fsfreeze -u $host
	wait $waiter
	for pid in "${writers[@]}"; do wait "$pid"; done
	chattr -i $at/direct-4
	for i in 1 2 3 4; do
		[ "$(head -c 4096 $at/direct-$i | tr -d n | wc -c) $(stat -c %s $at/direct-$i)" = "0 8192" ]
	done
	sync -f $at
	again
	all_there one two three under
	[ "$(count $at/d/dirs)" = 200 ]
	[ -d $at/d/dirs/first ]
	end
}

# Others have filled the host.  rm is what helps, and it works.
# Scenarios A11, E11.
test_host_is_full() {
	local names=() free sum
	begin
	mapfile -t names < <(seq 1 50)
	write_synced "${names[@]}"
	mkdir $at/d/many
	(cd $at/d/many && touch $(seq 500))
	# In packs that nobody has read when the helper is killed.
	head -c 200000000 /dev/urandom > $at/d/last
	sum=$(md5sum < $at/d/last)
	sync -f $at
	free=$(stat -f -c '%a * %S' $host)
	fallocate -l $((free)) $host/hog || fallocate -l $((free - (1 << 20))) $host/hog
	dd if=/dev/zero of=$host/rest bs=4096 conv=fsync 2> /dev/null || true
	# What was handed over already is used up first.
	fails dd if=/dev/zero of=$at/d/big bs=1M count=1000 conv=fsync 2> "$tap_tmp/why"
	grep -q 'No space left' "$tap_tmp/why"
	all_there "${names[@]}"
	# Each pack is full.  Mounted now it is handed none; the next helper does not take one
	# for unused that the kernel has not heard of.
	again
	kill_helper
	until_true 60 nexusctl status
	fails dd if=/dev/zero of=$at/d/more bs=1M count=100 conv=fsync 2> /dev/null
	echo 3 > /proc/sys/vm/drop_caches
	all_there "${names[@]}"
	[ "$(md5sum < $at/d/last)" = "$sum" ]
	nexusctl pack verify disk
	rm -r $at/d/many $at/d/1
	rm $at/d/big
	sync -f $at
	# What is left can be stopped, and begun with, and emptied.
	umount $at
	until_true 60 mount -t nexusfs disk $at
	all_there "${names[@]:1}"
	rm $at/d/2
	sync -f $at
	rm $host/hog $host/rest
	until_true 60 dd if=/dev/zero of=$at/d/big bs=1M count=100 conv=fsync
	all_there "${names[@]:2}"
	again
	all_there "${names[@]:2}"
	end
}

# A group that may use little memory writes, reads and maps much more.
test_little_memory() {
	local sum
	begin
	[ -e /sys/fs/cgroup/cgroup.controllers ] || skip "no cgroup2"
	echo +memory > /sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $group
	echo $((24 << 20)) > $group/memory.max
	(
		echo $BASHPID > $group/cgroup.procs
		mkdir $at/d/many
		python3 - $at/d <<- 'END'
			import mmap, os, random, sys
			os.chdir(sys.argv[1])
			block = random.Random(1).randbytes(1 << 20)
			with open("large", "wb") as f:
			    for i in range(80):
			        f.write(block)
			    os.fsync(f.fileno())
			with open("mapped", "w+b") as f:
			    os.ftruncate(f.fileno(), 40 << 20)
			    with mmap.mmap(f.fileno(), 0) as m:
			        for i in range(40):
			            m[i << 20:(i + 1) << 20] = block
			        m.flush()
			for i in range(3000):
			    with open(f"many/{i}", "w") as f:
			        f.write(f"content of {i}\n")
			os.sync()
			with open("large", "rb") as f:
			    for i in range(80):
			        assert f.read(1 << 20) == block, i
		END
	)
	grep -x 'oom_kill 0' $group/memory.events
	rmdir $group
	again
	[ "$(count $at/d/many)" = 3000 ]
	[ "$(cat $at/d/many/2999)" = "content of 2999" ]
	sum=$(head -c 41943040 $at/d/large | sha256sum)
	[ "$(sha256sum < $at/d/mapped)" = "$sum" ]
	end
}

tap_cleanup() {
	fsfreeze -u $host 2> /dev/null || true
	rm -f $host/hog $host/rest
	[ ! -e /dev/mapper/disk ] || mend
	release
	until_true 60 nexusctl status || true
	umount $at 2> /dev/null || true
	rm -rf $store
	rmdir $group 2> /dev/null || true
}
tap_main "$@"
