# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For parts that run programs which print TAP: builds them, runs as many at once as there
# are processors, and counts.  Sourced in the repository's directory.
#
#	build_with DIR SANITIZERS TARGET...	into a build folder of the part's own
#	program NAME COMMAND...			begins it; its output is in $logs/NAME.log
#	programs_end				waits for all: passed, failed and skipped grow
#	part_end				the summary, and the status of the part
passed=0 failed=0 skipped=0
logs=build/check/${0##*/}
programs_at_once=$(nproc)
program_limit=900	# seconds
program_names=() program_pids=()
rm -rf "$logs"
mkdir -p "$logs"

# 0 when it is built; else the compiler's words, and status 1.
build_with() {
	if [ ! -f "$1/build.ninja" ]; then
		mkdir -p "$(dirname "$1")"
		# -O1: what the sanitizers' makers advise, and a third less for the compiler to do.
		# It then warns of formats because it knows less; the usual build warns of those.
		meson setup "$1" -Db_sanitize="$2" -Db_lundef=false -Doptimization=1 -Ddebug=true \
			-Dc_args=-Wno-format-truncation -Dwerror=true > "$logs/setup.log" 2>&1 || { cat "$logs/setup.log"; return 1; }
	fi
	ninja -C "$1" --quiet "${@:3}" || { echo "not ok - build of $1" && return 1; }
}

# Runs it and says what it counted; the three numbers are its last line's, for programs_end.
program_run() {
	local name=$1 begun=$SECONDS log=$logs/$1.log status ok bad skip
	shift
	mkdir -p "${log%/*}"
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "$program_limit" "$@" > "$log" 2>&1 < /dev/null
	status=$?
	# cmocka calls a skipped test "not ok N # SKIP".
	skip=$(grep -cE '^(not )?ok .*# SKIP' "$log")
	ok=$(grep '^ok ' "$log" | grep -vc '# SKIP')
	bad=$(grep '^not ok ' "$log" | grep -vc '# SKIP')
	{
		flock 9
		if [ "$bad" != 0 ] || { [ "$status" != 0 ] && [ "$status" != 77 ]; } || [ $((ok + skip)) = 0 ]; then
			tail -n 60 "$log" | sed 's/^/#   /'
			echo "$name: status $status; what failed:"
			# Each behind what it said of itself, however long ago; scripts/check takes that.
			awk -v name="$name" '
				function flush() { if (test) print own test; test = own = "" }
				/^(not )?ok / { flush() }
				/^not ok / && !/# SKIP/ { sub(/^not ok [0-9]*/, "not ok - " name ":"); test = $0; next }
				/^#/ && test && lines[test]++ < 12 { own = own $0 "\n" }
				END { flush() }' "$log"
		fi
		if [ "$status" = 77 ]; then	# it skips itself as a whole
			skip=$((skip + 1))
		elif [ "$bad" = 0 ] && { [ "$status" != 0 ] || [ $((ok + skip)) = 0 ]; }; then
			bad=1
			echo "not ok - $name: status $status, $ok passed"
		fi
		grep -E '^# (seed|[0-9]+ (of|threads)|.* at once over )' "$log"
		echo "$name: $ok passed, $bad failed, $skip skipped ($((SECONDS - begun)) s)"
	} 9> "$logs/lock"
	echo "$ok $bad $skip" > "$log.count"
}

# How many still run; the part may have other jobs.
programs_running() {
	local pid n=0
	for pid in "${program_pids[@]}"; do
		! kill -0 "$pid" 2> /dev/null || n=$((n + 1))
	done
	echo $n
}

program() {
	while [ "$(programs_running)" -ge "$programs_at_once" ]; do
		sleep 0.1
	done
	program_names+=("$1")
	program_run "$@" &
	program_pids+=($!)
}

programs_end() {
	local name ok bad skip
	[ ${#program_pids[@]} = 0 ] || wait "${program_pids[@]}"
	for name in "${program_names[@]}"; do
		ok=0 bad=1 skip=0	# there is no such file only if its process died
		read -r ok bad skip < "$logs/$name.log.count" || echo "not ok - $name: no result"
		passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	done
	program_names=() program_pids=()
}

part_end() {
	echo "PART: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
