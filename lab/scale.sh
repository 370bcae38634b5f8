# A cluster of several directors behind a router that spreads the VIP over them, as docs/scale-out.md has it. Sourced by the
# scenarios about it.
# shellcheck shell=bash

# shellcheck source=ha.sh
. "$lab/ha.sh"
document=$lab/../docs/scale-out.md

directors=(director director2 director3)
# The last one is in no rules file.
servers=(rs{1..11})
hosts=(client router "${directors[@]}" "${servers[@]}")

# What lab/connections.rs becomes.
connections=${lab%/*}/target/lab-connections

# Where the client connects to, and how many connections last.
held=1000
client_port=7

# All hosts have addresses of both families; the VIP, and what is typed, is of one: IPv4, unless the scenario says `family=6`.
family=${family:-4}
vip4=$vip
host_length=32 networks=30.30.30.
if ((family == 6)); then vip=$vip6 client_ip=$client_ip6 host_length=128 networks=2001:db8:30::; fi

# An address as it stands before a port.
at() { if ((family == 6)); then printf '[%s]' "$1"; else printf '%s' "$1"; fi; } # ADDRESS
service=$(at "$vip"):$client_port

declare -A host_number=([client]=10 [router]=254 [director]=20 [director2]=21 [director3]=22)
for server in "${servers[@]}"; do host_number[$server]=$((100 + ${server#rs})); done

address() { printf '%s%d' "$networks" "${host_number[$1]}"; } # HOST

# Its addresses of both families, and the way to the client, for `ip -batch`.
addresses() { # HOST
    printf 'addr add %s%d/%d dev eth0\n' 30.30.30. "${host_number[$1]}" 24 2001:db8:30:: "${host_number[$1]}" 64
    [[ $1 == router ]] || printf 'route add default via %s254\n' 30.30.30. 2001:db8:30::
}

# Puts a file of the document on a host, in the family that the VIP is of.
put_file() { # HOST PATH [MODE]
    put "$1" ecmp "${@:2}"
    in_family "$state/$1.files$2"
}
in_family() { # FILE
    ((family == 6)) || return 0
    sed -i -e "s|$vip4/32|$vip/128|; s|$vip4:|$(at "$vip"):|" \
        -e 's|30\.30\.30\.\([0-9]*\)|2001:db8:30::\1|; s|^\( *\)ipv4\>|\1ipv6|' "$1"
}

# The cable from a host to the switch, for `ip -batch`.
wire() { # HOST
    printf 'link add name eth0 address 02:00:00:00:00:%02x netns lab-%s type veth peer name %s netns lab-switch\n' \
        "${host_number[$1]}" "$1" "$1"
}

# The client, the router, three directors that have the VIP on lo, and ten real servers.
build_scale() {
    local host
    destroy
    {
        for host in "${hosts[@]}" switch; do echo "netns add lab-$host"; done
        echo "link add name eth0 netns lab-client type veth peer name eth1 netns lab-router"
        for host in router "${directors[@]}" "${servers[@]}"; do wire "$host"; done
    } | ip -batch -
    {
        echo "link add name br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        for host in router "${directors[@]}" "${servers[@]}"; do echo "link set $host master br0 up"; done
        echo "link set br0 up"
    } | ip -n lab-switch -batch -
    {
        up
        echo "addr add 40.40.40.10/24 dev eth0"
        echo "addr add $client_ip6/64 dev eth0"
        echo "route add default via 40.40.40.254"
        echo "route add default via 2001:db8:40::254"
    } | configure client
    # Which next hop a flow takes is decided by its addresses and ports.
    {
        up
        echo "link set eth1 up"
        echo "addr add 40.40.40.254/24 dev eth1"
        echo "addr add 2001:db8:40::254/64 dev eth1"
        addresses router
    } | configure router ipv4/ip_forward=1 ipv4/conf/{eth0,eth1}/rp_filter=0 ipv6/conf/{all/forwarding=1,eth1/accept_dad=0} \
        ipv{4,6}/fib_multipath_hash_policy=1
    for host in "${directors[@]}"; do
        director_starts "$host"
    done
    for host in "${servers[@]}"; do
        {
            up
            addresses "$host"
            echo "addr add $vip/$host_length dev lo"
        } | configure "$host" "${arp_silent[@]}"
        start_on "$host" "$connections" serve "$host" "$client_port"
        echo_servers[$host]=$started
    done
    for host in "${servers[@]}"; do
        wait_for 60 "the echo server of $host" listens "$host" "${echo_servers[$host]}" "$client_port"
    done
}
declare -A echo_servers=()

# A machine that boots: a new network namespace on the old wire, the settings, the VIP, and no rules yet.
director_starts() { # HOST
    {
        up
        addresses "$1"
        echo "addr add $vip/$host_length dev lo"
    } | configure "$1"
    own_files "$1"
    put_file "$1" /etc/bird/settings.conf
    put_file "$1" /etc/bird/ipvsadm.rules
    put_file "$1" /etc/bird/bird.conf
    put_file "$1" /etc/bird/gate 755
}

# What a director does when it boots, with its rules from a file.
boots() { # HOST RULES
    typed "$1" busybox sysctl -p /etc/bird/settings.conf
    typed "$1" ipvsadm-rs -R --replace --file "$2"
    announces "$1"
}

# As if the power went and came back: its cable is dead at once, and whatever it knew is gone.
restart_machine() { # HOST
    local process
    for process in /proc/[0-9]*; do
        [[ ! $process/ns/net -ef /run/netns/lab-$1 ]] || kill -9 "${process#/proc/}" 2>/dev/null || :
    done
    umount "$state/$1.mounts"
    rm "$state/$1.mounts"
    # Not left to the namespace's end: its sockets, which still say farewell, keep it for minutes.
    ip -n lab-switch link del "$1"
    ip netns del "lab-$1"
    { echo "netns add lab-$1"; wire "$1"; } | ip -batch -
    ip -n lab-switch link set "$1" master br0 up
    director_starts "$1"
}

# All machines share a processor here: what keeps time comes first.
bird=(chrt -f 1 bird)

announces() { # HOST: BIRD and the gate run
    typed "$1" "${bird[@]}"
    start_on "$1" /etc/bird/gate >/dev/null 2>&1
    disown "$started"
}

# The router: BIRD hears from the directors; what it has heard becomes the members of a group of next hops. BIRD has no
# resilient groups, so that is the lab's: a director that goes leaves its buckets to the others, and no other bucket moves.
router_runs() {
    local host
    own_files router
    {
        printf '%s\n' 'router id 30.30.30.254;' 'protocol device {}' \
            'protocol bfd { interface "eth0" { interval 300 ms; multiplier 5; }; }'
        for host in "${directors[@]}"; do
            printf 'protocol bgp %s { local as 65000; neighbor %s as 65001; bfd; connect delay time 1; connect retry time 1; error wait time 1, 2; ipv%d { import all; export none; }; }\n' \
                "$host" "$(address "$host")" "$family"
        done
    } >"$state/router.files/etc/bird/bird.conf"
    typed router "${bird[@]}"
    for host in "${directors[@]}"; do
        echo "nexthop add id ${host_number[$host]} via $(address "$host") dev eth0"
    done | on router ip -batch -
    router_group resilient
}

# Makes the group one of this kind.
router_group() { # resilient|hash-threshold
    if [[ ${group:-} ]]; then
        kill "$next_hops"
        on router ip nexthop del id 1000
    fi
    group=$1
    start_on router "$BASH" "$lab/next-hops" "$vip/$host_length" "$group" >"$state/router.members" 2>&1
    next_hops=$started
    disown "$next_hops"
}

# The members of the group as the router has them now, as the last byte of their addresses: "20 21 22".
members() { tail -n 1 "$state/router.members"; }
members_are() { # HOST...
    local host want=()
    for host; do want+=("${host_number[$host]}"); done
    evidence="the router's next hops: $(members)"
    [[ $(members) == *": ${want[*]}" ]]
}

# --- clients ---------------------------------------------------------------------------------------------------------

hold_begins() {
    rm -f "$state/hold"
    mkfifo "$state/hold"
    : >"$state/held"
    prompt client connections hold "$vip" "$client_port" "$held"
    start_on client sh -c 'exec "$1" hold "$2" "$3" "$4" <"$5" >>"$6" 2>&1' sh \
        "$connections" "$vip" "$client_port" "$held" "$state/hold" "$state/held"
    holder=$started answers_seen=0
    exec {hold}>"$state/hold"
    await_answer
    prove "the client has $held connections" answer_is "done opened $held of $held"
}

# Waits for the next answer of the client, which is then in $answer, with the lines before it in $answer_lines.
await_answer() {
    wait_for 120 "the client's connections" has_answers $((answers_seen + 1)) || stopped "$(tail -n 3 "$state/held")"
    answers_seen=$((answers_seen + 1))
    answer=$(grep '^done ' "$state/held" | tail -n 1)
    note "$answer"
}
has_answers() { (($(grep -c '^done ' "$state/held" || :) >= $1)); }
answer_is() { evidence=$answer; [[ $answer == "$1" ]]; }

# Every connection that lives says a line.
all_say() { # SECONDS
    echo "say $1" >&"$hold"
    await_answer
}

none_lost() { evidence=$answer; [[ $answer == *" lost 0 of "* ]]; }
lost_are() { evidence=$answer; [[ $answer == *" lost $1 of "* ]]; }

# SOURCE-PORT SERVER alive|REASON, a line each, in a file.
list_held() { # FILE
    echo list >&"$hold"
    wait_for 60 "the list of connections" has_answers $((answers_seen + 1)) || stopped "no list of connections"
    answers_seen=$((answers_seen + 1))
    awk '/^done/ { if ($2 != "list") n = 0; next } { line[n++] = $0 } END { for (i = 0; i < n; i++) print line[i] }' \
        "$state/held" | tail -n "$held" >"$1"
}

hold_ends() {
    kill "$holder"
    wait "$holder" 2>/dev/null || :
    exec {hold}>&-
}

fresh_begins() { # PER-SECOND
    rm -f "$state/fresh"
    mkfifo "$state/fresh"
    prompt client connections fresh "$vip" "$client_port" "$1"
    start_on client sh -c 'exec "$1" fresh "$2" "$3" "$4" <"$5" >"$6" 2>&1' sh \
        "$connections" "$vip" "$client_port" "$1" "$state/fresh" "$state/freshly"
    fresher=$started
    exec {fresh}>"$state/fresh"
}

fresh_ends() {
    echo end >&"$fresh"
    exec {fresh}>&-
    wait "$fresher" 2>/dev/null || :
    answer=$(<"$state/freshly")
    note "$answer"
}

none_failed() { evidence=$answer; [[ $answer == [1-9]*" new connections, 0 failed, "* ]]; }
