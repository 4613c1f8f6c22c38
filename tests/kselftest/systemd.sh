#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The units as systemd runs them, with all they forbid: a systemd in namespaces of
# its own serves the zone.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
repo=$here/../..
tree=/usr/include/linux
units=/etc/systemd/system
other=/tmp/systemd-other
bucket=/mnt/systemd-bucket
buckets=/var/lib/nexusfs/buckets-test
mnt_none=/mnt/systemd-none

# What is inside: the processes, the mounts, the cgroups of that systemd.
inside() { nsenter -t "$(cat "$tap_tmp/init")" -p -m -C "$@"; }

main_pid() { inside systemctl show -p MainPID --value "$1"; }

running() { inside systemctl is-active "$1"; }

tap_cleanup() {
	[ ! -s "$tap_tmp/init" ] || kill -9 "$(cat "$tap_tmp/init")" || true
	rm -rf $units/nexusd*.service $units/nexusd*.service.d $units/nexus-test.target
	rm -rf /var/lib/nexusfs/sessions/other $run/units.log $buckets /etc/nexusfs/nexusd.yaml
	if [ ! -s $run/supervise.pid ]; then
		until_true 60 "$repo/tools/vm/supervise" start
		mount -t nexusfs root "$dir" || true
	fi
}

boot() {
	local unit
	mkdir -p $units
	for unit in nexusd nexusd@; do
		sed 's,@SBINDIR@,/usr/sbin,' "$repo/packaging/systemd/$unit.service.in" > $units/$unit.service
		# Nothing else of a system is there.
		mkdir -p $units/$unit.service.d
		printf '[Unit]\nDefaultDependencies=no\nAfter=\nBefore=\nWants=\n[Service]\nStandardError=append:%s\n' \
			$run/units.log > $units/$unit.service.d/alone.conf
	done
	printf '[Unit]\nDefaultDependencies=no\n' > $units/nexus-test.target
	cat > "$tap_tmp/boot" <<- 'EOF'
		mount --make-rprivate /
		umount /sys/fs/cgroup
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		exec env container=vm /lib/systemd/systemd --system --unit=nexus-test.target \
			--show-status=0 --log-target=console
	EOF
	unshare -p -f -m -C --mount-proc sh "$tap_tmp/boot" > "$tap_tmp/systemd" 2>&1 < /dev/null &
	until_true 120 pgrep -P $!
	pgrep -P $! > "$tap_tmp/init"
	until_true 120 inside systemctl is-system-running
}

test_units() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	[ -x /lib/systemd/systemd ] || skip "needs systemd"
	local socket=$run/nexusd@other.sock old
	umount "$dir"
	"$repo/tools/vm/supervise" stop
	rm -f $run/units.log
	mkdir -p /etc/nexusfs
	echo "buckets: test:$buckets" > /etc/nexusfs/nexusd.yaml
	trap 'tail -n 30 $run/units.log "$tap_tmp/systemd"' EXIT
	boot
	# Ready when it says so, and not before.
	inside systemctl start nexusd
	inside nexusctl status
	inside mount -t nexusfs root "$dir"
	inside rm -rf "$dir/systemd"
	inside cp -a $tree "$dir/systemd"
	inside sync -f "$dir"
	echo 3 > /proc/sys/vm/drop_caches
	inside diff -r --no-dereference $tree "$dir/systemd"
	inside nexusctl pack verify root
	# What service mount attaches is where all mounts are, not in the unit's own.
	if [ -e /usr/local/lib/nexusfs/services/mount.so ]; then
		mkdir -p $bucket $buckets/b
		echo one > $buckets/b/a
		inside nexusctl service load mount
		inside nexusctl mount attach s3://b $bucket nosuid
		[ "$(inside cat $bucket/a)" = one ]
		inside nexusctl mount list | grep -q "^attached .* s3://b on $bucket nosuid"
		inside nexusctl mount save
		inside umount $bucket
		inside nexusctl mount list | grep -q '^gone '
		inside nexusctl service unload mount
		inside nexusctl service load mount
		until_true 60 inside mountpoint -q $bucket
		fails inside nexusctl mount attach s3://none $mnt_none 2> "$tap_tmp/why"
		grep -q 'No such file' "$tap_tmp/why"
		mkdir -p $mnt_none
		fails inside nexusctl mount attach s3://none $mnt_none 2> "$tap_tmp/why"
		grep -q 'there is no bucket' "$tap_tmp/why"
		inside sh -c "exec 5< $bucket/a; nexusctl mount detach $bucket 2>&1 | grep busy"
		inside nexusctl mount detach $bucket
		fails inside mountpoint -q $bucket
		inside nexusctl service unload mount
	fi
	# Another session, started by its mount.
	mkdir -p $other
	fails inside mount -t nexusfs other:zone $other
	running nexusd@other
	inside nexusctl --socket $socket zone create zone
	inside mount -t nexusfs other:zone $other
	inside touch $other/file
	inside umount $other
	inside systemctl stop nexusd@other
	# It comes back, and reads what the last one has not.
	old=$(main_pid nexusd)
	inside touch "$dir/systemd/late"
	inside kill -9 "$old"
	until_true 60 running nexusd
	[ "$(main_pid nexusd)" != "$old" ]
	echo 3 > /proc/sys/vm/drop_caches
	inside rm "$dir/systemd/late"
	inside diff -r --no-dereference $tree "$dir/systemd"
	inside rm -r "$dir/systemd"
	inside umount "$dir"
	inside systemctl stop nexusd
	[ "$(inside systemctl show nexusd -p Result -p ExecMainStatus --value | tr '\n' ' ')" = "success 0 " ]
	# By mount, when it is not there.
	inside mount -t nexusfs root "$dir"
	running nexusd
	inside umount "$dir"
	inside systemctl stop nexusd
}

tap_main "$@"
