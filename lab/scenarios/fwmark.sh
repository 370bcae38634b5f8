# a firewall mark (-f): the director marks two ports, IPVS balances the mark, so both are one service
# shellcheck shell=bash

build dr
web_server rs1 443
web_server rs2 443

# nftables is how one does that, but not every kernel to test on has its IPv4 tables; traffic control can do it as well.
if [[ -n $(type -P nft) ]] && on director nft add table ip lab 2>/dev/null; then
    prompt director nft add table ip lab
    typed director nft add chain ip lab incoming '{ type filter hook prerouting priority mangle; }'
    typed director nft add rule ip lab incoming ip daddr "$vip" tcp dport '{ 80, 443 }' meta mark set 1
else
    typed director tc qdisc add dev eth0 clsact
    for port in 80 443; do
        typed director tc filter add dev eth0 ingress protocol ip flower \
            ip_proto tcp dst_ip "$vip" dst_port $port action skbedit mark 1
    done
fi
typed director ipvsadm-rs -A -f 1 -s wrr
typed director ipvsadm-rs -a -f 1 -r "$rs1_ip" -g -w 1
typed director ipvsadm-rs -a -f 1 -r "$rs2_ip" -g -w 3
note "(plain HTTP on both ports: what matters is that there are two)"
fetch "http://$vip:{80,443}/?[1-10]"
table 20
list_connections

heading "Is that one service on two ports?"
prove "the load of both ports together is shared 5 : 15" answers_are 5 15
# Ten are two and a half turns: two services of their own would begin a new turn with the eleventh.
prove "in one series: the second port goes on where the first left off" answers_in_turn
prove "ten connections went to port 80" connections_listed 10 "$vip:80"
prove "and ten to port 443" connections_listed 10 "$vip:443"
prove "IPVS counts all 20 under the mark" ipvs_saw_one_way 20
prove "the real servers see the client's own address" real_servers_saw "$client_ip"
