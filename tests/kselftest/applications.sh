#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Programs that check themselves what they wrote: fio's engines, databases, also with a
# helper that dies under them.  NEXUS_SECONDS: of load on PostgreSQL (60).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
work=$dir/applications
size=16m
[ -z "${NEXUS_SHORT:-}" ] || size=2m

need() {
	local program
	for program; do
		command -v "$program" > /dev/null || skip "no $program"
	done
	rm -rf "$work"
	mkdir "$work"
	cd "$work"
}

# verified ENGINE DIRECT: random writes of several sizes by two processes, with an fsync now
# and then; read again and compared, also by another process without anything cached.
verified() {
	local job=(--name="$1" --directory="$work" --ioengine="$1" --direct="$2" --size="$size" --rw=randwrite
		--bsrange=4k-128k --iodepth=16 --numjobs=2 --verify=crc32c --verify_fatal=1 --randseed=7
		--group_reporting --output="$tap_tmp/fio")
	fio "${job[@]}" --do_verify=1 --fsync=32 || { cat "$tap_tmp/fio" && return 1; }
	[ "$2" = 1 ] || echo 3 > /proc/sys/vm/drop_caches
	fio "${job[@]}" --verify_only || { cat "$tap_tmp/fio" && return 1; }
	rm -rf "${work:?}"/*
}

# A block changed behind fio's back must be found, or nothing above proves anything.
test_fio_notices() {
	need fio
	local job=(--name=notices --directory=. --ioengine=psync --size=1m --rw=randwrite --bs=4k
		--verify=crc32c --verify_fatal=1 --randseed=7 --output=/dev/null)
	fio "${job[@]}" --do_verify=1
	printf x | dd of=notices.0.0 bs=1 seek=300000 conv=notrunc status=none
	fails fio "${job[@]}" --verify_only
}

test_fio_sync() { need fio && verified sync 0 && verified sync 1; }
test_fio_psync() { need fio && verified psync 0 && verified psync 1; }
test_fio_libaio() { need fio && verified libaio 0 && verified libaio 1; }
test_fio_io_uring() { need fio && verified io_uring 0 && verified io_uring 1; }
test_fio_mmap() { need fio && verified mmap 0; }
test_fio_splice() { need fio && verified splice 0; }

# Half of it through the cache, in sectors.
test_fio_sectors() {
	need fio
	fio --name=mixed --directory=. --size=$size --rw=randrw --bsrange=512-64k --blockalign=512 --direct=1 \
		--verify=crc32c --do_verify=1 --ioengine=psync --output=/dev/stderr
}

new_helper() { [ -s $run/nexusd.pid ] && [ "$(cat $run/nexusd.pid)" != "$1" ] && nexusctl status; }

# Rows are counted by the file in which sqlite3 says that they are committed.
test_sqlite_while_the_helper_dies() {
	need sqlite3
	need_helper
	local mode old writer i last
	for mode in delete truncate persist wal; do
		: > "$tap_tmp/go"
		sqlite3 "$mode.db" "PRAGMA journal_mode=$mode; PRAGMA synchronous=FULL; CREATE TABLE t(v INTEGER, pad); CREATE INDEX v ON t(v);"
		(
			i=0
			while [ -e "$tap_tmp/go" ]; do
				i=$((i + 1))
				sqlite3 "$mode.db" "PRAGMA synchronous=FULL; INSERT INTO t VALUES($i, hex(randomblob(2000)));
					UPDATE t SET pad = hex(randomblob(1500)) WHERE v = $i / 2;" || exit 1
				echo $i > "$tap_tmp/committed"
			done
		) &
		writer=$!
		for i in 1 2; do
			sleep 1
			old=$(cat $run/nexusd.pid)
			kill_helper
			until_true 60 new_helper "$old"
		done
		rm "$tap_tmp/go"
		wait $writer
		last=$(cat "$tap_tmp/committed")
		echo "$mode: $last transactions"
		[ "$last" -gt 2 ]
		echo 3 > /proc/sys/vm/drop_caches
		[ "$(sqlite3 "$mode.db" 'PRAGMA integrity_check; SELECT count(*), max(v) FROM t;')" = "ok
$last|$last" ]
	done
}

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups env -C / "$@"; }

# Bank transfers; the sums of what was moved have to agree, whatever was ended when.
test_postgresql() {
	local bin data=$work/data seconds=${NEXUS_SECONDS:-60} sums
	bin=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2> /dev/null | sort -V | tail -n 1)
	[ -n "$bin" ] || skip "no PostgreSQL"
	[ -x "$bin/pg_amcheck" ] || skip "no pg_amcheck"
	need setpriv
	local sockets=$tap_tmp/sockets log=$tap_tmp/postgresql.log
	mkdir "$sockets"
	chmod 711 "$tap_tmp"
	touch "$log"
	chown postgres "$work" "$sockets" "$log"
	local client=(-h "$sockets" -d postgres)
	pg() { as_postgres "$bin/pg_ctl" -D "$data" -w -t 240 -l "$log" "$@"; }
	begin() { pg start -o "-k $sockets -c listen_addresses= -c checkpoint_timeout=30s" || { tail -20 "$log" && return 1; }; }
	as_postgres "$bin/initdb" -D "$data" -k > /dev/null
	begin
	# Runs when the locals of this function are gone.
	# shellcheck disable=SC2064
	trap "as_postgres '$bin/pg_ctl' -D '$data' stop -m immediate > /dev/null 2>&1 || true" EXIT
	as_postgres "$bin/pgbench" "${client[@]:0:2}" -i -s 1 -q postgres
	as_postgres "$bin/pgbench" "${client[@]:0:2}" -n -c 4 -j 2 -T "$seconds" postgres
	# In the middle of the next one. -n: it would empty the history first.
	as_postgres "$bin/pgbench" "${client[@]:0:2}" -n -c 4 -j 2 -T "$seconds" postgres > "$tap_tmp/second" 2>&1 &
	sleep 5
	pg stop -m immediate
	wait $! || true
	echo 3 > /proc/sys/vm/drop_caches
	begin
	sums=$(as_postgres "$bin/psql" "${client[@]}" -At -c \
		"SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
		   AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
		   AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history);
		 SELECT count(*) > 0 FROM pgbench_history;")
	[ "$sums" = "t
t" ]
	as_postgres "$bin/pg_amcheck" "${client[@]:0:2}" --all --install-missing --heapallindexed
	pg stop -m fast
	as_postgres "$bin/pg_checksums" -D "$data" -c
}

# What measures by making load also notices what is not there or not as it was.
test_loads() {
	need rsync dbench postmark bonnie++
	dbench -D "$work" -t 15 4
	printf 'set location %s\nset number 300\nset transactions 1000\nrun\nquit\n' "$work" > "$tap_tmp/postmark"
	postmark "$tap_tmp/postmark"
	bonnie++ -q -d "$work" -s 32 -r 16 -n 2 -u root
}

test_rsync() {
	need rsync
	local from=/usr/include/linux changed
	rsync -aHAX $from/ tree/
	# By checksum of every file; whatever it would send again, it says.
	echo 3 > /proc/sys/vm/drop_caches
	changed=$(rsync -aHAXc --delete --itemize-changes $from/ tree/)
	echo "$changed"
	[ -z "$changed" ]
}

tap_main "$@"
rm -rf "$work"
