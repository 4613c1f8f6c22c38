#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The helper dies, comes back, has a rival: nobody on the mount notices more
# than a pause.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
tree=/usr/include/linux

answers() { nexusctl status; }

# In this order: dropping what a whole machine has cached can take longer than
# a zone waits for its next helper.
drop_caches_and_helper() {
	echo 3 > /proc/sys/vm/drop_caches
	take_helper_away
}

new_helper() { [ -s $run/nexusd.pid ] && [ "$(cat $run/nexusd.pid)" != "$1" ] && nexusctl status; }

test_killed_in_the_middle_of_a_copy() {
	need_helper
	local copy old i
	rm -rf "$dir/helper-copy"
	cp -a "$tree" "$dir/helper-copy" &
	copy=$!
	for i in 1 2; do
		sleep 0.5
		kill -0 $copy 2> /dev/null || break
		old=$(cat $run/nexusd.pid)
		kill_helper
		echo "killed helper $i"
		until_true 60 new_helper "$old"
	done
	wait $copy
	[ "$i" -gt 1 ]
	diff -r --no-dereference "$tree" "$dir/helper-copy"
	echo 3 > /proc/sys/vm/drop_caches
	diff -r --no-dereference "$tree" "$dir/helper-copy"
	rm -rf "$dir/helper-copy"
}

test_killed_while_reading() {
	need_helper
	local old pid
	rm -rf "$dir/helper-read"
	cp -a "$tree" "$dir/helper-read"
	sync -f "$dir"
	echo 3 > /proc/sys/vm/drop_caches
	diff -r --no-dereference "$tree" "$dir/helper-read" &
	pid=$!
	sleep 0.3
	old=$(cat $run/nexusd.pid)
	kill_helper
	until_true 60 new_helper "$old"
	wait $pid
	rm -rf "$dir/helper-read"
}

# Also with the next names asked for ahead: each one once, whoever answers.
test_killed_while_listing() {
	need_helper
	local work=$dir/helper-list
	rm -rf "$work"
	python3 - "$work" "$run/nexusd.pid" <<- 'EOF'
		import os, signal, sys
		work, pid_file = sys.argv[1:]
		names = {f"name-{i}" for i in range(20000)}
		os.mkdir(work)
		for name in names:
		    os.mknod(f"{work}/{name}")
		os.sync()
		with open("/proc/sys/vm/drop_caches", "w") as drop:
		    drop.write("3")
		killed = set()
		with os.scandir(work) as entries:
		    for n, entry in enumerate(entries):
		        if n % 4000 == 3500:
		            with open(pid_file) as text:
		                pid = int(text.read())
		            if pid not in killed:
		                os.kill(pid, signal.SIGKILL)
		                killed.add(pid)
		        names.remove(entry.name)
		print(f"{len(killed)} helpers killed, {len(names)} names left")
		sys.exit(bool(names) or not killed)
	EOF
	rm -rf "$work"
}

# Scenario E10.
test_away_and_back() {
	need_helper
	local work=$dir/helper-away
	mkdir -p "$work"
	echo before > "$work/before"
	take_helper_away
	# Changes, fsync and what is cached go on.
	for i in $(seq 200); do
		echo "$i" > "$work/$i"
	done
	sync "$work/200"
	sync -f "$work"
	mv "$work/200" "$work/two-hundred"
	[ "$(cat "$work/before")" = before ]
	release
	until_true 60 answers
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(find "$work" -type f | wc -l)" = 201 ]
	[ "$(cat "$work/199" "$work/two-hundred")" = "$(printf '199\n200')" ]
	rm -rf "$work"
}

# Who asks about the zone while the next helper takes it over takes nothing away from it.
test_asked_about_while_taken_over() {
	need_helper
	local i pid
	rm -f "$tap_tmp/enough"
	(
		while [ ! -e "$tap_tmp/enough" ]; do
			nexusctl zone info root || true
		done
	) > /dev/null 2>&1 &
	pid=$!
	for i in 1 2; do
		kill_helper
		until_true 60 answers
		# Before and after whoever asked is done.
		timeout 60 mkdir "$dir/asked"
		timeout 60 rmdir "$dir/asked"
		until_true 60 nexusctl zone info root
		timeout 60 mkdir "$dir/asked"
		timeout 60 rmdir "$dir/asked"
	done
	touch "$tap_tmp/enough"
	wait "$pid"
}

test_reader_waits_for_the_next_helper() {
	need_helper
	local pid
	mkdir -p "$dir/helper-wait"
	echo content > "$dir/helper-wait/f"
	sync -f "$dir"
	drop_caches_and_helper
	cat "$dir/helper-wait/f" > "$tap_tmp/read" &
	pid=$!
	sleep 1
	[ ! -s "$tap_tmp/read" ]
	release
	wait $pid
	[ "$(cat "$tap_tmp/read")" = content ]
	rm -rf "$dir/helper-wait"
}

test_killed_waiter_of_a_dead_helper() {
	need_helper
	local pid
	mkdir -p "$dir/helper-kill"
	echo content > "$dir/helper-kill/f"
	sync -f "$dir"
	drop_caches_and_helper
	cat "$dir/helper-kill/f" > /dev/null &
	pid=$!
	sleep 0.5
	kill -9 $pid
	until_true 10 dead $pid || { release; return 1; }
	release
	until_true 60 answers
	rm -rf "$dir/helper-kill"
}

# Scenarios A1, E3.
test_killed_again_and_again() {
	need_helper
	local i old
	mkdir -p "$dir/helper-again"
	for i in $(seq 4); do
		for f in $(seq 50); do echo "$i $f" > "$dir/helper-again/$i-$f"; done
		old=$(cat $run/nexusd.pid)
		kill -9 "$old" 2> /dev/null || true
		[ "$(find "$dir/helper-again" -type f | wc -l)" = $((i * 50)) ]
		until_true 60 new_helper "$old"
	done
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(find "$dir/helper-again" -type f | wc -l)" = 200 ]
	[ "$(cat "$dir/helper-again/4-50")" = "4 50" ]
	rm -rf "$dir/helper-again"
}

# What is frozen needs no helper to stay so, to be read, or to thaw.
test_dies_while_frozen() {
	need_helper
	local pid file=$dir/helper-frozen
	echo before > "$file"
	fsfreeze -f "$dir"
	echo after > "$file" &
	pid=$!
	take_helper_away
	[ "$(cat "$file")" = before ]
	fails fsfreeze -f "$dir"
	fsfreeze -u "$dir"
	wait $pid
	[ "$(cat "$file")" = after ]
	fsfreeze -f "$dir"
	bring_helper_back
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(cat "$file")" = after ]
	fsfreeze -u "$dir"
	rm "$file"
}

test_second_helper_is_refused() {
	need_helper
	local status=0
	timeout 20 nexusd > "$tap_tmp/second" 2>&1 || status=$?
	cat "$tap_tmp/second"
	[ $status != 0 ] && [ $status != 124 ]
	grep -qiE 'lock|running|in use|busy' "$tap_tmp/second"
	nexusctl status
	echo alive > "$dir/helper-second"
	rm "$dir/helper-second"
}

# Scenario M12.
test_fsck_refuses_a_zone_in_use() {
	need_helper
	command -v fsck.nexusfs || skip "no fsck.nexusfs"
	local status=0
	fsck.nexusfs root || status=$?
	[ $((status & 8)) = 8 ]
	# A dead helper does not free it: the kernel holds the zone.
	take_helper_away
	status=0
	fsck.nexusfs root || status=$?
	release
	until_true 60 answers
	[ $((status & 8)) = 8 ]
}

test_stopped_twice() {
	need_helper
	local old
	old=$(cat $run/nexusd.pid)
	kill -TERM "$old"
	kill -TERM "$old" 2> /dev/null || true
	until_true 60 new_helper "$old"
	echo content > "$dir/helper-term"
	[ "$(cat "$dir/helper-term")" = content ]
	rm "$dir/helper-term"
}

test_no_mount_without_a_helper() {
	need_helper
	local status=0
	nexusctl zone info spare > /dev/null 2>&1 || nexusctl zone create spare
	mkdir -p /tmp/helper-mount
	take_helper_away
	timeout 20 mount -i -t nexusfs spare /tmp/helper-mount 2> "$tap_tmp/why" || status=$?
	release
	until_true 60 answers
	cat "$tap_tmp/why"
	[ $status = 32 ]
	grep -qiE 'helper|not connected' "$tap_tmp/why"
}

# Another one with data and socket of its own, but the same session.
test_rival_for_the_session() {
	need_helper
	local status=0 pid
	pid=$(cat $run/nexusd.pid)
	timeout 40 nexusd -d /var/lib/nexusfs/rival -S /tmp/rival.sock > "$tap_tmp/rival" 2>&1 || status=$?
	cat "$tap_tmp/rival"
	rm -rf /var/lib/nexusfs/rival
	[ $status = 1 ]
	[ "$(grep -c 'error:' "$tap_tmp/rival")" = 1 ]
	grep -q 'error: session default has another nexusd$' "$tap_tmp/rival"
	[ "$(cat $run/nexusd.pid)" = "$pid" ]
	nexusctl status
	echo alive > "$dir/helper-rival"
	rm "$dir/helper-rival"
}

contents() { (cd "$1" && find . -type f ! -name LOCK ! -name lock.mdb -exec sha256sum {} + | sort); }

# mount.nexusfs starts the helper of another session, beside this one's, and finds it again.
test_another_session() {
	need_helper
	local session=other$$ other=$tap_tmp/other
	local socket=$run/nexusd@$session.sock data=/var/lib/nexusfs/sessions/$session pid
	mkdir "$other"
	fails mount -t nexusfs "$session:zone" "$other" 2> "$tap_tmp/err"
	cat "$tap_tmp/err"
	grep -q "session $session has no zone zone" "$tap_tmp/err"
	nexusctl --socket "$socket" zone create zone
	pid=$(nexusctl --socket "$socket" --json status | python3 -c '
import json, sys
print(json.load(sys.stdin)["helper"]["pid"])')
	mount -t nexusfs "$session:zone" "$other"
	echo text > "$other/file"
	[ "$(cat "$other/__sys__/session")" = "$session" ]
	[ ! -e "$dir/file" ]
	umount "$other"
	fsck.nexusfs "$data/zones/zone"
	kill "$pid"
	until_true 60 dead "$pid"
	rm -r "$data"
}

# mount says in one line what the helper found wrong, and leaves it alone.  A
# kernel without CONFIG_SYMBOLIC_ERRNAME has numbers for names.
test_mount_says_why() {
	need_helper
	local zone=/var/lib/nexusfs/zones/damaged status=0 before
	nexusctl zone info damaged > /dev/null 2>&1 || nexusctl zone create damaged
	truncate -s 5000 $zone/index/data.mdb
	before=$(contents $zone)
	mkdir -p /tmp/helper-damaged
	mount -t nexusfs damaged /tmp/helper-damaged 2> "$tap_tmp/why" || status=$?
	cat "$tap_tmp/why"
	[ "$(contents $zone)" = "$before" ]
	rm -rf $zone
	[ $status = 32 ]
	[ "$(wc -l < "$tap_tmp/why")" = 1 ]
	grep -q 'cannot mount damaged on /tmp/helper-damaged: .*(-\(EUCLEAN\|117\)).*data.mdb is truncated' "$tap_tmp/why"
}

tap_cleanup() { release 2> /dev/null || true; }
[ -x "$supervise" ]
tap_main "$@"
