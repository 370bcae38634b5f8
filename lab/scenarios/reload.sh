# the rules are replaced under load: no request is lost; the original's clear and restore loses some
# shellcheck shell=bash

build dr

typed director ipvsadm-rs -A -t "$vip:80" -s wrr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g -w 3

# The table with 1,000 rules beside the cluster's three, as it is and with every one of them changed.
rules() { # SCHEDULER WEIGHT
    cat <<<"-A -t $vip:80 -s wrr
-a -t $vip:80 -r $rs1_ip:80 -g -w 1
-a -t $vip:80 -r $rs2_ip:80 -g -w 3"
    awk -v scheduler="$1" -v weight="$2" 'BEGIN {
        for (i = 1; i <= 200; i++) {
            service = "10.0.0." i ":80"
            print "-A -t " service " -s " scheduler
            for (j = 1; j <= 4; j++) print "-a -t " service " -r 10.0.1." j ":80 -m -w " weight
        }
    }'
}
rules rr 5 >"$state/one"
rules lc 7 >"$state/two"
typed director ipvsadm-rs -R --replace --file "$state/one"

heading "Replaced five times while the client fetches, and a server's weight changed"
load_begins "http://$vip/"
for file in two one two one two; do
    typed director ipvsadm-rs -R --replace --file "$state/$file"
done
typed director ipvsadm-rs -e -t "$vip:80" -r "$rs1_ip" -g -w 9
load_ends
prove "the table is the file's but for the weight" differs_by "$state/two" 2
prove "no request was lost" no_request_lost

original=$(PATH=/usr/sbin:/sbin type -P ipvsadm) || stopped "the original ipvsadm is not installed"
heading "The same with the original: clear, and restore"
load_begins "http://$vip/"
for _ in 1 2 3; do typed director sh -c "$original -C; $original -R <$state/one"; done
load_ends
prove "that loses requests" requests_lost
