# What the scenarios about clusters in the wild are written with: what works must raise no alarm, and of what is broken the
# doctor names the cause first, and what it prints helps. Sourced by them.
# shellcheck shell=bash

# shellcheck source=doctor.sh
. "$lab/doctor.sh"

sysctl() { typed "$1" busybox sysctl -w "${@:2}"; } # HOST KEY=VALUE...

# A cluster as `build` makes it, with a table whose servers all have this method, and an /etc in which nothing is saved.
cluster() { # MODE METHOD [PORT]
    build "$1"
    typed director ipvsadm-rs -A -t "$vip:80" -s rr
    typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" "$2"
    typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" "$2"
}

traffic_stops() {
    fetch_few "http://$vip/?"{1..4}
    evidence=$tally
    ((${#answers[@]} < 4))
}

no_alarm() { # WARNING...
    local warnings=" $* " id
    evidence=""
    for id in "${failed[@]}"; do evidence+="FAIL $id: ${found_fact[$id]:-}"$'\n'; done
    for id in "${warned[@]}"; do
        [[ $warnings == *" $id "* ]] || evidence+="WARN $id: ${found_fact[$id]:-}"$'\n'
    done
    [[ -z $evidence ]]
}

row() { heading "$*"; what=$1; }

# works: the cluster serves clients; OPTION... are the doctor's, WARNING... the checks that warn with reason.
works() { # HOST [OPTION...] [-- WARNING...]
    local host=$1 options=()
    shift
    while (($#)) && [[ $1 != -- ]]; do options+=("$1"); shift; done
    [[ ${1:-} != -- ]] || shift
    prove "$what: it works" traffic_flows
    examined "$host" "${options[@]}"
    prove "  the doctor on $host raises no alarm" no_alarm "$@"
}

cause_is() { # ID
    evidence="first: ${named[0]:-nothing}: ${found_fact[${named[0]:-none}]:-}"
    [[ ${named[0]:-} == "$1" ]]
}

# broken: the cluster does not serve all clients, and the doctor's first finding is the cause; what it prints is typed.
broken() { # HOST ID [OPTION...]
    local host=$1 id=$2
    shift 2
    prove "$what: it is broken" traffic_stops
    examined "$host" "$@"
    prove "  the first finding on $host is $id" cause_is "$id"
    prove "  the fix it prints can be typed" fixed "$id"
    prove "  traffic flows" traffic_flows
    examined "$host" "$@"
    prove "  $id is well now" not_named "$id"
}

# The same where a person has to decide: FIX... is what the advice amounts to.
broken_with_advice() { # HOST ID [OPTION...] -- FIX...
    local host=$1 id=$2 options=()
    shift 2
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    prove "$what: it is broken" traffic_stops
    examined "$host" "${options[@]}"
    prove "  the first finding on $host is $id" cause_is "$id"
    note "advice: ${found_advice[$id]:-none}"
    prove "  there is advice and no command" is_advice "$id"
    "$@"
    prove "  traffic flows when it is followed" traffic_flows
}

# The same where one fix is not enough, as each server needs its own.
broken_until_all_fixed() { # HOST ID
    prove "$what: it is broken" traffic_stops
    examined "$1"
    prove "  the first finding on $1 is $2" cause_is "$2"
    local _
    for _ in 1 2; do
        fixed "$2" || stopped "$evidence"
        examined "$1"
        [[ " ${named[*]} " == *" $2 "* ]] || break
    done
    prove "  traffic flows when what it prints was typed" traffic_flows
}

is_advice() { evidence="" && [[ -n ${found_advice[$1]:-} && -z ${found_fix[$1]:-} ]]; }

not_named() {
    evidence="${found_fact[$1]:-}"
    [[ " ${named[*]} " != *" $1 "* ]]
}

# Real servers by hand, as scripts of the field do it: the VIP on an interface, and ARP kept quiet.
by_hand() { # HOST
    typed "$1" ip addr add "$vip/32" dev lo
    sysctl "$1" net.ipv4.conf.{all,lo}.arp_ignore=1 net.ipv4.conf.{all,lo}.arp_announce=2
}

# A port of the host's own that no rule lets clients to.
guard() { # HOST ADDRESS
    mkdir -p "$state/www/guarded"
    echo guarded >"$state/www/guarded/index.html"
    start_on "$1" busybox httpd -f -c /dev/null -p "$2:81" -h "$state/www/guarded"
    guarded=$1
    wait_for 60 "the guarded port" listens "$1" "$started" 81
}
still_closed() { # ADDRESS
    evidence="port 81 of $guarded stays closed"
    ! on client busybox timeout 2 busybox wget -q -O - "http://$1:81/" >/dev/null 2>&1
}

# The last fix was typed with this program.
typed_by() { # PROGRAM
    evidence=$last_fix
    [[ $last_fix == "$1 "* || $last_fix == *"&& $1 "* ]]
}
