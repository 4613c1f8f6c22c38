#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Unmounted, helper stopped, started, mounted: everything is there.  NEXUS_LOOPS
# rounds (6) with small files that no helper has seen.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
supervise=$here/../../tools/vm/supervise

down() {
	umount "$dir"
	"$supervise" stop
}

up() {
	"$supervise" start
	mount -t nexusfs root "$dir"
}

check() {
	command -v fsck.nexusfs > /dev/null || return 0
	fsck.nexusfs root
}

# Names, attributes and content of a tree, in one text.
picture() {
	(cd "$1" && find . -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
}

make_tree() {
	rm -rf "$1"
	mkdir -p "$1/d/e/f" "$1/empty"
	cp -a /usr/include/linux/netfilter "$1/copy"
	for i in $(seq 100); do echo "file $i" > "$1/d/$i"; done
	ln "$1/d/1" "$1/d/e/hard"
	ln -s ../d/2 "$1/d/soft"
	ln -s "$(printf 'x%.0s' $(seq 3000))" "$1/long"
	mkfifo -m 640 "$1/fifo"
	mknod "$1/null" c 1 3
	truncate -s 5G "$1/sparse"
	echo end >> "$1/sparse-small"
	truncate -s 100K "$1/sparse-small"
	head -c 3000000 /dev/urandom > "$1/random"
	chmod 4711 "$1/d/3"
	chown 12:34 "$1/d/4"
	touch -d '1999-12-31 23:59:59.123456789' "$1/d/5"
	rm "$1/d/50"
	mv "$1/d/51" "$1/d/moved"
	truncate -s 7 "$1/d/60"
	rm "$1/sparse"
}

test_everything_is_there() {
	need
	make_tree "$dir/remount"
	picture "$dir/remount" > "$tap_tmp/before"
	down
	check
	up
	picture "$dir/remount" > "$tap_tmp/after"
	cmp "$tap_tmp/before" "$tap_tmp/after" || { diff "$tap_tmp/before" "$tap_tmp/after"; return 1; }
	# And it goes on from there.
	echo more > "$dir/remount/d/more"
	rm -rf "$dir/remount/copy"
	picture "$dir/remount" > "$tap_tmp/before"
	down
	up
	picture "$dir/remount" > "$tap_tmp/after"
	cmp "$tap_tmp/before" "$tap_tmp/after"
}

# As on every filesystem it stays frozen below, until it is mounted and thawed.
test_unmounted_while_frozen() {
	need
	echo before > "$dir/frozen"
	fsfreeze -f "$dir"
	umount "$dir"
	mount -t nexusfs root "$dir"
	[ "$(cat "$dir/frozen")" = before ]
	fsfreeze -u "$dir"
	echo after > "$dir/frozen"
	down
	check
	up
	[ "$(cat "$dir/frozen")" = after ]
	rm "$dir/frozen"
}

# Scenario E4.
test_helper_killed_before_the_end() {
	need
	make_tree "$dir/remount"
	picture "$dir/remount" > "$tap_tmp/before"
	hold
	kill -9 "$(cat /run/nexusfs/nexusd.pid)"
	# It takes no helper to unmount.
	timeout 60 umount "$dir"
	release
	until_true 60 nexusctl status
	"$supervise" stop
	check
	up
	picture "$dir/remount" > "$tap_tmp/after"
	cmp "$tap_tmp/before" "$tap_tmp/after" || { diff "$tap_tmp/before" "$tap_tmp/after"; return 1; }
}

# Tiny files that are written, grow and are cut with no helper there: from the index, from
# the log, and from packs.
test_tiny_files_without_a_helper() {
	need
	local n size tiny=$dir/tiny kept=$tap_tmp/tiny
	local sizes=(0 1 1000 1899 1900 1901 4095 4096 4097)
	rm -rf "$tiny"
	mkdir -p "$tiny" "$kept"
	for size in "${sizes[@]}"; do
		for n in same grown cut emptied over; do
			head -c "$size" /dev/urandom | tee "$kept/$n-$size" > "$tiny/$n-$size"
		done
	done
	down
	check
	up
	# Slow kernels take their time.  This forgets names, so it comes first.
	mount -i -o remount,grace=600 "$dir"
	# What is known by now can be changed without one, and a new directory filled.
	cat "$tiny"/* > /dev/null
	mkdir "$tiny/made" "$kept/made"
	hold
	kill -9 "$(cat /run/nexusfs/nexusd.pid)"
	for size in "${sizes[@]}"; do
		echo more | tee -a "$kept/grown-$size" >> "$tiny/grown-$size"
		sync "$tiny/grown-$size"
		truncate -s $((size / 2)) "$kept/cut-$size" "$tiny/cut-$size"
		echo again | tee "$kept/emptied-$size" > "$tiny/emptied-$size"
		head -c "$size" /dev/urandom > "$kept/made/$size"
		cp --reflink=never "$kept/made/$size" "$tiny/made/$size"
		sync "$tiny/made/$size"
		cp "$kept/made/$size" "$kept/made/clone-$size"
		cp --reflink=always "$tiny/made/$size" "$tiny/made/clone-$size"
		truncate -s 10000 "$kept/over-$size" "$tiny/over-$size"
		echo end | tee -a "$kept/over-$size" >> "$tiny/over-$size"
		for n in same- grown- cut- emptied- over- made/ made/clone-; do
			cmp "$kept/$n$size" "$tiny/$n$size"
		done
	done
	timeout 60 umount "$dir"
	release
	until_true 60 nexusctl status
	"$supervise" stop
	check
	up
	diff -r "$kept" "$tiny"
	rm -rf "$tiny"
}

# What was written last, in whatever size, when nobody was there to index it.
test_small_files_without_a_helper() {
	need
	local round size small=$dir/small kept=$tap_tmp/small
	local sizes=(1 4096 100000 7 12345 1000001 100 4095 4097 8192 65536 262144)
	mkdir -p "$small" "$kept"
	for round in $(seq "${NEXUS_LOOPS:-6}"); do
		size=${sizes[round % ${#sizes[@]}]}
		# Slow kernels take their time.  This forgets names, so it comes first.
		mount -i -o remount,grace=600 "$dir"
		# What is known by now can be changed without one.
		mkdir "$small/$round" "$kept/$round"
		cat "$small"/* > /dev/null 2>&1 || true
		hold
		kill -9 "$(cat /run/nexusfs/nexusd.pid)"
		for i in 1 2 3; do
			head -c $((size * i)) /dev/urandom > "$kept/$round/$i"
			cp "$kept/$round/$i" "$small/$round/$i"
		done
		# One that is written anew and one that grows.
		head -c "$size" "$kept/$round/3" | tee "$kept/over" > "$small/over"
		echo "$size" | tee -a "$kept/grows" >> "$small/grows"
		timeout 60 umount "$dir"
		release
		until_true 60 nexusctl status
		# The next helper opens the zone, or one after it.
		if [ $((round % 2)) = 0 ]; then
			"$supervise" stop
			check
			"$supervise" start
		fi
		mount -t nexusfs root "$dir"
		diff -r "$kept" "$small"
	done
	rm -r "$small"
}

# Sizes and blocks, too: what is shared counts for each file.  Pages that are dirty
# count on top of the blocks they are going to replace, so they are written first.  By
# name: listing takes a helper.
shared_picture() {
	local d=$1
	shift
	sync -f "$d"
	(cd "$d" && stat -c '%n %s %b' "$@" && cksum "$@")
}

# Files that share blocks; their first owners are changed, cut or gone.
make_shared() {
	local d=$1 i
	rm -rf "$d"
	mkdir "$d"
	head -c 3000000 /dev/urandom > "$d/a"
	head -c 70000000 /dev/urandom > "$d/large"
	for i in 1 2 3 4 5; do cp --reflink=always "$d/a" "$d/a$i"; done
	cp --reflink=always "$d/a1" "$d/a11"
	cp --reflink=always "$d/large" "$d/large2"
	echo changed | dd of="$d/a1" bs=4096 seek=3 conv=notrunc status=none
	truncate -s 1000001 "$d/a2"
	echo appended >> "$d/a3"
	rm "$d/a" "$d/a4" "$d/large"
}

# Scenario A22.
test_shared_blocks() {
	need
	local d=$dir/shared i
	make_shared "$d"
	shared_picture "$d" a1 a2 a3 a5 a11 large2 > "$tap_tmp/before"
	down
	check
	up
	# Packs that nobody but the clones refers to are not taken for dead.
	for i in 1 2 3; do
		sync -f "$dir"
		sleep 1
	done
	shared_picture "$d" a1 a2 a3 a5 a11 large2 > "$tap_tmp/after"
	cmp "$tap_tmp/before" "$tap_tmp/after" || { diff "$tap_tmp/before" "$tap_tmp/after"; return 1; }
	# Applied by the next helper, out of the log.
	cat "$d"/* > /dev/null
	hold
	kill -9 "$(cat /run/nexusfs/nexusd.pid)"
	cp --reflink=always "$d/a5" "$d/late"
	cp --reflink=always "$d/late" "$d/later"
	rm "$d/a5" "$d/large2"
	echo more | dd of="$d/late" bs=4096 seek=100 conv=notrunc status=none
	shared_picture "$d" a1 a2 a3 a11 late later > "$tap_tmp/before"
	timeout 60 umount "$dir"
	release
	until_true 60 nexusctl status
	"$supervise" stop
	check
	up
	shared_picture "$d" a1 a2 a3 a11 late later > "$tap_tmp/after"
	cmp "$tap_tmp/before" "$tap_tmp/after" || { diff "$tap_tmp/before" "$tap_tmp/after"; return 1; }
	rm -r "$d"
	down
	check
	up
}

# Of the first format: mounted as it is, without what it lacks, and with it later.
test_older_zone() {
	need
	local zones=/var/lib/nexusfs/zones old=/tmp/nexus-older before
	mkdir -p $old
	tar -C $zones -xzf "$here/../data/zone-1.tar.gz"
	mount -t nexusfs golden $old
	before=$(cd $old && find . -type f -size -1000k -print0 | sort -z | xargs -0 sha256sum)
	head -c 20000 /dev/urandom > $old/new
	fails cp --reflink=always $old/new $old/clone 2> /dev/null
	rm -f $old/clone
	fails fallocate -l 8192 $old/space 2> /dev/null
	fails nexusctl zone upgrade golden 2> "$tap_tmp/why"
	grep -q mounted "$tap_tmp/why"
	umount $old
	until_true 20 nexusctl zone upgrade golden
	mount -t nexusfs golden $old
	cp --reflink=always $old/new $old/clone
	cmp $old/new $old/clone
	fallocate -l 8192 $old/space
	[ "$(stat -c %b $old/space)" = 16 ]
	rm $old/new $old/clone $old/space
	[ "$(cd $old && find . -type f -size -1000k -print0 | sort -z | xargs -0 sha256sum)" = "$before" ]
	umount $old
	fsck.nexusfs golden
	rm -r $zones/golden
}

test_mounted_again_at_once() {
	need
	local i
	for i in $(seq 10); do
		echo "$i" > "$dir/again"
		umount "$dir"
		mount -t nexusfs root "$dir"
		[ "$(cat "$dir/again")" = "$i" ]
	done
	rm "$dir/again"
}

# Scenario E4.
test_read_only() {
	need
	echo text > "$dir/read-only"
	umount "$dir"
	mount -t nexusfs -o ro root "$dir"
	[ "$(cat "$dir/read-only")" = text ]
	fails touch "$dir/no" 2> /dev/null
	umount "$dir"
	mount -t nexusfs root "$dir"
	touch "$dir/yes"
	rm "$dir/yes" "$dir/read-only"
}

test_removed_space_comes_back() {
	need
	local before after i
	sync -f "$dir"
	head -c 100000000 /dev/zero | tr '\0' x > "$dir/large"
	sync -f "$dir"
	before=$(stat -f -c '%b %f' "$dir")
	rm "$dir/large"
	down
	up
	for i in $(seq 300); do
		after=$(stat -f -c '%b %f' "$dir")
		[ $((${before% *} - ${before#* })) -le $((${after% *} - ${after#* } + 20000)) ] || return 0
		sleep 0.2
	done
	echo "blocks and free before: $before, after: $after"
	return 1
}

tap_cleanup() { release; }
tap_main "$@"
