# clusters as people run them, behind packet filters; needs --kernel stock
# needs: nft=nftables iptables arptables keepalived socat unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../wild.sh
. "$lab/wild.sh"
# shellcheck source=../ha.sh
. "$lab/ha.sh"
own_etc
rm -f "$rules"

policy_is() { evidence=$(on "$1" iptables -S "$2" | head -n 1) && [[ $evidence == "-P $2 $3" ]]; } # HOST CHAIN POLICY

# --- directors -------------------------------------------------------------------------------------------------------

# kubernetes/kubernetes#59656, moby/moby#39439: Docker makes FORWARD's policy DROP.
row "a masquerading director with Docker's chains and FORWARD DROP"
cluster nat -m
typed director iptables -P FORWARD DROP
for chain in DOCKER-USER DOCKER; do typed director iptables -N "$chain"; done
typed director iptables -A FORWARD -j DOCKER-USER
typed director iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
typed director iptables -A FORWARD -o docker0 -j DOCKER
typed director iptables -A DOCKER-USER -j RETURN
broken_until_all_fixed director D14

# The same with rules for established connections: without net.ipv4.vs.conntrack IPVS has none.
row "forward lets established connections through, policy drop"
cluster nat -m
typed director nft 'table inet f { chain way { type filter hook forward priority 0; policy drop; ct state established,related accept; }; }'
broken_until_all_fixed director D14
row "  and with net.ipv4.vs.conntrack it works"
cluster nat -m
sysctl director net.ipv4.vs.conntrack=1
typed director nft 'table inet f { chain way { type filter hook forward priority 0; policy drop; ct state established,related accept; }; }'
works director

# docs.docker.com, "Packet filtering and firewalls": -p 80:80 takes every address of the machine.
row "Docker publishes the VIP's port on the director"
cluster nat -m
typed director iptables -t nat -N DOCKER
typed director iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
typed director iptables -t nat -A DOCKER -p tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
unpublished() { typed director iptables -t nat -F DOCKER; }
broken_with_advice director D14 -- unpublished

# wiki.nftables.org, "Simple ruleset for a server", on a director.
row "the ruleset for a server, on a director"
cluster dr -g
typed director nft 'table inet filter { chain input { type filter hook input priority 0; policy drop; ct state { established, related } accept; iifname lo accept; ip protocol icmp accept; tcp dport 22 accept; }; }'
guard director "$director_ip"
broken director D14
prove "  and what was closed is closed" still_closed "$director_ip"

# RHEL's and Debian's documents: iptables with a policy, and the interface that clients come in by.
row "iptables lets the port in on eth0"
cluster dr -g
typed director iptables -P INPUT DROP
typed director iptables -A INPUT -i eth0 -p tcp --dport 80 -j ACCEPT
works director
row "iptables lets nothing in"
typed director iptables -F INPUT
guard director "$director_ip"
broken director D14
prove "  and what was closed is closed" still_closed "$director_ip"
prove "  the policy is what it was" policy_is director INPUT DROP

# LVS-HOWTO, LVS-DR: the packet passes OUTPUT on its way to the real server.
row "output lets established connections out only"
cluster dr -g
typed director nft 'table inet f { chain o { type filter hook output priority 0; policy drop; ct state established,related accept; ip protocol icmp accept; }; }'
broken director D14

# docs.huihoo.com, LVS-HOWTO.fwmark: two ports in one service.
row "a firewall mark by nftables"
build dr
typed director nft "table ip lab { chain in { type filter hook prerouting priority mangle; ip daddr $vip tcp dport { 80, 443 } meta mark set 1; }; }"
typed director ipvsadm-rs -A -f 1 -s rr
typed director ipvsadm-rs -a -f 1 -r "$rs1_ip" -g
typed director ipvsadm-rs -a -f 1 -r "$rs2_ip" -g
works director
prove "  and is seen as a director's" seen_as director

# austintek.com, "Routing and packet delivery to a director without a VIP".
row "a firewall mark and no VIP: a local route for marked packets"
typed director ip addr del "$vip/32" dev eth0
typed director ip rule add fwmark 1 lookup 100
typed director ip route add local default dev lo table 100
typed router ip route add "$vip/32" via "$director_ip"
works director
prove "  and is seen as a director's" seen_as director

# acassen/keepalived#98 and #1140: the backup's packet filter.
row "the backup's packet filter drops sync messages"
cluster dr -g
typed director ipvsadm-rs --start-daemon backup --mcast-interface eth0 --syncid 1
typed director nft 'table inet f { chain i { type filter hook input priority 0; policy drop; tcp dport { 22, 80 } accept; ip protocol icmp accept; }; }'
examined director
prove "the doctor on director names D25" names D25
prove "  the fix it prints can be typed" fixed D25
examined director
prove "  D25 is well now" not_named D25

# acassen/keepalived#1528: iptables between the two directors makes two masters.
row "keepalived, and packet filters that drop VRRP"
two_directors
both_have_it() { evidence="" && has_vip director && has_vip director2; }
one_has_it() { evidence="" && if has_vip director; then ! has_vip director2; else has_vip director2; fi; }
for host in director director2; do
    typed "$host" nft 'table inet f { chain i { type filter hook input priority 0; policy drop; tcp dport { 7, 22, 80 } accept; udp dport 8848 accept; ip protocol icmp accept; }; }'
done
prove_within 60 "the second master" "both directors have the VIP" both_have_it
for host in director director2; do
    examined "$host"
    prove "  the first finding on $host is D25" cause_is D25
    prove "  the fix it prints can be typed" fixed D25
done
prove_within 60 "a single master" "  one director has the VIP" one_has_it
examined director
prove "  D25 is well now" not_named D25

# --- real servers ----------------------------------------------------------------------------------------------------

# Red Hat, "Load Balancer Administration", 3.2.2; acassen/keepalived#1551: no VIP on the real server.
row "real servers by iptables REDIRECT, without the VIP"
cluster bare -g
for host in rs1 rs2; do typed "$host" iptables -t nat -A PREROUTING -p tcp -d "$vip" --dport 80 -j REDIRECT; done
works rs1
row "real servers by iptables REDIRECT to another port"
cluster bare -g
for host in rs1 rs2; do
    web_server "$host" 8080
    typed "$host" iptables -t nat -A PREROUTING -p tcp -d "$vip" --dport 80 -j REDIRECT --to-ports 8080
done
works rs1

# docs.huihoo.com, RHEL 5: arptables_jf with the VIP on eth0.
row "arptables with the VIP on eth0"
cluster bare -g
for host in rs1 rs2; do
    declare -n address=${host}_ip
    typed "$host" ip addr add "$vip/32" dev eth0
    typed "$host" nft "table arp f { chain i { type filter hook input priority 0; arp daddr ip $vip drop; }; chain o { type filter hook output priority 0; arp saddr ip $vip arp saddr ip set $address; }; }"
done
works rs1 -- R5

# docs.docker.com: a container serves the VIP by a published port.
row "Docker on the real server: DNAT serves the VIP"
cluster bare -g
by_hand rs2
by_hand rs1
stop_web rs1
typed rs1 ip link add docker0 type dummy
typed rs1 ip addr add 172.17.0.2/16 dev docker0
typed rs1 ip link set docker0 up
web_server rs1 172.17.0.2:80
typed rs1 iptables -t nat -N DOCKER
typed rs1 iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
typed rs1 iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
works rs1 -- R5 R2 R3

# chaifeng/ufw-docker's and RHEL's default: a real server that lets nothing in.
row "a real server whose iptables lets nothing in"
cluster dr -g
typed rs1 iptables -P INPUT DROP
typed rs1 iptables -A INPUT -p tcp --dport 22 -j ACCEPT
guard rs1 "$rs1_ip"
broken rs1 R9
prove "  and what was closed is closed" still_closed "$rs1_ip"

# LVS-HOWTO, LVS-Tun: the outer packets are of protocol 4.
row "a real server that drops the tunnel's packets"
cluster tunnel -i
sysctl rs1 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
typed rs1 ip link set ipip0 mtu 1480
typed rs1 nft 'table inet f { chain i { type filter hook input priority 0; policy drop; tcp dport { 22, 80 } accept; ip protocol icmp accept; }; }'
broken rs1 R9
