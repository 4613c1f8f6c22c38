#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# nexusctl as a user sees it, against the test server; and what mount.nexusfs
# says before it needs a kernel. Prints TAP.
# usage: cli.sh NEXUSCTL TEST-SERVER MOUNT.NEXUSFS
set -u

ctl=$1
server=$2
mount=$3
dir=$(mktemp -d)
out=$dir/out
err=$dir/err
n=0
bad=0
NEXUS_SOCKET=$dir/s
export NEXUS_SOCKET

# expect NAME STATUS PATTERN-OF-STDOUT PATTERN-OF-STDERR ARGUMENT...
# An empty pattern means: no output at all.
expect() {
	name=$1 want=$2 wantout=$3 wanterr=$4
	shift 4
	n=$((n + 1))
	"$ctl" "$@" >"$out" 2>"$err"
	status=$?
	why=
	[ "$status" = "$want" ] || why="exit status $status, not $want"
	for pair in "$out:$wantout" "$err:$wanterr"; do
		file=${pair%%:*} pattern=${pair#*:}
		if [ -z "$pattern" ] && [ -s "$file" ]; then
			why="$why; unexpected output: $(head -n 1 "$file")"
		elif [ -n "$pattern" ] && ! grep -q -e "$pattern" "$file"; then
			why="$why; no '$pattern' in: $(head -n 1 "$file")"
		fi
	done
	if [ "$want" != 0 ] && [ "$want" != 3 ] && [ "$#" != 0 ] && [ "$(wc -l <"$err")" != 1 ]; then
		why="$why; not one line of error"
	fi
	if [ -z "$why" ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name # $why"
		bad=1
	fi
}

# json NAME EXPRESSION ARGUMENT...: true of the parsed output d
json() {
	name=$1 expression=$2
	shift 2
	n=$((n + 1))
	if "$ctl" --json "$@" 2>"$err" |
	   python3 -c "import json,sys; d = json.load(sys.stdin); sys.exit(0 if ($expression) else 1)"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		bad=1
	fi
}

expect "status without a helper" 1 "does not answer" "systemctl start nexusd" status
expect "status --json without a helper" 1 '"helper": null' "systemctl start nexusd" status --json
expect "version without a helper" 0 "does not answer" "" version
expect "zone list without a helper" 1 "" "not running" zone list
expect "zone list --json without a helper" 1 "" "not running" zone list --json

mkfifo "$dir/ready"
"$server" "$NEXUS_SOCKET" >"$dir/ready" &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid"; rm -rf "$dir"; exit $bad' EXIT
read -r _ <"$dir/ready"

expect "status" 0 "running, pid" "" status
json "status --json" "d['helper']['link'] == 'live' and d['module']['loaded'] in (True, False)" status
expect "status, what is not there" 0 "profile:     lite, degraded, 3 bricks missing" "" status
expect "boot" 0 "profile lite, services are being started, so far 1234.567 ms" "" boot
json "boot --json" "d['running'] and [s['stage'] for s in d['steps']] == ['driver', 'store', 'service', 'brick'] and d['steps'][0]['tier'] is None and d['steps'][2] == {'stage': 'service', 'name': 'eventlog', 'tier': 'degraded', 'outcome': 'failed', 'reason': 'größe \"x\"', 'at_us': 10, 'took_us': 2**64 - 1}" boot
expect "profile show" 0 "^ipc  *on  */etc/x.yaml:3  *event_bus not here: rpc_grpc,more" "" profile show
expect "profile show, needs" 0 "^skills  *off  *needs permissions" "" profile show
json "profile show --json" "d['profile'] == 'full' and d['bricks'][2] == {'name': 'ipc', 'what': 'messages', 'on': True, 'why': 'setting', 'by': '/etc/x.yaml:3', 'missing': False, 'services': ['event_bus'], 'absent': ['rpc_grpc', 'more']} and d['bricks'][0]['by'] is None" profile show full
expect "profile show of none" 1 "" 'there is no profile "big"' profile show big
expect "profile of no verb" 2 "" "unknown command" profile lite
expect "boot of something" 2 "" "one argument too many" boot now
expect "no zones" 0 "" "no zones" zone list
json "no zones as JSON" "d == []" zone list
expect "create" 0 "zone root created" "" zone create root
expect "create again" 1 "" "zone root exists" zone create root
json "create in a store" "d['store'] == 's3://b/p' and d['lsn']['tail'] == 1 << 40" \
	zone create far --store s3://b/p --region eu --option a=b
expect "list" 0 "^root *idle" "" zone list
json "list as JSON" "[z['name'] for z in d] == ['root', 'far']" zone list
expect "info" 0 "^uuid: *10111213-1415-1617" "" zone info root
expect "info of none" 1 "" "there is no zone nope" zone info nope
expect "upgrade" 0 "zone root has format 2" "" zone upgrade root
expect "stats" 0 '^nexus_requests_total{queue="0"} 18446744073709551615$' "" stats
json "stats as JSON" "d[0]['labels']['kind'] == 'a \"quoted\"\\\\\\n' and d[2]['value'] == 2" stats
expect "stats for Prometheus" 0 "^# TYPE nexus_zones gauge" "" stats --prometheus
n=$((n + 1))
if [ "$(grep -c '^# HELP nexus_requests_total' "$out")" = 1 ]; then
	echo "ok $n - one head for each name"
else
	echo "not ok $n - one head for each name"
	bad=1
fi
expect "packs" 0 "^2 *sealed *1048576 *103 *50 *50  abab" "" pack list packs
json "packs as JSON" "[p['state'] for p in d] == ['open', 'sealed', 'spare'] and d[0]['hash'] is None and d[1]['percent'] == 50" pack list packs
expect "packs of a zone that is not mounted" 1 "" "there is no zone nope" pack list nope
expect "verify" 3 "^inode 20, offset 1099511627776: block 7 of pack 2 is damaged" "" pack verify packs
n=$((n + 1))
if "$ctl" --json pack verify packs 1 2 2>"$err" |
   python3 -c "import json,sys; d = json.load(sys.stdin); sys.exit(d['problems'][0]['block'] != 7 or d['packs'] != 6 or d['blocks'] != 3000)"; then
	echo "ok $n - verify as JSON"
else
	echo "not ok $n - verify as JSON"
	bad=1
fi
expect "verify a zone that is not mounted" 1 "" "there is no zone nope" pack verify nope
expect "uploads" 0 "^to put: .* 3 packs, 3145728 MiB, the oldest for 17 s" "" upload status packs
expect "what uploads say is wrong" 0 "^error: .*pack 7 cannot be given to s3" "" upload status packs
expect "what the store says" 0 "^store says: the bucket does not exist" "" upload status packs
json "uploads as JSON" "d['packs'] == 3 and d['store']['circuit'] == 'half-open' and d['zone'] == 'packs'" upload status packs
expect "flush, until nothing is left" 0 "" "" flush packs
expect "uploads after that" 0 "^to put: .* 0 packs.*" "" upload status packs
expect "uploads of a zone that is not mounted" 1 "" "zone nope is not mounted" upload status nope
expect "flush of it" 1 "" "zone nope is not mounted" flush nope
expect "gc" 3 "^leaked packs/0000000000000007 1099511627776" "" gc --dry-run packs
expect "gc, what is foreign" 3 '^foreign a.x0ab 3' "" gc packs --dry-run
expect "gc, sums" 3 "^leaked: *2 objects, 1073741824 KiB; gc --run deletes them" "" gc --dry-run packs
expect "gc that did not end well" 1 "^deleted: *1 objects" "not looked through to the end: another owner" gc --run packs
json "gc as JSON" "d['listed']['objects'] == 10 and [o['what'] for o in d['objects']] == ['leaked', 'missing', 'foreign'] and d['missing']['objects'] == 1 and not d['run']" gc --dry-run packs
expect "gc, neither" 2 "" "one of --dry-run and --run" gc packs
expect "gc, both" 2 "" "one of --dry-run and --run" gc --run --dry-run packs
expect "gc of a zone that is not mounted" 1 "" "zone nope is not mounted" gc --dry-run nope
expect "--run for something else" 2 "" "only for gc" flush --run packs
expect "scrub" 0 "^running: begun .*, 77 blocks read, 3 without a checksum, 0 problems" "" scrub start packs
expect "scrub twice" 1 "" "being scrubbed already" scrub start packs
expect "what scrubs found" 3 "^last: begun .*ended .*, 2 problems" "" scrub status packs
expect "end of a scrub" 0 "^next: 20" "" scrub stop packs
expect "no scrub" 1 "" "is not being scrubbed" scrub stop packs
n=$((n + 1))
if "$ctl" --json scrub status packs 2>"$err" |
   python3 -c "import json,sys; d = json.load(sys.stdin); sys.exit(d['running'] or d['last']['problems'] != 2 or d['due'] != 1800000000 or d['zone'] != 'packs')"; then
	echo "ok $n - scrub as JSON"
else
	echo "not ok $n - scrub as JSON"
	bad=1
fi
expect "scrub of a zone that is not mounted" 1 "" "zone nope is not mounted" scrub status nope
expect "no services" 0 "" "no services" service list
json "no services as JSON" "d == []" service list
expect "graph of nothing" 0 "" "no services" service graph
expect "load, none of that name" 1 "" "there is no service nope" service load nope
expect "load, nothing named" 2 "" "missing argument" service load
expect "load" 0 "^service echo loaded$" "" service load chat echo
expect "load again" 1 "" "service chat is loaded already" service load chat echo
expect "services" 0 "^echo  *1.0  *quarantined  *1099511627776  *2  *2$" "" service list
json "services as JSON" "[s['name'] for s in d] == ['echo', 'chat'] and d[0]['holders'][1] == 'somebody \"else\"' and d[1]['needs'] == [{'protocol': 'nexus.echo', 'min_version': 3}] and d[1]['reason'] is None" service list
expect "service info" 0 "^held by:   service chat$" "" service info echo
json "service info as JSON" "len(d) == 1 and d[0]['state'] == 'quarantined' and d[0]['calls_running'] == 1" service info echo
expect "service info of none" 1 "" "service nope is not loaded" service info nope
expect "service info of none as JSON" 1 "" "service nope is not loaded" --json service info nope
expect "graph" 0 "^  -> echo (nexus.echo, version 3 at least)$" "" service graph
json "graph as JSON" "d == {'services': ['echo', 'chat'], 'edges': [{'from': 'chat', 'to': 'echo', 'protocol': 'nexus.echo', 'min_version': 3}]}" service graph
expect "swap" 0 "^service echo swapped$" "" service swap echo
json "swap as JSON" "d == {'swapped': ['echo']}" service swap echo
expect "unload what is in use" 1 "" "service chat needs nexus.echo" service unload echo
expect "unload" 0 "^service chat unloaded$" "" service unload chat
expect "unload again" 1 "" "service chat is not loaded" service unload chat
expect "swap none" 1 "" "is not loaded" service swap echo
expect "version" 0 "1.2.3-test, channel 4, format 5" "" version
json "version as JSON" "d['helper']['abi'] == 4 and d['tool']" version
expect "help" 0 "exit status" "" help
expect "--help" 0 "exit status" "" --help
expect "--version" 0 "^nexusctl:" "" --version
expect "--socket" 1 "" "nothing listens on /no/such" --socket /no/such zone list

expect "no command" 2 "" "usage"
expect "unknown command" 2 "" "unknown command frob" frob
expect "unknown zone command" 2 "" "unknown command frob" zone frob
expect "unknown pack command" 2 "" "unknown command frob" pack frob
expect "no number of a pack" 2 "" '"x" is no number' pack verify packs 1 x
expect "number 0 of a pack" 2 "" '"0" is no number' pack verify packs 0
expect "unknown option" 2 "" "unknown option --frob" --frob
expect "option without a value" 2 "" "missing after --socket" --socket
expect "argument missing" 2 "" "missing argument" zone create
expect "argument too many" 2 "" "one argument too many: b" zone info a b
expect "store of a list" 2 "" "only for zone create" zone list --store x
expect "option without =" 2 "" "KEY=VALUE" zone create a -o b
expect "option twice" 2 "" "given twice" zone create a -o b=1 -o b=2
expect "prometheus of a status" 2 "" "only for stats" status --prometheus
expect "two formats" 2 "" "only one of" stats --json --prometheus
expect "name not in UTF-8" 1 "" "not valid UTF-8" zone create "$(printf 'a\377')"
expect "empty name" 1 "" "1 to 63" zone create ''

n=$((n + 1))
"$ctl" zone list >/dev/full 2>"$err"
if [ $? = 1 ] && grep -q "No space" "$err"; then
	echo "ok $n - a full disk is an error"
else
	echo "not ok $n - a full disk is an error"
	bad=1
fi

ctl=$mount
expect "mount: nothing" 1 "" "usage:" -v
expect "mount: too much" 1 "" "usage:" a b c
expect "mount: unknown letter" 1 "" "usage:" -x root "$dir"
expect "mount: empty zone" 1 "" "names no zone" "" "$dir"
expect "mount: session without zone" 1 "" "names no zone" default: "$dir"
expect "mount: a path" 1 "" "mounts a zone by its name" /dev/sda "$dir"
expect "mount: no directory" 32 "" "No such file" root "$dir/none"
expect "mount: on a file" 32 "" "is not a directory" root "$out"
# Not where modprobe would find one: nothing is loaded into this machine.
if ! grep -q nexusfs /proc/filesystems && ! PATH=$PATH:/sbin:/usr/sbin modprobe -n nexusfs 2>/dev/null; then
	expect "mount: no module" 2 "" "the kernel does not know nexusfs and" root "$dir"
fi
expect "mount: pretend" 0 "" "" -f root "$dir" -o defaults,noauto,grace=5
echo "1..$n"
