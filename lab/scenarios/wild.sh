# directors as people run them: no alarm about what works, and the cause first of what does not
# shellcheck shell=bash

# shellcheck source=../wild.sh
. "$lab/wild.sh"
own_etc
rm -f "$rules"

# V. Bernat, "Multi-tier load-balancing with Linux" (vincentbernat.com, 2018); signal.nih.earth: BGP to the VIP on lo.
row "the VIP on lo of a director behind a BGP router, masquerading"
cluster nat -m
typed director ip addr del "$vip/32" dev eth0
typed director ip addr add "$vip/32" dev lo
typed director ip addr add 10.255.0.1/32 dev lo
typed router ip route add "$vip/32" via "$director_ip"
works director -- D13

# The same article: the first tier sends by tunnels.
row "the VIP on lo of a director behind a BGP router, tunnels"
cluster tunnel -i
typed director ip addr del "$vip/32" dev eth0
typed director ip addr add "$vip/32" dev lo
typed router ip route add "$vip/32" via "$director_ip"
works director

# The kernel's tools/testing/selftests/net/netfilter/ipvs.sh, its direct routing.
row "the kernel's own test: the VIP on lo of the director, direct routing"
cluster dr -g
typed director ip addr del "$vip/32" dev eth0
typed director ip addr add "$vip/32" dev lo
typed router ip route add "$vip/32" via "$director_ip"
works director

# kubernetes/kubernetes#71358: kube-proxy has all addresses of services on a dummy.
row "kube-proxy: addresses on kube-ipvs0, masquerading only"
cluster nat -m
typed director ip addr del "$vip/32" dev eth0
typed director ip link add kube-ipvs0 type dummy
for address in "$vip" 10.96.0.1 10.96.0.10; do typed director ip addr add "$address/32" dev kube-ipvs0; done
for address in 10.96.0.1 10.96.0.10; do
    typed director ipvsadm-rs -A -t "$address:80" -s rr
    typed director ipvsadm-rs -a -t "$address:80" -r "$rs1_ip" -m
done
typed router ip route add "$vip/32" via "$director_ip"
# As kube-proxy sets them.
sysctl director net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 net.ipv4.vs.expire_nodest_conn=1
works director -- D13

# ClusterLabs/resource-agents:heartbeat/IPaddr2 gives the VIP the network's prefix if none is configured.
row "Pacemaker's VIP with the network's prefix, a second address of it"
vip=30.30.30.100
cluster nat -m
typed director ip addr del "$vip/32" dev eth0
typed director ip addr add "$vip/24" dev eth0
works director -- D13
vip=20.20.20.20

# LVS-HOWTO, LVS: LocalNode (austintek.com); acassen/keepalived#2450: two boxes, each director and real server.
row "two boxes: the director is a real server, too"
build dr
typed director ipvsadm-rs -A -t "$vip:80" -s rr
typed director ipvsadm-rs -a -t "$vip:80" -r "$director_ip" -g
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g
mkdir -p "$state/www/director"
echo rs2.curry >"$state/www/director/index.html"
start_on director busybox httpd -f -c /dev/null -p 80 -h "$state/www/director"
wait_for 60 "the director's web server" listens director "$started" 80
works director
prove "  and is seen as both" seen_as "director and real-server"

# LVS-HOWTO, LVS: Failover: the standby holds the table and no VIP.
row "a director that stands by, with a backup daemon"
cluster dr -g
typed director ip addr del "$vip/32" dev eth0
typed director ipvsadm-rs --start-daemon backup --mcast-interface eth0 --syncid 1
examined director
prove "the doctor on director raises no alarm" no_alarm D24

# acassen/keepalived#2330: clients in the servers' own network get answers from an address that they did not ask.
row "clients in the servers' own network, masquerading"
cluster nat -m
from_router() { on router busybox timeout 5 busybox wget -q -O - "http://$vip/" >/dev/null 2>&1; }
typed router ip addr del 20.20.20.254/24 dev eth0
typed router ip route add "$vip/32" via "$director_ip"
evidence=""
if from_router; then stopped "the router is served"; fi
examined director
prove "the first finding on director is D13" cause_is D13
prove "  there is advice and no command" is_advice D13
note "advice: ${found_advice[D13]}"
for host in rs1 rs2; do
    typed "$host" ip route replace 30.30.30.0/24 via "$director_ip"
    sysctl "$host" net.ipv4.conf.{all,eth0}.accept_redirects=0
done
evidence=""
prove "  traffic flows when it is followed" from_router

# vieyahn2017/iBlog#316: SYN_RECV for ever, since the servers' answers do not come by the director.
row "masqueraded servers whose gateway is the router"
cluster nat -m
for host in rs1 rs2; do typed "$host" ip route replace default via 30.30.30.254; done
followed() { for host in rs1 rs2; do typed "$host" ip route replace default via "$director_ip"; done; }
broken_with_advice director D27 -- followed

# alibabacloud.com, "packet loss caused by improper rp_filter configuration": two ways, and a strict filter.
row "requests and answers of a director by different interfaces, strict filtering"
cluster nat -m
typed director ip link add eth1 link eth0 type macvlan mode bridge
typed director ip addr add 30.30.30.22/24 dev eth1
typed director ip link set eth1 up
sysctl director net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.eth0.rp_filter=1
typed director ip route replace default via 30.30.30.254 dev eth1
broken director D26
