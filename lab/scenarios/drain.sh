# a server is drained under load (--drain): no request is lost, and a long transfer ends before the server is deleted
# shellcheck shell=bash

build dr

# A transfer that takes some seconds, larger than what sockets hold back: it needs the director until it is over.
for host in rs1 rs2; do truncate -s 32M "$state/www/$host/large"; done

transfer_begins() {
    prompt client curl -sS -m 15 --limit-rate 4M -o large "http://$vip/large"
    rm -f "$state/large"
    start_on client curl -sS -m 15 --limit-rate 4M -o "$state/large" "http://$vip/large" 2>"$state/large.trouble"
    transfer=$started
    wait_for 60 "the transfer's first bytes" test -s "$state/large"
}

transfer_ended() { ! kill -0 "$transfer" 2>/dev/null; }

transfer_is() { # BYTES STATUS: what arrived, and how curl ended
    local status=0 bytes
    wait "$transfer" || status=$?
    bytes=$(stat -c %s "$state/large")
    evidence="$bytes bytes of 33554432, curl's status $status $(<"$state/large.trouble")"
    [[ $bytes -eq $1 && $status -eq $2 ]]
}

transfer_breaks() {
    transfer_is 33554432 0 || return 0
    return 1
}

# What the drain said: whether it waited, and for what.
drain_waited() {
    evidence=$said
    [[ $said == *"$rs1_ip:80: "[1-9]*" connection"* && $said == *"$rs1_ip:80: drained in "*"deleted"* ]]
}

only_server_is() { # ADDRESS
    evidence=$(on director ipvsadm-rs -Sn | grep -e ' -r ')
    [[ $evidence == *" -r $1:80 "* && $(wc -l <<<"$evidence") -eq 1 ]]
}

typed director ipvsadm-rs -A -t "$vip:80" -s rr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g
transfer_begins
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g

heading "rs1 is drained while the client fetches, and while a transfer from it is under way"
load_begins "http://$vip/"
typed director ipvsadm-rs -d -t "$vip:80" -r "$rs1_ip" --drain=60
wait_for 2 "curl to end" transfer_ended || :
prove "the transfer was over when the server was deleted" transfer_ended
load_ends
prove "the drain waited for the transfer" drain_waited
prove "all of it has arrived" transfer_is 33554432 0
prove "no request was lost" no_request_lost
prove "rs2 is the only server now" only_server_is "$rs2_ip"

heading "The same without --drain"
transfer_begins
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g
typed director ipvsadm-rs -d -t "$vip:80" -r "$rs2_ip"
prove "that breaks the transfer" transfer_breaks
