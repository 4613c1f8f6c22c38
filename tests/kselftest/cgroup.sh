#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# By cgroup: who dirtied pages pays for the I/O, whoever has it written; who opens a ring first,
# for its memory.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
cgroups=/sys/fs/cgroup
mib=16

need() {
	[ "$(stat -f -c %T $cgroups)" = cgroup2fs ] || skip "no cgroups of version 2"
	echo "+memory +io" > $cgroups/cgroup.subtree_control 2> /dev/null ||
		skip "no controllers of memory and io"
	mkdir -p $cgroups/nx-a $cgroups/nx-b
	rm -rf "$dir/cgroup"
	mkdir "$dir/cgroup"
}

tap_cleanup() {
	rmdir $cgroups/nx-a $cgroups/nx-b 2> /dev/null || true
	rm -rf "$dir/cgroup"
}

# within CGROUP COMMAND...
within() {
	local group=$1
	shift
	(echo $BASHPID > "$cgroups/$group/cgroup.procs" && exec "$@")
}

# Bytes written by a cgroup, to all devices.
written() { sed 's/.*wbytes=\([0-9]*\).*/\1/' "$cgroups/$1/io.stat" | awk '{ n += $1 } END { print n + 0 }'; }

test_who_dirtied_pays() {
	need
	within nx-a dd if=/dev/zero of="$dir/cgroup/a" bs=1M count=$mib status=none
	# Another one, or nobody, has it written.
	within nx-b sync -f "$dir"
	[ "$(written nx-a)" -ge $((mib << 20)) ] || { cat $cgroups/nx-a/io.stat && return 1; }
	[ "$(written nx-b)" -lt $((1 << 20)) ] || { cat $cgroups/nx-b/io.stat && return 1; }
}

test_files_of_two() {
	need
	within nx-a dd if=/dev/zero of="$dir/cgroup/a" bs=1M count=$mib status=none
	within nx-b dd if=/dev/zero of="$dir/cgroup/b" bs=1M count=$((mib / 2)) status=none
	sync -f "$dir"
	[ "$(written nx-a)" -ge $((mib << 20)) ]
	[ "$(written nx-b)" -ge $((mib << 19)) ]
	[ "$(written nx-b)" -lt $((mib << 20)) ]
	# Gone before its pages are written: somebody else does.
	within nx-b dd if=/dev/zero of="$dir/cgroup/c" bs=1M count=4 status=none
	rmdir $cgroups/nx-b
	sync -f "$dir"
	cmp -n 4194304 "$dir/cgroup/c" /dev/zero
}

# Bytes that the kernel has in lasting allocations for a group.
vmalloc() { awk '$1 == "vmalloc" { print $2 }' "$cgroups/$1/memory.stat"; }

# holds GROUP: a process of the group has the ring open, for both ways.
declare -A holder
holds() {
	mkfifo "$dir/cgroup/$1.go"
	(
		echo $BASHPID > "$cgroups/$1/cgroup.procs"
		exec 7<> "$dir/cgroup/ring"
		: > "$dir/cgroup/$1.open"
		read -r _ < "$dir/cgroup/$1.go"
	) &
	holder[$1]=$!
	until_true 120 test -e "$dir/cgroup/$1.open"
}

# `wait -n` of bash sleeps for the other one when the first ends just before it begins to sleep.
ends() {
	echo > "$dir/cgroup/$1.go"
	wait "${holder[$1]}"
}

# Capacity of a ring is there twice over; whoever comes second has it for nothing.
test_who_opens_a_ring_first_pays() {
	need

	nexusctl pipe create "$dir/cgroup/ring" --capacity $((4 << 20))
	local a b
	a=$(vmalloc nx-a) b=$(vmalloc nx-b)
	holds nx-a
	[ $(($(vmalloc nx-a) - a)) -ge $((8 << 20)) ] || { cat $cgroups/nx-a/memory.stat && return 1; }
	holds nx-b
	[ $(($(vmalloc nx-b) - b)) -lt $((1 << 20)) ] || { cat $cgroups/nx-b/memory.stat && return 1; }
	# The first is gone, and has paid for what the second uses.
	ends nx-a
	[ $(($(vmalloc nx-a) - a)) -ge $((8 << 20)) ]
	[ $(($(vmalloc nx-b) - b)) -lt $((1 << 20)) ]
	ends nx-b
	[ $(($(vmalloc nx-a) - a)) -lt $((1 << 20)) ] || { cat $cgroups/nx-a/memory.stat && return 1; }
}

# The limit is the group's: it writes more than it may have, and gets there.
test_in_little_memory() {
	need
	echo 24M > $cgroups/nx-a/memory.max
	within nx-a dd if=/dev/zero of="$dir/cgroup/a" bs=1M count=64 status=none
	sync -f "$dir"
	[ "$(stat -c %s "$dir/cgroup/a")" = $((64 << 20)) ]
	cmp -n $((64 << 20)) "$dir/cgroup/a" /dev/zero
}

tap_main "$@"
