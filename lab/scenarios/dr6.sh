# direct routing (-g) with IPv6, where the VIP on lo needs no sysctl to stay silent
# shellcheck shell=bash

build dr6
watch router director rs1 rs2

typed director ipvsadm-rs -A -t "[$vip6]:80" -s wrr
typed director ipvsadm-rs -a -t "[$vip6]:80" -r "[$rs1_ip6]:80" -g -w 1
typed director ipvsadm-rs -a -t "[$vip6]:80" -r "[$rs2_ip6]:80" -g -w 3
fetch "http://[$vip6]/?[1-20]"
table 20
unwatch

heading "Is that direct routing?"
prove "the load is shared 5 : 15, as weights 1 and 3 ask" answers_are 5 15
prove "in the order weighted round-robin gives" answers_in_turn
prove "IPVS counts 20 connections and not one packet back" ipvs_saw_one_way 20
prove "the replies never pass the director" replies_avoid_director "$vip6"
prove "they come to the router from the real servers, with the VIP as their source" replies_come_from_real_servers "$vip6"
prove "requests arrive with a new frame address and all else as sent: from the client, to the VIP" \
    requests_arrive "$vip6" "$client_ip6"
prove "the real servers see the client's own address" real_servers_saw "$client_ip6"
