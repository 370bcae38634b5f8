# `realserver` on the real servers: all ways to keep ARP quiet or to do without the VIP, and back to what was before
# needs: nft=nftables arptables-legacy=arptables
# shellcheck shell=bash

build bare
for host in rs1 rs2; do look "$host" >"$state/$host.before"; done

typed director ipvsadm-rs -A -t "$vip:80" -s wrr
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g -w 1
typed director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g -w 3

# What was learnt is forgotten, so that everybody has to ask.
forget() {
    typed router ip neigh flush dev eth0
    for host in rs1 rs2; do typed "$host" ip neigh flush dev eth0; done
}

# takes METHOD: whether this kernel has what the method is made of
takes() {
    case $1 in
        arp-sysctl) return 0 ;;
        arptables) if on rs1 arptables-legacy -n -L >/dev/null 2>&1; then return 0; fi ;;
        redirect)
            if on rs1 nft --check "table ip lab { chain c { type nat hook prerouting priority -100; redirect; }; }" ||
                on rs1 iptables-legacy -t nat -n -L; then return 0; else return 1; fi >/dev/null 2>&1
            ;;
    esac
    on rs1 nft --check add table arp lab 2>/dev/null
}

for method in arp-sysctl arptables nftables redirect; do
    heading "--method $method"
    if ! takes "$method"; then
        [[ $method == redirect ]] && said="can redirect on this machine" || said="nftables filter no ARP"
        prove "this kernel has nothing for --method $method, which says so" \
            exits_with 1 "$said" rs1 ipvsadm-rs realserver start --method "$method" "$vip"
        prove "and rs1 is as it was" looks_like rs1 "$state/rs1.before"
        note "Where the kernel has them, they are shown: lab/run --kernel stock realserver."
        continue
    fi
    for host in rs1 rs2; do typed "$host" ipvsadm-rs realserver start --method "$method" "$vip"; done
    typed rs1 ipvsadm-rs realserver status "$vip"
    watch router
    forget
    fetch "http://$vip/?[1-20]"
    typed router ip neigh show to "$vip"
    unwatch
    prove "$method: only the director answers ARP for the VIP" arp_answered_by "$vip" director
    prove "$method: the real servers ask with their own addresses" asked_with_own_addresses "$vip"
    prove "$method: all connections go through the director" all_connections_reach_director "$vip" 20
    prove "$method: the load is shared 5 : 15" answers_are 5 15
    for host in rs1 rs2; do
        typed "$host" ipvsadm-rs realserver stop "$vip"
        prove "$method: after stop $host is as it was before start" looks_like "$host" "$state/$host.before"
    done
done

heading "Without any of them: a static neighbour entry on the router"
note "The real servers answer for the VIP; the router does not ask. It has to learn the new address when another director takes over."
for host in rs1 rs2; do typed "$host" ip addr add "$vip/32" dev lo; done
watch router
forget
typed router ip neigh replace "$vip" lladdr "$director_mac" nud permanent dev eth0
fetch "http://$vip/?[1-20]"
typed router ip neigh show to "$vip"
unwatch
prove "no host is asked for the VIP, none answers" arp_answered_by "$vip"
prove "all connections go through the director" all_connections_reach_director "$vip" 20
prove "the load is shared 5 : 15" answers_are 5 15
prove "status reports that this real server is not quiet" \
    exits_with 3 "fail  arp_ignore" rs1 ipvsadm-rs realserver status "$vip"
