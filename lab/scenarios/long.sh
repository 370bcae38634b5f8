# under load for minutes: rules replaced, servers drained, daemons restarted, directors failed over; every loss explained
# needs: keepalived socat unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../ha.sh
. "$lab/ha.sh"

# Programs of ours that stay, as "HOST COMMAND...": each runs all the time on its host (not director2, which is a new one after
# each death) and has to have no more files open and hardly more memory at the end than when everything had happened once.
# A drain that has to wait is one on rs2, which is also a director: a client is bound to the server there.
stays=(
    "director ipvsadm-rs top --interval 1 --count 1000000"
    "rs2 ipvsadm-rs -e -t $rs2_ip:9 -r $rs2_ip:7 -m -w 0 --drain=100000 --force"
)

active=director standby=director2 cycles=0 replaced=0 drained=0 restarted=0 failed_over=0
windows=()

milliseconds() { now=$((${EPOCHREALTIME/[.,]/} / 1000)); }

# --- what happens ----------------------------------------------------------------------------------------------------

# The recipe's rules and 200 more, these with weights that differ from time to time.
replace_rules() {
    local host weight
    for weight in 5 7; do
        {
            cat "$state/director.files/etc/keepalived/ipvsadm.rules"
            awk -v weight=$weight 'BEGIN {
                for (i = 1; i <= 40; i++) {
                    print "-A -t 10.0.0." i ":80 -s rr"
                    for (j = 1; j <= 4; j++) print "-a -t 10.0.0." i ":80 -r 10.0.1." j ":80 -m -w " weight
                }
            }'
        } >"$state/rules"
        for host in "$active" "$standby"; do typed "$host" ipvsadm-rs -R --replace --file "$state/rules"; done
        replaced=$((replaced + 2))
    done
}

# Weight 0, wait until no client is served by it any more, delete, add again: on both directors, as they are to be the same.
# ActiveConn does not show it: what a failover has cut off stays in there until it times out, a quarter of an hour later. But
# the client makes one connection after the other, so when three more have ended none to this server is open.
drain() { # RIP WEIGHT
    local host ended
    for host in "$active" "$standby"; do typed "$host" ipvsadm-rs -e -t "$vip:80" -r "$1" -g -w 0; done
    answered 0 || :
    ended=$((served + lost))
    wait_for 60 "the last connections of $1" answered $((ended + 3)) || stopped "the client does not get on"
    for host in "$active" "$standby"; do typed "$host" ipvsadm-rs -d -t "$vip:80" -r "$1"; done
    for host in "$active" "$standby"; do typed "$host" ipvsadm-rs -a -t "$vip:80" -r "$1" -g -w "$2"; done
    drained=$((drained + 1))
}

# Neither the daemons of synchronisation nor the keepalived without the VIP are needed for a request.
restart_daemons() {
    local host role
    for host in "$active" "$standby"; do
        role=backup
        [[ $host == "$standby" ]] || role=master
        typed "$host" ipvsadm-rs --stop-daemon $role
        typed "$host" ipvsadm-rs --start-daemon $role --mcast-interface eth0 --syncid 1
    done
    # shellcheck disable=SC2016  # the inner shell's
    typed "$standby" sh -c 'kill $(cat /run/keepalived.pid)'
    wait_for 60 "keepalived's end on $standby" no_keepalived "$standby"
    keepalived "$standby"
    wait_for 60 "keepalived on $standby" daemon_runs "$standby" backup
    restarted=$((restarted + 3))
}

no_keepalived() { # HOST
    on "$1" test ! -e /run/keepalived.pid
}

# The one event that may cost requests, and when: from the death until ten seconds after the other has the VIP, which is the
# longest that a request waits before it is given up.
fail_over() {
    local died
    wait_for 60 "the conversation to be known to $standby" knows_again "$standby" || stopped "$standby receives nothing"
    milliseconds
    died=$now
    crash "$active"
    wait_for 40 "$standby to take the VIP" is_master "$standby" || stopped "$standby does not take the VIP"
    milliseconds
    note "$standby has the VIP and its role after $((now - died)) ms"
    windows+=("$died $((now + 10000))")
    say 60
    master=$standby
    standby=$active active=$master
    if [[ $standby == director ]]; then recover; else reboot "$standby"; fi
    failed_over=$((failed_over + 1))
}

# The first director keeps its table and what runs there, and only loses keepalived and the wire.
recover() {
    on director sh -c "rm /run/vrrp.pid /run/keepalived.pid; ip addr del $vip/32 dev eth0; ip link set eth0 up; ip route replace default via 30.30.30.254"
    note "director is on the wire again:"
    boot director
}

# --- the load --------------------------------------------------------------------------------------------------------

load() {
    local command=(curl -sS -m 10 -H 'Connection: close' "http://$vip/?[1-10000000]")
    prompt client "${command[@]}"
    : >"$state/load"
    : >"$state/load.trouble"
    mkfifo "$state/trouble.pipe"
    while IFS= read -r line; do
        milliseconds
        printf '%s %s\n' "$now" "$line"
    done <"$state/trouble.pipe" >>"$state/load.trouble" 3>&- 9>&- &
    start_on client "${command[@]}" >>"$state/load" 2>"$state/trouble.pipe"
    loader=$started
    wait_for 60 "the client's first answers" answered 20
}

stop_load() {
    kill "$loader"
    wait "$loader" 2>/dev/null || :
    answered 0 || :
}

# Losses within a window, and the others.
every_loss_explained() {
    local when what window explained=0 odd=""
    while read -r when what; do
        for window in "${windows[@]}"; do
            if ((when >= ${window% *} && when <= ${window#* })); then
                explained=$((explained + 1))
                continue 2
            fi
        done
        odd+="lost at $when: $what"$'\n'
    done <"$state/load.trouble"
    evidence="$served requests answered, $lost lost, $explained of these within $failed_over failovers"$'\n'$odd
    [[ -z $odd ]] && ((served > 0))
}

answers_make_sense() {
    evidence=$(sort "$state/load" | uniq -c)
    [[ -n $evidence ]] && ! grep -v -x -q -F -e "$rs1_name" -e "$rs2_name" "$state/load"
}

vip_moved_only_then() {
    local taken
    taken=$(cat "$state"/*.keepalived | grep -c 'Entering MASTER STATE') || :
    evidence="taken $taken times, for one start and $failed_over deaths"
    ((taken == failed_over + 1))
}

# --- programs that stay ----------------------------------------------------------------------------------------------

# Once when all has happened once, since first times may cost; and at the end.
measure() { # MOMENT
    local i files key kilobytes
    for i in "${!stays[@]}"; do
        [[ -d /proc/${stay_pids[i]}/fd ]] || stopped "${stays[i]} has ended"
        files=(/proc/"${stay_pids[i]}"/fd/*)
        while read -r key kilobytes _; do [[ $key != VmRSS: ]] || break; done <"/proc/${stay_pids[i]}/status"
        declare -g "$1_files_$i=${#files[@]}" "$1_memory_$i=$kilobytes"
    done
}

# As many files open as before, and no more memory than before and a quarter of that: allocators take it by the page.
no_growth() { # INDEX
    local files_before=first_files_$1 files_after=last_files_$1 memory_before=first_memory_$1 memory_after=last_memory_$1
    evidence="open files ${!files_before}, later ${!files_after}; resident ${!memory_before} kB, later ${!memory_after} kB"
    ((${!files_after} <= ${!files_before} && ${!memory_after} <= ${!memory_before} * 5 / 4))
}

# --- and now ---------------------------------------------------------------------------------------------------------

two_directors
typed rs2 ipvsadm-rs -A -t "$rs2_ip:9" -s rr -p 100000
typed rs2 ipvsadm-rs -a -t "$rs2_ip:9" -r "$rs2_ip:7" -m
typed rs2 sh -c "echo | socat - TCP:$rs2_ip:9"
stay_pids=()
for program in "${stays[@]}"; do
    read -r -a words <<<"$program"
    prompt "${words[@]}"
    start_on "${words[@]}" >/dev/null 2>>"$state/stays.trouble"
    stay_pids+=("$started")
done
talk_begins
for _ in 1 2 3 4; do say 10; done
load
end=$((SECONDS + ${LAB_LONG_SECONDS:-600}))
while ((cycles == 0 || SECONDS < end)); do
    replace_rules
    drain "$rs1_ip" 1
    restart_daemons
    drain "$rs2_ip" 3
    say 20
    fail_over
    cycles=$((cycles + 1))
    ((cycles > 1)) || measure first
done
say 20
# The last failover has to be over for all requests.
milliseconds
((now > ${windows[-1]#* })) || sleep $(((${windows[-1]#* } - now) / 1000 + 1))
stop_load
measure last

heading "$cycles rounds"
note "rules replaced $replaced times, servers drained $drained, daemons restarted $restarted, directors failed over $failed_over"
prove "every lost request is explained by a failover" every_loss_explained
prove "every answer is a real server's" answers_make_sense
prove "the VIP moved only when a director died" vip_moved_only_then
prove "one TCP connection lasted all the time: every line came back, from the same server" talk_goes_on
for i in "${!stays[@]}"; do
    prove "${stays[i]}: neither open files nor memory grew" no_growth "$i"
done
talk_ends
