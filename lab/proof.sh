# What scenarios are written with: typing commands on hosts, watching the wire, and claims that are proved or fail.
# Sourced by lab/inside.
# shellcheck shell=bash

# --- showing ---------------------------------------------------------------------------------------------------------
# File descriptor 3 is the transcript: the reader's terminal, or with --test a file that is printed only if a claim fails.

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain" >&3; }
note() { printf '  %s\n' "$@" >&3; }

# Shows a command as one would type it on a host.
prompt() { # HOST COMMAND...
    local word line=""
    for word in "${@:2}"; do
        [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
        line+=" $word"
    done
    printf '%s#%s%s%s\n' "$1" "$bold" "$line" "$plain" >&3
}

# Runs a command on a host, shown, with what it says; that stays in $said for claims about it. It has to succeed.
typed() { # HOST COMMAND...
    local status=0
    prompt "$@"
    said=$(on "$@" 2>&1) || status=$?
    [[ -z $said ]] || printf '%s\n' "$said" >&3
    ((status == 0)) || stopped "exit status $status of $1# ${*:2}"
}

# --- claims ----------------------------------------------------------------------------------------------------------

# prove CLAIM CONDITION...: the status of CONDITION, a command, decides. It leaves what it saw, a line or more, in
# $evidence: a verdict that cannot be checked is worth little.
prove() {
    local claim=$1 word="${green}ok${plain}  " line
    shift
    evidence=""
    if ! "$@"; then
        word="${red}FAIL${plain}"
        printf '%s: %s\n' "$scenario" "$claim" >>"$state/failures"
    fi
    printf '  %s  %s\n' "$word" "$claim"
    while IFS= read -r line; do
        [[ -z $line ]] || printf '          %s\n' "$line"
    done <<<"$evidence"
}

# Polls a condition: no wait without a limit, none longer than it has to be.
wait_for() { # SECONDS WHAT CONDITION...
    local limit=$((SECONDS + $1)) seconds=$1 what=$2
    shift 2
    until "$@"; do
        if ((SECONDS >= limit)); then
            note "($seconds seconds were not enough for $what)"
            return 1
        fi
        sleep 0.05
    done
}

# Proves what comes within this time.
prove_within() { # SECONDS WHAT TEXT CONDITION...
    wait_for "$1" "$2" "${@:4}" || :
    prove "${@:3}"
}

# --- the client ------------------------------------------------------------------------------------------------------

# Fetches URLs (curl expands [1-20]), each over a connection of its own. The answers are in the array answers.
fetch() { # URL...
    answers_to curl -sS --fail-early -m 5 -H 'Connection: close' "$@"
}

# The same of a few pages, by a program that starts in a fifth of curl's time.
fetch_few() { # URL...
    # Not its own -T, which makes it end in a segmentation fault if there are several.
    answers_to busybox timeout 10 busybox wget -q -O - "$@"
}

answers_to() { # COMMAND...: which prints a line for each answer
    local answer trouble
    prompt client "$@"
    # If it goes wrong the number of answers says so to the proofs, and the command's words to the reader.
    on client "$@" >"$state/answers" 2>"$state/trouble" || :
    trouble=$(<"$state/trouble")
    [[ -z $trouble ]] || note "$trouble"
    mapfile -t answers <"$state/answers"
    from_rs1=0 from_rs2=0
    for answer in "${answers[@]}"; do
        case $answer in
            "$rs1_name") from_rs1=$((from_rs1 + 1)) ;;
            "$rs2_name") from_rs2=$((from_rs2 + 1)) ;;
        esac
    done
    [[ ${#answers[@]} -eq 0 ]] || printf '  %-10s %-10s %-10s %s\n' "${answers[@]}" >&3
    tally="${#answers[@]} answers: $from_rs1 from $rs1_name, $from_rs2 from $rs2_name"
    note "$tally"
}

# The client fetches without a pause, one connection after the other, until load_ends.
load_begins() { # URL
    prompt client curl -sS -m 5 -H 'Connection: close' "$1?[1-1000000]"
    : >"$state/load"
    : >"$state/load.trouble"
    start_on client curl -sS -m 5 -H 'Connection: close' "$1?[1-1000000]" >>"$state/load" 2>>"$state/load.trouble"
    load=$started
    wait_for 60 "the client's first answers" answered 5
}

# At least a few more requests come after what was done in that time.
load_ends() {
    local before
    answered 0 || :
    before=$((served + lost))
    wait_for 60 "the client's last requests" answered $((before + 5))
    kill "$load"
    wait "$load" 2>/dev/null || :
    answered 0 || :
    evidence="$served requests answered, $lost lost"
    note "$evidence"
}

answered() { # NUMBER: at least this many requests have ended, one way or the other
    local lines
    mapfile -t lines <"$state/load"
    served=${#lines[@]}
    mapfile -t lines <"$state/load.trouble"
    lost=${#lines[@]}
    ((served + lost >= $1))
}

no_request_lost() {
    evidence="$served requests answered, $lost lost"
    ((served > 0 && lost == 0))
}

requests_lost() {
    evidence="$served requests answered, $lost lost"$'\n'$(sort "$state/load.trouble" | sed 's/ after [0-9]* ms//' | uniq -c | head -3)
    ((lost > 0))
}

differs_by() { # FILE LINES
    evidence=$(on director ipvsadm-rs diff "$1") || :
    [[ $(wc -l <<<"$evidence") -eq $2 ]]
}

answers_are_not() { # FROM_RS1 FROM_RS2
    ! answers_are "$@"
}

all_answers_from_one() {
    evidence=$tally
    ((${#answers[@]} == $1 && (from_rs1 == $1 || from_rs2 == $1)))
}

answers_are() { # FROM_RS1 FROM_RS2
    evidence=$tally
    ((from_rs1 == $1 && from_rs2 == $2 && ${#answers[@]} == $1 + $2))
}

# Weighted round-robin with weights 1 and 3: whichever four answers in a row one looks at, one is rs1's. The kernel
# starts at a fixed place, so the very order is known.
answers_in_turn() {
    local turn=("$rs2_name" "$rs1_name" "$rs2_name" "$rs2_name") i
    evidence="${answers[*]:0:4} ..."
    if ((${#answers[@]} == 0)); then
        evidence="no answers"
        return 1
    fi
    for i in "${!answers[@]}"; do
        if [[ ${answers[i]} != "${turn[i % 4]}" ]]; then
            evidence="answer $((i + 1)) is ${answers[i]}, expected ${turn[i % 4]}"
            return 1
        fi
    done
}

# --- the table -------------------------------------------------------------------------------------------------------

# Shows the table and the counters, and keeps the service's: connections, in_packets, out_packets. The kernel adds its
# counters up every two seconds, so they are read until the connections expected are in them.
table() { # CONNECTIONS
    typed director ipvsadm-rs -Ln
    said=""
    wait_for 20 "$1 connections in the counters" counted "$1" || :
    prompt director ipvsadm-rs -Ln --stats
    printf '%s\n' "$said" >&3
}

counted() { # CONNECTIONS
    local first rest
    connections=0 in_packets=0 out_packets=0
    said=$(on director ipvsadm-rs -Ln --stats) || return
    while read -r first rest; do
        case $first in
            TCP | FWM) read -r _ connections in_packets out_packets _ <<<"$rest" ;;
        esac
    done <<<"$said"
    ((connections == $1))
}

# Shows the connections, and keeps them as lines "STATE SOURCE VIRTUAL DESTINATION" in $listed.
list_connections() {
    local protocol state_name source virtual destination
    typed director ipvsadm-rs -Lnc
    listed=""
    while read -r protocol _ state_name source virtual destination _; do
        [[ $protocol != TCP ]] || listed+="$state_name $source $virtual $destination"$'\n'
    done <<<"$said"
}

connections_listed() { # NUMBER VIRTUAL
    local line number=0
    evidence=""
    while read -r line; do
        [[ $line != *" $2 "* ]] || number=$((number + 1))
    done <<<"$listed"
    evidence="$number entries for $2"
    ((number == $1))
}

# A template is an entry without a client port; it sends the client to where its answers came from.
template_listed() { # CLIENT VIRTUAL
    local line server=$rs1_ip
    ((from_rs1)) || server=$rs2_ip
    evidence="no entry from $1:0"
    while read -r line; do
        if [[ $line == *" $1:0 $2 "* ]]; then
            evidence=$line
            [[ $line == *" $server:80" ]]
            return
        fi
    done <<<"$listed"
    return 1
}

ipvs_saw_one_way() { # CONNECTIONS
    evidence="Conns $connections, InPkts $in_packets, OutPkts $out_packets"
    ((connections == $1 && in_packets > 0 && out_packets == 0))
}

ipvs_saw_both_ways() { # CONNECTIONS
    evidence="Conns $connections, InPkts $in_packets, OutPkts $out_packets"
    ((connections == $1 && in_packets > 0 && out_packets > 0))
}

# --- the wire --------------------------------------------------------------------------------------------------------

# watch HOST...: captures every frame on the hosts' eth0, with Ethernet addresses and absolute sequence numbers, one line
# of text each in $state/HOST.wire. unwatch ends it once all that was sent has been seen, and insists that nothing was lost.
watch() {
    local host
    watched=("$@") watchers=()
    for host in "$@"; do
        # Through a pipe: where AppArmor confines tcpdump it may not write to files of our choice. Named ones, because a
        # bare kernel's /dev has no fd directory for bash's own.
        [[ -p $state/$host.pipe ]] || mkfifo "$state/$host.pipe"
        # Emptied here and now: what an earlier capture says must not be taken for this one's.
        : >"$state/$host.wire"
        cat <"$state/$host.pipe" >>"$state/$host.wire" &
        # The buffer is divided into places for packets of full length, large ones on a device with offloads: with the
        # defaults that is eight places, and packets get lost.
        start_on "$host" tcpdump -lnetS --immediate-mode -s 512 -B 4096 -i eth0 >"$state/$host.pipe" 2>&1
        watchers+=("$started")
    done
    wait_for 60 "tcpdump to listen" all_watched "listening on"
}

unwatch() { # [HOST]: who says the last word, director if none is named
    wait_for 60 "the captures to be complete" all_heard "${1:-director}"
    kill "${watchers[@]}"
    wait "${watchers[@]}" 2>/dev/null || :
    wait_for 60 "the captures' last words" all_watched "dropped by kernel"
    all_watched $'\n0 packets dropped by kernel' || stopped "a capture lost packets"
}

# The last frame on the segment, one that every watcher gets to see: a multicast datagram to the discard port. Datagrams get
# lost on a machine under load, so it is said until all have heard it.
all_heard() { # HOST
    on "$1" bash -c 'echo end >/dev/udp/239.255.0.9/9'
    sleep 0.1
    all_watched " > 239.255.0.9.9: UDP"
}

all_watched() { # TEXT: in every capture?
    local host
    for host in "${watched[@]}"; do
        [[ $(<"$state/$host.wire") == *"$1"* ]] || return 1
    done
}

# The head of every awk program over captures. A frame of tcpdump -e is
#   FROM > TO, ethertype IPv4 (0x0800), length 74: SOURCE > TARGET: Flags [S], ...
# with ADDRESS.PORT as SOURCE and TARGET; text is all behind the Ethernet header. For IP in IP it is
#   OUTER > OUTER: SOURCE > TARGET: Flags [S], ...
# (some tcpdumps: "OUTER: IP SOURCE"), of which outer is the first half and text the second. file counts the captures read; frame() is the short form shown.
# shellcheck disable=SC2016  # awk's variables
frames='
    function frame() {
        match(text, /Flags \[[^]]*\]/)
        return sprintf("frame %s > %s  packet %s%s > %s  %s", from, to, outer ? outer ": " : "", source, target, \
            substr(text, RSTART, RLENGTH))
    }
    function is(end, address) { return index(end, address ".") == 1 }
    FNR == 1 { file++ }
    !match($0, /length [0-9]+: /) { next }
    {
        from = $1; to = $3; sub(/,$/, "", to)
        text = substr($0, RSTART + RLENGTH); outer = ""
        if (text ~ /^[0-9.]+ > [0-9.]+: (IP )?[0-9.]+ > / && match(text, /: (IP )?/)) {
            outer = substr(text, 1, RSTART - 1); text = substr(text, RSTART + RLENGTH)
        }
        split(text, part, " "); source = part[1]; target = part[3]; sub(/:$/, "", target)
    }
'

# No frame of a reply was sent to or by the director, whose capture does have the requests.
replies_avoid_director() { # VIP
    evidence=$(awk -v vip="$1" -v mac="$director_mac" "$frames"'
        is(source, vip) && (from == mac || to == mac) { replies++ }
        is(target, vip) && to == mac { requests++ }
        END {
            printf "capture on director: %d request frames in, %d reply frames in or out\n", requests, replies
            exit !(requests > 0 && replies == 0)
        }' "$state/director.wire")
}

# The other side of that: the router got the replies straight from the real servers.
replies_come_from_real_servers() { # VIP
    evidence=$(awk -v vip="$1" -v rs1="$rs1_mac" -v rs2="$rs2_mac" "$frames"'
        is(source, vip) { replies++; if (!count[from]++) sample[from] = frame() }
        END {
            printf "capture on router: %d reply frames, %d from rs1, %d from rs2\n", replies, count[rs1], count[rs2]
            for (from in sample) print sample[from]
            exit !(count[rs1] > 0 && count[rs2] > 0 && count[rs1] + count[rs2] == replies)
        }' "$state/router.wire")
}

# NAT: the real servers' replies, from their own addresses, go to the director, and as many leave it from the VIP.
replies_pass_director() { # VIP
    evidence=$(awk -v vip="$1" -v mac="$director_mac" -v rs1="$rs1_ip" -v rs2="$rs2_ip" "$frames"'
        to == mac && (is(source, rs1) || is(source, rs2)) { received++; if (received == 1) print frame() }
        from == mac && is(source, vip) { sent++; if (sent == 1) print frame() }
        END {
            printf "capture on director: %d reply frames in from real servers, %d out from the VIP\n", received, sent
            exit !(received > 0 && sent == received)
        }' "$state/director.wire")
}

replies_come_from_director() { # VIP
    evidence=$(awk -v vip="$1" -v mac="$director_mac" -v rs1="$rs1_ip" -v rs2="$rs2_ip" "$frames"'
        is(source, vip) { replies++; if (from == mac) ours++ }
        is(source, rs1) || is(source, rs2) { bare++ }
        END {
            printf "capture on router: %d reply frames, %d of them from the director; %d from a real server'\''s own address\n", \
                replies, ours, bare
            exit !(replies > 0 && ours == replies && bare == 0)
        }' "$state/router.wire")
}

# Every request that reached the director went on to a real server, and there it was the same packet to the last sequence
# number, only in a frame to the real server: the text behind the Ethernet header is compared. With HOW=inside (tunnel)
# the packet is also in one from the director to the real server; with HOW=rewritten (NAT) its target is the real server.
requests_arrive() { # VIP CLIENT [HOW]
    evidence=$(awk -v vip="$1" -v client="$2" -v how="${3:-}" -v director="$director_mac" -v director_ip="$director_ip" \
        -v rs1="$rs1_mac" -v rs2="$rs2_mac" -v rs1_ip="$rs1_ip" -v rs2_ip="$rs2_ip" "$frames"'
        !is(source, client) { next }
        file == 1 { if (to == director && is(target, vip)) { sent[text]++; total++ } }
        file > 1 {
            arrived++
            mac = file == 2 ? rs1 : rs2
            ip = file == 2 ? rs1_ip : rs2_ip
            if (text ~ /Flags \[S\]/ && !(file in sample)) sample[file] = frame()
            if (how == "rewritten" && is(target, ip)) sub("> " ip, "> " vip, text)
            if (from != director || to != mac || outer != (how == "inside" ? director_ip " > " ip : "") || --sent[text] < 0) {
                if (!wrong++) odd = $0
            }
        }
        END {
            printf "%d requests came to the director, %d arrived at the real servers, %d of these not as claimed\n", \
                total, arrived, wrong
            if (wrong) print odd
            for (i = 2; i <= 3; i++) if (i in sample) print sample[i]
            exit !(total > 0 && arrived == total && wrong == 0)
        }' "$state/director.wire" "$state/rs1.wire" "$state/rs2.wire")
}

# Exactly these hosts answered the router's "who has the VIP?".
arp_answered_by() { # VIP HOST...
    local vip=$1 host macs=()
    shift
    for host in "$@"; do
        declare -n mac=${host}_mac
        macs+=("$mac")
    done
    evidence=$(awk -v vip="$vip" -v expected="${macs[*]}" "$frames"'
        text ~ "^Reply " vip " is-at" { if (!seen[part[4]]++) { answers++; print "capture on router: " text } }
        END {
            count = split(expected, mac, " ")
            for (i = 1; i <= count; i++) if (!((mac[i] ",") in seen)) missing++
            exit !(answers == count && !missing)
        }' "$state/router.wire")
}

# The real servers asked for the router, and none of them with the VIP as the asker, which would teach the router.
asked_with_own_addresses() { # VIP
    evidence=$(awk -v vip="$1" -v rs1="$rs1_ip" -v rs2="$rs2_ip" "$frames"'
        text ~ /^Request who-has / && match(text, / tell [0-9.]+/) {
            asker = substr(text, RSTART + 6, RLENGTH - 6)
            if (!count[asker]++ && (asker == vip || asker == rs1 || asker == rs2)) print "capture on router: " text
        }
        END { exit !(count[rs1] > 0 && count[rs2] > 0 && !count[vip]) }' "$state/router.wire")
}

# To whom the router sent the client's connections: in to_director, to_rs1, to_rs2.
connections_sent() { # VIP
    read -r to_director to_rs1 to_rs2 <<<"$(awk -v vip="$1" -v mac="$router_mac" -v director="$director_mac" \
        -v rs1="$rs1_mac" -v rs2="$rs2_mac" "$frames"'
        from == mac && is(target, vip) && text ~ /Flags \[S\]/ { count[to]++ }
        END { print count[director] + 0, count[rs1] + 0, count[rs2] + 0 }' "$state/router.wire")"
    evidence="capture on router: $to_director connections to the director, $to_rs1 straight to rs1, $to_rs2 straight to rs2"
}

some_connections_miss_director() { # VIP
    connections_sent "$1"
    ((to_rs1 + to_rs2 > 0))
}

all_connections_reach_director() { # VIP CONNECTIONS
    connections_sent "$1"
    ((to_director == $2 && to_rs1 + to_rs2 == 0))
}

# --- the real servers ------------------------------------------------------------------------------------------------

# All that a real server's VIP is made of, and what may keep it quiet.
look() { # HOST
    # shellcheck disable=SC2016  # the inner shell's variables
    on "$1" sh -c '
        ip -d addr; ip route show table all; ip -6 route show table all
        grep . /proc/sys/net/ipv4/conf/*/arp_* /proc/sys/net/ipv4/conf/*/rp_filter
        nft list ruleset; arptables-legacy -n -L || :' 2>&1
}

looks_like() { # HOST FILE
    look "$1" >"$state/look"
    if ! evidence=$(diff "$2" "$state/look"); then return 1; fi
    evidence="addresses, routes, settings, nftables and arptables: $(wc -l <"$2") lines, all the same"
}

exits_with() { # STATUS WORDS HOST COMMAND...
    local status=0
    evidence=$(on "${@:3}" 2>&1) || status=$?
    [[ $status -eq $1 && $evidence == *"$2"* ]]
}

# The log says "[ADDRESS]:PORT: url:...", and ADDRESS is ::ffff:A.B.C.D for IPv4.
real_servers_saw() { # CLIENT
    local host line
    local -A seen=()
    evidence=""
    for host in rs1 rs2; do
        seen[$host]=0
        while IFS= read -r line; do
            case $line in
                "[$1]:"*url:* | "[::ffff:$1]:"*url:*)
                    ((seen[$host])) || evidence+="$host: $line"$'\n'
                    seen[$host]=$((seen[$host] + 1))
                    ;;
            esac
        done <"$state/$host.weblog"
    done
    evidence+="$1 is in rs1's log ${seen[rs1]} times and in rs2's log ${seen[rs2]} times"
    ((seen[rs1] == from_rs1 && seen[rs2] == from_rs2 && from_rs1 + from_rs2 > 0))
}
