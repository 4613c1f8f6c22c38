#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Documentation/examples: every sender with every receiver, and all at once; leases.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"
top=$(cd "$here/../.." && pwd -P)
examples=$top/Documentation/examples
libnexus=${NEXUS_LIBNEXUS:-$top/build/userspace/userspace/libnexus}
work=$dir/examples

need() {
	need_nexus
	rm -rf "$work"
	mkdir "$work"
	cd "$work"
	nexusctl pipe create jobs
}

# build NAME: an example in C.
build() {
	command -v gcc > /dev/null || skip "no gcc"
	[ -x "/tmp/examples/$1" ] && return
	mkdir -p /tmp/examples
	gcc -Werror -Wall -O1 -o "/tmp/examples/$1" "$examples/$1.c" -I "$top/include/uapi" \
		-I "$top/userspace/libnexus/include" -L "$libnexus" -lnexus
}

# sender, receiver KIND
sender() {
	case $1 in
	shell) while read -r line; do printf %s "$line" >&5; done 5> ./jobs ;;
	c) LD_LIBRARY_PATH=$libnexus /tmp/examples/ring-send jobs ;;
	python) python3 "$examples/ring-send.py" jobs ;;
	esac
}

receiver() {
	case $1 in
	shell) while nexusctl pipe recv jobs 2> /dev/null; do echo; done ;;
	c) LD_LIBRARY_PATH=$libnexus /tmp/examples/ring-recv jobs ;;
	python) LD_LIBRARY_PATH=$libnexus python3 "$examples/ring-recv.py" jobs ;;
	esac
}

# pair SENDER RECEIVER: each line arrives, in order.
pair() {
	need
	build ring-send
	build ring-recv
	seq 1 3000 > "$tap_tmp/lines"
	sender "$1" < "$tap_tmp/lines" &
	timeout 100 bash -c "$(declare -f receiver); $(declare -p examples libnexus); receiver $2" > "$tap_tmp/got"
	wait $!
	diff "$tap_tmp/lines" "$tap_tmp/got"
}

test_shell_lines() {
	need
	{ echo build; echo test; } > ./jobs &
	[ "$(timeout 100 cat jobs)" = "build
test" ]
	wait $!
}

test_c_to_c() { pair c c; }
test_c_to_python() { pair c python; }
test_python_to_c() { pair python c; }
test_python_to_python() { pair python python; }
test_shell_to_c() { pair shell c; }

readers() { nexusctl --json pipe stat jobs | grep -q "\"readers\": $1,"; }

# Senders and receivers of every kind at one ring: each line goes to one of them.
test_all_at_once() {
	need
	local kind pids=()
	build ring-send
	build ring-recv
	exec 9<> ./jobs
	for kind in c python; do
		receiver $kind > "$tap_tmp/got.$kind" 9<&- &
		pids+=($!)
	done
	# One that comes when all senders are gone would wait for others.
	until_true 100 readers 3
	for kind in c python shell; do
		seq -f "$kind %g" 1 1000 | sender $kind 9<&- &
		pids+=($!)
	done
	# The last three send; what keeps the ring open goes when they are done.
	wait "${pids[@]:2}"
	exec 9<&-
	wait "${pids[@]:0:2}"
	cat "$tap_tmp"/got.* | sort > "$tap_tmp/got"
	for kind in c python shell; do seq -f "$kind %g" 1 1000; done | sort | diff - "$tap_tmp/got"
}

add() {
	case $1 in
	shell)
		local id n
		for n in $(seq "$2"); do
			read -r id _ < <(nexusctl lease acquire count --name "shell $n" --ttl 60)
			echo $(($(cat count) + 1)) > count
			nexusctl lease release count --id "$id"
		done
		;;
	c) LD_LIBRARY_PATH=$libnexus /tmp/examples/lease-add count "$2" ;;
	python) LD_LIBRARY_PATH=$libnexus python3 "$examples/lease-add.py" count "$2" ;;
	esac
}

# One number, and none that is added is lost.
test_leases() {
	need
	local kind pids=()
	build lease-add
	echo 0 > count
	for kind in c python c python; do
		add $kind 150 &
		pids+=($!)
	done
	add shell 15
	for kind in "${pids[@]}"; do wait "$kind"; done
	[ "$(cat count)" = 615 ]
	[ "$(nexusctl lease info count)" = free ]
}

# What the page says about compiling them is what pkg-config says.
test_page() {
	local name
	for name in "$examples"/*.[cp]*; do
		grep -qF "(${name##*/})" "$examples/README.md"
	done
}

tap_cleanup() { rm -rf "$work"; }
tap_main "$@"
