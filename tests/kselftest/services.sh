#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Services in the helper of a mounted zone: loaded, swapped, unloaded under load; one
# that does not return and one that crashes, and the mount goes on.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/supervised.sh"
objects=$here/../../build/userspace/tests/unit/nexusd/services
services=/run/nexusfs-services
settings=/etc/nexusfs/nexusd.yaml

# A helper with a folder of services, and five seconds for each of their calls.
need() {
	need_helper
	[ -e "$objects/service-echo-1.so" ] || skip "needs the services of tests/unit"
	mkdir -p $services /etc/nexusfs
	chmod 755 $services
	if ! grep -qs $services $settings; then
		printf 'services_dir: %s\nservice_timeout: 5\n' $services > $settings
		kill_helper
		until_true 60 nexusctl status
	fi
}

put() { install -m 644 "$objects/service-$1.so" "$services/$2.so"; }
service() { nexusctl service "$@"; }
mapped() { grep -o '/memfd:nexus-service-[a-z0-9]*' "/proc/$(cat $run/nexusd.pid)/maps" | sort -u | wc -l; }
says() { grep -q "$1" $run/nexusd.log; }

# refused WORDS NAME: it is not loaded, and nexusctl says why.
refused() {
	fails service load "$2" 2> "$tap_tmp/err"
	grep -F "$1" "$tap_tmp/err" || { cat "$tap_tmp/err"; return 1; }
}

# The mount works: what was written is there.
works() {
	head -c 100000 /dev/urandom > "$dir/services-file"
	sync -f "$dir"
	cp "$dir/services-file" "$dir/services-copy"
	echo 3 > /proc/sys/vm/drop_caches
	cmp "$dir/services-file" "$dir/services-copy"
	rm "$dir/services-file" "$dir/services-copy"
}

test_none() {
	need
	[ "$(service list --json)" = "[]" ]
	[ "$(mapped)" = 0 ]
	works
}

test_rules() {
	need
	rm -f $services/*
	put user user
	refused "needs protocol nexus.echo" user
	put echo-1 echo
	chmod o+w $services/echo.so
	refused "chmod go-w" echo
	chmod o-w $services/echo.so
	chown 1 $services/echo.so
	refused "belongs to uid 1" echo
	chown 0 $services/echo.so
	mv $services/echo.so $services/real
	ln -s real $services/echo.so
	refused "symbolic link" echo
	mv $services/real $services/echo.so
	refused "is no name" ../echo
	put bad-abi bad
	refused "ABI version" bad
	put bad-nodesc bad
	refused "no symbol nexus_service" bad
	put bad-symbol bad
	refused "undefined symbol" bad
	put bad-init-crashes bad
	refused "crashed in service_init" bad
	put bad-init-forks bad
	refused "forked" bad
	put bad-init-hangs bad
	refused "did not return" bad
	put bad-start-fails bad
	refused "service_start failed" bad
	put one one
	put two two
	fails service load one two
	[ "$(mapped)" = 0 ]
	service load user echo
	put twin twin
	refused "provided by service echo already" twin
	fails service unload echo
	[ "$(mapped)" = 2 ]
	service unload user echo
	[ "$(mapped)" = 0 ]
	says "service echo 1: load done for uid 0"
	works
}

# Under files being written, too.
test_many() {
	need
	local copy
	rm -f $services/*
	put user user
	cp -a /usr/include/linux "$dir/services-tree" &
	copy=$!
	for _ in $(seq 10); do
		put echo-1 echo
		service load echo user
		put echo-2 echo
		service swap echo
		service unload user echo
	done > /dev/null
	[ "$(mapped)" = 0 ]
	wait $copy
	diff -r --no-dereference /usr/include/linux "$dir/services-tree"
	rm -r "$dir/services-tree"
}

# One that never comes back from its start.
test_stuck() {
	need
	rm -f $services/*
	put bad-start-sleeps bad
	fails service load bad
	service list | grep -q quarantined
	says "service bad: service_start, called by the registry, has not returned"
	[ "$(mapped)" = 1 ]
	put echo-1 echo
	service load echo
	works
}

test_crash() {
	need
	local old
	rm -f $services/*
	put bad-start-crashes bad
	old=$(cat $run/nexusd.pid)
	fails service load bad
	until_true 60 dead "$old"
	until_true 60 nexusctl status
	says "service bad crashed in service_start, called by the registry"
	[ "$(mapped)" = 0 ]
	works
}

# Those that are installed, as people use them; what they keep outlives the helper.
test_installed() {
	need
	local installed=/usr/local/lib/nexusfs/services first
	[ -e $installed/permissions.so ] || skip "needs make install, or tools/vm/run"
	rm -f $services/*
	install -m 644 $installed/*.so $services/
	service load eventlog event_bus permissions
	nexusctl events publish root write /installed --data one --durable
	first=$(nexusctl --json events replay --filter /installed | sed -n 's/^ *"seq": \([0-9]*\),$/\1/p')
	nexusctl rebac policy - <<- 'END'
		types: {user: {}, doc: {relations: {viewer: {this: [user]}}}}
	END
	nexusctl rebac write doc:readme viewer user:anne
	kill_helper
	until_true 60 nexusctl status
	[ "$(mapped)" = 0 ]
	service load eventlog event_bus permissions
	nexusctl rebac check doc:readme viewer user:anne
	nexusctl rebac delete doc:readme viewer user:anne
	fails nexusctl rebac check doc:readme viewer user:anne
	nexusctl events publish root delete /installed
	[ "$(nexusctl events tail --from "$first" --filter /installed --count 2 | wc -l)" = 2 ]
	service unload permissions event_bus eventlog
	[ "$(mapped)" = 0 ]
	works
}

# The others that are installed: one call of each while the zone is in use.
test_each() {
	need
	local installed=/usr/local/lib/nexusfs/services copy name
	[ -e $installed/namespace.so ] || skip "needs make install, or tools/vm/run"
	rm -f $services/*
	for name in cache agent_registry scheduler permissions namespace; do
		install -m 644 $installed/$name.so $services/
	done
	cp -a /usr/include/linux "$dir/services-tree" &
	copy=$!
	service load cache agent_registry scheduler permissions namespace
	[ "$(mapped)" = 5 ]
	nexusctl cache set greeting hello
	# Where the store keeps nothing, it was asked.
	nexusctl cache state | grep -q " 1 sets"
	nexusctl agent add guest root > /dev/null
	nexusctl agent set guest connected > /dev/null
	nexusctl agent list | grep -q "^guest  *connected"
	nexusctl agent remove guest
	nexusctl sched submit index --data work
	nexusctl sched claim index --json | grep -q '"base64": "d29yaw=="'
	nexusctl rebac policy - <<- 'END'
		types: {user: {}, file: {relations: {viewer: {this: [user]}}, permissions: {read: [viewer]}}}
	END
	nexusctl rebac write "file:root:/services-tree" viewer user:1000
	nexusctl namespace check root:/services-tree/fs.h --owner user:1000
	fails nexusctl namespace check root:/services-file --owner user:1000
	nexusctl rebac delete "file:root:/services-tree" viewer user:1000
	fails nexusctl namespace check root:/services-tree/fs.h --owner user:1000
	wait $copy
	diff -r --no-dereference /usr/include/linux "$dir/services-tree"
	rm -r "$dir/services-tree"
	fails service unload permissions
	service unload namespace permissions scheduler agent_registry cache
	[ "$(mapped)" = 0 ]
	works
}

tap_main "$@"
