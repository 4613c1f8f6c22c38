# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For scripts that source tap.sh: the helper that tools/vm/supervise looks after,
# away and back again.
run=/run/nexusfs

need_helper() {
	need_nexus
	[ -s $run/nexusd.pid ] || skip "needs a helper"
}

# Hold the supervisor back, so that a dead helper stays dead.
hold() { kill -STOP "$(cat $run/supervise.pid)"; }
release() { kill -CONT "$(cat $run/supervise.pid)" 2> /dev/null || true; }

kill_helper() {
	local pid
	pid=$(cat $run/nexusd.pid)
	kill -9 "$pid"
	until_true 20 dead "$pid"
}

take_helper_away() {
	hold
	kill_helper
}

# after_grace COMMAND...: with the helper away for longer than the zone waits for it, which
# makes it read-only; then the zone is mounted anew, with all as it was.
after_grace() {
	local status
	# shellcheck disable=SC2154
	mount -i -o remount,grace=10 "$dir"
	# That has forgotten the names.
	ls -lR . > /dev/null
	take_helper_away
	# Not in a condition, or -e would not count inside.
	set +e
	( set -eu; until_true 60 fails touch "$dir"; "$@" )
	status=$?
	set -e
	cd /
	release
	until_true 60 nexusctl status
	umount "$dir"
	mount -t nexusfs root "$dir"
	return $status
}

# mount would start a helper of its own if none answered.
bring_helper_back() {
	release
	until_true 60 nexusctl status
}

# has_sealed ZONE MOUNT BLOCKS: as many live ones are in packs that are known to be sealed,
# which comes up to log_interval after the last write to one.
has_sealed() {
	sync -f "$2"
	[ "$(nexusctl pack list --json "$1" | python3 -c 'import json, sys
print(sum(p["live"] for p in json.load(sys.stdin) if p["state"] == "sealed"))')" -ge "$3" ]
}

# unchanged COMMAND...: it says the same after two seconds.
unchanged() {
	local before
	before=$("$@")
	sleep 2
	[ "$("$@")" = "$before" ]
}

# lsn ZONE FIELD: tail, durable, applied, checkpoint; nothing without a helper.
lsn() {
	nexusctl zone info --json "$1" 2> /dev/null |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["lsn"][sys.argv[1]])' "$2" 2> /dev/null
}

# progress FILE: what a writer last told there; 0 before it has.
progress() { cat "$1" 2> /dev/null || echo 0; }

# No progress in the last three seconds, but some before.
stands_still() {
	local was
	was=$(progress "$1")
	sleep 3
	[ "$(progress "$1")" = "$was" ] && [ "$was" != 0 ]
}

# sealed_kib ZONE: KiB that its packs have of the host, without those that are still, or not
# yet, written.
sealed_kib() {
	nexusctl pack list "$1" |
		awk -v p="/var/lib/nexusfs/zones/$1/packs" \
			'$2 == "sealed" { printf "%s/%02x/%016x.pack\n", p, $1 % 256, $1 }' |
		xargs -r du -k | awk '{ kib += $1 } END { print kib + 0 }'
}
