# persistence (-p): a client stays with the real server it was given first
# shellcheck shell=bash

build dr

typed director ipvsadm-rs -A -t "$vip:80" -s wrr -p 300
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g -w 3
fetch "http://$vip/?[1-20]"
table 20
list_connections

heading "Is that persistence?"
prove "all 20 answers come from one real server" all_answers_from_one 20
prove "the table has the template that holds the client there" template_listed "$client_ip" "$vip:80"
prove "IPVS counts 20 connections and not one packet back" ipvs_saw_one_way 20
