#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The filesystem exported by the kernel's NFS server and mounted from the same machine.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"

nfs=/tmp/nfs
state=/var/lib/nfs
export_to=127.0.0.1

# Server and daemons, once; a restart is seconds long, and so are its grace times.
serve() {
	[ ! -e /run/nexus-nfs ] || return 0
	ip link set lo up
	modprobe nfsd
	modprobe nfs
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
	mount -t tmpfs tmpfs $state
	mkdir -p $state/v4recovery $state/nfsdcltrack $state/sm $state/sm.bak $state/rpc_pipefs $nfs
	touch $state/etab $state/rmtab $state/state
	echo 10 > /proc/fs/nfsd/nfsv4leasetime
	echo 10 > /proc/fs/nfsd/nfsv4gracetime
	# Version 3 asks it where the other daemon is; elsewhere systemd makes its directory.
	mkdir -p /run/rpcbind
	chown _rpc /run/rpcbind 2> /dev/null || true
	rpcbind -w || true
	rpc.mountd --manage-gids > /dev/null
	touch /run/nexus-nfs
}

# The root of version 4 is what has number 0; otherwise one goes by what statfs says.
start() {
	exportfs -o "rw,sync,no_root_squash,no_subtree_check$1" "$export_to:$dir"
	rpc.nfsd 4
	echo Y > /proc/fs/nfsd/v4_end_grace || true
}

need() {
	command -v exportfs rpc.nfsd rpc.mountd mount.nfs > /dev/null || skip "no NFS server or client"
	[ -d /sys/module/nfsd ] || modprobe -n nfsd 2> /dev/null || skip "no nfsd in this kernel"
	serve
	start "$1"
	rm -rf "$dir/nfs"
	mkdir "$dir/nfs"
}

need_rpcbind() { until_true 10 eval 'rpcinfo -p | grep -q mountd' || skip "no rpcbind"; }

# attach VERSION
attach() {
	local number='' root=$dir
	[ "$1" = 3 ] || { number=,fsid=0 && root=/; }
	need "$number"
	[ "$1" != 3 ] || need_rpcbind
	mount -t nfs -o "retry=0,vers=$1$([ "$1" != 3 ] || echo ,nolock),soft,timeo=600,retrans=3" "$export_to:$root" $nfs
}

tap_cleanup() {
	umount $nfs 2> /dev/null || umount -l $nfs 2> /dev/null || true
	if [ -e /run/nexus-nfs ]; then
		exportfs -ua || true
		rpc.nfsd 0 || true
	fi
	rm -rf "$dir/nfs"
}

# Sizes and links of directories are each filesystem's own.
picture() {
	(cd "$1" && find . \( -type d -printf '%p %y %m %U %G %T@\n' -o -printf '%p %y %m %U %G %s %n %T@ %l\n' \) | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

make_tree() {
	mkdir -p "$1/d/e/f" "$1/empty"
	cp -a /usr/include/linux/netfilter "$1/copy"
	ln "$1/copy/nf_conntrack_common.h" "$1/d/hard"
	ln -s ../d/2 "$1/d/soft"
	ln -s "$(printf 'x%.0s' $(seq 1000))" "$1/long"
	mkfifo -m 640 "$1/fifo"
	mknod "$1/null" c 1 3
	echo end > "$1/sparse"
	truncate -s 3M "$1/sparse"
	head -c 2000000 /dev/urandom > "$1/random"
	chmod 4711 "$1/d/hard"
	chown 12:34 "$1/empty"
	touch -d '1999-12-31 23:59:59.123456789' "$1/d"
}

# In, around and out again: the same to both sides.
tree() {
	rm -rf "$tap_tmp/source"
	make_tree "$tap_tmp/source"
	picture "$tap_tmp/source" > "$tap_tmp/before"
	cp -a "$tap_tmp/source" $nfs/nfs/in
	picture $nfs/nfs/in | diff "$tap_tmp/before" -
	picture "$dir/nfs/in" | diff "$tap_tmp/before" -
	echo 3 > /proc/sys/vm/drop_caches
	cp -a $nfs/nfs/in $nfs/nfs/around
	echo 3 > /proc/sys/vm/drop_caches
	picture $nfs/nfs/around | diff "$tap_tmp/before" -
	mv $nfs/nfs/around/d $nfs/nfs/d
	rm -rf $nfs/nfs/in $nfs/nfs/around
	[ "$(ls -A "$dir/nfs")" = d ]
}

test_tree_by_version_4() {
	attach 4.2
	tree
}

test_tree_by_version_3() {
	attach 3
	tree
}

# A subtree: every handle has its parent, and is led back to the exported directory.
test_subtree() {
	need ""
	need_rpcbind
	exportfs -ua
	mkdir -p "$dir/nfs/sub/a/b" "$dir/nfs/out"
	echo text > "$dir/nfs/sub/a/b/file"
	ln "$dir/nfs/sub/a/b/file" "$dir/nfs/out/other"
	exportfs -o rw,sync,no_root_squash,subtree_check,fsid=7 "$export_to:$dir/nfs/sub"
	mount -t nfs -o retry=0,vers=3,nolock,soft "$export_to:$dir/nfs/sub" $nfs
	exec 5< $nfs/a/b/file
	exec 6< $nfs/a/b
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(cat <&5)" = text ]
	[ "$(ls /proc/self/fd/6/)" = file ]
	echo more >> $nfs/a/b/file
	mv $nfs/a/b/file $nfs/a/file
	echo 3 > /proc/sys/vm/drop_caches
	[ "$(tail -n 1 $nfs/a/file)" = more ]
	rm $nfs/a/file
	[ "$(cat "$dir/nfs/out/other")" = "text
more" ]
	exec 5<&- 6<&-
	umount $nfs
	exportfs -ua
}

# Cookies of a directory that many replies list, while names in it go.
test_many_entries() {
	attach 4.2
	mkdir "$dir/nfs/many"
	(cd "$dir/nfs/many" && seq 1500 | xargs touch)
	seq 1500 | sort > "$tap_tmp/names"
	# shellcheck disable=SC2012
	ls $nfs/nfs/many | sort | cmp "$tap_tmp/names" -
	echo 3 > /proc/sys/vm/drop_caches
	# shellcheck disable=SC2012
	ls -U $nfs/nfs/many | sort | cmp "$tap_tmp/names" -
	python3 - $nfs/nfs/many <<-'PYTHON'
		import os, sys
		seen = set()
		for i, entry in enumerate(os.scandir(sys.argv[1])):
		    assert entry.name not in seen, entry.name
		    seen.add(entry.name)
		    if i % 2:
		        os.unlink(entry.path)
		assert len(seen) == 1500, len(seen)
		assert len(os.listdir(sys.argv[1])) == 750
	PYTHON
	rm -rf $nfs/nfs/many
	[ ! -e "$dir/nfs/many" ]
}

# What is changed here is seen there, at its next open, however quickly it comes.
test_changes_are_seen() {
	attach 4.2
	local i
	for i in $(seq 100 115); do
		echo "$i" > "$dir/nfs/file"
		[ "$(cat $nfs/nfs/file)" = "$i" ]
		printf x | dd of="$dir/nfs/file" conv=notrunc status=none
		[ "$(cat $nfs/nfs/file)" = "x${i#?}" ]
		touch "$dir/nfs/new$i"
		[ -e "$nfs/nfs/new$i" ]
	done
}

test_locks() {
	attach 4.2
	echo text > "$dir/nfs/file"
	python3 - $nfs/nfs/file "$dir/nfs/file" <<-'PYTHON'
		import errno, fcntl, os, subprocess, sys
		there, here = sys.argv[1:]
		probe = """import fcntl, sys
		f = open(sys.argv[1], 'r+')
		try:
		    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, int(sys.argv[2]))
		    print('free')
		except OSError:
		    print('held')"""
		def probed(path, at):
		    return subprocess.check_output([sys.executable, '-c', probe, path, str(at)], text=True).strip()
		with open(there, 'r+') as f:
		    fcntl.lockf(f, fcntl.LOCK_EX, 10, 100)
		    assert probed(here, 100) == 'held' and probed(there, 105) == 'held'
		    assert probed(here, 110) == 'free' and probed(there, 90) == 'free'
		    fcntl.lockf(f, fcntl.LOCK_UN, 10, 100)
		    assert probed(here, 100) == 'free'
		with open(here, 'r+') as f:
		    fcntl.lockf(f, fcntl.LOCK_SH, 10, 100)
		    assert probed(there, 100) == 'held'
		assert probed(there, 100) == 'free'
	PYTHON
	flock $nfs/nfs/file true
}

# Files open over a restart of the server, one of them without a name.
test_server_restarts() {
	attach 4.2
	exec 5> $nfs/nfs/open
	echo before >&5
	exec 6<> $nfs/nfs/gone
	echo gone >&6
	rm $nfs/nfs/gone
	rpc.nfsd 0
	echo 3 > /proc/sys/vm/drop_caches
	rpc.nfsd 4
	echo after >&5
	exec 5>&-
	[ "$(cat "$dir/nfs/open")" = "before
after" ]
	[ "$(cat /proc/self/fd/6)" = gone ]
	exec 6<&-
	[ "$(ls -A "$dir/nfs")" = open ]
}

# Unmounted and mounted: what the client knows stays good.
test_remount_below() {
	need_helper
	[ "$dir" = /mnt/nexus ] || skip "needs /mnt/nexus"
	attach 3
	make_tree "$dir/nfs/tree"
	cd $nfs/nfs/tree/d
	picture . > "$tap_tmp/before"
	exec 5< $nfs/nfs/tree/random
	exportfs -ua
	rpc.nfsd 0
	umount "$dir"
	mount -t nexusfs root "$dir"
	echo 1 > /proc/sys/vm/drop_caches
	start ""
	picture . | diff "$tap_tmp/before" -
	cmp "$dir/nfs/tree/random" - <&5
	exec 5<&-
	echo x > e/new
	[ "$(cat "$dir/nfs/tree/d/e/new")" = x ]
}

# The helper dies under the server.
test_helper_dies() {
	need_helper
	attach 4.2
	mkdir "$dir/nfs/d"
	(cd "$dir/nfs/d" && seq 200 | xargs touch)
	echo text > $nfs/nfs/d/file
	kill_helper
	echo 3 > /proc/sys/vm/drop_caches
	# shellcheck disable=SC2012
	[ "$(ls $nfs/nfs/d | wc -l)" = 201 ]
	[ "$(cat $nfs/nfs/d/file)" = text ]
}

tap_main "$@"
