# 200 replacements of rules under load, a third refused and a third signalled: no request is lost
# needs: strace
# shellcheck shell=bash

build dr

# The cluster's service and 6 others. From the one file to the other, schedulers and weights differ, two services go, three
# come, and every service that stays loses a server and gets another.
rules() { # SCHEDULER WEIGHT FIRST: the number of the first of the services
    cat <<<"-A -t $vip:80 -s $1
-a -t $vip:80 -r $rs1_ip:80 -g -w $2
-a -t $vip:80 -r $rs2_ip:80 -g -w 3"
    awk -v scheduler="$1" -v weight="$2" -v first="$3" 'BEGIN {
        for (i = first; i < 6 + first; i++) {
            service = "10.0.0." i ":80"
            print "-A -t " service " -s " scheduler
            for (j = first; j < 4 + first; j++) print "-a -t " service " -r 10.0.1." j ":80 -m -w " weight
        }
    }'
}
rules wrr 1 1 >"$state/one"
rules wlc 2 3 >"$state/two"
# What the kernel refuses: a new service, another scheduler for one that serves, a daemon.
refused=(
    "-A -t 10.0.0.99:80 -s nosuch"
    "-E -t $vip:80 -s nosuch"
    "--start-daemon master --mcast-interface nosuch"
)
for file in one two; do
    for number in "${!refused[@]}"; do
        case ${refused[number]} in
            -E*) sed "s/^-A -t $vip:80 -s .*/-A -t $vip:80 -s nosuch/" "$state/$file" ;;
            *) cat "$state/$file" && echo "${refused[number]}" ;;
        esac >"$state/$file.refused$number"
    done
done

# How many times a replacement sends something to the kernel, from the first question to the last.
declare -A sends=()
typed director ipvsadm-rs -R --file "$state/two"
for file in one two; do
    typed director strace -o "$state/sent" -e trace=sendto ipvsadm-rs -R --replace --file "$state/$file"
    sends[$file]=$(grep -c '^sendto' "$state/sent")
    on director ipvsadm-rs -Sn >"$state/$file.saved"
done
note "a replacement sends ${sends[one]} times, and back ${sends[two]} times"

now=two odd=""
declare -A counted=([good]=0 [refused]=0 [finished]=0 [unchanged]=0)

# Counts WHAT if the status, the words and the table, which is to be that of the file, are what they have to be.
ended_as() { # WHAT STATUS PATTERN FILE
    on director ipvsadm-rs -Sn >"$state/now"
    # shellcheck disable=SC2053  # it is a pattern
    if [[ $status -eq $2 && $said == $3 ]] && cmp -s "$state/now" "$state/$4.saved"; then
        counted[$1]=$((counted[$1] + 1))
    else
        odd+="$1 was expected, status $2, of $4; it was status $status: $said"$'\n'
    fi
}

replaced() { # COMMAND...: with its status in $status and what it says in $said
    status=0
    said=$(on director "$@" 2>&1) || status=$?
}

signalled() { # NAME NUMBER FILE: this signal comes with what is sent the so manyth time
    local signal
    signal=$((128 + $(kill -l "$1")))
    replaced strace -o /dev/null -e trace=sendto -e inject=sendto:signal="$1":when="$2" \
        ipvsadm-rs -R --replace --file "$state/$3"
    # Before the first change was sent it ends at once, by the signal.
    case $said in
        *"finished: the table is what the rules say") ended_as finished $signal "*" "$3" && now=$3 ;;
        *) ended_as unchanged $signal "?(*: nothing was changed)" "$now" ;;
    esac
}

heading "200 replacements while the client fetches: good ones, refused ones, and INT, TERM or HUP with everything that is sent"
load_begins "http://$vip/"
# Otherwise the client takes half of the time.
renice -n 5 -p "$load" >/dev/null
signals=(TERM INT HUP)
for ((round = 0; round < 200; round++)); do
    other=two
    [[ $now == one ]] || other=one
    nth=$((round / 3))
    case $((round % 3)) in
        0)
            replaced ipvsadm-rs -R --replace --file "$state/$other"
            ended_as good 0 "" "$other"
            now=$other
            ;;
        1)
            replaced ipvsadm-rs -R --replace --file "$state/$other.refused$((nth % ${#refused[@]}))"
            ended_as refused 1 "*the table is as it was before" "$now"
            ;;
        2) signalled "${signals[nth % 3]}" $((nth % sends[$other] + 1)) "$other" ;;
    esac
done
load_ends

as_they_have_to() {
    evidence="${counted[good]} good, ${counted[refused]} refused, ${counted[finished]} finished after a signal, "
    evidence+="${counted[unchanged]} ended by a signal before the first change"$'\n'$odd
    [[ ! $odd ]] && ((counted[good] > 60 && counted[refused] > 60 && counted[finished] > 0 && counted[unchanged] > 0))
}
prove "each ends with its words, its status and a table that is whole" as_they_have_to
prove "no request was lost" no_request_lost
