#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The helper is kept away until the log is full: changes wait, can be killed,
# and nothing is lost when it comes back, in the memory it was given.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
told=/dev/shm/nexus-limit
param=/sys/module/nexusfs/parameters/log_limit

# again LIMIT [SETTING]...: mounted anew, with a log that long and a helper set so.
again() {
	umount "$dir"
	"$supervise" stop
	echo "$1" > $param
	shift
	"$supervise" start "$@"
	mount -t nexusfs root "$dir"
}

# 4 KiB a name, to get there soon: symbolic links with long targets.
fill() {
	exec perl -e '
		my ($dir, $n, $told) = @ARGV;
		my $long = "x" x 4000;
		for my $i (1 .. $n) {
			symlink("$i-$long", "$dir/$i") or die "$i: $!\n";
			if ($i % 100 == 0) {
				open(my $f, ">", "$told.new"); print $f $i; close $f;
				rename("$told.new", $told);
			}
		}' "$1" "$2" $told
}

told_more_than() { [ "$(progress $told)" -gt "$1" ]; }

# Links up to the one that was told last say what they were told to.
all_there() {
	perl -e '
		my ($dir, $n) = @ARGV;
		my $long = "x" x 4000;
		for my $i (grep { $_ % 7 == 1 || $_ > $n - 200 } 1 .. $n) {
			my $to = readlink("$dir/$i") // die "$i: $!\n";
			$to eq "$i-$long" or die "$i is another\n";
		}' "$1" "$2"
}

# The most of its own memory, in KiB, that a helper takes until it has caught up.
most_memory() {
	local most=0 now target='' applied=''
	for _ in $(seq 1000); do
		now=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' \
			"/proc/$(cat $run/nexusd.pid)/status" 2> /dev/null || true)
		[ "${now:-0}" -le "$most" ] || most=$now
		[ -n "$target" ] || target=$(lsn root tail || true)
		applied=$(lsn root applied || true)
		[ -z "$target" ] || [ "${applied:-0}" -lt "$target" ] || break
		sleep 0.1
	done
	[ "${applied:-0}" -ge "$target" ]
	echo "$most"
}

# Scenarios A3, M8.
test_full_log() {
	need_helper
	local work=$dir/limit writer reached killed most
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	again $((48 << 20)) --set memtable_limit=4M --set fold_size=2M
	rm -rf "$work" $told
	mkdir "$work" "$work/other"
	echo known > "$work/known"
	take_helper_away
	fill "$work" 60000 &
	writer=$!
	for _ in $(seq 100); do
		stands_still $told && break
		kill -0 $writer 2> /dev/null || { echo "60000 names and no limit"; release; return 1; }
	done
	reached=$(progress $told)
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
	# The new one has the whole log before it.
	release
	most=$(most_memory)
	echo "$most KiB of memory"
	[ "$most" -gt 1000 ] && [ "$most" -lt $((32 << 10)) ]
	# All of them would take long: more than the limit is enough.
	until_true 200 told_more_than $((reached + 500))
	kill -9 $writer
	wait $writer || true
	sync -f "$dir"
	echo 3 > /proc/sys/vm/drop_caches
	reached=$(progress $told)
	all_there "$work" "$reached"
	[ "$(find "$work" -maxdepth 1 -type l | wc -l)" -ge "$reached" ]
	rm -rf "$work"
	again 0
}

tap_cleanup() {
	release
	echo 0 > $param
}
tap_main "$@"
