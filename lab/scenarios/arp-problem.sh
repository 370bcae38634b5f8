# the ARP problem: what happens to direct routing when real servers answer ARP for the VIP, and the cure
# shellcheck shell=bash

build arp-problem
watch router

note "rs1 and rs2 hold the VIP on lo, with arp_ignore and arp_announce as a kernel comes: 0."
typed director ipvsadm-rs -A -t "$vip:80" -s wrr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g -w 3
# The connection during which the router changes its mind may break.
fetch --no-fail-early "http://$vip/?[1-20]"
typed director ipvsadm-rs -Ln
typed router ip neigh show to "$vip"
unwatch

heading "Is the fault there, and can the lab show it?"
prove "all three hosts answer ARP for the VIP" arp_answered_by "$vip" director rs1 rs2
prove "connections go to a real server behind the director's back" some_connections_miss_director "$vip"
prove "the load is not shared 5 : 15" answers_are_not 5 15

heading "The cure"
watch router
for host in rs1 rs2; do
    typed "$host" busybox sysctl -w net.ipv4.conf.{all,lo}.arp_ignore=1 net.ipv4.conf.{all,lo}.arp_announce=2
done
typed router ip neigh flush to "$vip"
fetch "http://$vip/?[1-20]"
typed router ip neigh show to "$vip"
unwatch

heading "Does it help?"
prove "only the director answers ARP for the VIP" arp_answered_by "$vip" director
prove "all connections go through the director" all_connections_reach_director "$vip" 20
prove "the load is shared 5 : 15" answers_are 5 15
