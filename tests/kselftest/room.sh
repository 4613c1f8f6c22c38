#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The helper is away and small fsyncs, each of which takes a whole block of the
# log, use up its segments: they wait, can be killed, keep nobody else from
# syncing and unmounting, and nothing is lost.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/tmp/nexus-room
seen=/dev/shm/nexus-room
zone=/var/lib/nexusfs/zones/room
# More than a log of three segments of 2 MiB has blocks for; and what is left of them when
# it is used up is too little for a large batch.
files=1400

# One file after the other, so that each fsync is a batch of its own.
each() {
	exec perl -MIO::Handle -e '
		my ($dir, $seen, $what, @names) = @ARGV;
		for my $name (@names) {
			open(my $f, "+<", "$dir/$name") or die "$name: $!\n";
			if ($what ne "fsync") {
				syswrite($f, "again $name\n") or die "$name: $!\n";
			}
			$f->sync or die "$name: $!\n";
			open(my $s, ">", $seen); print $s $name; close $s;
		}' "$mnt" "$@"
}

mount_room() {
	local bdi
	need_nexus
	[ -s $run/nexusd.pid ] || skip "needs a helper"
	rm -f $seen
	mkdir -p $mnt
	# A new one: a log that has been short of segments has got more of them.
	if [ -e $zone ]; then
		fsck.nexusfs room
		rm -r $zone
	fi
	nexusctl zone create room --option segment_size=2M
	mount -t nexusfs -o grace=600 room $mnt
	# Filling it takes longer than a helper is waited for.
	mount -i -o remount,grace=600 "$dir"
	mkdir -p $mnt/dir
	# What is dirty stays so until somebody asks: neither age nor amount counts.  A
	# filesystem has a part of the amount, and a new one almost none.
	echo 360000 > /proc/sys/vm/dirty_expire_centisecs
	echo 80 > /proc/sys/vm/dirty_ratio
	echo 60 > /proc/sys/vm/dirty_background_ratio
	for bdi in /sys/class/bdi/nexusfs-*; do
		echo 25 > "$bdi/min_ratio"
	done
}

# In place: a file that is emptied first is written when it is closed.  And too much to be
# kept inline or to go to the log: the records would be others.
all() {
	perl -MFcntl -e '
		my ($dir, $word, $n) = @ARGV;
		for my $i (1..$n) {
			sysopen(my $f, "$dir/$i", O_WRONLY | O_CREAT) or die "$i: $!\n";
			syswrite($f, "$word $i\n" . "." x 17000) or die "$i: $!\n";
		}' $mnt "$1" $files
}

# Every 20th: each costs a question to the helper.
all_new() {
	seq -f 'new %.0f' 1 20 $files | diff - <(cd $mnt && seq 1 20 $files | xargs head -qn 1)
}

# $files dirty files, nobody at home, and one who has fsynced until it stands.
fill_room() {
	mount_room
	all old
	sync -f $mnt
	take_helper_away
	all new
	# shellcheck disable=SC2046
	each $seen fsync $(seq $files) &
	waiter=$!
	for _ in $(seq 60); do
		stands_still $seen && break
		kill -0 "$waiter" 2> /dev/null || { echo "$files fsyncs and always room"; return 1; }
	done
	echo "waits after $(progress $seen) fsyncs"
	kill -0 "$waiter"
}

# Who waits has all that is dirty written, and records take less than what was kept for
# them: there may be room again for a few, and for what $waiter waits for.  Who waits then
# is $last.
use_up_room() {
	for _ in $(seq 100); do
		each /dev/null write $files &
		last=$!
		# Two seconds may be what a busy disk takes.
		for _ in $(seq 150); do
			dead "$last" && break
			sleep 0.1
		done
		dead "$last" || return 0
		wait "$last"
	done
	echo "100 fsyncs more and always room"
	return 1
}

# Kills what was started last, which must be waiting.
kill_waiters() {
	local pid
	sleep 2
	for pid; do
		fails dead "$pid"
		kill -9 "$pid"
		until_true 60 dead "$pid"
	done
}

# Scenario M6.
test_waiters_can_be_killed() {
	local waiter last waiting=()
	fill_room
	use_up_room
	kill_waiters "$last"
	each /dev/null write $((files - 1)) &
	waiting+=($!)
	# Elsewhere: the VFS waits unkillably for a directory that somebody holds.
	perl -e 'symlink("x", "$ARGV[0]/dir/link") or die' $mnt &
	waiting+=($!)
	perl -e 'truncate("$ARGV[0]/$ARGV[1]", 3) or die' $mnt $((files - 2)) &
	waiting+=($!)
	perl -e 'unlink("$ARGV[0]/$ARGV[1]") or die' $mnt $((files - 3)) &
	kill_waiters "${waiting[@]}" $!
	kill -9 "$waiter" 2> /dev/null || true
	bring_helper_back
	# And all goes on.
	echo more > $mnt/more
	timeout 60 sync $mnt/more
	umount $mnt
}

test_goes_on_with_the_helper() {
	local waiter
	fill_room
	bring_helper_back
	wait "$waiter"
	[ "$(progress $seen)" = $files ]
	umount $mnt
	until_true 60 mount -t nexusfs -o grace=600 room $mnt
	all_new
	umount $mnt
}

# Scenario E4.
test_sync_and_unmount_without_a_helper() {
	local waiter pid
	fill_room
	sync -f $mnt &
	pid=$!
	until_true 60 dead $pid
	wait $pid
	# One batch for all: nobody has anything to wait for any more.
	wait "$waiter"
	[ "$(progress $seen)" = $files ]
	umount $mnt &
	pid=$!
	until_true 60 dead $pid
	wait $pid
	bring_helper_back
	until_true 60 mount -t nexusfs -o grace=600 room $mnt
	all_new
	umount $mnt
}

# Of sealed packs the host has only what is in them.
rest_is_back() {
	local kib
	kib=$(sealed_kib room)
	[ "$kib" -gt 0 ] && [ "$kib" -le 2048 ]
}

# Who waits for the helper to read holds no lock that others cannot be killed
# waiting for.
test_behind_a_reader() {
	local reader pid what
	mount_room
	head -c 20000 /dev/zero | tr '\0' x > $mnt/f
	umount $mnt
	until_true 60 mount -t nexusfs -o grace=600 room $mnt
	# The kernel is given a pack when its rest is given back, once.
	until_true 60 rest_is_back
	umount $mnt
	until_true 60 mount -t nexusfs -o grace=600 room $mnt
	# Its extents are known now, but not the pack that holds them.
	stat $mnt/f
	take_helper_away
	cat $mnt/f > /dev/null &
	reader=$!
	sleep 1
	# shellcheck disable=SC2016
	for what in 'open(my $f, "+<", $ARGV[0]) or die; sysseek($f, 100, 0); syswrite($f, "x") or die' \
		'truncate($ARGV[0], 5000) or die' \
		'open(my $f, "<", $ARGV[0]) or die; sysread($f, my $c, 100) or die'; do
		perl -e "$what" $mnt/f &
		pid=$!
		sleep 1
		echo "$what"
		fails dead "$pid"
		kill -9 "$pid"
		until_true 60 dead "$pid"
	done
	fails dead "$reader"
	bring_helper_back
	wait "$reader"
	[ "$(tr -d x < $mnt/f | wc -c)" = 0 ]
	umount $mnt
}

tap_cleanup() {
	local bdi
	echo 3000 > /proc/sys/vm/dirty_expire_centisecs
	echo 20 > /proc/sys/vm/dirty_ratio
	echo 10 > /proc/sys/vm/dirty_background_ratio
	for bdi in /sys/class/bdi/nexusfs-*; do
		echo 0 > "$bdi/min_ratio"
	done
	bring_helper_back || true
	mount -i -o remount,grace=60 "$dir" || true
	! mountpoint -q $mnt || umount -l $mnt
}
tap_main "$@"
