# What the scenarios about the doctor are written with: a cluster in which nothing is left to be desired, faults, fixes.
# Sourced by them.
# shellcheck shell=bash

rules=/etc/ipvsadm.rules

# All hosts share a copy of this machine's /etc: what they save there is gone with the lab.
own_etc() {
    local copy=${state:?}/etc
    rm -rf "$copy"
    # What an ordinary user may not read, no scenario needs.
    cp -a /etc "$copy" 2>/dev/null || [[ -r $copy/nsswitch.conf ]]
    rm -rf "$copy/sysctl.d" "$copy/sysctl.conf"
    mkdir -p "$copy/sysctl.d" "$copy/systemd/system"
    cp "$lab/../dist/systemd/ipvsadm-rs-realserver@.service" "$copy/systemd/system"
    mount --bind "$copy" /etc
    trap 'umount -l /etc' EXIT
}

# As an administrator leaves a cluster that is meant to last: saved, and ready for the next boot.
well_kept() { # METHOD
    local reals=("$rs1_ip" "$rs2_ip") at=$vip
    [[ $vip != *:* ]] || reals=("[$rs1_ip6]:80" "[$rs2_ip6]:80") at="[$vip]"
    typed director ipvsadm-rs -A -t "$at:80" -s wrr
    typed director ipvsadm-rs -a -t "$at:80" -r "${reals[0]}" "$1" -w 1
    typed director ipvsadm-rs -a -t "$at:80" -r "${reals[1]}" "$1" -w 3
    typed director ipvsadm-rs --set 7300 0 0
    saved
}

saved() { typed director ipvsadm-rs -S -n --file "$rules"; }

# Runs the doctor. The worst state is in $health then, the checks that are not green in $named, and what is said of these
# in the arrays below.
declare -A found_fact found_fix found_machine found_advice
examined() { # HOST OPTION...
    local line lines key value id="" bad="" status=0
    examiner=$1
    shift
    prompt "$examiner" ipvsadm-rs doctor "$@" "$vip"
    # By way of a file: what comes through a pipe bash reads byte by byte, which takes longer than all the rest.
    on "$examiner" ipvsadm-rs doctor --json --pretty "$@" "$vip" >"$state/report" || status=$?
    mapfile -t lines <"$state/report"
    [[ $status -le 2 && ${lines[0]:-} == '{' ]] || stopped "exit status $status of ipvsadm-rs doctor on $examiner"
    found_fact=() found_fix=() found_machine=() found_advice=() named=() failed=() warned=() skipped=() notes=() health=""
    for line in "${lines[@]}"; do
        [[ $line =~ ^\ +\"([a-z]+)\":\ \"(.*)\",?$ ]] || continue
        key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
        value=${value//\\\"/\"} value=${value//\\\\/\\}
        case $key in
            id) id=$value bad="" ;;
            state)
                [[ $id ]] || health=$value
                # If several things are wrong with one, the first is fixed first.
                case $value in
                    note) notes+=("$id") ;;
                    skip) skipped+=("$id") ;;
                    fail) [[ -z $id || " ${failed[*]} " == *" $id "* ]] || failed+=("$id") ;;
                    warn) [[ -z $id || " ${warned[*]} " == *" $id "* ]] || warned+=("$id") ;;
                esac
                if [[ $id && $value =~ ^(fail|warn)$ && -z ${found_fact[$id]:-} ]]; then bad=yes named+=("$id"); fi
                ;;
            fact) [[ -z $bad ]] || found_fact[$id]=$value ;;
            fix) [[ -z $bad ]] || found_fix[$id]=$value ;;
            machine) [[ -z $bad ]] || found_machine[$id]=$value ;;
            advice) [[ -z $bad ]] || found_advice[$id]=$value ;;
        esac
    done
    [[ ${#named[@]} -eq 0 ]] || note "named: ${named[*]}"
}

# The doctor names this check.
names() { # ID
    evidence="$1: ${found_fact[$1]:-nothing}"
    [[ ${#named[@]} -le 1 ]] || evidence+=" (named: ${named[*]})"
    [[ " ${named[*]} " == *" $1 "* ]]
}

all_green() {
    evidence=""
    local id
    for id in "${named[@]}"; do evidence+="$id: ${found_fact[$id]:-}"$'\n'; done
    # What is so on purpose is in $but.
    [[ $health == ok || ${named[*]} == "${but:-}" ]]
}

is_skipped() { # ID
    evidence="" && [[ " ${skipped[*]} " == *" $1 "* && " ${named[*]} " != *" $1 "* ]]
}

# What the report's first lines say that the host is.
seen_as() { # WORDS
    evidence=$(on "$examiner" ipvsadm-rs doctor "$vip" | sed -n 2p)
    [[ $evidence == *": $1: "* ]]
}

# The doctor says this of the check, and neither warns nor fails.
noted() { # ID
    evidence="$1: note"
    [[ " ${notes[*]} " == *" $1 "* && " ${named[*]} " != *" $1 "* ]]
}

# Types what the doctor said, on the host that it named.
fixed() { # ID
    local host=$examiner command=${found_fix[$1]:-}
    case ${found_machine[$1]:-} in
        "") ;;
        "$rs1_ip") host=rs1 ;;
        "$rs2_ip") host=rs2 ;;
        *) host="" ;;
    esac
    [[ -n $command && -n $host ]] || { evidence="no command for $1"; return 1; }
    evidence="$host# $command" last_fix=$command
    typed "$host" sh -c "$command"
}

traffic_flows() {
    local at=$vip
    [[ $vip != *:* ]] || at="[$vip]"
    fetch_few "http://$at/?"{1..4}
    evidence=$tally
    ((${#answers[@]} == 4))
}

# fault ID WHAT HOST OPTION...: the fault has been made; the doctor on HOST must name the check, what it says must fix it.
fault() {
    named_and_fixed "$@"
    prove "  traffic flows" traffic_flows
}

named_and_fixed() { # as fault
    local id=$1 what=$2 host=$3
    shift 3
    examined "$host" "$@"
    prove "$what: the doctor on $host names $id" names "$id"
    prove "  the fix it prints can be typed" fixed "$id"
    examined "$host" "$@"
    prove "  all is green again" all_green
}

# The same where no command can fix it: FIX... is what the advice amounts to.
fault_with_advice() { # ID WHAT HOST OPTION -- FIX...
    local id=$1 what=$2 host=$3 options=()
    shift 3
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    examined "$host" "${options[@]}"
    prove "$what: the doctor on $host names $id" names "$id"
    evidence=""
    note "advice: ${found_advice[$id]:-none}"
    [[ -n ${found_advice[$id]:-} ]] || stopped "no advice for $id"
    "$@"
    examined "$host" "${options[@]}"
    prove "  all is green when it is followed" all_green
    prove "  traffic flows" traffic_flows
}
