#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What can happen to the log of a zone on its disk: damage in the middle, under
# an unmounted and under a mounted zone; an index ahead of it; a record no helper
# survives; a rival that finds a mounted zone without a helper.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
store=/var/lib/nexusfs/zones/fault
at=/tmp/fault
readonly_event=6

# A zone of its own, new for each test, mounted at $at; all is known about $at/d.
begin() {
	need_helper
	mkdir -p $at
	nexusctl zone create fault
	mount -t nexusfs fault $at
	mkdir $at/d
}

indexed() { [ "$(lsn fault checkpoint)" -ge "$1" ]; }

write_synced() {
	for name; do
		echo "content of $name" > $at/d/"$name"
		sync $at/d/"$name"
	done
}

# flip NAME: a bit of the record that made it; a second time puts it right.
flip() {
	local file off
	read -r file off < <(grep -abo "$1" $store/log/*.seg | head -n 1 | awk -F: '{ print $1, $2 }')
	python3 - "$file" "$off" << 'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
at = int(sys.argv[2]) - 1
byte = os.pread(fd, 1, at)[0]
os.pwrite(fd, bytes([byte ^ 0x10]), at)
os.fsync(fd)
PY
}

mount_refused() {
	local status=0
	mount -t nexusfs fault $at 2> "$tap_tmp/why" || status=$?
	cat "$tap_tmp/why"
	[ $status = 32 ]
	grep -qE "$1" "$tap_tmp/why" || grep -qE "$1" <(tail -n 5 $run/nexusd.log)
}

# fsck_finds WORDS [OPTION]
fsck_finds() {
	local status=0
	fsck.nexusfs "${@:2}" fault > "$tap_tmp/fsck" 2>&1 || status=$?
	cat "$tap_tmp/fsck"
	[ $((status & 4)) = 4 ]
	grep -qE "$1" "$tap_tmp/fsck"
}

test_damage_in_the_middle() {
	begin
	local before
	take_helper_away
	write_synced the-first the-middle the-last
	umount $at
	release
	until_true 60 nexusctl status
	flip the-middle
	before=$(cd $store && find . -type f ! -iname "lock*" -print0 | sort -z | xargs -0 sha256sum)
	fsck_finds 'damaged at LSN [0-9]+, but was durable'
	# Nor is it repaired, and nothing is touched by the attempt.
	fsck_finds '^not repaired: the log is damaged' --repair
	mount_refused 'damaged at LSN [0-9]+, but was durable'
	# What is whole can be looked at, also through the next helper.
	mount -t nexusfs -o ro fault $at
	[ "$(ls $at/d)" = the-first ]
	kill_helper
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(cat $at/d/the-first)" = "content of the-first" ]
	[ "$(ls $at/d)" = the-first ]
	sleep 6
	umount $at
	[ "$before" = "$(cd $store && find . -type f ! -iname "lock*" -print0 | sort -z | xargs -0 sha256sum)" ]
	flip the-middle
	mount -t nexusfs fault $at
	[ "$(cat $at/d/the-first $at/d/the-middle $at/d/the-last | wc -l)" = 3 ]
	umount $at
	fsck.nexusfs fault
}

listen() {
	python3 "$here/events.py" > "$tap_tmp/events" &
	echo $! > "$tap_tmp/listener"
	until_true 20 grep -q listening "$tap_tmp/events"
}

# read_only WORDS: known to everybody, with its name.
read_only() {
	until_true 60 grep -qE "^$readonly_event fault .*$1" "$tap_tmp/events"
	kill "$(cat "$tap_tmp/listener")"
	dmesg | grep -E "nexusfs \(fault\): the zone is read-only from now on: .*$1"
	nexusctl zone info fault | grep -E "$1"
	fails touch $at/d/new 2> "$tap_tmp/why"
	grep -q 'Read-only file system' "$tap_tmp/why"
}

# More than the ring holds, and the helper finds a hole where it goes on.
test_damage_under_a_mounted_zone() {
	begin
	mkdir $at/d/links
	listen
	take_helper_away
	write_synced the-first the-middle
	perl -e 'symlink("x" x 3900, "$ARGV[0]/$_") or die "$_: $!\n" for 1 .. 1600' $at/d/links
	sync -f $at
	flip the-middle
	release
	read_only 'damaged at LSN [0-9]+, but was durable'
	umount $at
	mount_refused 'damaged at LSN'
	flip the-middle
	mount -t nexusfs fault $at
	[ "$(find $at/d/links -type l | wc -l)" = 1600 ]
	[ "$(cat $at/d/the-middle)" = "content of the-middle" ]
	umount $at
	fsck.nexusfs fault
}

# An old log under a new index, as a host leaves it that does not flush.
# Scenario M1.
test_index_ahead_of_the_log() {
	begin
	local tail
	write_synced one
	cp -a $store/log "$tap_tmp/old"
	write_synced two
	tail=$(lsn fault tail)
	until_true 60 indexed "$tail"
	# An end in order would make the log of no interest.
	take_helper_away
	umount $at
	release
	until_true 60 nexusctl status
	cp -a $store/log "$tap_tmp/new"
	for f in "$tap_tmp"/old/*.seg; do dd if="$f" of="$store/log/${f##*/}" conv=notrunc,fsync status=none; done
	fsck_finds 'log ends below LSN'
	mount_refused 'log ends below LSN'
	for f in "$tap_tmp"/new/*.seg; do dd if="$f" of="$store/log/${f##*/}" conv=notrunc,fsync status=none; done
	mount -t nexusfs fault $at
	[ "$(cat $at/d/one $at/d/two | wc -l)" = 2 ]
	umount $at
}

# Two helpers died at the next record already; the third is killed for it here.
# Scenario B6.
test_three_deaths() {
	begin
	local bad old
	write_synced before
	sync -f $at
	until_true 60 indexed "$(lsn fault tail)"
	listen
	hold
	bad=$(lsn fault tail)
	kill_helper
	write_synced fatal after
	python3 - $store/applying "$bad" << 'PY'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    magic = struct.unpack("<Q", f.read(8))[0]
    assert magic, "no count of deaths"
    f.seek(0)
    f.write(struct.pack("<4Q", magic, int(sys.argv[2]), int(sys.argv[2]), 2))
PY
	release
	read_only "3 helpers died while applying the record at LSN $bad"
	# It stays so, and what came before can be read.
	old=$(cat $run/nexusd.pid)
	kill_helper
	until_true 60 sh -c "[ \$(cat $run/nexusd.pid) != $old ] && nexusctl status"
	echo 3 > /proc/sys/vm/drop_caches
	umount $at
	mount_refused "helpers died"
	mount -t nexusfs -o ro fault $at
	[ "$(cat $at/d/before)" = "content of before" ]
	[ ! -e $at/d/fatal ]
	umount $at
	# Whoever has mended the helper says so by removing the count.
	rm $store/applying
	mount -t nexusfs fault $at
	[ "$(cat $at/d/before $at/d/fatal $at/d/after | wc -l)" = 3 ]
	umount $at
}

# The kernel holds the zone, whoever else wants it.
# Scenario M12.
test_rival_of_a_dead_helper() {
	begin
	local rival=/tmp/fault-rival.sock pid status
	write_synced before
	take_helper_away
	nexusd -s rival -S $rival > "$tap_tmp/rival" 2>&1 &
	pid=$!
	echo $pid > "$tap_tmp/rival.pid"
	until_true 20 nexusctl --socket $rival status
	for what in "zone upgrade" "zone info"; do
		status=0
		# shellcheck disable=SC2086
		nexusctl --socket $rival $what fault > "$tap_tmp/why" 2>&1 || status=$?
		cat "$tap_tmp/why"
		[ $status != 0 ] && grep -q 'in use' "$tap_tmp/why"
	done
	mkdir -p /tmp/fault-rival
	status=0
	mount -i -t nexusfs rival:fault /tmp/fault-rival 2> "$tap_tmp/why" || status=$?
	[ $status = 32 ]
	grep -q 'zone fault cannot be opened: the zone is in use' "$tap_tmp/rival"
	status=0
	fsck.nexusfs fault > "$tap_tmp/why" 2>&1 || status=$?
	[ $((status & 8)) = 8 ]
	kill $pid
	wait $pid
	rm "$tap_tmp/rival.pid"
	write_synced after
	release
	until_true 60 nexusctl status
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(cat $at/d/before $at/d/after | wc -l)" = 2 ]
	umount $at
}

tap_cleanup() {
	release
	[ ! -s "$tap_tmp/listener" ] || kill "$(cat "$tap_tmp/listener")" 2> /dev/null || true
	rm -f "$tap_tmp/listener"
	# It has the data directory, as long as it is there.
	[ ! -s "$tap_tmp/rival.pid" ] || kill "$(cat "$tap_tmp/rival.pid")" 2> /dev/null || true
	rm -f "$tap_tmp/rival.pid"
	until_true 60 nexusctl status || true
	umount $at 2> /dev/null || true
	rm -rf $store
}
tap_main "$@"
