# a real prometheus and node_exporter scrape the director: every metric, panel and alert has the values that JSON has
# needs: prometheus prometheus-node-exporter python3
# shellcheck shell=bash

# A table of 256 buckets, which a few connections crowd; Linux 7 makes it larger then.
if modprobe -r ip_vs 2>/dev/null; then modprobe ip_vs conn_tab_bits=8; fi
build dr
on director ip link set lo up
metrics=$state/metrics
mkdir "$metrics" "$state/prometheus"

# What the timer of the packages does, every second; of a service that is not there, if there is a file that says so.
collect() {
    local only=()
    [[ ! -e $state/only ]] || only=(-t "$vip:1")
    on director ipvsadm-rs -L --prometheus "${only[@]}" --saved "$state/saved.rules" --file "$metrics/ipvs.prom" 2>/dev/null ||
        ((${#only[@]}))
}

collect_for_ever() { while collect; do sleep 1; done }

# The shipped rules, but without waiting.
sed 's/^        for: .*/        for: 0s/' "$lab/../dist/prometheus/ipvs.rules.yml" >"$state/prometheus/ipvs.rules.yml"
cat >"$state/prometheus/prometheus.yml" <<'TEXT'
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [ipvs.rules.yml]
scrape_configs:
  - {job_name: node, static_configs: [{targets: ["127.0.0.1:9100"]}]}
TEXT

check() { on director python3 "$lab/metrics.py" "$@"; }

answers() { on director curl -sf -o /dev/null "http://127.0.0.1:$1/-/ready" || on director curl -sf -o /dev/null "http://127.0.0.1:$1/metrics"; }

# A claim of lab/metrics.py, which takes a while to come true: a scrape, and an evaluation of rules.
holds() {
    local tries
    for tries in {1..20}; do
        if evidence=$(check "$@" 2>&1); then return 0; fi
        sleep 1
    done
    return 1
}

rules() { on director ipvsadm-rs -R --replace --file "$1"; }

cat >"$state/good.rules" <<TEXT
-A -t $vip:80 -s wrr
-a -t $vip:80 -r $rs1_ip -g -w 1 -x 1000
-a -t $vip:80 -r $rs2_ip -g -w 3
-A -u $vip:53 -s rr -p 300
-a -u $vip:53 -r $rs1_ip -g
-A --sctp-service $vip:80 -s rr
-a --sctp-service $vip:80 -r $rs2_ip:8080 -m
-A -f 1 -s rr
-a -f 1 -r $rs1_ip -i
-A -f 1 -6 -s mh -b mh-port
-a -f 1 -6 -r 2001:db8::1 -i
TEXT
rules "$state/good.rules"
typed director ipvsadm-rs --start-daemon master --mcast-interface eth0 --syncid 7
on director ipvsadm-rs -S -n --file "$state/saved.rules"
typed director ipvsadm-rs -L --prometheus --saved "$state/saved.rules" --file "$metrics/ipvs.prom"
collect_for_ever &
disown
start_on director prometheus-node-exporter --collector.disable-defaults --collector.ipvs --collector.textfile \
    --collector.textfile.directory="$metrics" --web.listen-address=127.0.0.1:9100 >"$state/node.log" 2>&1
start_on director prometheus --config.file="$state/prometheus/prometheus.yml" --storage.tsdb.path="$state/prometheus/data" \
    --web.listen-address=127.0.0.1:9090 >"$state/prometheus.log" 2>&1
wait_for 60 "node_exporter" answers 9100
wait_for 60 "prometheus" answers 9090

heading "Under traffic"
fetch "http://$vip/?[1-20]"
prove "every sample is what --json has" holds samples
prove "they join with node_exporter's own, of the same labels" holds node
prove "every panel's query answers what --json has" holds panels "$lab/../dist/prometheus/dashboard.json"
prove "no alert fires" holds alerts

heading "What is wrong is an alert"
on director ipvsadm-rs -e -t "$vip:80" -r "$rs1_ip" -g -w 0 -x 1
on director ipvsadm-rs -e -t "$vip:80" -r "$rs2_ip" -g -w 0
on director ipvsadm-rs --stop-daemon master
expected=(IpvsNoServer IpvsWeightZero IpvsTableDiffers IpvsSyncDaemonMissing IpvsServerOverThreshold)
estimation=/proc/sys/net/ipv4/vs/run_estimation
if on director test -e "$estimation"; then
    on director sh -c "echo 0 >$estimation"
    expected+=(IpvsCountersStandStill)
fi
limit=/proc/sys/net/ipv4/vs/conn_max
if on director test -e "$limit"; then
    most=$(on director cat "$limit")
    on director sh -c "echo 1 >$limit"
    expected+=(IpvsConnectionLimitNear)
fi
prove "service without servers, weight 0, other rules, no daemon, a threshold reached" holds alerts "${expected[@]}"
prove "the samples are still what --json has" holds samples

heading "Metrics that cannot be had are one"
touch "$state/only"
prove "no metrics but that there are none" holds alerts IpvsMetricsStale
rm "$state/only"

heading "And is none any more"
if on director test -e "$limit"; then on director sh -c "echo $most >$limit"; fi
if on director test -e "$estimation"; then on director sh -c "echo 1 >$estimation"; fi
rules "$state/good.rules"
on director ipvsadm-rs --start-daemon master --mcast-interface eth0 --syncid 7
prove "no alert fires" holds alerts

bits=/sys/module/ip_vs/parameters/conn_tab_bits
if ! on director test -e "$limit" && [[ $(<"$bits") = 8 ]]; then
    heading "More connections than buckets"
    fetch "http://$vip/?[1-400]"
    prove "a crowded table is an alert" holds alerts IpvsConnectionTableCrowded
fi
