# the fault table: one thing broken at a time, named by the doctor, fixed by the command it prints
# shellcheck shell=bash

# shellcheck source=../doctor.sh
. "$lab/doctor.sh"
own_etc
build dr
well_kept -g
sysctl() { typed "$1" busybox sysctl -w "${@:2}"; }
# A program that pretends to manage the table for a moment: a program of that name is all that the doctor looks for. Not in a
# folder of PATH, where later scenarios would take it for the real one.
pretend() { # NAME
    mkdir -p "$state/pretenders"
    printf '#!/bin/sh\nsleep 60\n' >"$state/pretenders/$1"
    chmod +x "$state/pretenders/$1"
    start_on director "$state/pretenders/$1"
    wait_for 60 "$1" runs "$1" "$started"
}
runs() { [[ $(<"/proc/$2/comm") == "$1" && /proc/$2/ns/net -ef /run/netns/lab-director ]]; }
gone() { kill "$1"; wait "$1" 2>/dev/null || :; }

heading "Real servers"
mkdir -p /etc/network/interfaces.d
typed rs1 sh -c "echo '  up ip addr add $vip/32 dev lo' >/etc/network/interfaces.d/vip"
typed rs1 sh -c "printf 'net.ipv4.conf.all.arp_%s\n' ignore=1 announce=2 >/etc/sysctl.d/60-lvs.conf"
typed rs1 sh -c 'echo net.ipv4.conf.all.arp_ignore=0 >/etc/sysctl.d/99-hardening.conf'
fault R5 "a later file undoes arp_ignore at boot" rs1
typed rs1 rm /etc/sysctl.d/60-lvs.conf /etc/sysctl.d/99-hardening.conf /etc/network/interfaces.d/vip
fault R5 "nothing is set for the next boot" rs1
examined rs2
prove "rs2 is well, too" all_green
typed rs1 ip addr del "$vip/32" dev lo
fault R1 "the VIP is missing" rs1
typed rs1 ip addr del "$vip/32" dev lo
typed rs1 ip addr add "$vip/24" dev lo
fault R1 "the VIP is on lo with /24" rs1
sysctl rs1 net.ipv4.conf.{all,lo}.arp_ignore=0
fault R2 "arp_ignore is 0" rs1
sysctl rs2 net.ipv4.conf.eth0.arp_ignore=3
fault R2 "arp_ignore of eth0 is 3, which counts more than 1" rs2
sysctl rs2 net.ipv4.conf.all.arp_announce=0
fault R3 "arp_announce is 0" rs2
typed rs2 ip addr add "$vip/32" dev eth0
fault R4 "the VIP is on eth0" rs2
typed rs1 ip route add 40.40.40.0/24 via "$director_ip"
fault R6 "the way to the clients is by the director" rs1 --probe
typed rs1 ip route replace default via "$director_ip"
fault_with_advice R6 "the default gateway is the director" rs1 --probe -- typed rs1 ip route replace default via 30.30.30.254
stop_web rs1
web_server rs1 "$rs1_ip:80"
again() { stop_web rs1; web_server rs1 80; }
fault_with_advice R8 "the web server is bound to the RIP" rs1 -- again
mkdir -p /etc/sysconfig/network-scripts
typed rs1 sh -c "printf 'DEVICE=lo:0\nIPADDR=$vip\n' >/etc/sysconfig/network-scripts/ifcfg-lo:0"
fault R12 "ifup announces the VIP" rs1

heading "The director"
typed director ip addr del "$vip/32" dev eth0
fault D2 "the VIP is missing" director
typed director ip addr del "$vip/32" dev eth0
typed director ip addr add "$vip/24" dev eth0
fault D3 "the VIP has a wide prefix" director
typed director ip route add "$rs1_ip/32" via 30.30.30.254
fault D4 "a real server is behind a gateway" director
typed director ip neigh replace "$rs2_ip" lladdr "$rs1_mac" dev eth0 nud permanent
fault D5 "two real servers have one MAC address" director
typed director sed -i "s/$rs1_ip:80/$rs1_ip:8080/" "$rules"
fault D6 "the rules ask for another port" director
for real in "$rs1_ip" "$rs2_ip"; do typed director ipvsadm-rs -e -t "$vip:80" -r "$real" -g -w 0; done
fault D7 "all weights are 0" director
typed director sed -i 's/-s wrr/-s nope/' "$rules"
fault D8 "a scheduler is missing" director
sysctl director net.ipv4.vs.expire_nodest_conn=0
pretend keepalived
fault D9 "expire_nodest_conn is 0 under a health checker" director
checker=$started
pretend ldirectord
another=$started
fault_with_advice D21 "two programs keep the table" director -- gone "$another"
gone "$checker"
typed director ipvsadm-rs -E -t "$vip:80" -s wrr -p 300
saved
fault D10 "expire_quiescent_template is 0 under persistence" director
typed director ipvsadm-rs -E -t "$vip:80" -s wrr
saved
sysctl director net.ipv4.vs.conn_reuse_mode=0
fault D11 "conn_reuse_mode is 0" director
typed director ip link add sync0 type bridge
typed director ip link set sync0 up
typed director ipvsadm-rs --start-daemon master --mcast-interface sync0 --syncid 1
typed director ip link set sync0 down
fault D18 "the sync daemon's interface is down" director
typed director ipvsadm-rs --stop-daemon master
typed director ip link del sync0
typed director ipvsadm-rs --start-daemon backup --mcast-interface eth0 --syncid 1
# There is no other interface, so clients reach it.
but=D24
# What a master with id 7 sends when it has no connections to send.
start_on rs2 bash -c 'while :; do printf "\0\7\0\10\0\1\0\0" >/dev/udp/224.0.0.81/8848; sleep 0.2; done'
master=$started
fault D18 "the sync ids differ" director --probe
gone "$master"
typed director ipvsadm-rs -a -t "$vip:80" -r "$director_ip" -w 0
saved
# What is fixed is that it directs, so it is not asked to.
named_and_fixed D12 "a backup directs, though it is a real server" director
typed director ipvsadm-rs --stop-daemon backup
but=""
typed director ipvsadm-rs -d -t "$vip:80" -r "$director_ip"
saved
prove "  traffic flows when it is not a backup any more" traffic_flows
typed director ipvsadm-rs --set 900 0 0
examined director
prove "IPVS forgets before keepalive: that is a note, and no warning" noted D19
typed director ipvsadm-rs -A -f 1 -s rr
typed director ipvsadm-rs -a -f 1 -r "$rs1_ip" -g
fault D22 "the table is not the saved one" director
sysctl rs1 net.ipv4.conf.{all,lo}.arp_ignore=0
fault D23 "a real server answers ARP for the VIP" director --probe

heading "Masquerading"
build nat
well_kept -m
sysctl director net.ipv4.ip_forward=0
fault D13 "nothing is forwarded" director

heading "Tunnels"
build tunnel
well_kept -i
for host in rs1 rs2; do typed "$host" ip link set ipip0 mtu 1480; done
sysctl rs1 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
sysctl rs1 net.ipv4.conf.ipip0.rp_filter=1
fault R7 "reverse path filtering drops what comes out of the tunnel" rs1
typed rs1 ip link set ipip0 down
fault R11 "the tunnel is down" rs1

heading "IPv6"
# In the real servers' network: of two addresses there, the one with the longer prefix is the source.
vip6=2001:db8:30::100
build dr6
vip=$vip6
well_kept -g
# rs2 has the same /etc.
typed rs1 ipvsadm-rs realserver start --persist "$vip"
fault D20 "packets to real servers come from the VIP" director
typed rs2 ipvsadm-rs realserver stop "$vip"
typed rs2 ip addr add "$vip/128" dev eth0
typed director ip addr del "$vip/128" dev eth0
sysctl director net.ipv6.conf.eth0.accept_dad=1
typed director ip addr add "$vip/128" dev eth0 preferred_lft 0
detected() { [[ $(on director ip addr show dev eth0 dadfailed) == *" $vip/"* ]]; }
wait_for 60 "duplicate address detection" detected || :
examined director --probe
prove "rs2 has the VIP, too: the doctor on director names D23" names D23
named_and_fixed R4 "the VIP is on eth0" rs2
fault D20 "the VIP failed duplicate address detection" director
