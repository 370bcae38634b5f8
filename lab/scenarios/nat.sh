# masquerading (-m): the director rewrites addresses both ways, the real servers' way back is through it
# shellcheck shell=bash

build nat
watch router director rs1 rs2

typed director ipvsadm-rs -A -t "$vip:80" -s wrr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -m -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -m -w 3
fetch "http://$vip/?[1-20]"
table 20
unwatch

heading "Is that masquerading?"
prove "the load is shared 5 : 15, as weights 1 and 3 ask" answers_are 5 15
prove "in the order weighted round-robin gives" answers_in_turn
prove "IPVS counts 20 connections and packets both ways" ipvs_saw_both_ways 20
prove "requests arrive with the real server as their target, otherwise as sent" requests_arrive "$vip" "$client_ip" rewritten
prove "the replies pass the director, which makes the VIP their source" replies_pass_director "$vip"
prove "the router gets replies from the director only" replies_come_from_director "$vip"
prove "the real servers see the client's own address" real_servers_saw "$client_ip"
