#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Git with ten thousand files, make of a C project and of this module, npm and dpkg-deb, on
# the mounted filesystem.  What they work with is fetched on the host by tests/kselftest/fetch;
# sources lie on the ext4 below (NEXUS_CONTROL_DIR).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
repo=$(cd "$here/../.." && pwd -P)
programs=$repo/build/programs
control=${NEXUS_CONTROL_DIR:-/var/lib/nexusfs}/realworld
work=$dir/realworld

# need FILE PROGRAM...: starts in an empty directory.
need() {
	local program
	[ -e "$1" ] || skip "no $1: tests/kselftest/fetch"
	shift
	for program; do
		command -v "$program" > /dev/null || skip "no $program"
	done
	rm -rf "$work" "$control"
	mkdir "$work" "$control"
	cd "$work"
}

git_begin() {
	need "$programs/git.tar" git
	export HOME=$work GIT_CONFIG_NOSYSTEM=1
	git config --global user.email test@example.com
	git config --global user.name test
	git config --global protocol.file.allow always
	git config --global advice.detachedHead false
	git config --global --add safe.directory '*'
	mkdir "$control/big.git"
	tar -C "$control/big.git" -xf "$programs/git.tar"
}

clean() {
	local status
	status=$(git -C "$1" status --porcelain)
	[ -z "$status" ] || { head -n 20 <<< "$status" && return 1; }
}

# Branches come and go in ten thousand files; nothing is ever seen as changed that is not.
test_git_clone_and_branches() {
	local main other
	git_begin
	git clone -q "$control/big.git" clone
	[ "$(find clone -path clone/.git -prune -o -type f -print | wc -l)" = 10000 ]
	clean clone
	main=$(git -C clone rev-parse HEAD:)
	git -C clone checkout -q other
	clean clone
	other=$(git -C clone rev-parse HEAD:)
	[ "$main" != "$other" ] && [ ! -e clone/d30 ] && [ -d clone/moved ]
	# By content, and not by what the index remembers of stat.
	git -C clone read-tree --empty
	git -C clone add -A
	[ "$(git -C clone write-tree)" = "$other" ]
	git -C clone checkout -q -f main
	echo 3 > /proc/sys/vm/drop_caches
	clean clone
	[ "$(readlink clone/link)" = d0/e0/file0 ] && [ -x clone/d1/e1/file1 ]
	# One is changed within the second of its checkout, and one without its size.
	printf 'LINE 0\n' > clone/d0/e0/file0
	echo new > clone/d1/new
	rm clone/d2/e2/file2
	[ "$(git -C clone status --porcelain | sort | tr '\n' ,)" = " D d2/e2/file2, M d0/e0/file0,?? d1/new," ]
	git -C clone stash -q -u
	clean clone
	git -C clone stash pop -q
	git -C clone add -A
	git -C clone commit -q -m changed
	git -C clone push -q origin main
	git -C "$control/big.git" fsck --full --strict
}

test_git_worktree() {
	git_begin
	git clone -q "$control/big.git" clone
	git -C clone worktree add -q ../second other 2> /dev/null || git -C clone worktree add -q ../second -b other origin/other
	clean second
	clean clone
	git -C second rm -q -r moved
	git -C second commit -q -m 'in the second'
	[ "$(git -C clone rev-parse other)" = "$(git -C second rev-parse HEAD)" ]
	git -C clone worktree remove ../second
	[ ! -e second ]
	[ "$(git -C clone worktree list | wc -l)" = 1 ]
	git -C clone worktree prune
	git -C clone fsck --full --strict
}

# Loose objects, hard links between repositories, packs that replace packs.
test_git_gc() {
	local before after i
	git_begin
	git clone -q --bare "$control/big.git" bare.git
	git clone -q --bare --local bare.git linked.git
	[ -n "$(find linked.git/objects -type f -links +1)" ]
	git clone -q linked.git clone
	for i in 1 2 3 4 5; do
		for f in clone/d"$i"*/e1/file*; do echo "round $i" >> "$f"; done
		git -C clone commit -q -a -m "round $i"
		git -C clone -c gc.auto=0 push -q
	done
	before=$(git -C linked.git rev-list --all --objects | sort | sha256sum)
	git -C linked.git repack -q -a -d
	git -C linked.git gc -q --prune=now
	echo 3 > /proc/sys/vm/drop_caches
	after=$(git -C linked.git rev-list --all --objects | sort | sha256sum)
	[ "$before" = "$after" ]
	[ -z "$(find linked.git/objects -path '*/[0-9a-f][0-9a-f]/*' -type f)" ]
	git -C linked.git fsck --full --strict
	git -C bare.git fsck --full --strict
	git -C clone gc -q
	git -C clone fsck --full --strict
	clean clone
}

# Two builds at once do not see each other; a second make finds nothing to do, and after a
# change only what depends on it.
test_make_lua() {
	need "$(find "$programs" -name 'lua5.4_*.orig.tar.*' 2> /dev/null | head -n 1)" gcc make ar
	tar -xf "$programs"/lua5.4_*.orig.tar.*
	cd lua-*/
	make -s -C src -j2 posix MYCFLAGS=-O0 > "$tap_tmp/make" 2>&1 || { tail "$tap_tmp/make" && return 1; }
	[ "$(src/lua -e 'local t = {} for i = 1, 1000 do t[i] = i end print(#t, select("#", table.unpack(t)))')" = "1000	1000" ]
	src/luac -o "$tap_tmp/out" - <<< 'print("compiled")'
	[ "$(src/lua "$tap_tmp/out")" = compiled ]
	make -C src posix MYCFLAGS=-O0 > "$tap_tmp/make" 2>&1
	fails grep -E '^gcc.* -c ' "$tap_tmp/make"
	touch src/lopcodes.c
	make -C src posix MYCFLAGS=-O0 > "$tap_tmp/make" 2>&1
	[ "$(grep -cE '^gcc.* -c ' "$tap_tmp/make")" = 1 ]
	make -s install INSTALL_TOP="$work/installed"
	"$work/installed/bin/lua" -v
	make -s -C src clean
	[ -z "$(find src -name '*.o' -o -name '*.a')" ]
}

# The very symbols that the build outside has.
test_make_this_module() {
	local kdir
	kdir=$(find "$repo"/build/vm/kernel-stock-*/ -maxdepth 1 -name build | head -n 1)
	need "${kdir:-/none}/Makefile" gcc make nm
	(cd "$repo" && cp -r --parents Kbuild VERSION kmod lib include tests/kunit "$work/")
	make -s -C "$kdir" M="$work" -j2 CONFIG_DEBUG_INFO_BTF_MODULES= modules > "$tap_tmp/make" 2>&1 ||
		{ tail "$tap_tmp/make" && return 1; }
	[ "$(modinfo -F name nexusfs.ko)" = nexusfs ]
	[ -e "$repo/build/kmod-stock/nexusfs.ko" ] || skip "built, and nothing to compare it with"
	# Not the names that the compiler numbers.
	cmp <(nm nexusfs.ko | awk '{ print $NF }' | grep -v '[.]' | sort) \
		<(nm "$repo/build/kmod-stock/nexusfs.ko" | awk '{ print $NF }' | grep -v '[.]' | sort)
	make -s -C "$kdir" M="$work" clean
	[ ! -e nexusfs.ko ]
}

# A tree that npm writes: many small files, renames, links to programs.
test_npm() {
	need "$programs/npm" node npm
	cp -r "$programs/npm/project" .
	cp -r "$programs/npm/cache" .
	cd project
	export HOME=$work
	npm ci --offline --cache "$work/cache" --no-audit --no-fund --ignore-scripts
	node -e '
		const semver = require("semver"), _ = require("lodash"), express = require("express");
		if (!semver.gt("1.10.0", "1.9.0") || _.chunk([1, 2, 3], 2).length !== 2 || !express.Router)
			process.exit(1);'
	[ "$(node_modules/.bin/semver -r '>=1' 0.1.0 1.2.3)" = 1.2.3 ]
	[ -L node_modules/.bin/semver ]
	npm ls --all > /dev/null
	npm cache verify --cache "$work/cache"
	# Again over what is there, and from nothing by another project.
	npm ci --offline --cache "$work/cache" --no-audit --no-fund --ignore-scripts
	(cd node_modules && find . -type f -print0 | sort -z | xargs -0 sha256sum) > "$tap_tmp/first"
	mkdir ../again
	cp package*.json ../again/
	cd ../again
	npm ci --offline --cache "$work/cache" --no-audit --no-fund --ignore-scripts
	(cd node_modules && find . -type f -print0 | sort -z | xargs -0 sha256sum) | cmp - "$tap_tmp/first"
}

picture() {
	(cd "$1" && { find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %n %T@ %l\n' &&
		find . -mindepth 1 -type d -printf '%p %y %m %U %G %n\n'; } | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

test_dpkg_deb() {
	local deb
	need "$programs/debs" dpkg-deb
	for deb in "$programs"/debs/*.deb; do
		rm -rf here "$control/there"
		dpkg-deb -x "$deb" here
		dpkg-deb -x "$deb" "$control/there"
		diff <(picture "$control/there") <(picture here)
		dpkg-deb -R "$deb" raw
		dpkg-deb --root-owner-group -b raw again.deb
		[ "$(dpkg-deb -c again.deb | awk '{ print $1, $NF }' | sort)" = "$(dpkg-deb -c "$deb" | awk '{ print $1, $NF }' | sort)" ]
		rm -rf raw
	done
}

tap_cleanup() {
	cd /
	rm -rf "$work" "$control"
}
tap_main "$@"
