#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Quotas across mounts, helpers and tools: nexusctl, the zone's own limit, limits
# that hold without a helper, and usage that fsck agrees with.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise
user=71001

need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
}

down() {
	umount "$dir"
	"$supervise" stop
}

# The helper is done with the zone.
is_idle() { nexusctl zone info --json root | grep -q '"state": "idle"'; }

at_rest() {
	umount "$dir"
	until_true 30 is_idle
}

up() {
	"$supervise" start
	mount -t nexusfs root "$dir"
}

# of KIND ID FIELD, e.g. of user 5 bytes.used: as the helper says.
of() {
	local who=--$1=$2
	[ "$1" != zone ] || who=--zone
	nexusctl --json quota get root "$who" |
		python3 -c 'import json, sys
q = json.load(sys.stdin)
for part in sys.argv[1].split("."): q = q[part]
print(q)' "$3"
}

# as USER COMMAND...: without privileges.
as() {
	local id=$1
	shift
	setpriv --reuid "$id" --regid "$id" --clear-groups --inh-caps=-all -- "$@"
}

# What the kernel says: blocks and inodes of a user.
kernel() {
	perl -e 'open(my $d, "<", $ARGV[0]) or die;
		my $b = "\0" x 72;
		syscall(443, fileno($d), 0x80000700, $ARGV[1] + 0, $b) == 0 or die "quotactl_fd: $!\n";
		my @q = unpack("Q9", $b);
		print $q[2] / 4096, " ", $q[5], "\n";' "$dir" "$1"
}

fill() { as $user dd if=/dev/zero of="$1" bs=4096 count="$2" conv=notrunc status=none; }

test_nexusctl() {
	need
	nexusctl quota set root --user=$user --blocks=32K/40K --inodes=/7
	[ "$(of user $user bytes.soft)" = 32768 ]
	[ "$(of user $user bytes.hard)" = 40960 ]
	[ "$(of user $user inodes.hard)" = 7 ]
	# The empty one stays.
	nexusctl quota set root --user=$user --blocks=/4097
	[ "$(of user $user bytes.soft)" = 32768 ]
	[ "$(of user $user bytes.hard)" = 8192 ]
	nexusctl quota set root --group=daemon --blocks=1G
	nexusctl quota list root | grep -q '^group  *daemon .* 1024M'
	nexusctl quota list root --user | grep -q "^user  *$user "
	fails nexusctl quota set root --user=$user --blocks=12X
	fails nexusctl quota set root --user=nosuchuser --blocks=1M
	fails nexusctl quota set root --project=0 --blocks=1M
	fails nexusctl quota set root --user=4294967295 --blocks=1M
	fails nexusctl quota set root --user=$user --group=5 --blocks=1M
	fails nexusctl quota get nosuchzone --zone
	nexusctl quota set root --user --grace=2d
	[ "$(of user $user bytes.grace)" = 172800 ]
	nexusctl quota set root --user --grace=0
	[ "$(of user $user bytes.grace)" = 604800 ]
	# Without the helper, and only for oneself.
	nexusctl quota get "$dir" --user=$user | grep -q '32K *8K'
	as $user nexusctl quota get "$dir" --user=$user | grep -q '32K *8K'
	fails as $user nexusctl quota get "$dir" --user=0
	fails as $user nexusctl quota get "$dir" --project=1
	nexusctl quota clear root --user=$user
	nexusctl quota clear root --group=daemon
	[ "$(of user $user bytes.hard)" = 0 ]
}

# A zone's own limit is for everybody, and what df shows.
test_zone_limit() {
	need
	local used before
	sync -f "$dir"
	used=$(($(of zone - bytes.used) / 4096))
	before=$(stat -f -c %b "$dir")
	nexusctl quota set root --zone --blocks=$(((used + 10) * 4))K
	[ "$(stat -f -c %b "$dir")" = $((used + 10)) ]
	[ "$(stat -f -c %a "$dir")" = 10 ]
	dd if=/dev/zero of="$dir/zone" bs=4096 count=10 status=none
	[ "$(stat -f -c %a "$dir")" = 0 ]
	dd if=/dev/zero of="$dir/zone" bs=4096 count=1 seek=10 conv=notrunc 2> "$tap_tmp/dd" && return 1
	grep -q 'No space left' "$tap_tmp/dd"
	dd if=/dev/zero of="$dir/zone" bs=4096 count=10 conv=notrunc,fsync status=none
	rm "$dir/zone"
	[ "$(stat -f -c %a "$dir")" = 10 ]
	nexusctl quota clear root --zone
	[ "$(stat -f -c %b "$dir")" -gt $((before / 2)) ]
}

# Limits and usage are there after all of it, set at rest as well.
test_remount() {
	need
	rm -rf "$dir/quotas"
	mkdir -m 777 "$dir/quotas"
	fill "$dir/quotas/a" 5
	nexusctl quota set root --user=$user --blocks=24K
	at_rest
	[ "$(of user $user bytes.hard)" = 24576 ]
	[ "$(of user $user bytes.used)" = 20480 ]
	mount -t nexusfs root "$dir"
	fill "$dir/quotas/b" 1
	fails fill "$dir/quotas/c" 1
	at_rest
	nexusctl quota set root --user=$user --blocks=28K
	fsck.nexusfs root
	mount -t nexusfs root "$dir"
	fill "$dir/quotas/c" 1
	fails fill "$dir/quotas/d" 1
	down
	fsck.nexusfs root
	up
	[ "$(kernel $user)" = "7 4" ]
	rm -rf "$dir/quotas"
	[ "$(kernel $user)" = "0 0" ]
	nexusctl quota clear root --user=$user
}

# Who is known is held to the limit while nobody is there to ask.
test_without_helper() {
	need
	rm -rf "$dir/quotas"
	mkdir -m 777 "$dir/quotas"
	nexusctl quota set root --user=$user --blocks=40K
	fill "$dir/quotas/a" 4
	take_helper_away
	fill "$dir/quotas/a" 10 || { release; return 1; }
	fill "$dir/quotas/a" 11 && { release; return 1; }
	[ "$(kernel $user)" = "10 1" ] || { release; return 1; }
	as $user truncate -s 8192 "$dir/quotas/a" || { release; return 1; }
	fill "$dir/quotas/b" 8 || { release; return 1; }
	fill "$dir/quotas/b" 9 && { release; return 1; }
	sync -f "$dir" || { release; return 1; }
	[ "$(kernel $user)" = "10 2" ] || { release; return 1; }
	release
	until_true 60 nexusctl status
	[ "$(of user $user bytes.used)" = 40960 ]
	fails fill "$dir/quotas/b" 9
	rm -rf "$dir/quotas"
	[ "$(kernel $user)" = "0 0" ]
	nexusctl quota clear root --user=$user
}

# What has no name any more counts until it is closed, and then no more.
test_unlinked() {
	need
	rm -rf "$dir/quotas"
	mkdir -m 777 "$dir/quotas"
	nexusctl quota set root --user=$user --blocks=40K
	fill "$dir/quotas/a" 10
	exec 9< "$dir/quotas/a"
	rm "$dir/quotas/a"
	[ "$(kernel $user)" = "10 1" ]
	fails fill "$dir/quotas/b" 1
	exec 9<&-
	[ "$(kernel $user)" = "0 1" ]
	fill "$dir/quotas/b" 10
	rm -rf "$dir/quotas"
	nexusctl quota clear root --user=$user
}

# Three users and many changes, helpers that die: nothing counts twice or never.
test_books() {
	need
	local id name work=$dir/quotas
	rm -rf "$work"
	mkdir -m 777 "$work"
	for id in 1 2 3; do
		nexusctl quota set root --user=$((user + id)) --blocks=1M --inodes=40
		mkdir "$work/$id"
		chown $((user + id)):$((user + id)) "$work/$id"
	done
	for id in 1 2 3; do
		# shellcheck disable=SC2016
		as $((user + id)) perl -e '
			my ($dir, $seed) = @ARGV;
			srand($seed);
			for (1 .. ($ENV{NEXUS_SHORT} ? 150 : 600)) {
				my ($f, $op) = ("$dir/" . int(rand(50)), int(rand(8)));
				if ($op < 4) {
					open(my $h, "+>>", $f) or next;
					close($h);
					open($h, "+<", $f) or next;
					seek($h, int(rand(200000)), 0);
					syswrite($h, "x" x int(rand(30000)));
				} elsif ($op == 4) { truncate($f, int(rand(100000)));
				} elsif ($op == 5) { unlink($f);
				} elsif ($op == 6) { rename($f, "$dir/" . int(rand(50)));
				} else { mkdir("$f.d") or rmdir("$f.d") }
			}' "$work/$id" $id &
	done
	for _ in 1 2 3; do
		sleep 1
		[ -n "${NEXUS_SHORT:-}" ] || kill -9 "$(cat /run/nexusfs/nexusd.pid)" || true
		until_true 60 nexusctl status
		# Owners change under them, too.
		find "$work/1" -type f -name '1*' -exec chown $((user + 2)) {} + || true
	done
	wait
	sync -f "$dir"
	for id in 1 2 3; do
		name=$((user + id))
		find "$work" -uid $name -printf '%b\n' |
			awk '{ b += int($1 / 8); n++ } END { print b + 0, n + 0 }' > "$tap_tmp/sum"
		kernel $name > "$tap_tmp/kernel"
		cmp "$tap_tmp/sum" "$tap_tmp/kernel" ||
			{ paste "$tap_tmp/sum" "$tap_tmp/kernel"; return 1; }
		until_true 20 test "$(of user $name inodes.used)" = "$(cut -d ' ' -f 2 "$tap_tmp/sum")"
		[ "$(of user $name bytes.used)" = $(($(cut -d ' ' -f 1 "$tap_tmp/sum") * 4096)) ]
	done
	down
	fsck.nexusfs root
	up
	rm -rf "$work"
	for id in 1 2 3; do
		[ "$(kernel $((user + id)))" = "0 0" ]
		nexusctl quota clear root --user=$((user + id))
	done
}

tap_cleanup() {
	release
	if ! mountpoint -q "$dir"; then
		"$supervise" start 2> /dev/null || true
		mount -t nexusfs root "$dir" || true
	fi
	local id
	for id in 0 1 2 3; do nexusctl quota clear root --user=$((user + id)) || true; done
	nexusctl quota clear root --zone || true
	rm -rf "$dir/quotas"
}
tap_main "$@"
