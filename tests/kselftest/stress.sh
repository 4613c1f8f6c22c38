#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Stress-ng's loads of a filesystem, each of which verifies what it can, one after the
# other and several together.  NEXUS_SECONDS: of each (4).
# shellcheck disable=SC2046 # lists of words
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
work=$dir/stress
seconds=${NEXUS_SECONDS:-4}

# What is not about a filesystem that holds files, may take the machine along, or needs what
# is not there yet (extended attributes).
others=" bind-mount binderfs eventfd ioprio procfs xattr "

# load OPTION...: for $seconds, and nothing is left of it.
load() {
	local status=0
	timeout -k 5 200 stress-ng "$@" --timeout "$seconds" --verify --temp-path "$work" \
		> "$tap_tmp/said" 2>&1 || status=$?
	if [ $status != 0 ]; then
		echo "stress-ng $*: status $status"
		grep -vE 'dispatching|setting to|successful' "$tap_tmp/said" || true
		return 1
	fi
	[ -z "$(ls -A "$work")" ] || { echo "stress-ng $* left $(ls -A "$work")" && return 1; }
}

each() {
	local name bad=0
	for name; do
		load "--$name" 4 || bad=1
	done
	return $bad
}

begin() {
	command -v stress-ng > /dev/null || skip "no stress-ng"
	rm -rf "$work"
	mkdir "$work"
}

# Every load that it counts as one of filesystems.
test_filesystem() {
	local names=() name
	begin
	for name in $(stress-ng --class 'filesystem?' 2>&1 | sed 's/.*: *//'); do
		[[ $others == *" $name "* ]] || names+=("$name")
	done
	[ ${#names[@]} -ge 40 ]
	each "${names[@]}"
}

# What else reads and writes files.  Not io-uring and madvise: those of stress-ng 0.15 fail on
# ext4 and tmpfs, too, with Linux 6.12.
test_io() {
	begin
	each aio aiol sendfile splice msync revio seek readahead mmapfork fault
}

test_mapped() {
	begin
	load --mmap 4 --mmap-file --mmap-bytes 16M
	load --mmap 2 --mmap-file --mmap-async --mmap-bytes 64M
}

test_writes() {
	begin
	load --hdd 2 --hdd-opts direct,utimes --hdd-bytes 16M
	load --hdd 2 --hdd-opts sync --hdd-bytes 4M
	load --hdd 2 --hdd-opts iovec,rd-rnd,wr-rnd,fsync --hdd-bytes 8M
}

test_together() {
	begin
	load --iomix 2 --fallocate 2 --fpunch 2 --rename 2 --hdd 1 --link 1 --mmap 1 --mmap-file
}

tap_cleanup() { rm -rf "$work"; }
tap_main "$@"
