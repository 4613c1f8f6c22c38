#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The module comes and goes, also under a helper; NEXUS_LOOPS times (5).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
supervise=$here/../../tools/vm/supervise
loops=${NEXUS_LOOPS:-5}
ko=$(find "/lib/modules/$(uname -r)/" -name nexusfs.ko 2> /dev/null | head -n 1)

need() {
	[ -d /sys/module/nexusfs ] || skip "needs the module"
	[ -n "$ko" ] || skip "needs nexusfs.ko"
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
}

test_refused_while_mounted() {
	need
	fails rmmod nexusfs 2> "$tap_tmp/why"
	cat "$tap_tmp/why"
	grep -q 'in use' "$tap_tmp/why"
	echo text > "$dir/unload"
	rm "$dir/unload"
}

test_refused_while_a_helper_is_attached() {
	need
	[ -s /run/nexusfs/nexusd.pid ] || skip "needs a helper"
	umount "$dir"
	fails rmmod nexusfs 2> "$tap_tmp/why"
	grep -q 'in use' "$tap_tmp/why"
	mount -t nexusfs root "$dir"
}

test_loaded_and_unloaded() {
	need
	local i
	umount "$dir" || true
	"$supervise" stop
	for i in $(seq "$loops"); do
		rmmod nexusfs
		[ ! -e /dev/nexusfs ]
		insmod "$ko"
		[ -c /dev/nexusfs ]
		mount -i -t nexusfs -o mem t "$dir"
		echo "$i" > "$dir/f"
		umount "$dir"
	done
	"$supervise" start
	mount -t nexusfs root "$dir"
	echo text > "$dir/f"
	rm "$dir/f"
}

# With neither module nor helper, a line of fstab is enough.
test_from_fstab() {
	need
	[ -s /run/nexusfs/nexusd.pid ] || skip "needs a helper"
	local pid
	umount "$dir"
	"$supervise" stop
	rmmod nexusfs
	: >> /etc/fstab
	cp /etc/fstab "$tap_tmp/fstab"
	echo "root $dir nexusfs defaults,nofail,noatime,grace=7,x-systemd.requires=nexusd.service 0 2" > /etc/fstab
	mount "$dir"
	[ -d /sys/module/nexusfs ]
	grep -q "^root $dir nexusfs rw,noatime,grace=7 " /proc/mounts
	pid=$(nexusctl --json status | python3 -c '
import json, sys
print(json.load(sys.stdin)["helper"]["pid"])')
	echo text > "$dir/fstab"
	mount -o remount,ro "$dir"
	fails rm "$dir/fstab"
	umount "$dir"
	# What boots: only what is to be mounted, once, and checked as it says.
	sed -i 's/defaults/noauto/' /etc/fstab
	mount -a
	fails mountpoint -q "$dir"
	sed -i 's/noauto/auto/' /etc/fstab
	fsck -A -a -t nexusfs
	mount -a
	mount -a
	[ "$(grep -c " $dir nexusfs " /proc/mounts)" = 1 ]
	[ "$(nexusctl --json status | grep -c "\"pid\": $pid,")" = 1 ]
	[ "$(cat "$dir/fstab")" = text ]
	rm "$dir/fstab"
	umount "$dir"
	kill "$pid"
	until_true 60 dead "$pid"
	cp "$tap_tmp/fstab" /etc/fstab
	"$supervise" start
	mount -t nexusfs root "$dir"
}

# Somebody writes all the time and somebody tries to unload all the time.
test_under_io() {
	need
	local i pid
	( while echo x > "$dir/under-io"; do :; done ) 2> /dev/null &
	pid=$!
	for i in $(seq $((loops * 4))); do
		fails rmmod nexusfs 2> /dev/null
	done
	kill $pid
	wait $pid || true
	[ -d /sys/module/nexusfs ]
	rm -f "$dir/under-io"
}

tap_main "$@"
