# SPDX-License-Identifier: Apache-2.0
# bash completion for nexusctl
# shellcheck shell=bash

_nexusctl_zones() {
	nexusctl "${socket[@]}" zone list 2>/dev/null | sed '1d; s/ .*//'
}

_nexusctl_services() {
	nexusctl "${socket[@]}" service list 2>/dev/null | sed '1d; s/ .*//'
}

_nexusctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local words=() socket=() i word

	# The words that are not options, and the socket if one is named.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket)
			socket=(--socket "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			;;
		--ca | --cert | --key)
			socket+=("$word" "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			;;
		--endpoint)
			[ ${#words[@]} != 0 ] || socket+=(--endpoint "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			;;
		--capacity | --mode | --max-bytes | --max-age | --from | --filter | --count | --data | --store | --option | -o | --region | --profile | --data-dir | --config | --wait | --timeout | --name | --ttl | --holders | --id | --limit | --fact | --condition | --at-least | --after | --owner | --state | --generation | --priority | --executor | --once | --deadline | --service)
			i=$((i + 1))
			;;
		-*) ;;
		*) words+=("$word") ;;
		esac
	done

	case $prev in
	--socket | --config | --ca | --cert | --key)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--data-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -W 'unknown connected idle suspended queued running completed failed cancelled' -- "$cur")
		return
		;;
	--priority)
		mapfile -t COMPREPLY < <(compgen -W 'critical high normal low best_effort' -- "$cur")
		return
		;;
	--store)
		mapfile -t COMPREPLY < <(compgen -W 'localdisk s3://' -- "$cur")
		return
		;;
	--capacity | --mode | --filter | --count | --data | --option | -o | --endpoint | --region | --profile | --wait | --timeout | --fact | --condition | --at-least | --after | --owner | --generation | --executor | --once | --deadline | --service)
		return
		;;
	esac

	local choices
	case "${words[*]}" in
	'') choices='status boot profile zone pack upload flush gc refresh warm du scrub service agent cache events rebac namespace sched mount quota pipe stream lock lease dump load stats version help --socket --endpoint --ca --cert --key --json --help --version' ;;
	profile) choices='show' ;;
	'profile show') choices='none embedded lite full cloud --socket --json' ;;
	zone) choices='create list info upgrade restore' ;;
	'zone create') choices='--store --option --endpoint --region --profile --socket --json' ;;
	'zone create '*) choices='--store --option --endpoint --region --profile --socket --json' ;;
	'zone info' | 'zone upgrade') choices="$(_nexusctl_zones) --socket --json" ;;
	'zone restore'*) choices='--option --endpoint --region --profile --take-over --unfenced --data-dir --config --json' ;;
	pack) choices='list verify compact evict' ;;
	upload) choices='status' ;;
	gc) choices="$(_nexusctl_zones) --dry-run --run --socket --json" ;;
	'upload status' | flush) choices="$(_nexusctl_zones) --socket --json" ;;
	warm | 'warm '*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--recursive --json' -- "$cur")
		return
		;;
	du | 'du '*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--cached --json' -- "$cur")
		return
		;;
	refresh)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	scrub) choices='status start stop' ;;
	'scrub status' | 'scrub start' | 'scrub stop') choices="$(_nexusctl_zones) --socket --json" ;;
	'pack compact') choices="$(_nexusctl_zones) --all --socket --json" ;;
	'pack compact '*) choices='--all --socket --json' ;;
	'pack evict') choices="$(_nexusctl_zones) --socket --json" ;;
	service) choices='load unload swap list info graph' ;;
	rebac) choices='policy write delete check explain expand list state' ;;
	'rebac policy'*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	'rebac write'*) choices='--ttl --condition --socket --json' ;;
	'rebac delete'* | 'rebac state') choices='--socket --json' ;;
	'rebac check'* | 'rebac explain'*) choices='--fact --at-least --socket --json' ;;
	'rebac expand'*) choices='--limit --fact --at-least --socket --json' ;;
	'rebac list'*) choices='--limit --after --fact --at-least --socket --json' ;;
	mount) choices='attach detach list save' ;;
	'mount attach' | 'mount detach')
		mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -W 's3:// --lazy --socket --json' -- "$cur")
		return
		;;
	'mount attach '* | 'mount detach '*)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -W '--lazy --socket --json' -- "$cur")
		return
		;;
	namespace) choices='check explain filter list state' ;;
	'namespace filter' | 'namespace list') choices="$(_nexusctl_zones) --owner --socket --json" ;;
	'namespace list '*) choices='--owner --limit --after --socket --json' ;;
	'namespace check'* | 'namespace explain'* | 'namespace filter '*) choices='--owner --socket --json' ;;
	sched) choices='submit claim renew done fail cancel get list state' ;;
	'sched submit'*) choices='--data --priority --owner --executor --once --deadline --service --socket --json' ;;
	'sched claim'*) choices='--executor --ttl --raw --socket --json' ;;
	'sched renew'*) choices='--ttl --socket --json' ;;
	'sched cancel'*) choices='--owner --socket --json' ;;
	'sched get'*) choices='--raw --socket --json' ;;
	'sched list'*) choices='--owner --state --limit --after --socket --json' ;;
	agent) choices='add get set beat list remove state' ;;
	'agent add'*) choices='--owner --name --data --socket --json' ;;
	'agent set '*) choices='connected idle suspended --generation --socket --json' ;;
	'agent list'*) choices='--owner --state --limit --after --socket --json' ;;
	'agent remove'*) choices='--generation --socket --json' ;;
	'service unload'* | 'service swap' | 'service info') choices="$(_nexusctl_services) --socket --json" ;;
	cache) choices='get set delete clear state' ;;
	'cache set') choices='--ttl --socket --json' ;;
	events) choices='publish tail replay state truncate' ;;
	'events publish '*) choices='write delete rename metadata dir_create dir_delete conflict copy mount unmount --data --durable --socket --json' ;;
	'events publish') choices="$(_nexusctl_zones) --data --durable --socket --json" ;;
	'events tail') choices='--from --filter --count --wait --socket --json' ;;
	'events replay') choices='--from --filter --count --raw --socket --json' ;;
	'pack list' | 'pack verify') choices="$(_nexusctl_zones) --data-dir --config --wait --socket --json" ;;
	quota) choices='list get set clear' ;;
	'quota set') choices="$(_nexusctl_zones) --user --group --project --zone --blocks --inodes --grace --socket" ;;
	'quota set '*) choices='--user --group --project --zone --blocks --inodes --grace --socket' ;;
	'quota list' | 'quota get' | 'quota clear') choices="$(_nexusctl_zones) --user --group --project --zone --socket --json" ;;
	'quota list '* | 'quota get '* | 'quota clear '*) choices='--user --group --project --zone --socket --json' ;;
	lease) choices='acquire extend release info check break list run' ;;
	'lease list'*)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -W '--limit --json' -- "$cur")
		return
		;;
	'lease run'*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--name --ttl --holders --id --timeout --' -- "$cur")
		return
		;;
	'lease acquire'*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--name --ttl --holders --id --timeout --json' -- "$cur")
		return
		;;
	'lease '*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--id --ttl --json' -- "$cur")
		return
		;;
	lock*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--shared --exclusive --timeout --json --' -- "$cur")
		return
		;;
	pipe) choices='create list stat peek close send recv' ;;
	'pipe create')
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--capacity --mode' -- "$cur")
		return
		;;
	'pipe list')
		mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -W '--recursive --json' -- "$cur")
		return
		;;
	'pipe stat' | 'pipe peek' | 'pipe close' | 'pipe send' | 'pipe recv')
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--json' -- "$cur")
		return
		;;
	stream) choices='create append tail stat trim' ;;
	'stream create')
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--persist --max-bytes --max-age --mode' -- "$cur")
		return
		;;
	'stream tail')
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--follow --from --json' -- "$cur")
		return
		;;
	'stream append' | 'stream stat' | 'stream trim')
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--json' -- "$cur")
		return
		;;
	dump | load) choices="$(_nexusctl_zones) --data-dir --config --wait --json" ;;
	'dump '* | 'load '*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"; compgen -W '--data-dir --config --wait --json' -- "$cur")
		return
		;;
	stats) choices='--json --prometheus --socket' ;;
	*) choices='--socket --json' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}

complete -F _nexusctl nexusctl
