# three directors behind a router that spreads the VIP: one dies, is drained, joins, and no connection is lost
# needs: bird=bird2 birdc=bird2 unshare=util-linux chrt=util-linux
# shellcheck shell=bash

# shellcheck source=../scale.sh
. "$lab/scale.sh"
# shellcheck source=../doctor.sh
. "$lab/doctor.sh"

build_scale
router_runs
for host in "${directors[@]}"; do boots "$host" /etc/bird/ipvsadm.rules; done
wait_for 60 "three directors" members_are "${directors[@]}" || :
prove "the router has three next hops" members_are "${directors[@]}"

heading "Connections that last, and new ones"
hold_begins
all_say 20
prove "all are heard" none_lost

# The port and the server of every connection that a director has, as the kernel lists them.
connections_of() { # HOST
    on "$1" ipvsadm-rs -Lnc | awk -v client="$(at "$client_ip"):" -v virtual="$service" '
        $5 == virtual && index($4, client) == 1 { print substr($4, length(client) + 1), $6 }' | sort
}

shared_by_all() {
    local host number
    evidence=""
    for host in "${directors[@]}"; do
        number=$(connections_of "$host" | wc -l)
        evidence+="$host: $number connections"$'\n'
        ((number > held / 10)) || return 1
    done
}
prove "every director has its share" shared_by_all

# The doctor on a director, which compares with another one. Its warnings are in $named.
doctor_on() { # HOST PEER
    on "$2" ipvsadm-rs -L --json >"$state/$2.json"
    examined "$1" --peer "$state/$2.json" --rules /etc/bird/ipvsadm.rules
}
for host in "${directors[@]}"; do
    other=director
    [[ $host != director ]] || other=director3
    doctor_on "$host" "$other"
    prove "the doctor finds nothing wrong on $host" all_green
    prove "it is seen as one of several" seen_as "director and scale-out"
    prove "what routers do is a reminder" noted S6
done

cut() { # HOST: as if its cable were pulled
    began=$EPOCHREALTIME
    typed "$1" ip link set eth0 down
}

# How long the router took to notice.
noticed() { # HOST...: the members that are left
    members_are "$@" || return 1
    local at
    read -r at _ < <(tail -n 1 "$state/router.members")
    evidence+=$'\n'$(awk -v from="$began" -v to="${at%:}" 'BEGIN { printf "noticed %.2f s later", to - from }')
}

heading "director2 dies"
fresh_begins 20
cut director2
wait_for 30 "the router to notice" members_are director director3 || :
prove "the router sends nothing to it any more" noticed director director3
all_say 20
prove "no connection is lost" none_lost
fresh_ends
prove "no new connection failed" none_failed

heading "director2 comes back, with the servers in the order of another director"
restart_machine director2
typed director sh -c "ipvsadm-rs -S -n --all >$state/peer.rules"
fresh_begins 20
boots director2 "$state/peer.rules"
wait_for 60 "three directors" members_are "${directors[@]}" || :
prove "the router sends its share to it" members_are "${directors[@]}"
same_digest() {
    local host
    evidence=$(for host in "${directors[@]}"; do printf '%s: %s\n' "$host" "$(on "$host" ipvsadm-rs where --digest -t "$service")"; done)
    [[ $(sed 's/^[^:]*: //' <<<"$evidence" | sort -u | wc -l) -eq 1 ]]
}
prove "its slots are those of the others" same_digest
all_say 20
all_say 20
prove "no connection is lost" none_lost
prove "it has connections now" shared_by_all
fresh_ends
prove "no new connection failed" none_failed

heading "director3 is drained, while requests are in flight"
# As docs/scale-out.md has it: so long after the drain began nothing comes any more.
hold_seconds=10
packets_of() { # HOST: that came in for the service, so far
    on "$1" ipvsadm-rs -Ln --stats --exact -t "$service" | awk '$1 == "TCP" { print $4 }'
}
fresh_begins 20
began=$EPOCHREALTIME
typed director3 touch /run/drain
until_held=$((SECONDS + hold_seconds))
# Without a pause, from the drain's first moment to the end of the hold time.
while ((SECONDS < until_held)); do
    all_say 20
    [[ $answer == *" lost 0 of "* ]] || break
done
prove "no request in flight is lost" none_lost
prove "the router has two next hops" noticed director director2
# The kernel adds its counters up every two seconds.
sleep 3
packets_before=$(packets_of director3)
all_say 20
prove "no connection is lost" none_lost
sleep 3
nothing_came() {
    evidence="packets for the service on $1: $packets_before, and $(packets_of "$1") after every connection has said a line"
    [[ $packets_before == [1-9]* && $(packets_of "$1") == "$packets_before" ]]
}
prove "nothing comes to director3 after $hold_seconds seconds" nothing_came director3
typed director3 ipvsadm-rs -C
all_say 20
prove "and without a table there no connection is lost" none_lost
fresh_ends
prove "no new connection failed" none_failed
typed director3 ipvsadm-rs -R --replace --file /etc/bird/ipvsadm.rules
typed director3 rm /run/drain
wait_for 30 "three directors" members_are "${directors[@]}" || :
prove "and then it is back" members_are "${directors[@]}"
all_say 20
prove "no connection is lost" none_lost

heading "A way with a smaller MTU to the client"
typed router ip link set eth1 mtu 1300
echo "say 30 large" >&"$hold"
await_answer
prove "20,000 bytes of each connection arrive" none_lost
told_mtu() {
    evidence=$(for host in "${servers[@]:0:10}"; do printf '%s: %s\n' "$host" "$(on "$host" ip route get "$client_ip" from "$vip" | grep -o 'mtu 1300')"; done)
    [[ $(grep -c 'mtu 1300' <<<"$evidence") -eq 10 ]]
}
prove "every server was told" told_mtu
typed router ip link set eth1 mtu 1500
hold_ends

heading "A server is drained and another added while director dies"
# The clients of rs10 have ended; those of other servers stay. What can be left is of a connection that a director saw begin
# and that went on by another one: its entry stays until it times out.
changed_everywhere() {
    local host
    for host in "${directors[@]}"; do
        typed "$host" ipvsadm-rs -d -t "$service" -r "$(at "$(address rs10)"):$client_port" --drain=5 --force
        typed "$host" ipvsadm-rs -a -t "$service" -r "$(at "$(address rs11)"):$client_port" -g -w 10
    done
}

# Every director restarts, with rules from a file, and the client opens its connections.
restart_all() { # RULES
    restart_directors "$1"
    hold_begins
}
restart_directors() { # RULES
    local host
    for host in "${directors[@]}"; do restart_machine "$host"; done
    for host in "${directors[@]}"; do boots "$host" "$1"; done
    wait_for 60 "three directors" members_are "${directors[@]}" || stopped "the directors do not come back"
    # A bucket without traffic moves to a member that has too few, and then no connection moves.
    wait_for 30 "the buckets to be shared" buckets_are_shared || stopped "the buckets are not shared"
}

buckets_are_shared() {
    local host buckets
    [[ $group == resilient ]] || return 0
    for host in "${directors[@]}"; do
        buckets=$(on router ip nexthop bucket show id 1000 | grep -c " nhid ${host_number[$host]} " || :)
        ((buckets >= 85)) || return 1
    done
}

# What each director has, and which server it would choose for every client that it does not have yet.
foreseen() {
    local host
    list_held "$state/originally"
    for host in "${directors[@]}"; do
        connections_of "$host" >"$state/$host.before"
        awk -v client="$(at "$client_ip")" '{ print client ":" $1 }' "$state/originally" |
            on "$host" ipvsadm-rs where - -t "$service" >"$state/$host.where"
    done
}

# The connections that came to another director, for which that one chose another server: by what was asked before.
foreseen_losses() { # HOST...: the directors that are left
    local host
    for host; do
        connections_of "$host" | awk '{ print $1 }' >"$state/$host.after"
        awk -v servers="$networks" '
            FILENAME == ARGV[1] { had[$1] = 1; next }
            FILENAME == ARGV[2] {
                gsub(/[][]/, "")
                match($1, /:[0-9]+$/); port = substr($1, RSTART + 1)
                match($2, /:[0-9]+$/); chosen[port] = substr($2, 1, RSTART - 1)
                next
            }
            FILENAME == ARGV[3] { original[$1] = servers (100 + substr($2, 3)); lives[$1] = $3 == "alive"; next }
            !had[$1] && lives[$1] && chosen[$1] != original[$1]' \
            "$state/$host.before" "$state/$host.where" "$state/originally" "$state/$host.after"
    done | sort -u | wc -l
}

# Those that did not end by the client's own will, since they were opened.
lost_so_far() {
    tr -d '"{})' <<<"${answer#*all so far: }" | awk -v RS=',' -F ':' '$1 !~ /ended/ { number += $2 } END { print number + 0 }'
}

any_foreseen() {
    evidence="lost: $(lost_so_far)"
    [[ $evidence != "lost: 0" ]]
}

lost_as_foreseen() { # HOST...
    local number host moved lost
    # A connection can move after its line came back.
    all_say 20
    lost=$(lost_so_far)
    number=$(foreseen_losses "$@")
    moved=$(for host; do comm -13 "$state/$host.before" <(connections_of "$host"); done | wc -l)
    evidence="$answer; moved: $moved, foreseen: $number"
    ((lost == number))
}

# Cuts a director off, once what all of them would do is noted.
is_cut() { # HOST OTHER...
    foreseen
    cut "$1"
    wait_for 30 "the router to notice" members_are "${@:2}" || :
    all_say 20
}

typed director ipvsadm-rs -S -n --file "$state/rules"
restart_all "$state/rules"
echo "close rs10" >&"$hold"
await_answer
all_say 20
changed_everywhere
prove "the directors choose alike" same_digest
is_cut director director2 director3
prove "as many connections are lost as where says" lost_as_foreseen director2 director3
resilient_losses=$(foreseen_losses director2 director3)
hold_ends

heading "The same with a group of next hops that is not resilient"
router_group hash-threshold
restart_all "$state/rules"
echo "close rs10" >&"$hold"
await_answer
all_say 20
changed_everywhere
is_cut director director2 director3
prove "as many connections are lost as where says" lost_as_foreseen director2 director3
more_lost() {
    local number
    number=$(foreseen_losses director2 director3)
    evidence="lost: $number, and $resilient_losses with a resilient group"
    ((number > resilient_losses))
}
prove "these are more" more_lost
router_group resilient
hold_ends

heading "Without sloppy_tcp"
restart_all "$state/rules"
for host in "${directors[@]}"; do typed "$host" busybox sysctl -w net.ipv4.vs.sloppy_tcp=0; done
doctor_on director3 director
prove "the doctor says it before" names S1
all_say 20
is_cut director2 director director3
# One that another director has, too, has moved before, and its last way is not known.
all_of_director2_lost() {
    local all alone lost
    all=$(wc -l <"$state/director2.before")
    alone=$(comm -23 "$state/director2.before" <(sort "$state/director.before" "$state/director3.before") | wc -l)
    lost=${answer#* lost }
    evidence="$answer; director2 had $all, $alone of them alone"
    ((${lost%% *} >= alone && ${lost%% *} <= all))
}
prove "all connections of director2 are lost" all_of_director2_lost
hold_ends

heading "With the scheduler rr"
sed 's/-s mh .*/-s rr/' "$state/rules" >"$state/rr.rules"
restart_all "$state/rr.rules"
doctor_on director3 director
prove "the doctor says it before" names S4
connections_of director2 >"$state/director2.before"
cut director2
wait_for 30 "the router to notice" members_are director director3 || :
all_say 20
most_of_director2_lost() {
    local number lost
    number=$(wc -l <"$state/director2.before")
    lost=${answer#* lost }
    evidence="$answer; director2 had $number"
    ((${lost%% *} > number / 2))
}
prove "most connections of director2 are lost" most_of_director2_lost
hold_ends

heading "With the servers in another order on director3"
# With large weights that differ the order decides about many slots.
awk '/^-a/ { sub(/ -w [0-9]+/, ""); $0 = $0 " -w " 500 + number++ } { print }' "$state/rules" >"$state/weights.rules"
restart_directors "$state/weights.rules"
restart_machine director3
{ grep -v '^-a' "$state/weights.rules"; grep '^-a' "$state/weights.rules" | tac; } >"$state/other.rules"
boots director3 "$state/other.rules"
typed director3 ipvsadm-rs -C
typed director3 sh -c "ipvsadm-rs -R <$state/other.rules"
wait_for 60 "three directors" members_are "${directors[@]}" || :
wait_for 30 "the buckets to be shared" buckets_are_shared || :
same_rules() {
    evidence=$(on director3 ipvsadm-rs diff "$state/weights.rules")
}
prove "the rules are the same" same_rules
other_digest() { ! same_digest; }
prove "the digests are not" other_digest
doctor_on director3 director
prove "the doctor says it before" names S5
hold_begins
is_cut director2 director director3
prove "as many connections are lost as where says" lost_as_foreseen director director3
prove "that is some" any_foreseen
hold_ends
