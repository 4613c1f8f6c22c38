#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Programs people use, on the mounted filesystem.  NEXUS_SHORT: a small tree
# and no compilers, for kernels that are slow.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"

tree=/usr/include
[ -z "${NEXUS_SHORT:-}" ] || tree=/usr/include/linux

need() {
	[ -z "${NEXUS_SHORT:-}" ] || skip "not on a slow kernel"
	command -v "$1" > /dev/null || skip "no $1"
	rm -rf "$dir/programs"
	mkdir "$dir/programs"
	cd "$dir/programs"
}

test_copy_and_compare() {
	rm -rf "$dir/copy"
	cp -a $tree "$dir/copy"
	diff -r --no-dereference $tree "$dir/copy"
	(cd $tree && find . -printf '%P %y %m %U %G %T@ %l\n' | sort) > "$tap_tmp/source"
	(cd "$dir/copy" && find . -printf '%P %y %m %U %G %T@ %l\n' | sort) | cmp - "$tap_tmp/source"
}

test_remove_everything() {
	rm -rf "$dir/copy"
	[ ! -e "$dir/copy" ]
}

test_compile() {
	need gcc
	cat > list.h <<-'C'
		struct list { struct list *next; int value; };
		int sum(const struct list *l);
	C
	cat > list.c <<-'C'
		#include "list.h"
		int sum(const struct list *l) { return l ? l->value + sum(l->next) : 0; }
	C
	cat > main.c <<-'C'
		#include <stdio.h>
		#include "list.h"
		int main(void)
		{
			struct list b = { 0, 40 }, a = { &b, 2 };
			printf("%d\n", sum(&a));
			return 0;
		}
	C
	gcc -O2 -c list.c main.c
	ar rcs liblist.a list.o
	gcc -o main main.o -L. -llist
	[ "$(./main)" = 42 ]
	strip main
	[ "$(./main)" = 42 ]
}

test_sqlite() {
	need sqlite3
	local mode
	for mode in delete wal; do
		sqlite3 "$mode.db" "
			PRAGMA journal_mode=$mode;
			CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
				INSERT INTO t SELECT i, hex(i * 7919) FROM n;
			CREATE INDEX v ON t(v);
			BEGIN; DELETE FROM t WHERE id % 3 = 0; ROLLBACK;
			DELETE FROM t WHERE id % 3 = 0;
			VACUUM;"
		for i in 1 2 3 4 5; do
			sqlite3 "$mode.db" "INSERT INTO t(v) VALUES('row $i');"
		done
		[ "$(sqlite3 "$mode.db" 'PRAGMA integrity_check; SELECT count(*) FROM t;')" = "ok
2005" ]
	done
	# Two writers: the locks of the file have to keep them apart.
	sqlite3 two.db 'CREATE TABLE t(v);'
	for i in $(seq 20); do echo "INSERT INTO t VALUES($i);"; done > inserts
	sqlite3 -cmd '.timeout 60000' two.db < inserts &
	sqlite3 -cmd '.timeout 60000' two.db < inserts
	wait $!
	[ "$(sqlite3 two.db 'SELECT count(*) FROM t;')" = 40 ]
}

test_git() {
	need git
	export HOME=$dir/programs GIT_CONFIG_NOSYSTEM=1
	git init -q -b main .
	git config user.email test@example.com
	git config user.name test
	cp -r /usr/include/linux/netfilter .
	git add .
	git commit -q -m first
	sed -i '1i /* changed */' netfilter/*.h
	git mv netfilter moved
	git commit -q -a -m second
	[ -z "$(git status --porcelain)" ]
	git checkout -q HEAD~1
	diff -r --no-dereference netfilter /usr/include/linux/netfilter
	git checkout -q main
	git gc -q
	git fsck --strict
}

test_tar() {
	need tar
	tar -C /usr/include -cf t.tar linux/netfilter
	mkdir out
	tar -C out -xpf t.tar
	diff -r --no-dereference out/linux/netfilter /usr/include/linux/netfilter
	tar -C out -cf - . | tar -C out/linux -xf -
	diff -r --no-dereference out/linux/linux/netfilter out/linux/netfilter
}

tap_main "$@"
rm -rf "$dir/programs"
