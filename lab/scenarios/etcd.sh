# rules for three directors in one key of etcd: each loads them, one after another, and reports; a bad file changes nothing
# needs: etcd=etcd-server etcdctl=etcd-client unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../scale.sh
. "$lab/scale.sh"

export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://30.30.30.254:2379

build_scale
heading "etcd on the router, and a watcher on each director"
prompt router etcd
start_on router etcd --data-dir "$state/etcd" --listen-client-urls "$ETCDCTL_ENDPOINTS" \
    --advertise-client-urls "$ETCDCTL_ENDPOINTS" --listen-peer-urls http://127.0.0.1:2380 >"$state/etcd.log" 2>&1
keeps() { on router etcdctl put "$@" >/dev/null 2>&1; }
wait_for 60 "etcd" keeps /ipvs/ready yes || stopped "$(tail -n 3 "$state/etcd.log")"
for host in "${directors[@]}"; do
    put "$host" etcd /usr/local/sbin/watch-rules 755
    put "$host" etcd /usr/local/sbin/load-rules 755
    prompt "$host" watch-rules "$host"
    start_on "$host" watch-rules "$host" >"$state/$host.watch" 2>&1
done

publish() { # FILE
    prompt router sh -c "etcdctl put /ipvs/rules <$1"
    on router etcdctl put /ipvs/rules <"$1" >/dev/null
}

# What every director has reported of these rules.
all_report() { # WORDS
    local host
    evidence=""
    for host in "${directors[@]}"; do
        evidence+="$host: $(on router etcdctl get --print-value-only "/ipvs/state/$host" | head -n 4 | paste -sd ' ')"$'\n'
    done
    [[ $(grep -c ": $1" <<<"$evidence") -eq ${#directors[@]} ]]
}

all_have() { # FILE
    local host
    evidence=$(for host in "${directors[@]}"; do on "$host" ipvsadm-rs diff "$1" 2>&1; done) || return 1
    [[ -z $evidence ]]
}

heading "Rules are published"
recipe ecmp /etc/bird/ipvsadm.rules "$state/rules"
publish "$state/rules"
wait_for 60 "three reports" all_report "loaded TCP" || :
prove "every director reports that it has loaded them" all_report "loaded TCP"
prove "every director has them" all_have "$state/rules"
one_digest() {
    local host
    evidence=$(for host in "${directors[@]}"; do on router etcdctl get --print-value-only "/ipvs/state/$host" | head -n 1; done)
    [[ $(sort -u <<<"$evidence" | wc -l) -eq 1 && $evidence == *" mh-4093-"* ]]
}
prove "and they report one digest" one_digest

heading "A file with an error is published"
{ cat "$state/rules"; echo "-a -t $vip:7 -r 30.30.30.999 -g"; } >"$state/bad.rules"
publish "$state/bad.rules"
wait_for 60 "three reports" all_report refused || :
prove "every director refuses it, and says why" all_report "refused TCP .*999"
prove "nothing has changed anywhere" all_have "$state/rules"

heading "A file that would take out most of the table"
head -n 3 "$state/rules" >"$state/short.rules"
publish "$state/short.rules"
wait_for 60 "three reports" all_report "refused TCP .*--max-removals" || :
prove "every director refuses it" all_report "refused TCP .*--max-removals"
prove "nothing has changed anywhere" all_have "$state/rules"

heading "A server more, and later a server less, while clients have connections"
on router ip -batch - <<NEXT
nexthop add id 20 via 30.30.30.20 dev eth0
nexthop add id 21 via 30.30.30.21 dev eth0
nexthop add id 22 via 30.30.30.22 dev eth0
nexthop add id 1000 group 20/21/22 type resilient buckets 256 idle_timer 1
route add $vip/32 nhid 1000
NEXT
hold_begins
fresh_begins 10
{ cat "$state/rules"; echo "-a -t $vip:7 -r $(address rs11) -g"; } >"$state/more.rules"
publish "$state/more.rules"
wait_for 60 "the new server everywhere" all_have "$state/more.rules" || :
prove "every director has the new server" all_have "$state/more.rules"
all_say 20
prove "no connection is lost when a server is added" none_lost
sed "s/-r $(address rs10) -g/& -w 0/" "$state/more.rules" >"$state/drained.rules"
publish "$state/drained.rules"
wait_for 60 "the weight everywhere" all_have "$state/drained.rules" || :
prove "every director has weight 0 for rs10" all_have "$state/drained.rules"
all_say 20
prove "no connection is lost when it goes to weight 0" none_lost
list_held "$state/originally"
of_rs10=$(grep -c ' rs10 ' "$state/originally")
grep -v -e "-r $(address rs10) " "$state/more.rules" >"$state/less.rules"
publish "$state/less.rules"
wait_for 60 "the deletion everywhere" all_have "$state/less.rules" || :
prove "no director has rs10" all_have "$state/less.rules"
all_say 10
prove "the connections that it still had are lost, $of_rs10, and no others" lost_are "$of_rs10"
fresh_ends
prove "no new connection failed" none_failed
hold_ends
