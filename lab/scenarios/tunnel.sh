# tunnelling (-i): the director puts the request into an IP packet to the real server, which answers the client itself
# shellcheck shell=bash

build tunnel
watch router director rs1 rs2

typed director ipvsadm-rs -A -t "$vip:80" -s wrr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -i -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -i -w 3
fetch "http://$vip/?[1-20]"
table 20
unwatch

heading "Is that tunnelling?"
prove "the load is shared 5 : 15, as weights 1 and 3 ask" answers_are 5 15
prove "in the order weighted round-robin gives" answers_in_turn
prove "only the director answers ARP for the VIP" arp_answered_by "$vip" director
prove "IPVS counts 20 connections and not one packet back" ipvs_saw_one_way 20
prove "requests arrive as sent, inside a packet from the director to the real server" \
    requests_arrive "$vip" "$client_ip" inside
prove "the replies never pass the director" replies_avoid_director "$vip"
prove "they come to the router from the real servers, with the VIP as their source" replies_come_from_real_servers "$vip"
prove "the real servers see the client's own address" real_servers_saw "$client_ip"
