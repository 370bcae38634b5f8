# direct routing (-g): the director hands the frame on, the real server answers the client itself
# shellcheck shell=bash

build dr
watch router director rs1 rs2

typed director ipvsadm-rs -A -t "$vip:80" -s wrr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g -w 3
fetch "http://$vip/?[1-20]"
table 20
unwatch

heading "Is that direct routing?"
prove "the load is shared 5 : 15, as weights 1 and 3 ask" answers_are 5 15
prove "in the order weighted round-robin gives" answers_in_turn
prove "only the director answers ARP for the VIP" arp_answered_by "$vip" director
prove "IPVS counts 20 connections and not one packet back" ipvs_saw_one_way 20
prove "the replies never pass the director" replies_avoid_director "$vip"
prove "they come to the router from the real servers, with the VIP as their source" replies_come_from_real_servers "$vip"
prove "requests arrive with a new frame address and all else as sent: from the client, to the VIP" \
    requests_arrive "$vip" "$client_ip"
prove "the real servers see the client's own address" real_servers_saw "$client_ip"
