#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Buckets that are mounted as they are: listed on demand, ranges read, nothing changed; what
# others change there, seen after the ttl or a refresh; helpers that die, stores that fail.
# The bucket is a directory (userspace/nexusd/bucket/test.c); s3bucket.sh has a real one.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
mnt=/mnt/bucket
top=/var/lib/nexusfs/buckets-test
obj=$top/b

settings() {
	mkdir -p /etc/nexusfs
	printf '%s\n' "buckets: test:$top" "$@" > /etc/nexusfs/nexusd.yaml
	kill_helper
	until_true 60 nexusctl status
}

# need TTL: an empty bucket, not yet mounted.
need() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	umount $mnt 2> /dev/null || true
	rm -rf $top
	mkdir -p $obj $mnt
	[ "$(cat /etc/nexusfs/bucket-ttl 2> /dev/null)" = "$1" ] || settings "bucket_ttl: $1"
	echo "$1" > /etc/nexusfs/bucket-ttl
}

tap_cleanup() {
	rm -f $top/control
	umount $mnt 2> /dev/null || true
}

control() {
	printf '%s\n' "$@" > $top/control.new
	mv $top/control.new $top/control
}

# put KEY: standard input becomes the object.
put() { cat > "$obj/.new"; mv "$obj/.new" "$obj/${1//\//=}"; }
counter() { nexusctl stats | awk -v n="nexus_helper_$1_total" '$1 == n { print $2 }'; }
names() { (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | tr '\n' ' '); }

test_shown() {
	need 600
	echo one | put a
	echo two | put d/b
	head -c 100000 /dev/urandom | put d/e/c
	: | put empty
	: | put mark/
	touch -d @1000000000 "$obj/a"
	mount -t nexusfs s3://b $mnt
	grep -q "^s3://b $mnt nexusfs ro," /proc/mounts
	[ "$(names $mnt)" = "./a ./d ./d/b ./d/e ./d/e/c ./empty ./mark " ]
	[ "$(cat $mnt/a $mnt/d/b)" = "one
two" ]
	cmp "$obj/d=e=c" $mnt/d/e/c
	[ ! -s $mnt/empty ]
	[ "$(stat -c '%s %Y %A %h' $mnt/a)" = "4 1000000000 -r--r--r-- 1" ]
	[ "$(stat -c '%s %A' $mnt/d/e/c)" = "100000 -r--r--r--" ]
	[ "$(stat -c '%A' $mnt/mark)" = dr-xr-xr-x ]
	fails cat $mnt/none
	fails ls $mnt/d/none
	df $mnt
	[ "$(stat -f -c %T $mnt 2> /dev/null)" ]
}

# A prefix is a place, not the beginning of names.
test_prefix() {
	need 600
	echo x | put p/q/x
	echo y | put p/qy
	mount -t nexusfs 's3://b/p/q' $mnt
	[ "$(names $mnt)" = "./x " ]
	mkdir -p "$tap_tmp/x"
	# Other bytes, another mount.
	mount -t nexusfs 's3://b/p/q/;region=anywhere' "$tap_tmp/x"
	[ "$(names "$tap_tmp/x")" = "./x " ]
	umount "$tap_tmp/x"
	fails mount -t nexusfs s3://none/p "$tap_tmp/x" 2> "$tap_tmp/why"
	grep -q 'there is no bucket' "$tap_tmp/why"
}

test_read_only() {
	need 600
	echo one | put a
	mkdir -p "$tap_tmp/x"
	mount -t nexusfs -o rw s3://b $mnt
	local try
	for try in "touch $mnt/new" "mkdir $mnt/dir" "rm $mnt/a" "mv $mnt/a $mnt/b" "ln $mnt/a $mnt/l" \
		"chmod 777 $mnt/a" "touch $mnt/a" "truncate -s 0 $mnt/a" "setfattr -n user.x -v 1 $mnt/a" \
		"mount -o remount,rw $mnt"; do
		# shellcheck disable=SC2086	# the words of a command
		fails $try 2> "$tap_tmp/why"
		grep -qi 'read-only' "$tap_tmp/why" || { cat "$tap_tmp/why"; return 1; }
	done
	[ "$(cat $mnt/a)" = one ]
	fails mount -t nexusfs -o durability=origin s3://b "$tap_tmp/x"
}

# What cannot be a name is left out, and the directory wins.
test_names() {
	need 600
	local hidden
	echo x | put a
	echo x | put a/b
	echo x | put ../x
	echo x | put d/../e
	echo x | put d//e
	echo x | put /lead
	printf x | put "$(printf 'con\ttrol')"
	hidden=$(counter bucket_hidden)
	mount -t nexusfs s3://b $mnt
	[ -d $mnt/a ]
	[ "$(cat $mnt/a/b)" = x ]
	[ "$(find $mnt | wc -l)" = 5 ]
	[ "$(cat "$mnt/$(printf 'con\ttrol')")" = x ]
	[ "$(counter bucket_hidden)" = $((hidden + 5)) ]
}

# What nobody asked for is not fetched.
test_ranges() {
	need 600
	local bytes
	head -c 40000000 /dev/urandom | put big
	mount -t nexusfs s3://b $mnt
	bytes=$(counter bucket_bytes)
	dd if=$mnt/big of="$tap_tmp/piece" bs=4096 skip=5000 count=1 iflag=direct status=none
	cmp <(dd if="$obj/big" bs=4096 skip=5000 count=1 status=none) "$tap_tmp/piece"
	bytes=$(($(counter bucket_bytes) - bytes))
	[ $bytes -ge 4096 ]
	[ $bytes -le 1048576 ]
	cmp "$obj/big" $mnt/big
	bytes=$(counter bucket_bytes)
	echo 3 > /proc/sys/vm/drop_caches
	cmp "$obj/big" $mnt/big
	[ "$(counter bucket_bytes)" = "$bytes" ]
}

# Old and new are never mixed; who looks again sees the new one.
test_changed() {
	need 600
	local inode
	head -c 8000000 /dev/zero | tr '\0' a | put f
	echo stays | put d/stays
	echo goes | put d/goes
	mount -t nexusfs s3://b $mnt
	names $mnt
	inode=$(stat -c %i $mnt/f)
	exec 5< $mnt/f
	[ "$(head -c 1 <&5)" = a ]
	head -c 8000000 /dev/zero | tr '\0' b | put f
	rm "$obj/d=goes"
	echo new | put d/new
	# The part that is not here yet.
	fails dd if=/proc/self/fd/5 of=/dev/null bs=4096 skip=1900 count=1 status=none
	[ -z "$(head -c 1000 $mnt/f | tr -d b)" ] || nexusctl refresh $mnt
	[ "$(head -c 1000 $mnt/f | tr -d b | wc -c)" = 0 ]
	[ "$(stat -c %i $mnt/f)" != "$inode" ]
	exec 5<&-
	nexusctl refresh $mnt/d | grep -q 'added 1, changed 0, removed 1'
	[ "$(names $mnt/d)" = "./new ./stays " ]
	fails cat $mnt/d/goes
	[ "$(cat $mnt/d/new)" = new ]
}

test_ttl() {
	need 1
	echo one | put a
	mount -t nexusfs s3://b $mnt
	exec 5< $mnt
	[ "$(cat $mnt/a)" = one ]
	fails cat $mnt/new
	echo two, longer | put a
	echo new | put new
	until_true 20 grep -q two $mnt/a
	until_true 20 grep -q new $mnt/new
	[ "$(names $mnt)" = "./a ./new " ]
	rm "$obj/new"
	until_true 20 fails cat $mnt/new
	exec 5<&-
}

# More than a page, in a directory and of one; and whoever reads slowly misses nothing.
test_many() {
	need 600
	local i
	for i in $(seq 1 300); do : > "$obj/many=$i"; done
	control "page 100"
	mount -t nexusfs s3://b $mnt
	[ -e $mnt/many/77 ]
	fails cat $mnt/many/301
	[ "$(names $mnt/many | wc -w)" = 300 ]
	[ "$(find $mnt/many -type f | wc -l)" = 300 ]
}

test_helper_killed() {
	need 600
	head -c 3000000 /dev/urandom | put d/f
	echo more | put d/g
	mount -t nexusfs s3://b $mnt
	exec 5< $mnt/d/f
	head -c 1000 <&5 | cmp - <(head -c 1000 "$obj/d=f")
	local inode
	inode=$(stat -c %i $mnt/d/f)
	kill_helper
	until_true 60 nexusctl status
	cmp "$obj/d=f" $mnt/d/f
	[ "$(stat -c %i $mnt/d/f)" = "$inode" ]
	[ "$(cat $mnt/d/g)" = more ]
	cmp "$obj/d=f" /proc/self/fd/5
	exec 5<&-
	umount $mnt
	mount -t nexusfs s3://b $mnt
	cmp "$obj/d=f" $mnt/d/f
}

# A listing that fails is an error, never an empty directory, and can be killed.
test_failing() {
	need 600
	local pid
	echo one | put d/a
	mount -t nexusfs s3://b $mnt
	control refuse
	fails ls $mnt/d 2> "$tap_tmp/why"
	grep -q 'Permission denied' "$tap_tmp/why"
	control down
	fails ls $mnt/d 2> "$tap_tmp/why"
	grep -q 'No route to host' "$tap_tmp/why"
	fails cat $mnt/d/a
	control hold
	ls $mnt/d &
	pid=$!
	sleep 0.5
	kill -9 $pid
	wait $pid || true
	rm $top/control
	[ "$(cat $mnt/d/a)" = one ]
	control down
	# What is here is here.
	[ "$(cat $mnt/d/a)" = one ]
	umount $mnt
	fails mount -t nexusfs s3://b $mnt 2> "$tap_tmp/why"
	grep -q 'No route to host' "$tap_tmp/why"
}

# said WORDS COMMAND...: it fails, and says so.
said() {
	fails "${@:2}" 2> "$tap_tmp/why"
	grep -F "$1" "$tap_tmp/why" || { cat "$tap_tmp/why"; return 1; }
}
listed() { nexusctl mount list > "$tap_tmp/list" && grep -q "$1" "$tap_tmp/list"; }

# Service mount: at run time, in a zone of its own helper's too, and by the next helper.
test_service() {
	need 600
	local since
	[ -e /usr/local/lib/nexusfs/services/mount.so ] || skip "needs make install, or tools/vm/run"
	echo one | put a
	mkdir -p "$tap_tmp/x" "$dir/bucket"
	ln -sfn $mnt "$tap_tmp/link"
	nexusctl service load mount
	[ "$(nexusctl mount list)" = "no mounts" ]
	said 'there is no bucket' nexusctl mount attach s3://none $mnt
	said 'No such file' nexusctl mount attach s3://b "$tap_tmp/none"
	said 'not a directory' nexusctl mount attach s3://b "$tap_tmp/why"
	said 'symbolic link' nexusctl mount attach s3://b "$tap_tmp/link"
	said 'no object store' nexusctl mount attach root "$tap_tmp/x"
	nexusctl mount attach s3://b $mnt nosuid,nodev
	grep -q "^s3://b $mnt nexusfs ro,nosuid,nodev," /proc/mounts
	[ "$(cat $mnt/a)" = one ]
	said 'mount point already' nexusctl mount attach s3://b $mnt
	said 'not a directory' nexusctl mount attach s3://b $mnt/a
	nexusctl mount attach 's3://b;region=x' "$dir/bucket"
	[ "$(cat "$dir/bucket/a")" = one ]
	exec 5< $mnt/a
	said busy nexusctl mount detach $mnt
	nexusctl mount detach --lazy $mnt
	[ "$(cat <&5)" = one ]
	exec 5<&-
	fails mountpoint -q $mnt
	nexusctl mount attach s3://b $mnt
	[ "$(nexusctl mount save)" = "2 saved" ]
	nexusctl mount detach "$dir/bucket"
	# The next helper mounts nothing twice.
	since=$(nexusctl mount list --json | grep since_ms)
	kill_helper
	until_true 60 nexusctl status
	nexusctl service load mount
	[ "$(nexusctl mount list --json | grep since_ms)" = "$since" ]
	[ "$(grep -c " $mnt " /proc/mounts)" = 1 ]
	listed "^attached saved .* s3://b on $mnt"
	# As after a start of the machine, with the store down: nobody waits for it.
	umount $mnt
	listed "^gone  *saved"
	nexusctl service unload mount
	control down
	nexusctl service load mount
	until_true 60 listed "^failed  *saved"
	grep -q 'No route to host' "$tap_tmp/list"
	rm $top/control
	until_true 60 listed "^attached saved"
	[ "$(cat $mnt/a)" = one ]
	[ "$(grep -c ' nexusfs ' /proc/mounts)" = 2 ]
	nexusctl service unload mount
	[ "$(cat $mnt/a)" = one ]
	nexusctl service load mount
	nexusctl mount detach $mnt
	fails mountpoint -q $mnt
	nexusctl service unload mount
}

# A check has time for these; the long part 62-faults runs all.
[ $# != 0 ] || [ -n "${NEXUS_LOOPS:-}" ] || set -- test_shown test_changed test_failing test_service
tap_main "$@"
# The helper has read it; the next one is as it was.
[ ! -e /etc/nexusfs/bucket-ttl ] || rm -f /etc/nexusfs/bucket-ttl /etc/nexusfs/nexusd.yaml
