# real servers as people run them: no alarm about what works, and the cause first of what does not
# shellcheck shell=bash

# shellcheck source=../wild.sh
. "$lab/wild.sh"
own_etc
rm -f "$rules"

# samba's ctdb/config/events/legacy/91.lvs.
row "CTDB: the VIP on lo with scope host, arp_ignore 3"
build bare
typed director ipvsadm-rs -A -t "$vip:80" -s rr
for host in rs1 rs2; do
    declare -n address=${host}_ip
    typed director ipvsadm-rs -a -t "$vip:80" -r "$address" -g
    typed "$host" ip addr add "$vip/32" dev lo scope host
    sysctl "$host" net.ipv4.conf.all.arp_ignore=3 net.ipv4.conf.all.arp_announce=2
done
works rs1 -- R5

# acassen/keepalived#1827 and #2450: scripts that real servers start with.
row "the script that everybody has: VIP on lo, arp_ignore and arp_announce"
cluster bare -g
by_hand rs1
by_hand rs2
works rs1 -- R5
works rs1 --probe -- R5

# acassen/keepalived#1827: the director is the servers' router, with accept_local.
row "the director is the servers' gateway, and takes what comes from its own address"
cluster dr -g
for host in rs1 rs2; do typed "$host" ip route replace default via "$director_ip"; done
sysctl director net.ipv4.ip_forward=1 net.ipv4.conf.{all,eth0}.accept_local=1 net.ipv4.conf.{all,eth0}.rp_filter=0
sysctl director net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
works rs1 --probe -- R5 R6

# The bond of metallb/metallb#153 and of every hypervisor: interfaces that lead to no router.
row "bridges of Docker and libvirt and a port without an address, beside a quiet eth0"
cluster bare -g
for host in rs1 rs2; do
    typed "$host" ip addr add "$vip/32" dev lo
    sysctl "$host" net.ipv4.conf.eth0.arp_ignore=1 net.ipv4.conf.eth0.arp_announce=2
done
for bridge in docker0:172.17.0.1/16 virbr0:192.168.122.1/24; do
    typed rs1 ip link add "${bridge%%:*}" type bridge
    typed rs1 ip addr add "${bridge#*:}" dev "${bridge%%:*}"
    typed rs1 ip link set "${bridge%%:*}" up
done
typed rs1 ip link add bond0 type veth peer name port0
typed rs1 ip link set bond0 up
works rs1 -- R5

# cloudflare.com, "AnyIP"; LVS-HOWTO's routing_to_VIP-less_director: a route makes it local, not an address.
row "the VIP by a local route (AnyIP)"
cluster bare -g
for host in rs1 rs2; do
    typed "$host" ip route add local "$vip/32" dev lo
    sysctl "$host" net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
done
works rs1 -- R5

# cloudnativelabs/kube-router:docs/dsr.md; LVS-HOWTO, LVS-Tun: the VIP on tunl0.
row "tunnels with the VIP on the tunnel"
cluster tunnel -i
sysctl rs1 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
typed rs1 ip link set ipip0 mtu 1480
works rs1 -- R5

# gop.garena.com, "How GOP managed LVS-NAT/LVS-DR/LVS-TUN": the VIP on lo, tunl0 without an address.
row "tunnels with the VIP on lo, no address on the tunnel, strict filtering"
cluster tunnel -i
for host in rs1 rs2; do
    typed "$host" ip addr del "$vip/32" dev ipip0
    typed "$host" ip addr add "$vip/32" dev lo
    sysctl "$host" net.ipv4.conf.{all,lo}.arp_ignore=1 net.ipv4.conf.{all,lo}.arp_announce=2
    typed "$host" ip link set ipip0 mtu 1480
done
sysctl rs1 net.ipv4.conf.ipip0.rp_filter=1
broken rs1 R7

# The same with loose filtering, which does not help where there is no address.
row "tunnels with the VIP on lo, no address on the tunnel, loose filtering"
sysctl rs1 net.ipv4.conf.ipip0.rp_filter=2
broken rs1 R7

# cloudnativelabs/kube-router sets 2 where it is 1; two cards, the default route by the other one.
row "two interfaces, the default route by the other one, strict filtering"
cluster dr -g
typed rs1 ip link add eth1 type veth peer name far1
typed rs1 ip addr add 50.50.50.30/24 dev eth1
typed rs1 ip link set eth1 up
typed rs1 ip link set far1 up
typed rs1 ip route replace default via 50.50.50.1 dev eth1
sysctl rs1 net.ipv4.conf.eth0.rp_filter=1
prove "$what: it is broken" traffic_stops
examined rs1
prove "  without asking the doctor does not say that R7 is well" is_skipped R7
examined rs1 --probe
prove "  the first finding on rs1 is R7" cause_is R7
prove "  the fix it prints can be typed" fixed R7

# lartc.org, "Routing for multiple uplinks": a rule for the machine's own address, and none for the VIP.
row "a rule of policy routing for the RIP only"
vip=30.30.30.100
cluster dr -g
typed router ip addr del 20.20.20.254/24 dev eth0
typed rs1 ip rule add from "$rs1_ip" lookup 77
typed rs1 ip route add default via 30.30.30.254 table 77
typed rs1 ip route replace default via 30.30.30.99
broken rs1 R6
vip=20.20.20.20

# iqiyi/dpvs#312: the tutorial sets lo alone, which does nothing for eth0.
row "arp_ignore on lo alone"
cluster bare -g
by_hand rs2
typed rs1 ip addr add "$vip/32" dev lo
sysctl rs1 net.ipv4.conf.lo.arp_ignore=1 net.ipv4.conf.lo.arp_announce=2
examined rs1
prove "the first finding on rs1 is R2" cause_is R2
prove "  the fix it prints can be typed" fixed R2
examined rs1
prove "  R2 and R3 are well now" no_alarm R5

# linuxvirtualserver.org's list: ifconfig lo:0 VIP netmask 255.255.255.0, and remote access is gone.
row "the VIP on lo with the network's prefix, the router in it"
vip=30.30.30.100
cluster bare -g
by_hand rs2
typed rs1 ip addr add "$vip/24" dev lo
sysctl rs1 net.ipv4.conf.{all,lo}.arp_ignore=1 net.ipv4.conf.{all,lo}.arp_announce=2
broken rs1 R1
vip=20.20.20.20

# labring/sealos, keepalived#1827: a server that was added before its script ran.
row "a real server without the VIP"
cluster dr -g
typed rs1 ipvsadm-rs realserver stop "$vip"
broken rs1 R1

# LVS-HOWTO, LocalNode: "a service to listen to an IP which is not the VIP is the most common mistake".
row "a program that listens on the RIP alone"
cluster dr -g
stop_web rs1
web_server rs1 "$rs1_ip:80"
again() { stop_web rs1; web_server rs1 80; }
broken_with_advice rs1 R8 -- again

# heartbeat/IPaddr2 moves the VIP to lo on standby; left on eth0 it answers ARP.
row "a real server that has the VIP on eth0"
cluster bare -g
by_hand rs2
typed rs1 ip addr add "$vip/32" dev eth0
examined rs1
prove "the first finding on rs1 is R4" cause_is R4
prove "  the fix it prints can be typed" fixed R4
examined rs1
prove "  R1 to R4 are well now" no_alarm R5

# docs.kernel.org, networking/vrf.rst; the server's interface and a dummy with the VIP are in one VRF.
row "a real server in a VRF, the VIP on a dummy in it"
cluster bare -g
by_hand rs2
typed rs1 ip link add red type vrf table 10
typed rs1 ip link set red up
typed rs1 ip link set eth0 master red
typed rs1 ip route add default via 30.30.30.254 vrf red
typed rs1 ip link add vip0 type dummy
typed rs1 ip link set vip0 master red
typed rs1 ip link set vip0 up
sysctl rs1 net.ipv4.tcp_l3mdev_accept=1
typed rs1 ipvsadm-rs realserver start --interface vip0 "$vip"
works rs1 -- R5

# The same, where the default route was lost with the move into the VRF.
row "a real server in a VRF that has no default route"
typed rs1 ip route del default vrf red
in_the_vrf() { evidence=${found_advice[R6]} && [[ $evidence == *"ip route add default via ROUTER vrf red" ]]; }
route_back() { prove "  it names the VRF" in_the_vrf && typed rs1 ip route add default via 30.30.30.254 vrf red; }
broken_with_advice rs1 R6 -- route_back

# An IPv6 service beside the IPv4 one (acassen/keepalived#1876).
row "IPv6, direct routing"
build dr6
vip=$vip6
typed director ipvsadm-rs -A -t "[$vip]:80" -s rr
typed director ipvsadm-rs -a -t "[$vip]:80" -r "[$rs1_ip6]:80" -g
typed director ipvsadm-rs -a -t "[$vip]:80" -r "[$rs2_ip6]:80" -g
works director
works rs1 -- R5
