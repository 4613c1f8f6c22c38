#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The helper is kept away until the log is full: changes wait, can be killed,
# and nothing is lost when it comes back.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
run=/run/nexusfs

# 4 KiB a name, to get there soon: symbolic links with long targets.
fill() {
	exec perl -e '
		my ($dir, $n) = @ARGV;
		my $long = "x" x 4000;
		for my $i (1 .. $n) {
			symlink("$i-$long", "$dir/$i") or die "$i: $!\n";
			if ($i % 100 == 0) {
				open(my $f, ">", "/dev/shm/nexus-limit"); print $f $i; close $f;
			}
		}' "$1" "$2"
}

count() { cat /dev/shm/nexus-limit 2> /dev/null || echo 0; }

stands_still() {
	local was
	was=$(count)
	sleep 3
	[ "$(count)" = "$was" ] && [ "$was" != 0 ]
}

release() { kill -CONT "$(cat $run/supervise.pid)" 2> /dev/null || true; }

test_full_log() {
	need_nexus
	[ -s $run/nexusd.pid ] || skip "needs a helper"
	local work=$dir/limit writer reached killed i
	rm -rf "$work" /dev/shm/nexus-limit
	mkdir "$work" "$work/other"
	echo known > "$work/known"
	kill -STOP "$(cat $run/supervise.pid)"
	kill -9 "$(cat $run/nexusd.pid)"
	fill "$work" 60000 &
	writer=$!
	for i in $(seq 100); do
		stands_still && break
		kill -0 $writer 2> /dev/null || { echo "60000 names and no limit"; release; return 1; }
	done
	reached=$(count)
	echo "waits after $reached names"
	# Another one that waits can be killed; the first goes on waiting.
	fill "$work/other" 1000 &
	killed=$!
	sleep 1
	kill -9 $killed
	until_true 10 dead $killed || { release; return 1; }
	kill -0 $writer
	# What is known can still be read.
	[ "$(cat "$work/known")" = known ]
	release
	until_true 60 nexusctl status
	# All of 60,000 would take long: more than the limit is enough.
	until_true 200 sh -c "[ \$(cat /dev/shm/nexus-limit) -gt $((reached + 500)) ]"
	kill -9 $writer
	wait $writer || true
	sync -f "$dir"
	echo 3 > /proc/sys/vm/drop_caches
	reached=$(count)
	for i in 1 $((reached / 2)) "$reached"; do
		[ "$(readlink "$work/$i" | cut -c -20)" = "$(printf '%s-%s' "$i" xxxxxxxxxxxxxxxxxxxx | cut -c -20)" ]
	done
	[ "$(find "$work" -maxdepth 1 -type l | wc -l)" -ge "$reached" ]
	rm -rf "$work"
}

tap_cleanup() { release; }
tap_main "$@"
